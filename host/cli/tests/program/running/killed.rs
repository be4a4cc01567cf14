//! The village is killed while an agent is being replaced, in each step of that.

use super::{Up, command};
use crate::harness::guest;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The number in what the guest says of its state; none if the village could not answer.
fn add(up: &Up) -> Option<u64> {
    let ran = up.call(&["send", "tally", "--skill", "state", "--json"]);
    let reply = (ran.code == 0).then(|| ran.json()["reply"]["body"].to_string())?;
    reply.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()
}

fn versions(up: &Up) -> (Vec<String>, Vec<String>) {
    let versions = up.json(&["versions", "tally"])["versions"].clone();
    let field = |name: &str| -> Vec<String> {
        let all = versions.as_array().expect("a list").iter();
        all.map(|version| version[name].as_str().expect("text").into()).collect()
    };
    (field("place"), field("digest"))
}

/// Reads what a swap says until it says `step`, and kills the village then.
fn kill_at(up: &Up, step: &str) {
    let data = up.data();
    let arguments = ["swap", "tally", guest("tally-next"), "--shadow", "3", "--canary", "100%", "--for", "3", "--data"];
    let mut swap = command(&arguments).arg(&data).stderr(Stdio::piped()).spawn().expect("the program starts");
    let out: Box<dyn Read> = match step {
        "live" => Box::new(swap.stdout.take().expect("a pipe")),
        _ => Box::new(swap.stderr.take().expect("a pipe")),
    };
    let said = BufReader::new(out).lines().map_while(Result::ok).find(|line| line.contains(step));
    let killed = Command::new("kill").args(["-9", &up.child.id().to_string()]).status().expect("kill is there");
    assert!(said.is_some() && killed.success(), "the swap never came to `{step}`");
    swap.wait().expect("it ends");
}

fn survives(step: &str) {
    let up = Up::start(&[]);
    up.json(&["deploy", guest("tally"), "--name", "tally", "--grant", "state"]);
    let old = versions(&up).1;
    let mut last = add(&up).expect("it answers");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Messages one after the other, until nobody answers any more.
        let adding = scope.spawn(|| {
            while let (false, Some(next)) = (over.load(Relaxed), add(&up)) {
                assert_eq!(next, last + 1, "{step}: a message was lost or doubled");
                last = next;
            }
        });
        kill_at(&up, step);
        over.store(true, Relaxed);
        adding.join().expect("each came after the one before");
    });
    let (_, _, folder) = up.ended();

    let up = Up::again(folder, &[]);
    let (places, digests) = versions(&up);
    let took_over = places == ["live", "before"] && digests[1..] == old;
    assert!(took_over || (places == ["live"] && digests == old), "{step}: {places:?} {digests:?}");
    // The last step follows `tried` at once, so that it may be over before the signal comes.
    assert!(step == "tried" || took_over == (step == "live"), "{step}: {places:?}");
    let next = add(&up).unwrap_or_else(|| panic!("{step}: the agent is bricked"));
    // The last message may have been kept without its sender hearing of it.
    assert!(next == last + 1 || next == last + 2, "{step}: {next} after {last}");
    up.json(&["audit", "--verify"]);
    if !took_over {
        up.json(&["swap", "tally", guest("tally-next")]);
    }
    let which = up.json(&["send", "tally", "--skill", "which"])["reply"]["body"].clone();
    assert_ne!(which, Value::Null, "{step}");
    up.json(&["rollback", "tally"]);
    assert_eq!((versions(&up).1, add(&up)), (old, Some(next + 1)), "{step}");
    assert_eq!(up.json(&["dead-letters"])["letters"], json!([]), "{step}");
}

#[test]
fn a_village_that_is_killed_in_any_step_of_a_swap_goes_on_with_one_version() {
    std::thread::scope(|scope| {
        for half in [&["staged", "probed", "shadowing", "shadowed"][..], &["trying", "tried", "live"]] {
            scope.spawn(move || half.iter().for_each(|step| survives(step)));
        }
    });
}

//! Whole villages, each on a machine of its own, with a cable between them that is pulled: what one tells the other arrives once.

#[path = "../../../mesh/tests/all/cable.rs"]
mod cable;

use crate::harness::guest;
use cable::Space;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A village that is up, on a machine of its own.
struct Whole<'a> {
    space: &'a Space,
    folder: &'a TempDir,
    child: Child,
    peer: String,
}

fn program(space: &Space, folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", &space.name, env!("CARGO_BIN_EXE_village")])
        .args(arguments)
        .arg("--json")
        .arg("--data")
        .arg(folder.path().join("data"))
        .env("VILLAGE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("native"))
        .env_remove("VILLAGE_DATA")
        .env_remove("VILLAGE_URL")
        .env_remove("VILLAGE_TOKEN")
        .stdin(Stdio::null());
    command
}

impl<'a> Whole<'a> {
    fn up(space: &'a Space, folder: &'a TempDir) -> Whole<'a> {
        let mut up = program(space, folder, &["up", "--listen", "0", "--mesh", "0.0.0.0:7421"]);
        let mut child = up.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        let read = BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line);
        let first: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line} {read:?}"));
        let peer = first["mesh"]["peer"].as_str().unwrap_or_else(|| panic!("it is in a mesh: {first}")).into();
        Whole { space, folder, child, peer }
    }

    /// Ends it, as its owner would.
    fn down(mut self) {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill is there");
        assert!(told.success());
        self.child.wait().expect("it ends");
    }

    fn call(&self, arguments: &[&str]) -> (bool, String) {
        let output = program(self.space, self.folder, arguments).output().expect("the program ends");
        (output.status.success(), String::from_utf8(output.stdout).expect("text"))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (done, said) = self.call(arguments);
        assert!(done, "{arguments:?}: {said}");
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said}"))
    }

    fn until(&self, arguments: &[&str], holds: impl Fn(&Value) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            let said = self.json(arguments);
            if holds(&said) {
                return began.elapsed();
            }
            assert!(began.elapsed() < PATIENCE, "{arguments:?}: {said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn linked(&self) -> Duration {
        self.until(&["mesh", "peers"], |said| said["peers"][0]["link"].is_object())
    }

    fn deploy(&self, name: &str, grant: &str) {
        self.json(&["deploy", guest("clerk"), "--name", name, "--grant", "state", "--grant", grant]);
    }

    fn pass(&self, to: &str, text: &str) {
        let order = json!({ "to": to, "text": text }).to_string();
        self.json(&["send", "ada", "--skill", "pass", "--input", &order]);
    }

    /// The lines that its clerk has kept.
    fn lines(&self) -> Vec<String> {
        let said = self.json(&["send", "bob", "--skill", "lines", "--input", "null", "--fast"]);
        let body = &said["reply"]["body"];
        let body = body.as_str().map_or_else(|| body.clone(), |text| serde_json::from_str(text).expect("a list"));
        body.as_array().expect("a list").iter().map(|line| line.as_str().expect("text").to_string()).collect()
    }

    fn lines_when(&self, count: usize) -> Vec<String> {
        let began = Instant::now();
        while self.lines().len() < count && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        self.lines()
    }
}

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn villages_on_two_machines_find_each_other_and_what_is_told_while_the_cable_is_out_arrives_once() {
    let Some((one, other)) = cable::pair("whole") else { return };
    let folders = [0, 1].map(|_| tempfile::tempdir().expect("a folder"));
    one.at("10.79.0.1");
    other.at("10.79.0.2");
    {
        let (a, b) = (Whole::up(&one, &folders[0]), Whole::up(&other, &folders[1]));
        let token = a.json(&["mesh", "invite"])["token"].as_str().expect("a token").to_string();
        b.json(&["mesh", "join", &token]);
        a.linked();
        b.linked();
        a.down();
        b.down();
    }
    // Where each was before, nobody is now: only what is called out on the network leads from one to the other.
    one.at("10.79.0.11");
    other.at("10.79.0.12");
    let (a, b) = (Whole::up(&one, &folders[0]), Whole::up(&other, &folders[1]));
    println!("found on the local network after {:?}", a.linked());
    b.linked();
    a.deploy("ada", "agents=*@*");
    b.deploy("bob", "public");
    let bob = format!("bob@{}", b.peer);
    let asked = a.json(&["send", &bob, "--skill", "note", "--input", "\"hello\""]);
    assert!(asked["reply"]["body"] == "1" || asked["reply"]["body"] == 1, "{asked}");

    // Told while there is no cable.
    one.inside("link set cable down");
    for n in 0..5 {
        a.pass(&bob, &format!("out {n}"));
    }
    assert_eq!(b.lines(), ["hello"], "there is no way");
    let began = Instant::now();
    one.inside("link set cable up");
    let wanted: Vec<_> = std::iter::once("hello".to_string()).chain((0..5).map(|n| format!("out {n}"))).collect();
    assert_eq!(b.lines_when(wanted.len()), wanted);
    println!("all were there {:?} after the cable was back", began.elapsed());

    // Pulled in the midst of it, again and again.
    std::thread::scope(|scope| {
        let pulling = scope.spawn(|| {
            for _ in 0..3 {
                std::thread::sleep(Duration::from_millis(300));
                one.inside("link set cable down");
                std::thread::sleep(Duration::from_millis(700));
                one.inside("link set cable up");
            }
        });
        for n in 0..12 {
            a.pass(&bob, &format!("amid {n}"));
        }
        pulling.join().expect("the cable is back");
    });
    let wanted: Vec<_> = wanted.into_iter().chain((0..12).map(|n| format!("amid {n}"))).collect();
    assert_eq!(b.lines_when(wanted.len()), wanted, "each once, in order");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(b.lines(), wanted, "and nothing again");
}

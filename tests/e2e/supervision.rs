//! Monitors, links, and families that are looked after together.

use agents::kin::{LINKS, MONITORS};
use agents::{Care, Event, Outcome, Then};
use guest::{Agent, Failed, Retry, Strategy, Supervision};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::lasting::Lasting;
use tests::{Village, ask, budget, eventually, grants, host, used};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

/// Agents that keep what they do, and may send to each other. What fails is tried once.
async fn village(folder: &Path, names: &[&str]) -> Lasting {
    let village = Lasting::open(folder).await;
    let kith = village.host.load(tests::guest("kith")).await.unwrap_or_else(|error| panic!("{error}"));
    names.iter().for_each(|name| village.enrol(name, kith.clone(), Retry::NEVER));
    village
}

async fn said(village: &Lasting, name: &str, skill: &str, body: &str) -> String {
    village.fast(name, skill, body).await.unwrap_or_else(|error| panic!("{name} {skill}: {error}"))
}

async fn broken(village: &Lasting, name: &str) {
    let failed = village.fast(name, "trap", "null").await;
    assert!(matches!(failed, Err(Failed::Broke(_))), "{failed:?}");
}

/// What an agent was told of others, once there is so much, or after a while.
async fn downs(village: &Lasting, name: &str, count: usize) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let all = said(village, name, "downs", "null").await;
        let lines: Vec<String> = all.trim_matches(['[', ']', '"']).split("\",\"").map(Into::into).collect();
        let lines: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        if lines.len() >= count || begun.elapsed() > Duration::from_secs(10) {
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn order(to: &str, skill: &str, text: &str, millis: u64) -> String {
    format!(r#"{{"to":"{to}","skill":"{skill}","text":"{text}","millis":{millis}}}"#)
}

/// Waits until the journal notes something of an agent.
async fn noted(village: &Lasting, what: &str, agent: &str) {
    let found = || {
        let records = village.books.store().read().journal(0..u64::MAX, usize::MAX).expect("it can be read");
        let events = records.iter().filter_map(|record| record.read::<Event>().expect("it is an event"));
        events
            .into_iter()
            .any(|event| matches!(event, Event::Noted { what: noted, agent: of, .. } if noted == what && of == agent))
    };
    eventually(&format!("the note `{what}` of {agent}"), found).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_monitors_another_is_told_once_each_time_that_it_breaks_also_after_a_restart() {
    let folder = folder();
    let first = village(folder.path(), &["ada", "bob"]).await;
    assert_eq!(said(&first, "ada", "monitor", "bob").await, "()");
    assert_eq!(said(&first, "ada", "monitor", "bob").await, "()", "twice is once");
    broken(&first, "bob").await;
    let broke = "bob Broke trap  0".to_string();
    assert_eq!(downs(&first, "ada", 1).await, std::slice::from_ref(&broke));
    assert!(matches!(first.fast("bob", "refuse", "null").await, Err(Failed::Failed(_))));
    // A message that is kept, and given up: one break, told with its end.
    assert!(first.post("bob", "trap", "null").await.is_err());
    assert_eq!(downs(&first, "ada", 2).await, [broke.clone(), broke.clone()], "who says no has not broken");
    drop(first);
    let second = village(folder.path(), &["ada", "bob"]).await;
    broken(&second, "bob").await;
    assert_eq!(downs(&second, "ada", 3).await.len(), 3);
    assert_eq!(said(&second, "ada", "demonitor", "bob").await, "true");
    assert_eq!(said(&second, "ada", "demonitor", "bob").await, "false");
    broken(&second, "bob").await;
    drop(second);
    let third = village(folder.path(), &["ada", "bob"]).await;
    broken(&third, "bob").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(downs(&third, "ada", 3).await.len(), 3, "nothing else comes");
    let kept = third.books.store().read().scan(MONITORS.all(), None, 9).expect("it can be read");
    assert_eq!(kept, [], "nothing is kept of it");
    noted(&third, "monitors", "ada").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn news_of_a_break_waits_for_who_was_asleep_when_the_host_went() {
    let folder = folder();
    let first = village(folder.path(), &["ada", "bob"]).await;
    said(&first, "ada", "monitor", "bob").await;
    first.host.rest("ada");
    broken(&first, "bob").await;
    drop(first);
    let second = village(folder.path(), &["ada", "bob"]).await;
    assert_eq!(downs(&second, "ada", 1).await, ["bob Broke trap  0"]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(downs(&second, "ada", 1).await.len(), 1, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_monitors_is_told_that_another_is_left_alone_stopped_or_removed() {
    let folder = folder();
    let mut village = village(folder.path(), &["ada"]).await;
    village.care = Care { faults: 2, pause: Duration::from_millis(1234), ..Care::default() };
    let kith = village.host.load(tests::guest("kith")).await.unwrap_or_else(|error| panic!("{error}"));
    village.enrol("bob", kith, Retry::NEVER);
    said(&village, "ada", "monitor", "bob").await;
    broken(&village, "bob").await;
    broken(&village, "bob").await;
    let mut lines = downs(&village, "ada", 3).await;
    lines.sort();
    assert_eq!(lines, ["bob Broke trap  0", "bob Broke trap  0", "bob LeftAlone   1234"]);
    // A helper that is let go, and one whose time is over.
    for (name, millis) in [("kid", 60_000), ("brief", 1_500)] {
        let address = said(&village, "ada", "grow", &order(name, "", "", millis)).await;
        assert_eq!(said(&village, "ada", "monitor", &address).await, "()", "its own need no grant");
    }
    assert_eq!(said(&village, "ada", "retire", "ada/kid").await, "true");
    let mut lines = downs(&village, "ada", 5).await;
    lines.sort();
    assert_eq!(lines[..2], ["ada/brief Removed   0", "ada/kid Removed   0"]);
    let kept = village.books.store().read().scan(MONITORS.all(), None, 9).expect("it can be read");
    assert_eq!(kept.len(), 1, "what was tied to them is gone: {kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_in_a_cycle_have_all_begin_anew_and_nobody_else() {
    let folder = folder();
    let names = ["ada", "bob", "cid", "dan"];
    let first = village(folder.path(), &names).await;
    for (from, to) in [("ada", "bob"), ("bob", "cid"), ("cid", "ada")] {
        assert_eq!(said(&first, from, "link", to).await, "()");
    }
    assert!(first.fast("dan", "link-and-fail", "ada").await.is_err(), "a turn that fails ties nothing");
    let kept = first.books.store().read().scan(LINKS.all(), None, 99).expect("it can be read");
    assert_eq!(kept.len(), 6, "each from both ends");
    drop(first);
    let second = village(folder.path(), &names).await;
    for _ in 0..3 {
        for name in names {
            said(&second, name, "count", "null").await;
        }
    }
    broken(&second, "ada").await;
    for name in ["ada", "bob", "cid"] {
        assert_eq!(said(&second, name, "count", "null").await, "1", "{name}'s memory is gone");
    }
    assert_eq!(said(&second, "dan", "count", "null").await, "4", "and nobody else's");
    noted(&second, "fell-together", "ada").await;
    for (from, to) in [("bob", "ada"), ("bob", "cid")] {
        assert_eq!(said(&second, from, "unlink", to).await, "true", "from either side");
    }
    broken(&second, "cid").await;
    assert_eq!(said(&second, "ada", "count", "null").await, "1");
    assert_eq!(said(&second, "bob", "count", "null").await, "2");
    assert_eq!(second.agent("bob").faults(), 0, "falling is no break");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_of_a_linked_agent_ends_and_its_message_is_tried_again_without_counting() {
    let folder = folder();
    let village = village(folder.path(), &["ada", "bob", "gate"]).await;
    said(&village, "ada", "link", "bob").await;
    let held = order("gate", "", "bob", 600);
    // It would be given up after the first failure that counts.
    let post = village.post("bob", "hold", &held);
    let strike = async {
        let (gate, bob) = (village.agent("gate"), village.agent("bob"));
        // The gate was asked, and asks back.
        eventually("its turn", || used(&gate, "memory") > 100_000 && used(&bob, "mailbox") == 1).await;
        broken(&village, "ada").await;
    };
    let (answer, ()) = tokio::join!(post, strike);
    assert!(answer.expect("it ends well in the end").contains("held in turn 1"), "in a new instance");
    let records = village.books.store().read().journal(0..u64::MAX, usize::MAX).expect("it can be read");
    let events = records.iter().filter_map(|record| record.read::<Event>().expect("it is an event"));
    let turns: Vec<_> = events
        .filter_map(|event| match event {
            Event::Turn(entry) if entry.agent == "bob" && entry.skill == "hold" => {
                Some((entry.attempt, matches!(&entry.outcome,
                    Outcome::Failed { kind, reason, then: Then::Again } if kind == "linked" && reason.contains("`ada` broke"))))
            }
            _ => None,
        })
        .collect();
    assert_eq!(turns, [(1, true), (1, false)]);
    // Whoever asked one that falls is told.
    let (told, ()) = tokio::join!(village.fast("bob", "hold", &held), async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        broken(&village, "ada").await;
    });
    assert!(matches!(told, Err(Failed::Broke(fault)) if fault.kind() == "linked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_links_fall_together_and_cost_their_maker() {
    let folder = folder();
    let names: Vec<_> = (0..1000).map(|number| format!("n{number}")).collect();
    let mut all: Vec<_> = names.iter().map(String::as_str).collect();
    all.push("hub");
    let village = village(folder.path(), &all).await;
    said(&village, "hub", "count", "null").await;
    let before = used(&village.agent("hub"), "memory");
    assert_eq!(said(&village, "hub", "link-many", &order("n", "", "", 1000)).await, "1000");
    let with = used(&village.agent("hub"), "memory");
    assert!(with >= before + 256 * 1000, "they count as its memory: {before}, then {with}");
    for name in ["n0", "n500", "n999"] {
        assert_eq!(said(&village, name, "count", "null").await, "1");
        assert_eq!(said(&village, name, "count", "null").await, "2");
    }
    let begun = Instant::now();
    broken(&village, "n500").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for name in ["n0", "n999"] {
        assert_eq!(said(&village, name, "count", "null").await, "1", "{name} fell through the hub");
    }
    assert_eq!(village.host.all_awake().len(), 4, "who sleeps is not woken to fall");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_links_itself_to_none_that_was_not_granted_it_in_turn() {
    let host = host();
    let eve = named(&host, "eve", &["agents=bob", "agents=none"]).await;
    let bob = named(&host, "bob", &["state"]).await;
    let ada = named(&host, "ada", &["agents=eve", "state"]).await;
    let told = said_by(&eve, "link", "bob").await;
    assert!(told.starts_with("error: ") && told.contains("no grant `agents` of `bob` covers `eve`"), "{told}");
    for shut in ["link", "monitor", "unlink", "demonitor"] {
        let told = said_by(&eve, shut, "ada").await;
        assert!(told.contains("no grant `agents` covers `ada`"), "{shut}: {told}");
        assert!(said_by(&eve, shut, "none").await != "()", "{shut}");
    }
    assert!(said_by(&eve, "monitor", "none").await.contains("there is no agent `none`"));
    assert!(said_by(&ada, "link", "eve").await.contains("no grant `agents` of `eve` covers `ada`"));
    // Watching is no more than asking would tell it.
    assert_eq!(said_by(&eve, "monitor", "bob").await, "()");
    for itself in ["link", "monitor"] {
        let selfish = named(&host, "self", &["agents=self"]).await;
        assert!(said_by(&selfish, itself, "self").await.contains("no ties to itself"));
    }
    assert_eq!(said_by(&bob, "count", "null").await, "1");
    assert!(ask(&eve, "trap", "null").await.is_err());
    assert_eq!(said_by(&bob, "count", "null").await, "2", "its memory is its own");
    // Nobody but the village says that somebody is down.
    let forged = ask(&bob, "down", r#"{"agent":"ada","reason":"broke"}"#).await.expect_err("it came from outside");
    assert!(forged.text.contains("only the village says that"), "{forged}");
}

async fn named(host: &Village, name: &str, open: &[&str]) -> Agent {
    let version = host.load("kith").await;
    let agent = host.0.start_as(name, &version, budget("deadline=5s,memory=12MiB,children=5"), grants(open), None);
    agent.unwrap_or_else(|error| panic!("{name}: {error}"))
}

async fn said_by(agent: &Agent, skill: &str, body: &str) -> String {
    ask(agent, skill, body).await.unwrap_or_else(|no| panic!("{skill}: {no}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_store_ties_hold_as_long_as_the_agents_do() {
    let host = host();
    let ada = named(&host, "ada", &["agents=bob", "state"]).await;
    let bob = named(&host, "bob", &["agents=ada"]).await;
    assert_eq!(said_by(&ada, "monitor", "bob").await, "()");
    assert_eq!(said_by(&ada, "link", "bob").await, "()");
    assert!(ask(&bob, "trap", "null").await.is_err());
    let begun = Instant::now();
    while said_by(&ada, "downs", "null").await != r#"["bob Broke trap  0"]"# {
        assert!(begun.elapsed() < Duration::from_secs(5), "it is told");
    }
    assert!(ask(&ada, "trap", "null").await.is_err());
    assert_eq!(said_by(&bob, "count", "null").await, "1");
    drop(bob);
    let begun = Instant::now();
    while !said_by(&ada, "downs", "null").await.contains("bob Removed") {
        assert!(begun.elapsed() < Duration::from_secs(5), "it is told");
    }
    let again = named(&host, "bob", &["agents=ada"]).await;
    assert_eq!(said_by(&ada, "demonitor", "bob").await, "false", "another one of that name is another");
    assert_eq!(said_by(&again, "count", "null").await, "1");
}

/// A parent with helpers, in this order, of whom each has counted to 2.
async fn family(village: &Lasting, plan: Supervision) -> Arc<Agent> {
    let parent = village.agent("ada");
    parent.supervise(Some(plan));
    for kid in ["z", "m", "a"] {
        let grown = said(village, "ada", "grow", &order(kid, "", "state = true;agents = [\\\"*\\\"]", 60_000)).await;
        assert_eq!(grown, format!("ada/{kid}"));
        for counted in ["1", "2"] {
            assert_eq!(kid_says(village, kid, "count").await, counted);
        }
    }
    parent
}

async fn kid_says(village: &Lasting, kid: &str, skill: &str) -> String {
    said(village, "ada", "relay", &order(&format!("ada/{kid}"), skill, "", 5_000)).await
}

fn plan(strategy: Strategy, restarts: u32) -> Supervision {
    Supervision { strategy, restarts, within: Duration::from_secs(60) }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_strategy_has_its_helpers_begin_anew_after_a_restart_too() {
    for (strategy, counts) in [
        (Strategy::OneForOne, ["3", "1", "3"]),
        (Strategy::OneForAll, ["1", "1", "1"]),
        (Strategy::RestForOne, ["3", "1", "1"]),
    ] {
        let folder = folder();
        let first = village(folder.path(), &["ada"]).await;
        first.host.supervise("ada", Some(plan(strategy, 9))).await.expect("it is kept");
        family(&first, plan(strategy, 9)).await;
        assert!(kid_says(&first, "m", "trap").await.starts_with("error: "));
        let mut after = Vec::new();
        for kid in ["z", "m", "a"] {
            after.push(kid_says(&first, kid, "count").await);
        }
        assert_eq!(after, counts, "{strategy:?}");
        drop(first);
        // The order in which they came, and how they are looked after, are kept.
        let second = village(folder.path(), &["ada"]).await;
        for kid in ["z", "m", "a"] {
            assert_eq!(kid_says(&second, kid, "count").await, "1");
            assert_eq!(kid_says(&second, kid, "count").await, "2");
        }
        assert!(kid_says(&second, "m", "trap").await.starts_with("error: "));
        let mut after = Vec::new();
        for kid in ["z", "m", "a"] {
            after.push(kid_says(&second, kid, "count").await);
        }
        assert_eq!(after, counts, "{strategy:?} after a restart");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn helpers_that_break_too_often_are_left_alone_and_their_parent_has_failed() {
    let folder = folder();
    let village = village(folder.path(), &["ada", "bob"]).await;
    let parent = family(&village, plan(Strategy::OneForOne, 1)).await;
    said(&village, "bob", "monitor", "ada").await;
    said(&village, "ada", "count", "null").await;
    assert!(kid_says(&village, "m", "trap").await.starts_with("error: "));
    assert_eq!(parent.faults(), 0, "one is borne");
    // This one breaks its asker's turn as well: the parent begins anew.
    let fell = village.fast("ada", "relay", &order("ada/z", "trap", "", 5_000)).await;
    assert!(matches!(fell, Err(Failed::Broke(fault)) if fault.kind() == "linked"));
    eventually("its failure", || parent.faults() == 1).await;
    for kid in ["z", "m", "a"] {
        let told = kid_says(&village, kid, "count").await;
        assert!(told.contains("left alone"), "{kid}: {told}");
    }
    assert_eq!(downs(&village, "ada", 1).await, ["ada/z GaveUp family ada/z 1000"]);
    assert_eq!(downs(&village, "bob", 1).await, ["ada Broke family  0"]);
    noted(&village, "family-left-alone", "ada").await;
    let begun = Instant::now();
    while kid_says(&village, "a", "count").await != "1" {
        assert!(begun.elapsed() < Duration::from_secs(5), "they go on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_of_a_group_are_looked_after_in_the_order_that_was_said() {
    let folder = folder();
    let village = village(folder.path(), &["ada", "bob", "cid"]).await;
    village.host.supervise_group("workers", plan(Strategy::RestForOne, 1));
    for (place, name) in [(3, "ada"), (1, "bob"), (2, "cid")] {
        village.host.join_group("workers", name, place);
        assert_eq!(said(&village, name, "count", "null").await, "1");
    }
    broken(&village, "cid").await;
    for (name, count) in [("ada", "1"), ("bob", "2"), ("cid", "1")] {
        assert_eq!(said(&village, name, "count", "null").await, count, "{name}");
    }
    broken(&village, "bob").await;
    for name in ["ada", "bob", "cid"] {
        let alone = village.fast(name, "count", "null").await;
        assert!(matches!(alone, Err(Failed::Failed(failure)) if failure.message.contains("left alone")), "{name}");
    }
    noted(&village, "family-left-alone", ":workers").await;
}

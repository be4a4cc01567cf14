//! Agents that wait for each other in a ring: a deadline or a time-out ends it, and says who waits for whom.

use agents::{Event, Outcome};
use guest::Agent;
use std::time::{Duration, Instant};
use tests::lasting::Lasting;
use tests::{Village, ask, budget, grants, host, host_of};

async fn named(host: &Village, name: &str, deadline: &str) -> Agent {
    let version = host.load("family").await;
    let limits = budget(&format!("deadline={deadline},memory=12MiB,messages=1000/s,children=3"));
    let agent = host.0.start_as(name, &version, limits, grants(&["agents=*", "spawn"]), None);
    agent.unwrap_or_else(|error| panic!("{name}: {error}"))
}

async fn said(agent: &Agent, skill: &str, line: &str) -> String {
    ask(agent, skill, line).await.unwrap_or_else(|no| panic!("{skill}: {no}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_of_two_is_named_when_the_deadline_strikes() {
    let host = host();
    let one = named(&host, "one", "300ms").await;
    let _two = named(&host, "two", "5s").await;
    let begun = Instant::now();
    let no = ask(&one, "ask", "two ask | one who").await.expect_err("they wait for each other");
    assert_eq!(no.kind, "deadline");
    assert!(no.text.ends_with(": it waits in a ring of asks: one -> two -> one"), "{}", no.text);
    assert!(begun.elapsed() < Duration::from_secs(3), "the deadline ends it");
    assert_eq!(said(&one, "ask", "two who").await, "agent one", "nobody is stuck");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_of_three_is_named_from_whoever_waits() {
    let host = host();
    let a = named(&host, "a", "5s").await;
    let _b = named(&host, "b", "300ms").await;
    let _c = named(&host, "c", "5s").await;
    // The second one's deadline strikes first: it broke, and the one that asked it is part of the ring.
    let told = said(&a, "ask", "b ask | c ask | a who").await;
    let ring = "it waits in a ring of asks: b -> c -> a -> b";
    assert_eq!(told, format!("error: failed the other agent's turn broke off (deadline): {ring}"));
    // An ask's own time-out names it as well, and the turn goes on.
    let told = said(&a, "ask", "c ask | a who 200").await;
    assert_eq!(told, "error: timeout the other agent took too long: it waits in a ring of asks: c -> a -> c");
    assert_eq!(said(&a, "ask", "b ask | c who").await, "agent b", "nobody is stuck");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_of_one_is_refused_at_once_and_one_through_a_helper_is_named() {
    let host = host();
    let one = named(&host, "one", "400ms").await;
    let begun = Instant::now();
    let told = said(&one, "ask", "one who").await;
    assert!(told.starts_with("error: invalid `to`: an agent that waits for itself waits for ever"), "{told}");
    assert!(told.ends_with(": it waits in a ring of asks: one -> one"), "{told}");
    assert!(begun.elapsed() < Duration::from_millis(350), "nobody had to wait for that");
    assert_eq!(said(&one, "spawn", "kid - 60000 | agents = [\"*\"]").await, "one/kid");
    let no = ask(&one, "ask", "one/kid ask | one who").await.expect_err("they wait for each other");
    assert_eq!(no.kind, "deadline");
    assert!(no.text.ends_with(": it waits in a ring of asks: one -> one/kid -> one"), "{}", no.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_slow_is_no_ring_nor_is_a_way_that_leads_into_one() {
    let host = host();
    let outside = named(&host, "outside", "5s").await;
    let a = named(&host, "a", "5s").await;
    let _b = named(&host, "b", "5s").await;
    let _c = named(&host, "c", "300ms").await;
    // A line: the last one is slow, and nobody is in a ring.
    let told = said(&a, "ask", "b ask 100 | c spin").await;
    assert_eq!(told, "error: timeout the other agent took too long");
    let told = said(&outside, "ask", "a ask | b ask 250 | c spin").await;
    assert_eq!(told, "error: timeout the other agent took too long");
    // One that waits for a ring is not part of it, and learns nothing of who is.
    let ring = "error: timeout the other agent took too long: it waits in a ring of asks: a -> b -> a";
    let (inner, outer) = tokio::join!(ask(&a, "ask", "b ask 400 | a who"), ask(&outside, "ask", "a who 150"));
    assert_eq!(inner.expect("those inside are told"), ring);
    assert_eq!(outer.expect("it copes"), "error: timeout the other agent took too long");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_asks_at_once_the_one_that_makes_a_ring_is_named() {
    let host = host_of(16);
    let a = named(&host, "a", "400ms").await;
    let _b = named(&host, "b", "5s").await;
    let _c = named(&host, "c", "5s").await;
    let no = ask(&a, "ask-all", "ask b c | a who").await.expect_err("both wait for it");
    assert_eq!(no.kind, "deadline");
    assert!(no.text.contains("a ring of asks: a -> b -> a") || no.text.contains("a ring of asks: a -> c -> a"), "{no}");
    assert_eq!(said(&a, "ask-all", "who b c").await.lines().count(), 2, "nobody is stuck");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_keeps_who_was_in_the_ring() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = Lasting::open(folder.path()).await;
    let family = village.host.load(tests::guest("family")).await.unwrap_or_else(|error| panic!("{error}"));
    for name in ["one", "two"] {
        village.enrol(name, family.clone(), guest::Retry::NEVER);
    }
    assert_eq!(village.post("one", "ask", "two who").await.expect("nobody waits for ever"), "agent one");
    village.agent("one").set_budget(budget("deadline=600ms,memory=12MiB"));
    let no = village.post("one", "ask", "two ask | one who").await.expect_err("they wait for each other");
    assert!(no.to_string().contains("one -> two -> one"), "{no}");
    let records = village.books.store().read().journal(0..u64::MAX, usize::MAX).expect("it can be read");
    let said = records.iter().filter_map(|record| record.read::<Event>().expect("it is an event")).any(|event| {
        matches!(event, Event::Turn(entry) if matches!(&entry.outcome,
            Outcome::Failed { kind, reason, .. } if kind == "deadline" && reason.contains("one -> two -> one")))
    });
    assert!(said, "the entry of the turn names the ring");
}

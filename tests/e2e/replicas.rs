//! Replicas: several instances that serve one mailbox, in order, under one budget, and with one state.

use guest::replicas::Error;
use guest::{Agent, Enrolment, Message, Replicas, Retry, Sender};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::lasting::Lasting;
use tests::{budget, grants, guest, message, used};

const LIMITS: &str = "deadline=20s,memory=32MiB,messages=100000/s,mailbox=20000,mailbox-bytes=64MiB";

/// What loses against others again and again comes back soon.
const STEADY: Retry =
    Retry { attempts: 200, backoff: Duration::from_millis(1), longest: Duration::from_millis(5), ordered: true };

const FOUR: Replicas = Replicas { min: 4, max: 4 };
const ONE: Replicas = Replicas { min: 1, max: 1 };

/// A village with one agent.
async fn one(folder: &Path, kind: &str, limits: &str, open: &[&str], replicas: Replicas) -> (Lasting, Arc<Agent>) {
    let village = Lasting::open(folder).await;
    let version = village.host.load(guest(kind)).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
    let enrolment = Enrolment {
        version,
        budget: budget(limits),
        grants: Arc::new(grants(open)),
        group: None,
        retry: STEADY,
        record: false,
        care: village.care,
        replicas,
    };
    village.host.enrol("a", enrolment).unwrap_or_else(|error| panic!("{error}"));
    let agent = village.agent("a");
    (village, agent)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn from(sender: &str, skill: &str, body: &str) -> Message {
    Message { sender: Sender::Client(sender.into()), ..message(skill, body) }
}

/// Waits until it is so, for a while; answers whether it came.
async fn until(mut so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !so() {
        if begun.elapsed() > Duration::from_secs(20) {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    true
}

/// Has it handle so many messages, each of a sender of its own; answers how long that took.
async fn all(agent: &Arc<Agent>, count: u32, skill: &str, body: &str) -> Duration {
    let begun = Instant::now();
    let mut waiting = Vec::new();
    for number in 0..count {
        let posted = agent.post(from(&format!("s{number}"), skill, body)).await;
        waiting.push(posted.unwrap_or_else(|error| panic!("{error}")).1);
    }
    for answer in waiting {
        let answer = answer.await.expect("it is handled");
        answer.outcome.unwrap_or_else(|error| panic!("{error}"));
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_that_wait_wait_beside_each_other() {
    let folder = folder();
    let (_village, agent) = one(folder.path(), "cpu", LIMITS, &["clock"], ONE).await;
    let alone = all(&agent, 12, "sleep", "100").await;
    assert_eq!(agent.replicas(), 1);
    agent.scale(FOUR).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(until(|| agent.replicas() == 4).await, "{} serve", agent.replicas());
    let together = all(&agent, 12, "sleep", "100").await;
    assert!(alone >= Duration::from_millis(1_200), "{alone:?}");
    assert!(together < alone / 2, "{together:?} of {alone:?}");

    // One again: it can be swapped, and handles one message at a time.
    agent.scale(ONE).await.unwrap_or_else(|error| panic!("{error}"));
    let again = all(&agent, 5, "sleep", "100").await;
    assert!(again >= Duration::from_millis(500), "{again:?}");
    assert_eq!(agent.replicas(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_senders_messages_are_handled_in_their_order_and_each_once() {
    let folder = folder();
    let (village, agent) = one(folder.path(), "clerk", LIMITS, &["state"], FOUR).await;
    let mut waiting = Vec::new();
    for number in 0..40 {
        for sender in 0..6 {
            let text = format!("\"{sender}:{number:02}\"");
            waiting.push(agent.post(from(&format!("s{sender}"), "note", &text)).await.expect("it is kept").1);
        }
    }
    for answer in waiting {
        answer.await.expect("it is handled").outcome.unwrap_or_else(|error| panic!("{error}"));
    }
    let lines = village.lines("a").await;
    assert_eq!(lines.len(), 240);
    for sender in 0..6 {
        let of = lines.iter().filter(|line| line.starts_with(&format!("{sender}:")));
        let wanted: Vec<_> = (0..40).map(|number| format!("{sender}:{number:02}")).collect();
        assert_eq!(of.cloned().collect::<Vec<_>>(), wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_several_replicas_count_is_counted_right() {
    let folder = folder();
    let (village, agent) = one(folder.path(), "clerk", LIMITS, &["state"], FOUR).await;
    all(&agent, 1_000, "note", "\"x\"").await;
    assert_eq!(village.lines("a").await.len(), 1_000);
    let stored = used(&agent, "storage");
    drop(agent);

    // What is counted as stored is what is there.
    village.host.rest("a");
    let again = village.agent("a");
    village.lines("a").await;
    assert_eq!(used(&again, "storage"), stored);
    assert!(stored > 1_000 * 13, "{stored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_together_have_one_budget() {
    let folder = folder();
    let limits = "deadline=1500ms,memory=32MiB,cpu=20%,burst=20ms,mailbox=100";
    let (_village, agent) = one(folder.path(), "cpu", limits, &[], FOUR).await;
    assert!(until(|| agent.replicas() == 4).await, "{} serve", agent.replicas());
    let (begun, before) = (Instant::now(), agent.cpu());
    let mut waiting = Vec::new();
    for number in 0..4 {
        waiting.push(agent.post(from(&format!("s{number}"), "spin", "")).await.expect("it is kept").1);
    }
    tokio::time::sleep(Duration::from_millis(1_400)).await;
    let (spent, passed) = (agent.cpu() - before, begun.elapsed());
    assert!(spent <= passed.mul_f64(0.2) + Duration::from_millis(120), "{spent:?} of {passed:?}");
    assert!(spent >= passed.mul_f64(0.1), "{spent:?} of {passed:?}");

    // All end with it.
    agent.stop();
    assert!(until(|| agent.ended()).await, "it ends");
    let ended = agent.cpu();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(agent.cpu(), ended, "nothing of it runs on");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_more_than_its_memory_holds() {
    let first = folder();
    let (_village, agent) = one(first.path(), "clerk", LIMITS, &["state"], ONE).await;
    all(&agent, 1, "note", "\"x\"").await;
    let each = used(&agent, "memory");
    let second = folder();
    let limits = LIMITS.replace("32MiB", &format!("{}", each * 2));
    let (village, agent) = one(second.path(), "clerk", &limits, &["state"], FOUR).await;
    all(&agent, 100, "note", "\"x\"").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(agent.replicas() <= 2, "{} of {each} bytes serve", agent.replicas());
    assert_eq!(village.lines("a").await.len(), 100, "nothing failed for that");
    assert!(used(&agent, "memory") <= each * 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_come_while_messages_wait_and_go_when_they_are_not_needed() {
    let folder = folder();
    let (_village, agent) = one(folder.path(), "cpu", LIMITS, &["clock"], Replicas { min: 1, max: 3 }).await;
    all(&agent, 2, "work", "1").await;
    assert_eq!(agent.replicas(), 1, "one is enough");
    let load = tokio::spawn({
        let agent = agent.clone();
        async move { all(&agent, 60, "sleep", "50").await }
    });
    assert!(until(|| agent.replicas() == 3).await, "{} serve", agent.replicas());
    load.await.expect("all are handled");
    assert_eq!(agent.replicas(), 3, "they stay a while");
    assert!(until(|| agent.replicas() == 1).await, "{} serve", agent.replicas());
    all(&agent, 3, "work", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_memory_or_creates_agents_has_one_instance_and_many_are_not_swapped() {
    let folder = folder();
    let (village, agent) = one(folder.path(), "tally", LIMITS, &["state"], ONE).await;
    assert!(matches!(agent.scale(FOUR).await, Err(Error::Memory)));
    for (min, max) in [(0, 0), (0, 1), (1, 17), (3, 2)] {
        let refused = agent.scale(Replicas { min, max }).await;
        assert!(matches!(refused, Err(Error::Range { .. } | Error::Order { .. })), "{min} {max}");
    }
    assert_eq!(agent.replicas(), 1);
    village.clerk("parent", STEADY);
    assert!(matches!(village.agent("parent").scale(FOUR).await, Err(Error::Spawns)));
    village.enrol_guest("many", "cpu", LIMITS, &["clock"]).await;
    let many = village.agent("many");
    many.scale(FOUR).await.unwrap_or_else(|error| panic!("{error}"));
    let other = village.host.load(guest("echo")).await.unwrap_or_else(|error| panic!("{error}"));
    let refused = many.swap(&other, guest::Plan::default()).expect_err("it is refused");
    assert_eq!((refused.kind(), refused.to_string().contains("scale it to 1 first")), ("replicas", true));
    many.scale(ONE).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(until(|| many.swap(&other, guest::Plan::default()).is_ok()).await, "one can be swapped");

    let nowhere = village.host.start(&other, budget(LIMITS), grants(&[]), None).expect("there is room");
    assert!(matches!(nowhere.scale(FOUR).await, Err(Error::Nowhere)));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_replicas_break_too_often_the_agent_is_left_alone() {
    let folder = folder();
    let (_village, agent) = one(folder.path(), "clerk", LIMITS, &["state"], FOUR).await;
    let mut traps = Vec::new();
    for number in 0..4 {
        traps.push(agent.post(from(&format!("s{number}"), "trap", "")).await.expect("it is kept").1);
    }
    assert!(until(|| agent.left_alone().is_some()).await, "{} broke", agent.faults());
    assert!(agent.faults() >= 10, "{} broke", agent.faults());
    let (_, waits) = agent.post(from("other", "note", "\"x\"")).await.expect("it is kept");
    let answered = tokio::time::timeout(Duration::from_millis(300), waits).await;
    assert!(answered.is_err(), "nothing is handled meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_write_one_file_at_once_do_so_one_after_the_other() {
    let folder = folder();
    let (village, agent) = one(folder.path(), "archivist", LIMITS, &["state", "workspace"], FOUR).await;
    assert!(until(|| agent.replicas() == 4).await, "{} serve", agent.replicas());
    let each = async |count: u32, skill: &str, body: &(dyn Fn(u32) -> String + Sync)| {
        let mut waiting = Vec::new();
        for number in 0..count {
            let posted = agent.post(from(&format!("s{number}"), skill, &body(number))).await;
            waiting.push(posted.unwrap_or_else(|error| panic!("{error}")).1);
        }
        let mut said = Vec::new();
        for answer in waiting {
            let reply = answer.await.expect("it is handled").outcome.unwrap_or_else(|error| panic!("{error}"));
            said.push(String::from_utf8(reply.payload.body).expect("it writes text"));
        }
        said
    };
    // A file alone: each turn reads how long it is, and goes on from there.
    let sizes = each(200, "append", &|number| format!("f {number:03};")).await;
    let mut sizes: Vec<u32> = sizes.iter().map(|size| size.parse().expect("a number")).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, (1..=200).map(|number| number * 4).collect::<Vec<_>>(), "no two saw the same file");
    let content = each(1, "read", &|_| "f 0 9999".into()).await.remove(0);
    let mut words: Vec<_> = content.split_terminator(';').map(String::from).collect();
    words.sort_unstable();
    assert_eq!(words, (0..200).map(|number| format!("{number:03}")).collect::<Vec<_>>());

    // The state, a file and versions of an object in one turn: each turn saw all of those before it, and nothing of others.
    let mut all = each(200, "all", &|number| format!("{number:03}")).await;
    all.sort_by_key(|said| said.split(' ').next().and_then(|turns| turns.parse::<u32>().ok()));
    let lines = each(1, "read", &|_| "lines 0 9999".into()).await.remove(0);
    let wanted: Vec<_> = lines.lines().zip(1..).map(|(line, turns)| format!("{turns} {line} {}", turns * 4)).collect();
    assert_eq!((all.len(), &all), (200, &wanted), "the file has them in the order of the turns");
    assert_eq!(each(1, "versions", &|_| "999 last -".into()).await[0].lines().count(), 200);
    let stored = used(&agent, "storage");
    drop(agent);
    village.host.rest("a");
    let again = village.agent("a");
    let answer = again.call(from("x", "stat", "f")).await.expect("it is kept").1.await.expect("it is handled");
    answer.outcome.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(used(&again, "storage"), stored, "what is counted is what is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_replica_is_made_anew_after_so_many_turns() {
    let folder = folder();
    let mut village = Lasting::open(folder.path()).await;
    village.care.recycle = 5;
    village.replicas = Replicas { min: 3, max: 3 };
    village.enrol_guest("b", "kith", LIMITS, &["state"]).await;
    let agent = village.agent("b");
    assert!(until(|| agent.replicas() == 3).await, "{} serve", agent.replicas());
    let mut waiting = Vec::new();
    for number in 0..60 {
        waiting.push(agent.post(from(&format!("s{number}"), "count", "null")).await.expect("it is kept").1);
    }
    let mut counts = Vec::new();
    for answer in waiting {
        let reply = answer.await.expect("it is handled").outcome.unwrap_or_else(|error| panic!("{error}"));
        counts.push(String::from_utf8(reply.payload.body).expect("text").parse::<u32>().expect("a number"));
    }
    // Each instance had five turns at most, so there were a dozen at least.
    assert!(counts.iter().all(|count| (1..=5).contains(count)), "{counts:?}");
    assert!(counts.iter().filter(|count| **count == 1).count() >= 12, "{counts:?}");
    assert_eq!(agent.replicas(), 3, "all serve on");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_fall_with_an_agent_that_theirs_is_linked_to_and_it_with_them() {
    let folder = folder();
    let mut village = Lasting::open(folder.path()).await;
    village.enrol_guest("friend", "kith", LIMITS, &["state", "agents=*"]).await;
    village.replicas = Replicas { min: 3, max: 3 };
    village.enrol_guest("many", "kith", LIMITS, &["state", "agents=*"]).await;
    let many = village.agent("many");
    assert!(until(|| many.replicas() == 3).await, "{} serve", many.replicas());
    let counts = async || {
        let mut waiting = Vec::new();
        for number in 0..30 {
            waiting.push(many.post(from(&format!("s{number}"), "count", "null")).await.expect("it is kept").1);
        }
        let mut counts = Vec::new();
        for answer in waiting {
            let reply = answer.await.expect("it is handled").outcome.unwrap_or_else(|error| panic!("{error}"));
            counts.push(String::from_utf8(reply.payload.body).expect("text").parse::<u32>().expect("a number"));
        }
        counts
    };
    // Instances that begin at 1: whoever is the fourth of one was the third before.
    let fresh = |counts: &[u32]| {
        let times = |value: u32| counts.iter().filter(|count| **count == value).count();
        counts.iter().all(|count| *count == 1 || times(*count) <= times(count - 1))
    };
    assert!(fresh(&counts().await));
    assert!(!fresh(&counts().await), "they go on");
    assert_eq!(village.fast("many", "link", "friend").await.expect("it is tied"), "()");
    assert!(village.fast("friend", "trap", "null").await.is_err());
    assert!(fresh(&counts().await), "every one began anew with it");

    // And the other way round, once for all of them.
    for times in ["1", "2"] {
        assert_eq!(village.fast("friend", "count", "null").await.expect("it counts"), times);
    }
    assert!(village.fast("many", "trap", "null").await.is_err());
    let begun_anew = async || village.fast("friend", "count", "null").await.expect("it counts") == "1";
    assert!(begun_anew().await, "it fell with the replica");
    assert_eq!(many.replicas(), 3);
}

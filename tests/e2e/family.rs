//! Agents among agents: asking, telling, streaming, and creating helpers that get no more than their parent has.

use guest::{Agent, Error};
use std::time::Duration;
use tests::{Village, ask, budget, eventually, grants, host, host_of, message, used};

const LIMITS: &str = "deadline=5s,memory=12MiB,messages=1000/s,children=3";

async fn named(host: &Village, name: &str, limits: &str, open: &[&str]) -> Agent {
    let version = host.load("family").await;
    host.0
        .start_as(name, &version, budget(limits), grants(open), None)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Two who may send to each other, and to `echo`, who may not.
async fn pair(host: &Village) -> (Agent, Agent) {
    let one = named(host, "one", LIMITS, &["agents=two", "agents=echo", "agents=one"]).await;
    (one, named(host, "two", LIMITS, &["agents=one"]).await)
}

async fn said(agent: &Agent, skill: &str, line: &str) -> String {
    ask(agent, skill, line).await.unwrap_or_else(|no| panic!("{skill}: {no}"))
}

/// Waits until an agent has heard so many lines.
async fn heard(agent: &Agent, lines: usize) -> Vec<String> {
    let begun = std::time::Instant::now();
    loop {
        let all: Vec<_> = said(agent, "heard", "").await.lines().map(str::to_string).collect();
        if all.len() >= lines || begun.elapsed() > Duration::from_secs(5) {
            return all;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_asks_another_that_it_was_granted_and_no_other() {
    let host = host();
    let (one, two) = pair(&host).await;
    assert_eq!(said(&one, "ask", "two who").await, "agent one", "the host says who asks");
    assert_eq!(said(&two, "ask", "one who").await, "agent two");
    let denied = said(&two, "ask", "two who").await;
    assert!(denied.starts_with("error: denied") && denied.contains("--grant agents=two"), "{denied}");
    let nobody = said(&one, "ask", "echo who").await;
    assert_eq!(nobody, "error: not-found there is no agent `echo`");
    assert_eq!(said(&one, "ask", "one who").await.split(':').nth(1), Some(" invalid `to`"), "itself");
    assert_eq!(said(&one, "twice", "two who").await, "agent one, then invalid the answer was given before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_belongs_to_one_agent_and_is_free_when_it_has_ended() {
    let host = host();
    let (one, two) = pair(&host).await;
    let version = host.load("family").await;
    let second = host.0.start_as("two", &version, budget(""), grants(&[]), None);
    assert!(matches!(second.err(), Some(Error::Taken { name }) if name == "two"));
    assert_eq!(said(&one, "ask", "two who").await, "agent one", "the first still has it");
    drop(two);
    assert!(said(&one, "ask", "two who").await.starts_with("error: not-found"));
    let _two = named(&host, "two", LIMITS, &[]).await;
    assert_eq!(said(&one, "ask", "two who").await, "agent one");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_turn_waits_for_many() {
    let host = host();
    let asker = named(&host, "asker", LIMITS, &["agents=*"]).await;
    let mut others = Vec::new();
    for name in ["a", "b", "c"] {
        others.push(named(&host, name, LIMITS, &[]).await);
    }
    let came = said(&asker, "ask-all", "who a b c").await;
    let mut lines: Vec<_> = came.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a: agent asker", "b: agent asker", "c: agent asker"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ask_ends_by_its_time_and_says_how_the_other_failed() {
    let host = host();
    let one = named(&host, "one", LIMITS, &["agents=two"]).await;
    let two = named(&host, "two", "deadline=300ms,memory=12MiB", &["agents=one"]).await;
    assert_eq!(said(&one, "ask", "two spin 50").await, "error: timeout the other agent took too long");
    let broke = said(&one, "ask", "two spin").await;
    assert_eq!(broke, "error: failed the other agent's turn broke off (deadline)");
    assert_eq!(said(&one, "ask", "two fail | not today").await, "error: failed ", "a failure without words");
    assert_eq!(said(&one, "give-up", "two who").await, "gave up");
    // Each waits for the other: the shorter deadline ends it.
    let ring = ask(&two, "ask", "one ask | two who").await.expect_err("it waits for itself");
    assert_eq!(ring.kind, "deadline");
    assert_eq!(said(&one, "ask", "two who").await, "agent one", "nobody is stuck");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_leaves_when_the_turn_ends_well_and_not_otherwise() {
    let host = host();
    let (one, two) = pair(&host).await;
    let refused = ask(&one, "tell-and-fail", "two | lost").await.expect_err("it says so");
    assert_eq!(refused.text, "refused: told");
    assert_eq!(said(&one, "tell-and-cancel", "two").await, "true false");
    assert!(!said(&one, "tell", "two now | first").await.starts_with("error"));
    assert!(!said(&one, "tell", "two now | second").await.starts_with("error"));
    assert_eq!(heard(&two, 2).await, ["agent one: first", "agent one: second"]);
    assert!(said(&two, "tell", "echo now | x").await.starts_with("error: denied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_for_later_comes_then_or_is_taken_back() {
    let host = host();
    let (one, two) = pair(&host).await;
    let kept = said(&one, "tell", "two after 150 | later").await;
    let gone = said(&one, "tell", "two after 100 | never").await;
    said(&one, "tell", "one after 50 | to myself").await;
    said(&one, "tell", "two at 1000 | long past").await;
    let failed = ask(&one, "cancel-and-fail", &kept).await.expect_err("it says so");
    assert_eq!(failed.text, "refused: true", "and it is sent all the same");
    assert_eq!(said(&one, "cancel", &gone).await, "true");
    assert_eq!(said(&one, "cancel", &gone).await, "false");
    assert_eq!(heard(&two, 2).await, ["agent one: long past", "agent one: later"]);
    assert_eq!(heard(&one, 1).await, ["timer: to myself"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(heard(&two, 2).await.len(), 2, "nothing else comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_takes_no_more_than_it_may_hold() {
    let host = host();
    let one = named(&host, "one", LIMITS, &["agents=two"]).await;
    let two = named(&host, "two", "deadline=5s,memory=12MiB,mailbox=3,mailbox-bytes=64KiB", &[]).await;
    let told = said(&one, "tell-many", "two 5 | x").await;
    assert_eq!(told.lines().filter(|line| *line == "told").count(), 3, "{told}");
    assert_eq!(told.lines().last(), Some("error: limit mailbox for good"));
    assert_eq!(heard(&two, 3).await.len(), 3);
    let large = said(&one, "tell", &format!("two now | {}", "x".repeat(65 << 10))).await;
    assert_eq!(large, "error: limit mailbox-bytes for good");
    eventually("an empty mailbox", || used(&two, "mailbox") == 0 && used(&two, "mailbox-bytes") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sends_no_more_messages_than_it_may() {
    let host = host();
    let one = named(&host, "one", "deadline=5s,memory=12MiB,messages=20/s", &["agents=two"]).await;
    let _two = named(&host, "two", LIMITS, &[]).await;
    let told = said(&one, "tell-many", "two 40 | x").await;
    let sent = told.lines().filter(|line| *line == "told").count();
    assert!((20..30).contains(&sent), "{sent}");
    let last = told.lines().last().expect("a line");
    assert!(last.starts_with("error: limit messages retry-after "), "{last}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(said(&one, "ask", "two who").await, "agent one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_streams_and_its_end_says_whether_it_stands() {
    let host = host();
    let (one, two) = pair(&host).await;
    assert_eq!(said(&one, "hear", "two | a b c").await, "a+b+c = a b c");
    let mut chunks = Vec::new();
    let answer = two.listen(message("emit-and-fail", "x y"), |chunk| chunks.push(chunk)).await.expect("it is there");
    assert_eq!(chunks, [b"x", b"y"]);
    assert!(answer.outcome.is_err(), "they don't stand");
    assert_eq!(said(&two, "emit", "nobody listens").await, "nobody listens");
    // What nobody takes counts as memory of whoever emits it.
    let (flooded, _) = tokio::join!(two.ask(message("flood", "1000")), async {});
    assert!(flooded.is_ok_and(|answer| answer.outcome.is_ok()), "nobody waits: nothing is kept");
    let asked = said(&one, "ask", "two flood | 1000").await;
    assert_eq!(asked, "error: limit memory for good");
    assert!(used(&two, "memory") < 3 << 20, "{}", used(&two, "memory"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_counts_as_memory_of_whoever_asked() {
    let host = host();
    let one = named(&host, "one", "deadline=5s,memory=4MiB", &["agents=two"]).await;
    let _two = named(&host, "two", "deadline=5s,memory=32MiB", &[]).await;
    assert_eq!(said(&one, "ask", "two big | 1000").await.len(), 1000);
    assert_eq!(said(&one, "ask", "two big | 8000000").await, "error: limit memory for good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_is_there_from_the_commit_until_its_time_is_over() {
    let host = host();
    let parent = named(&host, "parent", LIMITS, &["spawn"]).await;
    assert_eq!(said(&parent, "spawn", "kid - 400").await, "parent/kid");
    assert_eq!(said(&parent, "ask", "parent/kid who").await, "agent parent");
    assert!(said(&parent, "spawn", "kid - 400").await.starts_with("error: conflict"));
    assert_eq!(used(&parent, "children"), 1);
    eventually("its end", || used(&parent, "children") == 0).await;
    assert!(said(&parent, "ask", "parent/kid who").await.starts_with("error: not-found"));

    let failed = ask(&parent, "spawn-and-fail", "other").await.expect_err("it says so");
    assert_eq!(failed.text, "refused: parent/other");
    assert!(said(&parent, "ask", "parent/other who").await.starts_with("error: not-found"), "it was never there");
    assert_eq!(used(&parent, "children"), 0);

    assert_eq!(said(&parent, "spawn-and-tell", "third parent").await, "parent/third told");
    assert_eq!(said(&parent, "ask", "parent/third heard").await, "agent parent: born");
    assert_eq!(said(&parent, "retire", "parent/third").await, "true");
    assert_eq!(said(&parent, "retire", "parent/third").await, "false");
    assert!(said(&parent, "ask", "parent/third who").await.starts_with("error: not-found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_creates_no_more_than_it_may_and_none_without_the_grant() {
    let host = host_of(16);
    let parent = named(&host, "parent", LIMITS, &["spawn"]).await;
    for name in ["a", "b", "c"] {
        assert_eq!(
            said(&parent, "spawn", &format!("{name} - 60000 | spawn = true | children = 3")).await,
            format!("parent/{name}")
        );
    }
    assert_eq!(said(&parent, "spawn", "d").await, "error: limit children for good");
    let grandchild = said(&parent, "ask", "parent/a spawn | x").await;
    assert_eq!(grandchild, "error: limit children for good", "theirs count as well");
    assert_eq!(said(&parent, "retire", "parent/b").await, "true");
    eventually("room", || used(&parent, "children") == 2).await;
    assert_eq!(said(&parent, "ask", "parent/a spawn | x").await, "parent/a/x");
    let shut = named(&host, "shut", LIMITS, &[]).await;
    assert!(said(&shut, "spawn", "x").await.starts_with("error: denied `spawn`"));
    assert!(said(&shut, "retire", "x").await.starts_with("error: denied `spawn`"));
    drop(parent);
    let one = named(&host, "watcher", LIMITS, &["agents=*"]).await;
    assert!(said(&one, "ask", "parent/a/x who").await.starts_with("error: not-found"), "all went with the parent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_handed_on_narrower_and_never_wider() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("there"), "x").expect("it can be written");
    let host = host_of(16);
    let files = format!("files={}:/data:ro", folder.path().display());
    let parent = named(&host, "parent", LIMITS, &["spawn", "log", &files, "agents=two"]).await;
    let spawn = async |line: &str| said(&parent, "spawn", line).await;

    assert_eq!(spawn("bare").await, "parent/bare");
    let bare = said(&parent, "ask", "parent/bare reach | /data").await;
    assert_eq!(bare, "log=false state=false budget=false spawn=false read=false write=false");

    assert_eq!(spawn("kid - 60000 | log = true;files = [\"/data:/mine:ro\"]").await, "parent/kid");
    let kid = said(&parent, "ask", "parent/kid reach | /mine").await;
    assert_eq!(kid, "log=true state=false budget=false spawn=false read=true write=false");
    assert!(
        said(&parent, "ask", "parent/kid ask | two who").await.starts_with("error: denied"),
        "that was not handed on"
    );

    for wider in [
        "state = true",
        "clock = true",
        "agents = [\"*\"]",
        "files = [\"/data:/data:rw\"]",
        "files = [\"/:/all:ro\"]",
        "env = [\"PATH\"]",
    ] {
        let refused = spawn(&format!("wide - 60000 | {wider}")).await;
        assert!(refused.starts_with("error: denied an agent hands on no more than it has"), "{wider}: {refused}");
    }
    let wider = spawn("wide - 60000 |  | memory = \"13MiB\"").await;
    assert!(wider.starts_with("error: denied an agent hands on no more"), "{wider}");
    for nonsense in ["logs = true", "log = 1", "log"] {
        let refused = spawn(&format!("odd - 60000 | {nonsense}")).await;
        assert!(refused.starts_with("error: invalid"), "{nonsense}: {refused}");
    }
    assert!(spawn("a/b").await.starts_with("error: invalid"), "a name that looks like somebody else's");
    assert!(spawn("soon - 0").await.starts_with("error: invalid"));
    assert!(spawn("other blake3:00 60000").await.starts_with("error: not-found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_helper_uses_is_its_parents_use() {
    let host = host();
    let parent = named(&host, "parent", LIMITS, &["spawn"]).await;
    let before = used(&parent, "memory");
    assert_eq!(said(&parent, "spawn", "kid").await, "parent/kid");
    assert_eq!(said(&parent, "ask", "parent/kid take | x").await, "60000");
    let with = used(&parent, "memory");
    assert!(with > before + (1 << 20), "its memory: {before}, then {with}");
    // Together they have no more than one has: a helper can't take what the parent holds.
    let refused = said(&parent, "ask", "parent/kid big | 9000000").await;
    assert!(refused.starts_with("error: "), "{refused}");
    let cpu = parent.cpu();
    said(&parent, "ask", "parent/kid spin 200").await;
    assert!(parent.cpu() > cpu + Duration::from_millis(20), "its CPU time: {cpu:?}, then {:?}", parent.cpu());
}

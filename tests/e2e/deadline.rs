//! `deadline`: however a turn tries to go on, it ends, and nobody else's does.

use std::time::{Duration, Instant};
use tests::{ask, budget, fault, host, receipt, text};

/// Every way for a guest to keep on, with what it needs for it.
const WAYS: [(&str, &str, &str); 6] = [
    ("cpu", "spin", ""),
    ("cpu", "sleep", ""),
    ("cpu", "poll", ""),
    ("cpu", "bulk", "8"),
    ("cpu", "recurse-wide", "0"),
    ("start-loop", "", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_go_on_for_ever_ends_at_the_deadline() {
    let host = host();
    host.beside(async {
        for (guest, skill, payload) in WAYS {
            let agent = host.agent(guest, "deadline=250ms,burst=1s,memory=48MiB", &["clock"]).await;
            let begun = Instant::now();
            let (reply, receipt) = receipt(&agent, skill, payload).await;
            if skill == "recurse-wide" {
                reply.expect("this one ends, so that the others' ends mean something");
                continue;
            }
            let no = reply.expect_err("it goes on for ever");
            assert_eq!((no.kind, no.text.contains("250ms")), ("deadline", true), "{guest} {skill}: {no}");
            assert!(receipt.wall >= Duration::from_millis(250), "{guest} {skill}: {:?}", receipt.wall);
            assert!(begun.elapsed() < Duration::from_millis(900), "{guest} {skill}: {:?}", begun.elapsed());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_is_throttled_ends_at_its_deadline_too() {
    let host = host();
    host.beside(async {
        let agent = host.agent("cpu", "cpu=0.1%,burst=1ms,deadline=120ms", &[]).await;
        let begun = Instant::now();
        let (reply, receipt) = receipt(&agent, "spin", "").await;
        assert_eq!(reply.expect_err("it spins").kind, "deadline");
        assert!(receipt.cpu < Duration::from_millis(12), "it was throttled: {:?}", receipt.cpu);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        // What it owes is still owed, and counts against the next turn's time.
        assert_eq!(ask(&agent, "spin", "").await.expect_err("it spins").kind, "deadline");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_agents_deadline_touches_no_other_running_or_idle() {
    let host = host();
    let hasty = host.agent("cpu", "deadline=20ms,burst=2s", &[]).await;
    let slow = host.agent("cpu", "deadline=8s,burst=2s", &[]).await;
    let idle = host.agent("echo", "deadline=7s", &[]).await;
    ask(&idle, "count", "").await.expect("it is made");
    let stops = async {
        loop {
            assert_eq!(ask(&hasty, "spin", "").await.expect_err("it spins").kind, "deadline");
        }
    };
    tokio::select! {
        () = stops => unreachable!("they go on for ever"),
        sum = ask(&slow, "work", "60000000") => assert_eq!(sum.expect("a long turn ends well"), "60000000"),
    }
    assert_eq!(ask(&idle, "count", "").await.expect("it is served").as_str(), "2", "its instance lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_is_changed_holds_from_the_next_turn() {
    let host = host();
    host.beside(async {
        let agent = host.agent("cpu", "deadline=5s", &["clock"]).await;
        assert_eq!(ask(&agent, "sleep", "30").await.as_deref(), Ok("30"));
        agent.set_budget(budget("deadline=20ms"));
        let no = ask(&agent, "sleep", "1000").await.expect_err("it sleeps too long");
        assert_eq!((no.kind, no.text.contains("20ms")), ("deadline", true), "{no}");
        agent.set_budget(budget("deadline=5s"));
        assert_eq!(ask(&agent, "sleep", "30").await.as_deref(), Ok("30"));
    })
    .await;
}

/// The loop that never ends, as the body of a function.
const LOOP: &str = "(loop br 0)";

#[tokio::test(flavor = "multi_thread")]
async fn loops_where_the_engine_calls_the_guest_end_at_the_deadline() {
    let well = text::WELL;
    let start = text::command(&format!("(func $spin {LOOP}) (start $spin) {well}"));
    let post = text::command_with(
        "",
        &format!(r#"{well} (func (export "post") (param i32) {LOOP})"#),
        r#"(post-return (core func $main "post"))"#,
    );
    let destructor = text::component(&format!(
        r#"(core module $own (func (export "gone") (param i32) {LOOP}))
        (core instance $own (instantiate $own))
        (type $thing (resource (rep i32) (dtor (core func $own "gone"))))
        (core func $new (canon resource.new $thing))
        (core func $drop (canon resource.drop $thing))
        (core module $main
            (import "thing" "new" (func $new (param i32) (result i32)))
            (import "thing" "drop" (func $drop (param i32)))
            (func (export "run") (result i32) (call $drop (call $new (i32.const 7))) i32.const 0))
        (core instance $main (instantiate $main
            (with "thing" (instance (export "new" (func $new)) (export "drop" (func $drop))))))
        {}"#,
        text::export("$main", "")
    ));
    let realloc = text::component(&format!(
        r#"(import "wasi:cli/environment@0.2.0" (instance $env (export "get-environment" (func (result (list (tuple string string)))))))
        (core module $memory
            (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) {LOOP} unreachable))
        (core instance $memory (instantiate $memory))
        (core func $list (canon lower (func $env "get-environment") (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
        (core module $main
            (import "env" "list" (func $list (param i32)))
            (func (export "run") (result i32) (call $list (i32.const 64)) i32.const 0))
        (core instance $main (instantiate $main (with "env" (instance (export "list" (func $list))))))
        {}"#,
        text::export("$main", "")
    ));
    let host = host();
    host.beside(async {
        for (name, component) in
            [("start", start), ("post-return", post), ("destructor", destructor), ("realloc", realloc)]
        {
            // PATH is set wherever tests run, so that there is something to allocate for.
            let finished = host.run_with(&component, "deadline=120ms,burst=1s", &["env=PATH"]).await;
            let finished = finished.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(fault(&finished).0, "deadline", "{name}: {}", fault(&finished).1);
            assert!(finished.receipt.cpu >= Duration::from_millis(10), "{name} ran: {:?}", finished.receipt.cpu);
        }
    })
    .await;
}

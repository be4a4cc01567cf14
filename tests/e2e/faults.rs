//! Turns that break, agents that are stopped, and what is left of them.

use guest::{Compiler, Host, Pool, Refusal};
use std::num::NonZeroUsize;
use std::time::Duration;
use tests::{Village, ask, cache, fault, host, host_of, message, text, used};

#[tokio::test(flavor = "multi_thread")]
async fn deep_recursion_is_a_trap_on_either_stack() {
    let host = host();
    host.beside(async {
        for skill in ["recurse", "recurse-wide"] {
            let agent = host.agent("cpu", "memory=9MiB,deadline=5s,burst=2s", &[]).await;
            assert_eq!(ask(&agent, skill, "50").await.as_deref(), Ok("50"));
            let no = ask(&agent, skill, "100000000").await.expect_err("it is too deep");
            assert_eq!(no.kind, "trap", "{no}");
            let name = if skill == "recurse" { "narrow" } else { "wide" };
            assert!(no.frames.iter().any(|frame| frame.function.contains(name)), "{skill}: {:?}", no.frames.first());
            assert!(no.frames.len() < 200, "{} frames", no.frames.len());
            assert_eq!(ask(&agent, skill, "50").await.as_deref(), Ok("50"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_says_what_and_where() {
    let host = host();
    let agent = host.agent("world", "memory=9MiB", &[]).await;
    let no = ask(&agent, "panic", "there is no such thing").await.expect_err("it panics");
    assert_eq!(no.kind, "trap");
    assert!(no.text.contains("there is no such thing"), "{no}");
    assert!(no.text.contains("world.rs"), "{no}");
    assert!(no.frames.iter().any(|frame| frame.function.contains("panic")), "{:?}", no.frames);
    let again = ask(&agent, "panic", "something else").await.expect_err("it panics");
    assert!(again.text.contains("something else") && !again.text.contains("no such thing"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_traps_when_it_describes_itself_is_told_so_and_harms_nobody() {
    let host = host();
    host.beside(async {
        let agent = host.agent("trap-describe", "deadline=2s", &[]).await;
        let fault = agent.describe().await.expect("it is asked").expect_err("it traps");
        assert_eq!((fault.kind(), fault.to_string().contains("describe traps")), ("trap", true), "{fault}");
        assert_eq!(ask(&agent, "", "still").await.as_deref(), Ok("still"));
        let sound = host.agent("echo", "deadline=2s", &[]).await;
        assert_eq!(sound.describe().await.expect("it is asked").expect("it answers").name, "echo");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_fails_leaves_nothing_and_one_that_ends_well_lasts() {
    let host = host();
    let agent = host.agent("echo", "memory=7MiB,storage=10KiB,deadline=3s", &["state"]).await;
    assert_eq!(ask(&agent, "state", "").await.as_deref(), Ok("1"));
    assert_eq!(ask(&agent, "count", "").await.as_deref(), Ok("1"));
    assert_eq!(ask(&agent, "count", "").await.as_deref(), Ok("2"));
    let no = ask(&agent, "fail", "refused not today").await.expect_err("it fails");
    assert_eq!((no.kind, no.text.as_str()), ("refused", "refused: not today"));
    assert_eq!(ask(&agent, "count", "").await.as_deref(), Ok("1"), "its memory is new");
    assert_eq!(ask(&agent, "state", "").await.as_deref(), Ok("2"), "its state lasts");

    // It writes, and only then does it fail: by an error, a trap, and the deadline.
    let writer = host.agent("world", "memory=9MiB,storage=10KiB,deadline=300ms", &["state", "clock"]).await;
    assert!(ask(&writer, "set", "k before").await.is_ok());
    for (way, kind) in [("fail", "internal"), ("panic", "trap"), ("sleep", "deadline")] {
        let no = ask(&writer, "set-and", &format!("{way} k after")).await.expect_err("it fails");
        assert_eq!(no.kind, kind, "{no}");
        let kept = ask(&writer, "get", "k").await.expect("it is there");
        assert!(kept.ends_with(" before"), "after a {way} there is {kept}");
        assert_eq!(used(&writer, "storage"), 7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_agent_too_many_is_refused_and_has_room_when_another_is_gone() {
    let host = host_of(2);
    let one = host.agent("echo", "memory=3MiB", &[]).await;
    let two = host.agent("echo", "memory=3MiB", &[]).await;
    let version = host.load("echo").await;
    let refused = || host.0.start(&version, tests::budget("memory=3MiB"), tests::grants(&[]), None);
    let error = refused().err().expect("there is no room");
    assert_eq!((error.kind(), error.to_string().contains("room for 2 agents")), ("refused", true), "{error}");
    let error = host.run(&text::command(text::WELL), "memory=3MiB").await.expect_err("there is no room");
    assert_eq!(error.kind(), "refused");
    for agent in [&one, &two] {
        assert_eq!(ask(agent, "echo", "here").await.as_deref(), Ok("here"));
    }
    // Whoever goes makes room at once, many times over.
    let mut last = two;
    for round in 0..40 {
        drop(last);
        last = refused().unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(ask(&last, "echo", "here").await.as_deref(), Ok("here"), "round {round}");
        assert!(refused().is_err(), "round {round}");
    }
    assert_eq!(ask(&one, "echo", "here").await.as_deref(), Ok("here"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_many_memories_and_tables_takes_no_place_of_another() {
    // Eight memories, thirty tables and many instances, all empty: they cost no memory.
    let memories = "(memory 0)".repeat(8);
    let tables = "(table 0 funcref)".repeat(28);
    let greedy =
        text::command(&format!(r#"{memories} {tables} (func (export "run") (result i32) (loop br 0) unreachable)"#));
    let modest: String = (0..40).map(|n| format!("(core module $m{n}) (core instance (instantiate $m{n}))")).collect();
    let modest = text::command_with(&modest, r#"(func (export "run") (result i32) (loop br 0) unreachable)"#, "");
    let host = host_of(6);
    let version = host.0.load(&greedy).await.expect("it is loaded");
    let many = host.0.load(&modest).await.expect("it is loaded");
    let run = |version| {
        let input = guest::Stdin::Bytes(Vec::new());
        host.0.run(version, Vec::new(), input, tests::budget("deadline=800ms,cpu=1%,burst=1ms"), tests::grants(&[]))
    };
    let (one, two, three, others) = tokio::join!(run(&version), run(&version), run(&many), async {
        let mut agents = Vec::new();
        while let Ok(agent) = host.0.start(&host.load("echo").await, tests::budget(""), tests::grants(&[]), None) {
            assert_eq!(ask(&agent, "echo", "here").await.as_deref(), Ok("here"), "agent {}", agents.len());
            agents.push(agent);
        }
        agents.len()
    });
    // One has the room that there is beyond the ordinary; the next is told that there is none.
    let fine = |outcome: Result<guest::Finished, guest::Error>| {
        outcome.map(|finished| fault(&finished).0).map_err(|error| error.kind())
    };
    assert_eq!([fine(one), fine(two), fine(three)], [Ok("deadline"), Err("refused"), Ok("deadline")]);
    assert_eq!(others, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_stopped_in_the_midst_of_a_turn() {
    let host = host();
    host.beside(async {
        for (skill, limits) in
            [("spin", "burst=5s,deadline=30s"), ("spin", "cpu=0.1%,burst=1ms,deadline=30s"), ("sleep", "deadline=30s")]
        {
            let agent = host.agent("cpu", limits, &["clock"]).await;
            let begun = std::time::Instant::now();
            let (answer, ()) = tokio::join!(agent.ask(message(skill, "")), async {
                // Its instance is made in the turn, and counts as soon as there is one.
                tests::eventually("the turn", || used(&agent, "memory") > 1 << 20).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                agent.stop();
            });
            let answer = answer.expect("the turn was under way");
            assert_eq!(answer.outcome.expect_err("it goes on for ever").kind(), "stopped");
            assert!(begun.elapsed() < Duration::from_secs(5), "{skill}: {:?}", begun.elapsed());
            assert!(matches!(agent.ask(message("spin", "")).await, Err(Refusal::Stopped)));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_nobody_waits_for_ends() {
    let host = host_of(1);
    let spin = host
        .0
        .load(&text::command(r#"(func (export "run") (result i32) (loop br 0) unreachable)"#))
        .await
        .expect("loaded");
    for _ in 0..5 {
        let input = guest::Stdin::Bytes(Vec::new());
        let run = host.0.run(&spin, Vec::new(), input, tests::budget("deadline=60s,burst=1s"), tests::grants(&[]));
        assert!(tokio::time::timeout(Duration::from_millis(30), run).await.is_err(), "it spins");
    }
    // Five spinners that went on would hold both workers.
    let begun = std::time::Instant::now();
    let done = host.run(&text::command(text::WELL), "deadline=5s").await.expect("there is room");
    assert_eq!(done.outcome.expect("it ends"), 0);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_panics_ends_its_guest_and_no_worker() {
    let built = Host::builder()
        .pool(Pool::Slots(3))
        .cache(cache())
        .compiler(Compiler::InProcess)
        .workers(NonZeroUsize::MIN)
        .import("test:own/odd@1.0.0", |interface| {
            interface.func_wrap("odd", |_, (): ()| -> Result<(), _> { panic!("an import of the test's own") })
        })
        .build();
    let host = Village(built.expect("a host"));
    let odd = text::component(&format!(
        r#"(import "test:own/odd@1.0.0" (instance $own (export "odd" (func))))
        (core func $odd (canon lower (func $own "odd")))
        (core module $main (import "own" "odd" (func $odd)) (func (export "run") (result i32) (call $odd) i32.const 0))
        (core instance $main (instantiate $main (with "own" (instance (export "odd" (func $odd))))))
        {}"#,
        text::export("$main", "")
    ));
    for _ in 0..3 {
        assert!(host.run(&odd, "deadline=2s").await.is_err());
        let well = text::command(text::WELL);
        let done = tokio::time::timeout(Duration::from_secs(10), host.run(&well, "deadline=2s")).await;
        let done = done.expect("its only worker is there").expect("it runs");
        assert_eq!(done.outcome.expect("it ends"), 0);
    }
}

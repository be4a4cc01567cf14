//! `memory`: one account of all that a guest holds and makes the host hold.

use base::{Group, Size};
use std::time::Duration;
use tests::{ask, budget, fault, host, text, used};

const MIB: u64 = 1 << 20;

/// What this process has resident now, in bytes.
fn resident() -> u64 {
    status("VmRSS:")
}

fn status(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|text| text.strip_prefix(line)?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_copes_with_refused_growth_goes_on() {
    let host = host();
    host.beside(async {
        let agent = host.agent("memory", "memory=9MiB", &[]).await;
        let got: u64 = ask(&agent, "grow", "1").await.expect("it copes").parse().expect("a number");
        assert!((5 * MIB..9 * MIB).contains(&got), "{got}");
        assert!(used(&agent, "memory") <= 9 * MIB);
        assert_eq!(ask(&agent, "hold", "1000").await.as_deref(), Ok("1000"), "the same instance serves on");
        assert_eq!(ask(&agent, "hold", "1000").await.as_deref(), Ok("2000"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_aborts_for_want_of_memory_is_said_to_and_gives_everything_back() {
    let host = host();
    host.beside(async {
        let agent = host.agent("memory", "memory=11MiB", &[]).await;
        let (reply, receipt) = tests::receipt(&agent, "abort", "1").await;
        let no = reply.expect_err("it takes without end");
        assert_eq!((no.kind, no.text.contains("11MiB")), ("memory", true), "{no}");
        assert!(no.frames.iter().any(|frame| frame.function.contains("abort")), "{:?}", no.frames);
        assert!((6 * MIB..=11 * MIB).contains(&receipt.memory), "{}", receipt.memory);
        assert!(used(&agent, "memory") < 64 << 10, "{} are still held", used(&agent, "memory"));
        assert_eq!(ask(&agent, "hold", "1000").await.as_deref(), Ok("1000"), "a new instance serves on");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_changed_while_the_agent_lives_holds_at_once() {
    let host = host();
    let agent = host.agent("memory", "memory=20MiB", &[]).await;
    let grow = async || ask(&agent, "grow", "1").await.expect("it copes").parse::<u64>().expect("a number");
    let before = grow().await;
    agent.set_budget(budget("memory=32MiB"));
    let more = grow().await;
    assert!(more >= before + 8 * MIB, "{before}, then {more}");
    // An instance keeps what it has: what is below that refuses all growth.
    agent.set_budget(budget("memory=4MiB"));
    assert_eq!(ask(&agent, "hold", "40000000").await.expect_err("there is no room").kind, "memory");
    assert!(grow().await < 4 * MIB, "a new instance has what is allowed now");
}

/// As many memories and tables as asked for, each of which grows by steps until it is refused; then the sum is checked.
fn greedy(memories: usize, tables: usize, expected: std::ops::Range<u64>) -> Vec<u8> {
    let mut fields = String::new();
    let mut steps = String::new();
    for n in 0..memories {
        fields += &format!("(memory $m{n} 0)");
        steps += &format!("(loop $again (br_if $again (i32.ne (memory.grow $m{n} (i32.const 1)) (i32.const -1))))");
    }
    for n in 0..tables {
        fields += &format!("(table $t{n} 0 funcref)");
        steps += &format!(
            "(loop $again (br_if $again (i32.ne (table.grow $t{n} (ref.null func) (i32.const 1000)) (i32.const -1))))"
        );
    }
    let mut sum = String::from("(i64.const 0)");
    for n in 0..memories {
        sum = format!("(i64.add {sum} (i64.mul (i64.const 65536) (i64.extend_i32_u (memory.size $m{n}))))");
    }
    for n in 0..tables {
        sum = format!("(i64.add {sum} (i64.mul (i64.const 16) (i64.extend_i32_u (table.size $t{n}))))");
    }
    let check = format!(
        "(local $sum i64) {steps} (local.set $sum {sum})
        (i32.or (i64.lt_u (local.get $sum) (i64.const {})) (i64.ge_u (local.get $sum) (i64.const {})))",
        expected.start, expected.end
    );
    text::command(&format!(r#"{fields} (func (export "run") (result i32) {check})"#))
}

#[tokio::test(flavor = "multi_thread")]
async fn several_memories_and_tables_share_one_limit() {
    let host = host();
    host.beside(async {
        for (memories, tables) in [(1, 0), (3, 0), (0, 4), (2, 3)] {
            let component = greedy(memories, tables, MIB..3 * MIB);
            let finished = host.run(&component, "memory=3MiB,cpu=90%").await.expect("it runs");
            // Four tables of 32768 elements, the most that one may have, are 2 MiB.
            assert_eq!(finished.outcome.expect("it ends"), 0, "{memories} memories and {tables} tables");
            assert!(finished.receipt.memory <= 3 * MIB);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_begins_larger_than_it_may_be_is_refused_as_memory() {
    let host = host();
    host.beside(async {
        let well = text::WELL;
        let memory = text::command(&format!("(memory 1000) {well}"));
        let finished = host.run(&memory, "memory=5MiB").await.expect("it is loaded");
        assert_eq!(fault(&finished).0, "memory", "{}", fault(&finished).1);
        let enough = host.run(&memory, "memory=70MiB").await.expect("it is loaded");
        assert_eq!(enough.outcome.expect("there is room for it"), 0);
        let table = text::command(&format!("(table 30000 funcref) (memory 8) {well}"));
        let finished = host.run(&table, "memory=700KiB").await.expect("it is loaded");
        assert_eq!(fault(&finished).0, "memory", "{}", fault(&finished).1);
        // Larger than any table may be here, whatever the budget.
        let vast = text::command(&format!("(table 40000000 funcref) {well}"));
        let refusal = host.run(&vast, "memory=60MiB").await;
        let kind = refusal.map_or_else(|error| error.kind(), |finished| fault(&finished).0);
        assert!(["invalid-component", "memory"].contains(&kind), "{kind}");
        let agent = host.agent("memory", "memory=300KiB", &[]).await;
        assert_eq!(ask(&agent, "free", "").await.expect_err("it needs more").kind, "memory");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_beyond_what_one_memory_can_be_holds_all_of_them_together() {
    let host = host();
    // Two memories have room for 8 GiB, in which nothing is touched.
    let component = greedy_by_gib(&[4, 4]);
    let finished = host.run(&component, "memory=6GiB,cpu=90%").await.expect("it is loaded");
    assert_eq!(finished.outcome.expect("it ends"), 0);
    let peak = finished.receipt.memory;
    assert!((5 << 30..=6 << 30).contains(&peak), "{peak}");
}

/// Memories that each grow by a GiB at a time until that is refused or they are full.
fn greedy_by_gib(gib: &[u32]) -> Vec<u8> {
    let fields: String = (0..gib.len()).map(|n| format!("(memory $m{n} 0)")).collect();
    let grow = |n: usize| {
        format!("(loop $again (br_if $again (i32.ne (memory.grow $m{n} (i32.const 16384)) (i32.const -1))))")
    };
    let steps: String = (0..gib.len()).map(grow).collect();
    text::command(&format!(r#"{fields} (func (export "run") (result i32) {steps} i32.const 0)"#))
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_without_end_are_refused_as_memory() {
    let host = host();
    host.beside(async {
        let agent = host.agent("memory", "memory=7MiB", &["clock"]).await;
        assert_eq!(ask(&agent, "handles", "50").await.as_deref(), Ok("50"));
        let no = ask(&agent, "handles", "").await.expect_err("they have an end");
        assert_eq!(no.kind, "memory", "{no}");
        assert_eq!(ask(&agent, "handles", "50").await.as_deref(), Ok("50"), "a new instance has its own");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn state_and_log_that_the_host_keeps_count_as_memory() {
    let host = host();
    host.beside(async {
        let agent = host.agent("world", "memory=5MiB,storage=50MiB,log=60MiB", &["state", "log"]).await;
        let refused = ask(&agent, "state-flood", "").await.expect("it copes");
        let (keys, why) = refused.split_once(' ').expect("keys and reason");
        assert_eq!(why, "error: limit memory for good");
        let keys: u64 = keys.parse().expect("a number");
        assert!((1000..5000).contains(&keys), "{keys} keys of a KiB in 5 MiB, beside the guest");
        assert!(used(&agent, "memory") > keys * 1024);

        let quiet = host.agent("world", "memory=5MiB,log=60MiB", &["log"]).await;
        ask(&quiet, "get", "x").await.expect("it is made");
        let before = used(&quiet, "memory");
        assert_eq!(ask(&quiet, "log-flood", "100").await.as_deref(), Ok("100"));
        assert!(used(&quiet, "memory") >= before + 100 * 1024);
        quiet.log();
        assert!(used(&quiet, "memory") < before + 1024, "what was read is kept no longer");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_of_a_command_counts_as_memory() {
    // It writes 4 KiB again and again, until that is refused.
    let component = text::component(&format!(
        r#"(import "wasi:io/error@0.2.0" (instance $errors (export "error" (type (sub resource)))))
        (alias export $errors "error" (type $error))
        (import "wasi:io/streams@0.2.0" (instance $streams
            (alias outer 1 $error (type $e))
            (export "error" (type $error (eq $e)))
            (export "output-stream" (type $stream (sub resource)))
            (type $failure (variant (case "last-operation-failed" (own $error)) (case "closed")))
            (export "stream-error" (type $stream-error (eq $failure)))
            (export "[method]output-stream.blocking-write-and-flush"
                (func (param "self" (borrow $stream)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
        (alias export $streams "output-stream" (type $stream))
        (import "wasi:cli/stdout@0.2.0" (instance $out
            (alias outer 1 $stream (type $s))
            (export "output-stream" (type $stream (eq $s)))
            (export "get-stdout" (func (result (own $stream))))))
        (core module $memory (memory (export "memory") 2))
        (core instance $memory (instantiate $memory))
        (core func $get (canon lower (func $out "get-stdout")))
        (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory (core memory $memory "memory"))))
        (core module $main
            (import "host" "memory" (memory 2))
            (import "host" "get" (func $get (result i32)))
            (import "host" "write" (func $write (param i32 i32 i32 i32)))
            (func (export "run") (result i32) (local $out i32)
                (local.set $out (call $get))
                (loop $again
                    (call $write (local.get $out) (i32.const 1024) (i32.const 4096) (i32.const 0))
                    (br_if $again (i32.eqz (i32.load8_u (i32.const 0)))))
                i32.const 0))
        (core instance $main (instantiate $main (with "host" (instance
            (export "memory" (memory $memory "memory")) (export "get" (func $get)) (export "write" (func $write))))))
        {}"#,
        text::export("$main", "")
    ));
    let host = host();
    host.beside(async {
        let finished = host.run(&component, "memory=2MiB,cpu=90%").await.expect("it is loaded");
        assert_eq!(finished.outcome.expect("it copes"), 0);
        let kept = finished.stdout.len() as u64;
        assert!((MIB / 2..2 * MIB).contains(&kept), "{kept}");
        assert!(finished.receipt.memory <= 2 * MIB);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_of_a_hundred_mebibytes_cost_the_host_no_more_than_a_copy() {
    const LIMIT: u64 = 130 * MIB;
    let host = host();
    host.beside(async {
        let agent = host.agent("memory", "memory=130MiB,storage=120MiB,log=100B", &["log", "state"]).await;
        let before = resident();
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let watch = std::thread::spawn(move || {
            let mut most = 0;
            while stopped.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Empty) {
                most = most.max(resident());
                std::thread::yield_now();
            }
            most
        });
        for skill in ["args-log", "args-state", "reply"] {
            // Whether it is refused or ends the turn: the host bears one copy at most.
            let _ = ask(&agent, skill, "100").await;
        }
        drop(stop);
        let most = watch.join().expect("it watched") - before;
        // The guest's own, and as much again while the call lasts, and what other tests do meanwhile.
        assert!(most > 90 * MIB && most < 2 * LIMIT + 60 * MIB, "{} MiB", most / MIB);
    })
    .await;
    // A guest with a small budget can't make the host copy more than that budget, however it lies about its lengths.
    let small = host.agent("memory", "memory=6MiB,log=100B", &["log"]).await;
    assert_eq!(ask(&small, "args-log", "100").await.expect_err("it has no room for it").kind, "memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_holds_the_memory_of_its_members_together() {
    let host = host();
    host.beside(async {
        let group = host.0.group(&Group { memory: Size::mib(16), ..Group::default() }, None);
        let one = host.member("memory", "memory=12MiB", &[], Some(&group)).await;
        let two = host.member("memory", "memory=12MiB", &[], Some(&group)).await;
        assert_eq!(ask(&one, "hold", "9000000").await.as_deref(), Ok("9000000"));
        let got: u64 = ask(&two, "grow", "1").await.expect("it copes").parse().expect("a number");
        assert!(got < 6 * MIB, "{got}");
        assert!(group.memory() <= 16 * MIB);
        group.set_budget(&Group { memory: Size::mib(30), ..Group::default() });
        let more: u64 = ask(&two, "grow", "1").await.expect("it copes").parse().expect("a number");
        assert!(more > 7 * MIB, "{more}");
        drop((one, two));
        tests::eventually("the end of both", || group.memory() == 0).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_agent_keeps_what_it_holds_and_its_end_gives_it_back() {
    let host = host();
    let group = host.0.group(&Group::default(), None);
    let agent = host.member("memory", "memory=10MiB,deadline=2s", &[], Some(&group)).await;
    ask(&agent, "hold", "3000000").await.expect("there is room");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(group.memory() > 3_000_000);
    drop(agent);
    tests::eventually("the end of the agent", || group.memory() == 0).await;
}

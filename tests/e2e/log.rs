//! `log`: what a guest writes, to its log and its standard streams.

use std::time::{Duration, Instant};
use tests::{ask, budget, host};

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_lines_is_refused_with_the_time_to_wait() {
    let host = host();
    host.beside(async {
        let agent = host.agent("world", "log=10KiB/s", &["log", "clock"]).await;
        let reply = ask(&agent, "log-flood", "").await.expect("it copes");
        let (lines, why) = reply.split_once(' ').expect("lines and reason");
        let lines: u64 = lines.parse().expect("a number");
        assert!((9..=11).contains(&lines), "{lines} lines of a KiB");
        let after =
            why.strip_prefix("error: limit log retry-after ").expect("a time to wait").parse().expect("a number");
        assert!((1..=110).contains(&after), "{after} ms for a KiB");
        tokio::time::sleep(Duration::from_millis(after)).await;
        let again = ask(&agent, "log-flood", "1").await;
        assert_eq!(again.as_deref(), Ok("1"), "after that time it passes");
        agent.set_budget(budget("log=1B"));
        let never = ask(&agent, "log-flood", "1").await.expect("it copes");
        assert_eq!(never, "0 error: limit log for good", "a line can't be longer than a second's worth");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_takes_its_time_and_lands_in_the_log() {
    let host = host();
    let agent = host.agent("world", "log=20KiB/s,deadline=20s,memory=20MiB", &["log"]).await;
    ask(&agent, "get", "x").await.expect("it is made");
    let begun = Instant::now();
    let printed = host.beside(ask(&agent, "print-flood", "51200")).await;
    let took = begun.elapsed();
    assert_eq!(printed.as_deref(), Ok("51200"));
    // A second's worth is in hand at first; the other 30 KiB take one and a half.
    assert!((Duration::from_millis(1400)..Duration::from_millis(4000)).contains(&took), "{took:?}");
    let (lines, dropped) = agent.log();
    assert_eq!((lines.len(), dropped), (800, 0));
    assert!(lines.iter().all(|line| line.text.len() == 63 && line.source.word() == "stdout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_at_once_are_held_to_the_one_rate() {
    let host = host();
    let agent = host.agent("world", "log=20KiB/s,deadline=1s", &["log"]).await;
    // Each of forty streams is told that it may write, and only then do all of them write.
    let begun = Instant::now();
    let permitted: u64 = ask(&agent, "stream-flood", "40").await.expect("it copes").parse().expect("a number");
    assert!(permitted >= 20 * 1024, "{permitted}");
    let waited = begun.elapsed();
    // What was written beyond the rate is owed: the next line has to wait for it.
    let owed = Duration::from_secs_f64((permitted as f64 / 20_480.0 - 1.0).max(0.0));
    let refused = ask(&agent, "log-flood", "1").await.expect("it copes");
    match owed.saturating_sub(waited) {
        Duration::ZERO => assert_eq!(permitted / 1024, 20, "all that was permitted is a second's worth"),
        _ => {
            let after = refused.strip_prefix("0 error: limit log retry-after ").expect("it has to wait");
            let after = Duration::from_millis(after.parse().expect("a number"));
            assert!(after + Duration::from_millis(300) > owed, "{after:?}, with {owed:?} owed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_ignores_back_pressure_ends_the_turn() {
    let host = host();
    host.beside(async {
        for bytes in ["70000", "3000000"] {
            let agent = host.agent("world", "log=100KiB/s,memory=20MiB", &["log"]).await;
            let no = ask(&agent, "write-flood", bytes).await.expect_err("nothing permitted so much");
            assert_eq!((no.kind, no.text.contains("permitted")), ("trap", true), "{no}");
            assert!(agent.log().0.is_empty());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_keeps_the_end_of_what_was_written_and_no_more() {
    let host = host();
    let agent = host.agent("world", "log=8MiB,memory=20MiB", &["log"]).await;
    assert_eq!(ask(&agent, "log-flood", "2000").await.as_deref(), Ok("2000"));
    assert_eq!(ask(&agent, "print", "the last one").await.as_deref(), Ok("the last one"));
    let (lines, dropped) = agent.log();
    assert_eq!(lines.len() as u64 + dropped, 2001);
    let kept: usize = lines.iter().map(|line| line.text.len()).sum();
    assert!(kept <= 256 << 10, "{kept} bytes");
    assert!(kept > 200 << 10, "{kept} bytes");
    assert_eq!(lines.last().map(|line| line.text.as_str()), Some("the last one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_line_is_cut() {
    let host = host();
    let agent = host.agent("memory", "log=8MiB,memory=20MiB", &["log"]).await;
    ask(&agent, "args-log", "1").await.expect("a long line is no error");
    let (lines, _) = agent.log();
    assert_eq!(lines.iter().map(|line| line.text.len()).collect::<Vec<_>>(), [16 << 10]);
}

/// What the test below runs again, in a process whose standard output can be read.
#[tokio::test(flavor = "multi_thread")]
async fn noise() {
    let host = host();
    let agent = host.agent("world", "log=2MiB", &["log"]).await;
    ask(&agent, "print", "MARK on stdout").await.expect("it prints");
    ask(&agent, "eprint", "MARK on stderr").await.expect("it prints");
    let no = ask(&agent, "panic", "MARK in a panic").await.expect_err("it panics");
    assert!(no.text.contains("MARK in a panic"));
    assert_eq!(agent.log().0.iter().filter(|line| line.text.contains("MARK")).count(), 3);
}

#[test]
fn nothing_that_a_guest_writes_reaches_the_hosts_own_output() {
    let program = std::env::current_exe().expect("this program has a path");
    let ran =
        std::process::Command::new(program).args(["--exact", "log::noise", "--nocapture"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    assert!(!said.contains("MARK"), "{said}");
}

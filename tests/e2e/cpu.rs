//! `cpu` and `burst`, and groups that share them.

use base::{Group, Share};
use guest::Agent;
use std::time::{Duration, Instant};
use tests::{ask, budget, host, quiet, receipt};

/// The share of a core that is used over `span`, in per cent, once what may run ahead has run.
async fn share(agents: &[&Agent], span: Duration) -> Vec<f64> {
    let before: Vec<_> = agents.iter().map(|agent| agent.cpu()).collect();
    let begun = Instant::now();
    tokio::time::sleep(span).await;
    let passed = begun.elapsed().as_secs_f64();
    agents.iter().zip(before).map(|(agent, before)| (agent.cpu() - before).as_secs_f64() / passed * 100.0).collect()
}

/// The share is exact over a long time; over these seconds one slice more or less is what may be missing.
fn about(found: f64, wanted: f64, tolerance: f64) {
    assert!((found - wanted).abs() <= wanted * tolerance, "{found:.2} % instead of {wanted} %");
}

/// Waits until agents that spin have spent their burst.
async fn spent(agents: &[&Agent], burst: Duration) {
    tests::eventually("the end of the burst", || agents.iter().all(|agent| agent.cpu() > burst)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spinner_is_throttled_to_its_share() {
    let _quiet = quiet().await;
    let host = host();
    let tenth = host.agent("cpu", "cpu=10%,burst=20ms,deadline=60s", &[]).await;
    let third = host.agent("cpu", "cpu=35%,burst=20ms,deadline=60s", &[]).await;
    let measured = host.beside(async {
        let measure = async {
            spent(&[&tenth, &third], Duration::from_millis(20)).await;
            share(&[&tenth, &third], Duration::from_secs(3)).await
        };
        tokio::select! {
            measured = measure => measured,
            reply = ask(&tenth, "spin", "") => panic!("the spinner ended: {reply:?}"),
            reply = ask(&third, "spin", "") => panic!("the spinner ended: {reply:?}"),
        }
    });
    let measured = measured.await;
    about(measured[0], 10.0, 0.05);
    about(measured[1], 35.0, 0.05);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_is_changed_holds_at_once_both_ways() {
    let _quiet = quiet().await;
    let host = host();
    let agent = host.agent("cpu", "cpu=0.2%,burst=1ms,deadline=60s", &[]).await;
    let changes = async {
        spent(&[&agent], Duration::from_millis(1)).await;
        let slow = share(&[&agent], Duration::from_millis(500)).await[0];
        agent.set_budget(budget("cpu=40%,burst=1ms,deadline=60s"));
        let fast = share(&[&agent], Duration::from_secs(1)).await[0];
        agent.set_budget(budget("cpu=2%,burst=1ms,deadline=60s"));
        let again = share(&[&agent], Duration::from_secs(1)).await[0];
        (slow, fast, again)
    };
    let (slow, fast, again) = host
        .beside(async {
            tokio::select! {
                shares = changes => shares,
                reply = ask(&agent, "spin", "") => panic!("the spinner ended: {reply:?}"),
            }
        })
        .await;
    assert!(slow < 1.0, "{slow:.2} %");
    about(fast, 40.0, 0.15);
    about(again, 2.0, 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_and_a_group_within_it_hold_all_their_members_together() {
    let _quiet = quiet().await;
    let host = host();
    let limits = |cpu| Group { cpu: Share::percent(cpu), burst: Duration::from_millis(10), ..Group::default() };
    let outer = host.0.group(&limits(30), None);
    let inner = host.0.group(&limits(10), Some(&outer));
    let limits_each = "cpu=80%,burst=5ms,deadline=60s";
    let one = host.member("cpu", limits_each, &[], Some(&outer)).await;
    let two = host.member("cpu", limits_each, &[], Some(&inner)).await;
    let three = host.member("cpu", limits_each, &[], Some(&inner)).await;
    let measure = async {
        tests::eventually("the end of the bursts", || outer.cpu() > Duration::from_millis(60)).await;
        let (before, within, begun) = (outer.cpu(), inner.cpu(), Instant::now());
        tokio::time::sleep(Duration::from_secs(3)).await;
        let passed = begun.elapsed().as_secs_f64() / 100.0;
        let measured = ((outer.cpu() - before).as_secs_f64() / passed, (inner.cpu() - within).as_secs_f64() / passed);
        // A group's budget is changed while its members spin, too.
        outer.set_budget(&limits(60));
        let (before, begun) = (outer.cpu(), Instant::now());
        tokio::time::sleep(Duration::from_secs(1)).await;
        (measured.0, measured.1, (outer.cpu() - before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0)
    };
    let (whole, within, raised) = host
        .beside(async {
            tokio::select! {
                measured = measure => measured,
                reply = ask(&one, "spin", "") => panic!("a spinner ended: {reply:?}"),
                reply = ask(&two, "spin", "") => panic!("a spinner ended: {reply:?}"),
                reply = ask(&three, "spin", "") => panic!("a spinner ended: {reply:?}"),
            }
        })
        .await;
    about(whole, 30.0, 0.05);
    assert!((3.0..=10.6).contains(&within), "the inner group has {within:.2} %, of 10 %");
    about(raised, 60.0, 0.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_short_turns_are_throttled_too() {
    let _quiet = quiet().await;
    let host = host();
    let agent = host.agent("cpu", "cpu=10%,burst=10ms", &[]).await;
    let turns = async {
        loop {
            // Far shorter than a tick.
            ask(&agent, "tight", "2000").await.expect("a short turn passes");
        }
    };
    let measured = host
        .beside(async {
            let measure = async {
                spent(&[&agent], Duration::from_millis(20)).await;
                share(&[&agent], Duration::from_secs(3)).await
            };
            tokio::select! { measured = measure => measured, () = turns => unreachable!("they go on for ever") }
        })
        .await;
    about(measured[0], 10.0, 0.05);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bigger_burst_runs_further_ahead() {
    let _quiet = quiet().await;
    let host = host();
    let mut ran = Vec::new();
    for burst in [30, 120] {
        let limits = format!("cpu=1%,burst={burst}ms,deadline=400ms");
        let agent = host.agent("cpu", &limits, &[]).await;
        let (reply, receipt) = receipt(&agent, "spin", "").await;
        assert_eq!(reply.expect_err("it spins").kind, "deadline");
        // Its share of the time that it had comes on top: 4 ms; and the slice in which the burst ended.
        let most = Duration::from_millis(burst + 4 + 6);
        assert!((Duration::from_millis(burst)..=most).contains(&receipt.cpu), "{:?} with a burst of {burst} ms", receipt.cpu);
        ran.push(receipt.cpu);
    }
    assert!(ran[1] > ran[0] * 3);
}

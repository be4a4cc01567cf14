//! `cpu` and `burst`, and groups that share them.

use base::{Group, Share};
use guest::Agent;
use std::time::{Duration, Instant};
use tests::{ask, budget, host, quiet, receipt};

/// A reading of the CPU time that an account has used, and the share of a core that it should get, in per cent.
type Account<'a> = (&'a (dyn Fn() -> Duration + Sync), f64);

/// Checks that nobody gets more than its share in any stretch of time, and that everybody gets it in one at least.
///
/// On a machine that is busy with other things nobody gets what is not there, so there is more than one stretch. What
/// was missed in one may be made up for in the next, as far as `burst` goes.
async fn held(accounts: &[Account<'_>], span: Duration, burst: Duration, tolerance: f64) {
    let mut had = vec![0.0f64; accounts.len()];
    for _ in 0..10 {
        let before: Vec<_> = accounts.iter().map(|(used, _)| used()).collect();
        let begun = Instant::now();
        tokio::time::sleep(span).await;
        let passed = begun.elapsed().as_secs_f64() / 100.0;
        for (n, (used, share)) in accounts.iter().enumerate() {
            let found = (used() - before[n]).as_secs_f64() / passed;
            let most = share * (1.0 + tolerance) + burst.as_secs_f64() / passed;
            assert!(found <= most, "{found:.2} % instead of {share} %");
            had[n] = had[n].max(found);
        }
        if accounts.iter().zip(&had).all(|((_, share), had)| *had >= share * (1.0 - tolerance)) {
            return;
        }
    }
    let shares: Vec<_> = accounts.iter().map(|(_, share)| share).collect();
    panic!("no more than {had:.2?} % instead of {shares:?} %");
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
    let burst = Duration::from_millis(20);
    let measure = async {
        spent(&[&tenth, &third], burst).await;
        held(&[(&|| tenth.cpu(), 10.0), (&|| third.cpu(), 35.0)], Duration::from_secs(3), burst, 0.05).await;
    };
    host.beside(async {
        tokio::select! {
            () = measure => {}
            reply = ask(&tenth, "spin", "") => panic!("the spinner ended: {reply:?}"),
            reply = ask(&third, "spin", "") => panic!("the spinner ended: {reply:?}"),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_is_changed_holds_at_once_both_ways() {
    let _quiet = quiet().await;
    let host = host();
    let agent = host.agent("cpu", "cpu=0.2%,burst=1ms,deadline=60s", &[]).await;
    let burst = Duration::from_millis(1);
    let changes = async {
        spent(&[&agent], burst).await;
        held(&[(&|| agent.cpu(), 0.2)], Duration::from_secs(2), burst * 4, 0.9).await;
        for (limits, share) in [("cpu=40%", 40.0), ("cpu=2%", 2.0), ("cpu=30%", 30.0)] {
            // A burst bridges what others on this machine take, and with a few slices it is what may come on top.
            agent.set_budget(budget(&format!("{limits},burst=10ms,deadline=60s")));
            held(&[(&|| agent.cpu(), share)], Duration::from_secs(1), burst * 14, 0.15).await;
        }
    };
    host.beside(async {
        tokio::select! {
            () = changes => {}
            reply = ask(&agent, "spin", "") => panic!("the spinner ended: {reply:?}"),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_waits_for_a_small_share_goes_on_as_soon_as_it_has_a_larger_one() {
    let _quiet = quiet().await;
    let host = host();
    let limits = |cpu: &str| {
        let mut group = Group { burst: Duration::from_millis(1), ..Group::default() };
        group.set("cpu", cpu).expect("a share");
        group
    };
    let outer = host.0.group(&limits("0.1%"), None);
    let inner = host.0.group(&limits("100%"), Some(&outer));
    let alone = host.agent("cpu", "cpu=0.1%,burst=1ms,memory=80MiB,deadline=60s", &[]).await;
    let member = host.member("cpu", "cpu=50%,burst=1ms,memory=80MiB,deadline=60s", &[], Some(&inner)).await;
    let raised = async {
        // Each step of theirs lasts milliseconds, for which they have to wait for seconds.
        spent(&[&alone, &member], Duration::from_millis(6)).await;
        let before = [alone.cpu(), member.cpu()];
        alone.set_budget(budget("cpu=50%,burst=1ms,memory=80MiB,deadline=60s"));
        outer.set_budget(&limits("50%"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        for (agent, before) in [&alone, &member].into_iter().zip(before) {
            // A tenth of what it may have: others are on this machine too.
            assert!(agent.cpu() - before > Duration::from_millis(50), "{:?} more", agent.cpu() - before);
        }
    };
    tokio::select! {
        () = raised => {}
        reply = ask(&alone, "bulk", "32") => panic!("it ended: {reply:?}"),
        reply = ask(&member, "bulk", "32") => panic!("it ended: {reply:?}"),
    }
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
    let (all, inside, burst) = (|| outer.cpu(), || inner.cpu(), Duration::from_millis(10));
    let measure = async {
        tests::eventually("the end of the bursts", || outer.cpu() > Duration::from_millis(60)).await;
        // Beside one that is not in it, the inner group may get less than it could; it gets no more.
        held(&[(&all, 30.0), (&inside, 10.0)], Duration::from_secs(3), burst, 0.05).await;
        // A group's budget is changed while its members spin, too.
        outer.set_budget(&limits(60));
        held(&[(&all, 60.0), (&inside, 10.0)], Duration::from_secs(1), burst, 0.1).await;
    };
    host.beside(async {
        tokio::select! {
            () = measure => {}
            reply = ask(&one, "spin", "") => panic!("a spinner ended: {reply:?}"),
            reply = ask(&two, "spin", "") => panic!("a spinner ended: {reply:?}"),
            reply = ask(&three, "spin", "") => panic!("a spinner ended: {reply:?}"),
        }
    })
    .await;
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
    let measure = async {
        spent(&[&agent], Duration::from_millis(20)).await;
        held(&[(&|| agent.cpu(), 10.0)], Duration::from_secs(3), Duration::from_millis(10), 0.05).await;
    };
    host.beside(async {
        tokio::select! { () = measure => {}, () = turns => unreachable!("they go on for ever") }
    })
    .await;
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
        assert!(
            (Duration::from_millis(burst)..=most).contains(&receipt.cpu),
            "{:?} with a burst of {burst} ms",
            receipt.cpu
        );
        ran.push(receipt.cpu);
    }
    assert!(ran[1] > ran[0] * 3);
}

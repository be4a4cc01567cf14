//! A part of the senders tries a version first.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_has_its_senders_for_as_long_as_it_is_tried_and_then_all() {
    let host = host();
    let agent = host.agent("tally", LIMITS, &["state"]).await;
    for sender in 0..40 {
        reply(&agent, from(&sender.to_string(), "order", "1")).await.expect("it serves");
    }
    let plan = Plan { canary: Part::percent(25), window: 200, ..Plan::default() };
    let mut swap = begin(&host, &agent, "tally-next", plan).await;
    while !matches!(swap.next().await, Some(Event::Trying { .. })) {}
    let mut which = Vec::new();
    for sender in 0..40 {
        which.push(reply(&agent, from(&sender.to_string(), "which", "")).await.expect("it serves"));
    }
    let tried = which.iter().filter(|which| *which == "next").count();
    assert!((3..20).contains(&tried), "{tried} of 40 senders");
    for number in 2..4 {
        for sender in 0..40 {
            let name = sender.to_string();
            // Both have what the old one knew, and the same sender stays with the same one.
            assert_eq!(reply(&agent, from(&name, "order", &number.to_string())).await.ok(), Some(number.to_string()));
            assert_eq!(reply(&agent, from(&name, "which", "")).await.ok().as_ref(), which.get(sender));
        }
        if number == 2 {
            assert_eq!(ask(&agent, "state", "").await.as_deref(), Ok("1"), "the state is one");
        }
    }
    let sender = which.iter().position(|which| which == "next").expect("some are tried").to_string();
    for _ in 0..200 {
        reply(&agent, from(&sender, "state", "")).await.expect("it serves");
    }
    let tried = match swap.next().await {
        Some(Event::Tried(tried)) => tried,
        other => panic!("it was tried: {other:?}"),
    };
    assert_eq!((tried.messages, tried.failures), (200, 0));
    assert!(tried.old_messages > 0 && tried.p99 > Duration::ZERO);
    let switch = live(swap.end().await);
    assert!(matches!(switch.memory, Carried::Restored(_)), "the old one handled most: {switch:?}");
    for sender in 0..40 {
        assert_eq!(reply(&agent, from(&sender.to_string(), "which", "")).await.as_deref().ok(), Some("next"));
    }
    assert_eq!(ask(&agent, "state", "").await.as_deref(), Ok("202"), "it is one state, whoever wrote it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_fails_or_dawdles_is_sent_back_and_the_old_version_has_what_it_had() {
    let host = host();
    let agent = host.agent("tally", LIMITS, &[]).await;
    serves(&agent, "first", 1).await;
    let plan = Plan { canary: Part::ALL, window: 100, max_failures: Part::percent(2), ..Plan::default() };
    let mut swap = begin(&host, &agent, "tally-failing", plan).await;
    while !matches!(swap.next().await, Some(Event::Trying { .. })) {}
    for _ in 0..3 {
        assert_eq!(ask(&agent, "count", "").await.expect_err("it lost count").kind, "internal");
    }
    // The verdict is known, so no other message comes to harm.
    serves(&agent, "first", 2).await;
    let reason = back(swap.end().await);
    assert!(matches!(reason, Reason::Failures { failures: 3, allowed: 2, .. }), "{reason}");

    let plan = Plan { canary: Part::ALL, window: 50, max_p99: Duration::from_micros(500), ..Plan::default() };
    let mut swap = begin(&host, &agent, "tally-slow", plan).await;
    while !matches!(swap.next().await, Some(Event::Trying { .. })) {}
    ask(&agent, "count", "").await.expect("it is slow, not wrong");
    let reason = back(swap.end().await);
    assert!(matches!(reason, Reason::Slow { .. }), "{reason}");
    serves(&agent, "first", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_handles_most_goes_on_with_what_it_knows() {
    let host = host();
    let agent = host.agent("tally", LIMITS, &[]).await;
    serves(&agent, "first", 1).await;
    let plan = Plan { canary: Part::ALL, window: 10, ..Plan::default() };
    let mut swap = begin(&host, &agent, "tally-next", plan).await;
    while !matches!(swap.next().await, Some(Event::Trying { .. })) {}
    for count in 2..12 {
        assert_eq!(ask(&agent, "count", "").await.as_deref(), Ok(count.to_string().as_str()));
    }
    assert_eq!(live(swap.end().await).memory, Carried::Own);
    serves(&agent, "next", 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_nobody_writes_to_is_undone_in_time_or_when_asked() {
    let host = host();
    let agent = host.agent("tally", LIMITS, &[]).await;
    serves(&agent, "first", 1).await;
    let plan = Plan { canary: Part::ALL, window: 10, within: Duration::from_millis(300), ..Plan::default() };
    let mut swap = begin(&host, &agent, "tally-next", plan).await;
    while !matches!(swap.next().await, Some(Event::Trying { .. })) {}
    ask(&agent, "which", "").await.expect("it serves");
    let Some(Event::Tried(tried)) = swap.next().await else { panic!("it tells what came of it") };
    let reason = back(swap.end().await);
    assert_eq!(tried.messages, 1);
    assert!(matches!(reason, Reason::Undecided { messages: 1, wanted: 10, .. }), "{reason}");
    serves(&agent, "first", 2).await;
    let reason = refused(shadowed_once(&host, &agent, Plan { shadow: 3, canary: Part::NONE, ..plan }).await);
    assert!(matches!(reason, Reason::Undecided { messages: 1, wanted: 3, .. }), "{reason}");
    serves(&agent, "first", 4).await;
    let plan = Plan { within: Duration::from_secs(60), ..plan };
    let mut swap = begin(&host, &agent, "tally-next", plan).await;
    while !matches!(swap.next().await, Some(Event::Trying { .. })) {}
    assert!(agent.cancel_swap());
    assert_eq!(back(swap.end().await).kind(), "asked");
    serves(&agent, "first", 5).await;
}

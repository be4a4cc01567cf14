//! A version sees what the agent sees, and leaves no trace.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_sees_what_the_agent_sees_and_leaves_no_trace() {
    let host = host();
    let other = host.0.start_as("other", &host.load("tally").await, tests::budget(LIMITS), tests::grants(&[]), None);
    let other = other.expect("there is room");
    let agent = host.agent("tally", LIMITS, &["state", "agents=other"]).await;
    serves(&agent, "first", 1).await;
    assert_eq!(ask(&agent, "state", "").await.as_deref(), Ok("1"));
    let plan = Plan { shadow: 13, ..Plan::default() };
    let mut swap = begin(&host, &agent, "tally-next", plan).await;
    while !matches!(swap.next().await, Some(Event::Shadowing { messages: 13, .. })) {}
    for i in 0..3 {
        assert_eq!(ask(&agent, "count", "").await.as_deref(), Ok((i + 2).to_string().as_str()));
        assert_eq!(ask(&agent, "state", "").await.as_deref(), Ok((i + 2).to_string().as_str()));
    }
    ask(&agent, "say", "who").await.expect("they differ in this");
    ask(&agent, "tell", "other").await.expect("it tells");
    assert_eq!(ask(&agent, "later", "other").await.as_deref(), Ok("told"));
    assert_eq!(ask(&agent, "ask", "other").await.as_deref(), Ok("asked"));
    assert_eq!(ask(&agent, "fail", "").await.expect_err("it was told to").kind, "temporary");
    // Failing cost both their memory.
    assert_eq!(ask(&agent, "count", "").await.as_deref(), Ok("1"));
    assert_eq!(ask(&agent, "state", "").await.as_deref(), Ok("5"));
    let shadowed = match swap.next().await {
        Some(Event::Shadowed(shadowed)) => shadowed,
        other => panic!("it has shadowed: {other:?}"),
    };
    // They say their names, and the ids of what they tell are not the same.
    assert_eq!((shadowed.messages, shadowed.differ, shadowed.reached), (13, 2, 1), "{shadowed:?}");
    assert_eq!((shadowed.same, shadowed.failed, shadowed.skipped), (10, 0, 0), "{shadowed:?}");
    assert!(shadowed.p50.iter().all(|took| *took > Duration::ZERO), "{shadowed:?}");
    live(swap.end().await);
    serves(&agent, "next", 2).await;
    assert_eq!(ask(&agent, "state", "").await.as_deref(), Ok("6"), "the shadow wrote elsewhere");
    // What was told for later has come by now, and what the shadow told would have.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ask(&other, "count", "").await.as_deref(), Ok("3"), "two were told, by the agent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_that_fails_where_the_agent_does_not_goes_no_further() {
    let host = host();
    let agent = host.agent("tally", LIMITS, &[]).await;
    serves(&agent, "first", 1).await;
    let mut swap = begin(&host, &agent, "tally-failing", Plan { shadow: 100, ..Plan::default() }).await;
    while !matches!(swap.next().await, Some(Event::Shadowing { .. })) {}
    for count in 2..6 {
        assert_eq!(ask(&agent, "count", "").await.as_deref(), Ok(count.to_string().as_str()));
    }
    let Some(Event::Shadowed(shadowed)) = swap.next().await else { panic!("it has shadowed") };
    assert_eq!((shadowed.failed, shadowed.failures.len()), (2, 2), "{shadowed:?}");
    assert!(shadowed.failures[0].contains("it lost count"), "{shadowed:?}");
    let reason = refused(swap.end().await);
    assert!(matches!(reason, Reason::Failures { failures: 2, allowed: 1, .. }), "{reason}");
    serves(&agent, "first", 6).await;
}

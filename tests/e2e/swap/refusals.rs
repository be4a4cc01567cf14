//! What can't serve never does, and what can't take over leaves the old version as it was.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_cannot_serve_never_does() {
    let host = host();
    let agent = host.agent("tally", LIMITS, &[]).await;
    serves(&agent, "first", 1).await;
    let memory = used(&agent, "memory");
    let reason = refused(swap(&host, &agent, "trap-describe", Plan::default()).await);
    assert_eq!((reason.kind(), reason.to_string().contains("describe traps")), ("describe", true), "{reason}");
    let reason = refused(swap(&host, &agent, "start-loop", Plan::default()).await);
    assert_eq!((reason.kind(), reason.fault().map(|fault| fault.kind())), ("start", Some("deadline")), "{reason}");
    let reason = refused(swap(&host, &agent, "command", Plan::default()).await);
    assert_eq!(reason.kind(), "start", "{reason}");
    let unfit = wat::parse_str("(component (import \"acme:dice/roll@1.0.0\" (instance)))").expect("it is sound");
    let error = host.0.load(&unfit).await.map(|_| ()).expect_err("nobody offers dice");
    assert!(error.to_string().contains("acme:dice/roll@1.0.0"), "{error}");
    serves(&agent, "first", 2).await;
    assert_eq!((used(&agent, "memory"), agent.versions().len()), (memory, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_lacks_a_skill_is_refused_unless_that_is_meant() {
    let host = host();
    let agent = host.agent("tally", LIMITS, &[]).await;
    serves(&agent, "first", 1).await;
    let reason = refused(swap(&host, &agent, "tally-fewer", Plan::default()).await);
    let Reason::Skills { removed } = &reason else { panic!("{reason}") };
    assert!(removed.contains(&"say".to_string()) && !removed.contains(&"count".to_string()), "{reason}");
    serves(&agent, "first", 2).await;
    live(swap(&host, &agent, "tally-fewer", fewer()).await);
    serves(&agent, "fewer", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_refuses_or_breaks_over_the_memory_leaves_the_old_one_as_it_was() {
    let host = host();
    let agent = host.agent("tally", LIMITS, &[]).await;
    serves(&agent, "first", 1).await;
    let fewer = |memory| Plan { fewer_skills: true, memory, ..Plan::default() };
    let reason = refused(swap(&host, &agent, "restore-refuse", fewer(Memory::Carried)).await);
    assert_eq!((reason.kind(), reason.to_string().contains("it is not for me")), ("restore-refused", true), "{reason}");
    let reason = refused(swap(&host, &agent, "restore-trap", Plan::default()).await);
    assert_eq!((reason.kind(), reason.to_string().contains("restore traps")), ("restore", true), "{reason}");
    serves(&agent, "first", 2).await;
    let switch = live(swap(&host, &agent, "restore-trap", fewer(Memory::CarriedOrCold)).await);
    assert_eq!(switch.memory, Carried::Left);
    serves(&agent, "breaking", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_cannot_say_what_to_keep_serves_on_and_can_be_replaced_without() {
    let host = host();
    for (name, fault) in [("snapshot-trap", "trap"), ("snapshot-spin", "deadline")] {
        let agent = host.agent(name, "memory=8MiB,deadline=300ms,cpu=100%,burst=2s", &[]).await;
        ask(&agent, "say", "so").await.expect("it serves");
        let reason = refused(swap(&host, &agent, "tally", fewer()).await);
        let Reason::Snapshot(broke) = &reason else { panic!("{name}: {reason}") };
        assert_eq!(broke.kind(), fault);
        ask(&agent, "say", "so").await.expect("it serves on");
        live(swap(&host, &agent, "tally", Plan { fewer_skills: true, ..cold() }).await);
        serves(&agent, "first", 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_the_new_version_cannot_hold_is_refused() {
    let host = host();
    let agent = host.agent("tally", LIMITS, &[]).await;
    serves(&agent, "first", 1).await;
    // The guest holds it and a copy while it hands it over: 7 MiB with what it has anyway. What it held to make it stays.
    assert_eq!(ask(&agent, "keep", "3000000").await.as_deref(), Ok("3000000"));
    let switch = live(swap(&host, &agent, "tally-next", Plan::default()).await);
    assert!(matches!(switch.memory, Carried::Restored(bytes) if bytes > 3_000_000), "{switch:?}");
    serves(&agent, "next", 2).await;
    let held = used(&agent, "memory");
    assert!((3_000_000..8 << 20).contains(&held), "{held} is not what the new instance holds and the old one does not");
    let reason = refused(swap(&host, &agent, "tally-greedy", fewer()).await);
    let Reason::RestoreBroke(fault) = &reason else { panic!("{reason}") };
    assert_eq!(fault.kind(), "memory");
    serves(&agent, "next", 3).await;
    // It holds more than it may now, so there is no room for anything beside it.
    agent.set_budget(tests::budget("memory=3500KiB,deadline=2s,cpu=100%,burst=2s"));
    let reason = refused(swap(&host, &agent, "tally", fewer()).await);
    assert_eq!(reason.fault().map(|fault| fault.kind()), Some("memory"), "{reason}");
    serves(&agent, "next", 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_swap_waits_for_nobody_and_is_refused() {
    let host = host();
    let agent = host.agent("tally", LIMITS, &[]).await;
    serves(&agent, "first", 1).await;
    let first = begin(&host, &agent, "start-loop", Plan::default()).await;
    let next = host.load("tally-next").await;
    let error = agent.swap(&next, Plan::default()).map(|_| ()).expect_err("one is under way");
    assert!(matches!(error, guest::Error::Swap(Refused::Busy)), "{error}");
    let error = agent.rollback().map(|_| ()).expect_err("one is under way");
    assert_eq!(error.kind(), "busy");
    assert!(agent.cancel_swap());
    assert_eq!(refused(first.end().await).kind(), "asked");
    assert!(!agent.cancel_swap());
    live(agent.swap(&next, Plan::default()).expect("none is under way").end().await);
    let error = agent.swap(&next, Plan::default()).map(|_| ()).expect_err("it runs that");
    assert_eq!(error.kind(), "same-version");
    let plan = Plan { shadow: guest::MOST_SHADOWED + 1, ..Plan::default() };
    let error = agent.swap(&host.load("tally").await, plan).map(|_| ()).expect_err("that is too much");
    assert_eq!((error.kind(), error.to_string()), ("plan", "`shadow` may be 10000 at most".into()));
    serves(&agent, "next", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_needs_room_for_two_and_leaves_room_for_one() {
    let host = host_of(2);
    let agent = host.agent("tally", LIMITS, &[]).await;
    let other = host.agent("echo", "memory=2MiB", &[]).await;
    let next = host.load("tally-next").await;
    let error = agent.swap(&next, Plan::default()).map(|_| ()).expect_err("there is no room");
    assert_eq!((error.kind(), error.to_string().contains("room for 2 agents")), ("refused", true), "{error}");
    drop(other);
    for name in ["tally-next", "trap-describe", "tally", "restore-trap", "tally-next"] {
        serves_something(&agent).await;
        swap(&host, &agent, name, fewer()).await;
    }
    serves_something(&agent).await;
    let other = host.agent("echo", "memory=2MiB", &[]).await;
    assert_eq!(ask(&other, "echo", "hello").await.as_deref(), Ok("hello"), "there is room for one beside it");
}

async fn serves_something(agent: &Agent) {
    ask(agent, "count", "").await.expect("it serves");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_dropped_ends_its_swap() {
    let host = host();
    let agent = host.agent("tally", LIMITS, &[]).await;
    let swap = begin(&host, &agent, "start-loop", Plan::default()).await;
    let begun = Instant::now();
    drop(agent);
    assert!(matches!(refused(swap.end().await).kind(), "asked" | "stopped"));
    assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_without_room_for_two_instances_refuses_the_second() {
    let host = host();
    let group = host.0.group(&group("10MiB"), None);
    let agent = host.member("tally", LIMITS, &[], Some(&group)).await;
    serves(&agent, "first", 1).await;
    let before = group.memory();
    live(swap(&host, &agent, "tally-next", Plan::default()).await);
    assert!(group.memory() < before + (1 << 20), "what both held is given back: {} after {before}", group.memory());
    assert_eq!(ask(&agent, "keep", "3000000").await.as_deref(), Ok("3000000"));
    let held = group.memory();
    let reason = refused(swap(&host, &agent, "tally", fewer()).await);
    assert!(matches!(reason.kind(), "restore" | "too-large" | "snapshot"), "{reason}");
    eventually("what was held for it is given back", || group.memory() <= held + (7 << 20)).await;
    assert_eq!(ask(&agent, "which", "").await.as_deref(), Ok("next"));
}

fn group(memory: &str) -> base::Group {
    base::Group { memory: memory.parse().expect("a size"), ..base::Group::default() }
}

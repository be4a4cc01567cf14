//! Agents whose version is replaced while they live: nothing is lost, nothing is out of order, and no version that can't
//! serve ever does.

mod canary;
mod load;
mod refusals;
mod shadow;

use base::Part;
use guest::{
    Agent, Carried, Failed, Memory, Message, Plan, Reason, Refused, Sender, Swap, SwapEvent as Event, Switch,
    VersionPlace,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tests::{Village, ask, eventually, host, host_of, message, used};

/// Room for a tally's state and a copy of it.
const LIMITS: &str = "memory=8MiB,deadline=2s,cpu=100%,burst=2s,mailbox=20000,mailbox-bytes=16MiB";

/// A swap to the guest `name`, begun.
async fn begin(host: &Village, agent: &Agent, name: &str, plan: Plan) -> Swap {
    let version = host.load(name).await;
    agent.swap(&version, plan).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A swap to the guest `name`, and how it ended.
async fn swap(host: &Village, agent: &Agent, name: &str, plan: Plan) -> Event {
    begin(host, agent, name, plan).await.end().await
}

fn live(event: Event) -> Switch {
    match event {
        Event::Live(switch) => switch,
        other => panic!("it should be live: {other:?}"),
    }
}

fn refused(event: Event) -> Reason {
    match event {
        Event::Refused(reason) => reason,
        other => panic!("it should be refused: {other:?}"),
    }
}

fn back(event: Event) -> Reason {
    match event {
        Event::Back { reason, .. } => reason,
        other => panic!("it should have gone back: {other:?}"),
    }
}

/// For a version that can do less.
fn fewer() -> Plan {
    Plan { fewer_skills: true, ..Plan::default() }
}

fn cold() -> Plan {
    Plan { memory: Memory::Cold, ..Plan::default() }
}

/// A message from a client of that name.
fn from(name: &str, skill: &str, payload: &str) -> Message {
    Message { sender: Sender::Client(name.into()), ..message(skill, payload) }
}

async fn reply(agent: &Agent, message: Message) -> Result<String, Failed> {
    let answer = agent.ask(message).await.unwrap_or_else(|refusal| panic!("{refusal}"));
    answer.outcome.map(|reply| String::from_utf8_lossy(&reply.payload.body).into_owned())
}

/// Whether the agent serves as the version that says so, with its memory: the next count is `count`.
async fn serves(agent: &Agent, which: &str, count: u64) {
    assert_eq!(ask(agent, "which", "").await.as_deref(), Ok(which));
    assert_eq!(ask(agent, "count", "").await.as_deref(), Ok(count.to_string().as_str()), "as `{which}`");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_goes_along_and_each_step_is_told() {
    let host = host();
    let agent = host.agent("tally", LIMITS, &["state"]).await;
    let first = agent.version().digest();
    serves(&agent, "first", 1).await;
    let mut swap = begin(&host, &agent, "tally-next", Plan::default()).await;
    let mut steps = Vec::new();
    while let Some(step) = swap.next().await {
        steps.push(step);
    }
    let kinds: Vec<_> = steps.iter().map(Event::kind).collect();
    assert_eq!(kinds, ["staged", "probed", "live"]);
    let Event::Probed { card, skills, .. } = &steps[1] else { unreachable!("it was probed") };
    assert_eq!((card.name.as_str(), &skills.added[..], skills.removed.len()), ("tally", &["more".to_string()][..], 0));
    let switch = live(steps.pop().expect("there is a last step"));
    assert!(matches!(switch.memory, Carried::Restored(bytes) if bytes > 4), "{switch:?}");
    assert!(switch.pause > Duration::ZERO && switch.pause < Duration::from_millis(500), "{switch:?}");
    serves(&agent, "next", 2).await;
    let versions = agent.versions();
    let places: Vec<_> = versions.iter().map(|known| (known.digest == first, known.place)).collect();
    assert_eq!(places, [(false, VersionPlace::Live), (true, VersionPlace::Before(1))]);
    assert_ne!(agent.version().digest(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_an_instance_has_nothing_to_hand_over() {
    let host = host();
    let agent = host.agent("tally", LIMITS, &[]).await;
    let switch = live(swap(&host, &agent, "tally-next", Plan::default()).await);
    assert_eq!(switch.memory, Carried::Nothing);
    serves(&agent, "next", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_keeps_nothing_begins_anew_and_so_does_one_after_it() {
    let host = host();
    let agent = host.agent("tally-none", LIMITS, &["state"]).await;
    serves(&agent, "none", 1).await;
    assert_eq!(ask(&agent, "state", "").await.as_deref(), Ok("1"));
    assert_eq!(live(swap(&host, &agent, "tally", Plan::default()).await).memory, Carried::Nothing);
    serves(&agent, "first", 1).await;
    assert_eq!(ask(&agent, "state", "").await.as_deref(), Ok("2"), "what must last is in the state");
    assert_eq!(live(swap(&host, &agent, "tally-next", cold()).await).memory, Carried::Left);
    serves(&agent, "next", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_under_way_ends_where_it_began() {
    let host = host();
    let agent = Arc::new(host.agent("tally", LIMITS, &[]).await);
    serves(&agent, "first", 1).await;
    let turning = agent.clone();
    let turn = tokio::spawn(async move { ask(&turning, "spin", "").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    // It spins until its deadline, and its memory goes with it.
    let switch = live(swap(&host, &agent, "tally-next", Plan::default()).await);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(turn.await.expect("it was asked").expect_err("it spins").kind, "deadline");
    assert_eq!(switch.memory, Carried::Nothing);
    serves(&agent, "next", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_the_mailbox_is_handled_by_the_new_version_in_order() {
    const WAITING: u64 = 10_000;
    let host = host();
    let agent = Arc::new(host.agent("tally", LIMITS, &[]).await);
    agent.warm().await.expect("it lives").expect("it can serve");
    // A turn that lasts, and behind it more than two hundred turns for each sender.
    let turning = agent.clone();
    let turn = tokio::spawn(async move { ask(&turning, "spin", "").await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut waiting = Vec::new();
    for number in 1..=WAITING {
        let sent = agent.clone();
        let message = from(&format!("{}", number % 40), "order", &(number.div_ceil(40)).to_string());
        // It is in the mailbox when it was polled once.
        let mut asked = Box::pin(async move { reply(&sent, message).await });
        assert!(poll_once(&mut asked).await.is_none());
        waiting.push(asked);
    }
    assert_eq!(used(&agent, "mailbox"), WAITING);
    live(swap(&host, &agent, "tally-next", Plan::default()).await);
    assert!(used(&agent, "mailbox") > 0, "orders go before what waits");
    assert!(turn.await.expect("it was asked").is_err());
    for asked in waiting {
        asked.await.expect("in its sender's order");
    }
    assert_eq!(ask(&agent, "which", "").await.as_deref(), Ok("next"));
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_brings_the_version_before_back_with_the_memory_of_the_one_after() {
    let host = host();
    let agent = host.agent("tally", LIMITS, &["state"]).await;
    assert_eq!(agent.rollback().map(|_| ()).expect_err("there is none before").kind(), "nothing-before");
    serves(&agent, "first", 1).await;
    live(swap(&host, &agent, "tally-next", Plan::default()).await);
    serves(&agent, "next", 2).await;
    let Event::Back { reason: Reason::Asked, switch: Some(switch) } =
        agent.rollback().expect("there is one").end().await
    else {
        panic!("it goes back")
    };
    assert!(matches!(switch.memory, Carried::Restored(_)), "{switch:?}");
    serves(&agent, "first", 3).await;
    assert_eq!(agent.versions().len(), 1);
    // One that does not restore it begins without.
    live(swap(&host, &agent, "restore-trap", Plan { memory: Memory::CarriedOrCold, ..Plan::default() }).await);
    live(swap(&host, &agent, "tally", Plan::default()).await);
    serves(&agent, "first", 1).await;
    let Event::Back { switch: Some(switch), .. } = agent.rollback().expect("there is one").end().await else {
        panic!("it goes back")
    };
    assert_eq!(switch.memory, Carried::Left);
    serves(&agent, "breaking", 1).await;
}

/// A swap that is shadowed by one count.
async fn shadowed_once(host: &Village, agent: &Agent, plan: Plan) -> Event {
    let mut swap = begin(host, agent, "tally-next", plan).await;
    while !matches!(swap.next().await, Some(Event::Shadowing { .. })) {}
    ask(agent, "count", "").await.expect("it serves");
    swap.end().await
}

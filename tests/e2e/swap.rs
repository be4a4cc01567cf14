//! Agents whose version is replaced while they live: nothing is lost, nothing is out of order, and no version that can't
//! serve ever does.

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

/// Clients who each send numbers in order, until they are told to stop, one message at a time.
struct Load {
    over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn on(agent: &Arc<Agent>, clients: u64) -> Load {
        let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = |name: u64| {
            let (agent, over, sent) = (agent.clone(), over.clone(), sent.clone());
            tokio::spawn(async move {
                let name = format!("client {name}");
                for number in 1.. {
                    if over.load(Relaxed) {
                        return;
                    }
                    let came = reply(&agent, from(&name, "order", &number.to_string())).await;
                    assert_eq!(came.unwrap_or_else(|error| panic!("{name}, {number}: {error}")), number.to_string());
                    sent.fetch_add(1, Relaxed);
                }
            })
        };
        Load { clients: (0..clients).map(client).collect(), over, sent }
    }

    /// Stops them; answers how many messages they sent, all of which were answered in order.
    async fn end(self) -> u64 {
        self.over.store(true, Relaxed);
        for client in self.clients {
            client.await.expect("every message was handled after the one before it");
        }
        self.sent.load(Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_swaps_under_load_lose_nothing_reorder_nothing_and_hold_nothing() {
    let host = host();
    let agent = Arc::new(host.agent("tally", "memory=8MiB,deadline=9s,cpu=100%,burst=9s", &[]).await);
    let versions = [host.load("tally-next").await, host.load("tally").await];
    let load = Load::on(&agent, 8);
    let (mut held, mut resident) = (0, 0);
    for round in 0..1_000 {
        let switch = live(agent.swap(&versions[round % 2], fewer()).expect("none is under way").end().await);
        assert!(matches!(switch.memory, Carried::Restored(_) | Carried::Nothing), "{switch:?}");
        if round == 100 {
            (held, resident) = (used(&agent, "memory"), resident_pages());
        }
    }
    let sent = load.end().await;
    assert!(sent > 1_000, "{sent}");
    serves(&agent, "first", 1).await;
    assert!(used(&agent, "memory") <= held + (64 << 10), "{} after {held}", used(&agent, "memory"));
    let grown = resident_pages().saturating_sub(resident) * 4096;
    assert!(grown < 64 << 20, "the process grew by {grown} bytes in 900 swaps");
    assert!(agent.versions().len() <= 1 + guest::KEPT);
}

/// Pages of memory that the process has; nothing where the system doesn't say.
fn resident_pages() -> u64 {
    let read = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    read.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_sent_without_waiting_keep_their_order_across_swaps() {
    let host = host();
    let agent = Arc::new(host.agent("tally", "memory=8MiB,deadline=9s,cpu=100%,burst=9s,mailbox=64", &[]).await);
    let versions = [host.load("tally-next").await, host.load("tally").await];
    let over = Arc::new(AtomicBool::new(false));
    let (sender, stop) = (agent.clone(), over.clone());
    let flood = tokio::spawn(async move {
        let mut waiting = std::collections::VecDeque::new();
        for number in 1u64.. {
            if stop.load(Relaxed) {
                break;
            }
            if waiting.len() == 50 {
                let first: std::pin::Pin<Box<dyn Future<Output = Result<String, Failed>> + Send>> =
                    waiting.pop_front().expect("there are fifty");
                first.await.expect("in order");
            }
            let asking = sender.clone();
            let mut asked: std::pin::Pin<Box<dyn Future<Output = Result<String, Failed>> + Send>> =
                Box::pin(async move { reply(&asking, from("one", "order", &number.to_string())).await });
            match poll_once(&mut asked).await {
                Some(reply) => drop(reply.expect("in order")),
                None => waiting.push_back(asked),
            }
        }
        for asked in waiting {
            asked.await.expect("in order");
        }
    });
    for round in 0..100 {
        live(agent.swap(&versions[round % 2], fewer()).expect("none is under way").end().await);
    }
    over.store(true, Relaxed);
    flood.await.expect("every message was handled after the one before it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_keeps_what_it_does_keeps_it_across_swaps_and_is_woken_as_the_last_version() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = tests::lasting::Lasting::open(folder.path()).await;
    let host = Village(std::sync::Arc::into_inner(village.host).expect("nobody else has it"));
    let versions = [host.load("tally-next").await, host.load("tally").await];
    let enrolment = guest::Enrolment {
        version: versions[1].clone(),
        budget: tests::budget(LIMITS),
        grants: Arc::new(tests::grants(&["state"])),
        group: None,
        retry: tests::lasting::EAGER,
        record: false,
        care: agents::Care::default(),
        replicas: guest::Replicas::default(),
    };
    host.0.enrol("tally", enrolment).expect("the name is free");
    let agent = host.0.wake("tally").expect("there is room").expect("it is enrolled");
    let mut waiting = Vec::new();
    for round in 0..20 {
        for _ in 0..5 {
            let (_, answer) = agent.post(message("state", "")).await.expect("it is kept");
            waiting.push(answer);
        }
        live(agent.swap(&versions[round % 2], fewer()).expect("none is under way").end().await);
    }
    let mut replies: Vec<u32> = Vec::new();
    for answer in waiting {
        let reply = answer.await.expect("it is answered").outcome.expect("it ends well");
        replies.push(String::from_utf8_lossy(&reply.payload.body).parse().expect("a number"));
    }
    assert_eq!(replies, (1..=100).collect::<Vec<_>>(), "each once, in order");
    live(agent.swap(&versions[0], fewer()).expect("none is under way").end().await);
    drop(agent);
    assert!(host.0.rest("tally"));
    let agent = host.0.wake("tally").expect("there is room").expect("it is enrolled");
    assert_eq!(ask(&agent, "which", "").await.as_deref(), Ok("next"), "it is woken as what it was");
    assert_eq!(ask(&agent, "state", "").await.as_deref(), Ok("101"));
    // Its present life knows nothing of the version before.
    assert_eq!(agent.rollback().map(|_| ()).expect_err("none is known").kind(), "nothing-before");
    let end = agent.rollback_to(&versions[1]).expect("it can be named").end().await;
    assert!(matches!(end, Event::Back { reason: Reason::Asked, switch: Some(_) }), "{end:?}");
    assert_eq!(ask(&agent, "which", "").await.as_deref(), Ok("first"));
    // A shadow sees the state that is in the store, and leaves it alone.
    let mut swap = agent.swap(&versions[0], Plan { shadow: 2, ..Plan::default() }).expect("none is under way");
    while !matches!(swap.next().await, Some(Event::Shadowing { .. })) {}
    for count in ["102", "103"] {
        assert_eq!(ask(&agent, "state", "").await.as_deref(), Ok(count));
    }
    let Some(Event::Shadowed(shadowed)) = swap.next().await else { panic!("it has shadowed") };
    assert_eq!((shadowed.messages, shadowed.same), (2, 2), "{shadowed:?}");
    live(swap.end().await);
    assert_eq!(ask(&agent, "state", "").await.as_deref(), Ok("104"));
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

/// A swap that is shadowed by one count.
async fn shadowed_once(host: &Village, agent: &Agent, plan: Plan) -> Event {
    let mut swap = begin(host, agent, "tally-next", plan).await;
    while !matches!(swap.next().await, Some(Event::Shadowing { .. })) {}
    ask(agent, "count", "").await.expect("it serves");
    swap.end().await
}

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

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_under_load_is_shadowed_and_tried_without_losing_a_message() {
    let host = host();
    let agent = Arc::new(host.agent("tally", "memory=8MiB,deadline=9s,cpu=100%,burst=9s", &[]).await);
    let load = Load::on(&agent, 8);
    let plan = Plan { shadow: 500, canary: Part::ALL, window: 500, ..Plan::default() };
    let mut swap = begin(&host, &agent, "tally-next", plan).await;
    let mut kinds = Vec::new();
    while let Some(event) = swap.next().await {
        if let Event::Shadowed(shadowed) = &event {
            assert_eq!((shadowed.messages, shadowed.same), (500, 500), "{shadowed:?}");
        }
        kinds.push(event.kind());
    }
    assert_eq!(kinds, ["staged", "probed", "shadowing", "shadowed", "trying", "tried", "live"]);
    let sent = load.end().await;
    assert!(sent > 1_000, "{sent}");
    assert_eq!(ask(&agent, "which", "").await.as_deref(), Ok("next"));
}

//! Swaps under load: nothing is lost, nothing out of order, nothing held.

use super::*;

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

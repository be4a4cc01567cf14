//! What is asked and answered, published and heard, between members in fair weather; and what members may not do.

use crate::harness::{PATIENCE, Peer, peer, peer_with, stays, until, village, village_with};
use crate::liar::{Liar, Said, signed, stolen};
use mesh::{BODY_LIMIT, Error, Event, Frame, Id, Key, LIFE_LIMIT, Message, Priority, Trace, Why};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const SHORT: Duration = Duration::from_millis(500);

async fn two() -> (Peer, Peer) {
    let mut all = village(2).await;
    let second = all.pop().unwrap();
    (all.pop().unwrap(), second)
}

#[tokio::test]
async fn an_ask_is_answered_refused_or_nobodys() {
    let (mut a, b) = two().await;
    a.serve(|ask| match ask.frame.to.as_str() {
        "echo" => {
            let body = ask.frame.body.clone();
            ask.answer(body).unwrap();
        }
        "no" => ask.refuse("not today"),
        "large" => assert!(matches!(ask.answer(vec![0; BODY_LIMIT + 1]), Err(Error::TooLarge { .. }))),
        _ => drop(ask),
    });
    let ask = |to: &str, body: Vec<u8>| b.mesh.ask(a.id(), Message::new(to, body));
    assert_eq!(ask("echo", b"hello".to_vec()).await.unwrap(), b"hello");
    assert_eq!(ask("echo", vec![5; BODY_LIMIT]).await.unwrap(), vec![5; BODY_LIMIT]);
    for (to, said) in [("no", "not today"), ("nobody", "nobody answers"), ("large", "too large")] {
        match ask(to, Vec::new()).await {
            Err(Error::Refused { what }) => assert!(what.contains(said), "{what}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(ask("echo", vec![0; BODY_LIMIT + 1]).await, Err(Error::TooLarge { .. })));
    assert!(matches!(ask("~roster", Vec::new()).await, Err(Error::Setting { setting: "to", .. })));
    let long = Message::new("echo", "x").lasting(LIFE_LIMIT + SHORT);
    assert!(matches!(b.mesh.ask(a.id(), long).await, Err(Error::Setting { setting: "life", .. })));
    assert!(matches!(b.mesh.ask(mesh::PeerId::random(), Message::new("echo", "x")).await, Err(Error::Stranger { .. })));
}

#[tokio::test]
async fn an_ask_ends_when_it_expires_and_says_whether_it_was_sent() {
    let (a, b) = two().await;
    // Nobody takes the ask out of the inbox.
    let started = Instant::now();
    let asked = b.mesh.ask(a.id(), Message::new("x", "x").lasting(SHORT)).await;
    assert!(matches!(asked, Err(Error::Expired { sent: true })), "{asked:?}");
    assert!(started.elapsed() >= SHORT && started.elapsed() < SHORT * 4, "{:?}", started.elapsed());
    a.mesh.stop().await;
    until("the link is gone", || async { b.links().await == 0 }).await;
    let asked = b.mesh.ask(a.id(), Message::new("x", "x").lasting(SHORT)).await;
    assert!(matches!(asked, Err(Error::Expired { sent: false })), "{asked:?}");
    b.mesh.stop().await;
    assert!(matches!(b.mesh.ask(a.id(), Message::new("x", "x")).await, Err(Error::Stopped)));
    assert!(matches!(b.mesh.members().await, Err(Error::Stopped)));
}

#[tokio::test]
async fn an_ask_waits_for_a_peer_that_is_away_for_a_moment() {
    let (mut a, b) = two().await;
    a.mesh.stop().await;
    let mesh = b.mesh.clone();
    let to = a.id();
    let asked = tokio::spawn(async move { mesh.ask(to, Message::new("echo", "late").lasting(PATIENCE)).await });
    a = a.restart().await;
    a.echo();
    assert_eq!(asked.await.unwrap().unwrap(), b"late");
}

#[tokio::test]
async fn who_is_full_is_asked_again_and_who_asks_too_much_waits() {
    let all = village_with(2, |settings| {
        settings.inbox = 2;
        settings.waiting = 3;
        settings.flying = 3;
    })
    .await;
    let [mut a, b]: [Peer; 2] = all.try_into().ok().unwrap();
    let to = a.id();
    let ask = |n: u8| {
        let mesh = b.mesh.clone();
        tokio::spawn(async move { mesh.ask(to, Message::new("echo", vec![n])).await })
    };
    let asked: Vec<_> = (0..8).map(ask).collect();
    until("two are in the inbox, one was turned away for now", || async { a.mesh.counts().busy > 0 }).await;
    // A fourth has no place in the queue: whoever asks waits with it, and in vain if that takes too long.
    let more = b.mesh.ask(to, Message::new("echo", "x").lasting(Duration::from_millis(100))).await;
    assert!(matches!(more, Err(Error::Expired { sent: false })), "{more:?}");
    a.echo();
    for (n, asked) in asked.into_iter().enumerate() {
        assert_eq!(asked.await.unwrap().unwrap(), [n as u8]);
    }
    assert!(b.mesh.counts().retries > 0);
}

#[tokio::test]
async fn what_is_urgent_goes_before_what_is_not() {
    let all = village_with(2, |settings| settings.flying = 1).await;
    let [mut a, b]: [Peer; 2] = all.try_into().ok().unwrap();
    let to = a.id();
    let ask = |name: &'static str, priority| {
        let mesh = b.mesh.clone();
        tokio::spawn(async move { mesh.ask(to, Message::new(name, "x").with(priority)).await })
    };
    let first = ask("first", Priority::Low);
    let mut asks = a.asks.take().unwrap();
    let held = asks.next().await.unwrap();
    let mut rest = Vec::new();
    for (name, priority) in
        [("low", Priority::Low), ("normal", Priority::Normal), ("high", Priority::High), ("urgent", Priority::Urgent)]
    {
        rest.push(ask(name, priority));
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    held.answer("").unwrap();
    first.await.unwrap().unwrap();
    let mut order = Vec::new();
    for _ in 0..4 {
        let ask = asks.next().await.unwrap();
        order.push(ask.frame.to.clone());
        ask.answer("").unwrap();
    }
    assert_eq!(order, ["urgent", "high", "normal", "low"]);
    for ask in rest {
        ask.await.unwrap().unwrap();
    }
}

/// A member that has stopped, whose keys a liar has, and the other one.
async fn liar_in_the_village(change: impl Fn(&mut mesh::Settings)) -> (Peer, Liar, Key, Key) {
    let all = village_with(2, change).await;
    let [a, b]: [Peer; 2] = all.try_into().ok().unwrap();
    b.mesh.stop().await;
    until("the link is gone", || async { a.links().await == 0 }).await;
    let mut liar = Liar::new(stolen(b.path()));
    let address = a.mesh.addresses().await.unwrap()[0].clone();
    assert!(liar.call(&address).await);
    let (honest, lying) = (Key::of(&a.id()).unwrap(), Key::of(&b.id()).unwrap());
    (a, liar, honest, lying)
}

fn frame(sender: Key, body: &str) -> Frame {
    let sent = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    Frame {
        id: Id::new(),
        sender,
        to: "echo".into(),
        priority: Priority::Normal,
        sent,
        expires: sent + 10_000,
        correlation: None,
        trace: Trace::default(),
        body: body.into(),
    }
}

#[tokio::test]
async fn a_member_that_lies_is_seen_through_and_counted() {
    let (mut a, mut liar, honest, lying) = liar_in_the_village(|_| {}).await;
    let handled = Arc::new(AtomicU64::new(0));
    let count = handled.clone();
    a.serve(move |ask| {
        count.fetch_add(1, Ordering::Relaxed);
        ask.answer("done").unwrap();
    });
    let to = a.id();
    let good = frame(lying, "hello");
    let done = liar.ask(&to, good.encode()).await.unwrap();
    assert_eq!(handled.load(Ordering::Relaxed), 1);
    // The same once more is answered as before, and handled no more.
    assert_eq!(liar.ask(&to, good.encode()).await.unwrap(), done);
    assert_eq!((handled.load(Ordering::Relaxed), a.mesh.counts().repeated), (1, 1));

    let hour = 3_600_000;
    let lies: [(Frame, Why); 4] = [
        (Frame { body: b"other".to_vec(), ..good.clone() }, Why::Replayed),
        (Frame { sender: honest, ..frame(lying, "x") }, Why::Forged),
        (Frame { sent: good.sent - hour, expires: good.expires - hour, ..frame(lying, "x") }, Why::Expired),
        (Frame { expires: good.expires + hour, ..frame(lying, "x") }, Why::Expired),
    ];
    for (lie, why) in lies {
        let before = a.turned_away(why);
        let answer = liar.ask(&to, lie.encode()).await.unwrap();
        assert_ne!(answer, done);
        assert_eq!(a.turned_away(why), before + 1, "{why}");
    }
    let mut later = good.encode();
    later[0] = 7;
    liar.ask(&to, later).await.unwrap();
    liar.ask(&to, b"\x01nonsense".to_vec()).await.unwrap();
    assert_eq!((a.turned_away(Why::Version), a.turned_away(Why::Malformed)), (1, 1));
    assert_eq!(handled.load(Ordering::Relaxed), 1);
    // What is announced as too large is not even read, and ends the connection.
    let large = Said { claimed: (BODY_LIMIT + 4096) as u32, bytes: vec![0; 1000] };
    assert!(liar.ask(&to, large).await.is_none());
    assert_eq!(a.turned_away(Why::Oversized), 1);
    until("it is out", || async { a.links().await == 0 }).await;
}

#[tokio::test]
async fn what_a_liar_publishes_is_neither_heard_nor_passed_on() {
    let (a, mut liar, honest, lying) = liar_in_the_village(|settings| settings.rate.messages = 500).await;
    let keys = liar.keys.clone();
    let mut topic = a.mesh.subscribe("echo").await.unwrap();
    let mut other = a.mesh.subscribe("other").await.unwrap();
    let stranger = libp2p::identity::Keypair::generate_ed25519();
    let strange = Key::of(&stranger.public().to_peer_id()).unwrap();
    liar.publish("echo", signed(&keys, &frame(honest, "in another's name"))).await;
    liar.publish("echo", signed(&stranger, &frame(strange, "a stranger's"))).await;
    liar.publish("echo", b"\x01nonsense".to_vec()).await;
    liar.publish("echo", signed(&keys, &frame(lying, "true"))).await;
    let (heard, _) = tokio::time::timeout(PATIENCE, topic.next()).await.expect("what is true is heard").unwrap();
    assert_eq!(heard.frame.body, b"true");
    assert_eq!((a.turned_away(Why::Forged), a.turned_away(Why::Stranger), a.turned_away(Why::Malformed)), (1, 1, 1));
    // The same in another topic is another lie; and who does not stop is thrown out.
    liar.publish("other", signed(&keys, &frame(lying, "out of place"))).await;
    let mut told = 0;
    while liar.publish("echo", signed(&keys, &frame(honest, &told.to_string()))).await {
        told += 1;
        assert!(told < 100, "it is not thrown out");
    }
    assert!(a.turned_away(Why::Flooding) > 0);
    assert!(tokio::time::timeout(SHORT, topic.next()).await.is_err());
    assert!(tokio::time::timeout(SHORT, other.next()).await.is_err());
}

#[tokio::test]
async fn who_floods_is_slowed_then_dropped_then_let_in_again() {
    let (mut a, mut liar, _, lying) = liar_in_the_village(|settings| {
        settings.rate.messages = 20;
        settings.rate.late = 10;
        settings.rate.ban = Duration::from_millis(700);
    })
    .await;
    a.echo();
    let to = a.id();
    // Twenty at once are allowed; a few more have to wait.
    let started = Instant::now();
    for n in 0..30 {
        let message = frame(lying, &n.to_string());
        liar.ask(&to, message.encode()).await.unwrap();
    }
    assert!(started.elapsed() > Duration::from_millis(300), "it was not slowed: {:?}", started.elapsed());
    a.event(|event| matches!(event, Event::Slowed { .. })).await;
    assert_eq!(a.turned_away(Why::Flooding), 0);
    for n in 0..60 {
        let message = frame(lying, &n.to_string());
        liar.swarm.behaviour_mut().calls.send_request(&to, message.encode().into());
    }
    tokio::time::timeout(PATIENCE, liar.thrown_out()).await.expect("it is dropped");
    a.event(|event| matches!(event, Event::Dropped { .. })).await;
    assert_eq!(a.turned_away(Why::Flooding), 1);
    let address = a.mesh.addresses().await.unwrap()[0].clone();
    liar.call(&address).await;
    tokio::time::timeout(PATIENCE, liar.thrown_out()).await.expect("it is not let in");
    assert_eq!((a.turned_away(Why::Banned), a.links().await), (1, 0));
    tokio::time::sleep(Duration::from_millis(750)).await;
    liar.call(&address).await;
    assert!(liar.ask(&to, frame(lying, "sorry").encode()).await.is_some());
}

#[tokio::test]
async fn what_is_published_reaches_all_who_listen_once_and_nobody_else() {
    let all = village(5).await;
    let mut topics = Vec::new();
    for each in &all {
        topics.push(each.mesh.subscribe("news").await.unwrap());
    }
    let mut other = all[1].mesh.subscribe("other").await.unwrap();
    until("all are subscribed", || async {
        // The last one to know is found by trying.
        all[0].mesh.publish(Message::new("probe", "x").lasting(Duration::from_millis(50))).await.is_err()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for n in 0..20u8 {
        all[usize::from(n) % 5].mesh.publish(Message::new("news", [n])).await.unwrap();
    }
    for topic in &mut topics {
        let mut heard = Vec::new();
        for _ in 0..20 {
            let (each, missed) = tokio::time::timeout(PATIENCE, topic.next()).await.expect("all is heard").unwrap();
            assert_eq!(missed, 0);
            assert_eq!(each.from, all[usize::from(each.frame.body[0]) % 5].id());
            heard.push(each.frame.body[0]);
        }
        heard.sort_unstable();
        assert_eq!(heard, (0..20).collect::<Vec<u8>>());
        let more = tokio::time::timeout(Duration::from_millis(100), topic.next()).await;
        assert!(more.is_err(), "it came twice: {more:?}");
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), other.next()).await.is_err());
    assert!(all[0].mesh.counts().untold > 0);
    let large = all[0].mesh.publish(Message::new("news", vec![0; BODY_LIMIT + 1])).await;
    assert!(matches!(large, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn each_link_is_measured() {
    let (mut a, b) = two().await;
    a.echo();
    for _ in 0..10 {
        b.mesh.ask(a.id(), Message::new("echo", vec![1; 1000])).await.unwrap();
    }
    until("it was pinged", || async { b.mesh.links().await.unwrap()[0].latency.is_some() }).await;
    let link = b.mesh.links().await.unwrap().remove(0);
    assert!(link.sent.messages >= 10 && link.sent.bytes > 10_000, "{link:?}");
    assert!(link.received.messages >= 10 && link.received.bytes > 10_000, "{link:?}");
    assert!(link.pings > 0 && link.loss() == 0.0 && link.latency.unwrap() < Duration::from_millis(500), "{link:?}");
    let other = a.mesh.links().await.unwrap().remove(0);
    assert!(other.received.bytes > 10_000 && other.called != link.called);
}

#[tokio::test]
async fn clocks_may_be_apart_but_not_for_ever() {
    let (mut a, b) = two().await;
    a.echo();
    for (ahead, good) in [(20_000, true), (-20_000, true), (0, true), (600_000, false), (-600_000, false)] {
        b.weather.skew(ahead);
        let answer = b.mesh.ask(a.id(), Message::new("echo", "x")).await;
        match answer {
            Ok(_) => assert!(good, "{ahead}"),
            Err(Error::TurnedAway { why: Why::Expired }) => assert!(!good, "{ahead}"),
            Err(error) => panic!("{ahead}: {error}"),
        }
    }
}

#[tokio::test]
async fn nothing_of_the_village_is_heard_outside() {
    let all = village(2).await;
    let outside = peer().await;
    let mut topic = outside.mesh.subscribe("news").await.unwrap();
    let _listening = all[1].mesh.subscribe("news").await.unwrap();
    outside.mesh.dial(all[0].mesh.addresses().await.unwrap()[0].clone()).await.unwrap();
    all[0].mesh.publish(Message::new("news", "secret")).await.unwrap();
    stays("no link", Duration::from_millis(300), || async { outside.links().await == 0 }).await;
    assert!(tokio::time::timeout(Duration::from_millis(100), topic.next()).await.is_err());
    let alone = peer_with(|_| {}).await;
    alone.mesh.publish(Message::new("news", "to nobody")).await.unwrap();
}

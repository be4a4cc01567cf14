//! What is kept of messages between villages: how long, how much of it, over restarts, and erased.

use agents::{ARRIVED, DEAD, From, MAIL, Mail, OUTBOX, Outgoing, REPLIES, Recorded};
use hall::Erase;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::Change;
use tests::abroad::{Place, places, seed, until};
use tests::neighbours::{close, deploy, letter, mesh, pair};

const DAY: u64 = 86_400_000;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_millis() as u64
}

fn order(to: &str, text: &str) -> String {
    format!(r#"{{"to":"{to}","text":"{text}"}}"#)
}

fn mail(text: &str, accepted: u64) -> Mail {
    Mail {
        id: text.into(),
        from: From::Agent("ada".into()),
        skill: "note".into(),
        content_type: String::new(),
        body: text.into(),
        priority: 1,
        attempt: 1,
        accepted,
        due: 0,
    }
}

/// How many rows a village has.
#[derive(Debug)]
struct Rows {
    outbox: usize,
    arrived: usize,
    dead: usize,
    replies: usize,
    mail: usize,
}

fn rows(place: &Place) -> Rows {
    let read = place.village().books.store().read();
    let most = usize::MAX;
    Rows {
        outbox: read.scan(OUTBOX.all(), None, most).expect("it can be read").len(),
        arrived: read.scan(ARRIVED.all(), None, most).expect("it can be read").len(),
        dead: read.scan(DEAD.all(), None, most).expect("it can be read").len(),
        replies: read.scan(REPLIES.all(), None, most).expect("it can be read").len(),
        mail: read.scan(MAIL.all(), None, most).expect("it can be read").len(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_brought_for_seven_days_is_a_dead_letter() {
    let mut all = places(2, seed()).await;
    let bob = all[1].peer();
    all[0].clerks(&["ada"]).await;
    all[1].fall().await;
    // As it would be had they been sent so long ago.
    let ago = |days: u64| {
        let going = Outgoing::new("bob", &bob.to_string(), mail(&format!("{days} days"), now() - days * DAY));
        Outgoing { until: going.until - days * DAY, ..going }
    };
    assert_eq!((ago(0).until - now()).div_ceil(DAY), 7, "so long it is tried");
    let books = all[0].village().books.clone();
    let mut change = Change::new();
    for days in [8, 6] {
        let going = ago(days);
        change.put(&OUTBOX, (&going.lane(), books.number()), &going);
    }
    books.store().commit(change).await.expect("it is kept");
    drop(books);
    all[0].fall().await;
    let disk = all[0].disk.restart();
    assert!(all[0].rise(disk).await);
    until("the old one is given up", || async { rows(&all[0]).dead == 1 }).await;
    let dead = all[0].village().books.store().read().scan(DEAD.all(), None, 9).expect("it can be read").remove(0);
    assert_eq!((dead.0.0, dead.1.kind.as_str()), (format!("bob@{bob}"), "expired"));
    assert_eq!(dead.1.mail.id, "8 days");
    assert_eq!(rows(&all[0]).outbox, 1, "the other one is tried for another day");
    let disk = all[1].disk.restart();
    assert!(all[1].rise(disk).await);
    all[1].clerks(&["bob"]).await;
    until("that one is there", || async { all[1].village().lines("bob").await == ["6 days"] }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_for_too_long_goes_also_where_a_village_is_never_up_for_long() {
    let mut all = places(2, seed()).await;
    let peer = all[1].peer();
    let mut change = Change::new();
    let whose = format!("{peer}/7");
    for (number, until) in [(1, now() - 1_000), (2, now() + DAY), (3, now() - 9 * DAY)] {
        change.put(&ARRIVED, (&whose, number), &until);
    }
    for (name, days) in [("old", 9), ("new", 7)] {
        let recorded =
            Recorded { question: [0; 32], content_type: String::new(), body: b"x".to_vec(), when: now() - days * DAY };
        change.put(&REPLIES, &format!("@{peer}/{name}"), &recorded);
    }
    all[0].village().books.store().commit(change).await.expect("it is kept");
    all[0].fall().await;
    let disk = all[0].disk.restart();
    assert!(all[0].rise(disk).await);
    until("the old ones are gone", || async { rows(&all[0]).arrived == 1 && rows(&all[0]).replies == 1 }).await;
    let read = all[0].village().books.store().read();
    assert!(read.contains(&ARRIVED, (&whose, 2)).expect("it can be read"));
    assert!(read.contains(&REPLIES, &format!("@{peer}/new")).expect("it can be read"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_messages_of_one_village_are_known_than_may_be_and_the_rest_waits() {
    let mut all = places(2, seed()).await;
    all[1].known = 4;
    all[1].fall().await;
    let disk = all[1].disk.restart();
    assert!(all[1].rise(disk).await);
    all[0].clerks(&["ada"]).await;
    all[1].clerks(&["bob"]).await;
    // As if so many had come, and their sender had not said that they will not come again.
    let peer = all[0].peer();
    let (bob, whose) = (all[1].address("bob"), format!("{peer}/7"));
    let mut change = Change::new();
    for number in 0..4 {
        change.put(&ARRIVED, (&whose, number), &(now() + DAY));
    }
    all[1].village().books.store().commit(change).await.expect("it is kept");
    all[1].fall().await;
    let disk = all[1].disk.restart();
    assert!(all[1].rise(disk).await);
    all[1].clerks(&["bob"]).await;
    all[0].village().post("ada", "pass", &order(&bob, "one")).await.expect("it is told");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(all[1].village().lines("bob").await.is_empty(), "there is no room to know it by");
    assert_eq!((rows(&all[1]).arrived, rows(&all[0]).outbox), (4, 1));
    // Their time is over: there is room again.
    let mut change = Change::new();
    for number in 0..4 {
        change.put(&ARRIVED, (&whose, number), &(now() - 1));
    }
    all[1].village().books.store().commit(change).await.expect("it is kept");
    all[1].fall().await;
    let disk = all[1].disk.restart();
    assert!(all[1].rise(disk).await);
    all[1].clerks(&["bob"]).await;
    until("it is there", || async { all[1].village().lines("bob").await == ["one"] }).await;
    until("nothing is on its way", || async { rows(&all[0]).outbox == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ask_goes_on_over_the_askers_own_restart_and_is_handled_once() {
    let seed = seed();
    let mut all = places(3, seed).await;
    for (place, name) in all.iter().zip(["ada", "bob", "eve"]) {
        place.clerks(&[name]).await;
    }
    let (bob, eve) = (all[1].address("bob"), all[2].address("eve"));
    // The one that is asked can't answer before it has the third one's answer.
    all[1].weather.cut([all[2].peer()]);
    all[2].weather.cut([all[1].peer()]);
    let third = all[2].peer();
    until("they are apart", || async {
        all[1].mesh().links().await.is_ok_and(|links| links.iter().all(|link| link.peer != third))
    })
    .await;
    let agent = all[0].village().agent("ada");
    let (_, answer) = agent.call(tests::message("relay", &order(&bob, &eve))).await.expect("it is kept");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(all[2].village().lines("eve").await.is_empty(), "seed {seed}: it is still asking");
    assert_eq!(rows(&all[0]).mail, 1, "seed {seed}: it waits for the answer");
    drop(answer);
    drop(agent);
    all[0].fall().await;
    all[1].weather.cut([]);
    all[2].weather.cut([]);
    until("it was handled", || async { all[1].village().lines("bob").await == ["relayed at 1"] }).await;
    let disk = all[0].disk.restart();
    assert!(all[0].rise(disk).await);
    all[0].clerks(&["ada"]).await;
    all[0].village().agent("ada");
    until("the turn is done", || async { rows(&all[0]).mail == 0 }).await;
    assert_eq!(rows(&all[0]).dead, 0, "seed {seed}: it ended well");
    assert_eq!(all[1].village().lines("bob").await, ["relayed at 1"], "seed {seed}: it was handled once");
    assert_eq!(all[2].village().lines("eve").await, ["relayed"], "seed {seed}");
    until("the replies are kept no more", || async { rows(&all[1]).replies + rows(&all[2]).replies == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_its_way_is_erased_too() {
    let (_folders, here, there) = pair(seed()).await;
    deploy(&here, "clerk", "ada", "agents = [\"*@*\"]").await;
    deploy(&there, "clerk", "bob", "public = true").await;
    let (bob, peer) = (format!("bob@{}", mesh(&there).peer()), mesh(&there).peer());
    close(there).await;
    let nobody = format!("nobody@{peer}");
    let first = here.tell(&bob, letter("note", "one")).await.expect("it is kept");
    here.tell(&bob, letter("note", "two")).await.expect("it is kept");
    here.tell(&nobody, letter("note", "three")).await.expect("it is kept");
    let pass = format!(r#"{{"to":"{bob}","text":"four"}}"#);
    let came = here.ask("ada", letter("pass", &pass)).await.expect("it is handled");
    came.outcome.expect("it is told");
    let erased = async |what| here.erase(what).await.map(|erased| erased.messages);
    assert_eq!(erased(Erase::Message(first.clone())).await.expect("it is there"), 1);
    let again = erased(Erase::Message(first)).await.expect_err("it is gone");
    assert_eq!(again.kind(), "unknown-turn");
    assert_eq!(erased(Erase::Agent("ada".into())).await.expect("it is there"), 1, "what it has told");
    assert_eq!(erased(Erase::Agent(bob.clone())).await.expect("it is there"), 1, "what a client has told it");
    assert_eq!(erased(Erase::Agent(nobody)).await.expect("it is there"), 1);
    let nothing = here.erase(Erase::Agent(bob)).await.expect_err("nothing is left");
    assert!(nothing.kind() == "unknown-agent", "{nothing}");
    close(here).await;
}

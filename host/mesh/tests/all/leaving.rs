//! Who leaves is told of to all, is forgotten, and comes back by an invitation only.

use crate::harness::{PATIENCE, Peer, stays, until, village, village_with};
use crate::liar::{Liar, signed, stolen};
use libp2p::identity::Keypair;
use mesh::{Error, Event, Frame, Id, Key, Message, Pass, PeerId, Priority, Trace, Why};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

async fn knows(peer: &Peer, other: PeerId) -> bool {
    peer.mesh.members().await.unwrap().iter().any(|each| each.pass.holder().peer() == Some(other))
}

async fn nobody_knows(all: &[Peer], other: PeerId) -> bool {
    for each in all {
        if knows(each, other).await || each.mesh.links().await.unwrap().iter().any(|link| link.peer == other) {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn who_leaves_is_forgotten_by_all_and_comes_back_by_an_invitation_only() {
    // Not all are linked with it.
    let mut all = village_with(5, |settings| settings.connections = 3).await;
    let gone = all.pop().unwrap();
    let (id, links) = (gone.id(), gone.links().await);
    let told = gone.mesh.leave().await.unwrap();
    assert!(told >= 1 && told <= links.max(3), "{told} of {links}");
    assert_eq!((gone.members().await, gone.mesh.village().await.unwrap().peer()), (0, Some(id)));
    for each in &mut all {
        each.event(|event| *event == Event::Left { peer: id }).await;
    }
    until("nobody knows it any more", || nobody_knows(&all, id)).await;
    stays("it is forgotten", Duration::from_secs(1), || nobody_knows(&all, id)).await;
    let ask = all[0].mesh.ask(id, Message::new("echo", ""));
    assert!(matches!(ask.await, Err(Error::Stranger { peer }) if peer == id));

    gone.join(&all[2]).await.unwrap();
    until("all know it again, and it knows them", || async {
        let mut known = gone.members().await == 4 && gone.links().await > 0;
        for each in &all {
            known &= knows(each, id).await;
        }
        known
    })
    .await;
    // And it can leave once more.
    gone.mesh.leave().await.unwrap();
    until("nobody knows it any more", || nobody_knows(&all, id)).await;
}

#[tokio::test]
async fn who_was_away_hears_of_it_from_those_who_were_there() {
    let mut all = village(4).await;
    let (away, gone) = (all.pop().unwrap(), all.pop().unwrap());
    let id = gone.id();
    until("it knows it", || knows(&away, id)).await;
    away.mesh.stop().await;
    gone.mesh.leave().await.unwrap();
    until("nobody knows it any more", || nobody_knows(&all, id)).await;
    // Those who were there have begun anew since.
    let mut there = Vec::new();
    for each in all {
        there.push(each.restart().await);
    }
    there.push(away.restart().await);
    until("all are linked, and nobody knows it", || async {
        let mut linked = nobody_knows(&there, id).await;
        for each in &there {
            linked &= each.links().await > 0 && each.members().await == 2;
        }
        linked
    })
    .await;
    stays("nobody learns of it from the other", Duration::from_secs(1), || nobody_knows(&there, id)).await;
}

#[tokio::test]
async fn the_founder_can_leave_and_come_back_as_others_do() {
    let mut all = village(3).await;
    let founder = all.remove(0);
    let (id, village) = (founder.id(), founder.mesh.village().await.unwrap());
    founder.mesh.leave().await.unwrap();
    until("nobody knows it any more", || nobody_knows(&all, id)).await;
    let founder = founder.restart().await;
    stays("it stays away", Duration::from_secs(1), || nobody_knows(&all, id)).await;
    founder.join(&all[1]).await.unwrap();
    until("it is back", || async { knows(&all[0], id).await && founder.members().await == 2 }).await;
    assert_eq!(all[0].mesh.village().await.unwrap(), village);
}

#[tokio::test]
async fn who_leaves_alone_has_told_nobody_and_its_votes_stay_behind() {
    let all = village(2).await;
    let electorate = all.iter().map(|peer| Key::of(&peer.id()).unwrap()).collect();
    let draft = mesh::Draft { subject: "x".into(), body: Vec::new(), electorate, threshold: 800 };
    all[1].mesh.propose(draft, Duration::from_secs(60)).await.unwrap();
    all[0].mesh.stop().await;
    until("the other is gone", || async { all[1].links().await == 0 }).await;
    assert_eq!(all[1].mesh.leave().await.unwrap(), 0);
    assert!(all[1].mesh.tallies().await.unwrap().is_empty(), "it would be said to the next village");
}

/// What says that the holder of a pass leaves, signed with these keys.
fn leave(pass: &Pass, keys: &Keypair, at: u64) -> Vec<u8> {
    let said = [pass.village().as_bytes().as_slice(), pass.holder().as_bytes(), &at.to_le_bytes()].concat();
    let signature = keys.sign(&[b"village leave 1\0".as_slice(), &said].concat()).unwrap();
    let (head, tail): ([u8; 32], [u8; 32]) = (signature[..32].try_into().unwrap(), signature[32..].try_into().unwrap());
    let mut bytes = vec![1];
    bytes.extend(postcard::to_stdvec(&vec![(pass, (head, tail))]).unwrap());
    bytes
}

fn frame(sender: PeerId, body: Vec<u8>) -> Frame {
    let sent = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    Frame {
        id: Id::new(),
        sender: Key::of(&sender).unwrap(),
        to: "~left".into(),
        priority: Priority::High,
        sent,
        expires: sent + 10_000,
        correlation: None,
        trace: Trace::default(),
        body,
    }
}

#[tokio::test]
async fn a_member_cannot_say_that_another_leaves() {
    let all = village(3).await;
    let [a, b, victim]: [Peer; 3] = all.try_into().ok().unwrap();
    b.mesh.stop().await;
    until("the link is gone", || async { !a.linked(&b).await && a.linked(&victim).await }).await;
    let mut liar = Liar::new(stolen(b.path()));
    assert!(liar.call(&a.mesh.addresses().await.unwrap()[0].clone()).await);
    let members = a.mesh.members().await.unwrap();
    let pass = members.into_iter().find(|each| each.pass.holder().peer() == Some(victim.id())).unwrap().pass;
    // The time of the last step of its pass is what is before the signature at its end.
    let bytes = postcard::to_stdvec(&pass).unwrap();
    let at = read_time(&bytes[..bytes.len() - 64]);

    let lie = leave(&pass, &stolen(b.path()), at);
    let _ = liar.ask(&a.id(), frame(b.id(), lie.clone()).encode()).await;
    assert_eq!(a.turned_away(Why::Forged), 1);
    let published = signed(&liar.keys, &frame(b.id(), lie));
    let _ = tokio::time::timeout(PATIENCE, liar.publish("~left", published)).await;
    until("it is seen through", || async { a.turned_away(Why::Forged) == 2 }).await;
    assert!(knows(&a, victim.id()).await && a.linked(&victim).await);

    // What the member itself has signed is taken from anybody.
    let good = leave(&pass, &stolen(victim.path()), at);
    let _ = liar.ask(&a.id(), frame(b.id(), good).encode()).await;
    until("it is believed", || async { !knows(&a, victim.id()).await && !a.linked(&victim).await }).await;
}

/// The number at the end of these bytes, of seven bits each, the lowest first.
fn read_time(bytes: &[u8]) -> u64 {
    // Milliseconds since 1970 take six of them, until the year 2109.
    bytes[bytes.len() - 6..].iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f))
}

#[tokio::test]
async fn who_is_blocked_is_so_after_a_restart_and_is_not_heard_through_others() {
    let mut all = village(3).await;
    until("all are linked", || async { all[0].links().await == 2 && all[1].links().await == 2 }).await;
    let blocked = all.pop().unwrap();
    all[0].mesh.block(blocked.id()).await.unwrap();
    let first = all.remove(0).restart().await;
    assert_eq!(first.mesh.blocked().await.unwrap(), [blocked.id()]);
    let mut topic = first.mesh.subscribe("news").await.unwrap();
    until("it is linked with the other one", || async { first.linked(&all[0]).await }).await;
    until("so is the blocked one", || async { blocked.linked(&all[0]).await }).await;
    let away = stays("there is no link", Duration::from_secs(1), || async {
        !first.linked(&blocked).await && !knows(&first, blocked.id()).await
    });
    away.await;
    assert!(first.turned_away(Why::Blocked) > 0);
    let ask = first.mesh.ask(blocked.id(), Message::new("echo", ""));
    assert!(matches!(ask.await, Err(Error::Blocked { .. })));
    let mut between = all[0].mesh.subscribe("news").await.unwrap();
    blocked.mesh.publish(Message::new("news", "lies")).await.unwrap();
    let (passed, _) = tokio::time::timeout(PATIENCE, between.next()).await.unwrap().unwrap();
    assert_eq!(passed.frame.body, b"lies");
    all[0].mesh.publish(Message::new("news", "truth")).await.unwrap();
    let (heard, _) = tokio::time::timeout(PATIENCE, topic.next()).await.unwrap().unwrap();
    assert_eq!(heard.frame.body, b"truth");
}

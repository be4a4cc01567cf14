//! Fewer links than others to talk to: who needs one gets it, and nobody loses what he is at.

use crate::harness::{Peer, until, village_with};
use mesh::{Error, Message};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn message(body: &str, life: Duration) -> Message {
    Message::new("x", body).lasting(life)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_three_links_each_asks_each_of_nine_without_a_pause() {
    let mut all = village_with(10, |settings| settings.connections = 3).await;
    all.iter_mut().for_each(Peer::echo);
    let mut asking = tokio::task::JoinSet::new();
    for from in &all {
        let (mesh, to): (_, Vec<_>) = (from.mesh.clone(), all.iter().map(Peer::id).collect());
        asking.spawn(async move {
            for _ in 0..3 {
                for to in &to {
                    if *to != mesh.peer() {
                        mesh.ask(*to, message("x", Duration::from_secs(5))).await.unwrap();
                    }
                }
            }
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    for each in &all {
        assert!(each.links().await <= 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_at_work_is_never_given_up_and_who_finds_no_room_waits_his_turn() {
    let mut all = village_with(4, |settings| settings.connections = 2).await;
    let (held, mut asks) = (Arc::new(Mutex::new(Vec::new())), all[0].asks.take().unwrap());
    let hold = held.clone();
    tokio::spawn(async move {
        while let Some(ask) = asks.next().await {
            match ask.frame.body.as_slice() {
                b"hold" => hold.lock().unwrap().push(ask),
                _ => ask.answer("done").unwrap(),
            }
        }
    });
    let to = all[0].id();
    let long: Vec<_> = [1, 2]
        .map(|n| {
            let mesh = all[n].mesh.clone();
            tokio::spawn(async move { mesh.ask(to, message("hold", Duration::from_secs(20))).await })
        })
        .into();
    until("both are being handled", || async { held.lock().unwrap().len() == 2 }).await;
    let none = all[3].mesh.ask(to, message("x", Duration::from_millis(700))).await;
    assert!(matches!(none, Err(Error::Expired { .. })), "{none:?}");
    assert_eq!(all[0].mesh.counts().repeated, 0, "one of them has lost its link, and asked again");

    let third = all[3].mesh.clone();
    let waiting = tokio::spawn(async move { third.ask(to, message("x", Duration::from_secs(10))).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asks: Vec<_> = held.lock().unwrap().drain(..).collect();
    asks.into_iter().for_each(|ask| ask.answer("held").unwrap());
    assert_eq!(waiting.await.unwrap().unwrap(), b"done");
    for each in long {
        assert_eq!(each.await.unwrap().unwrap(), b"held");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_into_a_village_knows_at_once_who_is_there() {
    // A hello takes longer to come than this test: what is not asked for is not known.
    let slow = |settings: &mut mesh::Settings| {
        settings.connections = 3;
        settings.pace.hello = Duration::from_secs(60);
    };
    let all = village_with(8, slow).await;
    until("all are known to the last one", || async { all[7].mesh.present().await.unwrap().len() == 7 }).await;
}

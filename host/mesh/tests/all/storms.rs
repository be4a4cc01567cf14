//! Foul weather: loss, delay, doubling, partition, and peers that come and go.

use crate::harness::{PATIENCE, Peer, until, village, village_with};
use mesh::Message;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_foul_weather_each_ask_is_answered_and_handled_once() {
    let mut all = village(3).await;
    let handled: Arc<Mutex<HashMap<Vec<u8>, u32>>> = Arc::default();
    let count = handled.clone();
    all[0].serve(move |ask| {
        *count.lock().unwrap().entry(ask.frame.body.clone()).or_default() += 1;
        let body = ask.frame.body.clone();
        ask.answer(body).unwrap();
    });
    for each in &all {
        each.weather.lose(0.2);
        each.weather.double(0.3);
        each.weather.delay(Duration::from_millis(40));
    }
    let to = all[0].id();
    let mut asked = Vec::new();
    for n in 0..100u8 {
        let mesh = all[1 + usize::from(n) % 2].mesh.clone();
        asked.push(tokio::spawn(async move { mesh.ask(to, Message::new("x", [n]).lasting(PATIENCE)).await }));
    }
    for (n, asked) in asked.into_iter().enumerate() {
        assert_eq!(asked.await.unwrap().unwrap(), [n as u8]);
    }
    let handled = handled.lock().unwrap();
    assert_eq!(handled.len(), 100);
    assert!(handled.values().all(|times| *times == 1), "{handled:?}");
    assert!(all[0].mesh.counts().repeated > 0, "the weather was fair");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_parts_of_a_partition_serve_and_are_whole_again_after_it() {
    let mut all = village(6).await;
    all.iter_mut().for_each(Peer::echo);
    let ids: Vec<_> = all.iter().map(Peer::id).collect();
    let mut topics = Vec::new();
    for each in &all {
        topics.push(each.mesh.subscribe("news").await.unwrap());
    }
    for (n, each) in all.iter().enumerate() {
        each.weather.cut(if n < 3 { ids[3..].to_vec() } else { ids[..3].to_vec() });
    }
    until("they are apart", || async {
        for (n, each) in all.iter().enumerate() {
            for (m, other) in all.iter().enumerate() {
                if (n < 3) != (m < 3) && each.linked(other).await {
                    return false;
                }
            }
        }
        true
    })
    .await;
    let ask = |from: usize, to: usize, life: u64| {
        let message = Message::new("echo", "x").lasting(Duration::from_millis(life));
        all[from].mesh.ask(ids[to], message)
    };
    assert!(ask(0, 1, 5000).await.is_ok() && ask(4, 5, 5000).await.is_ok());
    assert!(ask(0, 4, 300).await.is_err());
    all[0].mesh.publish(Message::new("news", "part").lasting(PATIENCE)).await.unwrap();
    let across = ask(2, 3, 15_000);
    let heal = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        all.iter().for_each(|each| each.weather.cut([]));
        Instant::now()
    };
    // What was asked during the partition is answered after it.
    let (answer, healed) = tokio::join!(across, heal);
    assert!(answer.is_ok(), "{answer:?}");
    // What was published in one part is heard in the other, once, and so is what is published from now on.
    for topic in &mut topics {
        let (heard, _) = tokio::time::timeout(PATIENCE, topic.next()).await.expect("it is caught up").unwrap();
        assert_eq!((heard.from, heard.frame.body.as_slice()), (ids[0], b"part".as_slice()));
    }
    all[5].mesh.publish(Message::new("news", "whole")).await.unwrap();
    for topic in &mut topics {
        let (heard, _) = tokio::time::timeout(PATIENCE, topic.next()).await.expect("topics are whole").unwrap();
        assert_eq!((heard.from, heard.frame.body.as_slice()), (ids[5], b"whole".as_slice()));
    }
    println!("whole {:?} after the partition", healed.elapsed());
    assert!(healed.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_peers_come_and_go_those_who_stay_are_answered() {
    let mut all = village(8).await;
    all.iter_mut().for_each(Peer::echo);
    let mut asked = 0;
    for round in 0..3 {
        // Two go; among those who stay, everybody asks everybody.
        let going: Vec<Peer> = all.drain(6..).collect();
        let restart = async {
            let mut back = Vec::new();
            for peer in going {
                back.push(peer.restart().await);
            }
            back
        };
        let ask = async {
            let mut done = Vec::new();
            for from in &all {
                for to in &all {
                    if from.id() != to.id() {
                        let (mesh, to) = (from.mesh.clone(), to.id());
                        let message = Message::new("echo", [round]).lasting(Duration::from_secs(5));
                        done.push(tokio::spawn(async move { mesh.ask(to, message).await }));
                    }
                }
            }
            for each in done {
                asked += 1;
                each.await.unwrap().unwrap();
            }
        };
        let (mut back, ()) = tokio::join!(restart, ask);
        back.iter_mut().for_each(Peer::echo);
        // Who was away is among those who stay in the next round.
        back.append(&mut all);
        all = back;
        until("all are linked again", || async {
            for each in &all {
                if each.links().await < 2 {
                    return false;
                }
            }
            true
        })
        .await;
    }
    assert_eq!(asked, 3 * 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_peers_know_each_other_and_any_can_ask_any() {
    let started = Instant::now();
    let mut all = village_with(20, |settings| {
        settings.connections = 6;
        // Each hears each: with a hello every 300 ms that is more than a thousand a second.
        settings.pace.hello = Duration::from_secs(1);
        settings.pace.look = Duration::from_millis(50);
    })
    .await;
    println!("20 peers know each other after {:?}", started.elapsed());
    all.iter_mut().for_each(Peer::echo);
    let ids: Vec<_> = all.iter().map(Peer::id).collect();
    let mut asked = Vec::new();
    for (n, each) in all.iter().enumerate() {
        let (mesh, to) = (each.mesh.clone(), ids[(n * 7 + 3) % 20]);
        if to != each.id() {
            let message = Message::new("echo", "x").lasting(PATIENCE);
            asked.push(tokio::spawn(async move { mesh.ask(to, message).await }));
        }
    }
    for each in asked {
        each.await.unwrap().unwrap();
    }
    for each in &all {
        assert!(each.links().await <= 6);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_lack_nothing_by_themselves_still_find_each_other() {
    // Each part has as many links as its peers look for, so only that the others are missed brings them together.
    let all = village_with(8, |settings| settings.connections = 4).await;
    let ids: Vec<_> = all.iter().map(Peer::id).collect();
    for (n, each) in all.iter().enumerate() {
        each.weather.cut(if n < 4 { ids[4..].to_vec() } else { ids[..4].to_vec() });
    }
    let all_hear = |count: usize| {
        let all = &all;
        move || async move {
            for each in all {
                if each.mesh.present().await.unwrap().len() != count {
                    return false;
                }
            }
            true
        }
    };
    until("each hears its own part only, and has the links that it wants", || async {
        for each in &all {
            if each.links().await < 3 {
                return false;
            }
        }
        all_hear(3)().await
    })
    .await;
    all.iter().for_each(|each| each.weather.cut([]));
    until("each hears all", all_hear(7)).await;
}

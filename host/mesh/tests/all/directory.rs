//! Who can do what: known everywhere, fresh, and asked in the right order.

use crate::harness::{Peer, until, village};
use mesh::{Card, Error, Message};
use std::time::Duration;

fn card(agent: &str, skill: &str, load: u8) -> Card {
    Card { agent: agent.into(), version: "1.2.0".into(), skills: vec![skill.into()], load }
}

async fn finds(peer: &Peer, skill: &str) -> Vec<String> {
    peer.mesh.find(skill).await.unwrap().into_iter().map(|found| found.agent).collect()
}

#[tokio::test]
async fn an_agent_is_found_by_skill_from_anywhere_and_the_next_best_takes_over() {
    let mut all = village(4).await;
    for (n, each) in all.iter_mut().enumerate() {
        each.serve(move |ask| match (n, ask.frame.to.as_str()) {
            (2, "refusing") => ask.refuse("too tired"),
            (_, to) => {
                let answer = format!("{n} {to}");
                ask.answer(answer).unwrap();
            }
        });
    }
    all[1].mesh.advertise(vec![card("idle", "translate", 0), card("other", "sing", 0)]).await.unwrap();
    all[2].mesh.advertise(vec![card("refusing", "translate", 0)]).await.unwrap();
    all[3].mesh.advertise(vec![card("busy", "translate", 95)]).await.unwrap();
    until("all three are known and near", || async {
        let found = all[0].mesh.find("translate").await.unwrap();
        found.len() == 3 && found.iter().all(|found| found.latency.is_some())
    })
    .await;
    assert_eq!(finds(&all[0], "translate").await[2], "busy");
    assert_eq!(finds(&all[3], "sing").await, ["other"]);
    let (found, answer) = all[0].mesh.ask_any("translate", Message::new("", "x"), false).await.unwrap();
    assert_eq!((found.peer, answer), (all[1].id(), b"1 idle".to_vec()));

    // The best says no, the second is gone, the third answers.
    all[1].mesh.advertise(vec![]).await.unwrap();
    until("it has no skills any more", || async { finds(&all[0], "translate").await.len() == 2 }).await;
    let (found, _) = all[0].mesh.ask_any("translate", Message::new("", "x"), false).await.unwrap();
    assert_eq!(found.agent, "busy");
    all[3].mesh.stop().await;
    let none = all[0].mesh.ask_any("translate", Message::new("", "x").lasting(Duration::from_secs(1)), true).await;
    assert!(matches!(none, Err(Error::Refused { .. } | Error::Expired { .. } | Error::TurnedAway { .. })), "{none:?}");
    until("who is gone is forgotten", || async { finds(&all[0], "translate").await == ["refusing"] }).await;
    let none = all[0].mesh.ask_any("fly", Message::new("", "x"), false).await;
    assert!(matches!(none, Err(Error::NobodyHas { .. })), "{none:?}");
}

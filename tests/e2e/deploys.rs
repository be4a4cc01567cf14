//! Agents that come and go at once: many deploys on their way beside each other, removals and sweeps between them.

use base::Digest;
use guest::Payload;
use hall::{Deployment, Error, Letter, Options, Village};
use std::path::Path;
use std::time::{Duration, Instant};
use tests::{builder, guest};
use tokio::task::JoinSet;

async fn open(folder: &Path) -> Village {
    let options = Options { data: folder.join("data"), ..Options::default() };
    Village::begin(builder(64), options).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn close(village: Village) {
    village.stop(Duration::from_secs(5)).await;
    village.close().await.unwrap_or_else(|error| panic!("{error}"));
}

async fn uploaded(village: &Village, component: Vec<u8>) -> Digest {
    let uploaded = village.upload(component).await.unwrap_or_else(|error| panic!("{error}"));
    uploaded.digest.parse().expect("a digest")
}

fn deployment(name: &str, digest: Digest) -> Deployment {
    Deployment {
        name: Some(name.into()),
        digest: Some(digest),
        grants: vec!["state".into()],
        budget: vec![("cpu".into(), "100%".into())],
        ..Deployment::default()
    }
}

/// The same component with a section of another content, so that it is another one.
fn another(number: u8) -> Vec<u8> {
    [guest("echo"), &[0, 3, 1, b'n', number]].concat()
}

async fn echoed(village: &Village, name: &str) -> Result<Vec<u8>, Error> {
    let payload = Payload { content_type: String::new(), body: name.into() };
    let came = village.ask(name, Letter::new("echo", payload)).await?;
    Ok(came.outcome?.body)
}

/// Names of agents that there are.
fn names(village: &Village) -> Vec<String> {
    village.list("", 1000).expect("they can be listed").into_iter().map(|agent| agent.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_deploys_of_one_name_at_once_one_wins() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = open(folder.path()).await;
    let digest = uploaded(&village, guest("echo").to_vec()).await;
    for round in 0..10 {
        let name = format!("a{round}");
        let mut tries = JoinSet::new();
        for number in 0..8u32 {
            let (village, mut wanted) = (village.clone(), deployment(&name, digest));
            wanted.budget.push(("mailbox".into(), (100 + number).to_string()));
            tries.spawn(async move { (number, village.deploy(wanted).await) });
        }
        let mut winners = Vec::new();
        for (number, came) in tries.join_all().await {
            match came {
                Ok(_) => winners.push(number),
                Err(Error::Exists { name: taken }) => assert_eq!(taken, name),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        let details = village.details(&name).expect("it is there");
        let mailbox = details.budget.iter().find(|used| used.field == "mailbox").expect("a field");
        assert_eq!(mailbox.limit_units, u64::from(100 + winners[0]), "it is as the winner wanted it");
        assert_eq!(echoed(&village, &name).await.expect("it answers"), name.as_bytes());
    }
    close(village).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deploys_and_removals_that_race_leave_an_agent_or_none() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = open(folder.path()).await;
    let digest = uploaded(&village, guest("echo").to_vec()).await;
    village.deploy(deployment("stays", digest)).await.expect("it is deployed");
    let (mut there, mut deployed, mut removed) = (false, 0, 0);
    for _ in 0..30 {
        let mut tries = JoinSet::new();
        for deploys in [true, false, true, false] {
            let village = village.clone();
            tries.spawn(async move {
                let came = match deploys {
                    true => village.deploy(deployment("racer", digest)).await.map(drop),
                    false => village.remove("racer").await,
                };
                (deploys, came)
            });
        }
        for (deploys, came) in tries.join_all().await {
            match (deploys, came) {
                (true, Ok(())) => deployed += 1,
                (false, Ok(())) => removed += 1,
                (true, Err(Error::Exists { .. })) | (false, Err(Error::Unknown { .. })) => {}
                (_, Err(error)) => panic!("{error}"),
            }
        }
        there = names(&village).contains(&"racer".to_string());
        assert_eq!(deployed - removed, u32::from(there), "{deployed} deployed, {removed} removed");
        match (there, echoed(&village, "racer").await) {
            (true, Ok(body)) => assert_eq!(body, b"racer"),
            (false, Err(Error::Unknown { .. })) => {}
            (there, came) => panic!("{there}: {came:?}"),
        }
    }
    assert!(deployed > 0 && removed > 0, "{deployed} {removed}");
    assert_eq!(echoed(&village, "stays").await.expect("it answers"), b"stays");
    let before = names(&village);
    close(village).await;
    let village = open(folder.path()).await;
    assert_eq!((names(&village), before.contains(&"racer".to_string())), (before, there));
    close(village).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_stays_while_an_agent_is_deployed_of_it_however_much_is_uploaded() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = open(folder.path()).await;
    let pushed = async {
        // Far more than stay of those that nobody is made of: each has others go.
        for number in 100..140 {
            uploaded(&village, another(number)).await;
        }
    };
    let deployed = async {
        for number in 0..2 {
            let (name, digest) = (format!("a{number}"), uploaded(&village, another(number)).await);
            village.deploy(deployment(&name, digest)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    };
    tokio::join!(pushed, deployed);
    let gone = deployment("late", Digest::of(&another(100)));
    let refused = village.deploy(gone).await.map(drop);
    assert!(matches!(refused, Err(Error::Component { .. })), "{refused:?}");
    let backup = village.backup(folder.path().join("backup")).await.expect("it is made");
    assert!((16..=2 + 16).contains(&backup.blobs), "{}: of agents, and the last that were uploaded", backup.blobs);
    close(village).await;
    let village = open(folder.path()).await;
    for number in 0..2 {
        let name = format!("a{number}");
        assert_eq!(echoed(&village, &name).await.unwrap_or_else(|error| panic!("{name}: {error}")), name.as_bytes());
    }
    close(village).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deploys_do_not_wait_for_each_other() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = open(folder.path()).await;
    let digest = uploaded(&village, guest("echo").to_vec()).await;
    let rate = async |kind: &str, at_once: u32, each: u32| {
        let (mut tasks, begun) = (JoinSet::new(), Instant::now());
        for task in 0..at_once {
            let (village, kind) = (village.clone(), kind.to_string());
            tasks.spawn(async move {
                for number in 0..each {
                    let wanted = deployment(&format!("{kind}-{task}-{number}"), digest);
                    village.deploy(wanted).await.unwrap_or_else(|error| panic!("{error}"));
                }
            });
        }
        tasks.join_all().await;
        f64::from(at_once * each) / begun.elapsed().as_secs_f64()
    };
    let alone = rate("alone", 1, 100).await;
    let together = rate("together", 32, 25).await;
    println!("{alone:.0} deploys a second one after the other, {together:.0} with 32 at once");
    assert_eq!(names(&village).len(), 900);
    let before = names(&village);
    close(village).await;
    let village = open(folder.path()).await;
    assert_eq!(names(&village), before);
    close(village).await;
}

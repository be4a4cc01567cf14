//! Many whole villages in one process, each with as many connections as it has by default.

use super::Size;
use super::bare::Way;
use super::pair::{deploy, mesh, until, village};
use crate::density::resident;
use crate::report::{Bar, Row, percentile, sorted};
use crate::village::ECHO;
use crate::{Error, Rows};
use ::mesh::{Message, Settings, Topic};
use hall::Village;
use std::time::{Duration, Instant};

const TOPIC: &str = "news";

pub(super) async fn measure(size: Size) -> Rows {
    let folder = tempfile::tempdir()?;
    let cache = folder.path().join("native");
    let before = resident()? as f64;
    let mut all = Vec::new();
    for number in 0..size.villages {
        let mut settings = Settings::new("");
        settings.listen = vec![Way::Tcp.listen().parse()?];
        let village = village(&folder.path().join(number.to_string()), &cache, 2, settings).await?;
        deploy(&village, "echo", ECHO, &["public"]).await?;
        all.push(village);
    }
    let open = mesh(&all[0])?.invite(size.villages as u32, Duration::from_secs(600)).await?;
    for village in &all[1..] {
        mesh(village)?.join(&open).await?;
    }
    let begun = Instant::now();
    let mut topics = Vec::new();
    for village in &all {
        topics.push(mesh(village)?.subscribe(TOPIC).await?);
    }
    let known = known(&all, begun).await?;
    let each = (resident()? as f64 - before) / size.villages as f64 / f64::from(1 << 20);
    let heard = published(size, &all, &mut topics).await?;
    let mut links = Vec::new();
    for village in &all {
        links.push(mesh(village)?.links().await?.len() as f64);
    }
    for village in &all {
        village.stop(Duration::from_secs(1)).await;
    }
    drop(topics);
    for village in all {
        village.close().await?;
    }
    let (count, links) = (size.villages, sorted(links));
    let linked = format!("whole villages in one process, {} to {} links each", links[0], percentile(&links, 1.0));
    let late = percentile(&heard, 0.99);
    let beside =
        format!("{} messages of 1 KiB, one after another; p50 {:.3} s", size.published, percentile(&heard, 0.5));
    Ok(vec![
        Row::judged(
            format!("mesh: {count} villages: published until heard by each, p99"),
            "s",
            late,
            beside,
            Bar::AtMost(2.0),
        )
        .spread(&heard),
        Row::judged(
            format!("mesh: {count} villages: directory complete, after the last has joined"),
            "s",
            percentile(&known, 1.0),
            linked,
            Bar::AtMost(10.0),
        )
        .spread(&known),
        Row::judged(
            format!("mesh: {count} villages: memory of each, idle"),
            "MiB",
            each,
            "resident, with an agent asleep and the others' cards",
            Bar::Stated,
        ),
    ])
}

/// Seconds until each village knew the agents of all others.
async fn known(all: &[Village], begun: Instant) -> Result<Vec<f64>, Error> {
    let mut took = Vec::new();
    for village in all {
        let mesh = mesh(village)?;
        until("each knows the agents of all", || async {
            let present = mesh.present().await?;
            Ok(present.iter().filter(|other| other.peer != mesh.peer() && !other.cards.is_empty()).count() + 1
                >= all.len())
        })
        .await?;
        took.push(begun.elapsed().as_secs_f64());
    }
    Ok(took)
}

/// Seconds until each village had heard each of some messages, sorted.
async fn published(size: Size, all: &[Village], topics: &mut [Topic]) -> Result<Vec<f64>, Error> {
    let mut took = Vec::new();
    for number in 0..size.published {
        let begun = Instant::now();
        mesh(&all[number * 7 % all.len()])?.publish(Message::new(TOPIC, vec![1; 1024])).await?;
        for topic in topics.iter_mut() {
            let heard = tokio::time::timeout(Duration::from_secs(60), topic.next()).await;
            heard.map_err(|_| "a message is heard within a minute")?.ok_or("the mesh is there")?;
            took.push(begun.elapsed().as_secs_f64());
        }
    }
    Ok(sorted(took))
}

//! The last part of the demo: two villages. An agent of one asks one of the other, and tells it what arrives there once, though
//! that village was away.

use super::Meters;
use super::cast::{Row, named};
use crate::print;
use crate::problem::Problem;
use guest::{Host, Payload, Pool};
use hall::{Deployment, Letter, MeshConfig, Options, Village};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Questions that are asked there, and lines that are told while nobody is there.
const ASKED: usize = 20;
const TOLD: usize = 5;

/// How long anything may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it is waited whether a line comes once more.
const AFTER: Duration = Duration::from_millis(500);

/// This machine, at any port: the two meet here.
const HERE: &str = "/ip4/127.0.0.1/tcp/0";

const QUESTION: &str = r#"{"below": 20000}"#;

/// What came of the questions.
struct Answers {
    took: Vec<Duration>,
    good: usize,
}

/// Has the two meet, talk, part and meet again.
pub(super) async fn play(meters: Meters) -> Result<Row, Problem> {
    let say = |text: &str| {
        if meters != Meters::Off {
            print::line(text);
        }
    };
    let broken = |error: std::io::Error| Problem::new("file", format!("the demo's folder: {error}"));
    let folder = tempfile::tempdir().map_err(broken)?;
    let there = folder.path().join("away");
    let (home, away) = (begin(&folder.path().join("home")).await?, begin(&there).await?);
    say("A second village is invited and joins; an agent of the first asks one over there.");
    let invited = home.invite(1, Duration::from_secs(60)).await?;
    away.join(&invited.token).await?;
    let peer = away.mesh_figures().await?.peer;
    deploy(&home, "messenger", "agents=*@*").await?;
    deploy(&away, "messenger", "public").await?;
    deploy(&away, "apprentice", "public").await?;
    let answers = ask_over(&home, &format!("apprentice@{peer}")).await?;
    say(&format!("The second village goes away; {TOLD} messages are told to an agent of it, and it comes back."));
    end(away).await?;
    for n in 0..TOLD {
        let news = json!({ "to": format!("messenger@{peer}"), "text": line(n) });
        asked(&home, "messenger", "tell", &news.to_string()).await?;
    }
    let away = begin(&there).await?;
    let back = Instant::now();
    let mut kept = kept(&away).await?;
    while kept.len() < TOLD && back.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
        kept = self::kept(&away).await?;
    }
    let took = back.elapsed();
    tokio::time::sleep(AFTER).await;
    let kept = self::kept(&away).await?;
    end(home).await?;
    end(away).await?;
    Ok(row(&answers, &kept, took))
}

async fn begin(data: &Path) -> Result<Village, Problem> {
    let listen = MeshConfig::listen(HERE).map_err(|bad| Problem::new("internal", bad))?;
    let mesh = Some(MeshConfig { listen, ..MeshConfig::default() }.settings());
    let options = Options { data: data.into(), mesh, ..Options::default() };
    Ok(Village::begin(Host::builder().pool(Pool::Slots(8)), options).await?)
}

async fn end(village: Village) -> Result<(), Problem> {
    village.stop(Duration::from_secs(5)).await;
    Ok(village.close().await?)
}

async fn deploy(village: &Village, agent: &str, grant: &str) -> Result<(), Problem> {
    let bundled = named(agent)?;
    let uploaded = village.upload(bundled.component.to_vec()).await?;
    let deployment = Deployment {
        digest: uploaded.digest.parse().ok(),
        manifest: Some((bundled.text().into(), bundled.path())),
        grants: vec![grant.into()],
        ..Deployment::default()
    };
    village.deploy(deployment).await?;
    Ok(())
}

async fn asked(village: &Village, agent: &str, skill: &str, body: &str) -> Result<Value, Problem> {
    let payload = Payload { content_type: "application/json".into(), body: body.into() };
    let payload = village.ask(agent, Letter::new(skill, payload)).await?.outcome?;
    // One that says nothing says null.
    Ok(serde_json::from_slice(&payload.body).unwrap_or_default())
}

/// Asks through the agent of the first village, which waits until it knows of the other one.
async fn ask_over(home: &Village, to: &str) -> Result<Answers, Problem> {
    let errand = json!({ "to": to, "skill": "primes", "input": QUESTION }).to_string();
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match asked(home, "messenger", "ask", &errand).await {
            Ok(_) => break,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    let mut answers = Answers { took: Vec::new(), good: 0 };
    for _ in 0..ASKED {
        let begun = Instant::now();
        let answer = asked(home, "messenger", "ask", &errand).await;
        answers.took.push(begun.elapsed());
        let primes = answer.ok().and_then(|answer| {
            let answer = answer.as_str().map_or(answer.clone(), |text| serde_json::from_str(text).unwrap_or_default());
            answer["primes"].as_u64()
        });
        answers.good += usize::from(primes == Some(2262));
    }
    answers.took.sort_unstable();
    Ok(answers)
}

fn line(n: usize) -> String {
    format!("line {}", n + 1)
}

/// What the agent of the second village was told, in order.
async fn kept(away: &Village) -> Result<Vec<String>, Problem> {
    let kept = asked(away, "messenger", "kept", "null").await?;
    let texts = kept.as_array().cloned().unwrap_or_default();
    Ok(texts.iter().filter_map(|text| text.as_str().map(String::from)).collect())
}

fn row(answers: &Answers, kept: &[String], took: Duration) -> Row {
    let wanted: Vec<_> = (0..TOLD).map(line).collect();
    let once = kept == wanted;
    let p50 = crate::json::ms(answers.took.get(answers.took.len() / 2).copied().unwrap_or_default());
    let back = crate::json::ms(took);
    let order = if once { "each once, in order" } else { "NOT each once and in order" };
    Row {
        agent: "messenger",
        tried: format!("to ask another village {ASKED} times, and tell it {TOLD} lines while it was away"),
        budget: "answered; told once, in order".into(),
        got: format!(
            "{} answered, p50 {p50:.1} ms; {} of {TOLD} arrived, {order}, {back:.0} ms after it was back",
            answers.good,
            kept.len()
        ),
        held: answers.good == ASKED && once,
        figures: json!({
            "asked": ASKED,
            "answered": answers.good,
            "p50_ms": p50,
            "told": TOLD,
            "arrived": kept.len(),
            "once": once,
            "back_ms": back,
        }),
    }
}

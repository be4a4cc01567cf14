//! Asks and tells other agents, also of other villages, and keeps what it is told.

use serde::{Deserialize, Serialize};
use village::{Failure, Schema, agent, agents, state};

#[derive(Default)]
struct Messenger;

/// What to ask, and whom.
#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
struct Errand {
    /// An agent, as NAME, NAME@VILLAGE or skill:NAME.
    to: String,
    /// The skill that it is asked for.
    skill: String,
    /// What it is given, as JSON.
    input: String,
}

/// What to tell, and whom.
#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
struct News {
    /// An agent, as NAME or NAME@VILLAGE: another one of these.
    to: String,
    /// A line.
    text: String,
}

/// What to keep.
#[derive(Deserialize, Serialize, Schema)]
#[serde(deny_unknown_fields)]
struct Line {
    /// A line.
    text: String,
}

/// Lines that it keeps; the oldest go first.
const MOST: u64 = 1_000;

/// Asks and tells other agents, also of other villages, and keeps what it is told.
#[agent(name = "messenger", version = "0.1.0", role = "messenger", tags = ["demo"])]
impl Messenger {
    /// Asks another agent, and answers what it said.
    #[skill(example = r#"{"to": "apprentice", "skill": "primes", "input": "{\"below\": 1000}"}"#)]
    fn ask(&mut self, errand: Errand) -> Result<String, Failure> {
        let request = agents::Request::to(&errand.to).skill(&errand.skill).payload(errand.input.as_str());
        let answer = request.ask()?.wait()?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Has another one keep a line, once: it leaves when this turn ends well, and is brought there whenever that is possible.
    #[skill(example = r#"{"to": "messenger@12D3", "text": "a line"}"#)]
    fn tell(&mut self, news: News) -> Result<(), Failure> {
        agents::tell(&news.to, "keep", &Line { text: news.text })?;
        Ok(())
    }

    /// Keeps a line.
    #[skill(example = r#"{"text": "a line"}"#)]
    fn keep(&mut self, line: Line) -> Result<(), Failure> {
        let count = state::get::<u64>("count")?.unwrap_or(0);
        state::set(&name(count), &line.text)?;
        if count >= MOST {
            state::delete(&name(count - MOST))?;
        }
        state::set("count", &(count + 1))?;
        Ok(())
    }

    /// The lines that it was told, in the order in which they came.
    #[skill(example = "null")]
    fn kept(&mut self) -> Result<Vec<String>, Failure> {
        state::scan::<String>("line/").map(|line| Ok(line?.1)).collect()
    }
}

fn name(count: u64) -> String {
    format!("line/{count:020}")
}

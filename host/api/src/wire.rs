//! What goes over the wire: the same words for the server and its clients.

use crate::error::{Error, bad};
pub use crate::mesh::{Adopted, Fetch, NewAdoption, NewInvitation, Peer, Peers, Token};
pub use crate::models::{
    ConsideredModel, MeasuredModel, MeasuredModels, ModelRow, Models, NewMeasure, NewRoute, Routed,
};
pub use crate::records::{Erasure, Replay};
pub use crate::scale::NewScale;
pub use crate::spaces::{Cleared, NewClearing, Spaces};
pub use crate::votes::{NewProposal, NewVote, Polls};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guest::{Memory, Payload, Plan, Priority, Receipt};
use hall::{Came, DeadLetter, Details, GroupFigures, Letter, Spoken, Stamped, VersionFigures};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// An agent to be deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NewAgent {
    /// Its component: the digest that an upload answered.
    pub digest: String,
    /// Its name: the manifest's, or what the agent calls itself, unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its `agent.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestText>,
    /// Fields of its budget, over the manifest's.
    #[serde(default)]
    pub budget: BTreeMap<String, String>,
    /// Grants beside the manifest's, as on a command line.
    #[serde(default)]
    pub grants: Vec<String>,
    /// The group that it shares a budget with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// An `agent.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestText {
    /// What is in it.
    pub text: String,
    /// Where it lies on the village's machine: folders that it names are relative to that.
    pub path: String,
}

/// Agents, some at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agents {
    /// In the order of their names.
    pub agents: Vec<Details>,
    /// Ask again with `after` set to this for more; none if these were the last.
    pub next: Option<String>,
}

/// The groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// In the order of their names.
    pub groups: Vec<GroupFigures>,
}

/// A message for an agent. Its payload is one of `input`, `text` and `base64`, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Message {
    /// The skill that is asked for.
    pub skill: String,
    /// Any JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// Text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// What the bytes are; of JSON and text it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Who sends it, as the agent is told.
    pub from: String,
    /// `low`, `normal`, `high` or `urgent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Whether nothing of it is kept: handled at most once, and faster.
    pub fast: bool,
    /// A second message with the same key is not handled: it gets the first one's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The sender's own number of this message: one that is not above its last is not handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The agent has it after so long, such as `10s`; nobody waits for its answer then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Or at this time, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// Whether to wait for the answer. Yes, unless it is said or the message is for later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
    /// For how long to wait, such as `10s`: a minute, unless it is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

/// How long somebody waits for an answer, unless it is said; and at most.
const WAIT: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3600);

/// A key is no longer than this.
const KEY: usize = 256;

impl Message {
    /// How long to wait for its answer.
    pub(crate) fn patience(&self) -> Result<Duration, Error> {
        let Some(text) = &self.timeout else { return Ok(WAIT) };
        let span = base::span(text).map_err(|problem| bad(format!("`timeout`: {problem}")))?;
        match span <= LONGEST {
            true => Ok(span),
            false => Err(bad(format!("`timeout`: {text} is more than an hour"))),
        }
    }

    /// The same as the village takes it.
    pub(crate) fn letter(self) -> Result<Letter, Error> {
        let Message {
            skill,
            input,
            text,
            base64,
            content_type,
            from,
            priority,
            fast,
            key,
            sequence,
            after,
            at,
            wait,
            timeout: _,
        } = self;
        let due = crate::records::due(after.as_deref(), at)?;
        if due.is_some() && (fast || wait == Some(true)) {
            return Err(bad("a message for later is kept, and nobody waits for its answer: no `fast`, no `wait`"));
        }
        let priority = match priority.as_deref() {
            None | Some("normal") => Priority::Normal,
            Some("low") => Priority::Low,
            Some("high") => Priority::High,
            Some("urgent") => Priority::Urgent,
            Some(other) => return Err(bad(format!("`priority`: `{other}` is none of low, normal, high, urgent"))),
        };
        if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > KEY) {
            return Err(bad(format!("`key`: a key has 1 to {KEY} bytes")));
        }
        if sequence.is_some() && (fast || from.is_empty()) {
            let said =
                "`sequence` numbers one sender's messages that are kept: say who it is, as `from`, and not `fast`";
            return Err(bad(said));
        }
        let (kind, body) = match (input, text, base64) {
            (None, None, None) => ("", Vec::new()),
            (Some(input), None, None) => ("application/json", input.to_string().into_bytes()),
            (None, Some(text), None) => ("text/plain; charset=utf-8", text.into_bytes()),
            (None, None, Some(text)) => {
                ("application/octet-stream", STANDARD.decode(text).map_err(|_| bad("`base64` is not base64"))?)
            }
            _ => return Err(bad("a message has one of `input`, `text` and `base64`, and not two of them")),
        };
        let content_type = content_type.unwrap_or_else(|| kind.into());
        Ok(Letter { from, skill, payload: Payload { content_type, body }, priority, fast, key, sequence, due })
    }
}

/// A message that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Its id.
    pub id: String,
}

/// What an agent answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The message's id.
    pub id: String,
    /// Whether this is the answer to an earlier message of the same key.
    pub repeated: bool,
    /// The answer.
    pub reply: Body,
    /// What the turn used.
    pub usage: Usage,
}

/// Bytes, and what they are: as JSON if they say so, else as text, else in base64.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Body {
    /// A media type. Empty if nobody said.
    pub content_type: String,
    /// JSON, or text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// Bytes that are neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

impl From<Payload> for Body {
    fn from(payload: Payload) -> Body {
        let Payload { content_type, body } = payload;
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        let is_json = kind == "application/json" || kind.ends_with("+json");
        let parsed = if is_json { serde_json::from_slice::<Value>(&body).ok() } else { None };
        let shown = parsed.map_or_else(|| String::from_utf8(body).map(Value::String), Ok);
        match shown {
            Ok(value) => Body { content_type, body: Some(value), body_base64: None },
            Err(bytes) => Body { content_type, body: None, body_base64: Some(STANDARD.encode(bytes.into_bytes())) },
        }
    }
}

impl Body {
    /// The bytes, as they would be written to a file. JSON is written anew.
    pub fn bytes(&self) -> Vec<u8> {
        match (&self.body, &self.body_base64) {
            (Some(Value::String(text)), _) if !self.content_type.contains("json") => text.clone().into_bytes(),
            (Some(value), _) => value.to_string().into_bytes(),
            (None, Some(text)) => STANDARD.decode(text).unwrap_or_default(),
            (None, None) => Vec::new(),
        }
    }
}

/// What a turn used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time.
    pub cpu_ms: f64,
    /// Time of the graphics processor.
    pub gpu_ms: f64,
    /// Tokens of models, read and written together.
    #[serde(default)]
    pub tokens: u64,
    /// Wall time, waiting included.
    pub wall_ms: f64,
    /// The most memory held at once.
    pub memory_peak_bytes: u64,
}

impl From<Receipt> for Usage {
    fn from(receipt: Receipt) -> Usage {
        let ms = |span: Duration| span.as_micros() as f64 / 1e3;
        let Receipt { cpu, gpu, tokens, wall, memory } = receipt;
        Usage { cpu_ms: ms(cpu), gpu_ms: ms(gpu), tokens, wall_ms: ms(wall), memory_peak_bytes: memory }
    }
}

impl TryFrom<Came> for Reply {
    type Error = Error;

    fn try_from(came: Came) -> Result<Reply, Error> {
        let Came { id, outcome, receipt, repeated } = came;
        let payload = outcome.map_err(hall::Error::Failed)?;
        Ok(Reply { id, repeated, reply: payload.into(), usage: receipt.into() })
    }
}

/// Lines of an agent's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Lines that are gone.
    pub lost: u64,
    /// The lines.
    pub lines: Vec<Stamped<Spoken>>,
}

/// What an agent is, in its own words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// What it calls itself.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// What it is for, in a word.
    pub role: String,
    /// A sentence or two.
    pub description: String,
    /// What it can do.
    pub skills: Vec<Skill>,
    /// Words to find it by.
    pub tags: Vec<String>,
}

/// One thing that an agent can be asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skill {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON schema of the input; null if it takes any bytes.
    pub input: Value,
    /// JSON schema of the output; null if it may be any bytes.
    pub output: Value,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Inputs to learn from.
    pub examples: Vec<Value>,
}

/// The JSON in a text, or the text itself; null if it is empty.
fn or_text(text: String) -> Value {
    match text.as_str() {
        "" => Value::Null,
        _ => serde_json::from_str(&text).unwrap_or(Value::String(text)),
    }
}

impl From<guest::Card> for Card {
    fn from(card: guest::Card) -> Card {
        let guest::Card { name, version, role, description, skills, tags } = card;
        let skills = skills.into_iter().map(|skill| Skill {
            name: skill.name,
            description: skill.description,
            input: or_text(skill.input),
            output: or_text(skill.output),
            tags: skill.tags,
            examples: skill.examples.into_iter().map(or_text).collect(),
        });
        Card { name, version, role, description, skills: skills.collect(), tags }
    }
}

/// Another component for an agent, and what it has to show first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NewVersion {
    /// The digest that an upload answered.
    pub digest: String,
    /// So many messages it handles too, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<u32>,
    /// The part of senders whose messages it handles alone then, such as `10%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
    /// So many messages the canary is judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u32>,
    /// The part of messages that may go without a reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<String>,
    /// What 99 of 100 turns may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_p99: Option<String>,
    /// Shadow and canary are over within this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// What becomes of memory: `carried`, `carried-or-cold` or `cold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Whether it may lack a skill that the old one has.
    #[serde(default)]
    pub fewer_skills: bool,
    /// Fields of `[turns]` that change if it takes over.
    #[serde(default)]
    pub turns: BTreeMap<String, String>,
}

impl NewVersion {
    /// The same as the host takes it.
    pub(crate) fn plan(&self) -> Result<Plan, Error> {
        let part =
            |field: &str, text: &str| text.parse().map_err(|problem: base::Bad| bad(format!("`{field}`: {problem}")));
        let span = |field: &str, text: &str| base::span(text).map_err(|problem| bad(format!("`{field}`: {problem}")));
        let mut plan = Plan { fewer_skills: self.fewer_skills, ..Plan::default() };
        plan.shadow = self.shadow.unwrap_or(plan.shadow);
        plan.window = self.window.unwrap_or(plan.window);
        if let Some(text) = &self.canary {
            plan.canary = part("canary", text)?;
        }
        if let Some(text) = &self.max_failures {
            plan.max_failures = part("max-failures", text)?;
        }
        if let Some(text) = &self.max_p99 {
            plan.max_p99 = span("max-p99", text)?;
        }
        if let Some(text) = &self.within {
            plan.within = span("within", text)?;
        }
        plan.memory = match self.memory.as_deref() {
            None | Some("carried") => Memory::Carried,
            Some("carried-or-cold") => Memory::CarriedOrCold,
            Some("cold") => Memory::Cold,
            Some(other) => return Err(bad(format!("`memory`: `{other}` is none of carried, carried-or-cold, cold"))),
        };
        Ok(plan)
    }
}

/// An agent's versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The one to come, the one that serves, and those before, the newest first.
    pub versions: Vec<VersionFigures>,
}

/// Whether a swap that was under way is called off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Whether there was one.
    pub cancelled: bool,
}

/// Messages that were given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetters {
    /// The oldest of each agent first.
    pub letters: Vec<DeadLetter>,
}

/// Where a backup goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupTo {
    /// A folder of the village's machine, by its whole path, that is empty or not there.
    pub folder: String,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// See below.
    pub error: Reason,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The word that programs know it by.
    pub kind: String,
    /// The same for people, in one line.
    pub message: String,
    /// More for programs; null if there is nothing to add.
    #[serde(default)]
    pub details: Value,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn letter(message: Value) -> Result<Letter, String> {
        let message: Message = serde_json::from_value(message).map_err(|error| error.to_string())?;
        message.letter().map_err(|error| error.to_string())
    }

    #[test]
    fn a_payload_is_json_or_text_or_bytes() {
        let given = |message: Value| {
            let payload = letter(message).expect("it is good").payload;
            (payload.content_type, payload.body)
        };
        assert_eq!(given(json!({})), (String::new(), Vec::new()));
        assert_eq!(given(json!({ "input": { "a": 1 } })), ("application/json".into(), b"{\"a\":1}".to_vec()));
        assert_eq!(given(json!({ "text": "hi" })), ("text/plain; charset=utf-8".into(), b"hi".to_vec()));
        assert_eq!(given(json!({ "base64": "/w==", "content-type": "x/y" })), ("x/y".into(), vec![255]));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (message, said) in [
            (json!({ "text": "a", "input": 1 }), "one of `input`"),
            (json!({ "base64": "%" }), "not base64"),
            (json!({ "priority": "loud" }), "`loud` is none of low"),
            (json!({ "key": "" }), "1 to 256"),
            (json!({ "skil": "x" }), "unknown field `skil`"),
        ] {
            let refused = letter(message).expect_err(said);
            assert!(refused.contains(said), "{refused}");
        }
        let wait = |text: &str| Message { timeout: Some(text.into()), ..Message::default() }.patience();
        assert!(wait("2h").is_err() && wait("soon").is_err());
        assert_eq!(wait("250ms").ok(), Some(Duration::from_millis(250)));
    }

    #[test]
    fn a_body_is_shown_as_what_it_is_and_can_be_had_again() {
        let body = |kind: &str, bytes: &[u8]| Body::from(Payload { content_type: kind.into(), body: bytes.into() });
        assert_eq!(body("application/json; charset=utf-8", b"{\"a\":1}").body, Some(json!({ "a": 1 })));
        assert_eq!(body("application/json", b"{").body, Some(json!("{")));
        assert_eq!(body("", &[255]).body_base64.as_deref(), Some("/w=="));
        for (kind, bytes) in [("application/json", &b"{\"a\":1}"[..]), ("text/plain", b"hi"), ("", &[255, 0])] {
            assert_eq!(body(kind, bytes).bytes(), bytes);
        }
    }
}

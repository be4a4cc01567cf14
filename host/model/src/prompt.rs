//! What a model is asked, and what it answers: the words of `wit/model.wit`.

use crate::backend::guess;
use crate::error::Error;
use base::schema::Schema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Who says a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Who sets the model its task.
    System,
    /// Who asks.
    User,
    /// The model.
    Assistant,
    /// A tool that the model asked for.
    Tool,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// What the assistant asked for in this turn; empty for the other roles.
    pub calls: Vec<Call>,
    /// For a tool: the id of the call that this answers. Otherwise empty.
    pub answers: String,
}

impl Turn {
    /// A turn of plain text.
    pub fn new(role: Role, content: impl Into<String>) -> Turn {
        Turn { role, content: content.into(), calls: Vec::new(), answers: String::new() }
    }
}

/// A tool that the model may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// What the model calls it by.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// JSON schema of the arguments.
    pub parameters: String,
}

/// What a model asks a tool for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// What the answer refers to.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON.
    pub arguments: String,
}

/// What a model is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// A name or pattern; empty means whatever the policy and the grant allow.
    pub model: String,
    /// At least one.
    pub turns: Vec<Turn>,
    /// What it may ask for.
    pub tools: Vec<Tool>,
    /// A JSON schema that the text must satisfy.
    pub schema: Option<String>,
    /// At most this many tokens are written; at least one.
    pub max_tokens: u32,
    /// Texts before which the model stops.
    pub stop: Vec<String>,
    /// Thousandths; 0 always takes the likeliest token.
    pub temperature: u32,
    /// The same seed gives the same answer where the back end can do that.
    pub seed: Option<u64>,
    /// Must not leave this machine.
    pub private: bool,
}

/// What a prompt may have at most.
const TURNS: usize = 10_000;
const TOOLS: usize = 256;
const STOPS: usize = 16;
const STOP: usize = 1024;
const BYTES: usize = 16 << 20;
const WARMEST: u32 = 2000;

impl Prompt {
    /// One question, of no model in particular.
    pub fn ask(text: impl Into<String>, max_tokens: u32) -> Prompt {
        Prompt {
            model: String::new(),
            turns: vec![Turn::new(Role::User, text)],
            tools: Vec::new(),
            schema: None,
            max_tokens,
            stop: Vec::new(),
            temperature: 0,
            seed: None,
            private: false,
        }
    }

    /// The most tokens that it may take, read and written together.
    pub fn most(&self) -> u64 {
        guess(self.bytes()) + u64::from(self.max_tokens)
    }

    /// Says what makes no sense.
    pub fn check(&self) -> Result<(), Error> {
        let bad = |what: String| Err(Error::Invalid { what });
        let json = |text: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok();
        match () {
            () if self.turns.is_empty() => return bad("`turns` is empty".into()),
            () if self.turns.len() > TURNS => return bad(format!("there are more than {TURNS} turns")),
            () if self.turns.iter().all(|turn| turn.role == Role::System) => {
                return bad("`turns` has nobody who asks: they are all the system's".into());
            }
            () if self.max_tokens == 0 => return bad("`max-tokens` is 0".into()),
            () if self.temperature > WARMEST => return bad(format!("`temperature` is above {WARMEST}")),
            () if self.stop.len() > STOPS => return bad(format!("there are more than {STOPS} stops")),
            () if self.stop.iter().any(|stop| stop.is_empty() || stop.len() > STOP) => {
                return bad(format!("a stop is empty, or longer than {STOP} bytes"));
            }
            () if self.tools.len() > TOOLS => return bad(format!("there are more than {TOOLS} tools")),
            () if self.bytes() > BYTES => return bad(format!("it is larger than {}MiB", BYTES >> 20)),
            () if self.schema.as_ref().is_some_and(|schema| !json(schema)) => {
                return bad("`schema` is not a JSON object".into());
            }
            () => {}
        }
        if let Some(Err(why)) = self.schema.as_deref().map(Schema::parse) {
            return bad(format!("`schema`: {why}"));
        }
        let mut names = BTreeSet::new();
        for Tool { name, parameters, .. } in &self.tools {
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            if name.is_empty() || name.len() > 64 || !name.bytes().all(letter) {
                return bad(format!("the tool name `{}` is not 1 to 64 of A to Z, a to z, 0 to 9, _ and -", cut(name)));
            }
            if !names.insert(name) {
                return bad(format!("there are two tools `{name}`"));
            }
            if !json(parameters) {
                return bad(format!("the parameters of tool `{name}` are not a JSON object"));
            }
            if let Err(why) = Schema::parse(parameters) {
                return bad(format!("the parameters of tool `{name}`: {why}"));
            }
        }
        self.check_calls()
    }

    /// Each answer of a tool must be to a call that was made before.
    fn check_calls(&self) -> Result<(), Error> {
        let mut made = BTreeSet::new();
        for (at, turn) in self.turns.iter().enumerate() {
            let bad = |what: &str| Err(Error::Invalid { what: format!("turn {at} {what}") });
            match turn.role {
                Role::Tool if !made.contains(turn.answers.as_str()) => {
                    return bad("answers a call that was not made before");
                }
                Role::Tool => {}
                _ if !turn.answers.is_empty() => return bad("answers a call, and is not a tool's"),
                Role::Assistant => {}
                _ if !turn.calls.is_empty() => return bad("makes a call, and is not the assistant's"),
                _ => {}
            }
            for call in &turn.calls {
                if serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_err() {
                    return bad("makes a call with arguments that are not JSON");
                }
                made.insert(call.id.as_str());
            }
        }
        Ok(())
    }

    /// The bytes of all that the model would read.
    pub fn bytes(&self) -> usize {
        let calls = |turn: &Turn| turn.calls.iter().map(|call| call.name.len() + call.arguments.len()).sum::<usize>();
        let turns: usize = self.turns.iter().map(|turn| turn.content.len() + calls(turn)).sum();
        let tools: usize =
            self.tools.iter().map(|tool| tool.name.len() + tool.description.len() + tool.parameters.len()).sum();
        turns + tools + self.schema.as_ref().map_or(0, String::len)
    }

    /// Whether the same prompt has the same answer.
    pub fn repeatable(&self) -> bool {
        self.temperature == 0 || self.seed.is_some()
    }
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finish {
    /// It had said all, or came to a text that it was to stop at.
    Stop,
    /// It had written as much as it was allowed.
    Length,
    /// It asks for tools.
    Calls,
    /// It would not answer.
    Refused,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// All that it wrote.
    pub text: String,
    /// The tools that it asks for.
    pub calls: Vec<Call>,
    /// Why it stopped.
    pub finish: Finish,
    /// The model that answered.
    pub model: String,
    /// Tokens that it read.
    pub tokens_in: u64,
    /// Tokens that it wrote.
    pub tokens_out: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(change: impl FnOnce(&mut Prompt)) -> String {
        let mut prompt = Prompt::ask("hello", 10);
        assert_eq!(prompt.check(), Ok(()));
        change(&mut prompt);
        prompt.check().expect_err("it is refused").to_string()
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_part_that_does_not() {
        let tool = |name: &str, parameters: &str| Tool {
            name: name.into(),
            description: String::new(),
            parameters: parameters.into(),
        };
        assert_eq!(said(|prompt| prompt.turns.clear()), "`turns` is empty");
        assert_eq!(said(|prompt| prompt.max_tokens = 0), "`max-tokens` is 0");
        assert!(said(|prompt| prompt.turns[0].role = Role::System).contains("nobody who asks"));
        assert!(said(|prompt| prompt.temperature = 2001).contains("temperature"));
        assert!(said(|prompt| prompt.stop = vec![String::new()]).contains("stop"));
        assert!(said(|prompt| prompt.schema = Some("[1]".into())).contains("schema"));
        let misspelt = "{\"type\": \"strin\"}";
        assert!(said(|prompt| prompt.schema = Some(misspelt.into())).contains("`schema`: `type`: there is no type"));
        assert!(said(|prompt| prompt.tools = vec![tool("a", misspelt)]).contains("did you mean `string`?"));
        assert!(said(|prompt| prompt.tools = vec![tool("a b", "{}")]).contains("`a b`"));
        assert!(said(|prompt| prompt.tools = vec![tool("a", "{}"), tool("a", "{}")]).contains("two tools `a`"));
        assert!(said(|prompt| prompt.tools = vec![tool("a", "nothing")]).contains("parameters of tool `a`"));
        assert!(said(|prompt| prompt.turns[0].content = "x".repeat(BYTES + 1)).contains("16MiB"));
        let answer = Turn { answers: "1".into(), ..Turn::new(Role::Tool, "42") };
        assert_eq!(said(|prompt| prompt.turns.push(answer.clone())), "turn 1 answers a call that was not made before");
        let call = Call { id: "1".into(), name: "a".into(), arguments: "{".into() };
        let asked = Turn { calls: vec![call.clone()], ..Turn::new(Role::Assistant, "") };
        assert!(said(|prompt| prompt.turns.push(asked)).contains("not JSON"));
        let asked = Turn { calls: vec![call.clone()], ..Turn::new(Role::User, "") };
        assert!(said(|prompt| prompt.turns.push(asked)).contains("not the assistant's"));
        let call = Call { arguments: "{}".into(), ..call };
        let mut whole = Prompt::ask("hello", 10);
        whole.turns.extend([Turn { calls: vec![call], ..Turn::new(Role::Assistant, "") }, answer]);
        assert_eq!(whole.check(), Ok(()));
    }
}

//! What a model is asked, and what it answers: the words of `wit/model.wit`.

use serde::{Deserialize, Serialize};

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

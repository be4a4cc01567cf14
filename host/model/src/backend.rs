//! What every back end can do, wherever its models run.
//!
//! A call is one future: dropping it stops the model, and it ends by itself when its time is up.

use crate::error::Error;
use crate::prompt::{Completion, Prompt};
use async_trait::async_trait;
use tokio::time::Instant;

/// A model of a back end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As the back end calls it, without `local/` or `cloud/`.
    pub name: String,
    /// Tokens that fit in its window.
    pub context: u32,
    /// Whether it makes vectors; otherwise it writes.
    pub embeds: bool,
    /// Whether nothing that it is given leaves this machine.
    pub local: bool,
}

/// One call, as a back end gets it.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The model, as the back end calls it. What the prompt says about it does not matter any more.
    pub model: &'a str,
    /// What is asked.
    pub prompt: &'a Prompt,
    /// When the answer must be there. The back end keeps to it by itself.
    pub until: Instant,
}

/// Who reads along while a model writes.
pub trait Reader: Send {
    /// The next text, which is never empty. Together they are the text of the completion.
    fn text(&mut self, text: &str);

    /// The model shows that it is at work, by something that is no text: a part of a call, a thought. The first sign of
    /// life counts as its first token.
    fn alive(&mut self) {}
}

/// Nobody reads along.
impl Reader for () {
    fn text(&mut self, _text: &str) {}
}

impl Reader for String {
    fn text(&mut self, text: &str) {
        self.push_str(text);
    }
}

/// Vectors of texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// One a text, in their order, all of the same length.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that were read.
    pub tokens: u64,
}

/// How many tokens a model counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// So many.
    pub tokens: u64,
    /// Whether the model's own tokenizer counted. Otherwise it is a guess, and rather too high than too low.
    pub exact: bool,
}

/// Where models run. Errors never hold a key, an address or a part of a prompt.
#[async_trait]
pub trait Backend: Send + Sync {
    /// What it is called in the configuration.
    fn name(&self) -> &str;

    /// Its models.
    async fn list(&self, until: Instant) -> Result<Vec<Listed>, Error>;

    /// Completes a prompt, and tells the reader each piece as it is written.
    ///
    /// A private prompt is only taken for a model that is local. The text stops before any of the prompt's stops, has at
    /// most so many tokens as the prompt says, and is bounded in bytes whatever the model does. A back end that writes
    /// what must fit a schema by it, rather than asking for it, ends where the schema does, whatever the stops.
    async fn complete(&self, ask: Ask<'_>, reader: &mut dyn Reader) -> Result<Completion, Error>;

    /// One vector a text. No texts give no vectors. `private` as in a prompt.
    async fn embed(&self, model: &str, texts: &[String], private: bool, until: Instant) -> Result<Embedded, Error>;

    /// Bytes of weights that a model reads for each token, and the threads that read them; none where that isn't known.
    fn weighs(&self, _model: &str) -> Option<(u64, usize)> {
        None
    }

    /// How many tokens the model would count. `private` as in a prompt.
    async fn count(&self, model: &str, text: &str, private: bool, until: Instant) -> Result<Counted, Error>;
}

/// A guess of how many tokens a text is: rather too high than too low.
pub fn guess(bytes: usize) -> u64 {
    // English has four bytes and more a token, source code three; scripts of several bytes a letter about as many.
    (bytes as u64).div_ceil(3)
}

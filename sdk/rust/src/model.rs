//! Language models. Grant: `model`, by pattern (`local/*`). Budget: `tokens` per minute.
//!
//! An agent never sees a key, an address, or another agent's prompts. Every function fails with `denied` if no grant covers a model
//! that would do, `limit` (`tokens`) when the allowance is used up, and `unavailable` when no back end answers.
//!
//! ```
//! use serde::Deserialize;
//! use village::model::Prompt;
//! use village::{Error, Schema};
//! # use village::test;
//!
//! #[derive(Deserialize, Schema)]
//! struct Verdict {
//!     spam: bool,
//! }
//!
//! fn is_spam(mail: &str) -> Result<bool, Error> {
//!     let prompt = Prompt::new(mail).system("Is this mail spam?").temperature(0.0).private();
//!     Ok(prompt.answer::<Verdict>()?.spam)
//! }
//! # let host = test::Host::new().with_model(|prompt| Ok(format!("{{\"spam\": {}}}", prompt.turns[1].content.contains("lottery"))));
//! # assert_eq!(host.enter(|| is_spam("You won the lottery")), Ok(true));
//! # assert_eq!(host.enter(|| is_spam("See you at noon")), Ok(false));
//! ```

use serde::de::DeserializeOwned;

use crate::bindings::village::agent::model as wit;
use crate::imports::model as host;
use crate::json;
use crate::schema::{self, Schema};
use crate::types::Error;

pub use wit::{Call, Completion, Finish, Listed, Role, Tool, Turn};

/// What a model is asked.
#[derive(Clone, Debug)]
#[must_use = "a model sees it by `complete`, `answer` or `write`"]
pub struct Prompt(wit::Prompt);

impl Prompt {
    /// One turn of the user's. Whatever model the policy and the grant allow, at most 1024 tokens, temperature 0.7.
    pub fn new(text: &str) -> Prompt {
        Prompt(wit::Prompt {
            model: String::new(),
            turns: vec![turn(Role::User, text)],
            tools: Vec::new(),
            schema: None,
            max_tokens: 1024,
            stop: Vec::new(),
            temperature: 700,
            seed: None,
            private: false,
        })
    }

    /// What the model is told before all else.
    pub fn system(mut self, text: &str) -> Prompt {
        self.0.turns.insert(0, turn(Role::System, text));
        self
    }

    /// A name or pattern, such as `local/*`.
    pub fn model(mut self, pattern: &str) -> Prompt {
        self.0.model = pattern.to_owned();
        self
    }

    /// One more turn of the conversation.
    pub fn turn(mut self, turn: Turn) -> Prompt {
        self.0.turns.push(turn);
        self
    }

    /// One more turn of text.
    pub fn say(self, role: Role, text: &str) -> Prompt {
        self.turn(turn(role, text))
    }

    /// A tool that the model may ask for, whose arguments are a `T`. What it asks for is in [`Completion::calls`].
    pub fn tool<T: Schema>(mut self, name: &str, description: &str) -> Prompt {
        let parameters = schema::input::<T>();
        self.0.tools.push(Tool { name: name.to_owned(), description: description.to_owned(), parameters });
        self
    }

    /// At most this many tokens are written; 0 fails with `invalid`.
    pub fn max_tokens(mut self, tokens: u32) -> Prompt {
        self.0.max_tokens = tokens;
        self
    }

    /// Where the model stops. May be said several times.
    pub fn stop(mut self, text: &str) -> Prompt {
        self.0.stop.push(text.to_owned());
        self
    }

    /// 0 always takes the likeliest token. Kept in thousandths.
    pub fn temperature(mut self, temperature: f32) -> Prompt {
        self.0.temperature = (temperature.max(0.0) * 1000.0) as u32;
        self
    }

    /// The same seed gives the same answer where the back end can do that.
    pub fn seed(mut self, seed: u64) -> Prompt {
        self.0.seed = Some(seed);
        self
    }

    /// Must not leave this machine.
    pub fn private(mut self) -> Prompt {
        self.0.private = true;
        self
    }

    /// Waits for the whole answer.
    pub fn complete(&self) -> Result<Completion, Error> {
        host::complete(&self.0)
    }

    /// Waits for an answer that is a `T`. A model that did not keep to it is told so, and asked once more; fails with
    /// `unreadable` if that did not help.
    pub fn answer<T: DeserializeOwned + Schema>(mut self) -> Result<T, Error> {
        self.0.schema = Some(schema::input::<T>());
        let first = self.complete()?;
        match first.read() {
            Err(Error::Unreadable(why)) => {
                let again =
                    format!("This can't be read: {why}. Answer with JSON that fits the schema, and nothing else.");
                self.say(Role::Assistant, &first.text).say(Role::User, &again).complete()?.read()
            }
            read => read,
        }
    }

    /// Begins, and does not wait.
    pub fn write(&self) -> Result<Writing, Error> {
        host::write(&self.0).map(|writing| Writing { host: writing, done: None })
    }
}

/// Asks whatever model the policy and the grant allow, and waits for its text.
///
/// ```
/// # let host = village::test::Host::new().with_model(|prompt| Ok(prompt.turns[0].content.to_uppercase()));
/// # host.enter(|| {
/// assert_eq!(village::model::ask("shout")?, "SHOUT");
/// # Ok::<_, village::Error>(())
/// # }).unwrap();
/// ```
pub fn ask(text: &str) -> Result<String, Error> {
    Ok(Prompt::new(text).complete()?.text)
}

fn turn(role: Role, text: &str) -> Turn {
    Turn { role, content: text.to_owned(), calls: Vec::new(), answers: String::new() }
}

impl Completion {
    /// The text as JSON. Fails with `unreadable`, which names the field.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::read(self.text.as_bytes()).map_err(|fault| Error::Unreadable(fault.text()))
    }
}

impl Call {
    /// The arguments as JSON. Fails with `unreadable`, which names the field.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::read(self.arguments.as_bytes()).map_err(|fault| Error::Unreadable(fault.text()))
    }
}

/// A completion that is on its way. Dropping it stops the model.
///
/// ```
/// use village::model::Prompt;
/// # let host = village::test::Host::new().with_model(|_| Ok("Once upon a time".to_owned()));
/// # host.enter(|| {
/// let mut writing = Prompt::new("Tell me a story.").write()?;
/// let mut length = 0;
/// for text in &mut writing {
///     length += text.len();
/// }
/// assert_eq!(writing.finish()?.text.len(), length);
/// # Ok::<_, village::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Writing {
    host: host::Writing,
    done: Option<Result<Completion, Error>>,
}

impl Writing {
    /// Waits for the next text; none when the model is done.
    pub fn text(&mut self) -> Option<String> {
        loop {
            if self.done.is_none() {
                self.done = self.host.finish();
            }
            let text = self.host.text();
            if !text.is_empty() {
                return Some(text);
            }
            if self.done.is_some() {
                return None;
            }
            self.host.subscribe().block();
        }
    }

    /// Waits for the whole completion.
    pub fn finish(mut self) -> Result<Completion, Error> {
        loop {
            if let Some(done) = self.done.take().or_else(|| self.host.finish()) {
                return done;
            }
            self.host.subscribe().block();
        }
    }
}

impl Iterator for Writing {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.text()
    }
}

/// One vector a text, all of the same length. No texts give no vectors.
pub fn embed(model: &str, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error> {
    let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
    host::embed(model, &texts)
}

/// How many tokens the model would count.
pub fn count(model: &str, text: &str) -> Result<u64, Error> {
    host::count(model, text)
}

/// The models that the grant covers.
pub fn models() -> Result<Vec<Listed>, Error> {
    host::models()
}

/// How well an earlier answer did, 0 to 100, so that routing learns. An unknown model fails with `not-found`.
pub fn feedback(model: &str, score: u32) -> Result<(), Error> {
    host::feedback(model, score)
}

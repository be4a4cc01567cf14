//! Asks models in every way that there is, and says what came of it.

use serde::{Deserialize, Serialize};
use village::model::{self, Prompt, Writing};
use village::{Error, Failure, Schema, agent};

/// What is asked of whom.
#[derive(Deserialize, Serialize, Schema, Default)]
#[serde(default)]
struct Order {
    model: String,
    text: String,
    texts: Vec<String>,
    private: bool,
    /// At most so many tokens are written.
    most: u32,
    /// A temperature that gives other answers each time.
    warm: bool,
    stop: String,
    score: u32,
    times: u32,
}

/// What a model is asked for in a form.
#[derive(Deserialize, Serialize, Schema)]
struct Verdict {
    spam: bool,
}

#[derive(Default)]
struct Thinker {
    kept: Vec<Writing>,
}

impl Order {
    fn prompt(&self) -> Prompt {
        let most = if self.most == 0 { 64 } else { self.most };
        let mut prompt = Prompt::new(&self.text).model(&self.model).max_tokens(most);
        prompt = prompt.temperature(if self.warm { 1.0 } else { 0.0 });
        if self.private {
            prompt = prompt.private();
        }
        if !self.stop.is_empty() {
            prompt = prompt.stop(&self.stop);
        }
        prompt
    }
}

fn said<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("error: {error:?}"),
    }
}

#[agent(name = "thinker", version = "0.1.0", role = "test")]
impl Thinker {
    /// Waits for the whole answer.
    #[skill]
    fn complete(&mut self, order: Order) -> String {
        match order.prompt().complete() {
            Ok(done) => {
                format!("{}|{:?}|{}|{}+{}", done.text, done.finish, done.model, done.tokens_in, done.tokens_out)
            }
            Err(error) => format!("error: {error:?}"),
        }
    }

    /// The text alone, as it is asked for most simply.
    #[skill]
    fn ask(&mut self, text: String) -> String {
        said(model::ask(&text))
    }

    /// The pieces of an answer as they come, and the whole.
    #[skill]
    fn stream(&mut self, order: Order) -> String {
        let mut writing = match order.prompt().write() {
            Ok(writing) => writing,
            Err(error) => return format!("error: {error:?}"),
        };
        let pieces: Vec<String> = writing.by_ref().collect();
        let whole = said(writing.finish().map(|whole| whole.text));
        format!("{}|{}|{whole}", pieces.len(), pieces.concat())
    }

    /// Reads the beginning of an answer, and wants no more of it.
    #[skill]
    fn taste(&mut self, order: Order) -> String {
        match order.prompt().write() {
            Ok(mut writing) => writing.text().unwrap_or_default(),
            Err(error) => format!("error: {error:?}"),
        }
    }

    /// Begins so many, keeps them all, and says what came of the last.
    #[skill]
    fn begin(&mut self, order: Order) -> String {
        for _ in 0..order.times {
            match order.prompt().write() {
                Ok(writing) => self.kept.push(writing),
                Err(error) => return format!("{} and error: {error:?}", self.kept.len()),
            }
        }
        self.kept.len().to_string()
    }

    /// A form, filled in by a model.
    #[skill]
    fn verdict(&mut self, order: Order) -> String {
        said(order.prompt().answer::<Verdict>().map(|verdict| verdict.spam))
    }

    #[skill]
    fn embed(&mut self, order: Order) -> String {
        let texts: Vec<&str> = order.texts.iter().map(String::as_str).collect();
        said(model::embed(&order.model, &texts))
    }

    #[skill]
    fn count(&mut self, order: Order) -> String {
        said(model::count(&order.model, &order.text))
    }

    #[skill]
    fn models(&mut self) -> String {
        said(model::models())
    }

    /// Asks, and says how well that did.
    #[skill]
    fn judge(&mut self, order: Order) -> String {
        let model = match order.prompt().complete() {
            Ok(done) => done.model,
            Err(error) => return format!("error: {error:?}"),
        };
        said(model::feedback(&model, order.score))
    }

    /// The same in a turn that fails.
    #[skill]
    fn judge_and_fail(&mut self, order: Order) -> Result<(), Failure> {
        let done = order.prompt().complete()?;
        model::feedback(&done.model, order.score)?;
        Err(Failure::refused("not I"))
    }

    /// Asks, and fails so that the turn is tried again.
    #[skill]
    fn falter(&mut self, order: Order) -> Result<(), Failure> {
        order.prompt().complete()?;
        Err(Failure::temporary("not yet"))
    }

    /// Says how well an answer did that it may never have had.
    #[skill]
    fn praise(&mut self, order: Order) -> String {
        said(model::feedback(&order.model, order.score))
    }

    /// Asks many times, and waits for each.
    #[skill]
    fn times(&mut self, order: Order) -> Result<u64, Failure> {
        let mut length = 0;
        for _ in 0..order.times {
            length += order.prompt().complete()?.text.len() as u64;
        }
        Ok(length)
    }
}

//! An agent on the SDK that deals with others: it asks several at once, streams, tells, and creates a helper.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use village::{Failure, Message, Schema, agent, agents, state, tasks};

#[derive(Deserialize, Serialize, Schema)]
struct Word {
    word: String,
}

#[derive(Default)]
struct Kin;

#[agent(name = "kin", version = "0.1.0", role = "test")]
impl Kin {
    /// Asks each of them who it is, all at once.
    #[skill]
    fn gather(&mut self, names: Vec<String>) -> Result<Vec<String>, Failure> {
        let hello = Word { word: "hello".to_owned() };
        let asked: Vec<_> = names.iter().map(|name| agents::ask(name, "greet", &hello)).collect::<Result<_, _>>()?;
        let words: Vec<Word> = agents::all(asked).into_iter().collect::<Result<_, _>>()?;
        Ok(words.into_iter().map(|word| word.word).collect())
    }

    /// Says who asked for what.
    #[skill]
    fn greet(&mut self, word: Word, message: &Message) -> Word {
        Word { word: format!("{} from {:?}", word.word, message.sender) }
    }

    /// Answers word by word.
    #[skill]
    fn count(&mut self, to: u32) -> Result<u32, Failure> {
        for number in 1..=to {
            agents::emit(number.to_string())?;
        }
        Ok(to)
    }

    /// Has another count, and answers the parts as they came.
    #[skill]
    fn listen(&mut self, name: String) -> Result<String, Failure> {
        let mut pending = agents::ask::<_, u32>(name.trim_matches('"'), "count", &3)?;
        let mut heard = String::new();
        while let Some(chunk) = pending.chunk() {
            heard += &String::from_utf8_lossy(&chunk);
        }
        Ok(format!("{heard}={}", pending.wait()?))
    }

    /// Creates a helper that keeps state, and has it note something.
    #[skill]
    fn grow(&mut self) -> Result<String, Failure> {
        let helper = tasks::Child::new("helper", Duration::from_secs(60)).grants("state = true").spawn()?;
        agents::tell(&helper, "note", &7)?;
        Ok(helper)
    }

    #[skill]
    fn note(&mut self, number: u32) -> Result<(), Failure> {
        state::set("noted", &number)?;
        Ok(())
    }

    #[skill]
    fn noted(&mut self) -> Result<Option<u32>, Failure> {
        Ok(state::get("noted")?)
    }

    /// Asks the helper what it noted.
    #[skill]
    fn ask_helper(&mut self) -> Result<Option<u32>, Failure> {
        Ok(agents::ask("kin/helper", "noted", &())?.wait()?)
    }

    /// Tries to hand on what it does not have.
    #[skill]
    fn overreach(&mut self) -> Result<String, Failure> {
        Ok(tasks::Child::new("wide", Duration::from_secs(60)).grants("clock = true").spawn()?)
    }
}

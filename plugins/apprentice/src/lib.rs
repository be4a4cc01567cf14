//! Counts primes by trying each divisor, and remembers how often it was asked.

use serde::{Deserialize, Serialize};
use village::{Failure, Schema, agent};

/// What it keeps in memory.
#[derive(Default)]
struct Apprentice {
    answers: u64,
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
struct Question {
    /// Primes below this number are counted; at most 1 000 000.
    below: u32,
}

#[derive(Serialize, Schema)]
struct Answer {
    primes: u32,
    /// How many answers it has given, this one included.
    answers: u64,
}

const MOST: u32 = 1_000_000;

/// Counts primes the long way, and remembers how often it was asked. `journeyman` is its next version.
#[agent(name = "apprentice", version = "0.1.0", role = "counter", tags = ["demo"])]
impl Apprentice {
    /// How many primes there are below a number.
    #[skill(example = r#"{"below": 1000}"#)]
    fn primes(&mut self, question: Question) -> Result<Answer, Failure> {
        if question.below > MOST {
            return Err(Failure::field("below", "is more than 1000000"));
        }
        self.answers += 1;
        let is_prime = |number: &u32| {
            (2..*number).take_while(|divisor| divisor * divisor <= *number).all(|d| !number.is_multiple_of(d))
        };
        let primes = (2..question.below).filter(is_prime).count() as u32;
        Ok(Answer { primes, answers: self.answers })
    }

    #[snapshot]
    fn hand_over(&self) -> u64 {
        self.answers
    }

    #[restore]
    fn take_over(&mut self, answers: u64) {
        self.answers = answers;
    }
}

//! The apprentice, grown: counts primes with a sieve, and goes on from what the apprentice remembers.

use serde::{Deserialize, Serialize};
use village::{Failure, Schema, agent};

/// What it keeps in memory.
#[derive(Default)]
struct Journeyman {
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

/// Counts primes with a sieve, and remembers how often it was asked, as `apprentice` did before it.
#[agent(name = "apprentice", version = "0.2.0", role = "counter", tags = ["demo"])]
impl Journeyman {
    /// How many primes there are below a number.
    #[skill(example = r#"{"below": 1000}"#)]
    fn primes(&mut self, question: Question) -> Result<Answer, Failure> {
        if question.below > MOST {
            return Err(Failure::field("below", "is more than 1000000"));
        }
        self.answers += 1;
        let mut crossed = vec![false; question.below as usize];
        let mut primes = 0;
        for number in 2..crossed.len() {
            if !crossed[number] {
                primes += 1;
                (number.saturating_mul(number)..crossed.len())
                    .step_by(number)
                    .for_each(|multiple| crossed[multiple] = true);
            }
        }
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

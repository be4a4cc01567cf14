//! The skills as an agent of a village.

use std::time::Duration;

use village::{Failure, agent, budget, log};

use crate::{Error, duplicates, lineage, personal, redact, retention};

#[derive(Default)]
pub(crate) struct Curator;

/// Data governance: what is personal in a text and how it is taken out, which texts are nearly the same, what comes from
/// what, and what must be kept or must go.
#[agent(role = "data governance", tags = ["data", "privacy"])]
impl Curator {
    /// Finds personal data in a text: e-mail addresses, phone numbers, IBANs, payment cards, IP addresses, national numbers of
    /// 16 countries, dates of birth, and names that are given. What has check digits is checked.
    #[skill(tags = ["privacy"], example = r#"{"text": "Write to ada@example.org, or call +44 20 7946 0958."}"#)]
    fn find_personal_data(&mut self, ask: personal::Request) -> Result<personal::Answer, Error> {
        personal::answer(ask)
    }

    /// Takes personal data out of a text: masks it, drops it, or puts a label, a stable pseudonym or a stand-in in its place.
    #[skill(
        tags = ["privacy"],
        example = r#"{"text": "Card 4111 1111 1111 1111, ada@example.org", "keep_last": 4, "rules": [{"kind": "email", "how": "pseudonym"}], "key": "a secret of yours"}"#
    )]
    fn redact(&mut self, ask: redact::Request) -> Result<redact::Answer, Error> {
        redact::answer(ask)
    }

    /// Groups texts that are nearly the same: MinHash finds likely pairs, and each is then measured exactly.
    #[skill(
        tags = ["data-quality"],
        example = r#"{"documents": [{"id": "a", "text": "the quick brown fox jumps over the lazy dog"}, {"id": "b", "text": "The quick brown fox jumps over a lazy dog."}], "threshold": 0.5}"#
    )]
    fn near_duplicates(&mut self, ask: duplicates::Request) -> Result<duplicates::Answer, Error> {
        let told = duplicates::answer(ask, &mut effort())?;
        if !told.complete {
            // Without the grant the work is as good.
            let _ = log::write(log::Level::Info, "near-duplicates: cut short by the turn's deadline");
        }
        Ok(told)
    }

    /// Answers for datasets and the steps that make them: ancestors, descendants, cycles, inherited classes, what a change
    /// reaches, and which steps must be done again, in order.
    #[skill(
        tags = ["lineage"],
        example = r#"{"steps": [{"name": "join", "inputs": ["customers", "orders"], "outputs": ["sales"]}, {"name": "report", "inputs": ["sales"], "outputs": ["monthly"]}], "of": "sales", "changed": ["orders"]}"#
    )]
    fn lineage(&mut self, ask: lineage::Request) -> Result<lineage::Answer, Error> {
        lineage::answer(ask)
    }

    /// Says which records are due to go and when, by rules for their classes, with legal holds and contradictions named.
    #[skill(
        tags = ["retention"],
        example = r#"{"today": "2026-03-01", "rules": [{"name": "applicants", "class": "application", "from": "rejected", "at_most": "P6M"}], "records": [{"id": "r1", "classes": ["application"], "dates": {"rejected": "2025-08-31"}}]}"#
    )]
    fn retention(&mut self, ask: retention::Request) -> Result<retention::Answer, Error> {
        retention::answer(ask)
    }
}

/// Whether to go on: until three quarters of the turn's time are used, or as long as it takes where we may not know.
fn effort() -> impl FnMut() -> bool {
    let end = budget::remaining().map_or(Duration::ZERO, |time| time / 4);
    // Asking costs as much as some comparisons do.
    let mut calls = 0u32;
    move || {
        calls += 1;
        !calls.is_multiple_of(16) || budget::remaining().map_or(true, |left| left > end)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Invalid { field, reason } => Failure::field(&field, reason),
            Error::Unsupported(what) => Failure::unsupported(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use village::FailureKind;
    use village::test::{self, Host, Value, json};

    use super::*;

    #[test]
    fn every_example_is_answered_with_what_the_schema_requires() {
        let mut agent = test::agent::<Curator>(Host::new());
        let card = agent.card();
        assert_eq!(card.skills.len(), 5);
        for skill in card.skills {
            assert!(!skill.examples.is_empty(), "{}", skill.name);
            for example in &skill.examples {
                let example: Value = serde_json::from_str(example).expect("the example is JSON");
                let answer = agent.call(&skill.name, example).expect("the example is answered");
                let schema: Value = serde_json::from_str(&skill.output).expect("the schema is JSON");
                for field in schema["required"].as_array().expect("the schema says what is required") {
                    assert!(answer.get(field.as_str().expect("a name")).is_some(), "{}: {field}", skill.name);
                }
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_named_by_every_skill() {
        let mut agent = test::agent::<Curator>(Host::new());
        for skill in agent.card().skills {
            let refused = agent.call(&skill.name, json!({"oddity": 1})).expect_err("nobody knows an oddity");
            assert!(refused.kind == FailureKind::Invalid && refused.message.contains("oddity"), "{refused:?}");
        }
        let refused = agent.call("bake", json!({})).expect_err("it does not bake");
        assert_eq!(refused.kind, FailureKind::Unsupported);
    }
}

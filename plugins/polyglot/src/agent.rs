//! The skills as an agent of a village.

use village::{Failure, agent};

use crate::{Error, detect, glossary, message, number, plural, segment};

#[derive(Default)]
pub(crate) struct Polyglot;

/// Languages: which one a text is in, its sentences and words, glossaries, plurals, and numbers as they are written.
#[agent(role = "languages", tags = ["language"])]
impl Polyglot {
    /// Says which of 59 languages a text is in and how sure that is, or why it can't be said; takes mixed texts apart.
    #[skill(tags = ["detection"], example = r#"{"text": "Wo ein Wille ist, ist auch ein Weg."}"#)]
    fn detect_language(&mut self, ask: detect::Request) -> Result<detect::Answer, Error> {
        detect::answer(ask)
    }

    /// Takes a text apart into sentences or words, with exact offsets: `Dr. Smith` stays whole.
    #[skill(tags = ["segmentation"], example = r#"{"text": "Dr. Smith left. Who knows why?", "language": "en"}"#)]
    fn segment(&mut self, ask: segment::Request) -> Result<segment::Answer, Error> {
        segment::answer(ask)
    }

    /// Puts a glossary's words into a text: the longest term first, whole words, case kept, placeholders untouched, and
    /// contradictions named.
    #[skill(
        tags = ["glossary"],
        example = r#"{"text": "Your Account {name} is open.", "entries": [{"term": "account", "replacement": "Konto"}]}"#
    )]
    fn apply_glossary(&mut self, ask: glossary::Request) -> Result<glossary::Answer, Error> {
        glossary::answer(ask)
    }

    /// Says which plural form numbers take in a language, by CLDR's rules for how many, or for which one.
    #[skill(tags = ["plural"], example = r#"{"language": "pl", "numbers": [1, 2, 5, "1.5"]}"#)]
    fn plural(&mut self, ask: plural::Request) -> Result<plural::Answer, Error> {
        plural::answer(ask)
    }

    /// Writes numbers, per cents and amounts of money as a language does.
    #[skill(
        tags = ["number"],
        example = r#"{"language": "de", "numbers": ["1234567.891", -0.5], "style": "currency", "currency": "EUR"}"#
    )]
    fn format_number(&mut self, ask: number::Request) -> Result<number::Answer, Error> {
        number::answer(ask)
    }

    /// Fills in a message template in the right plural form, and names the forms that the template lacks.
    #[skill(
        tags = ["message"],
        example = r#"{"language": "en", "template": "{count, plural, =0 {No files} one {# file} other {# files}} in {folder}", "values": {"count": 2, "folder": "maps"}}"#
    )]
    fn format_message(&mut self, ask: message::Request) -> Result<message::Answer, Error> {
        message::answer(ask)
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
        let mut agent = test::agent::<Polyglot>(Host::new());
        let card = agent.card();
        assert_eq!(card.skills.len(), 6);
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
        let mut agent = test::agent::<Polyglot>(Host::new());
        for skill in agent.card().skills {
            let refused = agent.call(&skill.name, json!({"oddity": 1})).expect_err("nobody knows an oddity");
            assert!(refused.kind == FailureKind::Invalid && refused.message.contains("oddity"), "{refused:?}");
        }
        let refused = agent.call("sing", json!({})).expect_err("it does not sing");
        assert_eq!(refused.kind, FailureKind::Unsupported);
    }
}

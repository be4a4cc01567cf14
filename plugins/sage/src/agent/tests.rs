use village::FailureKind;
use village::test::{self, Host, Value, json};

use super::*;

const MILL: &str =
    "The mill stands by the river.\n\nIt burned down in 1822. Three years later it was built again of stone.";

fn host() -> Host {
    Host::new().with_memory(&["library"])
}

#[test]
fn every_example_is_answered_with_what_the_schema_requires() {
    let mut agent = test::agent::<Sage>(host());
    let card = agent.card();
    assert_eq!(card.skills.len(), 5);
    for skill in card.skills {
        assert!(!skill.examples.is_empty(), "{}", skill.name);
        for example in &skill.examples {
            let example: Value = serde_json::from_str(example).expect("the example is JSON");
            let answer = agent.call(&skill.name, example).unwrap_or_else(|error| panic!("{}: {error:?}", skill.name));
            let schema: Value = serde_json::from_str(&skill.output).expect("the schema is JSON");
            for field in schema["required"].as_array().expect("the schema says what is required") {
                assert!(answer.get(field.as_str().expect("a name")).is_some(), "{}: {field}", skill.name);
            }
        }
    }
}

#[test]
fn an_answer_is_of_sentences_with_citations_where_there_is_no_model() {
    let mut agent = test::agent::<Sage>(host());
    agent.call("ingest", json!({"source": "mill.txt", "text": MILL})).expect("it is text");
    let answer = agent.call("answer", json!({"question": "When did it burn down?"})).expect("it is answered");
    assert_eq!(answer["answer"], "It burned down in 1822. [1]");
    assert_eq!(answer["citations"][0]["source"], "mill.txt");
    assert_eq!(answer["model"], "");
    let none = agent.call("answer", json!({"question": "Which planet is largest?"})).expect("it is answered");
    assert_eq!((none["answer"].as_str(), none["citations"].as_array().map(Vec::len)), (Some(""), Some(0)));
}

#[test]
fn a_model_writes_the_answer_and_what_it_cites_is_checked() {
    let ask = |said: &'static str| {
        let host = host().with_model(move |prompt| {
            assert!(prompt.turns[1].content.contains("[1] It burned down"), "{}", prompt.turns[1].content);
            Ok(said.to_owned())
        });
        let mut agent = test::agent::<Sage>(host);
        agent.call("ingest", json!({"source": "mill.txt", "text": MILL})).expect("it is text");
        agent.call("answer", json!({"question": "When did it burn down?"})).expect("it is answered")
    };
    let answer = ask("In 1822 [1]. It is said [9].");
    assert_eq!(answer["answer"], "In 1822 [1]. It is said .");
    assert_eq!(
        (answer["citations"][0]["number"].as_u64(), answer["citations"][0]["source"].as_str()),
        (Some(1), Some("mill.txt"))
    );
    assert_ne!(answer["model"], "");
    assert_eq!(ask("NONE")["answer"], "");
    let uncited = ask("In 1066, I think.");
    assert_eq!(
        (uncited["answer"].as_str(), uncited["model"].as_str()),
        (Some("It burned down in 1822. [1]"), Some(""))
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut agent = test::agent::<Sage>(host());
    for (skill, ask, word) in [
        ("ingest", json!({"source": "x"}), "text"),
        ("ingest", json!({"source": "x", "text": "a", "base64": "YQ"}), "base64"),
        ("ingest", json!({"source": "x", "base64": "!"}), "base64"),
        ("retrieve", json!({"question": "x", "limit": 0}), "limit"),
        ("retrieve", json!({"question": " "}), "question"),
        ("summarize", json!({}), "topic"),
        ("summarize", json!({"text": "a", "words": 0}), "words"),
        ("answer", json!({"question": "x", "oddity": 1}), "oddity"),
    ] {
        let refused = agent.call(skill, ask).expect_err("it makes no sense");
        assert!(refused.kind == FailureKind::Invalid && refused.message.contains(word), "{skill} {word}: {refused:?}");
    }
    let refused = agent.call("sing", json!({})).expect_err("it does not sing");
    assert_eq!(refused.kind, FailureKind::Unsupported);
    let shut = agent.call("retrieve", json!({"question": "x", "space": "other"})).expect_err("it is not granted");
    assert_ne!(shut.kind, FailureKind::Invalid, "{shut:?}");
}

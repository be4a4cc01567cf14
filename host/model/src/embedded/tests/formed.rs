//! Answers that must have a form: what fits a schema, and calls of tools.

use super::asked::{ask, endless, open};
use super::*;
use crate::embedded::Template;
use crate::error::Error;
use crate::prompt::{Call, Finish, Prompt, Role, Tool, Turn};
use base::schema::Schema;
use serde_json::json;

fn person() -> Value {
    json!({"type": "object", "additionalProperties": false, "required": ["name", "age", "tags"], "properties": {
        "name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["old", "new"]}, "maxItems": 3}}})
}

#[tokio::test]
async fn a_model_that_knows_nothing_writes_what_fits_a_schema() {
    let folder = endless();
    let models = open(&folder, |_| {});
    let judge = Schema::new(person()).expect("sound");
    for seed in 0..20 {
        for (temperature, most) in [(0, 60), (1500, 45), (1500, 400)] {
            let schema = Some(person().to_string());
            // A stop that is in every such answer does not cut it.
            let stop = vec!["\"".to_owned()];
            let prompt = Prompt { schema, temperature, stop, seed: Some(seed), ..Prompt::ask("the grain", most) };
            let done = ask(&models, &prompt).await.expect("answers");
            let value: Value = serde_json::from_str(&done.text).unwrap_or_else(|why| panic!("{why}: {}", done.text));
            assert_eq!(judge.misfits(&value), [], "{}", done.text);
            assert!(done.finish == Finish::Stop && done.tokens_out <= u64::from(most), "{done:?}");
            assert_eq!(ask(&models, &prompt).await.expect("answers"), done, "a seed gives the same");
        }
    }
}

#[tokio::test]
async fn an_answer_that_can_not_fit_is_refused_before_it_begins() {
    let folder = endless();
    let models = open(&folder, |_| {});
    let prompt = Prompt { schema: Some(person().to_string()), ..Prompt::ask("the grain", 5) };
    let Err(Error::Unsupported { what, .. }) = ask(&models, &prompt).await else { panic!("it is refused") };
    assert!(what.contains("an answer of 5 tokens") && what.contains("the shortest takes"), "{what}");
    let least: u32 = what.rsplit(' ').next().and_then(|last| last.parse().ok()).expect("a number");
    assert!(ask(&models, &Prompt { max_tokens: least, ..prompt.clone() }).await.is_ok());
    assert!(ask(&models, &Prompt { max_tokens: least - 1, ..prompt }).await.is_err());
}

fn tools() -> Vec<Tool> {
    let tool = |name: &str, parameters: Value| Tool {
        name: name.into(),
        description: "Does it.".into(),
        parameters: parameters.to_string(),
    };
    vec![
        tool("look", json!({"type": "object", "properties": {"at": {"type": "integer"}}, "required": ["at"]})),
        tool("wait", json!({})),
    ]
}

#[tokio::test]
async fn with_tools_it_writes_text_or_sound_calls() {
    let folder = endless();
    for template in [Template::Plain, Template::Llama3] {
        let models = open(&folder, |settings| settings.models[0].template = Some(template));
        // Only calls fit this schema, or a sentence that is never said otherwise.
        let schema = Some(json!({"const": 17}).to_string());
        let mut calls = 0;
        for seed in 0..30 {
            let warm = Prompt { temperature: 2000, seed: Some(seed), tools: tools(), ..Prompt::ask("the grain", 120) };
            let free = ask(&models, &warm).await.expect("answers");
            assert!(free.finish != Finish::Calls || !free.calls.is_empty());
            let done = ask(&models, &Prompt { schema: schema.clone(), ..warm }).await.expect("answers");
            if done.finish != Finish::Calls {
                assert_eq!((done.text.as_str(), done.calls.len()), ("17", 0));
                continue;
            }
            assert_eq!(done.text, "");
            for (number, Call { id, name, arguments }) in done.calls.iter().enumerate() {
                let tool = tools().into_iter().find(|tool| tool.name == *name).expect("one of the tools");
                let arguments = serde_json::from_str(arguments).expect("JSON");
                assert_eq!(Schema::parse(&tool.parameters).expect("sound").misfits(&arguments), []);
                assert!(arguments.is_object() && *id == format!("call-{}", number + 1));
                calls += 1;
            }
        }
        assert!(calls > 5, "{template:?}: {calls} calls");
    }
}

#[tokio::test]
async fn what_was_called_before_is_told_to_the_model() {
    let folder = endless();
    let models = open(&folder, |_| {});
    let call = Call { id: "call-1".into(), name: "look".into(), arguments: "{\"at\":1}".into() };
    let mut prompt = Prompt { tools: tools(), ..Prompt::ask("look", 5) };
    let before = ask(&models, &prompt).await.expect("answers").tokens_in;
    prompt.turns.push(Turn { calls: vec![call], ..Turn::new(Role::Assistant, "I look.") });
    prompt.turns.push(Turn { answers: "call-1".into(), ..Turn::new(Role::Tool, "42") });
    let after = ask(&models, &prompt).await.expect("answers").tokens_in;
    assert!(after > before + 20, "{before} {after}");
    let none = Prompt { tools: Vec::new(), ..Prompt::ask("look", 5) };
    assert!(ask(&models, &none).await.expect("answers").tokens_in + 100 < before, "tools are described");
}

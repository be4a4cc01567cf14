//! Whatever a model would like to write, what it writes fits.

use super::*;
use crate::embedded::source::Source;
use crate::embedded::tokens::Tokens;
use base::schema::Schema;
use serde_json::{Value, json};
use std::path::Path;

const SIZE: usize = 288;

fn vocabulary() -> (Tokens, Arc<Vocabulary>) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/embedded");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(golden.join("llama/model.safetensors"), folder.path().join("model.safetensors")).expect("copies");
    std::fs::copy(golden.join("tokenizer.json"), folder.path().join("tokenizer.json")).expect("copies");
    let source = Source::open(folder.path()).expect("opens");
    let tokens = Tokens::open(&source, SIZE).expect("opens");
    let vocabulary = Arc::new(Vocabulary::new(&tokens, SIZE).expect("bytes are known"));
    (tokens, vocabulary)
}

/// What is written by somebody who likes all tokens as well as any other, within so many tokens; and whether it ended.
fn written(guide: &Guide, most: u64, seed: u64) -> (String, bool) {
    let mut guide = guide.clone();
    let mut sampler = Sampler::new(1000, seed);
    let mut bytes = Vec::new();
    for left in (1..=most).rev() {
        let mut logits: Vec<f32> =
            (0..SIZE as u64).map(|id| ((seed * 31 + id * 17 + left * 7) % 13) as f32 / 4.0).collect();
        let id = guide.choose(&mut sampler, &mut logits, left, &[3]).expect("there is always a way on");
        if id == 3 {
            assert!(guide.may_end());
            return (String::from_utf8(bytes).expect("text"), true);
        }
        bytes.extend_from_slice(guide.vocabulary.bytes(id).expect("it stands for something"));
        guide.take(id);
        if guide.must_end() {
            break;
        }
    }
    (String::from_utf8(bytes).expect("text"), guide.may_end())
}

fn schemas() -> Vec<Value> {
    let number = json!({"type": "integer", "minimum": -7, "maximum": 1200});
    vec![
        json!({"type": "object", "properties": {"name": {"type": "string"}, "age": number}, "required": ["name", "age"]}),
        json!({"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "boolean"}, "c": true},
            "required": ["b"], "additionalProperties": false}),
        json!({"type": "array", "items": {"enum": ["red", "green", 3, null, {"a": [1]}]}, "minItems": 2, "maxItems": 4}),
        json!({"type": "array", "prefixItems": [{"type": "string", "maxLength": 3}, {"const": "§ü"}], "items": false}),
        json!({"type": "array", "prefixItems": [{"type": "boolean"}], "items": {"type": "number"}, "minItems": 3}),
        json!({"anyOf": [{"type": "string", "minLength": 2, "maxLength": 5}, {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}]}),
        json!({"oneOf": [
            {"type": "object", "properties": {"kind": {"const": "a"}, "x": number}, "required": ["kind", "x"]},
            {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]},
        ]}),
        json!({"type": ["string", "null", "integer"]}),
        json!({"enum": [1, "1", 2.5], "type": "string"}),
        json!({"$defs": {"node": {"type": "object", "properties": {"left": {"$ref": "#/$defs/node"}, "value": number},
            "required": ["value"]}}, "$ref": "#/$defs/node"}),
        json!({"$defs": {"list": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#/$defs/list"}}]}},
            "allOf": [{"$ref": "#/$defs/list"}]}),
        json!({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1}),
        json!({"allOf": [{"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}},
            {"properties": {"a": {"maximum": 5}, "b": {"type": "string"}}, "required": ["a", "b"]}]}),
        json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
        json!({}),
        json!({"type": "object"}),
        json!({"type": "object", "required": ["x"]}),
        json!({"type": "string"}),
        json!({"type": "number", "minimum": -0.25, "maximum": -0.125}),
    ]
}

#[test]
fn whatever_is_liked_what_is_written_fits_and_is_whole() {
    let (_, vocabulary) = vocabulary();
    for schema in schemas() {
        let form = Form::of_schema(&schema.to_string()).unwrap_or_else(|why| panic!("{schema}: {why}"));
        let guide = Guide::new(&form, &vocabulary).unwrap_or_else(|why| panic!("{schema}: {why}"));
        let judge = Schema::new(schema.clone()).expect("sound");
        let least = guide.least();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..60 {
            for most in [least, least + 1, least + 3, least + 10, least + 60, least + 300] {
                let (text, ended) = written(&guide, most, seed);
                assert!(ended, "{schema}: {text} in {most}");
                let value: Value = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{schema}: {text}: {why}"));
                assert_eq!(judge.misfits(&value), [], "{schema}: {text}");
                seen.insert(text);
            }
        }
        assert!(seen.len() > 1 || schema["enum"].is_array(), "{schema} leaves a choice: {seen:?}");
    }
}

#[test]
fn a_model_that_knows_what_fits_is_left_alone() {
    let (tokens, vocabulary) = vocabulary();
    for (schema, text) in [
        (
            json!({"properties": {"who": {"type": "string"}, "at": {"type": "number"}}}),
            "{\"at\": -2.5, \"who\": \"the ö\\n\"}",
        ),
        (json!({"type": "array", "items": {"type": "integer"}}), "[1,2, 45,0]"),
        (json!({"type": "object", "additionalProperties": true}), "{\"a\":{\"b\": [null, true, \"\\u00e4\"]}}"),
    ] {
        let form = Form::of_schema(&schema.to_string()).expect("a form");
        let mut guide = Guide::new(&form, &vocabulary).expect("a guide");
        for id in tokens.encode(text).expect("reads") {
            let mut logits = vec![0.0; SIZE];
            logits[id as usize] = 1.0;
            assert_eq!(guide.choose(&mut Sampler::new(0, 0), &mut logits, 100, &[3]), Some(id), "{text}");
            guide.take(id);
        }
        assert!(guide.must_end(), "{text}");
    }
}

#[test]
fn members_are_written_in_the_order_of_the_schema() {
    let (_, vocabulary) = vocabulary();
    let text =
        r#"{"properties": {"why": {"type": "null"}, "answer": {"type": "null"}}, "required": ["answer", "why"]}"#;
    let guide = Guide::new(&Form::of_schema(text).expect("a form"), &vocabulary).expect("a guide");
    assert_eq!(written(&guide, guide.least(), 1).0, r#"{"why":null,"answer":null}"#);
}

#[test]
fn what_can_not_be_kept_to_is_refused_by_its_name() {
    let (_, vocabulary) = vocabulary();
    let refused = |schema: Value| match Form::of_schema(&schema.to_string()) {
        Ok(form) => Guide::new(&form, &vocabulary).err().unwrap_or_else(|| panic!("{schema}")).to_string(),
        Err(refusal) => refusal.to_string(),
    };
    for (schema, said) in [
        (json!({"type": "string", "pattern": "^a"}), "`pattern`"),
        (json!({"not": {"type": "null"}}), "`not`"),
        (json!({"if": {"type": "null"}}), "`if`"),
        (json!({"type": "integer", "multipleOf": 3}), "`multipleOf`"),
        (json!({"type": "array", "uniqueItems": true}), "`uniqueItems`"),
        (json!({"type": "array", "contains": {}}), "`contains`"),
        (json!({"type": "object", "patternProperties": {"a": {}}}), "`patternProperties`"),
        (json!({"type": "object", "minProperties": 3}), "`minProperties`"),
        (json!({"oneOf": [{"type": "integer"}, {"type": "number"}]}), "`oneOf`"),
        (
            json!({"allOf": [{"properties": {"a": {}}, "additionalProperties": false}, {"properties": {"b": {}}}]}),
            "`additionalProperties`",
        ),
        (json!({"type": "strin"}), "no type `strin`"),
        (json!({"$ref": "#"}), "without end"),
        (json!(false), "nothing fits"),
        (json!({"type": "integer", "minimum": 3, "maximum": 2}), "nothing fits"),
        (json!({"type": "string", "minLength": 3, "maxLength": 2}), "nothing fits"),
        (json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}), "nothing fits"),
        (json!({"enum": (0..50_000).collect::<Vec<_>>()}), "that large"),
    ] {
        let why = refused(schema);
        assert!(why.contains(said), "{why} and not {said}");
    }
}

#[test]
fn a_tool_is_called_with_what_its_schema_says_or_text_is_written() {
    let (tokens, vocabulary) = vocabulary();
    let tool = |name: &str, parameters: Value| (name.to_owned(), parameters.to_string());
    let tools =
        [tool("look", json!({"properties": {"at": {"type": "integer"}}, "required": ["at"]})), tool("wait", json!({}))];
    let parts = ["<call>{\"name\": ", ", \"arguments\": ", "}</call>", "\n"];
    let form = Form::of_calls(&tools, parts, None).expect("a form");
    let guide = Guide::new(&form, &vocabulary).expect("a guide");
    let reads = |text: &str| {
        let mut guide = guide.clone();
        let good = tokens.encode(text).expect("reads").iter().all(|id| {
            let good = guide.allows(*id, 1000, &[3]);
            guide.take(*id);
            good
        });
        (good && guide.may_end(), guide.is_free())
    };
    assert_eq!(reads("I see <call>{\"name: nothing"), (true, true));
    assert_eq!(reads("<call>{\"name\": \"look\", \"arguments\": {\"at\": 12}}</call>"), (true, false));
    let two = "I look.<call>{\"name\": \"look\", \"arguments\": {\"at\": 1}}</call>\n<call>{\"name\": \"wait\", \"arguments\": {\"a\":[]}}</call>";
    assert_eq!(reads(two), (true, false));
    for bad in [
        "<call>{\"name\": \"look\", \"arguments\": {\"at\": \"1\"}}</call>",
        "<call>{\"name\": \"look\", \"arguments\": {}}</call>",
        "<call>{\"name\": \"listen\", \"arguments\": {}}</call>",
        "<call>{\"name\": \"wait\", \"arguments\": [1]}</call>",
        "<call>{\"name\": \"wait\", \"arguments\": {}}</call> and more",
        "<call>{\"name\": \"wait\"",
    ] {
        assert!(!reads(bad).0, "{bad}");
    }
}

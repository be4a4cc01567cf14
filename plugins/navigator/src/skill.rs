//! The skills, by name.

use crate::{Error, forecast, inventory, path, route};

/// One thing that can be asked for.
pub struct Skill {
    pub name: &'static str,
    pub description: &'static str,
    /// JSON schema.
    pub input: &'static str,
    /// JSON schema.
    pub output: &'static str,
    pub tags: &'static [&'static str],
    pub example: &'static str,
    run: Run,
}

/// From the request's JSON to the answer's; the second argument says whether there is time to look for something better.
type Run = fn(&[u8], &mut dyn FnMut() -> bool) -> Result<Vec<u8>, Error>;

pub const SKILLS: [Skill; 4] = [
    Skill {
        name: "shortest-path",
        description: "The cheapest path between two nodes of a graph with costs that are not negative.",
        input: path::INPUT,
        output: path::OUTPUT,
        tags: &["graph"],
        example: path::EXAMPLE,
        run: |json, _| path::answer(json),
    },
    Skill {
        name: "route",
        description: "Routes for vehicles of one capacity from a depot past every stop and back. Good, not proven best.",
        input: route::INPUT,
        output: route::OUTPUT,
        tags: &["vehicle-routing"],
        example: route::EXAMPLE,
        run: route::answer,
    },
    Skill {
        name: "inventory",
        description: "How much to order (economic order quantity) and when (reorder point with safety stock).",
        input: inventory::INPUT,
        output: inventory::OUTPUT,
        tags: &["eoq"],
        example: inventory::EXAMPLE,
        run: |json, _| inventory::answer(json),
    },
    Skill {
        name: "forecast",
        description: "The next values of a series by exponential smoothing, with the error it had on values held back.",
        input: forecast::INPUT,
        output: forecast::OUTPUT,
        tags: &["demand"],
        example: forecast::EXAMPLE,
        run: |json, _| forecast::answer(json),
    },
];

/// Does what is asked. `go_on` says whether there is time to look for something better.
pub fn answer(skill: &str, json: &[u8], go_on: &mut dyn FnMut() -> bool) -> Result<Vec<u8>, Error> {
    match SKILLS.iter().find(|known| known.name == skill) {
        Some(known) => (known.run)(json, go_on),
        None => {
            let names: Vec<_> = SKILLS.iter().map(|known| known.name).collect();
            Err(Error::Unsupported(format!("no skill `{skill}`; there are {}", names.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_example_is_answered_with_the_fields_that_the_schema_requires() {
        for skill in SKILLS {
            let answer = answer(skill.name, skill.example.as_bytes(), &mut || true).expect(skill.name);
            let answer: Value = serde_json::from_slice(&answer).expect("the answer is JSON");
            let schema: Value = serde_json::from_str(skill.output).expect("the schema is JSON");

            for field in schema["required"].as_array().expect("the schema says what is required") {
                let field = field.as_str().expect("fields are strings");
                assert!(answer.get(field).is_some(), "{}: {answer} lacks {field}", skill.name);
            }
            let known = schema["properties"].as_object().expect("the schema says what there may be");
            for field in answer.as_object().expect("the answer is an object").keys() {
                assert!(known.contains_key(field), "{}: the schema lacks {field}", skill.name);
            }
        }
    }

    #[test]
    fn every_input_schema_names_the_fields_of_its_example() {
        for skill in SKILLS {
            let schema: Value = serde_json::from_str(skill.input).expect("the schema is JSON");
            let example: Value = serde_json::from_str(skill.example).expect("the example is JSON");
            for field in example.as_object().expect("it is an object").keys() {
                assert!(schema["properties"].get(field).is_some(), "{}: {field}", skill.name);
            }
            for field in schema["required"].as_array().expect("the schema says what is required") {
                let name = field.as_str().expect("fields are strings");
                let mut less = example.clone();
                less.as_object_mut().expect("it is an object").remove(name);
                let refused = answer(skill.name, less.to_string().as_bytes(), &mut || true);
                assert!(
                    matches!(&refused, Err(Error::Invalid { field, .. }) if field == name),
                    "{} without {name}: {refused:?}",
                    skill.name
                );
            }
        }
    }

    #[test]
    fn an_unknown_skill_is_unsupported_and_an_unknown_field_is_invalid() {
        assert!(matches!(answer("teleport", b"{}", &mut || true), Err(Error::Unsupported(_))));
        for skill in SKILLS {
            let odd = skill.example.replacen('{', r#"{"oddity": 1, "#, 1);
            let refused = answer(skill.name, odd.as_bytes(), &mut || true).expect_err("nobody knows an oddity");
            assert!(refused.to_string().contains("oddity"), "{refused}");
        }
    }

    #[test]
    fn what_is_not_json_is_invalid() {
        for skill in SKILLS {
            for text in ["", "{", "[]", "null", "\u{1}", &format!("{} x", skill.example)] {
                let refused = answer(skill.name, text.as_bytes(), &mut || true);
                assert!(matches!(refused, Err(Error::Invalid { .. })), "{}: {text}", skill.name);
            }
        }
    }
}

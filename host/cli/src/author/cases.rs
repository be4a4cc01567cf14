//! `cases.toml`: what an agent must answer.

use super::compare::Extent;
use super::reader::{self, At, Wrong, json, string, strings, tables, unknown};
use crate::problem::Problem;
use crate::source::read_file;
use serde_json::Value;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// The file's name, beside agent.toml.
pub(super) const FILE: &str = "cases.toml";

/// All cases of an agent.
#[derive(Debug)]
pub(super) struct Cases {
    /// Agents that are there too, under the names that their manifests give them.
    pub(super) beside: Vec<PathBuf>,
    pub(super) cases: Vec<Case>,
}

/// What one fresh agent is asked, in order.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) steps: Vec<Step>,
}

/// One message, and what must come of it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) skill: String,
    pub(super) input: Input,
    pub(super) expected: Expected,
}

#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// The body, if it is JSON.
    pub(super) json: Option<Value>,
}

/// What must come of a message.
#[derive(Debug, PartialEq)]
pub(super) enum Expected {
    /// Any reply.
    Reply,
    /// This, or this at least.
    Answer(Value, Extent),
    /// A failure of this kind, whose message has these words.
    Failure { kind: &'static str, says: Vec<String> },
}

const TOP: [&str; 2] = ["beside", "case"];
const STEP: [&str; 9] = ["name", "skill", "input", "text", "file", "output", "contains", "fails", "says"];
const CASE: [&str; 2] = ["name", "steps"];

/// How an agent fails, and how it breaks.
const KINDS: [&str; 10] =
    ["invalid", "unsupported", "refused", "temporary", "internal", "deadline", "memory", "denied", "trap", "exit"];

impl Cases {
    /// Reads the cases beside an agent's manifest.
    pub(super) fn load(folder: &Path) -> Result<Cases, Problem> {
        let path = folder.join(FILE);
        if !path.is_file() {
            let example = "[[case]] with name, skill, input and output";
            return Err(Problem::file(
                &path,
                format!("there is none, so there is nothing to test; write one: {example}"),
            ));
        }
        let text = String::from_utf8(read_file(&path)?)
            .map_err(|_| Problem::new("cases", format!("{}: it is not text", path.display())))?;
        Cases::parse(&text, &path)
    }

    /// Reads a text. `path` is for messages, and for what the cases name relative to themselves.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Cases, Problem> {
        let reader = Reader { text, folder: path.parent().unwrap_or(Path::new(".")) };
        reader::read(text, path, |document| reader.all(document))
    }
}

struct Reader<'a> {
    text: &'a str,
    folder: &'a Path,
}

impl Reader<'_> {
    fn all(&self, document: &DeTable<'_>) -> Result<Cases, Wrong> {
        let (mut cases, mut beside): (Vec<Case>, Vec<PathBuf>) = Default::default();
        for (key, value) in document {
            match key.get_ref().as_ref() {
                "case" => {
                    for (at, table) in tables("case", value)? {
                        let case = self.case(at, table)?;
                        if let Some(other) = cases.iter().find(|other| other.name == case.name) {
                            return Err((at, format!("line {} has a case `{}` too", other.line, case.name)));
                        }
                        cases.push(case);
                    }
                }
                "beside" => beside = self.neighbours(value)?,
                other => return Err((key.span().start, unknown("key", other, &TOP))),
            }
        }
        match cases.is_empty() {
            true => Err((0, "there are no cases: write [[case]] with name, skill, input and output".into())),
            false => Ok(Cases { beside, cases }),
        }
    }

    /// Folders of agents, seen from the file; a name that no folder has may be that of an agent inside the program.
    fn neighbours(&self, value: &At<'_>) -> Result<Vec<PathBuf>, Wrong> {
        let there = |name: String| match self.folder.join(&name) {
            folder if folder.exists() => folder,
            _ => PathBuf::from(name),
        };
        Ok(strings("beside", value)?.into_iter().map(there).collect())
    }

    fn case(&self, at: usize, table: &DeTable<'_>) -> Result<Case, Wrong> {
        let name = table.get("name").ok_or((at, "a case needs a name".to_string()))?;
        let name = string("name", name)?;
        let line = reader::line(self.text, at);
        let Some(steps) = table.get("steps") else {
            return Ok(Case { name, line, steps: vec![self.step(at, table)?] });
        };
        if let Some((key, _)) = table.iter().find(|(key, _)| !CASE.contains(&key.get_ref().as_ref())) {
            let said = match STEP.contains(&key.get_ref().as_ref()) {
                true => format!("`{}` belongs into one of the steps", key.get_ref()),
                false => unknown("key", key.get_ref(), &CASE),
            };
            return Err((key.span().start, said));
        }
        let steps: Vec<_> =
            tables("steps", steps)?.into_iter().map(|(at, step)| self.step(at, step)).collect::<Result<_, _>>()?;
        match steps.is_empty() {
            true => Err((at, "`steps` is empty: a case needs one at least".into())),
            false => Ok(Case { name, line, steps }),
        }
    }

    fn step(&self, at: usize, table: &DeTable<'_>) -> Result<Step, Wrong> {
        for (key, _) in table {
            if !STEP.contains(&key.get_ref().as_ref()) {
                return Err((key.span().start, unknown("key", key.get_ref(), &STEP)));
            }
        }
        let skill = table.get("skill").map(|value| string("skill", value)).transpose()?;
        Ok(Step {
            line: reader::line(self.text, at),
            skill: skill.unwrap_or_default(),
            input: self.input(table)?,
            expected: expected(table)?,
        })
    }

    fn input(&self, table: &DeTable<'_>) -> Result<Input, Wrong> {
        let Some((key, value)) = one_of(table, ["input", "text", "file"])? else { return Ok(Input::default()) };
        Ok(match key {
            "input" => {
                let json = json(value)?;
                Input { content_type: "application/json", body: json.to_string().into_bytes(), json: Some(json) }
            }
            "text" => {
                let body = string("text", value)?.into_bytes();
                Input { content_type: "text/plain; charset=utf-8", body, json: None }
            }
            _ => {
                let path = self.folder.join(string("file", value)?);
                let body = read_file(&path).map_err(|problem| (value.span().start, problem.to_string()))?;
                let content_type = crate::run::content_type(&body);
                let json = if content_type == "application/json" { serde_json::from_slice(&body).ok() } else { None };
                Input { content_type, body, json }
            }
        })
    }
}

/// Other agents that the cases need. They can be started as soon as agents can ask each other.
fn expected(table: &DeTable<'_>) -> Result<Expected, Wrong> {
    let expected = match one_of(table, ["output", "contains", "fails"])? {
        None => Expected::Reply,
        Some(("output", value)) => Expected::Answer(json(value)?, Extent::Whole),
        Some(("contains", value)) => Expected::Answer(json(value)?, Extent::Part),
        Some((_, value)) => {
            let word = string("fails", value)?;
            let kind = KINDS.into_iter().find(|kind| *kind == word);
            let kind = kind.ok_or_else(|| (value.span().start, unknown("kind of failure", &word, &KINDS)))?;
            let says = table.get("says").map(|value| strings("says", value)).transpose()?;
            Expected::Failure { kind, says: says.unwrap_or_default() }
        }
    };
    if let (Some(says), false) = (table.get("says"), matches!(expected, Expected::Failure { .. })) {
        return Err((says.span().start, "`says` is about a failure: write `fails = \"invalid\"` beside it".into()));
    }
    Ok(expected)
}

/// The only one of these keys that is there, if any is.
fn one_of<'a, 'b>(
    table: &'b DeTable<'a>,
    keys: [&'static str; 3],
) -> Result<Option<(&'static str, &'b At<'a>)>, Wrong> {
    let mut there = keys.into_iter().filter_map(|key| Some((key, table.get(key)?)));
    match (there.next(), there.next()) {
        (Some((first, _)), Some((second, value))) => {
            Err((value.span().start, format!("`{first}` and `{second}` exclude each other")))
        }
        (first, _) => Ok(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(text: &str) -> Result<Cases, String> {
        Cases::parse(text, Path::new("cases.toml")).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_case_is_one_message_or_several_to_one_agent() {
        let text = r#"
[[case]]
name = "one"
skill = "greet"
input = { name = "Ada", n = [1, 2.5, true] }
output = { text = "Hello" }

[[case]]
name = "several"
steps = [
  { skill = "greet", text = "x", contains = "H" },
  { skill = "gone", fails = "unsupported", says = ["gone", "greet"] },
]
"#;
        let cases = parse(text).expect("good cases").cases;
        let step = &cases[0].steps[0];
        assert_eq!((step.line, step.skill.as_str(), step.input.content_type), (2, "greet", "application/json"));
        assert_eq!(step.input.json, Some(json!({ "name": "Ada", "n": [1, 2.5, true] })));
        assert_eq!(step.expected, Expected::Answer(json!({ "text": "Hello" }), Extent::Whole));
        let [first, second] = cases[1].steps.as_slice() else { panic!("two steps") };
        assert_eq!((first.line, first.input.body.as_slice()), (11, &b"x"[..]));
        assert_eq!(first.expected, Expected::Answer(json!("H"), Extent::Part));
        let says = vec!["gone".to_string(), "greet".into()];
        assert_eq!(second.expected, Expected::Failure { kind: "unsupported", says });
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let head = "[[case]]\nname = \"a\"\n";
        for (rest, said) in [
            ("skil = \"x\"\n", "cases.toml:3: unknown key `skil`, did you mean `skill`?"),
            ("skill = 5\n", "cases.toml:3: `skill` is a number, and must be text in quotes"),
            ("input = {}\ntext = \"\"\n", "cases.toml:4: `input` and `text` exclude each other"),
            ("output = 1\nfails = \"invalid\"\n", "cases.toml:4: `output` and `fails` exclude each other"),
            ("fails = \"invald\"\n", "cases.toml:3: unknown kind of failure `invald`, did you mean `invalid`?"),
            ("says = \"x\"\n", "cases.toml:3: `says` is about a failure"),
            ("input = 1979-05-27\n", "cases.toml:3: JSON has no dates: write it in quotes"),
            ("input = inf\n", "cases.toml:3: JSON has no such number"),
            ("file = \"gone.json\"\n", "cases.toml:3: gone.json: no such file"),
            ("steps = []\n", "cases.toml:1: `steps` is empty"),
            ("skill = \"x\"\nsteps = [{}]\n", "cases.toml:3: `skill` belongs into one of the steps"),
            ("[[case]]\nname = \"a\"\n", "cases.toml:3: line 1 has a case `a` too"),
            ("[[case]]\n", "cases.toml:3: a case needs a name"),
            ("[cas]\n", "cases.toml:3: unknown key `cas`, did you mean `case`?"),
            ("name = \"b\"\n", "cases.toml:3: "),
        ] {
            let refusal = parse(&format!("{head}{rest}")).expect_err("it is refused");
            assert!(refusal.starts_with(said), "{refusal}");
        }
        assert!(parse("case = 1\n").is_err_and(|said| said.contains("write [[case]]")));
        assert!(parse("").is_err_and(|said| said.contains("there are no cases")));
        assert!(parse("beside = 1\n").is_err_and(|said| said.contains("`beside`")));
        let cases = parse(&format!("beside = [\"scribe\"]\n{head}output = 1\n")).expect("they are good");
        assert_eq!(cases.beside, [Path::new("scribe")]);
    }
}

//! Whether a component will do: what it is, what it needs, and whether what it says of itself is so.

use super::project::Project;
use crate::inspect;
use crate::problem::Problem;
use crate::run;
use crate::source::Source;
use base::Digest;
use base::schema::Schema;
use guest::{Card, Grants, Host, Kind, Skill, Version};
use serde_json::{Value, json};
use std::path::Path;

/// A component that will do.
pub(super) struct Checked {
    pub(super) version: Version,
    pub(super) digest: Digest,
    pub(super) size: usize,
    /// None of what is not an agent.
    pub(super) card: Option<Card>,
    pub(super) schemas: Vec<Schemas>,
    /// What its author may want to know.
    pub(super) hints: Vec<String>,
}

/// The schemas of one skill; none where it takes or answers any bytes.
pub(super) struct Schemas {
    pub(super) skill: String,
    pub(super) input: Option<Schema>,
    pub(super) output: Option<Schema>,
}

/// Checks a component, as it would be run: in the sandbox, under its own budget and grants.
pub(super) async fn check(host: &Host, project: &Project, bytes: Vec<u8>) -> Result<Checked, Problem> {
    let (digest, size) = (Digest::of(&bytes), bytes.len());
    let manifest = Some((project.path.clone(), project.manifest.clone()));
    let source = Source { component: project.component(), bytes, manifest };
    let version = run::load(host, &source).await?;
    let mut hints = ungranted(&version, &source.grants(), &project.path);
    let mut checked = Checked { version, digest, size, card: None, schemas: Vec::new(), hints: Vec::new() };
    if checked.version.kind() != Kind::Command {
        let card = describe(host, &checked.version, &source).await?;
        let mut wrong = said_of_itself(&card);
        for skill in &card.skills {
            checked.schemas.push(schemas(skill, &mut wrong, &mut hints));
        }
        if !wrong.is_empty() {
            return Err(refused(&project.component(), &wrong));
        }
        if card.skills.iter().all(|skill| skill.name.is_empty()) {
            hints.push("it names no skills, so nobody learns what it can be asked for".into());
        }
        checked.card = Some(card);
    }
    checked.hints = hints;
    Ok(checked)
}

fn refused(component: &Path, wrong: &[String]) -> Problem {
    let message = format!("{}: the agent says of itself what can't be so: {}", component.display(), wrong.join("; "));
    Problem::new("card", message).details(json!({ "problems": wrong }))
}

/// What it says of itself; asked twice, since everybody must be told the same.
async fn describe(host: &Host, version: &Version, source: &Source) -> Result<Card, Problem> {
    let ask = async || -> Result<Card, Problem> {
        let agent = host.start(version, source.budget(), source.grants(), None)?;
        agent.describe().await?.map_err(|fault| {
            let problem = Problem::from(fault);
            problem.prefixed("`describe`, which says what the agent is, failed: ")
        })
    };
    let (first, again) = (ask().await?, ask().await?);
    match format!("{first:?}") == format!("{again:?}") {
        true => Ok(first),
        false => {
            Err(refused(&source.component, &["`describe` answered something else when it was asked again".into()]))
        }
    }
}

/// What is wrong with a card, its schemas aside.
fn said_of_itself(card: &Card) -> Vec<String> {
    let mut wrong = Vec::new();
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !(1..=64).contains(&card.name.len()) || !plain(&card.name) {
        wrong.push(format!("the name `{}` is not 1 to 64 letters, digits and hyphens", card.name));
    }
    if card.version.is_empty() {
        wrong.push("the version is empty; write one, such as 0.1.0".into());
    }
    for (at, skill) in card.skills.iter().enumerate() {
        if skill.name.is_empty() {
            wrong.push(format!("skill {} has no name", at + 1));
        } else if card.skills[..at].iter().any(|other| other.name == skill.name) {
            wrong.push(format!("two skills have the name `{}`", skill.name));
        }
    }
    wrong
}

/// The schemas of a skill, its examples held against them.
fn schemas(skill: &Skill, wrong: &mut Vec<String>, hints: &mut Vec<String>) -> Schemas {
    let mut read = |which: &str, text: &str| {
        if text.is_empty() {
            return None;
        }
        match Schema::parse(text) {
            Ok(schema) => {
                for keyword in &schema.unchecked {
                    let skill = &skill.name;
                    hints.push(format!(
                        "skill `{skill}`: `{keyword}` in its {which} schema is not looked at by village"
                    ));
                }
                Some(schema)
            }
            Err(problem) => {
                wrong.push(format!("skill `{}`: its {which} schema is not sound: {problem}", skill.name));
                None
            }
        }
    };
    let (input, output) = (read("input", &skill.input), read("output", &skill.output));
    for (at, example) in skill.examples.iter().enumerate() {
        let Some(schema) = &input else { continue };
        let place = format!("skill `{}`: example {}", skill.name, at + 1);
        match serde_json::from_str::<Value>(example) {
            Err(error) => wrong.push(format!("{place} is not JSON: {error}")),
            Ok(value) => wrong.extend(
                schema.misfits(&value).iter().map(|misfit| format!("{place} does not fit its input schema: {misfit}")),
            ),
        }
    }
    Schemas { skill: skill.name.clone(), input, output }
}

/// What is in every program of Rust's standard library, whether or not it is used.
const ALWAYS: [&str; 2] = ["env", "files"];

/// Grants that its imports may need and that the manifest leaves shut. It may well do without.
fn ungranted(version: &Version, grants: &Grants, manifest: &Path) -> Vec<String> {
    let needed = guest::grants_needed(version.shape()).into_iter();
    let shut = needed.filter(|name| !ALWAYS.contains(name) && !is_open(grants, name));
    let hint = |name: &str| {
        let manifest = manifest.display();
        if guest::GRANTS.contains(&name) {
            let opens = opening(name);
            return format!("it may use `{name}`, which {manifest} does not grant: `{opens}` under [grants] opens it");
        }
        format!("it may use `{name}`, which can't be granted yet: there it will be told `denied`")
    };
    shut.map(hint).collect()
}

fn is_open(grants: &Grants, name: &str) -> bool {
    grants.texts().iter().any(|text| text.split('=').next() == Some(name))
}

/// How a manifest opens it.
fn opening(name: &str) -> String {
    match name {
        "agents" => "agents = [\"NAME\"]".into(),
        "mesh" => "mesh = [\"topic/NAME\"]".into(),
        "model" => "model = [\"local/*\"]".into(),
        "memory" => "memory = [\"notes\"]".into(),
        "http" => "http = [\"GET https://api.example.com/v1/\"]".into(),
        name => format!("{name} = true"),
    }
}

impl Checked {
    /// What is known of it, for programs.
    pub(super) fn object(&self) -> Value {
        let card = self.card.as_ref();
        json!({
            "kind": inspect::word(self.version.kind()),
            "agent": card.map(|card| json!({ "name": card.name, "version": card.version })),
            "skills": card.map(|card| card.skills.iter().map(|skill| &skill.name).collect::<Vec<_>>()),
            "size": self.size,
            "digest": self.digest.to_string(),
            "hints": self.hints,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skill(name: &str, input: &str, example: &str) -> Skill {
        Skill {
            name: name.into(),
            description: String::new(),
            input: input.into(),
            output: String::new(),
            tags: Vec::new(),
            examples: vec![example.into()],
        }
    }

    fn wrong(skill: &Skill) -> Vec<String> {
        let mut wrong = Vec::new();
        schemas(skill, &mut wrong, &mut Vec::new());
        wrong
    }

    #[test]
    fn an_example_must_fit_its_schema() {
        let schema = r#"{"type": "object", "required": ["name"]}"#;
        assert_eq!(wrong(&skill("greet", schema, r#"{"name": "Ada"}"#)), Vec::<String>::new());
        assert_eq!(
            wrong(&skill("greet", schema, "{}")),
            ["skill `greet`: example 1 does not fit its input schema: `name` is missing"]
        );
        assert!(wrong(&skill("greet", schema, "{"))[0].contains("example 1 is not JSON"));
        assert!(wrong(&skill("greet", "{", "{}"))[0].contains("its input schema is not sound: it is not JSON"));
        assert_eq!(wrong(&skill("greet", "", "anything")), Vec::<String>::new());
    }

    #[test]
    fn a_card_needs_a_name_a_version_and_skills_of_different_names() {
        let card = |name: &str, version: &str, skills: &[&str]| Card {
            name: name.into(),
            version: version.into(),
            role: String::new(),
            description: String::new(),
            skills: skills.iter().map(|name| skill(name, "", "")).collect(),
            tags: Vec::new(),
        };
        assert_eq!(said_of_itself(&card("a-1", "1", &["x", "y"])), Vec::<String>::new());
        assert_eq!(said_of_itself(&card("a b", "", &["x", "x", ""])).len(), 4);
    }

    #[test]
    fn a_grant_is_open_if_it_was_given() {
        let mut grants = Grants::default();
        grants.open("log").expect("a grant");
        assert!(is_open(&grants, "log") && !is_open(&grants, "state") && !is_open(&grants, "nonsense"));
    }

    #[test]
    fn a_grant_that_is_open_is_not_missed_whether_it_is_a_list_or_not() {
        let mut grants = Grants::default();
        for text in ["log", "model=local/*", "agents=scribe", "http=GET https://example.com/"] {
            grants.open(text).unwrap_or_else(|error| panic!("{error}"));
        }
        let open = guest::GRANTS.into_iter().filter(|name| is_open(&grants, name)).collect::<Vec<_>>();
        assert_eq!(open, ["log", "agents", "model", "http"]);
    }

    #[test]
    fn how_a_grant_is_opened_is_how_a_manifest_says_it() {
        for name in guest::GRANTS.into_iter().filter(|name| !ALWAYS.contains(name)) {
            let text = format!("[agent]\nname = \"a\"\ncomponent = \"a.wasm\"\n[grants]\n{}\n", opening(name));
            let manifest = guest::Manifest::parse(&text, Path::new("agent.toml"));
            let manifest = manifest.unwrap_or_else(|error| panic!("{error}"));
            assert!(is_open(&manifest.grants, name), "{name}");
        }
    }
}

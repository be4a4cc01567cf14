//! `agent.toml`: an agent's name, component, budget, grants, and how its turns are tried and kept.

pub(crate) mod lives;
pub(crate) mod supervision;

use crate::grants::{self, Grants};
use crate::replicas::Replicas;
use crate::site::{AUTHORIZATION, Key, Site};
use crate::turns::{self, Turns};
use agents::kin::Supervision;
use base::{Budget, BudgetError, nearest};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What `agent.toml` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The agent's name.
    pub name: String,
    /// The component, as it is written: relative to the manifest.
    pub component: PathBuf,
    /// Whether other villages may have it: its component, and its budget.
    pub share: bool,
    /// What it may use.
    pub budget: Budget,
    /// What it may reach.
    pub grants: Grants,
    /// How it looks after those that it creates, if it says so.
    pub supervision: Option<Supervision>,
    /// How its turns are tried, recorded and looked after.
    pub turns: Turns,
    /// How many instances serve its mailbox.
    pub replicas: Replicas,
}

/// A manifest that can't be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {problem}", .path.display())]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from one.
    pub line: usize,
    /// What is wrong there, and what would be right.
    pub problem: String,
}

const TABLES: [&str; 6] = ["agent", "budget", "grants", "replicas", "supervision", "turns"];
const AGENT: [&str; 3] = ["name", "component", "share"];

type Problem = (usize, String);

impl Manifest {
    /// Reads a manifest's text. `path` is for messages, and for what the manifest names relative to itself.
    pub fn parse(text: &str, path: &Path) -> Result<Manifest, Error> {
        Manifest::parse_over(text, path, Budget::default())
    }

    /// Reads one whose budget, where it doesn't say, is this one.
    pub fn parse_over(text: &str, path: &Path, budget: Budget) -> Result<Manifest, Error> {
        read(text, path.parent().unwrap_or(Path::new(".")), budget).map_err(|(offset, problem)| Error {
            path: path.into(),
            line: text[..offset.min(text.len())].bytes().filter(|byte| *byte == b'\n').count() + 1,
            problem,
        })
    }
}

fn read(text: &str, folder: &Path, mut budget: Budget) -> Result<Manifest, Problem> {
    let document = DeTable::parse(text).map_err(|error| syntax(text, &error))?;
    let (mut name, mut component, mut share) = (None, None, true);
    let (mut grants, mut looks_after, mut turns) = (Grants::default(), None, Turns::default());
    let mut replicas = Replicas::default();
    for (title, value) in document.get_ref() {
        let at = title.span().start;
        if !TABLES.contains(&title.get_ref().as_ref()) {
            return Err((at, stray("table", title.get_ref(), "", &TABLES)));
        }
        let DeValue::Table(table) = value.get_ref() else {
            return Err((at, format!("`{0}` is a table: write [{0}]", title.get_ref())));
        };
        if title.get_ref() == "supervision" {
            looks_after = Some(supervision::read(table)?);
            continue;
        }
        if title.get_ref() == "replicas" {
            let over = lives::read_replicas(table)?.over(replicas);
            replicas = over.map_err(|error| (at, error.to_string()))?;
            continue;
        }
        for (key, value) in table {
            let (at, field) = (key.span().start, key.get_ref().as_ref());
            match (title.get_ref().as_ref(), field) {
                ("agent", "name") => name = Some(agent_name(value)?),
                ("agent", "component") => component = Some(component_path(value)?),
                ("agent", "share") => share = flag("share", value)?,
                ("agent", _) => return Err((at, stray("key", field, "agent", &AGENT))),
                ("budget", _) => set(&mut budget, field, at, value)?,
                ("turns", _) => drop(lives::set_turns(&mut turns, field, at, value)?),
                _ => open(&mut grants, field, at, value, folder)?,
            }
        }
        if title.get_ref() == "turns" {
            turns.check().map_err(|error| (at, error.to_string()))?;
        }
    }
    let missing = |key: &str| (0, format!("[agent] needs `{key}`"));
    Ok(Manifest {
        name: name.ok_or_else(|| missing("name = \"…\""))?,
        component: component.ok_or_else(|| missing("component = \"….wasm\""))?,
        share,
        budget,
        grants,
        supervision: looks_after,
        turns,
        replicas,
    })
}

/// What keeps a text from being TOML.
fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or_default();
    let message = match (error.message(), text.get(span.clone())) {
        ("duplicate key", Some(key)) => format!("`{key}` is set twice: leave one out"),
        (message, _) => message.into(),
    };
    (span.start, message)
}

/// What to say of a name that does not belong where it stands.
fn stray(what: &str, name: &str, table: &str, known: &[&'static str]) -> String {
    let home = match () {
        () if table != "agent" && AGENT.contains(&name) => Some("agent"),
        () if table != "budget" && base::BUDGET_FIELDS.contains(&name) => Some("budget"),
        () if table != "grants" && grants::known(name).is_ok() => Some("grants"),
        () if table != "turns" && turns::FIELDS.contains(&name) => Some("turns"),
        () => None,
    };
    let hint = match (nearest(name, known.iter().copied()), home) {
        (_, Some(home)) => format!(": it belongs under [{home}]"),
        (Some(word), None) => format!(", did you mean `{word}`?"),
        (None, None) => String::new(),
    };
    format!("unknown {what} `{name}`{hint}; there are {}", known.join(", "))
}

fn component_path(value: &Spanned<DeValue<'_>>) -> Result<PathBuf, Problem> {
    let path = string("component", "agent.wasm", value)?;
    match path.trim().is_empty() {
        true => Err((value.span().start, "`component` is empty: name a file, as component = \"agent.wasm\"".into())),
        false => Ok(PathBuf::from(path)),
    }
}

fn flag(key: &str, value: &Spanned<DeValue<'_>>) -> Result<bool, Problem> {
    match value.get_ref() {
        DeValue::Boolean(flag) => Ok(*flag),
        _ => Err((value.span().start, format!("`{key}` is either true or false"))),
    }
}

fn agent_name(value: &Spanned<DeValue<'_>>) -> Result<String, Problem> {
    let name = string("name", "my-agent", value)?;
    let good = (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match good {
        true => Ok(name),
        false => Err((value.span().start, format!("`{name}` is no name: use 1 to 64 letters, digits and hyphens"))),
    }
}

fn set(budget: &mut Budget, field: &str, at: usize, value: &Spanned<DeValue<'_>>) -> Result<(), Problem> {
    let text = match value.get_ref() {
        DeValue::Integer(number) => number.to_string(),
        // Which field is right comes before what its value may be.
        DeValue::String(text) => text.to_string(),
        _ => match Budget::default().fields().iter().find(|(name, _)| *name == field) {
            Some((_, example)) => string(field, example, value)?,
            None => String::new(),
        },
    };
    budget.set(field, &text).map_err(|error| match error {
        BudgetError::Unknown { .. } if field_is_elsewhere(field) => {
            (at, stray("budget field", field, "budget", &base::BUDGET_FIELDS))
        }
        BudgetError::Unknown { .. } | BudgetError::Later { .. } => (at, error.to_string()),
        BudgetError::Value { .. } | BudgetError::Range { .. } => (value.span().start, error.to_string()),
    })
}

fn open(
    grants: &mut Grants,
    name: &str,
    at: usize,
    value: &Spanned<DeValue<'_>>,
    folder: &Path,
) -> Result<(), Problem> {
    let known = grants::known(name).map_err(|error| match error {
        grants::Error::Unknown { .. } if field_is_elsewhere(name) => {
            (at, stray("grant", name, "grants", &grants::NAMES))
        }
        error => (at, error.to_string()),
    })?;
    match (known, value.get_ref()) {
        ("http", DeValue::Array(list)) => {
            for item in list {
                let site = site(item)?;
                grants.open_http(site).map_err(|error| (item.span().start, error.to_string()))?;
            }
            Ok(())
        }
        ("env" | "files" | "agents" | "mesh" | "memory" | "model", DeValue::Array(list)) => {
            for item in list {
                let text = string(known, example(known), item)?;
                let opened = match known {
                    "env" => grants.open_env(&text),
                    "agents" => grants.open_agents(&text),
                    "mesh" => grants.open_mesh(&text),
                    "memory" => grants.open_memory(&text),
                    "model" => grants.open_model(&text),
                    _ => grants.open_files(&beside(&text, folder)),
                };
                opened.map_err(|error| (item.span().start, error.to_string()))?;
            }
            Ok(())
        }
        (_, DeValue::Boolean(open)) => {
            grants.switch(known, *open).map_err(|error| (value.span().start, error.to_string()))
        }
        ("env", _) => Err((value.span().start, "grant `env` takes a list of names, such as env = [\"LANG\"]".into())),
        ("agents", _) => {
            let said = "grant `agents` takes a list of names, such as agents = [\"scribe\"]";
            Err((value.span().start, said.into()))
        }
        ("mesh", _) => {
            let said = "grant `mesh` takes a list of topics and skills, such as mesh = [\"topic/prices/*\"]";
            Err((value.span().start, said.into()))
        }
        ("memory", _) => {
            let said = "grant `memory` takes a list of spaces, such as memory = [\"notes\", \"library:read\"]";
            Err((value.span().start, said.into()))
        }
        ("model", _) => {
            let said = "grant `model` takes a list of models, such as model = [\"local/*\"]";
            Err((value.span().start, said.into()))
        }
        ("files", _) => {
            let said = "grant `files` takes a list of folders, such as files = [\"./data:/data:ro\"]";
            Err((value.span().start, said.into()))
        }
        ("http", _) => Err((value.span().start, "grant `http` takes a list of texts or tables".into())),
        _ => Err((value.span().start, format!("grant `{known}` is either true or false"))),
    }
}

/// What an item of a grant that is a list looks like.
fn example(grant: &str) -> &'static str {
    match grant {
        "env" => "LANG",
        "agents" => "scribe",
        "mesh" => "topic/prices/*",
        "memory" => "notes",
        "model" => "local/*",
        _ => "./data:/data:ro",
    }
}

const SITE: [&str; 5] = ["origin", "path", "methods", "secret", "as"];

/// One part of the web: `"GET https://api.example.com/v1/"`, or a table of its parts.
fn site(item: &Spanned<DeValue<'_>>) -> Result<Result<Site, String>, Problem> {
    let DeValue::Table(table) = item.get_ref() else {
        return Ok(Site::parse(&string("http", "GET https://api.example.com/", item)?));
    };
    let (mut origin, mut path, mut methods) = (None, String::new(), vec!["GET".to_string(), "HEAD".to_string()]);
    let (mut secret, mut place) = (None, None);
    for (key, value) in table {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("origin", _) => origin = Some(string("origin", "https://api.example.com", value)?),
            ("path", _) => path = string("path", "/v1/", value)?,
            ("methods", DeValue::Array(list)) => {
                methods = list.iter().map(|item| string("methods", "GET", item)).collect::<Result<_, _>>()?
            }
            ("methods", _) => return Err((value.span().start, "`methods` is a list, such as [\"GET\"]".into())),
            ("secret", _) => secret = Some(string("secret", "API_KEY", value)?),
            ("as", _) => place = Some(string("as", "authorization: Bearer {}", value)?),
            (field, _) => {
                let near = nearest(field, SITE).map(|word| format!(", did you mean `{word}`?")).unwrap_or_default();
                let all = SITE.join(", ");
                return Err((
                    key.span().start,
                    format!("unknown key `{field}` of a grant `http`{near}; there are {all}"),
                ));
            }
        }
    }
    let origin =
        origin.ok_or_else(|| (item.span().start, "grant `http` needs `origin = \"https://…\"`".to_string()))?;
    let key = match (secret, place) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err("`as` says where a secret goes: name one with `secret`".into()),
        (Some(secret), place) => Key::parse(&secret, place.as_deref().unwrap_or(AUTHORIZATION)).map(Some),
    };
    let methods: Vec<_> = methods.iter().map(String::as_str).collect();
    Ok(key.and_then(|key| Site::new(&origin, &path, &methods, key)))
}

/// A folder that is named relative to the manifest, seen from here.
fn beside(text: &str, folder: &Path) -> String {
    match Path::new(text).is_relative() {
        true => format!("{}/{text}", folder.display()),
        false => text.into(),
    }
}

/// Whether a name that is unknown here is known in another table.
fn field_is_elsewhere(name: &str) -> bool {
    AGENT.contains(&name)
        || base::BUDGET_FIELDS.contains(&name)
        || grants::known(name).is_ok()
        || turns::FIELDS.contains(&name)
}

fn string(key: &str, example: &str, value: &Spanned<DeValue<'_>>) -> Result<String, Problem> {
    let kind = match value.get_ref() {
        DeValue::String(text) => return Ok(text.to_string()),
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Err((value.span().start, format!("`{key}` is {kind}, and must be text in quotes, such as \"{example}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Size;

    const GOOD: &str = "[agent]\nname = \"echo\"\ncomponent = \"echo.wasm\"\n";

    fn parse(text: &str) -> Result<Manifest, String> {
        Manifest::parse(text, Path::new("agent.toml")).map_err(|error| error.to_string())
    }

    fn refusal(rest: &str) -> String {
        parse(&format!("{GOOD}{rest}")).expect_err("it is refused")
    }

    #[test]
    fn a_manifest_sets_budget_and_grants() {
        let text = format!(
            "{GOOD}[budget]\nmemory = \"32MiB\"\nlog = 4096\n[grants]\nstate = true\nfiles = [\".:/here:ro\"]\n"
        );
        let manifest = parse(&text).expect("it is good");
        assert_eq!((manifest.budget.memory, manifest.budget.log), (Size::mib(32), Size::kib(4)));
        assert!(manifest.grants.state && !manifest.grants.log);
        assert_eq!(manifest.grants.files.len(), 1);
    }

    #[test]
    fn turns_are_set_field_by_field() {
        let text = format!("{GOOD}[turns]\nattempts = 2\nrecord = true\nbackoff = \"1ms\"\nidle = \"10s\"\n");
        let turns = parse(&text).expect("it is good").turns;
        assert_eq!((turns.retry.attempts, turns.record), (2, true));
        assert_eq!((turns.retry.backoff.as_millis(), turns.care.idle.as_secs()), (1, 10));
        assert_eq!(turns.care.faults, Turns::default().care.faults, "what is not named is as always");
        assert_eq!(parse(GOOD).map(|manifest| manifest.turns), Ok(Turns::default()));
    }

    #[test]
    fn a_field_that_is_not_named_has_what_the_reader_says() {
        let own = Budget { mailbox: 7, children: 3, ..Budget::default() };
        let text = format!("{GOOD}[budget]\nchildren = 2\n");
        let manifest = Manifest::parse_over(&text, Path::new("agent.toml"), own).expect("it is good");
        assert_eq!((manifest.budget.mailbox, manifest.budget.children), (7, 2));
    }

    #[test]
    fn parts_of_the_web_are_texts_or_tables() {
        let list = "[grants]\nhttp = [\"GET https://a.example/v1/\", { origin = \"http://[::1]:80\", methods = [\"POST\"] }]\n";
        let manifest = parse(&format!("{GOOD}{list}")).expect("it is good");
        let texts: Vec<_> = manifest.grants.http.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["GET https://a.example/v1", "POST http://[::1]/"]);
        let tables =
            "[[grants.http]]\norigin = \"https://a.example\"\npath = \"/v1/\"\nsecret = \"KEY\"\nas = \"x-key: {}\"\n";
        let manifest = parse(&format!("{GOOD}{tables}")).expect("it is good");
        assert_eq!(manifest.grants.http[0].to_string(), "GET,HEAD https://a.example/v1 secret=KEY as=x-key: {}");
    }

    #[test]
    fn a_value_in_the_place_of_a_secrets_name_is_refused_and_not_repeated() {
        let pasted = "sk-live-0123456789";
        for rest in [
            format!("http = [{{ origin = \"https://a.example\", secret = \"{pasted}\" }}]"),
            format!(
                "http = [{{ origin = \"https://a.example\", secret = \"KEY\", as = \"authorization: Bearer {pasted}\" }}]"
            ),
            format!("http = [\"https://a.example secret={pasted}\"]"),
        ] {
            let said = refusal(&format!("[grants]\n{rest}\n"));
            assert!(said.starts_with("agent.toml:5: ") && !said.contains(pasted), "{said}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (rest, said) in [
            ("[budget]\nmemmory = \"1MiB\"\n", "agent.toml:5: unknown budget field `memmory`, did you mean `memory`?"),
            ("[budget]\ntokens = \"1k/s\"\n", "agent.toml:5: budget field `tokens`: `1k/s`"),
            ("[budget]\n\ncpu = \"0%\"\n", "agent.toml:6: budget field `cpu`: `0%` is not a share"),
            ("[grants]\nnetwrok = true\n", "agent.toml:5: unknown grant `netwrok`"),
            ("[grants]\nhttp = true\n", "agent.toml:5: grant `http`"),
            (
                "[[grants.http]]\norigni = \"x\"\n",
                "agent.toml:5: unknown key `origni` of a grant `http`, did you mean `origin`?",
            ),
            ("[[grants.http]]\npath = \"/\"\n", "agent.toml:4: grant `http` needs `origin"),
            ("[grants]\nmodel = true\n", "agent.toml:5: grant `model`"),
            ("[grants]\nfiles = [\n \"/x/y/z:/a:ro\"]\n", "agent.toml:6: grant `files`: the folder /x/y/z"),
            ("[grants]\nlog = \"yes\"\n", "agent.toml:5: grant `log` is either true or false"),
            ("[budgets]\n", "agent.toml:4: unknown table `budgets`, did you mean `budget`?"),
            ("[turns]\natempts = 3\n", "agent.toml:5: unknown turns field `atempts`, did you mean `attempts`?"),
            ("[turns]\n\nattempts = 0\n", "agent.toml:6: turns field `attempts`: 0 is not between 1 and 1000"),
            ("[turns]\nidle = 5\n", "agent.toml:5: turns field `idle`: `5` is not a length of time"),
            ("[turns]\nidle = [5]\n", "agent.toml:5: `idle` is a list, and must be text in quotes, such as \"300s\""),
            ("[turns]\nrecord = \"maybe\"\n", "agent.toml:5: turns field `record`: `maybe` is not true or false"),
            ("[turns]\nbackoff = \"2m\"\n", "agent.toml:4: turns field `backoff` (120s) is longer than"),
            ("[turns]\ncpu = \"5%\"\n", "agent.toml:5: unknown turns field `cpu`: it belongs under [budget]"),
            ("[budget]\nattempts = 3\n", "agent.toml:5: unknown budget field `attempts`: it belongs under [turns]"),
            ("turns = 3\n", "agent.toml:4: unknown key `turns`"),
            ("[budget\n", "agent.toml:4: "),
            ("[budget]\ncpu = 0.5\n", "agent.toml:5: `cpu` is a number, and must be text in quotes, such as \"25%\""),
            ("[budget]\ncup = 0.5\n", "agent.toml:5: unknown budget field `cup`, did you mean `cpu`?"),
            ("[budget]\nmemory = [1]\n", "agent.toml:5: `memory` is a list, and must be text in quotes"),
            ("[budget]\ncpu = \"5%\"\ncpu = \"6%\"\n", "agent.toml:6: `cpu` is set twice: leave one out"),
            ("[budget]\nname = \"b\"\n", "agent.toml:5: unknown budget field `name`: it belongs under [agent]"),
            ("[budget]\nstate = true\n", "agent.toml:5: unknown budget field `state`: it belongs under [grants]"),
            ("[grants]\ncpu = \"5%\"\n", "agent.toml:5: unknown grant `cpu`: it belongs under [budget]"),
            ("deadline = \"5s\"\n", "agent.toml:4: unknown key `deadline`: it belongs under [budget]"),
            (
                "[grants]\nfiles = \"./a:/a:ro\"\n",
                "agent.toml:5: grant `files` takes a list of folders, such as files = [",
            ),
            ("[grants]\nfiles = [5]\n", "agent.toml:5: `files` is a number, and must be text in quotes"),
            (
                "[grants]\nfiles = [\"/x/y/z:/a:ro\"]\n",
                "agent.toml:5: grant `files`: the folder /x/y/z is not there: make it",
            ),
            ("[grants]\nenv = true\n", "agent.toml:5: grant `env`: it takes a list of names, such as env = [\"LANG\"]"),
        ] {
            let refusal = refusal(rest);
            assert!(refusal.starts_with(said), "{refusal}");
        }
        assert!(
            parse("[agent]\nname = \"a b\"\n").is_err_and(|said| said.starts_with("agent.toml:2: `a b` is no name"))
        );
        assert!(parse("").is_err_and(|said| said.contains("needs `name")));
        for (text, said) in [
            ("name = \"a\"\n", "agent.toml:1: unknown table `name`: it belongs under [agent]"),
            (
                "[agent]\nname = 5\n",
                "agent.toml:2: `name` is a number, and must be text in quotes, such as \"my-agent\"",
            ),
            ("[agent]\nname = \"a\"\ncomponent = \"\"\n", "agent.toml:3: `component` is empty: name a file"),
            (
                "[agent]\nname = \"a\"\ncomponnet = \"\"\n",
                "agent.toml:3: unknown key `componnet`, did you mean `component`?",
            ),
        ] {
            assert!(parse(text).is_err_and(|refusal| refusal.starts_with(said)), "{said}");
        }
    }
}

//! `agent.toml`: an agent's name, component, budget and grants.

use crate::grants::{self, Grants};
use crate::site::{AUTHORIZATION, Key, Site};
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
    /// What it may use.
    pub budget: Budget,
    /// What it may reach.
    pub grants: Grants,
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

const TABLES: [&str; 3] = ["agent", "budget", "grants"];
const AGENT: [&str; 2] = ["name", "component"];

type Problem = (usize, String);

impl Manifest {
    /// Reads a manifest's text. `path` is for messages, and for what the manifest names relative to itself.
    pub fn parse(text: &str, path: &Path) -> Result<Manifest, Error> {
        read(text, path.parent().unwrap_or(Path::new("."))).map_err(|(offset, problem)| Error {
            path: path.into(),
            line: text[..offset.min(text.len())].bytes().filter(|byte| *byte == b'\n').count() + 1,
            problem,
        })
    }
}

fn read(text: &str, folder: &Path) -> Result<Manifest, Problem> {
    let document = DeTable::parse(text)
        .map_err(|error| (error.span().map_or(0, |span| span.start), error.message().to_string()))?;
    let (mut name, mut component) = (None, None);
    let mut budget = Budget::default();
    let mut grants = Grants::default();
    for (title, value) in document.get_ref() {
        let at = title.span().start;
        if !TABLES.contains(&title.get_ref().as_ref()) {
            return Err((at, unknown("table", title.get_ref(), &TABLES)));
        }
        let DeValue::Table(table) = value.get_ref() else {
            return Err((at, format!("`{0}` is a table: write [{0}]", title.get_ref())));
        };
        for (key, value) in table {
            let (at, field) = (key.span().start, key.get_ref().as_ref());
            match (title.get_ref().as_ref(), field) {
                ("agent", "name") => name = Some(agent_name(value)?),
                ("agent", "component") => component = Some(PathBuf::from(string(value)?)),
                ("agent", _) => return Err((at, unknown("key", field, &AGENT))),
                ("budget", _) => set(&mut budget, field, at, value)?,
                _ => open(&mut grants, field, at, value, folder)?,
            }
        }
    }
    let missing = |key: &str| (0, format!("[agent] needs `{key}`"));
    Ok(Manifest {
        name: name.ok_or_else(|| missing("name = \"…\""))?,
        component: component.ok_or_else(|| missing("component = \"….wasm\""))?,
        budget,
        grants,
    })
}

fn unknown(what: &str, name: &str, known: &[&'static str]) -> String {
    let hint = nearest(name, known.iter().copied()).map(|word| format!(", did you mean `{word}`?")).unwrap_or_default();
    format!("unknown {what} `{name}`{hint}; there are {}", known.join(", "))
}

fn agent_name(value: &Spanned<DeValue<'_>>) -> Result<String, Problem> {
    let name = string(value)?;
    let good = (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match good {
        true => Ok(name),
        false => Err((value.span().start, format!("`{name}` is no name: use 1 to 64 letters, digits and hyphens"))),
    }
}

fn set(budget: &mut Budget, field: &str, at: usize, value: &Spanned<DeValue<'_>>) -> Result<(), Problem> {
    let text = match value.get_ref() {
        DeValue::Integer(number) => number.to_string(),
        _ => string(value)?,
    };
    budget.set(field, &text).map_err(|error| match error {
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
    let known = grants::known(name).map_err(|error| (at, error.to_string()))?;
    match (known, value.get_ref()) {
        ("http", DeValue::Array(list)) => {
            for item in list {
                let site = site(item)?;
                grants.open_http(site).map_err(|error| (item.span().start, error.to_string()))?;
            }
            Ok(())
        }
        ("env" | "files", DeValue::Array(list)) => {
            for item in list {
                let text = string(item)?;
                let opened = match known {
                    "env" => grants.open_env(&text),
                    _ => grants.open_files(&beside(&text, folder)),
                };
                opened.map_err(|error| (item.span().start, error.to_string()))?;
            }
            Ok(())
        }
        (_, DeValue::Boolean(open)) => {
            grants.switch(known, *open).map_err(|error| (value.span().start, error.to_string()))
        }
        ("http", _) => Err((value.span().start, "grant `http` takes a list of texts or tables".into())),
        ("env" | "files", _) => Err((value.span().start, format!("grant `{known}` takes a list of texts"))),
        _ => Err((value.span().start, format!("grant `{known}` is either true or false"))),
    }
}

const SITE: [&str; 5] = ["origin", "path", "methods", "secret", "as"];

/// One part of the web: `"GET https://api.example.com/v1/"`, or a table of its parts.
fn site(item: &Spanned<DeValue<'_>>) -> Result<Result<Site, String>, Problem> {
    let DeValue::Table(table) = item.get_ref() else { return Ok(Site::parse(&string(item)?)) };
    let (mut origin, mut path, mut methods) = (None, String::new(), vec!["GET".to_string(), "HEAD".to_string()]);
    let (mut secret, mut place) = (None, None);
    for (key, value) in table {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("origin", _) => origin = Some(string(value)?),
            ("path", _) => path = string(value)?,
            ("methods", DeValue::Array(list)) => methods = list.iter().map(string).collect::<Result<_, _>>()?,
            ("methods", _) => return Err((value.span().start, "`methods` is a list, such as [\"GET\"]".into())),
            ("secret", _) => secret = Some(string(value)?),
            ("as", _) => place = Some(string(value)?),
            (field, _) => return Err((key.span().start, unknown("key", field, &SITE))),
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

fn string(value: &Spanned<DeValue<'_>>) -> Result<String, Problem> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err((value.span().start, "this must be text in quotes".into())),
    }
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
            ("[budget]\ntokens = \"1k\"\n", "agent.toml:5: budget field `tokens` can't be enforced yet"),
            ("[budget]\n\ncpu = \"0%\"\n", "agent.toml:6: budget field `cpu`: `0%` is not a share"),
            ("[grants]\nnetwrok = true\n", "agent.toml:5: unknown grant `netwrok`"),
            ("[grants]\nhttp = true\n", "agent.toml:5: grant `http`"),
            ("[[grants.http]]\norigni = \"x\"\n", "agent.toml:5: unknown key `origni`, did you mean `origin`?"),
            ("[[grants.http]]\npath = \"/\"\n", "agent.toml:4: grant `http` needs `origin"),
            ("[grants]\nmodel = [\"local/*\"]\n", "agent.toml:5: grant `model` can't be honoured yet"),
            ("[grants]\nfiles = [\n \"/x/y/z:/a:ro\"]\n", "agent.toml:6: grant `files`: the folder /x/y/z"),
            ("[grants]\nlog = \"yes\"\n", "agent.toml:5: grant `log` is either true or false"),
            ("[budgets]\n", "agent.toml:4: unknown table `budgets`, did you mean `budget`?"),
            ("[budget\n", "agent.toml:4: "),
        ] {
            let refusal = refusal(rest);
            assert!(refusal.starts_with(said), "{refusal}");
        }
        assert!(
            parse("[agent]\nname = \"a b\"\n").is_err_and(|said| said.starts_with("agent.toml:2: `a b` is no name"))
        );
        assert!(parse("").is_err_and(|said| said.contains("needs `name")));
    }
}

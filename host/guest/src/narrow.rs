//! What an agent hands on to one that it creates: grants and a budget, never wider than its own.

use crate::grants::{Folder, Grants, known, matches, space};
use crate::site::Site;
use base::Budget;
use toml::Value;

/// Why a grant or a budget can't be handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It makes no sense.
    Invalid(String),
    /// It is wider than what the agent itself has.
    Wider(String),
}

fn invalid(text: impl Into<String>) -> Refused {
    Refused::Invalid(text.into())
}

fn wider(text: impl Into<String>) -> Refused {
    Refused::Wider(text.into())
}

type Answer<T> = Result<T, Refused>;

/// Grants as `text` says, in the form that they have under `[grants]` in a manifest. What it names is what the agent
/// itself sees: folders by the names that it knows them by, variables by the values that it was given.
pub(crate) fn grants(own: &Grants, text: &str) -> Answer<Grants> {
    let mut grants = Grants::default();
    for (name, value) in table(text)? {
        let known = known(&name).map_err(|error| invalid(error.to_string()))?;
        match (known, value) {
            ("env", Value::Array(list)) => {
                for name in texts("env", list)? {
                    let found = own.env.iter().find(|(known, _)| *known == name);
                    let found = found.ok_or_else(|| wider(format!("it has no grant `env` for `{name}`")))?;
                    grants.env.push(found.clone());
                }
            }
            ("files", Value::Array(list)) => {
                for text in texts("files", list)? {
                    grants.files.push(folder(own, &text)?);
                }
            }
            ("mesh", Value::Array(list)) => {
                for pattern in texts("mesh", list)? {
                    if !own.mesh.iter().any(|own| matches(own, &pattern)) {
                        return Err(wider(format!("it has no grant `mesh` that covers `{pattern}`")));
                    }
                    grants.open_mesh(&pattern).map_err(|error| invalid(error.to_string()))?;
                }
            }
            ("memory", Value::Array(list)) => {
                for text in texts("memory", list)? {
                    let (pattern, rights) = space(&text);
                    if !own.remembers(pattern, rights == "write") {
                        return Err(wider(format!("it has no grant `memory` that covers `{text}`")));
                    }
                    grants.open_memory(&text).map_err(|error| invalid(error.to_string()))?;
                }
            }
            ("model", Value::Array(list)) => {
                for pattern in texts("model", list)? {
                    if !own.model.covers(&pattern) {
                        return Err(wider(format!("it has no grant `model` that covers `{pattern}`")));
                    }
                    grants.open_model(&pattern).map_err(|error| invalid(error.to_string()))?;
                }
            }
            ("agents", Value::Array(list)) => {
                for pattern in texts("agents", list)? {
                    if !own.reaches(&pattern) {
                        return Err(wider(format!("it has no grant `agents` that covers `{pattern}`")));
                    }
                    grants.open_agents(&pattern).map_err(|error| invalid(error.to_string()))?;
                }
            }
            ("http", Value::Array(list)) => {
                for text in texts("http", list)? {
                    let site = Site::parse(&text).map_err(|problem| invalid(format!("grant `http`: {problem}")))?;
                    if !own.http.iter().any(|own| own.covers(&site)) {
                        return Err(wider(format!("it has no grant `http` that covers `{text}`")));
                    }
                    grants.http.push(site);
                }
            }
            (name, Value::Boolean(open)) => {
                // One that takes a list is said to, whoever has it.
                grants.switch(name, open).map_err(|error| invalid(error.to_string()))?;
                if open && !has(own, name) {
                    return Err(wider(format!("it has no grant `{name}` itself")));
                }
            }
            (name, _) => return Err(invalid(format!("grant `{name}` is not written so in a manifest"))),
        }
    }
    Ok(grants)
}

/// Whether it has a grant that takes no value.
fn has(own: &Grants, name: &str) -> bool {
    match name {
        "log" => own.log,
        "state" => own.state,
        "workspace" => own.workspace,
        "budget" => own.budget,
        "clock" => own.clock,
        "random" => own.random,
        "kernels" => own.kernels,
        "spawn" => own.spawn,
        "public" => own.public,
        _ => false,
    }
}

/// A folder of its own, under another name, to change only if it may itself. A folder within it can't be handed on:
/// by the time it is used, a link could stand in its place.
fn folder(own: &Grants, text: &str) -> Answer<Folder> {
    let form = || invalid(format!("grant `files`: `{text}` is not NAME:NAME:ro or NAME:NAME:rw"));
    let (rest, rights) = text.rsplit_once(':').ok_or_else(form)?;
    let (from, to) = rest.split_once(':').ok_or_else(form)?;
    let writable = match rights {
        "ro" => false,
        "rw" => true,
        _ => return Err(form()),
    };
    let found = own.files.iter().find(|folder| folder.guest == from);
    let found = found.ok_or_else(|| wider(format!("it was not granted the folder {from}, as a whole")))?;
    if writable && !found.writable {
        return Err(wider(format!("it may not write to {from} itself")));
    }
    if !to.starts_with('/') || to.split('/').any(|part| part == "..") {
        return Err(form());
    }
    Ok(Folder { host: found.host.clone(), guest: to.into(), writable })
}

/// A budget as `text` says, in the form that it has under `[budget]` in a manifest. A field that it doesn't name has its
/// default, or what the agent itself has if that is less.
pub(crate) fn budget(own: &Budget, text: &str) -> Answer<Budget> {
    let mut budget = Budget::default();
    narrow(&mut budget, own);
    for (field, value) in table(text)? {
        let text = match value {
            Value::String(text) => text,
            Value::Integer(number) => number.to_string(),
            _ => return Err(invalid(format!("budget field `{field}` must be text in quotes"))),
        };
        let asked = budget_with(&budget, &field, &text)?;
        let mut held = asked;
        narrow(&mut held, own);
        if held != asked {
            return Err(wider(format!("budget field `{field}`: {text} is more than it has itself")));
        }
        budget = asked;
    }
    Ok(budget)
}

fn budget_with(budget: &Budget, field: &str, text: &str) -> Answer<Budget> {
    let mut budget = *budget;
    budget.set(field, text).map_err(|error| invalid(error.to_string()))?;
    Ok(budget)
}

/// No field more than `most` has.
fn narrow(budget: &mut Budget, most: &Budget) {
    // Every field is named, so that one that is added can't be forgotten.
    let Budget {
        cpu,
        burst,
        deadline,
        memory,
        storage,
        mailbox,
        mailbox_bytes,
        log,
        messages,
        mesh,
        children,
        gpu,
        http,
        tokens,
    } = budget;
    *cpu = (*cpu).min(most.cpu);
    *burst = (*burst).min(most.burst);
    *deadline = (*deadline).min(most.deadline);
    *memory = (*memory).min(most.memory);
    *storage = (*storage).min(most.storage);
    *mailbox = (*mailbox).min(most.mailbox);
    *mailbox_bytes = (*mailbox_bytes).min(most.mailbox_bytes);
    *log = (*log).min(most.log);
    *messages = (*messages).min(most.messages);
    *mesh = (*mesh).min(most.mesh);
    *children = (*children).min(most.children);
    *gpu = (*gpu).min(most.gpu);
    *http = (*http).min(most.http);
    *tokens = (*tokens).min(most.tokens);
}

fn table(text: &str) -> Answer<toml::Table> {
    text.parse().map_err(|error: toml::de::Error| invalid(error.message().to_string()))
}

fn texts(name: &str, list: Vec<Value>) -> Answer<Vec<String>> {
    let text = |value| match value {
        Value::String(text) => Ok(text),
        _ => Err(invalid(format!("grant `{name}` takes a list of texts"))),
    };
    list.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Size;

    fn own() -> Grants {
        let folder = |guest: &str, writable| Folder { host: "/srv".into(), guest: guest.into(), writable };
        Grants {
            log: true,
            spawn: true,
            agents: vec!["scribe".into(), "team/*".into(), "clerk@12D3*".into()],
            mesh: vec!["topic/prices/*".into()],
            env: vec![("LANG".into(), "C".into())],
            files: vec![folder("/maps", false), folder("/out", true)],
            http: vec![Site::parse("GET,POST https://api.example.com/v1/").expect("a site")],
            ..Grants::default()
        }
    }

    fn refused(text: &str) -> Refused {
        grants(&own(), text).expect_err("it is refused")
    }

    #[test]
    fn what_is_narrower_is_handed_on() {
        let text = r#"
            log = true
            spawn = false
            agents = ["scribe", "team/a", "team/b/*", "clerk@12D3abc"]
            mesh = ["topic/prices/tea"]
            env = ["LANG"]
            files = ["/maps:/m:ro", "/out:/out:ro"]
            http = ["GET https://api.example.com/v1/items/"]
        "#;
        let child = grants(&own(), text).expect("it is narrower");
        assert!(child.log && !child.spawn && !child.state);
        assert_eq!(child.agents, ["scribe", "team/a", "team/b/*", "clerk@12D3abc"]);
        assert_eq!(child.mesh, ["topic/prices/tea"]);
        assert_eq!(child.env, [("LANG".into(), "C".into())]);
        let folders: Vec<_> = child.files.iter().map(|folder| (folder.guest.as_str(), folder.writable)).collect();
        assert_eq!(folders, [("/m", false), ("/out", false)]);
        assert_eq!(grants(&own(), ""), Ok(Grants::default()));
    }

    #[test]
    fn what_is_wider_is_refused() {
        for text in [
            "state = true",
            "workspace = true",
            "clock = true",
            "agents = [\"*\"]",
            "agents = [\"tea*\"]",
            "agents = [\"scribes\"]",
            "agents = [\"scribe*\"]",
            "agents = [\"scribe@12D3*\"]",
            "agents = [\"clerk@*\"]",
            "mesh = [\"*\"]",
            "mesh = [\"skill/translate\"]",
            "public = true",
            "env = [\"HOME\"]",
            "http = [\"GET https://api.example.com/\"]",
            "http = [\"DELETE https://api.example.com/v1/\"]",
            "http = [\"GET https://api.example.com/v1/ secret=KEY\"]",
            "files = [\"/maps:/maps:rw\"]",
            "files = [\"/maps/..:/m:ro\"]",
            "files = [\"/maps/inner:/m:ro\"]",
            "files = [\"/srv:/m:ro\"]",
        ] {
            assert!(matches!(refused(text), Refused::Wider(_)), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["logs = true", "log = 1", "files = [\"/maps\"]", "files = [\"/out:out:ro\"]", "log", "mesh = true"]
        {
            assert!(matches!(refused(text), Refused::Invalid(_)), "{text}");
        }
    }

    #[test]
    fn a_budget_is_never_more_than_its_givers() {
        let own = Budget { memory: Size::mib(16), children: 3, ..Budget::default() };
        let child = budget(&own, "").expect("defaults");
        assert_eq!((child.memory, child.children, child.cpu), (Size::mib(16), 0, Budget::default().cpu));
        let child = budget(&own, "memory = \"8MiB\"\nchildren = 2").expect("less");
        assert_eq!((child.memory, child.children), (Size::mib(8), 2));
        for text in
            ["memory = \"17MiB\"", "cpu = \"26%\"", "children = 4", "deadline = \"31s\"", "messages = \"101/s\""]
        {
            assert!(matches!(budget(&own, text), Err(Refused::Wider(_))), "{text}");
        }
        assert!(matches!(budget(&own, "memmory = \"1MiB\""), Err(Refused::Invalid(_))));
    }
}

//! `village.toml`: where a node listens and keeps its data, its groups, and the agents that it begins with.

mod mesh;

pub use self::mesh::MeshConfig;

use crate::journal::Keep;
use base::{Budget, Group, Size, nearest};
use guest::replicas::Bounds;
use guest::{Supervision, read_replicas, read_supervision, read_turns};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What `village.toml` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// Where it listens, as it is written.
    pub listen: Option<String>,
    /// The data folder. What is relative is so to the file.
    pub data: Option<PathBuf>,
    /// How long turns may take to end when it stops.
    pub stop_within: Option<Duration>,
    /// What an agent may use where nobody says.
    pub budget: Budget,
    /// Groups by name, with the name of the group that each is in.
    pub groups: BTreeMap<String, (Group, Option<String>)>,
    /// How the agents of a group are looked after, for groups that say so.
    pub supervised: BTreeMap<String, Supervision>,
    /// How much of the journal is kept.
    pub journal: Keep,
    /// How it meets other villages; without this it is alone.
    pub mesh: Option<MeshConfig>,
    /// Who answers the prompts of its agents; without this nobody does.
    pub models: Option<model::Settings>,
    /// The model of this machine that makes vectors of what agents remember.
    pub embedder: Option<String>,
    /// Agents that are deployed if they aren't there.
    pub agents: Vec<Wish>,
}

/// An agent that is deployed if it isn't there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// A component, an `agent.toml`, a folder with one, or the name of an agent inside the program.
    pub component: String,
    /// Its name, unless the manifest says it.
    pub name: Option<String>,
    /// The group that it shares a budget with.
    pub group: Option<String>,
    /// Fields of its budget.
    pub budget: Vec<(String, String)>,
    /// Grants, as on a command line.
    pub grants: Vec<String>,
    /// Fields of its `[turns]`, over the manifest's.
    pub turns: Vec<(String, String)>,
    /// How many instances serve its mailbox, over the manifest's.
    pub replicas: Bounds,
}

/// A `village.toml` that can't be accepted.
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

const KEYS: [&str; 10] =
    ["listen", "data", "stop-within", "journal", "mesh", "models", "memory", "defaults", "groups", "agents"];
const JOURNAL: [&str; 4] = ["keep", "most", "size", "archive"];
const GROUP: [&str; 5] = ["cpu", "burst", "memory", "within", "supervision"];
const AGENT: [&str; 7] = ["component", "name", "group", "budget", "grants", "turns", "replicas"];

/// A journal that is to be smaller would lose what says that it was cut.
const LEAST: Size = Size::bytes(64 << 10);

/// The longest that it may take to stop.
const LONGEST: Duration = Duration::from_secs(3600);

/// What is wrong, and at which byte.
type Problem = (usize, String);

impl Config {
    /// Reads the text of a `village.toml`. `path` is for messages, and for what the file names relative to itself.
    pub fn parse(text: &str, path: &Path) -> Result<Config, Error> {
        read(text, path.parent().unwrap_or(Path::new("."))).map_err(|(offset, problem)| Error {
            path: path.into(),
            line: text[..offset.min(text.len())].bytes().filter(|byte| *byte == b'\n').count() + 1,
            problem,
        })
    }
}

fn read(text: &str, folder: &Path) -> Result<Config, Problem> {
    let document =
        DeTable::parse(text).map_err(|error| (error.span().unwrap_or_default().start, error.message().to_string()))?;
    let mut config = Config::default();
    let (mut places, mut embeds) = (Vec::new(), 0);
    for (key, value) in document.get_ref() {
        let at = key.span().start;
        match key.get_ref().as_ref() {
            "listen" => config.listen = Some(string("listen", "127.0.0.1:7420", value)?),
            "data" => config.data = Some(folder.join(string("data", "./data", value)?)),
            "stop-within" => config.stop_within = Some(span(value)?),
            "journal" => config.journal = journal(value)?,
            "mesh" => config.mesh = Some(MeshConfig::read(value)?),
            "models" => config.models = Some(model::Settings::read(table("models", value)?)?.within(folder)),
            "memory" => {
                config.embedder = embedder(value)?;
                embeds = value.span().start;
            }
            "defaults" => {
                for (field, at, text) in fields("defaults", value)? {
                    config.budget.set(&field, &text).map_err(|error| (at, error.to_string()))?;
                }
            }
            "groups" => {
                for (name, value) in table("groups", value)? {
                    let (budget, within, plan) = group(name.get_ref(), value)?;
                    config.groups.insert(name.get_ref().to_string(), (budget, within));
                    config.supervised.extend(plan.map(|plan| (name.get_ref().to_string(), plan)));
                }
            }
            "agents" => {
                let DeValue::Array(list) = value.get_ref() else {
                    return Err((at, "agents are a list: write [[agents]] before each".into()));
                };
                for item in list {
                    places.push(item.span().start);
                    config.agents.push(agent(item, folder)?);
                }
            }
            other => return Err((at, unknown("key", other, &KEYS))),
        }
    }
    for (agent, at) in config.agents.iter().zip(places) {
        if let Some(group) = agent.group.as_ref().filter(|group| !config.groups.contains_key(*group)) {
            return Err((at, format!("there is no group `{group}`: write [groups.{group}]")));
        }
    }
    if let Some(embedder) = config.embedder.as_ref().filter(|_| config.models.is_none()) {
        return Err((embeds, format!("nobody has `{embedder}`: [models] says who answers")));
    }
    Ok(config)
}

fn journal(value: &Spanned<DeValue<'_>>) -> Result<Keep, Problem> {
    let mut keep = Keep::default();
    for (key, value) in table("journal", value)? {
        let at = value.span().start;
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("keep", _) => {
                let text = string("keep", "30d", value)?;
                let span = base::span(&text).map_err(|bad| (at, format!("`keep`: {bad}")))?;
                if span.is_zero() {
                    return Err((at, format!("`keep`: {text} keeps nothing")));
                }
                keep.span = Some(span);
            }
            ("most", DeValue::Integer(number)) => match number.to_string().parse() {
                Ok(most @ 1..) => keep.most = Some(most),
                _ => return Err((at, format!("`most`: {number} is no number of entries above nothing"))),
            },
            ("most", _) => return Err((at, "`most` is a number of entries, such as 1000000".into())),
            ("size", _) => {
                let text = string("size", "1GiB", value)?;
                let size: Size = text.parse().map_err(|bad: base::Bad| (at, format!("`size`: {bad}")))?;
                if size < LEAST {
                    return Err((at, format!("`size`: {text} is less than {LEAST}")));
                }
                keep.size = Some(size);
            }
            ("archive", DeValue::Boolean(archive)) => keep.archive = *archive,
            ("archive", _) => return Err((at, "`archive` is either true or false".into())),
            (other, _) => return Err((key.span().start, unknown("key of the journal", other, &JOURNAL))),
        }
    }
    if keep.archive && !keep.cuts() {
        let said = "`archive` is for what goes: say what does, with `keep`, `most` or `size`";
        return Err((value.span().start, said.into()));
    }
    Ok(keep)
}

/// What a group says: its budget, the group that it is in, and how its agents are looked after.
type Grouped = (Group, Option<String>, Option<Supervision>);

fn group(name: &str, value: &Spanned<DeValue<'_>>) -> Result<Grouped, Problem> {
    let (mut group, mut within, mut plan) = (Group::default(), None, None);
    let title = format!("groups.{name}");
    for (key, value) in table(&title, value)? {
        if key.get_ref() == "supervision" {
            plan = Some(read_supervision(table(&format!("{title}.supervision"), value)?)?);
            continue;
        }
        let (field, at, text) = self::field(key, value)?;
        match field.as_str() {
            "within" if text == name => return Err((at, format!("the group `{name}` can't be within itself"))),
            "within" => within = Some(text),
            field if GROUP.contains(&field) => group.set(field, &text).map_err(|error| (at, error.to_string()))?,
            field => return Err((at, unknown("key of a group", field, &GROUP))),
        }
    }
    Ok((group, within, plan))
}

fn agent(item: &Spanned<DeValue<'_>>, folder: &Path) -> Result<Wish, Problem> {
    let mut wish = Wish::default();
    for (key, value) in table("agents", item)? {
        match key.get_ref().as_ref() {
            "component" => {
                let text = string("component", "plugins/navigator", value)?;
                let beside = folder.join(&text);
                // A name that no file has may be that of an agent inside the program.
                wish.component = if beside.exists() { beside.display().to_string() } else { text };
            }
            "name" => wish.name = Some(string("name", "my-agent", value)?),
            "group" => wish.group = Some(string("group", "workers", value)?),
            "budget" => {
                for (field, at, text) in fields("budget", value)? {
                    Budget::default().set(&field, &text).map_err(|error| (at, error.to_string()))?;
                    wish.budget.push((field, text));
                }
            }
            "grants" => {
                let DeValue::Array(list) = value.get_ref() else {
                    return Err((value.span().start, "`grants` is a list, such as [\"log\", \"state\"]".into()));
                };
                wish.grants = list.iter().map(|item| string("grants", "log", item)).collect::<Result<_, _>>()?;
            }
            "turns" => wish.turns = read_turns(table("agents.turns", value)?)?,
            "replicas" => wish.replicas = read_replicas(table("agents.replicas", value)?)?,
            other => return Err((key.span().start, unknown("key of an agent", other, &AGENT))),
        }
    }
    match wish.component.is_empty() {
        true => Err((item.span().start, "an agent needs `component = \"…\"`".into())),
        false => Ok(wish),
    }
}

/// What to say of a name that does not belong where it stands.
fn unknown(what: &str, name: &str, known: &[&'static str]) -> String {
    let near = nearest(name, known.iter().copied()).map(|word| format!(", did you mean `{word}`?"));
    format!("unknown {what} `{name}`{}; there are {}", near.unwrap_or_default(), known.join(", "))
}

/// `[memory]`: the model that makes vectors.
fn embedder(value: &Spanned<DeValue<'_>>) -> Result<Option<String>, Problem> {
    let mut embedder = None;
    for (key, value) in table("memory", value)? {
        let at = key.span().start;
        if key.get_ref().as_ref() != "embedder" {
            return Err((at, format!("unknown key of memory `{}`; there is `embedder`", key.get_ref())));
        }
        let model = string("embedder", "local/minilm", value)?;
        if !guest::local_model(&model) {
            return Err((at, format!("`{model}` is no model of this machine: write embedder = \"local/minilm\"")));
        }
        embedder = Some(model);
    }
    Ok(embedder)
}

fn table<'a, 'b>(key: &str, value: &'a Spanned<DeValue<'b>>) -> Result<&'a DeTable<'b>, Problem> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table),
        _ => Err((value.span().start, format!("`{key}` is a table"))),
    }
}

/// The fields of a table, with where each value stands. Numbers are taken as they are written.
fn fields(key: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<(String, usize, String)>, Problem> {
    table(key, value)?.iter().map(|(key, value)| field(key, value)).collect()
}

fn field(key: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Result<(String, usize, String), Problem> {
    let text = match value.get_ref() {
        DeValue::Integer(number) => number.to_string(),
        _ => string(key.get_ref(), "25%", value)?,
    };
    Ok((key.get_ref().to_string(), key.span().start, text))
}

fn span(value: &Spanned<DeValue<'_>>) -> Result<Duration, Problem> {
    let text = string("stop-within", "30s", value)?;
    let span = base::span(&text).map_err(|bad| (value.span().start, format!("`stop-within`: {bad}")))?;
    match span <= LONGEST {
        true => Ok(span),
        false => Err((value.span().start, format!("`stop-within`: {text} is more than an hour"))),
    }
}

fn string(key: &str, example: &str, value: &Spanned<DeValue<'_>>) -> Result<String, Problem> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err((value.span().start, format!("`{key}` must be text in quotes, such as \"{example}\""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Share;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("/etc/village/village.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_file_is_read() {
        let text = r#"
listen = "127.0.0.1:7000"
data = "data"
stop-within = "5s"

[defaults]
cpu = "10%"
mailbox = 50

[journal]
keep = "30d"
most = 5000
size = "1GiB"
archive = true

[groups.all]
cpu = "150%"
memory = "512MiB"

[groups.workers]
within = "all"
cpu = "50%"

[groups.workers.supervision]
strategy = "one-for-all"
restarts = 5

[[agents]]
component = "navigator"
group = "workers"
budget = { memory = "48MiB" }
grants = ["log"]

[agents.turns]
attempts = 3
backoff = "2m"
record = true

[agents.replicas]
max = 4
"#;
        let config = parse(text).expect("it is good");
        assert_eq!(config.listen.as_deref(), Some("127.0.0.1:7000"));
        assert_eq!(config.data.as_deref(), Some(Path::new("/etc/village/data")));
        assert_eq!((config.budget.mailbox, config.budget.cpu), (50, Share::percent(10)));
        let month = Some(Duration::from_secs(30 * 86_400));
        assert_eq!(config.journal, Keep { span: month, most: Some(5000), size: Some(Size::mib(1024)), archive: true });
        assert_eq!(config.groups["all"].0.memory, Size::mib(512));
        assert_eq!(config.groups["workers"].1.as_deref(), Some("all"));
        let plan = &config.supervised["workers"];
        assert_eq!((config.supervised.len(), plan.strategy, plan.restarts), (1, guest::Strategy::OneForAll, 5));
        let agent = &config.agents[0];
        assert_eq!((agent.component.as_str(), agent.group.as_deref()), ("navigator", Some("workers")));
        assert_eq!((agent.budget.len(), agent.grants.as_slice()), (1, &["log".to_string()][..]));
        let turns = [("attempts", "3"), ("backoff", "2m"), ("record", "true")];
        assert_eq!(agent.turns, turns.map(|(field, text)| (field.to_string(), text.to_string())));
        assert_eq!(agent.replicas, Bounds { min: None, max: Some(4) });
        assert_eq!((config.stop_within, parse("")), (Some(Duration::from_secs(5)), Ok(Config::default())));
    }

    #[test]
    fn back_ends_of_models_are_read_and_what_is_wrong_has_its_line() {
        let models = |text: &str| parse(text).map(|config| config.models.expect("there is the section"));
        let read =
            models("[models.ollama]\n[models.embedded]\nfiles = { tiny = \"tiny.gguf\" }\n").expect("it is good");
        assert_eq!(read.backends.len(), 1);
        assert_eq!(read.inside[0].settings.models[0].path, Path::new("/etc/village/tiny.gguf"));
        assert_eq!(parse("").expect("it is good").models, None);
        let said = models("listen = \"7000\"\n[models.claude]\nkye = \"A\"\n").expect_err("it is refused");
        assert!(
            said.starts_with("/etc/village/village.toml:3: unknown key of a back end `kye`, did you mean `key`?"),
            "{said}"
        );
        let said = models("models = 3\n").expect_err("it is refused");
        assert!(said.ends_with("1: `models` is a table"), "{said}");
        let ollama = "[models.ollama]\nurl = \"http://127.0.0.1:11434\"\n";
        let memory = |line: &str, models: &str| parse(&format!("[memory]\n{line}\n{models}"));
        let read = memory("embedder = \"local/minilm\"", ollama).expect("it is good");
        assert_eq!(read.embedder.as_deref(), Some("local/minilm"));
        let refused = |line: &str, models: &str| memory(line, models).expect_err("it is refused").to_string();
        for name in ["cloud/embed", "minilm", "local/*", "local/"] {
            let said = refused(&format!("embedder = \"{name}\""), ollama);
            assert!(said.contains(&format!("2: `{name}` is no model of this machine")), "{said}");
        }
        let said = refused("embedder = \"local/minilm\"", "");
        assert!(said.ends_with("1: nobody has `local/minilm`: [models] says who answers"), "{said}");
        let said = refused("embeder = \"x\"", "");
        assert!(said.ends_with("2: unknown key of memory `embeder`; there is `embedder`"), "{said}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_the_nearest_word() {
        for (text, said) in [
            ("lisen = \"x\"\n", ":1: unknown key `lisen`, did you mean `listen`?"),
            ("\n[defaults]\nmemmory = \"1MiB\"\n", ":3: unknown budget field `memmory`, did you mean `memory`?"),
            ("[groups.a]\nmemroy = \"1MiB\"\n", ":2: unknown key of a group `memroy`, did you mean `memory`?"),
            ("[groups.a]\ncpu = \"none\"\n", ":2: budget field `cpu`"),
            ("[groups.a]\nwithin = \"a\"\n", ":2: the group `a` can't be within itself"),
            ("[groups.a.supervision]\nstrategy = \"all\"\n", ":2: `strategy`: `all` is none"),
            ("[groups.a]\nsupervision = \"all\"\n", ":2: `groups.a.supervision` is a table"),
            ("[[agents]]\nname = \"x\"\n", ":1: an agent needs `component"),
            (
                "[[agents]]\ncomponent = \"x\"\ngrup = \"y\"\n",
                ":3: unknown key of an agent `grup`, did you mean `group`?",
            ),
            ("[[agents]]\ncomponent = \"x\"\ngroup = \"y\"\n", ":1: there is no group `y`"),
            (
                "[[agents]]\ncomponent = \"x\"\nbudget = { cup = \"1%\" }\n",
                ":3: unknown budget field `cup`, did you mean `cpu`?",
            ),
            (
                "[[agents]]\ncomponent = \"x\"\n[agents.turns]\natempts = 3\n",
                ":4: unknown turns field `atempts`, did you mean `attempts`?",
            ),
            ("[[agents]]\ncomponent = \"x\"\n[agents.turns]\nattempts = 0\n", ":4: turns field `attempts`: 0 is not"),
            ("[[agents]]\ncomponent = \"x\"\nturns = 3\n", ":3: `agents.turns` is a table"),
            ("[[agents]]\ncomponent = \"x\"\n[agents.replicas]\nmx = 3\n", ":4: unknown key `mx`, did you mean `max`?"),
            (
                "[[agents]]\ncomponent = \"x\"\n[agents.replicas]\nmin = 3\nmax = 2\n",
                ":5: replicas: `min` (3) is above `max` (2)",
            ),
            ("[[agents]]\ncomponent = \"x\"\n[agents.replicas]\nmax = 17\n", ":4: replicas: `max` = 17 is not"),
            ("[agents]\n", ":1: agents are a list: write [[agents]]"),
            ("listen = 7000\n", ":1: `listen` must be text in quotes"),
            ("stop-within = \"2h\"\n", ":1: `stop-within`: 2h is more than an hour"),
            ("[journal]\nkep = \"1d\"\n", ":2: unknown key of the journal `kep`, did you mean `keep`?"),
            ("[journal]\nkeep = \"soon\"\n", ":2: `keep`: `soon` is not a length of time"),
            ("[journal]\nkeep = \"0s\"\n", ":2: `keep`: 0s keeps nothing"),
            ("[journal]\nmost = 0\n", ":2: `most`: 0 is no number"),
            ("[journal]\nmost = \"5\"\n", ":2: `most` is a number of entries"),
            ("[journal]\nsize = \"big\"\n", ":2: `size`: `big` is not a size"),
            ("[journal]\nsize = \"0B\"\n", ":2: `size`: 0B is less than 64KiB"),
            ("[journal]\nsize = 5\n", ":2: `size` must be text in quotes"),
            ("[journal]\narchive = true\n", ":1: `archive` is for what goes"),
            ("listen = \n", ":1: "),
        ] {
            let refused = parse(text).expect_err(text);
            assert!(refused.starts_with(&format!("/etc/village/village.toml{said}")), "{refused}");
        }
    }
}

//! What a manifest opens.

use crate::secrets::{ENVIRONMENT, Secrets};
use crate::site::Site;
use base::nearest;
use cap_std::ambient_authority;
use std::path::PathBuf;

/// What an agent may reach. Nothing, unless it is said here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Its own log.
    pub log: bool,
    /// Its own state.
    pub state: bool,
    /// Its own workspace.
    pub workspace: bool,
    /// Reading its own budget.
    pub budget: bool,
    /// The time, and waiting for it.
    pub clock: bool,
    /// Random numbers.
    pub random: bool,
    /// Creating agents.
    pub spawn: bool,
    /// Agents that it may send to, by name; `helper/*` for all that begin with `helper/`, `*` for all of this village. Those
    /// of other villages have an `@` and what the village's name begins with: `clerk@*`, `*@12D3Koo…`.
    pub agents: Vec<String>,
    /// Being sent to by agents of other villages.
    pub public: bool,
    /// Topics and skills of other villages: `topic/prices/*`, `skill/translate`, `*` for all.
    pub mesh: Vec<String>,
    /// Spaces of memory: `notes`, `team/*`, or `library:read` to read only.
    pub memory: Vec<String>,
    /// Models, by pattern: `local/*`, `cloud/claude-*`.
    pub model: model::Grant,
    /// Arithmetic on weights.
    pub kernels: bool,
    /// Environment variables, with their values.
    pub env: Vec<(String, String)>,
    /// Folders.
    pub files: Vec<Folder>,
    /// Parts of the web that may be asked. Of several that fit, the first decides which secret is sent.
    pub http: Vec<Site>,
}

/// A folder that the guest sees under a name of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The folder.
    pub host: PathBuf,
    /// Its path in the guest's eyes.
    pub guest: String,
    /// Whether it may be changed.
    pub writable: bool,
}

/// A grant that can't be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such grant.
    #[error("unknown grant `{name}`{}; there are {}", .nearest.map(|word| format!(", did you mean `{word}`?")).unwrap_or_default(), NAMES.join(", "))]
    Unknown {
        /// As it was written.
        name: String,
        /// The one that was probably meant.
        nearest: Option<&'static str>,
    },
    /// The grant is to come; nothing here could honour it.
    #[error("grant `{name}` can't be honoured yet: it comes with {room}; leave it out")]
    Later {
        /// As it was written.
        name: String,
        /// What will honour it.
        room: &'static str,
    },
    /// The grant says what can't be had.
    #[error("grant `{name}`: {problem}")]
    Bad {
        /// The grant.
        name: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

/// The grants that are honoured.
pub const NAMES: [&str; 16] = [
    "log",
    "state",
    "workspace",
    "budget",
    "clock",
    "random",
    "kernels",
    "agents",
    "public",
    "mesh",
    "memory",
    "model",
    "spawn",
    "env",
    "files",
    "http",
];

const LATER: [(&str, &str); 4] = [
    ("tasks", "tasks (host/tasks)"),
    ("team", "tasks (host/tasks)"),
    ("ledger", "the ledger (host/ledger)"),
    ("device", "the device (host/device)"),
];

impl Grants {
    /// Opens what `--grant` says: `log`, `env=NAME`, `files=HOST:GUEST:ro`, `http=GET https://HOST/PATH`.
    pub fn open(&mut self, text: &str) -> Result<(), Error> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (text.trim(), None),
        };
        match (known(name)?, value) {
            ("env", Some(value)) => self.open_env(value),
            ("files", Some(value)) => self.open_files(value),
            ("agents", Some(value)) => self.open_agents(value),
            ("agents", None) => Err(bad("agents", AGENTS)),
            ("mesh", Some(value)) => self.open_mesh(value),
            ("mesh", None) => Err(bad("mesh", MESH)),
            ("memory", Some(value)) => self.open_memory(value),
            ("memory", None) => Err(bad("memory", MEMORY)),
            ("model", Some(value)) => self.open_model(value),
            ("model", None) => Err(bad("model", MODEL)),
            ("http", Some(value)) => self.open_http(Site::parse(value)),
            ("env", None) => Err(bad("env", "which variable? Write env=NAME")),
            ("files", None) => Err(bad("files", FILES)),
            ("http", None) => Err(bad("http", HTTP)),
            (name, None | Some("true")) => self.switch(name, true),
            (name, Some("false")) => self.switch(name, false),
            (name, Some(other)) => Err(bad(name, &format!("it takes no value, so not `{other}`"))),
        }
    }

    /// Opens or shuts one that takes no value.
    pub(crate) fn switch(&mut self, name: &str, open: bool) -> Result<(), Error> {
        match known(name)? {
            "log" => self.log = open,
            "state" => self.state = open,
            "workspace" => self.workspace = open,
            "budget" => self.budget = open,
            "clock" => self.clock = open,
            "random" => self.random = open,
            "spawn" => self.spawn = open,
            "public" => self.public = open,
            "mesh" => {
                return Err(bad("mesh", &format!("it takes a list, such as mesh = [\"topic/prices/*\"]; {MESH}")));
            }
            "model" => {
                return Err(bad("model", &format!("it takes a list, such as model = [\"local/*\"]; {MODEL}")));
            }
            "agents" => {
                return Err(bad("agents", &format!("it takes a list, such as agents = [\"scribe\"]; {AGENTS}")));
            }
            "memory" => {
                return Err(bad("memory", &format!("it takes a list, such as memory = [\"notes\"]; {MEMORY}")));
            }
            "kernels" => self.kernels = open,
            "env" => return Err(bad("env", "it takes a list of names, such as env = [\"LANG\"]")),
            "files" => {
                return Err(bad("files", &format!("it takes a list, such as files = [\"./data:/data:ro\"]; {FILES}")));
            }
            "http" => return Err(bad("http", &format!("it takes a list; {HTTP}"))),
            name => unreachable!("`{name}` is one of NAMES"),
        }
        Ok(())
    }

    /// Opens the way to agents of a name or pattern.
    pub(crate) fn open_agents(&mut self, pattern: &str) -> Result<(), Error> {
        let part = |part: &str| {
            let name = part.strip_suffix('*').unwrap_or(part);
            !part.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/'))
        };
        let good = match pattern.split_once('@') {
            Some((agent, peer)) => part(agent) && part(peer) && !peer.contains('/'),
            None => part(pattern),
        };
        if pattern.len() > 256 || !good {
            return Err(bad("agents", &format!("`{pattern}` is no name or pattern; {AGENTS}")));
        }
        if !self.agents.iter().any(|known| known == pattern) {
            self.agents.push(pattern.into());
        }
        Ok(())
    }

    /// Opens topics or skills of other villages.
    pub(crate) fn open_mesh(&mut self, pattern: &str) -> Result<(), Error> {
        let named = pattern.strip_prefix("topic/").or_else(|| pattern.strip_prefix("skill/"));
        let good = pattern == "*" || named.is_some_and(|name| !name.is_empty() && !name.contains(char::is_control));
        if pattern.len() > 256 || !good {
            return Err(bad("mesh", &format!("`{pattern}` is neither; {MESH}")));
        }
        if !self.mesh.iter().any(|known| known == pattern) {
            self.mesh.push(pattern.into());
        }
        Ok(())
    }

    /// Opens spaces of memory.
    pub(crate) fn open_memory(&mut self, text: &str) -> Result<(), Error> {
        let (pattern, rights) = space(text);
        let name = pattern.strip_suffix('*').unwrap_or(pattern);
        let good = !pattern.is_empty() && name.bytes().all(of_space);
        if pattern.len() > 128 || !good || !matches!(rights, "read" | "write") {
            return Err(bad("memory", &format!("`{text}` is no space or pattern; {MEMORY}")));
        }
        if !self.memory.iter().any(|known| known == text) {
            self.memory.push(text.into());
        }
        Ok(())
    }

    /// Whether it may read a space, or all that a pattern covers; or write to it too.
    pub(crate) fn remembers(&self, name: &str, writes: bool) -> bool {
        self.memory
            .iter()
            .map(|own| space(own))
            .any(|(own, rights)| matches(own, name) && (!writes || rights == "write"))
    }

    /// Opens models of a name or pattern.
    pub(crate) fn open_model(&mut self, pattern: &str) -> Result<(), Error> {
        let pattern = pattern.parse().map_err(|bad_one| bad("model", &format!("`{pattern}`: {bad_one}")))?;
        self.model.open(pattern);
        Ok(())
    }

    /// Whether it may send to the agent `name`, or to all that a pattern covers.
    pub(crate) fn reaches(&self, name: &str) -> bool {
        self.agents.iter().any(|pattern| addressed(pattern, name))
    }

    /// Whether it may use `what` of other villages: `topic/NAME` or `skill/NAME`.
    pub(crate) fn meshes(&self, what: &str) -> bool {
        self.mesh.iter().any(|pattern| matches(pattern, what))
    }

    /// Opens a part of the web.
    pub(crate) fn open_http(&mut self, site: Result<Site, String>) -> Result<(), Error> {
        self.http.push(site.map_err(|problem| bad("http", &problem))?);
        Ok(())
    }

    /// Each as [`Grants::open`] reads it: of a variable its name, and not its value.
    pub fn texts(&self) -> Vec<String> {
        let switches = [
            ("log", self.log),
            ("state", self.state),
            ("workspace", self.workspace),
            ("budget", self.budget),
            ("clock", self.clock),
            ("random", self.random),
            ("kernels", self.kernels),
            ("spawn", self.spawn),
            ("public", self.public),
        ];
        let mut texts: Vec<String> =
            switches.iter().filter(|(_, open)| *open).map(|(name, _)| (*name).into()).collect();
        texts.extend(self.agents.iter().map(|pattern| format!("agents={pattern}")));
        texts.extend(self.mesh.iter().map(|pattern| format!("mesh={pattern}")));
        texts.extend(self.memory.iter().map(|space| format!("memory={space}")));
        texts.extend(self.model.patterns().map(|pattern| format!("model={pattern}")));
        texts.extend(self.env.iter().map(|(name, _)| format!("env={name}")));
        texts.extend(self.files.iter().map(|folder| {
            let rights = if folder.writable { "rw" } else { "ro" };
            format!("files={}:{}:{rights}", folder.host.display(), folder.guest)
        }));
        texts.extend(self.http.iter().map(|site| format!("http={site}")));
        texts
    }

    /// Opens one environment variable, with the value that it has here.
    pub(crate) fn open_env(&mut self, name: &str) -> Result<(), Error> {
        if name.is_empty() || name.contains('\0') {
            return Err(bad("env", "which variable? Write env=NAME"));
        }
        if name.starts_with(ENVIRONMENT) {
            return Err(bad("env", "no grant shows a secret: name it in an `http` grant, and the host sends it"));
        }
        let value =
            std::env::var(name).map_err(|_| bad("env", &format!("`{name}` is not set here, or is not text")))?;
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.into(), value));
        Ok(())
    }

    /// Opens a folder: `HOST:GUEST:ro` or `HOST:GUEST:rw`.
    pub(crate) fn open_files(&mut self, text: &str) -> Result<(), Error> {
        let parts = text.rsplitn(3, ':').collect::<Vec<_>>();
        let &[rights, guest, host] = parts.as_slice() else {
            return Err(bad("files", &format!("`{text}` is not of that form; {FILES}")));
        };
        let writable = match rights {
            "ro" => false,
            "rw" => true,
            _ => return Err(bad("files", &format!("`{rights}` is neither ro nor rw; {FILES}"))),
        };
        if !guest.starts_with('/') || guest.split('/').any(|part| part == "..") {
            return Err(bad("files", &format!("the guest's path `{guest}` must begin with / and have no ..; {FILES}")));
        }
        if self.files.iter().any(|folder| folder.guest == guest) {
            return Err(bad("files", &format!("two folders can't both be {guest}")));
        }
        // Opened once here, so that a folder that isn't there is said at once and not in the midst of a turn.
        cap_std::fs::Dir::open_ambient_dir(host, ambient_authority()).map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "is not there: make it, or correct the path".into(),
                std::io::ErrorKind::NotADirectory => "is not a folder but a file: name the folder that it is in".into(),
                _ => format!("can't be opened: {error}"),
            };
            bad("files", &format!("the folder {host} {reason}"))
        })?;
        if Secrets::of_user().is_some_and(|secrets| secrets.within(host.as_ref())) {
            return Err(bad("files", &format!("the folder {host} has the secrets in it: no grant shows those")));
        }
        self.files.push(Folder { host: host.into(), guest: guest.into(), writable });
        Ok(())
    }
}

/// A grant of spaces in its parts: a pattern, and what it opens.
pub(crate) fn space(text: &str) -> (&str, &str) {
    text.split_once(':').unwrap_or((text, "write"))
}

/// What names of spaces are made of.
pub(crate) fn of_space(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/')
}

/// Whether a pattern covers a name, or all names that another pattern covers.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

/// The same for addresses: what is in another village is covered only by what says so.
fn addressed(pattern: &str, name: &str) -> bool {
    match (pattern.split_once('@'), name.split_once('@')) {
        (Some((agents, peers)), Some((agent, peer))) => matches(agents, agent) && matches(peers, peer),
        (None, None) => matches(pattern, name),
        _ => false,
    }
}

const AGENTS: &str =
    "write a name, helper/* for all that helper created, * for all of this village, or NAME@VILLAGE for one of another";
const MESH: &str = "write topic/NAME or skill/NAME, topic/prices/* for all that begin so, or * for all";
const MEMORY: &str =
    "write the name of a space, notes/* for all that begin so, * for all, and :read behind it to read only";
const MODEL: &str = "write local/* for all models of this machine, or a name or pattern such as cloud/claude-*";
const HTTP: &str = "write http=GET,POST https://api.example.com/v1/, on the command line or in a list in agent.toml";

const FILES: &str = "write HOST:GUEST:ro to read, HOST:GUEST:rw to write as well";

fn bad(name: &'static str, problem: &str) -> Error {
    Error::Bad { name, problem: problem.into() }
}

pub(crate) fn known(name: &str) -> Result<&'static str, Error> {
    if let Some(known) = NAMES.into_iter().find(|known| *known == name) {
        return Ok(known);
    }
    if let Some((_, room)) = LATER.into_iter().find(|(later, _)| *later == name) {
        return Err(Error::Later { name: name.into(), room });
    }
    Err(Error::Unknown { name: name.into(), nearest: nearest(name, NAMES) })
}

/// What a guest is told that used something without its grant.
pub(crate) fn shut(name: &str) -> String {
    let (written, given) = match name {
        "agents" => ("[\"NAME\"]", "agents=NAME"),
        "memory" => ("[\"SPACE\"]", "memory=SPACE"),
        "model" => ("[\"local/*\"]", "model=local/*"),
        name => ("true", name),
    };
    format!(
        "`{name}` is not granted: add `{name} = {written}` under [grants] in agent.toml, or run with --grant {given}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Grants::default().open(text).expect_err("it is refused").to_string()
    }

    #[test]
    fn nothing_is_open_by_default() {
        let grants = Grants::default();
        assert!(
            !(grants.log
                || grants.state
                || grants.workspace
                || grants.budget
                || grants.clock
                || grants.random
                || grants.kernels)
        );
        assert!(!grants.spawn && grants.agents.is_empty() && grants.env.is_empty() && grants.files.is_empty());
        assert!(grants.http.is_empty());
    }

    #[test]
    fn each_grant_opens_one_thing() {
        for name in ["log", "state", "workspace", "budget", "clock", "random", "kernels", "spawn"] {
            let mut grants = Grants::default();
            grants.open(name).expect("a grant");
            assert_ne!(grants, Grants::default(), "{name}");
            grants.open(&format!("{name}=false")).expect("a grant");
            assert_eq!(grants, Grants::default(), "{name}");
        }
    }

    #[test]
    fn grants_are_written_as_they_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut grants = Grants::default();
        for text in [
            "log",
            "state",
            "workspace",
            "budget",
            "clock",
            "random",
            "kernels",
            "spawn",
            "public",
            "agents=helper/*",
            "agents=*@12D3Koo*",
            "mesh=topic/prices/*",
            "mesh=skill/translate",
            "env=PATH",
            &format!("files={}:/data:ro", folder.path().display()),
            &format!("files={}:/out:rw", folder.path().display()),
            "http=GET,POST https://*.example.com:8443/v1/ secret=API_KEY as=x-key: k {}",
            "http=http://[::1]:81/",
        ] {
            grants.open(text).expect("a grant");
        }
        let mut again = Grants::default();
        grants.texts().iter().for_each(|text| again.open(text).expect("it was written so that it can be read"));
        assert_eq!(again, grants);
        let Grants { log, state, workspace, budget, clock, random, spawn, kernels, .. } = again;
        assert!(log && state && workspace && budget && clock && random && spawn && kernels, "every grant there is");
        let Grants { public, agents, mesh, env, files, http, .. } = again;
        assert!(public);
        assert_eq!((agents.len(), mesh.len(), env.len(), files.len(), http.len()), (2, 2, 1, 2, 2));
    }

    #[test]
    fn agents_are_reached_by_name_or_pattern() {
        let mut grants = Grants::default();
        for pattern in ["scribe", "helper/*"] {
            grants.open(&format!("agents={pattern}")).expect("a grant");
        }
        let reached = ["scribe", "helper/a", "helper/a/b"];
        assert!(reached.iter().all(|name| grants.reaches(name)));
        let shut = ["scribes", "scrib", "helper", "helpers/a", "other", ""];
        assert!(!shut.iter().any(|name| grants.reaches(name)));
    }

    #[test]
    fn agents_of_other_villages_are_covered_only_by_what_says_so() {
        let granted = |pattern: &str| {
            let mut grants = Grants::default();
            grants.open(&format!("agents={pattern}")).expect("a grant");
            grants
        };
        assert!(!granted("*").reaches("clerk@12D3KooA") && granted("*").reaches("clerk"));
        let all = granted("clerk@*");
        assert!(all.reaches("clerk@12D3KooA") && !all.reaches("clerk") && !all.reaches("clerks@12D3KooA"));
        let one = granted("*@12D3KooA");
        assert!(one.reaches("clerk@12D3KooA") && one.reaches("a/b@12D3KooA") && !one.reaches("clerk@12D3KooB"));
    }

    #[test]
    fn a_folder_is_opened_with_its_rights() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display();
        let mut grants = Grants::default();
        grants.open(&format!("files={path}:/data:ro")).expect("a grant");
        grants.open(&format!("files={path}:/out:rw")).expect("a grant");
        let rights: Vec<_> = grants.files.iter().map(|folder| (folder.guest.as_str(), folder.writable)).collect();
        assert_eq!(rights, [("/data", false), ("/out", true)]);
        assert!(grants.open(&format!("files={path}:/out:ro")).is_err(), "one name, one folder");
    }

    #[test]
    fn what_is_wrong_with_a_grant_is_said() {
        assert!(refusal("netwrok").starts_with("unknown grant `netwrok`"));
        assert!(refusal("radnom").contains("did you mean `random`?"));
        assert!(refusal("mesh").contains("topic/NAME or skill/NAME"));
        assert!(refusal("mesh=prices").contains("`prices` is neither"));
        assert!(refusal("agents=clerk@").contains("`clerk@` is no name"));
        assert!(refusal("model").contains("local/*") && refusal("model=gpt").contains("`gpt`"));
        assert!(refusal("tasks").contains("host/tasks"));
        assert!(refusal("agents").contains("write a name"));
        assert!(refusal("agents=a b").contains("`a b` is no name"));
        assert!(refusal("files=/tmp").contains("HOST:GUEST:ro"));
        assert!(refusal("files=/tmp:/data:rx").contains("neither ro nor rw"));
        assert!(refusal("files=/no/such/folder:/data:ro").contains("/no/such/folder"));
        assert!(refusal("files=/tmp:data:ro").contains("must begin with /"));
        assert!(refusal("env=VILLAGE_NO_SUCH_VARIABLE").contains("not set"));
        assert!(refusal("log=loud").contains("no value"));
        assert!(refusal("env=VILLAGE_SECRET_KEY").contains("no grant shows a secret"));
        assert!(refusal("http").contains("http=GET,POST https://"));
        assert!(refusal("http=true").contains("is no origin"));
    }
}

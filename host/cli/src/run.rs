//! `village run`: one message to an agent, one run of a command, or a service for as long as it is wanted.

use crate::arguments::Run;
use crate::author;
use crate::problem::Problem;
use crate::source::{Source, read, read_file};
use crate::{json, node, print, settings};
use base::Budget;
use guest::{
    Agent, Builder, Card, Grants, Host, Kind, Line, Message, Payload, Pool, Priority, Receipt, Sender, Shape, Stdin,
    Version,
};
use serde_json::{Map, Value, json};
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A host for a guest and those that it may create or talk to. It is there soon: a little room, and one thread.
pub(crate) fn small(agents: usize) -> Builder {
    let room = u32::try_from(agents).unwrap_or(u32::MAX).saturating_add(4);
    Host::builder()
        .pool(Pool::Slots(room))
        .workers(NonZeroUsize::MIN)
        .device(|| crate::weights::choice::device(kernels::Kind::Search))
}

pub(crate) fn run(options: &Run, json: bool) -> Result<ExitCode, Problem> {
    // What is wrong with the command line is said before any file is looked at.
    allow(options, Budget::default(), Grants::default())?;
    let source = Source::open(&options.file, options.manifest.as_deref())?;
    let (budget, grants) = allow(options, source.budget(), source.grants())?;
    let beside = options.beside.iter().map(|file| neighbour(file)).collect::<Result<Vec<_>, _>>()?;
    // An agent inside the program has no file that could be looked at.
    if let (Some((path, _)), false) = (source.manifest.as_ref().filter(|(path, _)| path.exists()), json) {
        print::err(&format!("village: budget and grants as {} says", path.display()));
    }
    if let (Some(stale), false) = (source.stale(), json) {
        print::err(&format!("village: {stale}"));
    }
    let room = beside.len().saturating_add(usize::try_from(budget.children).unwrap_or(usize::MAX));
    let granted = !grants.model.is_empty() || beside.iter().any(|source| !source.grants().model.is_empty());
    let builder = settings::with_models(small(room), granted, options.config.as_deref(), Path::new(""))?;
    node::with(builder, async |host| {
        let version = load(host, &source).await?;
        let _beside = settle(host, &beside).await?;
        let job = Job { options, source: &source, version: &version, budget, grants, json };
        match (version.kind(), options.http) {
            (Kind::Service, Some(address)) => job.serve(host, address).await,
            (_, Some(_)) => Err(Problem::usage("--http is for components that export wasi:http/incoming-handler")),
            (Kind::Agent | Kind::Service, None) => job.ask(host).await,
            (Kind::Command, None) => job.execute(host).await,
        }
    })
}

/// An agent that is started beside the one that is run. It must have a name.
pub(crate) fn neighbour(file: &Path) -> Result<Source, Problem> {
    let source = Source::open(file, None)?;
    match source.manifest {
        Some(_) => Ok(source),
        None => Err(Problem::usage(format!(
            "--beside {}: an agent that others ask needs a name, so there must be an agent.toml beside it",
            file.display()
        ))),
    }
}

/// Gives life to agents under the names that their manifests give them.
pub(crate) async fn settle(host: &Host, sources: &[Source]) -> Result<Vec<Agent>, Problem> {
    let mut agents = Vec::new();
    for source in sources {
        let version = load(host, source).await?;
        let name = source.name().unwrap_or_default();
        let agent = host.start_as(name, &version, source.budget(), source.grants(), None)?;
        agent.supervise(source.supervision());
        agents.push(agent);
    }
    Ok(agents)
}

/// After this, whoever waits is told what for.
const LONG: Duration = Duration::from_secs(1);

/// Loads a component; a problem names its file.
pub(crate) async fn load(host: &Host, source: &Source) -> Result<Version, Problem> {
    let mut loading = std::pin::pin!(host.load(&source.bytes));
    let loaded = match tokio::time::timeout(LONG, &mut loading).await {
        Ok(loaded) => loaded,
        Err(_) => {
            if std::io::stderr().is_terminal() {
                print::err(&format!("village: compiling {}; this is done once", source.component.display()));
            }
            loading.await
        }
    };
    loaded.map_err(|error| {
        // Of what is not even a component there is no more to say.
        let advice = Shape::read(&source.bytes).map(|shape| author::misfit(&shape)).unwrap_or_default();
        Problem::new(error.kind(), format!("{}: {error}{advice}", source.component.display()))
    })
}

/// What the command line adds to a budget and to grants.
fn allow(options: &Run, mut budget: Budget, mut grants: Grants) -> Result<(Budget, Grants), Problem> {
    for (field, value) in fields(&options.budget)? {
        budget.set(&field, &value).map_err(|error| Problem::usage(error.to_string()))?;
    }
    for grant in &options.grant {
        grants.open(grant).map_err(|error| Problem::usage(error.to_string()))?;
    }
    Ok((budget, grants))
}

/// The fields of a budget as a command line has them: FIELD=VALUE,… each.
pub(crate) fn fields(texts: &[String]) -> Result<Vec<(String, String)>, Problem> {
    let fields = texts.iter().flat_map(|text| text.split(',')).map(|field| match field.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_string(), value.trim().to_string())),
        None => {
            let known = base::BUDGET_FIELDS.join(", ");
            Err(Problem::usage(format!("`{field}` is not FIELD=VALUE, such as cpu=10%; there are {known}")))
        }
    });
    fields.collect()
}

/// One component, and how it is to be run.
pub(crate) struct Job<'a> {
    pub(crate) options: &'a Run,
    pub(crate) source: &'a Source,
    pub(crate) version: &'a Version,
    pub(crate) budget: Budget,
    pub(crate) grants: Grants,
    pub(crate) json: bool,
}

impl Job<'_> {
    async fn ask(self, host: &Host) -> Result<ExitCode, Problem> {
        if !self.options.arguments.is_empty() {
            return Err(Problem::usage("an agent takes no arguments: give it its message with --input"));
        }
        let message = message(self.options)?;
        let (version, budget, grants) = (self.version, self.budget, self.grants.clone());
        let agent = match self.source.name() {
            Some(name) => host.start_as(name, version, budget, grants, None)?,
            None => host.start(version, budget, grants, None)?,
        };
        agent.supervise(self.source.supervision());
        let card = match agent.describe().await? {
            Ok(card) => card,
            Err(fault) => return Err(Problem::from(fault).beside(self.known(&agent, None, None))),
        };
        let mut parts = Vec::new();
        let answer = match self.options.stream {
            true => agent.listen(message, |part| self.hear(part, &mut parts)).await?,
            false => agent.ask(message).await?,
        };
        let known = self.known(&agent, Some(&card), Some(&answer.receipt));
        match answer.outcome {
            Err(error) => Err(Problem::from(error).beside(known)),
            Ok(reply) if self.json => {
                let mut object = known;
                if self.options.stream {
                    object.insert("parts".into(), parts.into());
                }
                object.insert("reply".into(), json::payload(&reply.payload));
                print::json(&Value::Object(object));
                Ok(ExitCode::SUCCESS)
            }
            Ok(reply) => {
                print::out(&ended(reply.payload.body));
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    /// A part of a reply, as it comes.
    fn hear(&self, part: Vec<u8>, parts: &mut Vec<Value>) {
        match self.json {
            true => parts.push(String::from_utf8_lossy(&part).into()),
            false => print::out(&part),
        }
    }

    async fn execute(self, host: &Host) -> Result<ExitCode, Problem> {
        if self.options.skill.is_some() {
            return Err(Problem::usage("a command has no skills: give it arguments after --"));
        }
        let stdin = match input(self.options.input.as_deref())? {
            Some(bytes) => Stdin::Bytes(bytes),
            None => Stdin::Host,
        };
        let name = self.source.component.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let arguments = std::iter::once(name).chain(self.options.arguments.iter().cloned()).collect();
        let finished = host.run(self.version, arguments, stdin, self.budget, self.grants).await?;
        let mut known = Map::new();
        if self.json {
            json::stream(&mut known, "stdout", &finished.stdout);
            json::stream(&mut known, "stderr", &finished.stderr);
            known.insert("usage".into(), json::usage(&finished.receipt));
            known.insert("budget".into(), json::budget(finished.usage.clone(), Some(&finished.receipt)));
            known.insert("digest".into(), self.version.digest().to_string().into());
        } else {
            print::out(&finished.stdout);
            print::err_bytes(&finished.stderr);
        }
        let code = finished.outcome.map_err(|fault| Problem::from(fault).beside(known.clone()))?;
        if self.json {
            known.insert("exit".into(), code.into());
            print::json(&Value::Object(known));
        }
        Ok(if code == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What is known of a turn beside its reply. Lines of the log are shown to people at once.
    fn known(&self, agent: &Agent, card: Option<&Card>, receipt: Option<&Receipt>) -> Map<String, Value> {
        let (lines, lost) = agent.log();
        let mut known = Map::new();
        if !self.json {
            show(&lines, lost);
            return known;
        }
        known.insert("log".into(), json::log(&lines));
        if lost > 0 {
            known.insert("log-lost".into(), lost.into());
        }
        if let Some(receipt) = receipt {
            known.insert("usage".into(), json::usage(receipt));
        }
        if let Some(card) = card {
            known.insert("agent".into(), json!({ "name": card.name, "version": card.version }));
        }
        known.insert("budget".into(), json::budget(agent.usage(), receipt));
        known.insert("digest".into(), self.version.digest().to_string().into());
        if let Some(stale) = self.source.stale() {
            known.insert("stale".into(), stale.into());
        }
        known
    }
}

pub(crate) fn show(lines: &[Line], lost: u64) {
    if lost > 0 {
        print::err(&format!("village: {lost} earlier lines of the log had to go"));
    }
    for line in lines {
        print::err(&format!("{:<5} {}", line.source.word(), print::tame(&line.text)));
    }
}

/// Text on a terminal ends with a line break; anywhere else the body is given as it is.
pub(crate) fn ended(mut body: Vec<u8>) -> Vec<u8> {
    let text = std::str::from_utf8(&body).is_ok_and(|text| !text.is_empty() && !text.ends_with('\n'));
    if text && std::io::stdout().is_terminal() {
        body.push(b'\n');
    }
    body
}

fn message(options: &Run) -> Result<Message, Problem> {
    let body = input(options.input.as_deref())?.unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Ok(Message {
        id: format!("run-{}-{now}", std::process::id()),
        sender: Sender::Client(String::new()),
        skill: options.skill.clone().unwrap_or_default(),
        payload: Payload { content_type: content_type(&body).into(), body },
        priority: Priority::Normal,
        attempt: 1,
        accepted: u64::try_from(now).unwrap_or(u64::MAX),
    })
}

/// What bytes on a command line or in a file probably are.
pub(crate) fn content_type(body: &[u8]) -> &'static str {
    let record = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
    match std::str::from_utf8(body) {
        Ok("") => "",
        Ok(text) if record && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => "application/json",
        Ok(_) => "text/plain; charset=utf-8",
        Err(_) => "application/octet-stream",
    }
}

/// What `--input` says.
pub(crate) fn input(said: Option<&str>) -> Result<Option<Vec<u8>>, Problem> {
    Ok(match said {
        None => None,
        Some("-") => Some(read(Path::new("the standard input"), std::io::stdin().lock())?),
        Some(text) => match text.strip_prefix('@') {
            Some(path) => Some(read_file(Path::new(path))?),
            None => Some(text.into()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_known_by_its_bytes() {
        assert_eq!(content_type(b""), "");
        assert_eq!(content_type(b" {\"a\": [1]}"), "application/json");
        assert_eq!(content_type(b"{nearly"), "text/plain; charset=utf-8");
        assert_eq!(content_type(b"12"), "text/plain; charset=utf-8");
        assert_eq!(content_type(&[0xff]), "application/octet-stream");
    }
}

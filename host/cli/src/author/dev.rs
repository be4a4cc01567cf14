//! `village dev`: an agent that is built, run, and swapped for a better one at each save.

use super::build::{Compiled, compile, put, warn};
use super::project::Project;
use super::renew::renew;
use crate::arguments::Dev;
use crate::problem::Problem;
use crate::run::{content_type, ended, input};
use crate::running::signals::Signals;
use crate::running::swap::line;
use crate::source::read_file;
use crate::{node, print, run};
use base::Digest;
use guest::{Memory, Payload, Plan, Replicas};
use hall::{Came, Deployment, Letter, Options, Village};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Saves that come within this are one: editors write in several steps.
const REST: Duration = Duration::from_millis(150);

/// How long replicas may take to end before a swap.
const ENDING: Duration = Duration::from_secs(30);

/// Lines of a log that are shown after one message.
const LINES: usize = 1_000;

/// Folders of a project in which nobody writes sources.
const ELSEWHERE: [&str; 3] = ["target", ".git", ".village"];

pub(crate) fn dev(options: &Dev, json: bool) -> Result<ExitCode, Problem> {
    let project = Project::find(&options.folder)?;
    let body = input(options.input.as_deref())?.unwrap_or_default();
    let trial =
        (options.skill.is_some() || !body.is_empty()).then(|| (options.skill.clone().unwrap_or_default(), body));
    // Before the first build: what is saved meanwhile is built after it.
    let saves = Saves::of(&project)?;
    let compiled = compile(&project, json)?;
    warn(&compiled);
    put(&project, &compiled)?;
    let folder = tempfile::tempdir().map_err(|error| Problem::file(Path::new("a temporary folder"), error))?;
    node::serving(async || {
        let settings = Options { data: folder.path().join("data"), ..Options::default() };
        let village = Village::begin(run::small(4), settings).await?;
        let mut bench = Bench { village, project, name: String::new(), trial, logged: 0, json };
        bench.begin(compiled.bytes).await?;
        let done = bench.work(saves).await;
        bench.village.stop(Duration::ZERO).await;
        bench.village.close().await?;
        done.map(|()| ExitCode::SUCCESS)
    })
}

/// The agent, and what it is made from.
struct Bench {
    village: Village,
    project: Project,
    /// What the village knows it by.
    name: String,
    /// The skill and the input that it is tried with after each build.
    trial: Option<(String, Vec<u8>)>,
    /// The last line of its log that was shown.
    logged: u64,
    json: bool,
}

impl Bench {
    async fn begin(&mut self, component: Vec<u8>) -> Result<(), Problem> {
        let digest = self.village.upload(component).await?.digest;
        let deployment =
            Deployment { digest: digest.parse().ok(), manifest: Some(self.manifest()?), ..Deployment::default() };
        self.name = self.village.deploy(deployment).await?.name;
        let card = self.village.card(&self.name).await?;
        let skills: Vec<_> = card.skills.iter().map(|skill| skill.name.clone()).collect();
        match self.json {
            true => print::json(&json!({ "agent": self.name, "version": card.version, "skills": skills })),
            false => {
                let skills = print::tame(&skills.join(", "));
                print::err(&format!("village: {} runs; each save is swapped in; Ctrl-C ends it", self.name));
                print::err(&format!("village: a line is a message: SKILL INPUT; there are {skills}"));
            }
        }
        self.attempt().await;
        Ok(())
    }

    fn manifest(&self) -> Result<(String, PathBuf), Problem> {
        let path = self.project.path.clone();
        let text = String::from_utf8(read_file(&path)?)
            .map_err(|_| Problem::new("manifest", format!("{}: it is not text", path.display())))?;
        Ok((text, path))
    }

    /// Answers lines and saves until it is to end.
    async fn work(&mut self, mut saves: Saves) -> Result<(), Problem> {
        let mut lines = lines();
        let mut signals = Signals::new();
        let mut open = true;
        loop {
            tokio::select! {
                () = signals.next() => return Ok(()),
                line = lines.recv(), if open => match line {
                    Some(line) if line.trim().is_empty() => {}
                    Some(line) => {
                        let (skill, input) = line.split_once(' ').unwrap_or((&line, ""));
                        self.ask(skill.trim(), input.trim().as_bytes().to_vec()).await;
                    }
                    // Nobody types; saves still come.
                    None => open = false,
                },
                () = saves.next() => self.save().await,
            }
        }
    }

    /// Builds what was saved, and swaps it in. Whatever goes wrong is said, and the version before serves on.
    async fn save(&mut self) {
        match self.build().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(problem) => {
                let _ = problem.prefixed("the version before serves on: ").report(self.json);
                return;
            }
        }
        self.attempt().await;
    }

    /// Answers whether there is something new to be tried.
    async fn build(&mut self) -> Result<bool, Problem> {
        let (folder, json) = (self.project.folder.clone(), self.json);
        // Cargo takes its time, and the agent answers meanwhile.
        let built = tokio::task::spawn_blocking(move || {
            let project = Project::find(&folder)?;
            let compiled: Compiled = compile(&project, json)?;
            put(&project, &compiled)?;
            Ok::<_, Problem>((project, compiled))
        });
        let (project, compiled) = built.await.map_err(|error| Problem::new("internal", error.to_string()))??;
        let mut renewed = Vec::new();
        let before = &mut self.project.manifest;
        let done = renew(&self.village, &self.name, before, &project.manifest, &mut renewed).await;
        for one in &renewed {
            self.say(json!({ "renewed": one.json(), "text": format!("agent.toml: {}", one.line()) }));
        }
        done?;
        self.project = project;
        warn(&compiled);
        let digest = self.village.upload(compiled.bytes).await?.digest;
        if self.village.details(&self.name)?.digest == digest {
            return Ok(!renewed.is_empty());
        }
        let digest = digest.parse().map_err(|bad: base::Bad| Problem::new("internal", bad.to_string()))?;
        let Replicas { min, max } = self.project.manifest.replicas;
        if max == 1 {
            return self.swap(digest).await;
        }
        // Several instances are not swapped at once.
        self.village.scale(&self.name, 1, 1).await?;
        let swapped = self.swap(digest).await;
        self.village.scale(&self.name, min, max).await?;
        swapped
    }

    async fn swap(&self, digest: Digest) -> Result<bool, Problem> {
        let plan = Plan { memory: Memory::CarriedOrCold, fewer_skills: true, ..Plan::default() };
        let begun = Instant::now();
        let mut steps = loop {
            match self.village.swap(&self.name, digest, plan, &[]).await {
                // The replicas that were there are ending.
                Err(hall::Error::Replicas(_)) if begun.elapsed() < ENDING => tokio::time::sleep(REST).await,
                begun => break begun?,
            }
        };
        while let Some(step) = steps.next().await {
            if step.is_done() {
                self.say(json!({ "step": step.step, "details": step.details, "text": line(&step) }));
                return Ok(true);
            }
            if step.is_last() {
                let kind = step.details["kind"].as_str().unwrap_or("refused").to_string();
                return Err(Problem::new(kind, step.details["message"].as_str().unwrap_or_default()));
            }
        }
        Err(Problem::new("stopped", "the agent has stopped"))
    }

    fn say(&self, mut said: Value) {
        match self.json {
            true => print::json(&said),
            false => print::err(&format!("village: {}", said["text"].take().as_str().unwrap_or_default())),
        }
    }

    /// Tries it with what the command line says.
    async fn attempt(&mut self) {
        if let Some((skill, body)) = self.trial.clone() {
            self.ask(&skill, body).await;
        }
    }

    async fn ask(&mut self, skill: &str, body: Vec<u8>) {
        let payload = Payload { content_type: content_type(&body).into(), body };
        // Tried once: whoever tries something out wants to see what is wrong at once.
        let letter = Letter { fast: true, ..Letter::new(skill, payload) };
        let came = self.village.ask(&self.name, letter).await;
        let said = self.village.log(&self.name, self.logged, LINES, false).map(|since| since.all).unwrap_or_default();
        self.logged = said.last().map_or(self.logged, |line| line.id);
        for line in said {
            match self.json {
                true => print::json(&json!({ "log": line })),
                false => print::err(&format!("{:<5} {}", line.what.level, print::tame(&line.what.text))),
            }
        }
        match came.and_then(|Came { outcome, .. }| Ok(outcome?)) {
            Ok(payload) if self.json => print::json(&json!({ "reply": crate::json::payload(&payload) })),
            Ok(payload) => {
                let mut body = ended(payload.body);
                if !body.ends_with(b"\n") {
                    body.push(b'\n');
                }
                print::out(&body);
            }
            Err(error) => drop(Problem::from(error).report(self.json)),
        }
    }
}

/// The lines of the standard input.
fn lines() -> mpsc::Receiver<String> {
    let (tell, lines) = mpsc::channel(16);
    // Reading can't be broken off; the thread ends with the program, or with the input.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { return };
            if tell.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Saves of a project's files.
struct Saves {
    changed: mpsc::Receiver<()>,
    /// Whether there was one that nobody was told of yet: whoever waits may give up meanwhile.
    heard: bool,
    _watcher: RecommendedWatcher,
}

impl Saves {
    fn of(project: &Project) -> Result<Saves, Problem> {
        let broken = |error: notify::Error| Problem::new("watch", format!("the folder can't be watched: {error}"));
        let folder = std::path::absolute(&project.folder).map_err(|error| Problem::file(&project.folder, error))?;
        let folder = folder.canonicalize().unwrap_or(folder);
        let (tell, changed) = mpsc::channel(1);
        let root = folder.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let written = !matches!(event.kind, EventKind::Access(_));
            if written && event.paths.iter().any(|path| is_source(&root, path)) {
                // One that is told and not yet heard is enough.
                let _ = tell.try_send(());
            }
        })
        .map_err(broken)?;
        watcher.watch(&folder, RecursiveMode::Recursive).map_err(broken)?;
        Ok(Saves { changed, heard: false, _watcher: watcher })
    }

    /// Waits for a save, and until there are no more for a little while.
    async fn next(&mut self) {
        if !self.heard && self.changed.recv().await.is_none() {
            return std::future::pending().await;
        }
        self.heard = true;
        while let Ok(Some(())) = tokio::time::timeout(REST, self.changed.recv()).await {}
        self.heard = false;
    }
}

/// Whether a file of a project is written by hand: not what is built, nor what others keep there.
fn is_source(root: &Path, path: &Path) -> bool {
    let Ok(below) = path.strip_prefix(root) else { return false };
    let first = below.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let elsewhere = first.is_none_or(|first| ELSEWHERE.contains(&first.as_str()));
    let name = below.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let ends = |end: &str| below.extension().is_some_and(|found| found == end);
    !elsewhere && !ends("wasm") && name != "Cargo.lock" && !name.starts_with('.') && !name.ends_with('~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_by_hand_is_a_source() {
        let root = Path::new("/p");
        for path in ["/p/src/lib.rs", "/p/agent.toml", "/p/Cargo.toml", "/p/src/deep/a.rs", "/p/data/words.txt"] {
            assert!(is_source(root, Path::new(path)), "{path}");
        }
        for path in [
            "/p/target/x/lib.rs",
            "/p/.village/sdk.rs",
            "/p/a.wasm",
            "/p/.tmpXYZ",
            "/p/src/.lib.rs.swp",
            "/p/Cargo.lock",
            "/p",
            "/q/a.rs",
        ] {
            assert!(!is_source(root, Path::new(path)), "{path}");
        }
    }
}

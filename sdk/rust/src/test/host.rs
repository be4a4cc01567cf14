//! The host itself: what is opened on it, and what a test can see afterwards.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::script::{Answer, Asked, Line, Published, Told};
use super::world::{self, World};
use crate::bindings::village::agent::model::Prompt;
use crate::budget::Allowance;
use crate::device::{Load, Profile};
use crate::http;
use crate::log::Level;
use crate::mesh::Found;
use crate::model::Completion;
use crate::tasks::Progress;
use crate::types::{Error, Failure};

/// A host for tests. Clones are the same host.
#[derive(Clone, Default)]
pub struct Host(Rc<RefCell<World>>);

impl Host {
    /// One on which everything is shut.
    pub fn new() -> Host {
        Host::default()
    }

    /// Opens the log.
    pub fn with_log(self) -> Host {
        self.open("log")
    }

    /// Opens the state, which is empty.
    pub fn with_state(self) -> Host {
        self.open("state")
    }

    /// Puts a value into the state, as an earlier turn would have.
    pub fn with_kept<T: Serialize + ?Sized>(self, key: &str, value: &T) -> Host {
        let json = serde_json::to_vec(value).expect("what a test puts into the state can be written as JSON");
        self.0.borrow_mut().put(key, Some(json));
        self.0.borrow_mut().commit();
        self
    }

    /// Opens the workspace, which is empty.
    pub fn with_workspace(self) -> Host {
        self.open("workspace")
    }

    /// Puts a file into the workspace, as an earlier turn would have.
    pub fn with_file(self, path: &str, content: impl Into<Vec<u8>>) -> Host {
        self.0.borrow_mut().turn.files.insert(path.to_owned(), (content.into(), 0));
        self.0.borrow_mut().commit();
        self.open("workspace")
    }

    /// Bounds the bytes that state and workspace may have. Without this: 64 MiB.
    pub fn with_storage(self, bytes: u64) -> Host {
        self.0.borrow_mut().storage = bytes;
        self
    }

    /// Opens the budget, which shows these figures.
    pub fn with_budget(self, allowances: impl IntoIterator<Item = Allowance>, remaining: Duration) -> Host {
        {
            let mut world = self.0.borrow_mut();
            world.allowances = allowances.into_iter().collect();
            world.remaining = remaining;
        }
        self.open("budget")
    }

    /// Opens one agent to be asked and told, and says what it answers. Others stay shut.
    pub fn with_agent<A: Into<Answer>>(self, name: &str, mut answer: impl FnMut(&Asked) -> A + 'static) -> Host {
        let script = Rc::new(RefCell::new(move |asked: &Asked| answer(asked).into()));
        self.0.borrow_mut().agents.insert(name.to_owned(), script);
        self.open("agents")
    }

    /// Opens the models, of which there is one, and says what it answers: a text, or a whole [`Completion`].
    pub fn with_model<C: Into<Completion>>(
        self,
        mut answer: impl FnMut(&Prompt) -> Result<C, Error> + 'static,
    ) -> Host {
        let script = Rc::new(RefCell::new(move |prompt: &Prompt| answer(prompt).map(Into::into)));
        self.0.borrow_mut().model = Some(script);
        self.open("model")
    }

    /// Opens the web, and says what it answers.
    pub fn with_http(self, answer: impl FnMut(&http::Request) -> Result<http::Response, Error> + 'static) -> Host {
        self.0.borrow_mut().web = Some(Rc::new(RefCell::new(answer)));
        self.open("http")
    }

    /// Opens the mesh, on which these agents can be found.
    pub fn with_mesh(self, found: impl IntoIterator<Item = Found>) -> Host {
        self.0.borrow_mut().found = found.into_iter().collect();
        self.open("mesh")
    }

    /// Opens spaces of the vector memory, which are empty. Passages are paragraphs here, and near is what has words in common.
    pub fn with_memory(self, spaces: &[&str]) -> Host {
        self.0.borrow_mut().spaces.extend(spaces.iter().map(|space| (*space).to_owned()));
        self.open("memory")
    }

    /// Opens the kernels. Here they keep `f32` only, and merge by `linear` only.
    pub fn with_kernels(self) -> Host {
        self.open("kernels")
    }

    /// A file of weights: each tensor's name, shape and numbers.
    pub fn with_weights(self, path: &str, tensors: &[(&str, &[u64], &[f32])]) -> Host {
        let tensors =
            tensors.iter().map(|(name, shape, numbers)| ((*name).to_owned(), shape.to_vec(), numbers.to_vec()));
        self.0.borrow_mut().weights.insert(path.to_owned(), tensors.collect());
        self.open("kernels")
    }

    /// Opens the submitting of tasks.
    pub fn with_tasks(self) -> Host {
        self.open("tasks")
    }

    /// Opens the creating of helpers, and says how many there may be.
    pub fn with_spawn(self, children: usize) -> Host {
        self.0.borrow_mut().children = children;
        self.open("spawn")
    }

    /// Opens the forming of teams, of these agents and the skills that they have.
    pub fn with_team(self, agents: &[(&str, &[&str])]) -> Host {
        let owned = |skills: &[&str]| skills.iter().map(|skill| (*skill).to_owned()).collect();
        self.0.borrow_mut().team = agents.iter().map(|(name, skills)| ((*name).to_owned(), owned(skills))).collect();
        self.open("team")
    }

    /// Opens the ledger, on which the agent has so much.
    pub fn with_ledger(self, balance: u64) -> Host {
        self.0.borrow_mut().turn.balance = balance;
        self.0.borrow_mut().commit();
        self.open("ledger")
    }

    /// Opens the machine's figures.
    pub fn with_device(self, profile: Profile, load: Load) -> Host {
        self.0.borrow_mut().device = Some((profile, load));
        self.open("device")
    }

    /// Opens random numbers, which follow from `seed`. They say nothing of how good the village's are.
    pub fn with_random(self, seed: u64) -> Host {
        self.0.borrow_mut().seed = seed;
        self.open("random")
    }

    /// How far a task is that was submitted.
    ///
    /// # Panics
    ///
    /// If there is none of that id.
    pub fn set_progress(&self, id: &str, progress: Progress) {
        let mut world = self.0.borrow_mut();
        let task = world.turn.tasks.get_mut(id).unwrap_or_else(|| panic!("no task `{id}` was submitted"));
        task.1 = progress;
        world.commit();
    }

    /// What was asked of other agents, also in turns that failed: an ask is a turn of theirs.
    pub fn asked(&self) -> Vec<Asked> {
        self.0.borrow().asked.clone()
    }

    /// What was told other agents and not taken back, in turns that ended well.
    pub fn told(&self) -> Vec<Told> {
        self.0.borrow().committed.told.clone()
    }

    /// What was published, in turns that ended well.
    pub fn published(&self) -> Vec<Published> {
        self.0.borrow().committed.published.clone()
    }

    /// The topics that are followed.
    pub fn topics(&self) -> Vec<String> {
        self.0.borrow().committed.topics.iter().cloned().collect()
    }

    /// The pieces of replies that were emitted, also in turns that failed.
    pub fn emitted(&self) -> Vec<Vec<u8>> {
        self.0.borrow().emitted.clone()
    }

    /// The addresses of the helpers that there are.
    pub fn children(&self) -> Vec<String> {
        self.0.borrow().committed.children.iter().cloned().collect()
    }

    /// The kinds of the tasks that were submitted, by their ids.
    pub fn tasks(&self) -> Vec<(String, String)> {
        let world = self.0.borrow();
        world.committed.tasks.iter().map(|(id, (spec, _))| (id.clone(), spec.kind.clone())).collect()
    }

    fn open(self, grant: &'static str) -> Host {
        self.0.borrow_mut().open.insert(grant);
        self
    }

    /// What is in the state under `key`, of turns that ended well.
    ///
    /// # Panics
    ///
    /// If it is no `T`.
    pub fn kept<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let world = self.0.borrow();
        let (value, _) = world.committed.state.get(key)?;
        Some(serde_json::from_slice(value).unwrap_or_else(|error| panic!("`{key}` in the state: {error}")))
    }

    /// The keys in the state, of turns that ended well.
    pub fn keys(&self) -> Vec<String> {
        self.0.borrow().committed.state.keys().cloned().collect()
    }

    /// What a file in the workspace has, of turns that ended well; none if there is no such file.
    pub fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.0.borrow().committed.files.get(path).map(|(content, _)| content.clone())
    }

    /// What the newest version of an object in the workspace has, of turns that ended well; none if there is no such object.
    pub fn object(&self, name: &str) -> Option<Vec<u8>> {
        let world = self.0.borrow();
        let versions = world.committed.objects.get(name)?;
        versions.values().next_back().map(|(content, _)| content.clone())
    }

    /// All that was logged, also in turns that failed.
    pub fn lines(&self) -> Vec<Line> {
        self.0.borrow().lines.clone()
    }

    /// Whether a line of that level was logged that has `text` in it.
    pub fn logged(&self, level: Level, text: &str) -> bool {
        self.0.borrow().lines.iter().any(|line| line.level as u8 == level as u8 && line.message.contains(text))
    }

    /// Calls `inside` with this host in place, for testing what is no agent. All of it takes effect.
    pub fn enter<R>(&self, inside: impl FnOnce() -> R) -> R {
        let result = world::enter(&self.0, inside);
        self.0.borrow_mut().commit();
        result
    }

    pub(super) fn inside<R>(&self, inside: impl FnOnce() -> R) -> R {
        world::enter(&self.0, inside)
    }

    pub(super) fn turn<R>(&self, accepted: u64, inside: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
        self.0.borrow_mut().accepted = accepted;
        let result = world::enter(&self.0, inside);
        let mut world = self.0.borrow_mut();
        if result.is_ok() {
            world.commit()
        } else {
            world.roll_back()
        }
        result
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("keys", &self.keys()).finish_non_exhaustive()
    }
}

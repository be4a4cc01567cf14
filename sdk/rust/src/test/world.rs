//! What a host for tests keeps, and which one is in place.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use super::imports::workspace::{self, Kept as Content};
use super::script::{Answer, Asked, Line, Published, Script, Told};
use crate::bindings::village::agent::model::Prompt;
use crate::bindings::village::agent::tasks::Spec;
use crate::budget::Allowance;
use crate::device::{Load, Profile};
use crate::http;
use crate::ledger::Entry;
use crate::memory::Document;
use crate::mesh::Found;
use crate::model::Completion;
use crate::tasks::Progress;
use crate::types::Error;

thread_local! {
    /// Tests run on threads of their own, and so does each one's host.
    static HERE: RefCell<Option<Rc<RefCell<World>>>> = const { RefCell::new(None) };
}

/// A tensor in a file: its name, shape and numbers.
pub(crate) type Kept = (String, Vec<u64>, Vec<f32>);

pub(crate) struct World {
    pub(crate) open: BTreeSet<&'static str>,
    pub(crate) lines: Vec<Line>,
    pub(crate) allowances: Vec<Allowance>,
    pub(crate) remaining: Duration,
    pub(crate) storage: u64,
    pub(crate) agents: BTreeMap<String, Script<Asked, Answer>>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) emitted: Vec<Vec<u8>>,
    pub(crate) model: Option<Script<Prompt, Result<Completion, Error>>>,
    pub(crate) web: Option<Script<http::Request, Result<http::Response, Error>>>,
    pub(crate) found: Vec<Found>,
    pub(crate) spaces: BTreeSet<String>,
    pub(crate) weights: BTreeMap<String, Vec<Kept>>,
    pub(crate) children: usize,
    pub(crate) team: Vec<(String, Vec<String>)>,
    pub(crate) device: Option<(Profile, Load)>,
    pub(crate) seed: u64,
    /// When the message of the turn under way was accepted.
    pub(crate) accepted: u64,
    /// Milliseconds that were waited for. Nobody waits in fact.
    pub(crate) now: u64,
    pub(crate) committed: Effects,
    /// As this turn sees it.
    pub(crate) turn: Effects,
}

/// What takes effect when a turn ends well.
#[derive(Clone, Default)]
pub(crate) struct Effects {
    /// Values and their versions.
    pub(crate) state: BTreeMap<String, (Vec<u8>, u64)>,
    pub(crate) files: BTreeMap<String, Content>,
    /// Versions by their numbers.
    pub(crate) objects: BTreeMap<String, BTreeMap<u64, Content>>,
    pub(crate) told: Vec<Told>,
    pub(crate) published: Vec<Published>,
    pub(crate) topics: BTreeSet<String>,
    pub(crate) documents: BTreeMap<(String, String), Document>,
    pub(crate) tasks: BTreeMap<String, (Spec, Progress)>,
    pub(crate) children: BTreeSet<String>,
    /// Whether it is a link, and with whom.
    pub(crate) ties: BTreeSet<(bool, String)>,
    pub(crate) balance: u64,
    pub(crate) entries: Vec<Entry>,
    /// The last version, or number in an id, that was given to anything.
    last: u64,
}

impl Default for World {
    fn default() -> World {
        World {
            open: BTreeSet::new(),
            lines: Vec::new(),
            allowances: Vec::new(),
            remaining: Duration::from_secs(30),
            storage: 64 << 20,
            agents: BTreeMap::new(),
            asked: Vec::new(),
            emitted: Vec::new(),
            model: None,
            web: None,
            found: Vec::new(),
            spaces: BTreeSet::new(),
            weights: BTreeMap::new(),
            children: 0,
            team: Vec::new(),
            device: None,
            seed: 0,
            accepted: 0,
            now: 0,
            committed: Effects::default(),
            turn: Effects::default(),
        }
    }
}

impl World {
    pub(crate) fn commit(&mut self) {
        self.committed = self.turn.clone();
    }

    pub(crate) fn roll_back(&mut self) {
        self.turn = self.committed.clone();
    }

    /// A number that was not given before.
    pub(crate) fn next(&mut self) -> u64 {
        self.turn.last += 1;
        self.turn.last
    }

    /// What counts as storage.
    pub(crate) fn held(&self) -> u64 {
        let state = self.turn.state.iter().map(|(key, (value, _))| (key.len() + value.len()) as u64);
        state.sum::<u64>() + workspace::size(self)
    }

    /// Puts a value into the state or takes it away; answers its version.
    pub(crate) fn put(&mut self, key: &str, value: Option<Vec<u8>>) -> u64 {
        let version = self.next();
        match value {
            Some(value) => self.turn.state.insert(key.to_owned(), (value, version)),
            None => self.turn.state.remove(key),
        };
        version
    }
}

/// Calls `inside` with this world in place, and then puts back the one that was.
pub(crate) fn enter<R>(world: &Rc<RefCell<World>>, inside: impl FnOnce() -> R) -> R {
    /// Puts it back also when a test panics.
    struct Before(Option<Rc<RefCell<World>>>);
    impl Drop for Before {
        fn drop(&mut self) {
            HERE.set(self.0.take());
        }
    }
    let _before = Before(HERE.replace(Some(world.clone())));
    inside()
}

/// The world in place, whatever is open in it.
pub(crate) fn here() -> Option<Rc<RefCell<World>>> {
    HERE.with_borrow(Clone::clone)
}

/// The world in place, if `grant` is open in it.
pub(crate) fn open(grant: &'static str) -> Result<Rc<RefCell<World>>, Error> {
    match here() {
        Some(world) if world.borrow().open.contains(grant) => Ok(world),
        Some(_) => Err(Error::Denied(format!("no grant opens `{grant}`"))),
        None => Err(Error::Denied(format!("`{grant}`: no village here; a test has one inside `test::Host::enter`"))),
    }
}

//! What a host for tests keeps, and which one is in place.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use crate::budget::Allowance;
use crate::log::Level;
use crate::types::Error;

thread_local! {
    /// Tests run on threads of their own, and so does each one's host.
    static HERE: RefCell<Option<Rc<RefCell<World>>>> = const { RefCell::new(None) };
}

/// A logged line.
#[derive(Clone, Debug)]
pub struct Line {
    /// How grave it is.
    pub level: Level,
    /// As it was logged.
    pub message: String,
}

pub(crate) struct World {
    pub(crate) open: BTreeSet<&'static str>,
    pub(crate) lines: Vec<Line>,
    pub(crate) allowances: Vec<Allowance>,
    pub(crate) remaining: Duration,
    pub(crate) storage: u64,
    pub(crate) committed: Effects,
    /// As this turn sees it.
    pub(crate) turn: Effects,
}

/// What takes effect when a turn ends well.
#[derive(Clone, Default)]
pub(crate) struct Effects {
    /// Values and their versions.
    pub(crate) state: BTreeMap<String, (Vec<u8>, u64)>,
    /// The last version that was given to anything.
    version: u64,
}

impl Default for World {
    fn default() -> World {
        World {
            open: BTreeSet::new(),
            lines: Vec::new(),
            allowances: Vec::new(),
            remaining: Duration::from_secs(30),
            storage: 64 << 20,
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

    /// Puts a value into the state or takes it away; answers its version.
    pub(crate) fn put(&mut self, key: &str, value: Option<Vec<u8>>) -> u64 {
        self.turn.version += 1;
        let version = self.turn.version;
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

/// The world in place, if `grant` is open in it.
pub(crate) fn open(grant: &'static str) -> Result<Rc<RefCell<World>>, Error> {
    let world = HERE.with_borrow(Clone::clone);
    match world {
        Some(world) if world.borrow().open.contains(grant) => Ok(world),
        Some(_) => Err(Error::Denied(format!("no grant opens `{grant}`"))),
        None => Err(Error::Denied(format!("`{grant}`: no village here; a test has one inside `test::Host::enter`"))),
    }
}

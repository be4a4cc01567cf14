//! What the tests of whole hosts share: the guests, a host, agents in it, and an honest neighbour.

pub mod abroad;
pub mod bundle;
pub mod lasting;
pub mod neighbours;
pub mod text;
pub mod web;

use base::Budget;
use guest::{
    Agent, Builder, Compiler, Failed, Finished, Frame, Grants, Group, Host, Kind, Message, Payload, Pool, Priority,
    Receipt, Sender, Stdin, Version,
};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The bytes of a test guest, by its name. All are built when the first is asked for.
pub fn guest(name: &str) -> &'static [u8] {
    static GUESTS: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
        let workspace = root().join("tests/guests");
        let built = toolchain::build(&workspace, toolchain::Wanted::Examples, toolchain::Progress::Kept);
        let read = |component: toolchain::Component| {
            (component.name, std::fs::read(&component.path).expect("what was built can be read"))
        };
        built.unwrap_or_else(|error| panic!("the test guests can't be built: {error}")).into_iter().map(read).collect()
    });
    GUESTS.get(name).unwrap_or_else(|| panic!("there is no guest `{name}`"))
}

/// The bytes of an agent of `plugins/`, by its name. All are built when the first is asked for.
pub fn plugin(name: &str) -> &'static [u8] {
    static PLUGINS: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
        let built = toolchain::build(&root().join("plugins"), toolchain::Wanted::Workspace, toolchain::Progress::Kept);
        let read = |component: toolchain::Component| {
            (component.name, std::fs::read(&component.path).expect("what was built can be read"))
        };
        built.unwrap_or_else(|error| panic!("the agents can't be built: {error}")).into_iter().map(read).collect()
    });
    PLUGINS.get(name).unwrap_or_else(|| panic!("there is no agent `{name}`"))
}

/// Where this process keeps what it compiled, so that each guest is compiled once.
pub fn cache() -> PathBuf {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = CACHE.get_or_init(|| tempfile::tempdir().expect("a temporary folder can be made"));
    folder.path().join("native")
}

/// Tests that measure shares of the CPU hold this, so that they don't share it with each other.
pub async fn quiet() -> MutexGuard<'static, ()> {
    static QUIET: Mutex<()> = Mutex::const_new(());
    QUIET.lock().await
}

/// A host with two workers and room for eight agents.
pub fn host() -> Village {
    host_of(8)
}

/// A host with two workers and room for so many agents.
pub fn host_of(agents: u32) -> Village {
    Village(builder(agents).build().expect("a host can be made"))
}

/// A host whose agents compute on a device.
pub fn host_with(device: impl kernels::Backend + Send + 'static) -> Village {
    let built = builder(8).device(move || Some(Box::new(device))).build();
    Village(built.expect("a host can be made"))
}

/// How such a host is made, for tests that want something else of it too.
pub fn builder(agents: u32) -> Builder {
    Host::builder()
        .pool(Pool::Slots(agents))
        .cache(cache())
        .compiler(Compiler::InProcess)
        .workers(NonZeroUsize::MIN.saturating_add(1))
}

/// A host, as the tests use it.
pub struct Village(pub Host);

/// A budget as it is written on a command line; what isn't named has its default.
pub fn budget(text: &str) -> Budget {
    let mut budget = Budget::default();
    for field in text.split(',').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').expect("a budget is written FIELD=VALUE,…");
        budget.set(name, value).unwrap_or_else(|error| panic!("{error}"));
    }
    budget
}

/// Grants as they are written on a command line.
pub fn grants(texts: &[&str]) -> Grants {
    let mut grants = Grants::default();
    for text in texts {
        grants.open(text).unwrap_or_else(|error| panic!("{error}"));
    }
    grants
}

/// A message from nobody in particular.
pub fn message(skill: &str, payload: &str) -> Message {
    Message {
        id: "1".into(),
        sender: Sender::Client("test".into()),
        skill: skill.into(),
        payload: Payload { content_type: String::new(), body: payload.into() },
        priority: Priority::Normal,
        attempt: 1,
        accepted: 0,
    }
}

/// Why there is no reply.
#[derive(Debug, PartialEq, Eq)]
pub struct No {
    /// The word that programs know it by.
    pub kind: &'static str,
    /// The same for people.
    pub text: String,
    /// Where it happened.
    pub frames: Vec<Frame>,
}

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)
    }
}

impl From<Failed> for No {
    fn from(error: Failed) -> No {
        let frames = match &error {
            Failed::Broke(fault) => fault.frames().to_vec(),
            Failed::Failed(_) | Failed::NoRoom | Failed::Store(_) => Vec::new(),
        };
        No { kind: error.kind(), text: error.to_string(), frames }
    }
}

impl Village {
    /// A guest, loaded.
    pub async fn load(&self, name: &str) -> Version {
        self.0.load(guest(name)).await.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// An agent that runs the guest `name`.
    pub async fn agent(&self, name: &str, limits: &str, open: &[&str]) -> Agent {
        self.member(name, limits, open, None).await
    }

    /// An agent in a group.
    pub async fn member(&self, name: &str, limits: &str, open: &[&str], group: Option<&Group>) -> Agent {
        let version = self.load(name).await;
        self.0.start(&version, budget(limits), grants(open), group).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs a component as a command without arguments or input.
    pub async fn run(&self, component: &[u8], limits: &str) -> Result<Finished, guest::Error> {
        self.run_with(component, limits, &[]).await
    }

    /// The same, with grants.
    pub async fn run_with(&self, component: &[u8], limits: &str, open: &[&str]) -> Result<Finished, guest::Error> {
        let version = self.0.load(component).await?;
        assert_eq!(version.kind(), Kind::Command);
        self.0.run(&version, Vec::new(), Stdin::Bytes(Vec::new()), budget(limits), grants(open)).await
    }

    /// Does `work` while an honest agent in the same host is asked without a break, and checks that it is served.
    ///
    /// It counts its messages in its memory: a neighbour that touched or restarted it would be seen.
    pub async fn beside<O>(&self, work: impl Future<Output = O>) -> O {
        let neighbour = self.agent("echo", "cpu=30%,memory=3MiB,deadline=9s", &[]).await;
        ask(&neighbour, "count", "").await.expect("the neighbour is served before");
        let asked = std::sync::atomic::AtomicU64::new(1);
        let slowest = std::sync::Mutex::new(Vec::new());
        let serve = async {
            let mut pace = tokio::time::interval(Duration::from_millis(4));
            loop {
                pace.tick().await;
                let begun = Instant::now();
                let counted = ask(&neighbour, "count", "").await.expect("the neighbour is served meanwhile");
                let asked = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                assert_eq!(counted, asked.to_string(), "the neighbour's memory is its own");
                slowest.lock().expect("nobody panicked").push(begun.elapsed());
            }
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = serve => unreachable!("the neighbour is asked for ever"),
        };
        assert!(neighbour.usage()[3].used_units > 0, "the neighbour lives on");
        ask(&neighbour, "echo", "still here").await.expect("the neighbour is served after");
        let mut took = slowest.into_inner().expect("nobody panicked");
        took.sort();
        // The bench states the true bound, on a machine of its own; here others compete for the processor.
        if let Some(median) = took.get(took.len() / 2) {
            assert!(*median < Duration::from_millis(100), "half of the neighbour's turns took {median:?} or more");
        }
        outcome
    }
}

/// Asks an agent for a skill, and answers its reply as text.
pub async fn ask(agent: &Agent, skill: &str, payload: &str) -> Result<String, No> {
    receipt(agent, skill, payload).await.0
}

/// The same, with what the turn used.
pub async fn receipt(agent: &Agent, skill: &str, payload: &str) -> (Result<String, No>, Receipt) {
    let answer = agent.ask(message(skill, payload)).await.unwrap_or_else(|refusal| panic!("{skill}: {refusal}"));
    let reply = answer.outcome.map(|reply| String::from_utf8_lossy(&reply.payload.body).into_owned());
    (reply.map_err(No::from), answer.receipt)
}

/// What an agent uses of one field of its budget now.
pub fn used(agent: &Agent, field: &str) -> u64 {
    let usage = agent.usage();
    usage.iter().find(|usage| usage.field == field).expect("a field of the budget").used_units
}

/// The kind and text of how a command ended that did not end well.
pub fn fault(finished: &Finished) -> (&'static str, String) {
    match &finished.outcome {
        Ok(code) => panic!("it ended with code {code}"),
        Err(fault) => (fault.kind(), fault.to_string()),
    }
}

/// Waits until `done`; for what happens soon after something, without saying so.
pub async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

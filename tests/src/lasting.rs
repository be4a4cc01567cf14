//! Hosts whose agents keep what they do: made, dropped, and made again over the same folder.

use crate::{budget, builder, grants, guest, message};
use agents::Care;
use guest::{Agent, Answer, Books, Enrolment, Failed, Host, Replicas, Retry};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::{Options, Store};

/// A host over a folder, with agents that run the guest `clerk`.
pub struct Lasting {
    /// The host.
    pub host: Arc<Host>,
    /// What it keeps.
    pub books: Arc<Books>,
    clerk: guest::Version,
    /// How its clerks are looked after.
    pub care: Care,
    /// How many replicas they may have.
    pub replicas: Replicas,
}

/// Fails often, and is tried again soon.
pub const EAGER: Retry =
    Retry { attempts: 4, backoff: Duration::from_millis(4), longest: Duration::from_millis(50), ordered: true };

const LIMITS: &str = "deadline=5s,memory=12MiB,messages=10000/s,children=3,mailbox=20000,mailbox-bytes=64MiB";

impl Lasting {
    /// Opens what is kept in a folder.
    pub async fn open(folder: &Path) -> Lasting {
        let store = Store::open(folder, Options::default()).unwrap_or_else(|error| panic!("{error}"));
        Lasting::over(store).await
    }

    /// A host over a store.
    pub async fn over(store: Store) -> Lasting {
        Lasting::with(Books::open(store).await.unwrap_or_else(|error| panic!("{error}"))).await
    }

    /// A host that goes on with what is kept.
    pub async fn with(books: Arc<Books>) -> Lasting {
        Lasting::on(builder(64), books).await
    }

    /// The same on a host that is made so.
    pub async fn on(builder: guest::Builder, books: Arc<Books>) -> Lasting {
        let host = Arc::new(builder.books(books.clone()).build().unwrap_or_else(|error| panic!("{error}")));
        let clerk = host.load(guest("clerk")).await.unwrap_or_else(|error| panic!("{error}"));
        Lasting { host, books, clerk, care: Care::default(), replicas: Replicas::default() }
    }

    /// Enrols clerks who may do everything with each other.
    pub fn clerks(self, names: &[&str]) -> Lasting {
        names.iter().for_each(|name| self.clerk(name, EAGER));
        self
    }

    /// Enrols a clerk.
    pub fn clerk(&self, name: &str, retry: Retry) {
        self.enrol(name, self.clerk.clone(), retry);
    }

    /// Enrols an agent.
    pub fn enrol(&self, name: &str, version: guest::Version, retry: Retry) {
        self.enrol_with(name, version, retry, &["state", "agents=*", "spawn"]);
    }

    /// Enrols an agent with these grants.
    pub fn enrol_with(&self, name: &str, version: guest::Version, retry: Retry, open: &[&str]) {
        let grants = Arc::new(grants(open));
        let enrolment = Enrolment {
            version,
            budget: budget(LIMITS),
            grants,
            group: None,
            retry,
            record: true,
            care: self.care,
            replicas: self.replicas,
        };
        self.host.enrol(name, enrolment).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Enrols an agent that runs the guest `guest`, with limits and grants of its own.
    pub async fn enrol_guest(&self, name: &str, guest: &str, limits: &str, open: &[&str]) {
        let version = self.host.load(crate::guest(guest)).await.unwrap_or_else(|error| panic!("{guest}: {error}"));
        let (budget, grants) = (budget(limits), Arc::new(grants(open)));
        let enrolment = Enrolment {
            version,
            budget,
            grants,
            group: None,
            retry: EAGER,
            record: true,
            care: self.care,
            replicas: self.replicas,
        };
        self.host.enrol(name, enrolment).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// An agent, awake.
    pub fn agent(&self, name: &str) -> Arc<Agent> {
        let agent = self.host.wake(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        agent.unwrap_or_else(|| panic!("there is no `{name}`"))
    }

    /// What comes of a message that is kept, with what comes of it if that is soon there.
    pub async fn post(&self, name: &str, skill: &str, body: &str) -> Result<String, Failed> {
        let agent = self.agent(name);
        let posted = agent.call(message(skill, body)).await;
        let (_, answer) = posted.unwrap_or_else(|error| panic!("{name} {skill}: {error}"));
        text(answer.await.unwrap_or_else(|error| panic!("{name} {skill}: {error}")))
    }

    /// What comes of a message that is not kept.
    pub async fn fast(&self, name: &str, skill: &str, body: &str) -> Result<String, Failed> {
        text(self.agent(name).ask(message(skill, body)).await.unwrap_or_else(|error| panic!("{name} {skill}: {error}")))
    }

    /// The lines that a clerk has kept.
    pub async fn lines(&self, name: &str) -> Vec<String> {
        let lines = self.fast(name, "lines", "null").await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let inner = lines.trim_matches(['[', ']']);
        inner.split(',').filter(|line| !line.is_empty()).map(|line| line.trim_matches('"').into()).collect()
    }

    /// The lines that a clerk has kept, once there are so many, or after a while.
    pub async fn lines_when(&self, name: &str, count: usize) -> Vec<String> {
        let begun = std::time::Instant::now();
        loop {
            let lines = self.lines(name).await;
            if lines.len() >= count || begun.elapsed() > Duration::from_secs(10) {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn text(answer: Answer) -> Result<String, Failed> {
    answer.outcome.map(|reply| String::from_utf8(reply.payload.body).expect("clerks write text"))
}

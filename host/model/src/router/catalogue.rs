//! Which models there are: lists of back ends, renewed now and then while calls go on by the old ones.

use super::choice::Candidate;
use super::{Price, Terms};
use crate::backend::{Backend, Listed};
use crate::pattern::full;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long a list is good, and how soon it is asked for again where one is missing.
const GOOD: Duration = Duration::from_secs(60);
const MISSING: Duration = Duration::from_secs(5);

/// How long a back end may take to say which models it has.
const LISTING: Duration = Duration::from_secs(10);

/// How long a call waits for further lists when there is one to go by.
const ENOUGH: Duration = Duration::from_millis(250);

/// What a model of which no price is known costs elsewhere: as much as the dearest usually do, so that nobody is surprised.
const DEAR: Price = Price { read: 15_000, write: 75_000 };

/// How well a model is thought to do before anybody has said a word: a dear one better.
const CHEAPEST: f64 = 0.6;
const DEAREST: f64 = 0.9;

/// Which models there are.
pub(super) struct Catalogue {
    terms: Vec<Terms>,
    known: Mutex<Known>,
    renewing: AtomicBool,
    /// How many back ends have answered, or failed to, in the first round.
    heard: watch::Sender<usize>,
}

#[derive(Default)]
struct Known {
    lists: Vec<Option<Vec<Listed>>>,
    names: Vec<String>,
    all: Arc<Vec<Candidate>>,
    since: Option<Instant>,
}

impl Catalogue {
    pub(super) fn new(terms: Vec<Terms>) -> Catalogue {
        let known =
            Known { lists: vec![None; terms.len()], names: vec![String::new(); terms.len()], ..Known::default() };
        Catalogue { terms, known: Mutex::new(known), renewing: AtomicBool::new(false), heard: watch::channel(0).0 }
    }

    pub(super) fn all(&self) -> Arc<Vec<Candidate>> {
        self.known.lock().all.clone()
    }

    /// Whether the lists are good enough to go by without asking.
    pub(super) fn fresh(&self, now: Instant) -> bool {
        let known = self.known.lock();
        let good = if known.lists.iter().all(Option::is_some) { GOOD } else { MISSING };
        known.since.is_some_and(|since| now.duration_since(since) < good)
    }

    /// Whether the caller is the one to renew them.
    pub(super) fn begin(&self) -> bool {
        !self.renewing.swap(true, Ordering::AcqRel)
    }

    /// Asks all back ends for their lists.
    pub(super) async fn renew(&self, backends: &[Arc<dyn Backend>]) {
        let mut asked = JoinSet::new();
        for (at, backend) in backends.iter().enumerate() {
            let backend = backend.clone();
            asked.spawn(async move { (at, backend.name().to_owned(), backend.list(Instant::now() + LISTING).await) });
        }
        while let Some(answer) = asked.join_next().await {
            if let Ok((at, name, list)) = answer {
                let mut known = self.known.lock();
                known.names[at] = name;
                // One that does not answer now may still answer calls: what it said before stays.
                if let Ok(list) = list {
                    known.lists[at] = Some(list);
                    known.all = Arc::new(self.candidates(&known));
                }
            }
            self.heard.send_modify(|heard| *heard += 1);
        }
        self.known.lock().since = Some(Instant::now());
        self.heard.send_modify(|heard| *heard += backends.len());
        self.renewing.store(false, Ordering::Release);
    }

    /// What is known, waiting for it if that is nothing yet: for all lists, but not long for the slow ones.
    pub(super) async fn known(&self, until: Instant) -> Arc<Vec<Candidate>> {
        let (all, count) = (self.all(), self.terms.len());
        if !all.is_empty() {
            return all;
        }
        let mut heard = self.heard.subscribe();
        let _ = tokio::time::timeout_at(until, heard.wait_for(|heard| *heard >= count || !self.all().is_empty())).await;
        let by = until.min(Instant::now() + ENOUGH);
        let _ = tokio::time::timeout_at(by, heard.wait_for(|heard| *heard >= count)).await;
        self.all()
    }

    fn candidates(&self, known: &Known) -> Vec<Candidate> {
        let mut all = Vec::new();
        for (backend, list) in known.lists.iter().enumerate() {
            for listed in list.iter().flatten() {
                let price = self.terms[backend].price(&listed.name);
                let price = price.unwrap_or(if listed.local { Price::default() } else { DEAR });
                let name = full(&listed.name, listed.local);
                let backend_name = known.names[backend].clone();
                all.push(Candidate { backend, backend_name, listed: listed.clone(), name, price, before: 0.0 });
            }
        }
        let worth = |one: &Candidate| one.price.read + one.price.write;
        let dearest = all.iter().map(worth).max().unwrap_or(0).max(1) as f64;
        for one in &mut all {
            let said = self.terms[one.backend].quality(&one.listed.name).map(|quality| f64::from(quality) / 100.0);
            let part = (worth(one) as f64 / dearest).sqrt();
            one.before = said.unwrap_or(CHEAPEST + (DEAREST - CHEAPEST) * part);
        }
        all
    }
}

//! What agents say of the answers that they got: how often each model does, for each kind of prompt.

use super::cache::CacheKey;
use super::chance::Chance;
use crate::prompt::{Prompt, Role};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Kinds of prompts that are remembered, over all agents.
const KINDS: usize = 4096;

/// Models that are remembered of a kind.
const MODELS: usize = 64;

/// Answers that wait for a word about them, for each agent, and agents that have any.
const WAITING: usize = 64;
const AGENTS: usize = 4096;

/// What a word counts for after one more: models change, and what they are asked does.
const KEPT: f64 = 0.999;

/// How much is thought to be known before anybody has said a word.
const WEIGHT: f64 = 3.0;

/// What prompts have in common that one model does as well as another.
pub(super) type KindOf = [u8; 16];

/// The kind of a prompt: who asks, with which tools and schema, beginning how, and how much.
pub(super) fn kind(agent: &str, prompt: &Prompt) -> KindOf {
    let mut hasher = blake3::Hasher::new();
    let mut part = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    part(agent);
    prompt.tools.iter().for_each(|tool| part(&tool.name));
    part(prompt.schema.as_deref().unwrap_or_default());
    // What an agent is set up as stands at the beginning; further on there may be something of the day.
    let system = prompt.turns.iter().find(|turn| turn.role == Role::System).map_or("", |turn| turn.content.as_str());
    part(&system.chars().take(64).collect::<String>());
    // Four times as long is another kind.
    hasher.update(&[(prompt.bytes().max(1).ilog2() / 2) as u8]);
    let mut kind = [0; 16];
    kind.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    kind
}

/// What was said of one model's answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Said {
    passed: f64,
    failed: f64,
}

/// An answer that somebody may say a word about.
struct Waiting {
    model: String,
    kind: KindOf,
    cached: Option<CacheKey>,
}

/// What is known of the models.
#[derive(Default)]
pub(super) struct Learned {
    said: HashMap<KindOf, (u64, BTreeMap<String, Said>)>,
    /// Which kind was used last, by a count that only grows.
    used: BTreeMap<u64, KindOf>,
    count: u64,
    waiting: HashMap<String, (u64, VecDeque<Waiting>)>,
}

/// What is stored of it.
#[derive(Serialize, Deserialize)]
struct Stored(Vec<(KindOf, Vec<(String, Said)>)>);

impl Learned {
    /// How well a model may do, drawn by chance from what is known: what is known little is tried now and then. While
    /// nobody has said a word about this kind of prompt it is what was thought before.
    pub(super) fn draw(&self, kind: &KindOf, model: &str, before: f64, chance: &mut Chance) -> f64 {
        let Some((_, said)) = self.said.get(kind) else { return before };
        let Said { passed, failed } = said.get(model).copied().unwrap_or_default();
        chance.beta(passed + WEIGHT * before, failed + WEIGHT * (1.0 - before))
    }

    /// How well a model did, without chance, and from how many words that is known.
    pub(super) fn mean(&self, kind: &KindOf, model: &str, before: f64) -> (f64, f64) {
        let said = self.said.get(kind).and_then(|(_, said)| said.get(model)).copied().unwrap_or_default();
        let count = said.passed + said.failed;
        ((said.passed + WEIGHT * before) / (count + WEIGHT), count)
    }

    /// How far that may be off, for two times in three.
    pub(super) fn spread(&self, kind: &KindOf, model: &str, before: f64) -> f64 {
        let (mean, count) = self.mean(kind, model, before);
        (mean * (1.0 - mean) / (count + WEIGHT + 1.0)).sqrt()
    }

    /// An agent got an answer.
    pub(super) fn answered(&mut self, agent: &str, model: &str, kind: KindOf, cached: Option<CacheKey>) {
        self.count += 1;
        if !self.waiting.contains_key(agent) && self.waiting.len() == AGENTS {
            let oldest = self.waiting.iter().min_by_key(|(_, (used, _))| *used).map(|(agent, _)| agent.clone());
            oldest.map(|agent| self.waiting.remove(&agent));
        }
        let (used, waiting) = self.waiting.entry(agent.into()).or_default();
        *used = self.count;
        if waiting.len() == WAITING {
            waiting.pop_front();
        }
        waiting.push_back(Waiting { model: model.into(), kind, cached });
    }

    /// How many answers of a model wait for a word of an agent's.
    pub(super) fn unjudged(&self, agent: &str, model: &str) -> usize {
        let waiting = self.waiting.get(agent).map(|(_, waiting)| waiting);
        waiting.into_iter().flatten().filter(|answer| answer.model == model).count()
    }

    /// An agent says how well the latest answer of a model did that it has said nothing about. None if there is none;
    /// otherwise under what the answer is kept.
    pub(super) fn feedback(&mut self, agent: &str, model: &str, score: u32) -> Option<Option<CacheKey>> {
        let (_, waiting) = self.waiting.get_mut(agent)?;
        let at = waiting.iter().rposition(|answer| answer.model == model)?;
        let answer = waiting.remove(at)?;
        self.learn(answer.kind, model, f64::from(score.min(100)) / 100.0);
        Some(answer.cached)
    }

    /// A model's answer to this kind of prompt did so well, from nothing to one.
    pub(super) fn learn(&mut self, kind: KindOf, model: &str, passed: f64) {
        self.count += 1;
        let (used, said) = self.said.entry(kind).or_default();
        self.used.remove(used);
        *used = self.count;
        self.used.insert(self.count, kind);
        if said.len() < MODELS || said.contains_key(model) {
            let said = said.entry(model.into()).or_default();
            said.passed = said.passed * KEPT + passed;
            said.failed = said.failed * KEPT + (1.0 - passed);
        }
        if self.said.len() > KINDS
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.said.remove(&oldest);
        }
    }

    /// All that was learned, as bytes to be stored: hashes, names of models and counts.
    pub(super) fn store(&self) -> Vec<u8> {
        let kinds = self.used.values().filter_map(|kind| Some((*kind, self.said.get(kind)?)));
        let all =
            kinds.map(|(kind, (_, said))| (kind, said.iter().map(|(model, said)| (model.clone(), *said)).collect()));
        postcard::to_allocvec(&Stored(all.collect())).unwrap_or_default()
    }

    /// Takes what was stored. Whether it could be read.
    pub(super) fn restore(&mut self, bytes: &[u8]) -> bool {
        let Ok(Stored(all)) = postcard::from_bytes(bytes) else { return false };
        for (kind, said) in all.into_iter().take(KINDS) {
            self.count += 1;
            if let Some((used, _)) = self.said.insert(kind, (self.count, said.into_iter().take(MODELS).collect())) {
                self.used.remove(&used);
            }
            self.used.insert(self.count, kind);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_about_the_latest_answer_that_none_was_said_about() {
        let mut learned = Learned::default();
        let kinds = [[1; 16], [2; 16]];
        learned.answered("a", "m", kinds[0], Some([7; 32]));
        learned.answered("a", "m", kinds[1], None);
        assert_eq!(learned.feedback("b", "m", 100), None);
        assert_eq!(learned.feedback("a", "n", 100), None);
        assert_eq!(learned.feedback("a", "m", 0), Some(None));
        assert_eq!(learned.feedback("a", "m", 100), Some(Some([7; 32])));
        assert_eq!(learned.feedback("a", "m", 100), None);
        assert_eq!(learned.mean(&kinds[0], "m", 0.5), (2.5 / 4.0, 1.0));
        assert_eq!(learned.mean(&kinds[1], "m", 0.5), (1.5 / 4.0, 1.0));
        let mut again = Learned::default();
        assert!(again.restore(&learned.store()) && !again.restore(b"nonsense is not what was stored"));
        assert_eq!(again.mean(&kinds[0], "m", 0.5), (2.5 / 4.0, 1.0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut learned = Learned::default();
        for at in 0..KINDS as u64 + 100 {
            let mut kind = [0; 16];
            kind[..8].copy_from_slice(&at.to_le_bytes());
            learned.learn(kind, "m", 1.0);
            learned.answered(&format!("agent {at}"), "m", kind, None);
        }
        for at in 0..1000 {
            learned.learn([9; 16], &format!("m{at}"), 1.0);
            learned.answered("last", "m", [9; 16], None);
        }
        assert_eq!((learned.said.len(), learned.used.len(), learned.waiting.len()), (KINDS, KINDS, AGENTS));
        assert_eq!((learned.said[&[9; 16]].1.len(), learned.waiting["last"].1.len()), (MODELS, WAITING));
    }

    #[test]
    fn kinds_are_told_apart_by_what_matters() {
        let prompt = Prompt::ask("hello", 9);
        let longer = Prompt::ask("hello".repeat(100), 9);
        let other =
            Prompt { turns: vec![crate::Turn::new(Role::System, "Sort."), prompt.turns[0].clone()], ..prompt.clone() };
        let all = [kind("a", &prompt), kind("b", &prompt), kind("a", &longer), kind("a", &other)];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        assert_eq!(kind("a", &prompt), kind("a", &Prompt::ask("hullo", 9)));
    }
}

//! Answers that are given again, to the same agent for the same prompt.

use crate::pattern::Grant;
use crate::prompt::{Completion, Prompt};
use crate::router::Policy;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer is given again: behind the same name there may be another model by then.
const KEPT: Duration = Duration::from_secs(3600);

/// What an entry takes beside its texts.
const ENTRY: usize = 256;

pub(super) type CacheKey = [u8; 32];

/// Answers, the least used of which make room for new ones.
pub(super) struct Cache {
    most: usize,
    held: usize,
    entries: HashMap<CacheKey, Entry>,
    /// When each was used last, by a count that only grows.
    used: BTreeMap<u64, CacheKey>,
    count: u64,
}

struct Entry {
    completion: Completion,
    bytes: usize,
    since: Instant,
    used: u64,
}

/// All that an answer depends on. None if the same prompt has another answer each time.
pub(super) fn key(agent: &str, prompt: &Prompt, grant: &Grant, policy: Policy) -> Option<CacheKey> {
    if !prompt.repeatable() {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    // With the length before it, so that no text can pass for a part of another.
    let whole = postcard::to_allocvec(&(agent, prompt, format!("{grant:?}"), policy as u8)).ok()?;
    hasher.update(&whole);
    Some(*hasher.finalize().as_bytes())
}

impl Cache {
    pub(super) fn new(most: usize) -> Cache {
        Cache { most, held: 0, entries: HashMap::new(), used: BTreeMap::new(), count: 0 }
    }

    pub(super) fn find(&mut self, key: &CacheKey, now: Instant) -> Option<Completion> {
        if now.duration_since(self.entries.get(key)?.since) > KEPT {
            self.forget(key);
            return None;
        }
        let entry = self.entries.get_mut(key)?;
        self.used.remove(&entry.used);
        self.count += 1;
        entry.used = self.count;
        self.used.insert(self.count, *key);
        Some(entry.completion.clone())
    }

    pub(super) fn keep(&mut self, key: CacheKey, completion: &Completion, now: Instant) {
        let calls: usize =
            completion.calls.iter().map(|call| call.id.len() + call.name.len() + call.arguments.len()).sum();
        let bytes = ENTRY + completion.text.len() + completion.model.len() + calls;
        self.forget(&key);
        if bytes > self.most {
            return;
        }
        while self.held + bytes > self.most {
            let Some((_, oldest)) = self.used.first_key_value().map(|(used, key)| (*used, *key)) else { return };
            self.forget(&oldest);
        }
        self.count += 1;
        self.held += bytes;
        self.used.insert(self.count, key);
        self.entries.insert(key, Entry { completion: completion.clone(), bytes, since: now, used: self.count });
    }

    pub(super) fn forget(&mut self, key: &CacheKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.used.remove(&entry.used);
            self.held -= entry.bytes;
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::Finish;

    fn answer(length: usize) -> Completion {
        let text = "x".repeat(length);
        Completion { text, calls: Vec::new(), finish: Finish::Stop, model: String::new(), tokens_in: 1, tokens_out: 1 }
    }

    #[test]
    fn the_least_used_makes_room_and_nothing_is_kept_for_ever() {
        let mut cache = Cache::new(3 * (ENTRY + 100));
        let now = Instant::now();
        for key in 0..3 {
            cache.keep([key; 32], &answer(100), now);
        }
        assert!(cache.find(&[0; 32], now).is_some());
        cache.keep([3; 32], &answer(100), now);
        let there: Vec<bool> = (0..4).map(|key| cache.find(&[key; 32], now).is_some()).collect();
        assert_eq!(there, [true, false, true, true]);
        cache.keep([4; 32], &answer(5000), now);
        assert!(cache.find(&[4; 32], now).is_none() && cache.held() == 3 * (ENTRY + 100));
        assert!(cache.find(&[0; 32], now + KEPT + Duration::from_secs(1)).is_none());
        assert_eq!(cache.held(), 2 * (ENTRY + 100));
    }

    #[test]
    fn everything_that_matters_is_part_of_the_key() {
        let grant = |text| Grant::parse([text]).expect("a grant");
        let prompt = Prompt::ask("hello", 9);
        let of = |agent: &str, prompt: &Prompt, text, policy| key(agent, prompt, &grant(text), policy);
        let first = of("a", &prompt, "local/*", Policy::Cost);
        assert_eq!(first, of("a", &prompt.clone(), "local/*", Policy::Cost));
        type Change = fn(&mut Prompt);
        let changes: [Change; 8] = [
            |p| p.model = "local/x".into(),
            |p| p.turns[0].content.push(' '),
            |p| p.max_tokens = 8,
            |p| p.stop = vec!["x".into()],
            |p| p.seed = Some(1),
            |p| p.private = true,
            |p| p.schema = Some("{}".into()),
            |p| p.tools = vec![crate::Tool { name: "a".into(), description: String::new(), parameters: "{}".into() }],
        ];
        let mut all = vec![first, of("b", &prompt, "local/*", Policy::Cost), of("a", &prompt, "*", Policy::Cost)];
        all.push(of("a", &prompt, "local/*", Policy::Speed));
        for change in changes {
            let mut other = prompt.clone();
            change(&mut other);
            all.push(of("a", &other, "local/*", Policy::Cost));
        }
        let distinct: std::collections::BTreeSet<_> = all.iter().flatten().collect();
        assert_eq!(distinct.len(), all.len());
        let warm = Prompt { temperature: 1, ..prompt };
        assert_eq!(of("a", &warm, "local/*", Policy::Cost), None);
        assert!(of("a", &Prompt { seed: Some(1), ..warm }, "local/*", Policy::Cost).is_some());
    }
}

//! Near-duplicate texts: likely pairs by MinHash and bands (LSH), each then measured exactly.

mod sketch;

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use village::Schema;

use crate::{Error, at_most, invalid};
use sketch::{Bands, signature};

/// Most documents at once, and most bytes of them together.
const MOST_DOCUMENTS: usize = 5_000;
const MOST_TEXT: usize = 2 << 20;
/// Up to so many documents every pair is measured.
const ALL_PAIRS: usize = 200;

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// At most 5000, of 2 MiB together.
    #[schema(max_items = 5000)]
    pub documents: Vec<Document>,
    /// Texts at least so alike, from 0.3 to 1, are near duplicates; 0.8 if it is not given.
    #[serde(default = "usual_threshold")]
    #[schema(minimum = 0.3, maximum = 1, default = 0.8)]
    pub threshold: f64,
    /// What a text is cut into: runs of words, or of characters for scripts without spaces.
    #[serde(default)]
    pub unit: Unit,
    /// How many units a shingle has, from 1 to 12; 3 words or 5 characters if it is not given.
    #[schema(minimum = 1, maximum = 12)]
    pub size: Option<usize>,
    /// Whether every pair is measured, or only those that MinHash finds likely.
    #[serde(default)]
    pub method: Method,
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub id: String,
    pub text: String,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, Serialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    #[default]
    Words,
    Characters,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, Serialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Every pair of up to 200 documents, likely pairs of more.
    #[default]
    Auto,
    AllPairs,
    Minhash,
}

fn usual_threshold() -> f64 {
    0.8
}

#[derive(Serialize, Schema)]
pub struct Answer {
    /// Largest first. A document is in one group at most.
    pub groups: Vec<Group>,
    /// Documents without a letter or digit: nothing can be said of them.
    pub empty: Vec<String>,
    pub method: Method,
    /// Pairs that were measured.
    pub measured: usize,
    /// The chance that a pair just at the threshold was not looked at; 0 if all were.
    pub missed: f64,
    /// False if time ran out first: there may be more.
    pub complete: bool,
}

#[derive(Serialize, Schema)]
pub struct Group {
    /// The first is the one that came first in the request.
    pub documents: Vec<Member>,
    /// The least similarity among the links that hold the group together.
    pub weakest_link: f64,
}

#[derive(Serialize, Schema)]
pub struct Member {
    pub id: String,
    /// To the group's first: shingles in both, of shingles in either (Jaccard). May be below the threshold in a chain.
    pub similarity: f64,
}

/// `go_on` says whether there is time to go on.
pub fn answer(request: Request, go_on: &mut dyn FnMut() -> bool) -> Result<Answer, Error> {
    request.check()?;
    let size = request.size.unwrap_or(if request.unit == Unit::Words { 3 } else { 5 });
    let sets: Vec<Vec<u64>> =
        request.documents.iter().map(|one| sketch::shingles(&one.text, request.unit, size)).collect();
    let every = match request.method {
        Method::Auto => sets.len() <= ALL_PAIRS,
        method => method == Method::AllPairs,
    };
    let mut search = Search::new(&sets, request.threshold);
    let (complete, missed) = if every {
        (search.all(go_on), 0.0)
    } else {
        let bands = Bands::for_threshold(request.threshold);
        (search.likely(&bands, go_on), bands.missed(request.threshold))
    };
    let empty = request.documents.iter().zip(&sets).filter(|(_, set)| set.is_empty()).map(|(one, _)| one.id.clone());
    Ok(Answer {
        groups: search.groups(&request.documents),
        empty: empty.collect(),
        method: if every { Method::AllPairs } else { Method::Minhash },
        measured: search.measured,
        missed,
        complete,
    })
}

impl Request {
    fn check(&self) -> Result<(), Error> {
        at_most("documents", self.documents.len(), MOST_DOCUMENTS)?;
        let bytes = self.documents.iter().map(|one| one.text.len()).sum::<usize>();
        if bytes > MOST_TEXT {
            return Err(Error::Unsupported(format!(
                "`documents` have {bytes} bytes; at most {MOST_TEXT} are handled at once"
            )));
        }
        if !(0.3..=1.0).contains(&self.threshold) {
            return Err(invalid("threshold", format!("is {}; it must be from 0.3 to 1", self.threshold)));
        }
        if self.size.is_some_and(|size| !(1..=12).contains(&size)) {
            return Err(invalid("size", "must be from 1 to 12"));
        }
        let mut known = HashSet::new();
        for (at, one) in self.documents.iter().enumerate() {
            if !known.insert(&one.id) {
                return Err(invalid(format!("documents[{at}].id"), format!("is `{}`, as another's", one.id)));
            }
        }
        Ok(())
    }
}

/// Sets of shingles, joined into groups as pairs are found to be alike.
struct Search<'a> {
    sets: &'a [Vec<u64>],
    threshold: f64,
    /// The document that each was joined to; itself at first.
    parents: Vec<usize>,
    /// The weakest link below each document that leads a group.
    weakest: Vec<f64>,
    measured: usize,
}

impl<'a> Search<'a> {
    fn new(sets: &'a [Vec<u64>], threshold: f64) -> Self {
        Self { sets, threshold, parents: (0..sets.len()).collect(), weakest: vec![1.0; sets.len()], measured: 0 }
    }

    /// Answers whether there was time for all pairs.
    fn all(&mut self, go_on: &mut dyn FnMut() -> bool) -> bool {
        for right in 1..self.sets.len() {
            if !go_on() {
                return false;
            }
            for left in 0..right {
                self.compare(left, right);
            }
        }
        true
    }

    /// Answers whether there was time for all pairs that share a band.
    fn likely(&mut self, bands: &Bands, go_on: &mut dyn FnMut() -> bool) -> bool {
        let mut signatures = Vec::with_capacity(self.sets.len());
        for set in self.sets {
            if !go_on() {
                return false;
            }
            signatures.push(signature(set));
        }
        let keys: Vec<Vec<u64>> =
            signatures.iter().map(|one| (0..bands.count).map(|band| bands.key(one, band)).collect()).collect();
        for band in 0..bands.count {
            let mut buckets: HashMap<u64, Vec<usize>> = HashMap::new();
            for (at, keys) in keys.iter().enumerate().filter(|(at, _)| !self.sets[*at].is_empty()) {
                buckets.entry(keys[band]).or_default().push(at);
            }
            let mut shared: Vec<Vec<usize>> = buckets.into_values().filter(|bucket| bucket.len() > 1).collect();
            shared.sort();
            for bucket in shared {
                for (at, right) in bucket.iter().enumerate().skip(1) {
                    if !go_on() {
                        return false;
                    }
                    for left in &bucket[..at] {
                        // Those that share an earlier band were measured there.
                        let fresh = keys[*left][..band].iter().zip(&keys[*right]).all(|(a, b)| a != b);
                        if fresh {
                            self.compare(*left, *right);
                        }
                    }
                }
            }
        }
        true
    }

    /// Measures two documents, unless they are in one group already, and joins them if they are alike.
    fn compare(&mut self, left: usize, right: usize) {
        let (a, b) = (self.leader(left), self.leader(right));
        let sizes =
            (self.sets[left].len().min(self.sets[right].len()), self.sets[left].len().max(self.sets[right].len()));
        // No more than the smaller set can be in both.
        if a == b || sizes.0 == 0 || (sizes.0 as f64) < self.threshold * sizes.1 as f64 {
            return;
        }
        self.measured += 1;
        let alike = similarity(&self.sets[left], &self.sets[right]);
        if alike >= self.threshold {
            let (first, second) = (a.min(b), a.max(b));
            self.parents[second] = first;
            self.weakest[first] = self.weakest[first].min(self.weakest[second]).min(alike);
        }
    }

    fn leader(&mut self, mut at: usize) -> usize {
        while self.parents[at] != at {
            self.parents[at] = self.parents[self.parents[at]];
            at = self.parents[at];
        }
        at
    }

    fn groups(&mut self, documents: &[Document]) -> Vec<Group> {
        let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
        for at in 0..documents.len() {
            let leader = self.leader(at);
            members.entry(leader).or_default().push(at);
        }
        let mut groups: Vec<(usize, Vec<usize>)> = members.into_iter().filter(|(_, all)| all.len() > 1).collect();
        groups.sort_by_key(|(leader, all)| (std::cmp::Reverse(all.len()), *leader));
        let member = |first: usize, at: usize| Member {
            id: documents[at].id.clone(),
            similarity: similarity(&self.sets[first], &self.sets[at]),
        };
        let group = |(leader, all): (usize, Vec<usize>)| Group {
            weakest_link: self.weakest[leader],
            documents: all.into_iter().map(|at| member(leader, at)).collect(),
        };
        groups.into_iter().map(group).collect()
    }
}

/// Of two sorted sets: what is in both, of what is in either.
fn similarity(a: &[u64], b: &[u64]) -> f64 {
    let (mut left, mut right, mut both) = (0, 0, 0);
    while left < a.len() && right < b.len() {
        match a[left].cmp(&b[right]) {
            std::cmp::Ordering::Less => left += 1,
            std::cmp::Ordering::Greater => right += 1,
            std::cmp::Ordering::Equal => {
                both += 1;
                left += 1;
                right += 1;
            }
        }
    }
    both as f64 / (a.len() + b.len() - both).max(1) as f64
}

#[cfg(test)]
mod tests;

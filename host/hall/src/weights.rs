//! How many bytes the journal's entries have, counted once each: what comes is added, and what was cut off is taken away.

use std::collections::VecDeque;
use std::ops::Range;
use store::{Error, Read};

/// Entries that are counted together.
const TOGETHER: u64 = 1_000;

/// The bytes of all entries that are there.
#[derive(Default)]
pub(crate) struct Weights {
    /// Entries that follow each other, and their bytes.
    parts: VecDeque<(Range<u64>, u64)>,
}

impl Weights {
    /// Counts what came since, and no longer what was cut off. `from` is the last entry that is gone, `head` the last one.
    pub(crate) fn update(&mut self, read: &Read, from: u64, head: u64) -> Result<(), Error> {
        while let Some((part, _)) = self.parts.front()
            && part.end <= from + 1
        {
            self.parts.pop_front();
        }
        if let Some((part, bytes)) = self.parts.front_mut()
            && part.start <= from
        {
            part.start = from + 1;
            *bytes = read.weigh(part.clone())?;
        }
        let mut next = self.parts.back().map_or(from + 1, |(part, _)| part.end);
        while next <= head {
            // The last part grows until it is full.
            let start = match self.parts.back() {
                Some((part, _)) if part.end - part.start < TOGETHER => part.start,
                _ => next,
            };
            let part = start..(head + 1).min(start + TOGETHER);
            let bytes = read.weigh(next..part.end)?;
            next = part.end;
            match self.parts.back_mut() {
                Some((last, sum)) if last.start == start => (*last, *sum) = (part, *sum + bytes),
                _ => self.parts.push_back((part, bytes)),
            }
        }
        Ok(())
    }

    /// The bytes of all.
    pub(crate) fn sum(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// The first entry from which on there are no more than so many bytes.
    pub(crate) fn first_of(&self, read: &Read, most: u64) -> Result<u64, Error> {
        let mut sum = self.sum();
        for (part, bytes) in &self.parts {
            if sum <= most {
                return Ok(part.start);
            }
            if sum - bytes <= most {
                for seq in part.clone() {
                    if sum <= most {
                        return Ok(seq);
                    }
                    sum = sum.saturating_sub(read.weigh(seq..seq + 1)?);
                }
                return Ok(part.end);
            }
            sum -= bytes;
        }
        Ok(self.parts.back().map_or(0, |(part, _)| part.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Change, Options, Store};

    fn write(store: &Store, sizes: impl IntoIterator<Item = usize>) {
        for size in sizes {
            let mut change = Change::new();
            change.journal(1, vec![7; size]);
            drop(store.commit(change));
        }
        store.checkpoint().expect("all is there");
    }

    fn check(weights: &mut Weights, store: &Store) -> u64 {
        let read = store.read();
        let (from, head) = (read.anchor().expect("it is read").seq, read.head().expect("it is read").seq);
        weights.update(&read, from, head).expect("they are counted");
        let all = read.weigh(from + 1..head + 1).expect("it is counted");
        assert_eq!(weights.sum(), all);
        for most in [0, 1, all / 3, all / 2, all - 1, all, all + 1] {
            let first = weights.first_of(&read, most).expect("it is found");
            let left = |first: u64| read.weigh(first..head + 1).expect("it is counted");
            assert!(left(first) <= most, "{most}: {} are left", left(first));
            assert!(first == from + 1 || left(first - 1) > most, "{most}: one more would do");
        }
        all
    }

    #[test]
    fn entries_that_come_and_go_are_counted_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), Options::default()).expect("a store opens");
        let mut weights = Weights::default();
        write(&store, 1..700);
        let first = check(&mut weights, &store);
        assert!(first > (1..700).sum::<usize>() as u64, "all of each counts");
        write(&store, 1..1_800);
        assert!(check(&mut weights, &store) > first);
        assert_eq!(weights.parts.len(), 3);
        for cut in [2, 650, 1_001, 2_400] {
            store.cut(cut, None).expect("it is cut");
            check(&mut weights, &store);
        }
        write(&store, [1]);
        check(&mut weights, &store);
        store.cut(u64::MAX, None).expect("it is cut");
        let read = store.read();
        let (from, head) = (read.anchor().expect("it is read").seq, read.head().expect("it is read").seq);
        weights.update(&read, from, head).expect("they are counted");
        assert_eq!((weights.sum(), weights.parts.len()), (0, 0));
        drop(read);
        store.close();
    }
}

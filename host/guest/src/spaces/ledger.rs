//! What is known of all sources: how much there is of each space, and who pays for it.

use super::rows;
use std::collections::HashMap;

/// Every source, with what it takes of whose storage.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) spaces: HashMap<String, Volume>,
    pub(super) paid: HashMap<String, u64>,
}

/// What a space has.
#[derive(Default)]
pub(super) struct Volume {
    pub(super) sources: HashMap<String, Known>,
    pub(super) passages: u64,
    pub(super) bytes: u64,
}

/// A source.
pub(super) struct Known {
    pub(super) payer: String,
    passages: u32,
    pub(super) bytes: u64,
}

impl Ledger {
    /// Says what a source is now; answers who paid for it, and who does.
    pub(super) fn set(&mut self, space: &str, source: &str, head: Option<&rows::Head>) -> [Option<String>; 2] {
        let volume = self.spaces.entry(space.to_owned()).or_default();
        let before = volume.sources.remove(source);
        if let Some(known) = &before {
            volume.passages -= u64::from(known.passages);
            volume.bytes -= known.bytes;
            let paid = self.paid.entry(known.payer.clone()).or_default();
            *paid -= known.bytes;
        }
        if let Some(head) = head {
            volume.passages += u64::from(head.passages);
            volume.bytes += head.bytes;
            *self.paid.entry(head.payer.clone()).or_default() += head.bytes;
            let known = Known { payer: head.payer.clone(), passages: head.passages, bytes: head.bytes };
            volume.sources.insert(source.to_owned(), known);
        }
        if volume.sources.is_empty() {
            self.spaces.remove(space);
        }
        self.paid.retain(|_, bytes| *bytes > 0);
        [before.map(|known| known.payer), head.map(|head| head.payer.clone())]
    }
}

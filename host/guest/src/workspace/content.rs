//! Content, in pieces of one size. A piece that is not there, and what is behind the end of one, is zeros.

use super::{Answer, PIECE, Workspace};
use crate::state::Batch;
use std::ops::Range;

/// With its key, an entry fills a page of 16 KiB in the store's tree and leaves little of it empty.
pub(super) const SIZE: u64 = 15 << 10;

/// So many pieces are taken away one by one. More are taken away by what their keys begin with.
const FEW: u64 = 16;

/// A place in a piece's key: 2^32 of them are 60 TiB.
const DIGITS: usize = 8;

fn key(owner: &str, index: u64) -> String {
    format!("{PIECE}{owner}{index:08x}")
}

/// How many pieces content of that size has.
fn count(size: u64) -> u64 {
    size.div_ceil(SIZE)
}

impl Workspace<'_> {
    /// A range of what belongs to `owner`. It must be within the content.
    pub(super) fn content(&mut self, owner: &str, range: Range<u64>) -> Answer<Vec<u8>> {
        let mut content = Vec::with_capacity((range.end - range.start) as usize);
        let mut at = range.start;
        while at < range.end {
            let (index, from) = (at / SIZE, (at % SIZE) as usize);
            let to = (range.end - index * SIZE).min(SIZE) as usize;
            let piece = self.row(&key(owner, index))?;
            let piece = piece.as_ref().map_or(&[][..], |piece| &piece.bytes[..]);
            content.extend_from_slice(piece.get(from..to.min(piece.len())).unwrap_or_default());
            at = index * SIZE + to as u64;
            content.resize((at - range.start) as usize, 0);
        }
        Ok(content)
    }

    /// Adds to `batch` that `bytes` are put from `offset` on, into content that has `size` bytes so far.
    pub(super) fn put_content(
        &mut self,
        batch: &mut Batch,
        owner: &str,
        size: u64,
        offset: u64,
        bytes: &[u8],
    ) -> Answer<()> {
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let (index, from) = (at / SIZE, (at % SIZE) as usize);
            let (now, later) = rest.split_at(rest.len().min(SIZE as usize - from));
            let to = from + now.len();
            let key = key(owner, index);
            // Of a piece that is written from its beginning to its end, or to the end of all, nothing stays.
            let whole = from == 0 && (index * SIZE + to as u64 >= size || to == SIZE as usize);
            let mut piece = match whole || index >= count(size) {
                true => Vec::new(),
                false => self.row(&key)?.map_or_else(Vec::new, |piece| piece.bytes.to_vec()),
            };
            piece.resize(piece.len().max(to), 0);
            piece[from..to].copy_from_slice(now);
            batch.rows.push((key, Some(piece)));
            (at, rest) = (index * SIZE + to as u64, later);
        }
        Ok(())
    }

    /// Adds to `batch` that of `size` bytes only the first `left` stay.
    pub(super) fn cut_content(&mut self, batch: &mut Batch, owner: &str, size: u64, left: u64) -> Answer<()> {
        let (index, rest) = (left / SIZE, (left % SIZE) as usize);
        if rest > 0 {
            let key = key(owner, index);
            if let Some(piece) = self.row(&key)?.filter(|piece| piece.bytes.len() > rest) {
                batch.rows.push((key, Some(piece.bytes[..rest].to_vec())));
            }
        }
        drop_pieces(batch, owner, count(left)..count(size));
        Ok(())
    }
}

/// Adds to `batch` that pieces are gone. There must be none behind them.
pub(super) fn drop_pieces(batch: &mut Batch, owner: &str, pieces: Range<u64>) {
    if pieces.end.saturating_sub(pieces.start) <= FEW {
        batch.rows.extend(pieces.map(|index| (key(owner, index), None)));
        return;
    }
    if pieces.start == 0 {
        batch.cleared.push(format!("{PIECE}{owner}"));
        return;
    }
    // All from the first one on: that one, and for each of its digits, the larger ones in that place.
    let first = format!("{:08x}", pieces.start);
    batch.cleared.push(format!("{PIECE}{owner}{first}"));
    for place in 0..DIGITS {
        let digit = u64::from_str_radix(&first[place..=place], 16).unwrap_or_default();
        let width = 4 * (DIGITS - 1 - place) as u32;
        for larger in digit + 1..16 {
            let lowest = (((pieces.start >> width) & !15) | larger) << width;
            if lowest < pieces.end {
                batch.cleared.push(format!("{PIECE}{owner}{}{larger:x}", &first[..place]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_from_one_on_are_gone_and_those_before_it_are_not() {
        for (from, to) in
            [(0, 20), (0, 5000), (1, 18), (15, 300), (17, 5000), (255, 4097), (4096, 70_000), (5, 9), (7, 7)]
        {
            let mut batch = Batch::default();
            drop_pieces(&mut batch, "id", from..to);
            let gone = |index: u64| {
                let key = key("id", index);
                batch.cleared.iter().filter(|prefix| key.starts_with(*prefix)).count()
                    + batch.rows.iter().filter(|(row, value)| *row == key && value.is_none()).count()
            };
            for index in (0..from.min(40)).chain(from.saturating_sub(40)..from) {
                assert_eq!(gone(index), 0, "{index} of {from}..{to}");
            }
            for index in (from..to).step_by(1 + (to - from) as usize / 3000) {
                assert_eq!(gone(index), 1, "{index} of {from}..{to}");
            }
            assert!(batch.cleared.len() <= 120 && batch.rows.len() <= 16, "{from}..{to}");
        }
    }
}

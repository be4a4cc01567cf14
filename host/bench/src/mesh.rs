//! What it costs that villages talk: two whole ones, with agents, on loopback, beside plain libp2p in the same process; and fifty.
//!
//! Who asks and who answers share one machine's processors, the baseline too, and their rounds take turns.

mod asks;
mod bare;
mod blobs;
mod many;
mod pair;
mod storms;

use crate::village::io;
use crate::{Plan, Rows};
use std::time::Duration;

/// How much is measured.
#[derive(Clone, Copy)]
struct Size {
    rounds: usize,
    /// Asks in a round, one at a time, and with others under way.
    asks: usize,
    pipelined: usize,
    /// MiB of a blob.
    blob: usize,
    /// Villages, and messages that are published among them.
    villages: usize,
    published: usize,
    /// Peers of which some are killed again and again, peers that fall into two halves, and for how long.
    churned: usize,
    parted: usize,
    storm: Duration,
}

const QUICK: Size = Size {
    rounds: 2,
    asks: 100,
    pipelined: 500,
    blob: 8,
    villages: 6,
    published: 5,
    churned: 6,
    parted: 4,
    storm: Duration::from_secs(3),
};
const FULL: Size = Size {
    rounds: 5,
    asks: 1_000,
    pipelined: 5_000,
    blob: 256,
    villages: 50,
    published: 20,
    churned: 20,
    parted: 10,
    storm: Duration::from_secs(10),
};

pub(crate) fn measure(plan: &Plan) -> Rows {
    let size = if plan.quick { QUICK } else { FULL };
    io(2)?.block_on(all(size))
}

async fn all(size: Size) -> Rows {
    // First, because what others have used and given back would not be counted as theirs.
    let many = many::measure(size).await?;
    let mut rows = asks::measure(size).await?;
    rows.extend(blobs::measure(size).await?);
    rows.extend(many);
    rows.extend(storms::measure(size).await?);
    Ok(rows)
}

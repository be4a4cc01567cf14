//! What an instance costs: store, accounts, grants, budget, against the bare engine's instance.

use crate::plain::{Instance, Plain};
use crate::report::{Bar, Row, percentile, sorted};
use crate::village::{ECHO, Village, io};
use crate::{Plan, Rows};
use base::Budget;
use guest::{Grants, Pool};
use std::time::Instant;

pub(crate) fn measure(plan: &Plan) -> Rows {
    let (rounds, each) = if plan.quick { (3, 300) } else { (15, 1000) };
    io(1)?.block_on(async {
        let plain = Plain::new(64, false)?;
        let pre = plain.load(ECHO)?;
        let village = Village::new(Pool::Slots(64), None)?;
        let version = village.load(ECHO).await?;
        let (mut ratios, mut tails, mut ours_p50, mut bare_p50) = (vec![], vec![], vec![], vec![]);
        for _ in 0..rounds {
            let mut bare = Vec::with_capacity(each);
            for _ in 0..each {
                let begun = Instant::now();
                let instance = Instance::start(&pre).await?;
                bare.push(begun.elapsed().as_nanos() as f64 / 1e3);
                drop(instance);
            }
            let mut ours = Vec::with_capacity(each);
            for _ in 0..each {
                let begun = Instant::now();
                let instance = village.host.instantiate(&version, Budget::default(), Grants::default()).await?;
                ours.push(begun.elapsed().as_nanos() as f64 / 1e3);
                drop(instance);
            }
            let (bare, ours) = (sorted(bare), sorted(ours));
            let (b, o) = (percentile(&bare, 0.5), percentile(&ours, 0.5));
            ratios.push(o / b);
            tails.push(percentile(&ours, 0.99) / o);
            ours_p50.push(o);
            bare_p50.push(b);
        }
        let bare = format!("bare InstancePre, {:.1} µs", percentile(&sorted(bare_p50), 0.5));
        Ok(vec![
            Row::of("spawn: p50 against the bare engine's", "×", ratios, bare, Bar::AtMost(1.5)),
            Row::of("spawn: p99 against its own p50", "×", tails, "its own p50", Bar::AtMost(3.0)),
            Row::of("spawn: p50", "µs", ours_p50, "", Bar::Stated),
        ])
    })
}

//! What metering costs a guest that computes: budgets on, against an engine without any.

use crate::plain::{Instance, Plain};
use crate::report::{Bar, Row, percentile, sorted};
use crate::village::{CPU, Village, ask, io};
use crate::{Plan, Rows, process_cpu};
use guest::Pool;

/// What is computed, and how much of it takes some tens of milliseconds.
///
/// `fib` is the calls of ordinary code; `calls` is the worst there can be, pointers to functions of one instruction.
const WORK: [(&str, u64); 5] =
    [("sha256", 4 << 20), ("tight", 20_000_000), ("fib", 30), ("calls", 6_000_000), ("bytes", 30_000_000)];

pub(crate) fn measure(plan: &Plan) -> Rows {
    let rounds = if plan.quick { 3 } else { 15 };
    io(1)?.block_on(async {
        let plain = Plain::new(4, false)?;
        let mut bare = Instance::start(&plain.load(CPU)?).await?;
        let village = Village::new(Pool::Slots(4), None)?;
        let agent = village.agent(&village.load(CPU).await?, "cpu=100%,burst=60s", None).await?;
        let (mut rows, mut medians) = (vec![], vec![]);
        for (skill, amount) in WORK {
            let amount = amount.to_string();
            let mut ratios = Vec::new();
            for round in 0..=rounds {
                let before = process_cpu();
                bare.handle(skill, amount.as_bytes()).await?;
                let between = process_cpu();
                ask(&agent, skill, &amount).await?;
                // The first time is for warming up.
                if round > 0 {
                    ratios.push((process_cpu() - between) as f64 / (between - before) as f64);
                }
            }
            medians.push(percentile(&sorted(ratios.clone()), 0.5));
            rows.push(Row::of(
                format!("metering: {skill}"),
                "×",
                ratios,
                "the engine without epochs",
                Bar::AtMost(1.2),
            ));
        }
        let mean = medians.iter().sum::<f64>() / medians.len() as f64;
        rows.push(
            Row::judged("metering: mean", "×", mean, "the engine without epochs", Bar::AtMost(1.08)).spread(&medians),
        );
        Ok(rows)
    })
}

//! What the SDK costs a component: its size, and a call beside the same one on bare bindings.

use crate::report::{Bar, Row};
use crate::village::{Village, ask, io};
use crate::{Plan, Rows, process_cpu};
use guest::Pool;

const GREETER: &[u8] = include_bytes!("../guests/greeter.wasm");
const BARE: &[u8] = include_bytes!("../guests/greeter-bare.wasm");

/// Inputs: a short one, and one that is long to read and to write.
const NAMES: [(&str, usize); 2] = [("a short input", 3), ("an input of 1 KB", 1000)];

pub(crate) fn measure(plan: &Plan) -> Rows {
    let (rounds, calls) = if plan.quick { (5, 500) } else { (25, 3000) };
    let size = GREETER.len() as f64 / 1000.0;
    let beside = format!("{:.0} KB on bare bindings", BARE.len() as f64 / 1000.0);
    let mut rows = vec![Row::judged("sdk: size of the smallest agent", "KB", size, beside, Bar::AtMost(120.0))];
    io(1)?.block_on(async {
        let village = Village::new(Pool::Slots(4), None)?;
        let budget = "cpu=100%,burst=60s";
        let ours = village.agent(&village.load(GREETER).await?, budget, None).await?;
        let bare = village.agent(&village.load(BARE).await?, budget, None).await?;
        for (name, length) in NAMES {
            let input = format!(r#"{{"name": "{}"}}"#, "x".repeat(length));
            let mut ratios = Vec::new();
            for round in 0..=rounds {
                let before = process_cpu();
                for _ in 0..calls {
                    ask(&bare, "greet", &input).await?;
                }
                let between = process_cpu();
                for _ in 0..calls {
                    ask(&ours, "greet", &input).await?;
                }
                // The first time is for warming up.
                if round > 0 {
                    ratios.push((process_cpu() - between) as f64 / (between - before) as f64);
                }
            }
            let row = format!("sdk: a call with {name}");
            rows.push(Row::of(row, "×", ratios, "the same agent on bare bindings", Bar::AtMost(1.3)));
        }
        Ok(rows)
    })
}

//! How far past its deadline a spinning turn gets.

use crate::report::{Bar, Row, percentile, sorted};
use crate::village::{CPU, Village, io, message};
use crate::{Plan, Rows};
use guest::Pool;
use std::time::{Duration, Instant};

pub(crate) fn measure(plan: &Plan) -> Rows {
    let turns = if plan.quick { 20 } else { 200 };
    const LIMIT: Duration = Duration::from_millis(20);
    io(1)?.block_on(async {
        let village = Village::new(Pool::Slots(4), None)?;
        let version = village.load(CPU).await?;
        let agent = village.agent(&version, "cpu=100%,burst=10s,deadline=20ms", None).await?;
        let (mut cpu, mut wall, mut timer) = (vec![], vec![], vec![]);
        for _ in 0..turns {
            let answer = agent.ask(message("spin", "")).await?;
            let past = |time: Duration| time.saturating_sub(LIMIT).as_nanos() as f64 / 1e6;
            cpu.push(past(answer.receipt.cpu));
            wall.push(past(answer.receipt.wall));
            let begun = Instant::now();
            std::thread::sleep(LIMIT);
            timer.push(past(begun.elapsed()));
        }
        let (cpu, wall, timer) = (sorted(cpu), sorted(wall), sorted(timer));
        let p99 = |times: &[f64]| percentile(times, 0.99);
        Ok(vec![
            Row::judged("deadline: guest CPU past it, p99", "ms", p99(&cpu), "", Bar::AtMost(3.0)).spread(&cpu),
            Row::judged(
                "deadline: wall past it, p99",
                "ms",
                p99(&wall),
                format!("a native timer thread's p99 {:.2} ms", p99(&timer)),
                Bar::Stated,
            )
            .spread(&wall),
        ])
    })
}

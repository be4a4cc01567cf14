//! Asks another agent again and again, and says how long each answer took by its own clock.

use serde::Deserialize;
use std::collections::VecDeque;
use std::time::Instant;
use village::{Failure, FailureKind, Payload, Schema, agent, agents};

/// Whom to ask, how often, how many at once, and with how many bytes.
#[derive(Deserialize, Schema)]
struct Order {
    to: String,
    times: usize,
    together: usize,
    bytes: usize,
}

#[derive(Default)]
struct Asker;

#[agent(name = "asker", version = "0.1.0", role = "test")]
impl Asker {
    /// Asks for `echo`; answers the nanoseconds from each question to its answer.
    #[skill]
    fn ask(&mut self, order: Order) -> Result<Vec<u64>, Failure> {
        let body = "x".repeat(order.bytes);
        let mut under_way = VecDeque::new();
        let mut took = Vec::new();
        for _ in 0..order.times {
            if under_way.len() >= order.together.max(1) {
                took.extend(end(&mut under_way, &body)?);
            }
            let begun = Instant::now();
            let request = agents::Request::to(&order.to).skill("echo").payload(body.as_str());
            under_way.push_back((begun, request.ask()?));
        }
        while !under_way.is_empty() {
            took.extend(end(&mut under_way, &body)?);
        }
        Ok(took)
    }
}

/// Waits for the first of them.
fn end(under_way: &mut VecDeque<(Instant, agents::Pending<Payload>)>, body: &str) -> Result<Option<u64>, Failure> {
    let Some((begun, pending)) = under_way.pop_front() else { return Ok(None) };
    match pending.wait()?.body == body.as_bytes() {
        true => Ok(Some(begun.elapsed().as_nanos() as u64)),
        false => Err(Failure { kind: FailureKind::Internal, message: "another echo".into(), details: String::new() }),
    }
}

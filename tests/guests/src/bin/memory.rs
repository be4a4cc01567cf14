//! Memory: the guest's own, and what the host is made to hold for it.

use std::cell::RefCell;
use std::hint::black_box;

use guests::bindings::village::agent::{log, state};
use guests::{Agent, Answer, FailureKind, failure, number, shown, unsupported};
use wasip2::clocks::monotonic_clock;

struct Memory;

const MIB: usize = 1 << 20;

thread_local! {
    /// Kept from turn to turn.
    static HELD: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    /// How large a snapshot to give; none at first.
    static SNAPSHOT: RefCell<Option<usize>> = const { RefCell::new(None) };
}

impl Agent for Memory {
    const NAME: &'static str = "memory";
    const SKILLS: &'static [&'static str] =
        &["grow", "abort", "hold", "free", "handles", "args-log", "args-state", "reply", "failure", "keep"];

    fn handle(skill: &str, body: Vec<u8>) -> Answer {
        match skill {
            "grow" => Ok(grow(number(&body, 1)? as usize * MIB).to_string().into_bytes()),
            "abort" => abort(number(&body, 1)? as usize * MIB),
            "hold" => Ok(hold(number(&body, 0)? as usize).to_string().into_bytes()),
            "free" => {
                HELD.with_borrow_mut(Vec::clear);
                Ok(Vec::new())
            }
            "handles" => Ok(handles(number(&body, u64::MAX)?).to_string().into_bytes()),
            "args-log" => {
                let line = "x".repeat(number(&body, 1)? as usize * MIB);
                Ok(shown(log::write(log::Level::Info, &line).map(|()| line.len())).into_bytes())
            }
            "args-state" => {
                let value = vec![b'x'; number(&body, 1)? as usize * MIB];
                Ok(shown(state::set("large", &value).map(|_| value.len())).into_bytes())
            }
            "reply" => Ok(vec![b'x'; number(&body, 1)? as usize * MIB]),
            "failure" => Err(failure(FailureKind::Refused, "x".repeat(number(&body, 1)? as usize * MIB))),
            "keep" => {
                SNAPSHOT.set(Some(number(&body, 1)? as usize * MIB));
                Ok(body)
            }
            _ => Err(unsupported(skill)),
        }
    }

    fn snapshot() -> Option<Vec<u8>> {
        SNAPSHOT.take().map(|size| vec![b'x'; size])
    }
}

/// Takes and touches memory until it is refused; answers how many bytes it got. It copes: they are given up again.
fn grow(step: usize) -> usize {
    let mut got = Vec::new();
    let mut sum = 0;
    loop {
        let mut more: Vec<u8> = Vec::new();
        if got.try_reserve(1).is_err() || more.try_reserve_exact(step).is_err() {
            return sum;
        }
        more.resize(step, 1);
        got.push(black_box(more));
        sum += step;
    }
}

/// Takes memory as if there were no end to it. Refusal is an abort in the middle of the turn.
fn abort(step: usize) -> ! {
    let mut got = Vec::new();
    loop {
        got.push(black_box(vec![1u8; step]));
    }
}

/// Keeps `size` bytes more from now on; answers how many it keeps.
fn hold(size: usize) -> usize {
    HELD.with_borrow_mut(|held| {
        held.push(black_box(vec![1u8; size]));
        held.iter().map(Vec::len).sum()
    })
}

/// Opens `count` handles and keeps them open.
fn handles(count: u64) -> u64 {
    for _ in 0..count {
        // An hour, so that none is ready; forgotten, so that none is given back.
        std::mem::forget(monotonic_clock::subscribe_duration(3_600_000_000_000));
    }
    count
}

guests::export!(Memory with_types_in guests::bindings);

//! The honest guest: it does what it is asked, and remembers how often it counted.

use std::sync::atomic::{AtomicU64, Ordering};

use guests::bindings::village::agent::{budget, log, state};
use guests::{Agent, Answer, Failure, FailureKind, failure, kernels, number, shown, text, unsupported};

struct Echo;

static COUNT: AtomicU64 = AtomicU64::new(0);

impl Agent for Echo {
    const NAME: &'static str = "echo";
    const SKILLS: &'static [&'static str] = &["echo", "count", "log", "state", "budget", "remaining", "sum", "fail"];

    fn handle(skill: &str, body: Vec<u8>) -> Answer {
        match skill {
            "" | "echo" => Ok(body),
            "count" => Ok((COUNT.fetch_add(1, Ordering::Relaxed) + 1).to_string().into_bytes()),
            "log" => {
                let line = text(body)?;
                let written = log::write(log::Level::Info, &line);
                Ok(shown(written.map(|()| line)).into_bytes())
            }
            "state" => Ok(shown(increment()).into_bytes()),
            "budget" => Ok(shown(allowances()).into_bytes()),
            "remaining" => Ok(shown(budget::remaining()).into_bytes()),
            "sum" => {
                let n = number(&body, 0)?;
                kernels::tight(n);
                Ok(n.to_string().into_bytes())
            }
            "fail" => Err(fail(&text(body)?)),
            _ => Err(unsupported(skill)),
        }
    }

    fn snapshot() -> Option<Vec<u8>> {
        Some(COUNT.load(Ordering::Relaxed).to_string().into_bytes())
    }

    fn restore(state: Vec<u8>) -> Result<(), Failure> {
        COUNT.store(number(&state, 0)?, Ordering::Relaxed);
        Ok(())
    }
}

/// Adds one to the number under `n`, only if nobody else did in between.
fn increment() -> Result<u64, state::Error> {
    let entry = state::get("n")?;
    let old: u64 = match &entry {
        Some(entry) => String::from_utf8_lossy(&entry.value).parse().unwrap_or(0),
        None => 0,
    };
    state::swap("n", entry.map(|entry| entry.version), (old + 1).to_string().as_bytes())?;
    Ok(old + 1)
}

/// One line an allowance: name, used, limit, unit.
fn allowances() -> Result<String, budget::Error> {
    let line = |one: &budget::Allowance| format!("{} {} {} {:?}\n", one.name, one.used, one.limit, one.unit);
    Ok(budget::list()?.iter().map(line).collect())
}

/// `KIND TEXT`.
fn fail(request: &str) -> Failure {
    let (kind, message) = request.split_once(' ').unwrap_or((request, ""));
    let kind = match kind {
        "invalid" => FailureKind::Invalid,
        "refused" => FailureKind::Refused,
        "temporary" => FailureKind::Temporary,
        "internal" => FailureKind::Internal,
        _ => return unsupported(kind),
    };
    failure(kind, message)
}

guests::export!(Echo with_types_in guests::bindings);

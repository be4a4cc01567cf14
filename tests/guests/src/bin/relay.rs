//! Hands a message round a ring, and writes down each time how far it still has to go: `HOPS PLACE AGENTS`.

use guests::bindings::village::agent::agents::{self, Delivery, Request};
use guests::bindings::village::agent::state;
use guests::bindings::village::agent::types::Priority;
use guests::{Agent, Answer, FailureKind, Payload, failure, shown, text};

struct Relay;

impl Agent for Relay {
    const NAME: &'static str = "relay";
    const SKILLS: &'static [&'static str] = &["pass"];

    fn handle(_skill: &str, body: Vec<u8>) -> Answer {
        let line = text(body)?;
        let mut numbers = line.split(' ').map(|word| word.parse::<u64>().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        let (hops, place, agents) = (next(), next(), next().max(1));
        state::set("hops", hops.to_string().as_bytes()).map_err(|error| broken(shown(Err::<u64, _>(error))))?;
        if hops > 0 {
            let place = (place + 1) % agents;
            let body = format!("{} {place} {agents}", hops - 1).into_bytes();
            let payload = Payload { content_type: String::new(), body };
            let request = Request { skill: "pass".to_owned(), payload, priority: Priority::Normal };
            let told = agents::tell(&format!("relay-{place}"), &request, Delivery::Now);
            told.map_err(|error| broken(shown(Err::<u64, _>(error))))?;
        }
        Ok(hops.to_string().into_bytes())
    }
}

fn broken(what: String) -> guests::Failure {
    failure(FailureKind::Temporary, &what)
}

guests::export!(Relay with_types_in guests::bindings);

//! Keeps what it hears in its state, and passes it on: every effect that a turn can have, and failures after each.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use village::{Failure, FailureKind, Message, Schema, agent, agents, state, tasks};

/// What to do, and with whom.
#[derive(Deserialize, Serialize, Schema, Default)]
struct Order {
    #[serde(default)]
    to: String,
    #[serde(default)]
    text: String,
    /// Up to this try the turn fails at its end.
    #[serde(default)]
    fail: u32,
    #[serde(default)]
    millis: u64,
}

#[derive(Default)]
struct Clerk {
    /// Turns that this instance has seen.
    turns: u64,
}

#[agent(name = "clerk", version = "0.1.0", role = "test")]
impl Clerk {
    /// Keeps a line; answers how many there are.
    #[skill]
    fn note(&mut self, text: String) -> Result<u64, Failure> {
        self.turns += 1;
        keep(text.trim_matches('"'))
    }

    /// Keeps a line and tells it to another.
    #[skill]
    fn pass(&mut self, order: Order, message: &Message) -> Result<u64, Failure> {
        let lines = keep(&order.text)?;
        agents::tell(&order.to, "note", &order.text)?;
        fail(&order, message)?;
        Ok(lines)
    }

    /// Has another keep a line, and keeps how many there were then.
    #[skill]
    fn ask(&mut self, order: Order, message: &Message) -> Result<u64, Failure> {
        let there: u64 = agents::ask(&order.to, "note", &order.text)?.wait()?;
        keep(&format!("{} at {there}", order.text))?;
        fail(&order, message)?;
        Ok(there)
    }

    /// Has another ask a third one, who is named in the text.
    #[skill]
    fn relay(&mut self, order: Order, message: &Message) -> Result<u64, Failure> {
        let further = Order { to: order.text.clone(), text: "relayed".to_owned(), ..Order::default() };
        let there: u64 = agents::ask(&order.to, "ask", &further)?.wait()?;
        fail(&order, message)?;
        Ok(there)
    }

    /// Tells itself or another a line in a while; answers the id.
    #[skill]
    fn later(&mut self, order: Order, message: &Message) -> Result<String, Failure> {
        let request = agents::Request::to(&order.to).skill("note").json(&order.text)?;
        let id = request.tell_after(Duration::from_millis(order.millis))?;
        fail(&order, message)?;
        Ok(id)
    }

    /// Takes back what was to be told.
    #[skill]
    fn recall(&mut self, id: String) -> Result<bool, Failure> {
        Ok(agents::cancel(&id)?)
    }

    /// Creates a helper that keeps lines, and tells it one.
    #[skill]
    fn grow(&mut self, order: Order, message: &Message) -> Result<String, Failure> {
        let lifetime = Duration::from_millis(order.millis);
        let helper = tasks::Child::new(&order.to, lifetime).grants("state = true").spawn()?;
        agents::tell(&helper, "note", &order.text)?;
        fail(&order, message)?;
        Ok(helper)
    }

    /// Says no for good.
    #[skill]
    fn refuse(&mut self) -> Result<(), Failure> {
        keep("refused")?;
        Err(Failure { kind: FailureKind::Refused, message: "not I".to_owned(), details: String::new() })
    }

    /// Breaks.
    #[skill]
    fn trap(&mut self) -> Result<(), Failure> {
        keep("trapped")?;
        panic!("broken on purpose");
    }

    /// All lines.
    #[skill]
    fn lines(&mut self) -> Result<Vec<String>, Failure> {
        state::scan::<String>("line/").map(|line| Ok(line?.1)).collect()
    }

    /// Turns that this instance has seen.
    #[skill]
    fn seen(&mut self) -> u64 {
        self.turns
    }
}

fn keep(line: &str) -> Result<u64, Failure> {
    let lines = state::get::<u64>("lines")?.unwrap_or(0) + 1;
    state::set("lines", &lines)?;
    state::set(&format!("line/{lines:08}"), &line)?;
    Ok(lines)
}

fn fail(order: &Order, message: &Message) -> Result<(), Failure> {
    match message.attempt <= order.fail {
        true => Err(Failure { kind: FailureKind::Temporary, message: "not yet".to_owned(), details: String::new() }),
        false => Ok(()),
    }
}

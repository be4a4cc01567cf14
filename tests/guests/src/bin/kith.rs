//! Ties itself to others, breaks, and writes down what it is told of them.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use village::supervision::{self, Down};
use village::{Error, Failure, Message, Schema, agent, agents, state, tasks};

/// Whom to ask for what.
#[derive(Deserialize, Serialize, Schema, Default)]
struct Order {
    to: String,
    #[serde(default)]
    skill: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    millis: u64,
}

#[derive(Default)]
struct Kith {
    /// Turns that this instance has seen.
    turns: u64,
}

#[agent(name = "kith", version = "0.1.0", role = "test")]
impl Kith {
    /// How many turns this instance has seen, this one included.
    #[skill]
    fn count(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// Breaks.
    #[skill]
    fn trap(&mut self) -> Result<(), Failure> {
        panic!("broken on purpose");
    }

    /// Says no.
    #[skill]
    fn refuse(&mut self) -> Result<(), Failure> {
        Err(Failure::refused("not I"))
    }

    #[skill]
    fn monitor(&mut self, address: String) -> String {
        said(supervision::monitor(&address))
    }

    #[skill]
    fn demonitor(&mut self, address: String) -> String {
        said(supervision::demonitor(&address))
    }

    #[skill]
    fn link(&mut self, address: String) -> String {
        said(supervision::link(&address))
    }

    #[skill]
    fn unlink(&mut self, address: String) -> String {
        said(supervision::unlink(&address))
    }

    /// Ties itself, and fails.
    #[skill]
    fn link_and_fail(&mut self, address: String) -> Result<(), Failure> {
        supervision::link(&address)?;
        supervision::monitor(&address)?;
        Err(Failure::refused("not I"))
    }

    /// Links itself to so many whose names end in numbers; answers how many there were.
    #[skill]
    fn link_many(&mut self, order: Order) -> Result<u64, Failure> {
        for number in 0..order.millis {
            supervision::link(&format!("{}{number}", order.to))?;
        }
        Ok(order.millis)
    }

    /// What the village says of others.
    #[skill]
    fn down(&mut self, message: Message) -> Result<(), Failure> {
        let down = Down::of(&message).ok_or_else(|| Failure::refused("only the village says that"))?;
        let Down { agent, reason, kind, with, millis, .. } = down;
        let number = state::update("downs", |number: Option<u64>| number.unwrap_or(0) + 1)?;
        let line = format!("{agent} {reason:?} {kind} {with} {millis}");
        state::set(&format!("down/{number:08}"), &line)?;
        Ok(())
    }

    /// All that it was told.
    #[skill]
    fn downs(&mut self) -> Result<Vec<String>, Failure> {
        state::scan::<String>("down/").map(|line| Ok(line?.1)).collect()
    }

    /// Asks another; answers what that says, as text.
    #[skill]
    fn relay(&mut self, order: Order) -> String {
        match ask(&order, Duration::from_secs(20)) {
            Ok(answer) => answer,
            Err(error) => format!("error: {error}"),
        }
    }

    /// Asks another that asks back, which takes so long.
    #[skill]
    fn hold(&mut self, order: Order) -> Result<String, Failure> {
        self.turns += 1;
        let back = Order { to: order.text.clone(), millis: order.millis, ..Order::default() };
        let request = agents::Request::to(&order.to).skill("back").json(&back)?;
        request.ask()?.wait()?;
        Ok(format!("held in turn {}", self.turns))
    }

    /// Asks for a count, and waits so long at most.
    #[skill]
    fn back(&mut self, order: Order) -> bool {
        ask(&Order { skill: "count".to_owned(), ..order }, Duration::from_millis(0)).is_ok()
    }

    /// Creates a helper for a time; the text is its grants, its lines parted by `;`.
    #[skill]
    fn grow(&mut self, order: Order) -> Result<String, Failure> {
        let child = tasks::Child::new(&order.to, Duration::from_millis(order.millis));
        Ok(child.grants(&order.text.replace(';', "\n")).spawn()?)
    }

    #[skill]
    fn retire(&mut self, address: String) -> Result<bool, Failure> {
        Ok(tasks::retire(&address)?)
    }
}

fn ask(order: &Order, longest: Duration) -> Result<String, Error> {
    let timeout = longest.max(Duration::from_millis(order.millis));
    let request = agents::Request::to(&order.to).skill(&order.skill).payload(order.text.as_str());
    let answer = request.timeout(timeout).ask()?.wait()?;
    Ok(answer.as_text().unwrap_or("no text").to_owned())
}

fn said<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("error: {error}"),
    }
}

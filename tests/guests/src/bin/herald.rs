//! Publishes, follows topics, and looks for others by their skills; keeps what it hears in its state.

use serde::{Deserialize, Serialize};
use village::{Failure, FailureKind, Message, Schema, Sender, agent, agents, mesh, state};

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
}

#[derive(Default)]
struct Herald;

#[agent(name = "herald", version = "2.3.4", role = "test")]
impl Herald {
    /// Publishes a line on a topic.
    #[skill]
    fn publish(&mut self, order: Order, message: &Message) -> Result<(), Failure> {
        mesh::publish(&order.to, order.text.as_str())?;
        fail(&order, message)
    }

    /// Follows a topic.
    #[skill]
    fn follow(&mut self, order: Order, message: &Message) -> Result<(), Failure> {
        mesh::subscribe(&order.to)?;
        fail(&order, message)
    }

    /// Does so no more; says whether it did.
    #[skill]
    fn leave(&mut self, order: Order) -> Result<bool, Failure> {
        Ok(mesh::unsubscribe(&order.to)?)
    }

    /// Who has a skill: address, version, number of skills.
    #[skill]
    fn find(&mut self, skill: String) -> Result<Vec<String>, Failure> {
        let found = mesh::find(&skill, 10)?;
        Ok(found
            .into_iter()
            .map(|found| format!("{} {} {}", found.address, found.version, found.skills.len()))
            .collect())
    }

    /// Asks somebody for a skill of the same name, and keeps the answer.
    #[skill]
    fn greet(&mut self, order: Order, message: &Message) -> Result<String, Failure> {
        let answer = ask(agents::Request::to(&order.to).skill("whoami"), &order.text)?;
        keep(&answer)?;
        fail(&order, message)?;
        Ok(answer)
    }

    /// Asks whoever has the skill `whoami`.
    #[skill]
    fn seek(&mut self, order: Order, message: &Message) -> Result<String, Failure> {
        let answer = ask(agents::Request::to("skill:whoami"), &order.text)?;
        fail(&order, message)?;
        Ok(answer)
    }

    /// What this is asked by whom.
    #[skill]
    fn whoami(&mut self, message: Message) -> Result<String, Failure> {
        let said = format!("{:?}", message.sender).replace('"', "'");
        keep(&format!("asked by {said}"))?;
        Ok(said)
    }

    /// All lines.
    #[skill]
    fn lines(&mut self) -> Result<Vec<String>, Failure> {
        state::scan::<String>("line/").map(|line| Ok(line?.1)).collect()
    }

    /// What is published, and what else nobody has a skill for.
    #[otherwise]
    fn hear(&mut self, message: Message) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(&message.payload.body).into_owned();
        match &message.sender {
            Sender::Topic(topic) => keep(&format!("{topic}: {text}")),
            other => keep(&format!("{other:?}: {text}")),
        }
    }
}

fn ask(request: agents::Request, text: &str) -> Result<String, Failure> {
    let answer = request.payload(text).ask()?.wait()?;
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

fn keep(line: &str) -> Result<(), Failure> {
    let lines = state::get::<u64>("lines")?.unwrap_or(0) + 1;
    state::set("lines", &lines)?;
    state::set(&format!("line/{lines:08}"), &line)?;
    Ok(())
}

fn fail(order: &Order, message: &Message) -> Result<(), Failure> {
    match message.attempt <= order.fail {
        true => Err(Failure { kind: FailureKind::Temporary, message: "not yet".to_owned(), details: String::new() }),
        false => Ok(()),
    }
}

//! Greets people, and remembers how often.

use serde::{Deserialize, Serialize};
use village::{Failure, Schema, agent, log, state};

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
struct Name {
    /// Who is to be greeted.
    name: String,
}

#[derive(Serialize, Schema)]
struct Greeting {
    text: String,
    /// How often this name was greeted, this time included.
    times: u32,
}

/// The agent's memory, which is a cache: what must last belongs in `state`.
#[derive(Default)]
struct MyAgent;

/// Greets people, and remembers how often.
#[agent(role = "example", tags = ["hello"])]
impl MyAgent {
    /// Greets one by name.
    #[skill(example = r#"{"name": "Ada"}"#)]
    fn greet(&mut self, ask: Name) -> Result<Greeting, Failure> {
        if ask.name.is_empty() {
            return Err(Failure::field("name", "is empty"));
        }
        let times = state::update(&format!("greeted/{}", ask.name), |times: Option<u32>| times.unwrap_or(0) + 1)?;
        log::info!("{} greeted, time {times}", ask.name);
        Ok(Greeting { text: format!("Hello, {}!", ask.name), times })
    }
}

#[cfg(test)]
mod tests {
    use village::test::{self, json};

    use super::*;

    #[test]
    fn greets_by_name_and_counts() {
        let host = test::Host::new().with_state().with_log();
        let mut agent = test::agent::<MyAgent>(host.clone());

        assert_eq!(agent.call("greet", json!({"name": "Ada"})), Ok(json!({"text": "Hello, Ada!", "times": 1})));
        assert_eq!(agent.call("greet", json!({"name": "Ada"})), Ok(json!({"text": "Hello, Ada!", "times": 2})));
        assert_eq!(host.kept::<u32>("greeted/Ada"), Some(2));
        assert!(host.logged(log::Level::Info, "Ada greeted"));
    }

    #[test]
    fn an_empty_name_is_refused_and_not_counted() {
        let host = test::Host::new().with_state().with_log();
        let mut agent = test::agent::<MyAgent>(host.clone());

        let refused = agent.call("greet", json!({"name": ""})).expect_err("nobody has no name");

        assert_eq!(refused.message, "`name` is empty");
        assert!(host.keys().is_empty());
    }
}

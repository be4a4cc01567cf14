//! The smallest agent with the SDK: one skill, JSON in and out.

use serde::{Deserialize, Serialize};
use village::{Schema, agent};

#[derive(Deserialize, Schema)]
struct Name {
    /// Who is to be greeted.
    name: String,
}

#[derive(Serialize, Schema)]
struct Greeting {
    text: String,
}

#[derive(Default)]
struct Greeter;

/// Greets people.
#[agent(role = "example", tags = ["hello"])]
impl Greeter {
    /// Greets one by name.
    #[skill(example = r#"{"name": "Ada"}"#)]
    fn greet(&mut self, ask: Name) -> Greeting {
        Greeting { text: ["Hello, ", &ask.name, "!"].concat() }
    }
}

//! Greets people.

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
        Greeting { text: format!("Hello, {}!", ask.name) }
    }
}

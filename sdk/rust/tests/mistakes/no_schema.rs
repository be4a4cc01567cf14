use serde::{Deserialize, Serialize};
use village::agent;

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    text: String,
}

#[derive(Default)]
struct Greeter;

#[agent]
impl Greeter {
    #[skill]
    fn greet(&mut self, ask: Name) -> String { //~ `Name` has no JSON schema, so no skill can take or answer it
        ask.name
    }

    #[skill]
    fn welcome(&mut self) -> Greeting { //~ `Greeting` has no JSON schema, so no skill can take or answer it
        Greeting { text: String::new() }
    }
}

fn main() {}

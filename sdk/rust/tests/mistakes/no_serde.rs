use village::{Schema, agent};

#[derive(Schema)]
struct Name {
    name: String,
}

#[derive(Schema)]
struct Greeting {
    text: String,
}

#[derive(Default)]
struct Greeter;

#[agent]
impl Greeter {
    #[skill]
    fn greet(&mut self, ask: Name) -> String { //~ `Name: serde::de::DeserializeOwned` is not satisfied
        ask.name
    }

    #[skill]
    fn welcome(&mut self) -> Greeting { //~ `Greeting: serde::Serialize` is not satisfied
        Greeting { text: String::new() }
    }
}

fn main() {}

use serde::Deserialize;
use village::{Schema, agent};

#[derive(Deserialize, Schema)]
struct Name {
    name: String,
}

#[derive(Default)]
struct Greeter;

#[agent]
impl Greeter {
    #[skill(example = r#"{name: "Ada"}"#)] //~ the example is not JSON: at letter 2, a `"` is missing
    fn greet(&mut self, ask: Name) -> String {
        ask.name
    }
}

fn main() {}

use village::agent;

#[derive(Default)]
struct Greeter;

#[agent(roll = "example")] //~ an agent has no `roll`; there are name, version, role, description, tags
impl Greeter {
    #[skill]
    fn greet(&mut self) {}
}

#[derive(Default)]
struct Other;

#[agent]
impl Other {
    #[skill(exmaple = "{}")] //~ a skill has no `exmaple`; there are name, description, tags, example
    fn greet(&mut self) {}
}

fn main() {}

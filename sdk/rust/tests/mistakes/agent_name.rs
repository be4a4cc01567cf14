use village::agent;

#[derive(Default)]
struct Greeter;

#[agent(name = "my_agent")] //~ `my_agent` can't be an agent's name: that is 1 to 64 letters, digits and hyphens; such as `#[agent(name = "my-agent")]`
impl Greeter {
    #[skill]
    fn greet(&mut self) {}
}

fn main() {}

use village::agent;

#[derive(Default)]
struct Greeter;

#[agent]
impl Greeter {
    #[skill]
    fn greet(&mut self) {}

    #[skill(name = "greet")] //~ there is another skill called `greet`
    fn welcome(&mut self) {}

    #[skill(name = "say hello")] //~ `say hello` can't be a skill's name: that is 1 to 64 letters, digits, hyphens and underscores
    fn hello(&mut self) {}
}

fn main() {}

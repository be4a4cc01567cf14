use village::agent;

#[derive(Default)]
struct Greeter;

trait Greets {
    fn greet(&mut self);
}

#[agent]
impl Greets for Greeter { //~ an agent's skills stand in an `impl` block of its own
    #[skill]
    fn greet(&mut self) {}
}

fn main() {}

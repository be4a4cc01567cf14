use village::agent;

struct Greeter;

#[agent]
impl Greeter { //~ the trait bound `Greeter: Default` is not satisfied
    #[skill]
    fn greet(&mut self) {}
}

fn main() {}

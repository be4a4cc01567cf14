use village::agent;

#[derive(Default)]
struct Greeter;

#[agent]
impl Greeter { //~ an agent without a skill: mark a method with `#[skill]`
    fn greet(&mut self) {}
}

fn main() {}

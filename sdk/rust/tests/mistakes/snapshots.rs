use village::agent;

#[derive(Default)]
struct Greeter;

#[agent]
impl Greeter {
    #[skill]
    fn greet(&mut self) {}

    #[snapshot]
    fn keep(&self) {} //~ `#[snapshot]` stands over `fn(&self) -> T`, where `T` is what to keep
}

fn main() {}

use village::{Failure, agent};

#[derive(Default)]
struct Greeter;

#[agent]
impl Greeter {
    #[skill]
    fn by_value(self) {} //~ a skill borrows its agent: `&self` or `&mut self`

    #[skill]
    async fn later(&mut self) {} //~ a skill is not async

    #[skill]
    fn two(&mut self, first: String, second: String) -> String { //~ a skill takes one input
        first + &second
    }

    #[skill]
    fn borrows(&mut self, text: &str) {} //~ a skill owns its input: write the type without `&`

    #[skill]
    fn any<T>(&mut self, text: T) {} //~ a skill has no type parameters

    #[skill]
    fn fine(&mut self, text: String) -> Result<String, Failure> {
        Ok(text)
    }
}

fn main() {}

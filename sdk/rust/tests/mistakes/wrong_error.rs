use village::agent;

#[derive(Default)]
struct Greeter;

#[agent]
impl Greeter {
    #[skill]
    fn parse(&mut self, text: String) -> Result<String, std::num::ParseIntError> { //~ `Failure: From<ParseIntError>` is not satisfied
        text.parse::<i32>().map(|number| number.to_string())
    }
}

fn main() {}

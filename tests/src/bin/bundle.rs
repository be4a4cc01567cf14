//! Builds the agents that come inside the program, and puts them where it takes them from.

use tests::bundle::{NAMES, component, line, list};
use tests::root;
use toolchain::{Progress, Wanted};

fn main() {
    let built = toolchain::build(&root().join("plugins"), Wanted::Packages(&NAMES), Progress::Shown);
    for agent in built.unwrap_or_else(|error| panic!("{error}")) {
        std::fs::copy(&agent.path, component(&agent.name)).expect("it can be put beside its sources");
    }
    let lines: String = NAMES.iter().map(|name| line(name) + "\n").collect();
    std::fs::write(list(), &lines).expect("the list can be written");
    print!("{lines}");
}

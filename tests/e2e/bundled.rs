//! The agents that come inside the program: each is what its sources make, and passes its own cases.

use tests::bundle::{NAMES, line, list};

#[test]
fn each_bundled_component_was_made_of_the_sources_beside_it() {
    let noted = std::fs::read_to_string(list()).expect("plugins/bundled is there");
    for name in NAMES {
        let line = line(name);
        assert!(
            noted.lines().any(|noted| noted == line),
            "plugins/{name} or what it is made of has changed: `cargo run --bin bundle` builds it anew\n{line}"
        );
    }
}

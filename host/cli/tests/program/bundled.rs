//! The agents that come inside the program, and the one that is an example: each passes its own cases.

use crate::harness::{checkout, village};
use std::path::Path;
use toolchain::{Progress, Wanted};

/// A folder with an agent as it is kept beside its sources, and its cases.
fn copied(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let from = checkout().join("plugins").join(name);
    for file in ["agent.toml", "cases.toml", &format!("{name}.wasm")] {
        std::fs::copy(from.join(file), folder.path().join(file))
            .unwrap_or_else(|error| panic!("{name}/{file}: {error}"));
    }
    folder
}

fn passes(folder: &Path, cases: u64) {
    let ran = village(["test", folder.to_str().expect("plain characters"), "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let object = ran.json();
    assert!(object["passed"].as_u64() >= Some(cases) && object["failed"] == 0, "{object}");
}

#[test]
fn each_agent_inside_the_program_passes_its_cases() {
    for (name, cases) in [("curator", 10), ("mischief", 3), ("navigator", 10), ("polyglot", 10), ("sage", 8)] {
        passes(copied(name).path(), cases);
    }
}

#[test]
fn the_example_that_merges_weights_passes_its_cases() {
    // It writes beside what it reads, so not in the checkout.
    let (folder, plugins) = (tempfile::tempdir().expect("a folder"), checkout().join("plugins"));
    let built = toolchain::build(&plugins, Wanted::Packages(&["merger"]), Progress::Kept).expect("it can be built");
    std::fs::copy(&built[0].path, folder.path().join("merger.wasm")).expect("copied");
    std::fs::create_dir(folder.path().join("weights")).expect("made");
    for file in ["agent.toml", "cases.toml", "weights/one.safetensors", "weights/two.safetensors"] {
        std::fs::copy(plugins.join("merger").join(file), folder.path().join(file)).expect("copied");
    }
    passes(folder.path(), 4);
}

#[test]
fn an_agent_inside_the_program_is_asked_by_its_name() {
    let question =
        r#"{"text": "Die Würde des Menschen ist unantastbar. Sie zu achten und zu schützen ist Verpflichtung."}"#;
    let ran = village(["run", "polyglot", "--skill", "detect-language", "--input", question]);
    assert!(ran.code == 0 && ran.out.contains("\"de\""), "{ran:?}");
    let unknown = village(["run", "polyglott", "--json"]);
    assert_eq!(unknown.error().0, "file", "{unknown:?}");
}

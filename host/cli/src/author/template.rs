//! What a new project is made of: the template, with its name put in, and the SDK and the contract beside it.

use std::borrow::Cow;

/// Each file's path in the project, and what is in it.
mod files {
    include!(concat!(env!("OUT_DIR"), "/template.rs"));
}

/// The template calls itself so, in the three ways that names are written.
const NAMES: [&str; 3] = ["my-agent", "my_agent", "MyAgent"];

/// Where the template finds the SDK, and where a project has it.
const SDK: [&str; 2] = ["path = \"../rust\"", "path = \".village/sdk/rust\""];

/// The files of the SDK and the contract are as they are.
const OURS: &str = ".village/";

/// A file of the template as it is written.
pub(super) fn original(path: &str) -> &'static str {
    let file = files::FILES.iter().find(|(known, _)| *known == path);
    file.and_then(|(_, bytes)| std::str::from_utf8(bytes).ok()).unwrap_or_default()
}

/// All files of a project of this name, each with its path.
pub(super) fn project(name: &str) -> impl Iterator<Item = (&'static str, Cow<'static, [u8]>)> {
    let names = [name.to_owned(), name.replace('-', "_"), type_name(name)];
    files::FILES.iter().map(move |(path, bytes)| {
        let Some(text) = std::str::from_utf8(bytes).ok().filter(|_| !path.starts_with(OURS)) else {
            return (*path, Cow::Borrowed(*bytes));
        };
        let text =
            NAMES.iter().zip(&names).fold(text.replace(SDK[0], SDK[1]), |text, (from, to)| text.replace(from, to));
        let text = if *path == "Cargo.lock" { sorted(&text) } else { text };
        (*path, Cow::Owned(text.into_bytes()))
    })
}

/// Whether the template needs a package of this name, so that a project can't have it.
pub(super) fn needs(name: &str) -> bool {
    name != NAMES[0] && original("Cargo.lock").contains(&format!("\nname = \"{name}\"\n"))
}

/// The agent's type: `route-planner` is `RoutePlanner`, unless the template has another type of that name.
fn type_name(name: &str) -> String {
    let part = |part: &str| {
        part.chars().take(1).map(|first| first.to_ascii_uppercase()).chain(part.chars().skip(1)).collect::<String>()
    };
    let name: String = name.split('-').map(part).collect();
    let words = original("src/lib.rs").split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let taken = words.into_iter().any(|word| word == name && word != NAMES[2]);
    if taken { format!("{name}Agent") } else { name }
}

/// A lock file with its packages in the order in which cargo writes them, which depends on their names.
fn sorted(lock: &str) -> String {
    let mut parts = lock.trim_end().split("\n\n[[package]]\n");
    let head = parts.next().unwrap_or_default();
    let mut packages: Vec<_> = parts.collect();
    packages.sort_unstable_by_key(|package| package.lines().take(2).collect::<Vec<_>>());
    let packages: String = packages.iter().map(|package| format!("\n\n[[package]]\n{package}")).collect();
    format!("{head}{packages}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, path: &str) -> String {
        let (_, bytes) = project(name).find(|(known, _)| *known == path).expect("it is part of a project");
        String::from_utf8(bytes.into_owned()).expect("text")
    }

    #[test]
    fn nothing_of_the_templates_own_name_stays() {
        for (path, bytes) in project("route-planner").filter(|(path, _)| !path.starts_with(OURS)) {
            let text = String::from_utf8(bytes.into_owned()).expect("text");
            for name in NAMES {
                assert!(!text.contains(name), "{path} has {name}");
            }
            assert!(!text.contains("../rust"), "{path}");
        }
        assert!(file("route-planner", "Cargo.toml").contains("path = \".village/sdk/rust\""));
        assert!(file("route-planner", "src/lib.rs").contains("struct RoutePlanner"));
        assert!(file("name", "src/lib.rs").contains("struct NameAgent"), "the template has a type of that name");
    }

    #[test]
    fn the_sdk_and_the_contract_are_whole() {
        for path in [".village/sdk/rust/Cargo.toml", ".village/sdk/rust/macros/src/lib.rs", ".village/wit/world.wit"] {
            assert!(!original(path).is_empty(), "{path}");
        }
        assert!(needs("serde") && !needs("my-agent") && !needs("navigator"));
    }

    #[test]
    fn a_lock_file_stays_in_cargos_order() {
        for name in ["aaa", "zzz", "my-agent"] {
            let lock = file(name, "Cargo.lock");
            let names: Vec<_> = lock.lines().filter(|line| line.starts_with("name = ")).collect();
            assert!(names.is_sorted() && names.contains(&format!("name = \"{name}\"").as_str()), "{names:?}");
        }
        assert_eq!(file("my-agent", "Cargo.lock"), original("Cargo.lock"));
    }

    #[test]
    fn the_readme_shows_the_template_as_it_is() {
        let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
        let readme = std::fs::read_to_string(readme).expect("a file");
        let source = original("src/lib.rs").split("#[cfg(test)]").next().unwrap_or_default().trim_end();
        let cases = original("cases.toml").find("[[case]]").map_or("", |at| original("cases.toml")[at..].trim_end());
        for shown in [source, cases] {
            assert!(!shown.is_empty() && readme.contains(shown), "the README does not have:\n{shown}");
        }
    }
}

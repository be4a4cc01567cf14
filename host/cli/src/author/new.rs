//! `village new`: a project that builds, passes its test and runs as it is.

use super::{cases, template};
use crate::arguments::New;
use crate::print;
use crate::problem::Problem;
use crate::source::reason;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// The languages that there is an SDK for.
const LANGUAGES: [&str; 1] = ["rust"];

pub(crate) fn new(options: &New, json: bool) -> Result<ExitCode, Problem> {
    if !LANGUAGES.contains(&options.lang.as_str()) {
        let there = LANGUAGES.join(", ");
        return Err(Problem::usage(format!(
            "--lang `{}`: there is no template for it; there is {there}. A component of any language that exports \
             village:agent/agent@0.1.0 can be run, by an agent.toml beside it",
            options.lang
        )));
    }
    named(&options.name)?;
    let folder = options.r#in.clone().unwrap_or_default().join(&options.name);
    write(&options.name, &folder)?;
    let next = next(&folder);
    if json {
        let files: Vec<_> = template::project(&options.name).map(|(path, _)| path).collect();
        print::json(
            &json!({ "agent": options.name, "folder": folder.display().to_string(), "files": files, "next": next }),
        );
    } else {
        print::line(&format!("{} is an agent that builds, passes its cases and runs as it is:", print::path(&folder)));
        next.iter().for_each(|command| print::line(&format!("  {command}")));
        print::line(&format!("What it does is in {}.", print::path(&folder.join("src/lib.rs"))));
    }
    Ok(ExitCode::SUCCESS)
}

/// Names that mean something else to the compiler.
const TAKEN: [&str; 49] = [
    "abstract", "alloc", "as", "async", "await", "become", "box", "break", "const", "continue", "core", "crate", "do",
    "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "priv", "pub", "ref", "return", "self", "static", "std", "struct", "super", "test",
    "trait", "true", "try", "type", "unsafe", "use", "village",
];

/// Checks a name: of an agent, of a package, and of a folder.
fn named(name: &str) -> Result<(), Problem> {
    let good = good(name);
    if good == name {
        return Ok(());
    }
    let path = Path::new(name);
    let hint = match (path.parent().filter(|parent| !parent.as_os_str().is_empty()), path.file_name()) {
        (Some(folder), Some(last)) => {
            format!("write `village new {} --in {}`", self::good(&last.to_string_lossy()), folder.display())
        }
        _ => format!("`{good}` would be one"),
    };
    Err(Problem::usage(format!(
        "`{name}` is no name for an agent: it is lower-case letters, digits and single hyphens, 64 at most, begins with a \
         letter, and is not taken; {hint}"
    )))
}

/// The nearest good name.
fn good(name: &str) -> String {
    let mut good = String::new();
    for letter in name.chars() {
        match letter.to_ascii_lowercase() {
            letter if letter.is_ascii_alphanumeric() => good.push(letter),
            _ if !good.is_empty() && !good.ends_with('-') => good.push('-'),
            _ => {}
        }
    }
    good.truncate(64);
    let good = good.trim_end_matches('-');
    let begins = good.starts_with(|letter: char| letter.is_ascii_lowercase());
    let free = !TAKEN.contains(&good) && !template::needs(good);
    match (begins, free) {
        (true, true) => good.into(),
        (true, false) => format!("{good}-agent"),
        (false, _) => format!("agent-{good}").trim_end_matches('-').chars().take(64).collect(),
    }
}

/// Writes the project; it is there whole or not at all.
fn write(name: &str, folder: &Path) -> Result<(), Problem> {
    let failed = |error: std::io::Error| Problem::file(folder, reason(&error));
    if let Ok(mut entries) = std::fs::read_dir(folder) {
        if entries.next().is_some() {
            let problem =
                format!("{}: the folder is there and not empty; take another name, or empty it", print::path(folder));
            return Err(Problem::new("exists", problem));
        }
    } else if folder.exists() {
        let problem = format!("{}: there is a file of that name; take another name", print::path(folder));
        return Err(Problem::new("exists", problem));
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(|error| Problem::file(parent, reason(&error)))?;
    // Beside where it belongs, so that moving it there is one step.
    let begun = tempfile::Builder::new().prefix(".village-new-").tempdir_in(parent).map_err(failed)?;
    let project = begun.path().join(name);
    for (path, bytes) in template::project(name) {
        let file = project.join(path);
        std::fs::create_dir_all(file.parent().unwrap_or(&project)).map_err(failed)?;
        std::fs::write(&file, bytes).map_err(failed)?;
    }
    std::fs::rename(&project, folder).map_err(failed)
}

/// The next three commands, as they would be typed from here.
fn next(folder: &Path) -> [String; 3] {
    // Started by `cargo village`, the program may not be on anybody's path.
    let ours = std::env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == env!("CARGO_PKG_NAME"));
    let village = if ours { "cargo village" } else { "village" };
    let path = word(&print::path(folder));
    [
        format!("{village} build {path}"),
        format!("{village} test {path}"),
        format!("{village} run {path}{}", first_case()),
    ]
}

/// What the first of the template's cases asks, as arguments.
fn first_case() -> String {
    let text = template::original("cases.toml");
    let cases = cases::Cases::parse(text, Path::new("cases.toml"));
    let step = cases.ok().and_then(|cases| cases.cases.into_iter().next()?.steps.into_iter().next());
    step.map(|step| format!(" --skill {} --input {}", step.skill, word(&String::from_utf8_lossy(&step.input.body))))
        .unwrap_or_default()
}

/// A word as a shell reads it.
fn word(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | '/' | ':' | '\\');
    match !text.is_empty() && text.chars().all(plain) {
        true => text.into(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_has_a_good_one_near() {
        for (bad, near) in [
            ("My Agent", "my-agent"),
            ("route_planner", "route-planner"),
            ("9lives", "agent-9lives"),
            ("--", "agent"),
            ("", "agent"),
            ("a--b-", "a-b"),
            ("serde", "serde-agent"),
            ("loop", "loop-agent"),
            ("ökonom", "konom"),
        ] {
            assert_eq!(good(bad), near, "{bad}");
            assert_eq!(good(near), near, "and that is good");
            assert!(named(bad).is_err_and(|problem| problem.to_string().contains(near)), "{bad}");
        }
        assert!(named("a-1").is_ok() && named(&"a".repeat(64)).is_ok() && named(&"a".repeat(65)).is_err());
        assert!(named("agents/mine").is_err_and(|problem| problem.to_string().contains("new mine --in agents")));
    }

    #[test]
    fn the_taken_names_are_in_order() {
        assert!(TAKEN.is_sorted());
    }

    #[test]
    fn the_next_command_asks_what_the_first_case_asks() {
        assert_eq!(first_case(), r#" --skill greet --input '{"name":"Ada"}'"#);
    }
}

//! `village secret`: keeping the secrets that grants name. No value is an argument, and none is shown.

use crate::arguments::SecretAction;
use crate::print;
use crate::problem::Problem;
use guest::{Place, SecretError, Secrets};
use serde_json::json;
use std::io::{IsTerminal, Read};
use std::process::ExitCode;

/// No value is as long as this.
const MOST: u64 = 64 << 10;

pub(crate) fn secret(action: &SecretAction, json: bool) -> Result<ExitCode, Problem> {
    let secrets = Secrets::of_user().ok_or_else(|| {
        Problem::new("secret", "there is no folder for secrets: set VILLAGE_SECRETS to a file in one of your own")
    })?;
    let (done, name) = match action {
        SecretAction::Ls => return list(&secrets, json),
        SecretAction::Set { name } => (secrets.set(name, &value(name)?).map(|()| "kept"), name),
        SecretAction::Rotate { name } => (secrets.rotate(name, &value(name)?).map(|()| "replaced"), name),
        SecretAction::Rm { name } => (secrets.remove(name).map(|()| "forgotten"), name),
    };
    let done = done?;
    match json {
        true => print::json(&json!({ "secret": name, "done": done, "file": secrets.file().display().to_string() })),
        false => print::line(&format!("{name} {done}, in {}", secrets.file().display())),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(secrets: &Secrets, json: bool) -> Result<ExitCode, Problem> {
    let all = secrets.list()?;
    let place = |place| match place {
        Place::Environment => "environment",
        Place::File => "file",
    };
    if json {
        let all: Vec<_> = all.iter().map(|(name, at)| json!({ "name": name, "from": place(*at) })).collect();
        print::json(&json!({ "secrets": all, "file": secrets.file().display().to_string() }));
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = all.iter().map(|(name, at)| vec![name.clone(), place(*at).to_string()]).collect();
    print::out(print::columns(&rows).as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// A value: what a person types unseen, or all of the standard input but the line break at its end.
fn value(name: &str) -> Result<String, Problem> {
    let broken = |error: std::io::Error| Problem::new("file", format!("the standard input: {error}"));
    let mut text = String::new();
    if std::io::stdin().is_terminal() {
        let terminal = console::Term::stderr();
        terminal.write_str(&format!("{}: ", print::tame(name))).map_err(broken)?;
        text = terminal.read_secure_line().map_err(broken)?;
    } else {
        std::io::stdin().lock().take(MOST).read_to_string(&mut text).map_err(broken)?;
    }
    let value = text.strip_suffix('\n').unwrap_or(&text);
    Ok(value.strip_suffix('\r').unwrap_or(value).into())
}

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Problem {
        match error {
            SecretError::Name(said) => Problem::usage(said),
            error => Problem::new("secret", error.to_string()),
        }
    }
}

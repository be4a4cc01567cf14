//! Why something was not done: one line for people, an object for programs.

use crate::{json, print};
use guest::{Failed, Fault, ManifestError, Refusal};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::process::ExitCode;

/// Why something was not done.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Cow<'static, str>,
    message: String,
    /// Null if there is nothing to add.
    details: Value,
    /// More for people, on lines below: where a guest broke, or what cargo said.
    below: Vec<String>,
    /// What else is known, for programs: beside the error.
    beside: Box<Map<String, Value>>,
}

/// The command was called wrongly.
const USAGE: &str = "usage";

/// Agents can't be built here.
const TOOLCHAIN: &str = "toolchain";

/// A package can't be built. What cargo said of that is for people too.
const BUILD: &str = "build";

impl Problem {
    pub(crate) fn new(kind: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Problem {
        Problem {
            kind: kind.into(),
            message: message.into(),
            details: Value::Null,
            below: Vec::new(),
            beside: Box::default(),
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Problem {
        Problem::new(USAGE, message)
    }

    /// Adds details, for programs.
    pub(crate) fn details(self, details: Value) -> Problem {
        Problem { details, ..self }
    }

    /// Says first what failed.
    pub(crate) fn prefixed(self, words: &str) -> Problem {
        Problem { message: format!("{words}{}", self.message), ..self }
    }

    pub(crate) fn file(path: &std::path::Path, reason: impl std::fmt::Display) -> Problem {
        Problem::new("file", format!("{}: {reason}", path.display()))
    }

    /// Adds what else is known, for programs.
    pub(crate) fn beside(mut self, known: Map<String, Value>) -> Problem {
        self.beside.extend(known);
        self
    }

    /// Says it: to programs on the standard output, to people on the standard error.
    pub(crate) fn report(self, json: bool) -> ExitCode {
        let code = if self.kind == USAGE { ExitCode::from(2) } else { ExitCode::FAILURE };
        if json {
            print::json(&self.object());
            return code;
        }
        print::err(&print::tame(&format!("village: {}: {}", self.kind, one_line(&self.message))));
        for line in &self.below {
            print::err(line);
        }
        code
    }

    fn object(mut self) -> Value {
        let mut error = json!({ "kind": self.kind, "message": one_line(&self.message) });
        if !self.details.is_null() {
            error["details"] = self.details;
        }
        self.beside.insert("error".into(), error);
        Value::Object(*self.beside)
    }
}

/// What a guest says may have several lines; a panic adds advice that is of no use to whoever runs it.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let said: Vec<_> = lines.map(|line| line.split("note: run with `RUST_BACKTRACE").next().unwrap_or(line)).collect();
    said.join(" ").trim_end().into()
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&one_line(&self.message))
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Problem {
        let frames: Vec<_> = fault.frames().iter().map(ToString::to_string).collect();
        let mut problem = Problem::new(fault.kind(), format!("{fault}{}", advice(&fault)));
        if !frames.is_empty() {
            problem.below = frames.iter().map(|frame| print::tame(&format!("    in {frame}"))).collect();
            problem.details = json!({ "frames": frames });
        }
        problem
    }
}

/// What to do about a limit that was met.
fn advice(fault: &Fault) -> &'static str {
    match fault {
        Fault::Deadline { ring, .. } if !ring.is_empty() => "; one of them must tell another instead of asking it",
        Fault::Deadline { .. } => {
            "; if it is no endless loop, give it longer: `deadline` under [budget] in agent.toml, or --budget deadline=…"
        }
        Fault::Memory { .. } => "; to let it hold more: `memory` under [budget] in agent.toml, or --budget memory=…",
        _ => "",
    }
}

impl From<guest::Error> for Problem {
    fn from(error: guest::Error) -> Problem {
        match error {
            guest::Error::Broke(fault) => fault.into(),
            error => Problem::new(error.kind(), error.to_string()),
        }
    }
}

impl From<Failed> for Problem {
    fn from(error: Failed) -> Problem {
        let kind = error.kind();
        match error {
            Failed::Broke(fault) => fault.into(),
            Failed::Failed(failure) => {
                let message = match failure.message.as_str() {
                    "" => "the agent did not say why".into(),
                    said => said.to_string(),
                };
                Problem { details: json::or_text(&failure.details), ..Problem::new(kind, message) }
            }
            Failed::NoRoom | Failed::Store(_) => Problem::new(kind, error.to_string()),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let kind = match refusal {
            Refusal::Full { .. } => "refused",
            Refusal::Stopped => "stopped",
        };
        Problem::new(kind, refusal.to_string())
    }
}

impl From<ManifestError> for Problem {
    fn from(error: ManifestError) -> Problem {
        let details = json!({ "path": error.path.display().to_string(), "line": error.line });
        Problem { details, ..Problem::new("manifest", error.to_string()) }
    }
}

impl From<hall::Error> for Problem {
    fn from(error: hall::Error) -> Problem {
        Problem::new(error.kind(), error.to_string())
    }
}

impl From<api::Error> for Problem {
    fn from(error: api::Error) -> Problem {
        Problem::new(error.kind(), error.to_string())
    }
}

impl From<hall::ConfigError> for Problem {
    fn from(error: hall::ConfigError) -> Problem {
        let details = json!({ "path": error.path.display().to_string(), "line": error.line });
        Problem { details, ..Problem::new("config", error.to_string()) }
    }
}

impl From<api::client::Error> for Problem {
    fn from(error: api::client::Error) -> Problem {
        use api::client::Error::{Broken, Nobody, Said};
        match error {
            Nobody { .. } => Problem::new(
                "no-village",
                format!("{error}; `village up` starts one, and --data or --url says which is meant"),
            ),
            Broken { .. } => Problem::new("no-village", error.to_string()),
            Said(reason) => said(reason),
        }
    }
}

/// What a village said no with.
fn said(reason: api::wire::Reason) -> Problem {
    let api::wire::Reason { kind, message, details } = reason;
    let advice = match kind.as_str() {
        "unauthorized" => "; --data names the folder of the village that is meant, or $VILLAGE_TOKEN has its token",
        "deadline" => "; if it is no endless loop, give it longer: `village budget AGENT deadline=…`",
        "memory" => "; to let it hold more: `village budget AGENT memory=…`",
        "stopped" => ": `village start AGENT`",
        _ => "",
    };
    let frames = details["frames"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let below = frames.map(|frame| print::tame(&format!("    in {frame}"))).collect();
    Problem { details, below, ..Problem::new(kind, format!("{message}{advice}")) }
}

impl From<toolchain::Error> for Problem {
    fn from(error: toolchain::Error) -> Problem {
        if let toolchain::Error::Build { workspace, output, diagnostics } = error {
            return unbuilt(&workspace, &output, &diagnostics);
        }
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Problem::new(TOOLCHAIN, format!("{error}{cause}"))
    }
}

/// What cargo said against a package: as text for people, and for programs each error with its place.
fn unbuilt(workspace: &std::path::Path, output: &str, diagnostics: &[toolchain::Diagnostic]) -> Problem {
    let package = print::path(workspace);
    let Some(first) = diagnostics.first() else {
        let message = format!("cargo could not build {package}");
        return Problem {
            details: json::or_text(output),
            below: vec![output.trim_end().into()],
            ..Problem::new(BUILD, message)
        };
    };
    let place = first.file.as_ref().map(|file| format!("{}:{}: ", print::path(file), first.line)).unwrap_or_default();
    let count = match diagnostics.len() {
        1 => String::new(),
        many => format!(" (the first of {many} errors)"),
    };
    let errors: Vec<_> = diagnostics.iter().map(print::diagnostic).collect();
    let advice = crate::author::uncompiled(&first.message);
    let mut problem = Problem::new(BUILD, format!("{place}{}{advice}{count}", first.message));
    problem.details = json!({ "errors": errors });
    problem.below = vec![output.trim_end().into()];
    problem
}

impl From<kernels::Error> for Problem {
    fn from(error: kernels::Error) -> Problem {
        use kernels::{Error, Fault, Misfit};
        let message = error.to_string();
        let (kind, details) = match &error {
            Error::Io { path, source } => return Problem::file(path, crate::source::reason(source)),
            Error::File { file, fault } => ("weights", json!({ "file": file, "reason": fault.to_string() })),
            Error::Tensor { tensor, fault } => {
                let kind = if matches!(fault, Fault::NotFinite(_)) { "not-finite" } else { "weights" };
                (kind, json!({ "tensor": tensor, "reason": fault.to_string() }))
            }
            Error::Recipe(Misfit::Method(name)) => {
                let known = kernels::merge::Method::ALL.iter().map(|method| method.name());
                let near = base::nearest(name, known).map(|near| format!(", did you mean `{near}`?"));
                return Problem::new("recipe", message + &near.unwrap_or_default());
            }
            Error::Recipe(_) => ("recipe", Value::Null),
            Error::Gpu(_) => ("gpu", Value::Null),
            Error::Stopped => return Problem::new("stopped", "interrupted; nothing was left behind"),
            _ => ("weights", Value::Null),
        };
        Problem { details, ..Problem::new(kind, message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest::{Failure, FailureKind};

    #[test]
    fn a_panic_is_one_line() {
        let said = "\nthread '<unnamed>' panicked at src/a.rs:1:2:\noh no\nnote: run with `RUST_BACKTRACE=1` …";
        assert_eq!(one_line(said), "thread '<unnamed>' panicked at src/a.rs:1:2: oh no");
    }

    #[test]
    fn what_cargo_said_is_apart_from_the_one_line() {
        let output = "error: no\n --> here\n".into();
        let error = toolchain::Error::Build { workspace: "agents".into(), output, diagnostics: Vec::new() };
        let error = &Problem::from(error).object()["error"];
        assert_eq!(
            (&error["message"], &error["details"]),
            (&json!("cargo could not build agents"), &json!("error: no\n --> here\n"))
        );
    }

    #[test]
    fn an_error_of_the_compilers_is_named_by_its_place() {
        let found = |line| toolchain::Diagnostic {
            error: true,
            file: Some("src/lib.rs".into()),
            line,
            column: 5,
            message: "mismatched types".into(),
            rendered: String::new(),
        };
        let error = toolchain::Error::Build {
            workspace: "agents".into(),
            output: "all of it".into(),
            diagnostics: vec![found(7), found(9)],
        };
        let error = &Problem::from(error).object()["error"];
        assert_eq!(error["message"], "src/lib.rs:7: mismatched types (the first of 2 errors)");
        assert_eq!((&error["kind"], &error["details"]["errors"][1]["line"]), (&json!("build"), &json!(9)));
    }

    #[test]
    fn what_an_agent_adds_to_a_failure_stays_json() {
        let failure =
            |details: &str| Failure { kind: FailureKind::Invalid, message: "no".into(), details: details.into() };
        let object = |details: &str| Problem::from(Failed::Failed(failure(details))).object();
        assert_eq!(object(r#"{"field":"from"}"#)["error"]["details"]["field"], "from");
        assert_eq!(object("words")["error"]["details"], "words");
        assert_eq!(object("")["error"], json!({ "kind": "invalid", "message": "no" }));
    }
}

//! What the compiler has against a source, with its place.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One thing that the compiler says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it kept the build from succeeding.
    pub error: bool,
    /// The file; none if it is about no place, as what a linker says.
    pub file: Option<PathBuf>,
    /// Counted from one.
    pub line: usize,
    /// Counted from one.
    pub column: usize,
    /// What is wrong, with what the compiler proposes.
    pub message: String,
    /// As the compiler shows it to people.
    pub rendered: String,
}

/// A diagnostic as cargo passes it on: what we read of it.
#[derive(Deserialize)]
pub(crate) struct Message {
    message: String,
    level: String,
    #[serde(default)]
    spans: Vec<Span>,
    #[serde(default)]
    children: Vec<Child>,
    rendered: Option<String>,
}

#[derive(Deserialize)]
struct Child {
    message: String,
    level: String,
    #[serde(default)]
    spans: Vec<Proposal>,
}

#[derive(Deserialize)]
struct Proposal {
    suggested_replacement: Option<String>,
}

impl Child {
    /// Whether it says what to do, and not only where else to look.
    fn is_advice(&self) -> bool {
        let proposes = self.spans.is_empty() || self.spans.iter().any(|span| span.suggested_replacement.is_some());
        proposes && matches!(self.level.as_str(), "help" | "note")
    }
}

#[derive(Deserialize)]
struct Span {
    file_name: PathBuf,
    line_start: usize,
    column_start: usize,
    is_primary: bool,
    label: Option<String>,
    expansion: Option<Box<Expansion>>,
}

#[derive(Deserialize)]
struct Expansion {
    span: Span,
}

impl Span {
    /// Where the author wrote it: what a macro made of that is of no use to anybody.
    fn written(&self) -> &Span {
        self.expansion.as_ref().map_or(self, |expansion| expansion.span.written())
    }
}

impl Message {
    /// The compiler names files from one of these folders.
    pub(crate) fn diagnostic(&self, folders: &[&Path]) -> Option<Diagnostic> {
        let error = self.level.starts_with("error");
        if !error && self.level != "warning" || self.is_count() {
            return None;
        }
        let primary = self.spans.iter().find(|span| span.is_primary);
        let span = primary.map(Span::written);
        let label = primary.and_then(|span| span.label.as_deref()).filter(|label| !self.message.contains(*label));
        let told = self.children.iter().filter(|child| child.is_advice());
        let words = std::iter::once(self.message.as_str()).chain(label).chain(told.map(|child| child.message.as_str()));
        Some(Diagnostic {
            error,
            file: span.map(|span| place(&span.file_name, folders)),
            line: span.map_or(0, |span| span.line_start),
            column: span.map_or(0, |span| span.column_start),
            message: words.collect::<Vec<_>>().join("; "),
            rendered: self.rendered.clone().unwrap_or_default(),
        })
    }

    /// Whether it only counts the others.
    fn is_count(&self) -> bool {
        let counts = self.message.starts_with("aborting due to") || self.message.contains("warning emitted");
        counts || self.message.contains("warnings emitted")
    }
}

fn place(file: &Path, folders: &[&Path]) -> PathBuf {
    let found = folders.iter().map(|folder| folder.join(file)).find(|file| file.is_file());
    found.unwrap_or_else(|| file.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: &str = r#"{"file_name": "src/lib.rs", "line_start": 7, "column_start": 9, "is_primary": true, "label": "expected `u32`", "expansion": null}"#;

    fn read(json: &str) -> Option<Diagnostic> {
        serde_json::from_str::<Message>(json).expect("it is a message").diagnostic(&[Path::new("/project")])
    }

    #[test]
    fn an_error_has_its_place_and_its_advice() {
        let json = format!(
            r#"{{"message": "mismatched types", "level": "error", "spans": [{SPAN}], "children": [{{"message": "try `.into()`", "level": "help", "spans": [{{"suggested_replacement": ".into()"}}]}}, {{"message": "defined here", "level": "note", "spans": [{SPAN}]}}], "rendered": "error!"}}"#
        );
        let found = read(&json).expect("it is an error");

        assert!(found.error && found.rendered == "error!");
        assert_eq!((found.file, found.line, found.column), (Some("src/lib.rs".into()), 7, 9));
        assert_eq!(found.message, "mismatched types; expected `u32`; try `.into()`");
    }

    #[test]
    fn what_a_macro_made_is_told_where_it_was_written() {
        let inner =
            SPAN.replace("src/lib.rs", "/elsewhere/macros.rs").replace("null", &format!(r#"{{"span": {SPAN}}}"#));
        let json = format!(r#"{{"message": "no", "level": "error", "spans": [{inner}], "rendered": null}}"#);

        assert_eq!(read(&json).and_then(|found| found.file), Some("src/lib.rs".into()));
    }

    #[test]
    fn a_count_of_errors_is_none() {
        assert_eq!(read(r#"{"message": "aborting due to 1 previous error", "level": "error", "rendered": ""}"#), None);
        assert_eq!(read(r#"{"message": "for more information", "level": "failure-note", "rendered": ""}"#), None);
    }
}

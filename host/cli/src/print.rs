//! The standard output and error. Whoever reads them may have gone, which is no reason to fail.

use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

/// Writes to the standard output.
pub(crate) fn out(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Writes a line to the standard output.
pub(crate) fn line(text: &str) {
    out(format!("{text}\n").as_bytes());
}

/// Writes an object on a line of its own to the standard output.
pub(crate) fn json(value: &Value) {
    line(&value.to_string());
}

/// Writes a line to the standard error.
pub(crate) fn err(text: &str) {
    err_bytes(format!("{text}\n").as_bytes());
}

/// Writes to the standard error.
pub(crate) fn err_bytes(bytes: &[u8]) {
    let _ = std::io::stderr().lock().write_all(bytes);
}

/// A guest's words as one line that can't command a terminal.
pub(crate) fn tame(text: &str) -> String {
    let escaped = |letter: char| match letter {
        '\t' => "\t".into(),
        letter if letter.is_control() => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// A path as somebody would type it here: relative, if it is below the current folder.
pub(crate) fn path(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    match below.unwrap_or(path) {
        own if own.as_os_str().is_empty() => ".".into(),
        path => path.display().to_string(),
    }
}

/// What a compiler says, as an object.
pub(crate) fn diagnostic(found: &toolchain::Diagnostic) -> Value {
    let file = found.file.as_ref().map(|file| path(file));
    json!({ "file": file, "line": found.line, "column": found.column, "message": found.message })
}

/// Lays out rows in columns, two spaces between them.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            line.push_str(cell);
            let gap = width(column).unwrap_or(0) + 2 - cell.chars().count();
            line.extend(std::iter::repeat_n(' ', gap));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |a: &str, b: &str| vec![a.to_string(), b.to_string()];
        assert_eq!(columns(&[row("a", "bc"), row("défg", "h")]), "a     bc\ndéfg  h\n");
    }
}

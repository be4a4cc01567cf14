//! What a file is, before anything is compiled: a component or not, its imports and exports.

use crate::engine::Error;
use wasmparser::{Encoding, Parser, Payload};

/// What a component imports and exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The names of its imports, in order.
    pub imports: Vec<String>,
    /// The names of its exports, in order.
    pub exports: Vec<String>,
}

/// How a component wants to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It exports `village:agent/agent`.
    Agent,
    /// It exports `wasi:cli/run`.
    Command,
    /// It exports `wasi:http/incoming-handler`.
    Service,
}

const AGENT: &str = "village:agent/agent@0.1";
const SERVICE: &str = "wasi:http/incoming-handler@0.2";
const COMMAND: &str = "wasi:cli/run@0.2";

impl Shape {
    /// Reads the outermost layer of a component. What is inside is checked when it is compiled.
    pub fn read(bytes: &[u8]) -> Result<Shape, Error> {
        let broken = |reason: String| Error::NotComponent { reason };
        if !bytes.starts_with(b"\0asm") {
            return Err(broken(not_wasm(bytes)));
        }
        let mut shape = Shape { imports: Vec::new(), exports: Vec::new() };
        let mut depth = 0;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(|error| broken(malformed(&error)))?;
            match payload {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err(broken(
                        "it is a core module, not a component: build it with `village build`, or for wasm32-wasip2, or wrap it with \
                         `wasm-tools component new`"
                            .into(),
                    ));
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    for import in imports {
                        let import = import.map_err(|error| broken(malformed(&error)))?;
                        shape.imports.push(import.name.name.into());
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    for export in exports {
                        let export = export.map_err(|error| broken(malformed(&error)))?;
                        shape.exports.push(export.name.name.into());
                    }
                }
                _ => {}
            }
        }
        Ok(shape)
    }

    /// How it wants to be run; an agent first. None if it exports none of the three.
    ///
    /// What serves HTTP is often built as a program too, with a `main` that does nothing.
    pub fn kind(&self) -> Option<Kind> {
        let exports = |name: &str| self.exports.iter().any(|export| export.starts_with(name));
        match () {
            () if exports(AGENT) => Some(Kind::Agent),
            () if exports(SERVICE) => Some(Kind::Service),
            () if exports(COMMAND) => Some(Kind::Command),
            () => None,
        }
    }
}

fn not_wasm(bytes: &[u8]) -> String {
    match bytes {
        [] => "the file is empty".into(),
        _ if bytes.starts_with(b"(") => {
            "it is WebAssembly text: turn it into a binary first, with `wasm-tools parse`".into()
        }
        _ => "it is not WebAssembly".into(),
    }
}

fn malformed(error: &wasmparser::BinaryReaderError) -> String {
    let text = error.message();
    if text.contains("unexpected end") || text.contains("unexpected eof") {
        return format!("it ends too early, at byte {}: the file is truncated", error.offset());
    }
    format!("it is malformed at byte {}: {text}", error.offset())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(bytes: &[u8]) -> String {
        Shape::read(bytes).expect_err("it is refused").to_string()
    }

    #[test]
    fn what_is_no_component_is_named() {
        assert!(reason(b"").contains("empty"));
        assert!(reason(b"#!/bin/sh").contains("not WebAssembly"));
        assert!(reason(b"(component)").contains("text"));
        assert!(reason(b"\0asm\x01\0\0\0").contains("core module"));
    }

    #[test]
    fn a_truncated_component_says_so() {
        let bytes = wat::parse_str(r#"(component (core module (func)) (import "a:b/c" (func)))"#).expect("text");
        assert_eq!(Shape::read(&bytes).map(|shape| shape.imports).ok(), Some(vec!["a:b/c".into()]));
        let mut refused = 0;
        for end in 9..bytes.len() {
            // Cut between two sections it is a shorter component; anywhere else it is refused.
            let cut = Shape::read(&bytes[..end]);
            refused += usize::from(cut.is_err_and(|error| error.to_string().contains("truncated")));
        }
        assert!(refused > bytes.len() / 2, "{refused} of {}", bytes.len());
    }

    #[test]
    fn imports_of_inner_components_are_not_its_own() {
        let text = r#"(component (component (import "inner" (func))) (core module (import "a" "b" (func))))"#;
        let shape = Shape::read(&wat::parse_str(text).expect("text")).expect("a component");
        assert_eq!(shape.imports, Vec::<String>::new());
        assert_eq!(shape.kind(), None);
    }

    #[test]
    fn what_serves_http_is_a_service_even_if_it_has_a_main() {
        let exports =
            |names: &[&str]| Shape { imports: vec![], exports: names.iter().map(ToString::to_string).collect() };
        let serving = "wasi:http/incoming-handler@0.2.6";
        assert_eq!(exports(&["wasi:cli/run@0.2.6", serving]).kind(), Some(Kind::Service));
        assert_eq!(exports(&["village:agent/agent@0.1.0", serving]).kind(), Some(Kind::Agent));
        assert_eq!(exports(&["wasi:http/incoming-handler@0.3.0"]).kind(), None);
    }
}

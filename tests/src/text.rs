//! Components written as text: what a compiler from Rust would never make.

/// A command whose core module has these fields; one of them exports the function `run`, which gives 0 for success.
pub fn command(fields: &str) -> Vec<u8> {
    command_with("", fields, "")
}

/// The same, with definitions of the component before the module, and options of the function's lifting.
pub fn command_with(before: &str, fields: &str, options: &str) -> Vec<u8> {
    component(&format!(
        r#"{before}
        (core module $main {fields})
        (core instance $main (instantiate $main))
        {}"#,
        export("$main", options)
    ))
}

/// The export that makes a component a command: the function `run` of a core instance.
pub fn export(instance: &str, options: &str) -> String {
    format!(
        r#"(func $run (result (result)) (canon lift (core func {instance} "run") {options}))
        (instance $exported (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $exported))"#
    )
}

/// A component with these definitions.
pub fn component(definitions: &str) -> Vec<u8> {
    binary(&format!("(component {definitions})"))
}

/// Text in binary.
pub fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A function `run` that ends well.
pub const WELL: &str = r#"(func (export "run") (result i32) i32.const 0)"#;

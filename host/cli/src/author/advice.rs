//! What to do about a component that does not fit.

use guest::Shape;

const CONTRACT: &str = "village:agent/";
const VERSION: &str = "0.1";

/// What is probably the cause, and what to do; empty if nothing more can be said.
pub(crate) fn misfit(shape: &Shape) -> String {
    let all = || shape.imports.iter().chain(&shape.exports);
    let other = all().find(|name| name.starts_with(CONTRACT) && !speaks(name));
    if let Some(other) = other {
        let version = other.split_once('@').map_or("none", |(_, version)| version);
        return format!(
            "; it was built with version {version} of the contract, and this village speaks {VERSION}: build it anew with \
             the contract and the SDK of this village, which `village new` writes into a project's .village"
        );
    }
    if shape.kind().is_none() {
        return "; in Rust, `#[village::agent]` on the agent's `impl` exports it, from a package with \
                crate-type = [\"cdylib\"]"
            .into();
    }
    String::new()
}

/// What to do about an error of the compiler that the compiler knows no help for.
pub(crate) fn uncompiled(message: &str) -> &'static str {
    match message.contains("cannot find attribute `skill`") {
        true => "; `#[agent]` above the `impl` gives it its meaning (`use village::agent`)",
        false => "",
    }
}

fn speaks(name: &str) -> bool {
    name.split_once('@').is_some_and(|(_, version)| version == VERSION || version.starts_with("0.1."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(imports: &[&str], exports: &[&str]) -> String {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        misfit(&Shape { imports: own(imports), exports: own(exports) })
    }

    #[test]
    fn another_contract_is_named_with_its_version() {
        assert!(said(&["village:agent/log@0.0.9"], &["village:agent/agent@0.1.0"]).contains("version 0.0.9"));
        assert!(said(&[], &["village:agent/agent@0.2.0"]).contains("version 0.2.0 of the contract"));
        assert!(said(&[], &["village:agent/agent@0.1.7"]).is_empty(), "it is the same contract");
    }

    #[test]
    fn a_component_that_exports_nothing_is_told_how_to() {
        assert!(said(&["village:agent/log@0.1.0"], &[]).contains("#[village::agent]"));
        assert!(said(&["acme:dice/roll@1.0.0"], &["village:agent/agent@0.1.0"]).is_empty());
    }
}

//! What the README promises of the code's own shape.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use tests::root;

/// Each room may use those in lines above it.
const LAYERS: [&[&str]; 13] = [
    &["base", "toolchain"],
    &["device", "kernels", "mesh", "runtime", "store"],
    &["agents"],
    &["ledger", "memory"],
    &["model"],
    &["guest"],
    &["hall"],
    &["tasks"],
    &["evolve"],
    &["api"],
    &["bench"],
    &["cli"],
    // Uses them all, and is used by none.
    &["tests"],
];

/// Who may name which big dependency.
const OWNERS: [(&str, &[&str]); 10] = [
    ("wasmtime", &["runtime", "guest", "bench"]),
    ("hyper", &["guest", "model", "api", "bench"]),
    ("rustls", &["guest", "model", "tests"]),
    ("wgpu", &["kernels"]),
    ("libp2p", &["mesh", "bench"]),
    ("tokenizers", &["model"]),
    ("redb", &["store"]),
    ("sysinfo", &["device"]),
    ("axum", &["api"]),
    ("clap", &["cli"]),
];

/// Every package of the workspace with all that it names in its manifest.
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let mut folders: Vec<_> = entries(&root().join("host"));
    folders.push(root().join("tests"));
    folders.iter().map(|folder| package(folder)).collect()
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("it can be listed").path()).collect()
}

fn package(folder: &Path) -> (String, BTreeSet<String>) {
    let text = fs::read_to_string(folder.join("Cargo.toml")).expect("a package has a manifest");
    let manifest: toml::Table = text.parse().expect("a manifest is TOML");
    let name = manifest["package"]["name"].as_str().expect("a package has a name").to_owned();
    let mut uses = BTreeSet::new();
    named(&manifest, &mut uses);
    (name, uses)
}

/// Dependencies of every kind, also those of one target only.
fn named(table: &toml::Table, uses: &mut BTreeSet<String>) {
    for (key, value) in table {
        let Some(table) = value.as_table() else { continue };
        match key.as_str() {
            "dependencies" | "dev-dependencies" | "build-dependencies" => {
                for (name, how) in table {
                    let renamed = how.get("package").and_then(toml::Value::as_str);
                    uses.insert(renamed.unwrap_or(name).to_owned());
                }
            }
            "target" => table.values().filter_map(toml::Value::as_table).for_each(|table| named(table, uses)),
            _ => {}
        }
    }
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&name))
}

#[test]
fn arrows_point_one_way() {
    let packages = packages();
    assert!(packages["guest"].contains("runtime"), "the manifests are read");
    for (user, uses) in &packages {
        let above = layer(user).unwrap_or_else(|| panic!("`{user}` has no layer: give it one"));
        for used in uses.iter().filter(|used| packages.contains_key(*used)) {
            assert!(layer(used).is_some_and(|below| below < above), "{user} may not use {used}");
        }
    }
}

#[test]
fn a_package_is_named_as_its_folder() {
    for folder in entries(&root().join("host")) {
        assert_eq!(folder.file_name().and_then(|name| name.to_str()), Some(package(&folder).0.as_str()));
    }
}

#[test]
fn one_room_owns_each_big_dependency() {
    let packages = packages();
    assert!(packages["runtime"].contains("wasmtime"), "the manifests are read");
    for (dependency, owners) in OWNERS {
        for (user, uses) in &packages {
            let named = uses.iter().find(|used| *used == dependency || used.starts_with(&format!("{dependency}-")));
            assert!(named.is_none() || owners.contains(&user.as_str()), "{user} may not use {named:?}");
        }
    }
}

#[test]
fn the_contract_and_the_imports_match_name_for_name() {
    let stems = |folder: &str, end: &str| -> BTreeSet<String> {
        let files =
            entries(&root().join(folder)).into_iter().filter(|path| path.extension().is_some_and(|found| found == end));
        files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect()
    };
    let mut contract = stems("wit", "wit");
    for file in &contract {
        let text = fs::read_to_string(root().join(format!("wit/{file}.wit"))).expect("it can be read");
        let kind = if file == "world" { "world village {".into() } else { format!("interface {file} {{") };
        assert!(text.contains(&kind), "wit/{file}.wit has no `{kind}`");
        assert_eq!(text.matches("\ninterface ").count(), usize::from(file != "world"), "one interface a file: {file}");
    }
    // Words, the world, and what agents export: none of them is imported.
    for file in ["types", "world", "agent"] {
        assert!(contract.remove(file), "wit/{file}.wit");
    }
    let mut imports = stems("host/guest/src/imports", "rs");
    // WASI's, which are in nobody's contract but their own.
    for file in ["clocks", "files", "http", "random", "streams"] {
        assert!(imports.remove(file), "imports/{file}.rs");
    }
    assert_eq!(contract, imports);
}

/// All files of tests and sources, as one text.
fn sources(folder: &Path, text: &mut String) {
    for path in entries(folder) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" {
            sources(&path, text);
        } else if name.ends_with(".rs") {
            text.push_str(&fs::read_to_string(&path).expect("it can be read"));
        }
    }
}

#[test]
fn every_test_that_the_threats_name_is_there() {
    let mut all = String::new();
    for folder in ["host", "tests"] {
        sources(&root().join(folder), &mut all);
    }
    let text = fs::read_to_string(root().join("host/guest/THREATS.md")).expect("it can be read");
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let named: BTreeSet<_> = rows
        .filter_map(|row| row.rsplit('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|name| name.contains('_'))
        .collect();
    assert!(named.len() > 40, "{}", named.len());
    let missing: Vec<_> = named.into_iter().filter(|name| !all.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "the threats name tests that are not there: {missing:?}");
}

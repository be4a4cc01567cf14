//! `src/bindings.rs` is what the generator makes of the contract, so that agents need not build the generator.
//!
//! After a change of `wit/`: `VILLAGE_WRITE_BINDINGS=1 cargo test -p village-sdk --test bindings`.

use std::fs;
use std::path::{Path, PathBuf};

use wit_bindgen_core::{Files, WorldGenerator, wit_parser::Resolve};
use wit_bindgen_rust::{Opts, WithOption};

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files of `wit/` as one text each package: the contract's, with what the SDK adds to it.
fn packages() -> Resolve {
    let mut resolve = Resolve::default();
    let merged = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("wit-{}", std::process::id()));
    for tree in [here().join("../../wit"), here().join("wit")] {
        for folder in ["", "deps/clocks", "deps/http", "deps/io", "deps/random"] {
            copy(&tree.join(folder), &merged.join(folder), if folder.is_empty() { "sdk-" } else { "" });
        }
    }
    let packages = resolve.push_dir(&merged).expect("the contract can be read");
    assert!(packages.1.paths().next().is_some(), "files were read");
    fs::remove_dir_all(&merged).expect("it was made here");
    resolve
}

/// Copies the files of a folder; one whose name is taken gets `prefix` before it.
fn copy(from: &Path, to: &Path, prefix: &str) {
    fs::create_dir_all(to).expect("a temporary folder can be made");
    let Ok(entries) = fs::read_dir(from) else { return };
    for entry in entries {
        let path = entry.expect("it can be listed").path();
        if path.extension().is_some_and(|end| end == "wit") {
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            let free = !to.join(&name).exists();
            let name = if free { name } else { format!("{prefix}{name}") };
            fs::copy(&path, to.join(name)).expect("it can be copied");
        }
    }
}

fn generated() -> String {
    let mut resolve = packages();
    let package = resolve.packages.iter().find(|(_, package)| package.name.to_string() == "village:agent@0.1.0");
    let (package, _) = package.expect("the contract's package is there");
    let world = resolve.select_world(&[package], Some("sdk")).expect("the SDK's world is there");
    let options = Opts {
        format: true,
        generate_all: true,
        with: vec![("village:agent/types@0.1.0".into(), WithOption::Path("crate::types".into()))],
        pub_export_macro: true,
        export_macro_name: Some("__export".into()),
        default_bindings_module: Some("::village::__::bindings".into()),
        ..Opts::default()
    };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files).expect("bindings can be generated");
    let (_, bytes) = files.iter().find(|(name, _)| name.ends_with(".rs")).expect("there is one file of Rust");
    String::from_utf8(bytes.to_vec()).expect("Rust is UTF-8")
}

#[test]
fn the_bindings_are_those_of_the_contract() {
    let path = here().join("src/bindings.rs");
    let generated = generated();
    if std::env::var_os("VILLAGE_WRITE_BINDINGS").is_some() {
        fs::write(&path, &generated).expect("the bindings can be written");
    }
    let committed = fs::read_to_string(&path).expect("the bindings are there");
    assert!(
        committed == generated,
        "wit/ has changed: VILLAGE_WRITE_BINDINGS=1 cargo test -p village-sdk --test bindings"
    );
}

#[test]
fn each_interface_has_a_module_of_its_name() {
    let entries = fs::read_dir(here().join("../../wit")).expect("the contract is there");
    let names = entries.map(|entry| entry.expect("it can be listed").path()).filter(|path| path.is_file());
    let mut count = 0;
    for name in names.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())) {
        let module = here().join(format!("src/{name}.rs"));
        assert_eq!(module.is_file(), name != "world", "wit/{name}.wit and src/{name}.rs");
        count += 1;
    }
    assert!(count > 10, "the contract is read");
}

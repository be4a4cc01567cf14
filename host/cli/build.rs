//! Lists what `village new` writes, so that it is in the program: the template, the SDK and the contract.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Folders of the checkout, and where a new project has them.
const FOLDERS: [(&str, &str); 3] = [("sdk/template", ""), ("sdk/rust", ".village/sdk/rust"), ("wit", ".village/wit")];

/// What is built or tested there, and is no part of a project.
const LEFT_OUT: [&str; 4] = ["target", ".village", "tests", "examples"];

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says so")).join("../..");
    let root = root.canonicalize().expect("it is there");
    let mut files = Vec::new();
    for (from, to) in FOLDERS {
        list(&root.join(from), Path::new(to), &mut files);
    }
    files.sort();
    let mut text = String::from("pub(super) const FILES: &[(&str, &[u8])] = &[\n");
    for (to, from) in files {
        // Writing to a string can't fail.
        let _ = writeln!(text, "    ({to:?}, include_bytes!({from:?})),");
    }
    text.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says so")).join("template.rs");
    fs::write(out, text).expect("cargo made the folder");
}

fn list(from: &Path, to: &Path, files: &mut Vec<(String, String)>) {
    println!("cargo::rerun-if-changed={}", from.display());
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
        let built = path.extension().is_some_and(|end| end == "wasm");
        if LEFT_OUT.contains(&name.as_str()) || built {
            continue;
        }
        if path.is_dir() {
            list(&path, &to.join(name), files);
        } else {
            let to = to.join(name).to_str().expect("a plain path").replace('\\', "/");
            files.push((to, path.to_str().expect("a plain path").to_owned()));
        }
    }
}

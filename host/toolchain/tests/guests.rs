//! Builds the test guests and the agents as everybody does, and looks at what came out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use toolchain::{Component, Progress, Wanted};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

static GUESTS: LazyLock<Vec<Component>> = LazyLock::new(|| {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests");
    toolchain::build(&workspace, Wanted::Examples, Progress::Kept).expect("the guests can be built")
});

static AGENTS: LazyLock<Vec<Component>> = LazyLock::new(|| {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    toolchain::build(&workspace, Wanted::Workspace, Progress::Kept).expect("the agents can be built")
});

/// What a component imports and exports at its surface.
#[derive(Default)]
struct Surface {
    imports: Vec<String>,
    exports: Vec<String>,
}

fn surface(bytes: &[u8]) -> Surface {
    let mut surface = Surface::default();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.expect("the component can be read") {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(imports) if depth == 0 => {
                let names =
                    imports.into_iter().map(|import| import.expect("an import can be read").name.name.to_owned());
                surface.imports.extend(names);
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                let names =
                    exports.into_iter().map(|export| export.expect("an export can be read").name.name.to_owned());
                surface.exports.extend(names);
            }
            _ => {}
        }
    }
    surface
}

fn surfaces(components: &'static [Component]) -> BTreeMap<&'static str, Surface> {
    let read = |guest: &'static Component| {
        let bytes = fs::read(&guest.path).expect("the file is there");
        (guest.name.as_str(), surface(&bytes))
    };
    components.iter().map(read).collect()
}

#[test]
fn every_file_of_the_folder_becomes_a_guest() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/src/bin");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    files.sort();
    let built: Vec<_> = GUESTS.iter().map(|guest| guest.name.clone()).collect();

    assert_eq!(built, files);
}

#[test]
fn every_guest_is_a_valid_component() {
    for guest in GUESTS.iter() {
        let bytes = fs::read(&guest.path).expect("the file is there");
        let valid = Validator::new_with_features(WasmFeatures::default()).validate_all(&bytes);
        assert!(valid.is_ok(), "{}: {:?}", guest.name, valid.err());
    }
}

#[test]
fn every_guest_but_the_command_and_the_service_exports_the_contract() {
    for (name, surface) in surfaces(&GUESTS) {
        match name {
            "command" => assert!(surface.exports.iter().any(|name| name.starts_with("wasi:cli/run@0.2."))),
            "serve" => {
                assert!(surface.exports.iter().any(|name| name.starts_with("wasi:http/incoming-handler@0.2.")));
            }
            _ => assert_eq!(surface.exports, ["village:agent/agent@0.1.0"], "{name}"),
        }
    }
}

#[test]
fn guests_import_nothing_but_the_contract_and_wasi() {
    for (name, surface) in surfaces(&GUESTS) {
        for import in surface.imports {
            assert!(import.starts_with("village:agent/") || import.starts_with("wasi:"), "{name} imports {import}");
        }
    }
}

#[test]
fn the_guest_of_all_imports_imports_the_whole_contract() {
    let surfaces = surfaces(&GUESTS);
    let contract = [
        "log",
        "state",
        "workspace",
        "budget",
        "agents",
        "mesh",
        "model",
        "memory",
        "kernels",
        "tasks",
        "ledger",
        "device",
    ];
    for name in contract {
        let import = format!("village:agent/{name}@0.1.0");
        assert!(surfaces["world"].imports.contains(&import), "{import}");
    }
}

#[test]
fn a_guest_imports_only_what_it_uses() {
    let surfaces = surfaces(&GUESTS);
    assert!(!surfaces["cpu"].imports.iter().any(|import| import.starts_with("village:agent/log")));
    assert!(!surfaces["echo"].imports.iter().any(|import| import.starts_with("wasi:sockets/")));
}

#[test]
fn every_agent_exports_the_contract_and_has_its_manifest_beside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    for (name, surface) in surfaces(&AGENTS) {
        assert_eq!(surface.exports, ["village:agent/agent@0.1.0"], "{name}");
        assert!(folder.join(name).join("agent.toml").is_file(), "{name}");
    }
}

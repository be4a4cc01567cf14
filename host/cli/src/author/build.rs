//! `village build`: from an agent's source to a component that was checked, where its manifest says that it is.

use super::check::{self, Checked};
use super::project::Project;
use crate::arguments::Build;
use crate::problem::Problem;
use crate::source::{read_file, reason};
use crate::{node, print, run};
use base::Size;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use toolchain::{Diagnostic, Package, Place, Progress, Shelf, Toolchain};

pub(crate) fn build(options: &Build, json: bool) -> Result<ExitCode, Problem> {
    let begun = Instant::now();
    let project = Project::find(&options.folder)?;
    let compiled = compile(&project, json)?;
    let checked = node::with(run::small(0), async |host| check::check(host, &project, compiled.bytes.clone()).await)?;
    put(&project, &compiled)?;
    match json {
        true => print::json(&object(&project, &compiled, &checked, begun.elapsed())),
        false => say(&project, &compiled, &checked, begun.elapsed()),
    }
    Ok(ExitCode::SUCCESS)
}

/// A component as it was built, or as it was there.
pub(super) struct Compiled {
    pub(super) bytes: Vec<u8>,
    /// Whether cargo built it.
    made: bool,
    pub(super) warnings: Vec<Diagnostic>,
}

/// Builds a project's component, or reads it where there are no sources.
pub(super) fn compile(project: &Project, json: bool) -> Result<Compiled, Problem> {
    if !project.has_sources() {
        let path = project.component();
        if !path.is_file() {
            let said = format!(
                "there is no such file, {} says that it is the component, and there is no Cargo.toml beside that to build \
                 it from: put it there, or correct `component`",
                project.path.display()
            );
            return Err(Problem::file(&path, said));
        }
        return Ok(Compiled { bytes: read_file(&path)?, made: false, warnings: Vec::new() });
    }
    // What is built takes the place of what is there, which had better not be a source.
    if project.component().extension().is_none_or(|end| end != "wasm") {
        let (path, component) = (project.path.display(), project.manifest.component.display());
        let said = format!("{path}: `component` is {component}: name a .wasm file, which building will make");
        return Err(Problem::new("manifest", said));
    }
    let toolchain = ready(json)?;
    let package = toolchain.package(&project.folder)?;
    let (target, _place) = target(&package)?;
    let progress = if std::io::stderr().is_terminal() && !json { Progress::Shown } else { Progress::Kept };
    let made = toolchain.make(&package, &target, progress)?;
    Ok(Compiled { bytes: read_file(&made.path)?, made: true, warnings: made.warnings })
}

/// The toolchain that is here, or that can be set up.
fn ready(json: bool) -> Result<Toolchain, Problem> {
    if let Ok(found) = toolchain::find() {
        return Ok(found);
    }
    if !json {
        print::err("village: setting up what agents are built with; this may take some minutes");
    }
    Ok(toolchain::install()?)
}

/// Where cargo builds: where somebody said so, else in a folder of the cache that begins with what others have built.
fn target(package: &Package) -> Result<(PathBuf, Option<Place>), Problem> {
    if let Some(said) = std::env::var_os("CARGO_TARGET_DIR").filter(|said| !said.is_empty()) {
        return Ok((said.into(), None));
    }
    if package.chosen {
        return Ok((package.target.clone(), None));
    }
    let cache = guest::cache_folder()
        .ok_or_else(|| Problem::new("cache", "there is no folder to build in: set VILLAGE_CACHE to one"))?;
    let shelf = cache.join("build");
    private(&shelf).map_err(|error| Problem::file(&shelf, reason(&error)))?;
    let place = Shelf::new(shelf).place(package)?;
    Ok((place.folder.clone(), Some(place)))
}

/// Makes a folder, and those above it, for this user alone: compiled code, too, is kept there.
fn private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// Puts what was built where the manifest says that the component is. Whoever reads it meets the old one or the new.
pub(super) fn put(project: &Project, compiled: &Compiled) -> Result<(), Problem> {
    if !compiled.made {
        return Ok(());
    }
    let path = project.component();
    let failed = |error: std::io::Error| Problem::file(&path, reason(&error));
    let folder = path.parent().unwrap_or(&project.folder);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(&compiled.bytes).map_err(failed)?;
    readable(file.as_file()).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Temporary files are for their owner alone; a component is for everybody.
#[cfg(unix)]
fn readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

fn object(project: &Project, compiled: &Compiled, checked: &Checked, took: Duration) -> Value {
    let mut object = checked.object();
    object["component"] = project.component().display().to_string().into();
    object["built"] = compiled.made.into();
    object["warnings"] = compiled.warnings.iter().map(print::diagnostic).collect::<Vec<_>>().into();
    object["wall_ms"] = json!(crate::json::ms(took));
    object
}

fn say(project: &Project, compiled: &Compiled, checked: &Checked, took: Duration) {
    warn(compiled);
    let component = print::path(&project.component());
    let size = Size::bytes(checked.size as u64);
    let digest = checked.digest.to_string();
    let what = match &checked.card {
        Some(card) => format!("{} {}", card.name, card.version),
        None => "a command".into(),
    };
    let done = if compiled.made { format!("built in {:.1} s", took.as_secs_f64()) } else { "checked".into() };
    print::line(&print::tame(&format!("{what}: {component}, {size}, {digest}, {done}")));
    for skill in checked.card.iter().flat_map(|card| &card.skills) {
        print::line(&print::tame(&format!("  skill {}  {}", skill.name, skill.description)));
    }
    for hint in &checked.hints {
        print::line(&print::tame(&format!("  hint: {hint}")));
    }
}

/// What the compiler warned of. On a terminal it has said so itself.
pub(super) fn warn(compiled: &Compiled) {
    for warning in &compiled.warnings {
        print::err(warning.rendered.trim_end());
    }
}

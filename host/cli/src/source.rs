//! What is to be run: a component, and the manifest that says what it may use.

use crate::author;
use crate::bundled;
use crate::problem::Problem;
use base::Budget;
use guest::{Grants, Manifest, Replicas};
use std::collections::BTreeMap;
use std::io::{Error, Read};
use std::path::{Path, PathBuf};

/// A component or an input is no larger than this.
pub(crate) const MOST: u64 = 256 << 20;

/// A component, with what its manifest says.
pub(crate) struct Source {
    pub(crate) component: PathBuf,
    pub(crate) bytes: Vec<u8>,
    /// The manifest, and where it lies.
    pub(crate) manifest: Option<(PathBuf, Manifest)>,
}

impl Source {
    /// Opens a component, a manifest or a folder with one. A manifest beside a component is its own if it names it. A
    /// name that no file has may be that of an agent inside the program.
    pub(crate) fn open(file: &Path, manifest: Option<&Path>) -> Result<Source, Problem> {
        if let (false, Some(bundled)) = (file.exists(), file.to_str().and_then(bundled::named)) {
            return Source::bundled(bundled, manifest);
        }
        let of_folder = file.is_dir().then(|| file.join(MANIFEST));
        let is_manifest = file.extension().is_some_and(|extension| extension == "toml");
        let (component, manifest) = match (of_folder.or_else(|| is_manifest.then(|| file.into())), manifest) {
            (Some(own), Some(_)) => {
                return Err(Problem::usage(format!(
                    "--manifest is for a component; {} is a manifest already",
                    own.display()
                )));
            }
            (Some(own), None) => {
                let manifest = load(&own)?;
                (component(&own, &manifest)?, Some((own, manifest)))
            }
            (None, Some(given)) => (file.into(), Some((given.into(), load(given)?))),
            (None, None) => (file.into(), beside(file)?),
        };
        Ok(Source { bytes: read_file(&component)?, component, manifest })
    }

    fn bundled(bundled: &bundled::Bundled, manifest: Option<&Path>) -> Result<Source, Problem> {
        let manifest = match manifest {
            Some(given) => (given.into(), load(given)?),
            None => (bundled.path(), bundled.manifest()?),
        };
        let component = bundled.name.into();
        Ok(Source { component, bytes: bundled.component.to_vec(), manifest: Some(manifest) })
    }

    /// The name that its manifest gives it.
    pub(crate) fn name(&self) -> Option<&str> {
        self.manifest.as_ref().map(|(_, manifest)| manifest.name.as_str())
    }

    /// How it looks after those that it creates, if its manifest says so.
    pub(crate) fn supervision(&self) -> Option<guest::Supervision> {
        self.manifest.as_ref().and_then(|(_, manifest)| manifest.supervision)
    }

    /// Its manifest's text, and where that lies.
    pub(crate) fn manifest_text(&self) -> Result<Option<(String, PathBuf)>, Problem> {
        let Some((path, _)) = &self.manifest else { return Ok(None) };
        if !path.exists() {
            let inside = self.component.to_str().and_then(bundled::named);
            return Ok(inside.map(|bundled| (bundled.text().to_string(), bundled.path())));
        }
        let text = String::from_utf8(read_file(path)?)
            .map_err(|_| Problem::new("manifest", format!("{}: it is not text", path.display())))?;
        let path = std::path::absolute(path).map_err(|error| Problem::file(path, reason(&error)))?;
        Ok(Some((text, path)))
    }

    /// What to say if its sources were changed since it was built.
    pub(crate) fn stale(&self) -> Option<String> {
        let (path, _) = self.manifest.as_ref()?;
        let newer = author::newer_source(path.parent()?, &self.component)?;
        let build = author::to_build(path)?;
        let component = self.component.display();
        Some(format!("{component} is older than {}; `{build}` builds it anew", newer.display()))
    }

    /// The manifest's budget, or the default.
    pub(crate) fn budget(&self) -> Budget {
        self.manifest.as_ref().map(|(_, manifest)| manifest.budget).unwrap_or_default()
    }

    /// Every field of the manifest's turns; none if there is no manifest.
    pub(crate) fn turns(&self) -> BTreeMap<String, String> {
        let fields = self.manifest.iter().flat_map(|(_, manifest)| manifest.turns.fields());
        fields.map(|(field, text)| (field.to_string(), text)).collect()
    }

    /// How many instances the manifest wants; none if there is no manifest.
    pub(crate) fn replicas(&self) -> Option<Replicas> {
        self.manifest.as_ref().map(|(_, manifest)| manifest.replicas)
    }

    /// The manifest's grants, or none.
    pub(crate) fn grants(&self) -> Grants {
        self.manifest.as_ref().map(|(_, manifest)| manifest.grants.clone()).unwrap_or_default()
    }
}

/// The file that makes a folder an agent's.
pub(crate) const MANIFEST: &str = "agent.toml";

pub(crate) fn load(path: &Path) -> Result<Manifest, Problem> {
    let bytes = read_file(path)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Problem::new("manifest", format!("{}: it is not text", path.display())))?;
    Ok(Manifest::parse(&text, path)?)
}

/// The manifest in the same folder, if it names this component.
fn beside(component: &Path) -> Result<Option<(PathBuf, Manifest)>, Problem> {
    let path = component.with_file_name(MANIFEST);
    if !path.is_file() || !component.is_file() {
        return Ok(None);
    }
    let manifest = load(&path)?;
    let named = path.with_file_name("").join(&manifest.component);
    let same = match (named.canonicalize(), component.canonicalize()) {
        (Ok(named), Ok(component)) => named == component,
        _ => false,
    };
    Ok(same.then_some((path, manifest)))
}

/// The component that a manifest names: where it says, or else where cargo puts what it builds.
fn component(path: &Path, manifest: &Manifest) -> Result<PathBuf, Problem> {
    let named = path.with_file_name("").join(&manifest.component);
    if named.exists() {
        return Ok(named);
    }
    let built = Path::new("target")
        .join(toolchain::TARGET)
        .join("release")
        .join(manifest.component.file_name().unwrap_or_default());
    let folder = std::path::absolute(path).map_err(|error| Problem::file(path, reason(&error)))?;
    let found = folder.ancestors().skip(1).map(|folder| folder.join(&built)).find(|file| file.is_file());
    found.ok_or_else(|| {
        let advice = match author::to_build(path) {
            Some(build) => format!("`{build}` makes it"),
            None => "put it there, or correct `component`".into(),
        };
        let said = format!("there is no such file, and {} says that it is the component; {advice}", path.display());
        Problem::file(&named, said)
    })
}

/// All that is in a file.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Problem> {
    let file = std::fs::File::open(path).map_err(|error| Problem::file(path, reason(&error)))?;
    let size = file.metadata().map_or(0, |about| about.len());
    // One byte more, to see the end of the file without growing.
    read_into(Vec::with_capacity(size.min(MOST) as usize + 1), path, file)
}

/// All that can be read. `path` is for messages.
pub(crate) fn read(path: &Path, from: impl Read) -> Result<Vec<u8>, Problem> {
    read_into(Vec::new(), path, from)
}

fn read_into(mut bytes: Vec<u8>, path: &Path, from: impl Read) -> Result<Vec<u8>, Problem> {
    from.take(MOST + 1).read_to_end(&mut bytes).map_err(|error| Problem::file(path, reason(&error)))?;
    match bytes.len() as u64 > MOST {
        true => Err(Problem::file(path, format!("it is larger than {}", base::Size::bytes(MOST)))),
        false => Ok(bytes),
    }
}

/// What the system says, without the number that only programmers know.
pub(crate) fn reason(error: &Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

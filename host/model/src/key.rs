//! Keys of back ends: where they are looked up, and that nobody sees them.
//!
//! A key comes from the environment, or else from the user's file of secrets, which nobody else may be able to read.

use http::HeaderValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A key. It is never printed, stored or sent to anybody but its back end.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Arc<str>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

/// Keys have at least this many letters: a shorter one would be found, and taken out, everywhere.
const LEAST: usize = 8;

/// And at most this many: it is to fit into a header.
const MOST: usize = 4096;

/// A file of secrets is no larger than this.
const LARGEST: u64 = 1 << 20;

/// What stands before a secret's name in the environment, for those that are meant for the village alone.
const ENVIRONMENT: &str = "VILLAGE_SECRET_";

/// What a key is replaced by in what others say.
const HIDDEN: &str = "[key]";

/// Why a key can't be had. No value is ever part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// What is no name is not repeated: it may be a key.
    #[error(
        "a key is called by its name, of A to Z, 0 to 9 and _, such as OPENAI_API_KEY; its value is in the \
         environment, or kept with `village secret set NAME`"
    )]
    Name,
    /// It can't be a key.
    #[error("the value of `{name}` {problem}")]
    Value {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It is nowhere.
    #[error("there is no key `{name}`: set {name}, or keep it with `village secret set {name}`")]
    Missing {
        /// Its name.
        name: String,
    },
    /// Others could read the file.
    #[error("{}: {problem}; keys are read only from what is yours alone", .path.display())]
    Exposed {
        /// The file, or its folder.
        path: PathBuf,
        /// Who can do what, and what to do about it.
        problem: String,
    },
    /// The file can't be used.
    #[error("{}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Key {
    /// A key of its value.
    pub fn new(name: &str, value: &str) -> Result<Key, KeyError> {
        let bad = |problem| Err(KeyError::Value { name: name.into(), problem });
        match value {
            _ if value.len() < LEAST => bad("is shorter than 8 letters"),
            _ if value.len() > MOST => bad("is longer than 4096 letters"),
            _ if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => {
                bad("has letters that no header can carry")
            }
            _ if value.trim() != value => bad("begins or ends with a space"),
            _ => Ok(Key(value.into())),
        }
    }

    /// As a header's value, after `before`.
    pub(crate) fn header(&self, before: &str) -> HeaderValue {
        let mut value = HeaderValue::from_str(&format!("{before}{}", self.0)).expect("its letters were checked");
        value.set_sensitive(true);
        value
    }

    /// How many bytes at the end of a text may become the key.
    pub(crate) fn begun(&self, text: &str) -> usize {
        overlap(text, &self.0)
    }

    /// A text without the key.
    pub(crate) fn clean<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match text.contains(&*self.0) {
            true => text.replace(&*self.0, HIDDEN).into(),
            false => text.into(),
        }
    }
}

/// How many bytes at the end of a text are the beginning of `whole`, and not all of it.
pub(crate) fn overlap(text: &str, whole: &str) -> usize {
    let starts = whole.char_indices().map(|(at, _)| at).skip(1);
    starts.filter(|at| text.ends_with(&whole[..*at])).max().unwrap_or(0)
}

/// Whether a text is a name that a key can have.
pub(crate) fn named(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|letter: char| letter.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Where keys are looked up.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    file: Option<PathBuf>,
}

impl Keys {
    /// The environment, then a file of lines `NAME = "value"`. The file and its folder must be its owner's alone.
    pub fn at(file: Option<PathBuf>) -> Keys {
        Keys { file }
    }

    /// Looks a key up.
    pub fn find(&self, name: &str) -> Result<Key, KeyError> {
        if !named(name) {
            return Err(KeyError::Name);
        }
        for variable in [format!("{ENVIRONMENT}{name}"), name.to_owned()] {
            match std::env::var(&variable) {
                Ok(value) => return Key::new(name, &value),
                Err(std::env::VarError::NotPresent) => {}
                Err(_) => return Err(KeyError::Value { name: name.into(), problem: "is not text" }),
            }
        }
        let missing = || KeyError::Missing { name: name.into() };
        let value = read(self.file.as_deref().ok_or_else(missing)?)?.remove(name).ok_or_else(missing)?;
        Key::new(name, &value)
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, String>, KeyError> {
    let broken = |error: std::io::Error| KeyError::File { path: path.into(), reason: error.to_string() };
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(broken(error)),
    };
    // What was opened is judged, and not what may stand there by then.
    check(path, &file.metadata().map_err(broken)?)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        check(folder, &std::fs::metadata(folder).map_err(broken)?)?;
    }
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(broken)?;
    let bad = |reason: &str| KeyError::File { path: path.into(), reason: reason.into() };
    if text.len() as u64 > LARGEST {
        return Err(bad("it is larger than 1MiB"));
    }
    // The parser's own message would quote the line.
    let table: toml::Table = text.parse().map_err(|_| bad("it is no list of lines NAME = \"value\""))?;
    let text = |(name, value): (String, toml::Value)| Some((name, value.as_str()?.to_owned()));
    table.into_iter().map(text).collect::<Option<_>>().ok_or_else(|| bad("every value is text in quotes"))
}

#[cfg(unix)]
fn open(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // Neither a link, nor a pipe that nobody writes to.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    std::fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::File::open(path)
}

/// Refuses what others than its owner, or its owner if that is somebody else, could read.
#[cfg(unix)]
fn check(path: &Path, about: &std::fs::Metadata) -> Result<(), KeyError> {
    use std::os::unix::fs::MetadataExt as _;
    let exposed = |problem: String| Err(KeyError::Exposed { path: path.into(), problem });
    let mode = if about.is_dir() { "700" } else { "600" };
    if about.uid() != rustix::process::geteuid().as_raw() {
        return exposed(format!("it belongs to somebody else: chown it, and chmod {mode}"));
    }
    match about.mode() & 0o077 {
        0 => Ok(()),
        _ => exposed(format!("others may use it (mode {:o}): chmod {mode} it", about.mode() & 0o777)),
    }
}

/// Elsewhere the folder of a user's settings is the user's alone.
#[cfg(not(unix))]
fn check(_path: &Path, _about: &std::fs::Metadata) -> Result<(), KeyError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "sk-planted-0123456789";

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secrets.toml");
        std::fs::write(&path, text).expect("it is written");
        mode(&path, 0o600);
        mode(folder.path(), 0o700);
        (folder, path)
    }

    #[cfg(unix)]
    fn mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is mine");
    }

    #[cfg(not(unix))]
    fn mode(_path: &Path, _mode: u32) {}

    #[test]
    fn a_key_is_found_in_the_file_and_never_printed() {
        let (_folder, path) = file(&format!("MODEL_KEY_A = \"{VALUE}\"\n"));
        let keys = Keys::at(Some(path));
        let key = keys.find("MODEL_KEY_A").expect("it is there");
        assert_eq!(key.header("Bearer "), format!("Bearer {VALUE}"));
        assert!(!format!("{key:?} {:?} {:?}", key.header(""), Some(&key)).contains(VALUE));
        assert_eq!(key.clean(&format!("bad {VALUE}, {VALUE}")), "bad [key], [key]");
        assert_eq!(keys.find("MODEL_KEY_B"), Err(KeyError::Missing { name: "MODEL_KEY_B".into() }));
    }

    #[test]
    fn a_key_that_was_pasted_instead_of_its_name_is_not_repeated() {
        let said = Keys::default().find(VALUE).expect_err("it is refused").to_string();
        assert!(!said.contains(VALUE) && said.contains("OPENAI_API_KEY"), "{said}");
        for bad in ["short", &format!("{VALUE}\n"), &format!("{VALUE} "), &VALUE.repeat(300)] {
            let said = Key::new("A", bad).expect_err("it is refused").to_string();
            assert!(!said.contains("planted"), "{said}");
        }
        let (_folder, path) = file(&format!("MODEL_KEY_A = {VALUE}"));
        let said = Keys::at(Some(path)).find("MODEL_KEY_A").expect_err("it is refused").to_string();
        assert!(!said.contains("planted"), "{said}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_could_read_is_refused() {
        let (folder, path) = file(&format!("MODEL_KEY_A = \"{VALUE}\"\n"));
        let keys = Keys::at(Some(path.clone()));
        for (place, bad, good) in [(path.as_path(), 0o640, 0o600), (folder.path(), 0o711, 0o700)] {
            mode(place, bad);
            let said = keys.find("MODEL_KEY_A").expect_err("it is refused").to_string();
            assert!(said.contains(&format!("chmod {good:o}")), "{said}");
            mode(place, good);
            assert!(keys.find("MODEL_KEY_A").is_ok());
        }
        std::fs::rename(&path, folder.path().join("moved")).expect("moved");
        std::os::unix::fs::symlink(folder.path().join("moved"), &path).expect("linked");
        assert!(matches!(keys.find("MODEL_KEY_A"), Err(KeyError::File { .. })), "a link is not followed");
    }
}

//! Secrets: where their values are, and who may read that. Agents name them, and never see them.
//!
//! A value comes from the environment (`VILLAGE_SECRET_NAME`), or else from a file of the user's that nobody else can
//! read. It is looked up when an agent starts.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// What stands before a secret's name in the environment.
pub(crate) const ENVIRONMENT: &str = "VILLAGE_SECRET_";

/// Values have at least this many letters: a shorter one would be found, and taken out, everywhere.
const LEAST: usize = 8;

/// And at most this many: it is to fit into a header.
const MOST: usize = 4096;

/// A file of secrets is no larger than this.
const LARGEST: u64 = 1 << 20;

/// The user's secrets.
#[derive(Debug, Clone)]
pub struct Secrets {
    file: PathBuf,
}

/// Why a secret can't be had, or kept. No value is ever part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not a name.
    #[error("{0}")]
    Name(String),
    /// A value that can't be one.
    #[error("the value of secret `{name}` {problem}")]
    Value {
        /// The secret.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It is nowhere.
    #[error("there is no secret `{name}`: `village secret set {name}` keeps one, or set {ENVIRONMENT}{name}")]
    Missing {
        /// The secret.
        name: String,
    },
    /// It is there already.
    #[error("secret `{name}` is set already: `village secret rotate {name}` replaces it")]
    Exists {
        /// The secret.
        name: String,
    },
    /// Others could read it.
    #[error("{}: {problem}; secrets are read only from what is yours alone: {advice}", .path.display())]
    Exposed {
        /// The file, or its folder.
        path: PathBuf,
        /// Who can do what.
        problem: String,
        /// What to do about it.
        advice: String,
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

/// Where a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the environment. It goes before one in the file.
    Environment,
    /// In the file.
    File,
}

/// Checks a secret's name: `[A-Z][A-Z0-9_]*`, at most 64. What is no name is not repeated: it may be a value.
pub(crate) fn name(text: &str) -> Result<(), String> {
    let good = text.len() <= 64
        && text.starts_with(|letter: char| letter.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    match good {
        true => Ok(()),
        false => Err("a secret is called by its name, of A to Z, 0 to 9 and _, such as API_KEY; its value is kept \
                      with `village secret set NAME`, and written nowhere else"
            .into()),
    }
}

impl Secrets {
    /// The user's own: in `VILLAGE_SECRETS`, or else in the user's configuration folder. None if there is no such folder.
    pub fn of_user() -> Option<Secrets> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let file = variable("VILLAGE_SECRETS")
            .or_else(|| variable("XDG_CONFIG_HOME").map(|folder| folder.join("village/secrets.toml")))
            .or_else(|| variable("APPDATA").map(|folder| folder.join("village/secrets.toml")))
            .or_else(|| variable("HOME").map(|folder| folder.join(".config/village/secrets.toml")));
        file.map(|file| Secrets { file })
    }

    /// Those in a file. Its folder must be its owner's alone.
    pub fn at(file: impl Into<PathBuf>) -> Secrets {
        Secrets { file: file.into() }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The value of a secret.
    pub(crate) fn value(&self, secret: &str) -> Result<String, Error> {
        if let Some(value) = in_environment(secret)? {
            return Ok(value);
        }
        self.read()?.remove(secret).ok_or_else(|| Error::Missing { name: secret.into() })
    }

    /// The names of all, each with where its value is.
    pub fn list(&self) -> Result<Vec<(String, Place)>, Error> {
        let mut all: BTreeMap<String, Place> = self.read()?.into_keys().map(|name| (name, Place::File)).collect();
        for (variable, _) in std::env::vars_os() {
            let Some(secret) = variable.to_str().and_then(|variable| variable.strip_prefix(ENVIRONMENT)) else {
                continue;
            };
            if name(secret).is_ok() {
                all.insert(secret.into(), Place::Environment);
            }
        }
        Ok(all.into_iter().collect())
    }

    /// Keeps a new one.
    pub fn set(&self, secret: &str, value: &str) -> Result<(), Error> {
        self.change(secret, |all| match all.contains_key(secret) {
            true => Err(Error::Exists { name: secret.into() }),
            false => keep(all, secret, value),
        })
    }

    /// Replaces one. Agents that live keep the value with which they were started.
    pub fn rotate(&self, secret: &str, value: &str) -> Result<(), Error> {
        self.change(secret, |all| match all.contains_key(secret) {
            true => keep(all, secret, value),
            false => Err(Error::Missing { name: secret.into() }),
        })
    }

    /// Forgets one.
    pub fn remove(&self, secret: &str) -> Result<(), Error> {
        self.change(secret, |all| match all.remove(secret) {
            Some(_) => Ok(()),
            None => Err(Error::Missing { name: secret.into() }),
        })
    }

    /// Whether a folder would show the file to whoever was granted it.
    pub(crate) fn within(&self, folder: &Path) -> bool {
        let home = self.file.parent().and_then(|home| home.canonicalize().ok());
        let folder = folder.canonicalize().ok();
        home.zip(folder).is_some_and(|(home, folder)| home.starts_with(folder))
    }

    fn change(
        &self,
        secret: &str,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        name(secret).map_err(Error::Name)?;
        let broken = |error: std::io::Error| self.broken(&error);
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        private_folder(folder).map_err(broken)?;
        // Two changes at once would lose one of them.
        let lock = open(&self.file.with_extension("lock"), true).map_err(broken)?;
        lock.lock().map_err(broken)?;
        let mut all = self.read()?;
        change(&mut all)?;
        let lines = all.iter().map(|(name, value)| format!("{name} = {}\n", toml::Value::String(value.clone())));
        let text: String = lines.collect();
        // The old file stands until the new one is whole.
        let draft = self.file.with_extension("draft");
        let _ = std::fs::remove_file(&draft);
        let mut file = open(&draft, true).map_err(broken)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(broken)?;
        std::fs::rename(&draft, &self.file).map_err(broken)
    }

    fn read(&self) -> Result<BTreeMap<String, String>, Error> {
        let file = match open(&self.file, false) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(self.broken(&error)),
        };
        check(&self.file, &file.metadata().map_err(|error| self.broken(&error))?, "600")?;
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        check(folder, &std::fs::metadata(folder).map_err(|error| self.broken(&error))?, "700")?;
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text).map_err(|error| self.broken(&error))?;
        // What the parser says would repeat the line, and with it the value.
        let bad = || Error::File { path: self.file.clone(), reason: "it is not of lines NAME = \"value\"".into() };
        let table: toml::Table = text.parse().map_err(|_| bad())?;
        table
            .into_iter()
            .map(|(name, value)| Some((name, value.as_str()?.to_string())))
            .collect::<Option<_>>()
            .ok_or_else(bad)
    }

    fn broken(&self, error: &std::io::Error) -> Error {
        Error::File { path: self.file.clone(), reason: error.to_string() }
    }
}

fn in_environment(secret: &str) -> Result<Option<String>, Error> {
    match std::env::var(format!("{ENVIRONMENT}{secret}")) {
        Ok(value) => sound(secret, &value).map(|()| Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(_) => Err(Error::Value { name: secret.into(), problem: "is not text" }),
    }
}

fn keep(all: &mut BTreeMap<String, String>, secret: &str, value: &str) -> Result<(), Error> {
    sound(secret, value)?;
    all.insert(secret.into(), value.into());
    Ok(())
}

fn sound(secret: &str, value: &str) -> Result<(), Error> {
    let bad = |problem| Err(Error::Value { name: secret.into(), problem });
    match value {
        _ if value.len() < LEAST => bad("is shorter than 8 letters"),
        _ if value.len() > MOST => bad("is longer than 4096 letters"),
        _ if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => bad("has letters that no header can carry"),
        _ if value.trim() != value => bad("begins or ends with a space"),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn open(path: &Path, write: bool) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let follow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(write).create(write).truncate(false).mode(0o600).custom_flags(follow).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path, write: bool) -> std::io::Result<std::fs::File> {
    std::fs::OpenOptions::new().read(true).write(write).create(write).truncate(false).open(path)
}

#[cfg(unix)]
fn private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn private_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}

/// Refuses what others than its owner, or its owner if that is somebody else, could read.
#[cfg(unix)]
fn check(path: &Path, about: &std::fs::Metadata, mode: &str) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt as _;
    let exposed = |problem: String, advice: String| Err(Error::Exposed { path: path.into(), problem, advice });
    if about.uid() != rustix::process::geteuid().as_raw() {
        return exposed("it belongs to somebody else".into(), format!("chown it, and chmod {mode}"));
    }
    match about.mode() & 0o077 {
        0 => Ok(()),
        _ => exposed(
            format!("others may use it (mode {:o})", about.mode() & 0o777),
            format!("chmod {mode} {}", path.display()),
        ),
    }
}

/// Elsewhere the folder of a user's settings is the user's alone.
#[cfg(not(unix))]
fn check(_path: &Path, _about: &std::fs::Metadata, _mode: &str) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> (tempfile::TempDir, Secrets) {
        let folder = tempfile::tempdir().expect("a folder");
        let secrets = Secrets::at(folder.path().join("own/secrets.toml"));
        (folder, secrets)
    }

    #[test]
    fn a_secret_is_kept_replaced_listed_and_forgotten() {
        let (_folder, secrets) = secrets();
        assert_eq!(secrets.value("API_KEY"), Err(Error::Missing { name: "API_KEY".into() }));
        secrets.set("API_KEY", "one \"value\" \\ here").expect("it is kept");
        assert_eq!(secrets.value("API_KEY").as_deref(), Ok("one \"value\" \\ here"));
        assert_eq!(secrets.set("API_KEY", "another one"), Err(Error::Exists { name: "API_KEY".into() }));
        secrets.rotate("API_KEY", "another one").expect("it is replaced");
        assert_eq!(secrets.value("API_KEY").as_deref(), Ok("another one"));
        secrets.set("OTHER", "0123456789").expect("it is kept");
        let listed = secrets.list().expect("it is listed");
        assert!(listed.contains(&("API_KEY".into(), Place::File)) && listed.contains(&("OTHER".into(), Place::File)));
        secrets.remove("OTHER").expect("it is forgotten");
        assert!(secrets.value("OTHER").is_err() && secrets.rotate("OTHER", "0123456789").is_err());
    }

    #[test]
    fn no_refusal_repeats_a_value() {
        let (_folder, secrets) = secrets();
        let pasted = "sk-live-0123456789";
        let bad = [format!("{pasted}\n"), format!("{pasted} "), format!("{pasted}ü"), pasted.repeat(300)];
        for value in bad {
            let said = secrets.set("API_KEY", &value).expect_err("it is refused").to_string();
            assert!(!said.contains(pasted), "{said}");
        }
        assert!(secrets.set("API_KEY", "short").is_err());
        let said = secrets.set(pasted, "0123456789").expect_err("it is refused").to_string();
        assert!(!said.contains(pasted) && said.contains("API_KEY"), "{said}");
        std::fs::create_dir_all(secrets.file().parent().expect("a folder")).expect("made");
        secrets.set("A", "0123456789").expect("kept");
        std::fs::write(secrets.file(), format!("A = {pasted}")).expect("written");
        let said = secrets.value("A").expect_err("it is refused").to_string();
        assert!(!said.contains(pasted), "{said}");
    }

    #[cfg(unix)]
    #[test]
    fn what_others_could_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_folder, secrets) = secrets();
        secrets.set("API_KEY", "0123456789").expect("it is kept");
        let home = secrets.file().parent().expect("a folder").to_owned();
        let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(secrets.file()), mode(&home)), (0o600, 0o700));
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is mine");
        };
        for (path, bad, good) in [(secrets.file().to_owned(), 0o640, 0o600), (home, 0o755, 0o700)] {
            set(&path, bad);
            let said = secrets.value("API_KEY").expect_err("it is refused").to_string();
            assert!(said.contains(&format!("chmod {good:o}")), "{said}");
            set(&path, good);
            assert!(secrets.value("API_KEY").is_ok());
        }
        let elsewhere = secrets.file().with_extension("moved");
        std::fs::rename(secrets.file(), &elsewhere).expect("moved");
        std::os::unix::fs::symlink(&elsewhere, secrets.file()).expect("linked");
        assert!(secrets.value("API_KEY").is_err(), "a link is not followed");
    }
}

//! The agents that come inside the program, as they were last built.

use crate::problem::Problem;
use guest::Manifest;
use std::path::{Path, PathBuf};

/// An agent that comes inside the program.
pub(crate) struct Bundled {
    pub(crate) name: &'static str,
    manifest: &'static str,
    pub(crate) component: &'static [u8],
}

macro_rules! bundled {
    ($($name:literal),*) => {
        &[$(Bundled {
            name: $name,
            manifest: include_str!(concat!("../../../plugins/", $name, "/agent.toml")),
            component: include_bytes!(concat!("../../../plugins/", $name, "/", $name, ".wasm")),
        }),*]
    };
}

/// All of them.
pub(crate) const ALL: &[Bundled] =
    bundled!["apprentice", "curator", "journeyman", "messenger", "mischief", "navigator", "polyglot", "sage"];

/// The one of that name.
pub(crate) fn named(name: &str) -> Option<&'static Bundled> {
    ALL.iter().find(|bundled| bundled.name == name)
}

impl Bundled {
    /// What it may use and reach.
    pub(crate) fn manifest(&self) -> Result<Manifest, Problem> {
        Ok(Manifest::parse(self.manifest, &self.path())?)
    }

    /// Its manifest's text.
    pub(crate) fn text(&self) -> &'static str {
        self.manifest
    }

    /// Where its manifest would lie. For messages.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new(self.name).join("agent.toml")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named_as_its_manifest_says() {
        for bundled in ALL {
            assert_eq!(bundled.manifest().expect("it is good").name, bundled.name);
        }
    }
}

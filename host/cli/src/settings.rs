//! The settings of a `village.toml`, for a village and for those who run agents without one.

use crate::problem::Problem;
use crate::source::read_file;
use guest::Builder;
use hall::Config;
use std::path::{Path, PathBuf};

/// Settings that are taken if they are there.
pub(crate) const CONFIG: &str = "village.toml";

/// A host with the back ends of models of a settings file: the one that is named, or else one in `folder`. They are opened if an
/// agent is granted models.
pub(crate) fn with_models(
    builder: Builder,
    granted: bool,
    file: Option<&Path>,
    folder: &Path,
) -> Result<Builder, Problem> {
    let settings = config(file, folder)?.and_then(|config| config.models);
    match settings.filter(|_| granted) {
        Some(models) => Ok(builder.models(hall::open_models(&models)?)),
        None => Ok(builder),
    }
}

/// The settings, if there are any.
pub(crate) fn config(file: Option<&Path>, folder: &Path) -> Result<Option<Config>, Problem> {
    let beside: PathBuf = folder.join(CONFIG);
    let path = match file {
        Some(file) => file,
        None if beside.is_file() => &beside,
        None => return Ok(None),
    };
    let text = String::from_utf8(read_file(path)?)
        .map_err(|_| Problem::new("config", format!("{}: it is not text", path.display())))?;
    Ok(Some(Config::parse(&text, path)?))
}

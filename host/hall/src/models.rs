//! Who answers the prompts of agents: opened before the first of them wakes.

use crate::error::Error;
use crate::registry::apart;
use guest::Secrets;
use model::{Keys, Router, Settings, Trust};
use std::path::PathBuf;
use std::sync::Arc;

/// Opens the back ends, if any are named. Their keys are in the environment, or with the user's secrets.
pub(crate) async fn open(settings: Option<Settings>) -> Result<Option<Arc<Router>>, Error> {
    let Some(settings) = settings else { return Ok(None) };
    let keys = Keys::at(Secrets::of_user().map(|secrets| secrets.file().to_owned()));
    let roots = std::env::var_os("VILLAGE_CA_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let trust = Arc::new(Trust::new(roots));
    let opened = apart(move || Ok::<_, store::Error>(settings.open(&keys, &trust))).await?;
    match opened {
        Ok(router) => Ok(Some(Arc::new(router))),
        Err(error) => Err(Error::Load { kind: "models", text: error.to_string() }),
    }
}

//! Who answers the prompts of agents: opened before the first of them wakes.

use crate::error::Error;
use crate::registry::apart;
use guest::Secrets;
use model::{Grant, Keys, Router, Settings, Trust};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Opens the back ends, if any are named.
pub(crate) async fn begin(settings: Option<Settings>) -> Result<Option<Arc<Router>>, Error> {
    let Some(settings) = settings else { return Ok(None) };
    apart(move || Ok::<_, store::Error>(open(&settings))).await?.map(Some)
}

/// Opens back ends. Their keys are in the environment, or with the user's secrets. Reads weights, and blocks for as long.
pub fn open(settings: &Settings) -> Result<Arc<Router>, Error> {
    let (keys, trust) = means();
    match settings.open(&keys, &trust) {
        Ok(router) => Ok(Arc::new(router)),
        Err(error) => Err(Error::Load { kind: "models", text: error.to_string() }),
    }
}

fn means() -> (Keys, Arc<Trust>) {
    let keys = Keys::at(Secrets::of_user().map(|secrets| secrets.file().to_owned()));
    let roots = std::env::var_os("VILLAGE_CA_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    (keys, Arc::new(Trust::new(roots)))
}

/// How long a back end may take to say which models it has.
const PATIENCE: Duration = Duration::from_secs(5);

/// Each back end by its name, with its models, or why it does not answer: those elsewhere all at once, and none for longer
/// than some seconds. Reads weights, and blocks for as long.
pub async fn attempt(settings: &Settings) -> Vec<(String, Result<Vec<String>, String>)> {
    let (keys, trust) = means();
    let until = Instant::now() + PATIENCE;
    let mut asked = JoinSet::new();
    for (place, chosen) in settings.backends.iter().enumerate() {
        let (name, opened) = (chosen.name.clone(), chosen.open(&keys, &trust));
        asked.spawn(async move {
            let listed = match opened {
                Ok(backend) => timeout_at(until, backend.list(until)).await.unwrap_or(Err(model::Error::Timeout)),
                Err(error) => return (place, name, Err(error.to_string())),
            };
            let names = |listed: Vec<model::Listed>| listed.into_iter().map(|listed| listed.name).collect();
            (place, name, listed.map(names).map_err(|error| error.to_string()))
        });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(place, ..)| *place);
    let mut all: Vec<_> = answers.into_iter().map(|(_, name, listed)| (name, listed)).collect();
    for inside in &settings.inside {
        let only = Settings { inside: vec![inside.clone()], ..Settings::default() };
        let listed = match only.open(&keys, &trust) {
            Ok(router) => {
                let every = Grant::parse(["*"]).unwrap_or_default();
                let listed = router.models(&every, Instant::now() + PATIENCE).await;
                Ok(listed.into_iter().map(|listed| listed.name).collect())
            }
            Err(error) => Err(error.to_string()),
        };
        all.push((inside.settings.name.clone(), listed));
    }
    all
}

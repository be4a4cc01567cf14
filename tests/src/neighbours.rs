//! Whole villages beside each other, in one process, over memory as the way.

use crate::abroad::{settings, until};
use crate::{builder, guest as component};
use guest::Payload;
use hall::{Deployment, Letter, Options, Terms, Village};
use mesh::Mesh;
use mesh::fault::Weather;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A village over a folder.
pub async fn open(folder: &Path, seed: u64) -> Village {
    open_with(folder, seed, Terms::default()).await
}

/// The same, of which others may have this.
pub async fn open_with(folder: &Path, seed: u64, terms: Terms) -> Village {
    let mesh = Some(settings(folder, &Weather::new(seed | 1), seed | 1));
    let options = Options { data: folder.join("data"), mesh, terms, ..Options::default() };
    Village::begin(builder(16), options).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Its mesh.
pub fn mesh(village: &Village) -> &Mesh {
    village.mesh().expect("it has one")
}

/// Two villages that know each other, with their folders.
pub async fn pair(seed: u64) -> ([TempDir; 2], Village, Village) {
    let folders = [0, 1].map(|_| tempfile::tempdir().expect("a temporary folder can be made"));
    let (here, there) = (open(folders[0].path(), seed).await, open(folders[1].path(), seed + 1).await);
    meet(&here, &there).await;
    (folders, here, there)
}

/// Has the second one join the first.
pub async fn meet(here: &Village, there: &Village) {
    let invitation = mesh(here).invite(1, Duration::from_secs(60)).await.expect("it invites");
    mesh(there).join(&invitation).await.expect("it joins");
    until("they know each other", || async {
        mesh(here).members().await.is_ok_and(|members| members.len() == 1)
            && mesh(here).links().await.is_ok_and(|links| links.len() == 1)
    })
    .await;
}

/// Deploys a guest; `more` is what follows in its manifest, after `[grants]` and `state = true`.
pub async fn deploy(village: &Village, guest: &str, name: &str, more: &str) {
    deploy_as(village, guest, &format!("name = \"{name}\"\ncomponent = \"x.wasm\"\n[grants]\nstate = true\n{more}"))
        .await;
}

/// The same with this under `[agent]`.
pub async fn deploy_as(village: &Village, guest: &str, manifest: &str) {
    let digest = village.upload(component(guest).to_vec()).await.unwrap_or_else(|error| panic!("{error}")).digest;
    let deployment = Deployment {
        digest: Some(digest.parse().expect("a digest")),
        manifest: Some((format!("[agent]\n{manifest}"), PathBuf::from("/nowhere/agent.toml"))),
        ..Deployment::default()
    };
    village.deploy(deployment).await.unwrap_or_else(|error| panic!("{manifest}: {error}"));
}

/// A message for a skill.
pub fn letter(skill: &str, body: &str) -> Letter {
    Letter::new(skill, Payload { content_type: String::new(), body: body.into() })
}

/// What comes of one, as text.
pub async fn asked(village: &Village, name: &str, skill: &str, body: &str) -> Result<String, String> {
    let came = village.ask(name, letter(skill, body)).await.map_err(|error| format!("{}: {error}", error.kind()))?;
    let payload = came.outcome.map_err(|failed| failed.to_string())?;
    Ok(String::from_utf8(payload.body).expect("it writes text"))
}

/// The agents that the village believes to have a skill.
pub async fn known(village: &Village, skill: &str) -> Vec<String> {
    let found = mesh(village).find(skill).await.unwrap_or_default();
    found.into_iter().map(|found| format!("{} {}", found.agent, found.version)).collect()
}

/// Ends it.
pub async fn close(village: Village) {
    village.stop(Duration::from_secs(5)).await;
    village.close().await.unwrap_or_else(|error| panic!("{error}"));
}

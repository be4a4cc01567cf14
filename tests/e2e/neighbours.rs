//! Whole villages beside each other: what a client sends to another one, what others are told of open agents, dead letters.

use guest::Payload;
use hall::{Deployment, Letter, Options, Village};
use mesh::fault::Weather;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tests::abroad::{seed, settings, until};
use tests::{builder, guest as component};

async fn open(folder: &Path, seed: u64) -> Village {
    let mesh = Some(settings(folder, &Weather::new(seed | 1), seed | 1));
    let options = Options { data: folder.join("data"), mesh, ..Options::default() };
    Village::begin(builder(16), options).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn deploy(village: &Village, guest: &str, name: &str, grants: &str) {
    let digest = village.upload(component(guest).to_vec()).await.unwrap_or_else(|error| panic!("{error}")).digest;
    let text = format!("[agent]\nname = \"{name}\"\ncomponent = \"x.wasm\"\n[grants]\nstate = true\n{grants}");
    let deployment = Deployment {
        digest: Some(digest.parse().expect("a digest")),
        manifest: Some((text, PathBuf::from("/nowhere/agent.toml"))),
        ..Deployment::default()
    };
    village.deploy(deployment).await.unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn letter(skill: &str, body: &str) -> Letter {
    Letter::new(skill, Payload { content_type: String::new(), body: body.into() })
}

async fn asked(village: &Village, name: &str, skill: &str, body: &str) -> Result<String, String> {
    let came = village.ask(name, letter(skill, body)).await.map_err(|error| format!("{}: {error}", error.kind()))?;
    let payload = came.outcome.map_err(|failed| failed.to_string())?;
    Ok(String::from_utf8(payload.body).expect("it writes text"))
}

/// The agents that the village believes to have a skill.
async fn known(village: &Village, skill: &str) -> Vec<String> {
    let found = village.mesh().expect("it has one").find(skill).await.unwrap_or_default();
    found.into_iter().map(|found| format!("{} {}", found.agent, found.version)).collect()
}

async fn close(village: Village) {
    village.stop(Duration::from_secs(5)).await;
    village.close().await.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn villages_know_each_others_open_agents_and_send_to_them() {
    let folders = [0, 1].map(|_| tempfile::tempdir().expect("a temporary folder can be made"));
    let seed = seed();
    let (here, there) = (open(folders[0].path(), seed).await, open(folders[1].path(), seed + 1).await);
    let mesh = |village: &Village| village.mesh().cloned().expect("it has one");
    let invitation = mesh(&here).invite(1, Duration::from_secs(60)).await.expect("it invites");
    mesh(&there).join(&invitation).await.expect("it joins");
    until("they know each other", || async {
        mesh(&here).members().await.is_ok_and(|members| members.len() == 1)
            && mesh(&here).links().await.is_ok_and(|links| links.len() == 1)
    })
    .await;
    deploy(&there, "herald", "hermes", "public = true").await;
    deploy(&there, "clerk", "shut", "").await;
    until("who is open is known", || async { known(&here, "whoami").await == ["hermes 2.3.4"] }).await;
    assert!(known(&here, "note").await.is_empty(), "who is shut is not");

    let peer = mesh(&there).peer();
    let hermes = format!("hermes@{peer}");
    let said = asked(&here, &hermes, "whoami", "null").await.expect("it is answered");
    assert!(said.contains(&format!("Client('{}')", mesh(&here).peer())), "{said}");
    let refused = asked(&here, &format!("shut@{peer}"), "lines", "null").await.expect_err("it is refused");
    assert!(refused.starts_with("denied: ") && refused.contains("no grant `public`"), "{refused}");
    let refused = asked(&here, "hermes@zzz", "lines", "null").await.expect_err("there is none");
    assert!(refused.starts_with("unknown-agent: "), "{refused}");

    // What nobody waits for is brought there, or comes back as a dead letter that is tried again.
    here.tell(&hermes, letter("whoami", "null")).await.expect("it is kept");
    until("it is there", || async {
        asked(&there, "hermes", "lines", "null").await.is_ok_and(|lines| lines.matches("asked by").count() == 2)
    })
    .await;
    let shut = format!("shut@{peer}");
    here.tell(&shut, letter("note", "one")).await.expect("it is kept");
    until("it came back", || async { here.dead_letters(Some(&shut), 9).is_ok_and(|dead| dead.len() == 1) }).await;
    let dead = here.dead_letters(Some(&shut), 9).expect("it can be read").remove(0);
    assert_eq!((dead.kind.as_str(), dead.from.as_str(), dead.skill.as_str()), ("denied", "client", "note"));
    there.remove("shut").await.expect("it is removed");
    deploy(&there, "clerk", "shut", "public = true").await;
    here.redrive(&shut, &dead.id).await.expect("it is there");
    until("it is there now", || async { asked(&there, "shut", "lines", "null").await == Ok("[\"one\"]".into()) }).await;
    assert!(here.dead_letters(Some(&shut), 9).expect("it can be read").is_empty());

    // A stopped agent's messages wait for it, and others look elsewhere meanwhile.
    there.stop_agent("hermes").await.expect("it is stopped");
    until("nobody has it", || async { known(&here, "whoami").await.is_empty() }).await;
    here.tell(&hermes, letter("whoami", "null")).await.expect("it is kept");
    there.start_agent("hermes").await.expect("it is started");
    until("it is handled", || async {
        asked(&there, "hermes", "lines", "null").await.is_ok_and(|lines| lines.matches("asked by").count() == 3)
    })
    .await;
    until("it is known again", || async { known(&here, "whoami").await == ["hermes 2.3.4"] }).await;
    close(here).await;
    close(there).await;
}

//! Whole villages beside each other: what a client sends to another one, what others are told of open agents, dead letters.

use tests::abroad::{seed, until};
use tests::neighbours::{asked, close, deploy, known, letter, mesh, pair};

#[tokio::test(flavor = "multi_thread")]
async fn villages_know_each_others_open_agents_and_send_to_them() {
    let (_folders, here, there) = pair(seed()).await;
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

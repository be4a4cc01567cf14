//! Whoever has a skill, asked by agents and by clients: the best, and the next one of the same or another village.

use agents::REPLIES;
use hall::{Letter, Options, Village};
use std::time::Duration;
use tests::abroad::{Place, places, seed, until};
use tests::builder;
use tests::lasting::EAGER;
use tests::neighbours::{asked, close, deploy, known, letter, mesh, pair};

const SEEK: &str = r#"{"to":"","text":"x"}"#;

fn card(agent: &str, load: u8) -> mesh::Card {
    mesh::Card { agent: agent.into(), version: "2.3.4".into(), skills: vec!["whoami".into()], load }
}

async fn herald(place: &Place, name: &str, open: &[&str]) {
    let village = place.village();
    let version = village.host.load(tests::guest("herald")).await.unwrap_or_else(|error| panic!("{error}"));
    village.enrol_with(name, version, EAGER, open);
    place.serve();
}

/// Replies that a village keeps for others.
fn replies(place: &Place) -> usize {
    let all = place.village().books.store().read().scan(REPLIES.all(), None, 99).expect("it can be read");
    all.into_iter().filter(|(id, _)| id.starts_with('@')).count()
}

async fn found(place: &Place, count: usize) {
    until("all are found", || async { place.mesh().find("whoami").await.is_ok_and(|found| found.len() == count) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_best_of_a_village_is_gone_the_next_one_there_is_asked() {
    let all = places(2, seed()).await;
    herald(&all[0], "ada", &["state", "mesh=skill/whoami"]).await;
    for name in ["bob", "eve"] {
        herald(&all[1], name, &["state", "public"]).await;
    }
    herald(&all[1], "shut", &["state"]).await;
    // One that is not there, one that is not open, and two that are.
    let cards = vec![card("gone", 0), card("shut", 10), card("bob", 50), card("eve", 90)];
    all[1].mesh().advertise(cards).await.expect("it is said");
    found(&all[0], 4).await;
    all[0].village().post("ada", "seek", SEEK).await.expect("bob answers");
    let lines = async |name: &str| all[1].village().lines(name).await.len();
    assert_eq!((lines("bob").await, lines("eve").await, lines("shut").await), (1, 0, 0));
    until("nothing is kept of what is settled", || async { replies(&all[1]) == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_best_is_of_this_village_and_gone_the_next_one_here_is_asked() {
    let all = places(2, seed()).await;
    herald(&all[0], "ada", &["state", "mesh=skill/whoami", "public"]).await;
    herald(&all[0], "iris", &["state", "public"]).await;
    // The asker itself has the skill, too: it does not ask itself.
    all[0].mesh().advertise(vec![card("ada", 0), card("gone", 0), card("iris", 40)]).await.expect("it is said");
    found(&all[0], 3).await;
    let answer = all[0].village().post("ada", "seek", SEEK).await.expect("iris answers");
    assert!(answer.contains("Agent('ada')"), "{answer}");
    assert_eq!(all[0].village().lines("iris").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reply_to_whoever_asked_by_skill_goes_when_that_turn_is_done_and_not_before() {
    let all = places(2, seed()).await;
    herald(&all[0], "ada", &["state", "mesh=skill/whoami"]).await;
    herald(&all[1], "bob", &["state", "public"]).await;
    all[1].mesh().advertise(vec![card("bob", 0)]).await.expect("it is said");
    found(&all[0], 1).await;
    // Its first three tries fail after the answer was there.
    let order = r#"{"to":"","text":"x","fail":3}"#;
    let turn = all[0].village().post("ada", "seek", order);
    let seen = async {
        let mut most = 0;
        loop {
            most = most.max(replies(&all[1]));
            tokio::time::sleep(Duration::from_millis(2)).await;
            if most > 0 {
                return most;
            }
        }
    };
    let (answer, most) = tokio::join!(turn, seen);
    assert!(answer.is_ok() && most == 1, "{answer:?}, {most}");
    assert_eq!(all[1].village().lines("bob").await.len(), 1, "the reply was kept for it");
    until("it is gone", || async { replies(&all[1]) == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_asks_by_skill_as_an_agent_does() {
    let (_folders, here, there) = pair(seed()).await;
    deploy(&there, "herald", "hermes", "public = true").await;
    until("who is open is known", || async { known(&here, "whoami").await == ["hermes 2.3.4"] }).await;
    let ask = async |skill: &str| asked(&here, "skill:whoami", skill, "null").await;
    let peer = mesh(&here).peer();
    let said = ask("").await.expect("hermes answers");
    assert!(said.contains(&format!("Client('{peer}')")), "{said}");

    // The best of that village is not there: the next one is asked.
    mesh(&there).advertise(vec![card("gone", 0), card("hermes", 60)]).await.expect("it is said");
    until("both are known", || async { known(&here, "whoami").await.len() == 2 }).await;
    assert!(ask("whoami").await.expect("hermes answers").contains(&format!("Client('{peer}')")));

    // One of this village is nearer than all others; its message is kept as any.
    deploy(&here, "herald", "iris", "public = true").await;
    until("it is known", || async { known(&here, "whoami").await.first().is_some_and(|one| one.starts_with("iris")) })
        .await;
    assert_eq!(ask("").await.expect("iris answers"), "Sender::Client('')");
    assert_eq!(asked(&here, "iris", "lines", "null").await.expect("its lines").matches("asked by").count(), 1);
    // What it says no to is an answer, and nobody else is asked.
    let lines = asked(&here, "skill:whoami", "greet", "5").await.expect_err("greet wants an order");
    assert!(!lines.starts_with("unknown-agent"), "{lines}");

    for (address, kind, words) in [
        ("skill:fly", "unknown-agent", "nobody that is known has the skill `fly`"),
        ("skill:", "bad-request", "which skill?"),
    ] {
        let refused = asked(&here, address, "", "null").await.expect_err(address);
        assert!(refused.starts_with(kind) && refused.contains(words), "{refused}");
    }
    let refused = here.tell("skill:whoami", letter("", "null")).await.expect_err("it is asked");
    assert!(refused.kind() == "bad-request" && refused.to_string().contains("has one receiver"), "{refused}");
    let keyed = Letter { key: Some("k".into()), ..letter("", "null") };
    let refused = here.ask("skill:whoami", keyed).await.expect_err("keys are of agents of this village");
    assert!(refused.kind() == "bad-request" && refused.to_string().contains("no `key`"), "{refused}");
    close(here).await;
    close(there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_village_that_can_not_be_reached_is_passed_over_within_the_clients_patience() {
    let (_folders, here, there) = pair(seed()).await;
    deploy(&there, "herald", "hermes", "public = true").await;
    until("who is open is known", || async { known(&here, "whoami").await == ["hermes 2.3.4"] }).await;
    close(there).await;
    let begun = std::time::Instant::now();
    let patience = Duration::from_millis(700);
    let refused = here.ask_within("skill:whoami", letter("", "null"), patience).await.expect_err("it is gone");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(refused.to_string().contains("can't be reached") || refused.kind() == "unknown-agent", "{refused}");
    close(here).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_village_without_a_mesh_says_so_to_whoever_asks_by_skill() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let options = Options { data: folder.path().join("data"), ..Options::default() };
    let village = Village::begin(builder(4), options).await.unwrap_or_else(|error| panic!("{error}"));
    let refused = asked(&village, "skill:whoami", "", "null").await.expect_err("it is alone");
    assert!(refused.starts_with("no-mesh: "), "{refused}");
    close(village).await;
}

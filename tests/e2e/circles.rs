//! Agents of several villages that wait for each other in a ring, and parts of replies that cross villages.

use agents::REPLIES;
use guest::Retry;
use std::time::Duration;
use tests::abroad::{Place, places, seed, until};
use tests::neighbours::{asked, close, deploy, known, letter, mesh, pair};

/// An agent that runs `family`, that may ask all and that all may ask.
async fn family(place: &Place, name: &str, deadline: &str) {
    let limits = format!("deadline={deadline},memory=12MiB,messages=1000/s,children=3");
    let open = ["state", "agents=*", "agents=*@*", "mesh=*", "public"];
    place.village().enrol_guest(name, "family", &limits, &open).await;
    place.village().host.change(name, |enrolment| enrolment.retry = Retry::NEVER);
    place.serve();
}

fn short(place: &Place) -> String {
    mesh::short(&place.peer().to_base58()).to_string()
}

async fn said(place: &Place, name: &str, line: &str) -> String {
    match place.village().fast(name, "ask", line).await {
        Ok(said) => said,
        Err(no) => no.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_of_two_villages_is_named_when_the_time_is_up() {
    let all = places(2, seed()).await;
    family(&all[0], "one", "800ms").await;
    family(&all[1], "two", "5s").await;
    let (one, two) = (all[0].address("one"), all[1].address("two"));
    let no = said(&all[0], "one", &format!("{two} ask | {one} who")).await;
    let ring = format!(": it waits in a ring of asks: one -> two@{} -> one", short(&all[1]));
    assert_eq!(no, format!("error: timeout the other agent took too long{ring}"));
    let well = said(&all[0], "one", &format!("{two} who")).await;
    assert_eq!(well, format!("agent {one}"), "nobody is stuck");
    // What is only slow is no ring.
    let slow = said(&all[0], "one", &format!("{two} spin 200")).await;
    assert!(!slow.contains("ring"), "{slow}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_of_three_villages_is_named_from_whoever_waits() {
    let all = places(3, seed()).await;
    family(&all[0], "a", "5s").await;
    family(&all[1], "b", "900ms").await;
    family(&all[2], "c", "5s").await;
    let (a, b, c) = (all[0].address("a"), all[1].address("b"), all[2].address("c"));
    // The second one's time is up first. It has heard of the ring from the first one's village, and says so.
    let told = said(&all[0], "a", &format!("{b} ask | {c} ask | {a} who")).await;
    let ring = format!("it waits in a ring of asks: b -> c@{} -> a@{} -> b", short(&all[2]), short(&all[0]));
    assert_eq!(told, format!("error: timeout the other agent took too long: {ring}"));
    // An ask's own time-out names it as well, where that village learns of it from another one.
    let told = said(&all[1], "b", &format!("{c} ask | {a} ask 500 | {b} who 400")).await;
    let ring = format!("it waits in a ring of asks: a -> b@{} -> c@{} -> a", short(&all[1]), short(&all[2]));
    assert_eq!(told, format!("error: timeout the other agent took too long: {ring}"));
    assert_eq!(said(&all[0], "a", &format!("{b} ask | {c} who")).await, format!("agent {b}"), "nobody is stuck");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_leads_through_two_agents_of_one_village_is_named() {
    let all = places(2, seed()).await;
    family(&all[0], "a", "5s").await;
    family(&all[0], "d", "900ms").await;
    family(&all[1], "b", "5s").await;
    let (a, b) = (all[0].address("a"), all[1].address("b"));
    // `a` waits for `d` here, which waits for `b` there, which waits for `a`: only `d` and `b` have asked abroad.
    let told = said(&all[0], "a", &format!("d ask | {b} ask | {a} who")).await;
    let ring = format!("it waits in a ring of asks: d -> b@{} -> a -> d", short(&all[1]));
    assert!(told.ends_with(&ring), "{told}");
    // Also where the time is up of one that has asked nobody abroad itself.
    family(&all[0], "e", "900ms").await;
    family(&all[0], "f", "5s").await;
    let told = said(&all[0], "e", &format!("f ask | {b} ask | {} who", all[0].address("e"))).await;
    let ring = format!("it waits in a ring of asks: e -> f -> b@{} -> e", short(&all[1]));
    assert!(told.contains("deadline") && told.ends_with(&ring), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_reply_cross_villages_while_the_turn_runs_and_the_reply_stands() {
    let all = places(2, seed()).await;
    family(&all[0], "one", "5s").await;
    family(&all[1], "two", "5s").await;
    let two = all[1].address("two");
    let heard = all[0].village().fast("one", "hear", &format!("{two} | a b c")).await.expect("it is answered");
    assert_eq!(heard, "a+b+c = a b c");
    // Of a turn that is kept as well; and nothing of it stays.
    let heard = all[0].village().post("one", "hear", &format!("{two} | d e")).await.expect("it is answered");
    assert_eq!(heard, "d+e = d e");
    until("the reply is kept no more", || async {
        let read = all[1].village().books.store().read();
        read.scan(REPLIES.all(), None, 9).is_ok_and(|rows| rows.is_empty())
    })
    .await;
    // One that says more than whoever asks has memory for is answered all the same.
    let flood = said(&all[0], "one", &format!("{two} flood | 400")).await;
    assert!(flood == "400" || flood.contains("limit"), "{flood}");
    let one = all[0].address("one");
    assert_eq!(said(&all[0], "one", &format!("{two} who")).await, format!("agent {one}"), "and it goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_hears_parts_of_a_reply_of_another_village() {
    let (_folders, here, there) = pair(seed()).await;
    deploy(&there, "family", "two", "public = true").await;
    let address = format!("two@{}", mesh(&there).peer());
    until("it can be reached", || async { asked(&here, &address, "who", "").await.is_ok() }).await;
    let hear = async |to: &str| {
        let mut parts = Vec::new();
        let came = here.listen(to, letter("emit", "x y z"), |part| parts.push(String::from_utf8(part).expect("text")));
        let came = came.await.unwrap_or_else(|error| panic!("{to}: {error}"));
        let body = came.outcome.expect("it is answered").body;
        (parts, String::from_utf8(body).expect("text"))
    };
    let wanted = (["x", "y", "z"].map(String::from).to_vec(), "x y z".to_string());
    assert_eq!(hear(&address).await, wanted);
    until("its skills are known", || async { !known(&here, "emit").await.is_empty() }).await;
    assert_eq!(hear("skill:emit").await, wanted);
    deploy(&here, "family", "near", "public = true").await;
    until("it is known", || async { known(&here, "emit").await.len() == 2 }).await;
    assert_eq!(hear("skill:emit").await, wanted, "one of this village");
    tokio::time::sleep(Duration::from_millis(50)).await;
    close(here).await;
    close(there).await;
}

//! What villages may have of each other, and how much an agent that came from elsewhere may use.

use base::Digest;
use hall::{Adoption, Terms, Village};
use tests::abroad::seed;
use tests::neighbours::{asked, close, deploy, deploy_as, meet, mesh, open_with, pair};
use tests::{budget, guest};

async fn adopted(village: &Village, agent: &str, from: &Village) -> Result<hall::Adopted, String> {
    let peer = mesh(from).peer().to_string();
    let adoption = Adoption { peer, agent: agent.into(), grants: vec!["state".into()], ..Adoption::default() };
    village.adopt(adoption).await.map_err(|error| format!("{}: {error}", error.kind()))
}

fn used(adopted: &hall::Adopted, field: &str) -> String {
    adopted.row.budget.iter().find(|(name, _)| name == field).map(|(_, text)| text.clone()).expect("a field")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_keeps_to_itself_others_can_not_have() {
    let (_folders, here, there) = pair(seed()).await;
    deploy(&there, "clerk", "open", "").await;
    deploy_as(&there, "herald", "name = \"own\"\ncomponent = \"x.wasm\"\nshare = false\n[grants]\nstate = true\n")
        .await;
    let (clerk, herald) = (Digest::of(guest("clerk")), Digest::of(guest("herald")));
    let from = mesh(&there).peer().to_string();
    here.fetch(clerk, Some(&from)).await.unwrap_or_else(|error| panic!("{error}"));
    adopted(&here, "open", &there).await.expect("it is shared");
    let refused = here.fetch(herald, Some(&from)).await.expect_err("it is not shared");
    assert!(refused.to_string().contains("is not shared with other villages"), "{refused}");
    let refused = adopted(&here, "own", &there).await.expect_err("it is not shared");
    assert!(refused.starts_with("refused-by-peer: ") && refused.contains("`own` is not shared"), "{refused}");
    // Nor if another one that is shared is made of the same.
    deploy(&there, "herald", "same", "").await;
    here.fetch(herald, Some(&from)).await.expect_err("an agent keeps it to itself");
    // Once nobody does, it can be had.
    there.remove("own").await.expect("it goes");
    here.fetch(herald, Some(&from)).await.unwrap_or_else(|error| panic!("{error}"));
    close(here).await;
    close(there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_others_could_have_is_taken_back_when_an_agent_keeps_it_to_itself() {
    let (folders, here, there) = pair(seed()).await;
    deploy(&there, "herald", "first", "").await;
    let from = mesh(&there).peer().to_string();
    here.fetch(Digest::of(guest("herald")), Some(&from)).await.unwrap_or_else(|error| panic!("{error}"));
    let lent = folders[1].path().join("data/mesh/blobs");
    let count = || std::fs::read_dir(&lent).map_or(0, Iterator::count);
    assert_eq!(count(), 1, "it lies where others fetch it");
    deploy_as(&there, "herald", "name = \"own\"\ncomponent = \"x.wasm\"\nshare = false\n").await;
    assert_eq!(count(), 0, "it does no more");
    close(here).await;
    close(there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_village_may_share_nothing() {
    let folders = [0, 1].map(|_| tempfile::tempdir().expect("a temporary folder can be made"));
    let seed = seed();
    let terms = Terms { share: false, ..Terms::default() };
    let here = open_with(folders[0].path(), seed, Terms::default()).await;
    let there = open_with(folders[1].path(), seed + 1, terms).await;
    meet(&here, &there).await;
    deploy(&there, "clerk", "open", "public = true").await;
    let from = mesh(&there).peer().to_string();
    let refused = here.fetch(Digest::of(guest("clerk")), Some(&from)).await.expect_err("nothing is shared");
    assert!(refused.to_string().contains("is not shared"), "{refused}");
    adopted(&here, "open", &there).await.expect_err("nothing is shared");
    assert_eq!(
        asked(&here, &format!("open@{from}"), "lines", "null").await.as_deref(),
        Ok("[]"),
        "it is open all the same"
    );
    close(here).await;
    close(there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_another_village_may_use_no_more_than_this_one_lets_it() {
    let folders = [0, 1].map(|_| tempfile::tempdir().expect("a temporary folder can be made"));
    let seed = seed();
    let adopt = [("memory", "48MiB"), ("cpu", "40%")].map(|(field, text)| (field.to_string(), text.to_string()));
    let terms = Terms { adopt: adopt.into(), ..Terms::default() };
    let here = open_with(folders[0].path(), seed, terms).await;
    let there = open_with(folders[1].path(), seed + 1, Terms::default()).await;
    meet(&here, &there).await;
    let limits = "[budget]\nmemory = \"300MiB\"\ncpu = \"30%\"\nmessages = 5000\nlog = \"1KiB\"\n";
    deploy(&there, "clerk", "large", limits).await;
    let got = adopted(&here, "large", &there).await.expect("it is deployed");
    let limit = budget("memory=48MiB,cpu=30%,messages=100,log=1KiB");
    let wanted: Vec<_> = limit.exact().into_iter().map(|(field, text)| (field.to_string(), text)).collect();
    for field in ["memory", "cpu", "messages", "log"] {
        let wanted = wanted.iter().find(|(name, _)| name == field).map(|(_, text)| text.clone()).expect("a field");
        assert_eq!(used(&got, field), wanted, "{field}");
    }
    let less: Vec<_> = got.less.iter().map(|(field, there)| format!("{field}={there}")).collect();
    assert_eq!(less, ["memory=300MiB", "messages=5000/s"]);
    // Whoever deploys it may say otherwise.
    let adoption = Adoption {
        peer: mesh(&there).peer().to_string(),
        agent: "large".into(),
        name: Some("second".into()),
        budget: vec![("memory".into(), "100MiB".into())],
        ..Adoption::default()
    };
    let got = here.adopt(adoption).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(used(&got, "memory"), format!("{}B", 100 << 20));
    assert_eq!(got.less.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(), ["messages"]);
    close(here).await;
    close(there).await;
}

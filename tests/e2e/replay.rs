//! Recorded turns, run again: the same where nothing changed, and named where something did.

use agents::{Entry, Event};
use guest::{Record, Replayed};
use tests::lasting::Lasting;
use tests::{budget, grants, guest};

const ORDER: &str = r#"{"to":"bob","text":"a line","fail":1}"#;

/// The recorded turns of an agent, in their order.
fn turns(village: &Lasting, agent: &str) -> Vec<(Entry, Record)> {
    let records = village.books.store().read().journal(0..u64::MAX, usize::MAX).expect("it can be read");
    let events = records.iter().filter_map(|record| record.read::<Event>().expect("it is an event"));
    let entries = events.filter_map(|event| match event {
        Event::Turn(entry) if entry.agent == agent => Some(*entry),
        _ => None,
    });
    entries.map(|entry| (entry.clone(), Record::read(&entry.record).expect("it was recorded"))).collect()
}

async fn again(village: &Lasting, version: &[u8], record: &Record) -> Replayed {
    let version = village.host.load(version).await.unwrap_or_else(|error| panic!("{error}"));
    let grants = grants(&["state", "agents=*"]);
    village.host.replay(&version, record, budget(""), &grants).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn village(folder: &tempfile::TempDir) -> Lasting {
    Lasting::open(folder.path()).await.clerks(&["ada", "bob"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_is_run_again_does_the_same_and_nothing_of_it_leaves() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = village(&folder).await;
    for skill in ["pass", "ask"] {
        village.post("ada", skill, ORDER).await.unwrap_or_else(|error| panic!("{skill}: {error}"));
    }
    let kept = (village.lines("ada").await, village.lines_when("bob", 2).await);
    let turns = turns(&village, "ada");
    assert_eq!(turns.len(), 4, "each was tried twice");
    for (entry, record) in &turns {
        let replayed = again(&village, guest("clerk"), record).await;
        assert_eq!(replayed.differs, Vec::<String>::new(), "{} {}: {}", entry.skill, entry.attempt, replayed.outcome);
        assert_eq!(replayed.missing, Vec::<String>::new(), "{} {}", entry.skill, entry.attempt);
    }
    assert_eq!((village.lines("ada").await, village.lines("bob").await), kept, "nothing left");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_told_where_it_differs_and_what_the_record_lacks() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = village(&folder).await;
    village.post("ada", "note", "a line").await.expect("it is kept");
    let (_, record) = turns(&village, "ada").remove(0);
    let replayed = again(&village, guest("echo"), &record).await;
    let differs = replayed.differs.join("\n");
    assert!(differs.contains("it ended well then, and fails now (unsupported)"), "{differs}");
    assert!(differs.contains("`lines` was changed then, and is not now"), "{differs}");
    let mut other = record.clone();
    other.message.as_mut().expect("it has one").skill = "ask".into();
    other.message.as_mut().expect("it has one").body = ORDER.replace("\"fail\":1", "\"fail\":0").into();
    let replayed = again(&village, guest("clerk"), &other).await;
    assert_eq!(replayed.missing, ["what `bob` answers to `note`"], "{}", replayed.outcome);
}

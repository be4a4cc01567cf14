//! Recorded turns, run again: the same where nothing changed, and named where something did.

use agents::{Entry, Event};
use guest::{Record, Replayed};
use tests::abroad::{places, seed, until};
use tests::lasting::{EAGER, Lasting};
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

#[tokio::test(flavor = "multi_thread")]
async fn what_a_turn_had_from_other_villages_is_in_its_record() {
    let all = places(2, seed()).await;
    let (here, there) = (all[0].village(), all[1].village());
    let herald = |village: &Lasting| {
        let host = village.host.clone();
        async move { host.load(guest("herald")).await.unwrap_or_else(|error| panic!("{error}")) }
    };
    here.enrol_with("iris", herald(here).await, EAGER, &["state", "agents=*@*", "mesh=*"]);
    there.enrol_with("hermes", herald(there).await, EAGER, &["state", "public"]);
    all.iter().for_each(|place| place.serve());
    let card = mesh::Card { agent: "hermes".into(), version: "2.3.4".into(), skills: vec!["whoami".into()], load: 10 };
    all[1].mesh().advertise(vec![card]).await.expect("it is said");
    until("it is known", || async { all[0].mesh().find("whoami").await.is_ok_and(|found| found.len() == 1) }).await;
    let order = |to: &str, text: &str| format!(r#"{{"to":"{to}","text":"{text}"}}"#);
    let hermes = all[1].address("hermes");
    let bodies = [
        ("find", "whoami".to_string()),
        ("seek", order("", "x")),
        ("greet", order(&hermes, "x")),
        ("follow", order("tea", "")),
        ("publish", order("tea", "5")),
        ("leave", order("tea", "")),
    ];
    let mut answers = Vec::new();
    for (skill, body) in &bodies {
        answers.push(here.post("iris", skill, body).await.unwrap_or_else(|error| panic!("{skill}: {error}")));
    }
    let turns: Vec<_> = turns(here, "iris").into_iter().filter(|(entry, _)| !entry.skill.is_empty()).collect();
    assert_eq!(turns.len(), bodies.len());
    let handled = there.lines("hermes").await;
    // Where there is no mesh at all: nothing but the record answers.
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let alone = Lasting::open(folder.path()).await;
    let version = alone.host.load(guest("herald")).await.unwrap_or_else(|error| panic!("{error}"));
    let opened = grants(&["state", "agents=*@*", "mesh=*"]);
    for ((entry, record), answer) in turns.iter().zip(&answers) {
        let replayed = alone.host.replay(&version, record, budget(""), &opened).await;
        let replayed = replayed.unwrap_or_else(|error| panic!("{}: {error}", entry.skill));
        assert_eq!(replayed.differs, Vec::<String>::new(), "{}: {}", entry.skill, replayed.outcome);
        assert_eq!(replayed.missing, Vec::<String>::new(), "{}", entry.skill);
        assert_eq!(replayed.outcome, *answer, "{}", entry.skill);
    }
    // What the record lacks is said: it asks for another skill now.
    let mut other = turns[0].1.clone();
    other.message.as_mut().expect("it has one").body = b"greet".to_vec();
    let replayed = alone.host.replay(&version, &other, budget(""), &opened).await.expect("it runs");
    assert_eq!(replayed.missing, ["who has the skill `greet`"], "{}", replayed.outcome);
    let mut other = turns[2].1.clone();
    other.message.as_mut().expect("it has one").body = order("elsewhere@12D3Koo", "x").into();
    let replayed = alone.host.replay(&version, &other, budget(""), &opened).await.expect("it runs");
    assert_eq!(replayed.missing, ["what `elsewhere@12D3Koo` answers to `whoami`"], "{}", replayed.outcome);
    assert_eq!(there.lines("hermes").await, handled, "nothing left");
}

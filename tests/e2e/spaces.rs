//! Spaces of memory: documents that take part in the turn, last, count, are shared by grant, and are found again.

use agents::{Entry, Event};
use guest::{Agent, Books, Message, Payload, Record, Replayed};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::fault::FaultyDisk;
use store::{Options, Store};
use tests::lasting::Lasting;
use tests::{ask, host, message, used};

const LIMITS: &str =
    "deadline=20s,memory=32MiB,storage=1MiB,messages=10000/s,mailbox=20000,mailbox-bytes=64MiB,children=3";

async fn said(agent: &Agent, skill: &str, line: &str) -> String {
    ask(agent, skill, line).await.unwrap_or_else(|no| panic!("{skill} {line}: {no}"))
}

async fn village(folder: &Path) -> Lasting {
    let village = Lasting::open(folder).await;
    village.enrol_guest("ann", "scholar", LIMITS, &["memory=notes", "memory=team/*", "spawn"]).await;
    village.enrol_guest("ben", "scholar", LIMITS, &["memory=team/*:read", "memory=own"]).await;
    village
}

async fn posted(village: &Lasting, name: &str, skill: &str, line: &str) -> String {
    village.post(name, skill, line).await.unwrap_or_else(|error| panic!("{name} {skill} {line}: {error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_found_by_their_words_with_where_they_stood() {
    let host = host();
    let agent = host.agent("scholar", LIMITS, &["memory=notes"]).await;
    let does = async |skill: &str, line: &str| said(&agent, skill, line).await;
    assert_eq!(does("search", "notes 9 - anything").await, "");
    assert_eq!(does("ingest", "notes sea water,salt The sea is deep.\n\nWhales sing there.").await, "1");
    assert_eq!(does("ingest", "notes lake water A lake is small.").await, "1");
    assert_eq!(does("ingest", "notes void - ").await, "0", "one without text gives none");
    assert_eq!(
        does("search", "notes 9 - whale").await,
        "sea 0-36 [water,salt] The sea is deep.\n\nWhales sing there.\n"
    );
    assert_eq!(
        does("search", "notes 9 water,salt is").await.lines().next(),
        Some("sea 0-36 [water,salt] The sea is deep.")
    );
    assert_eq!(does("search", "notes 1 water small").await, "lake 0-16 [water] A lake is small.\n");
    assert_eq!(does("search", "notes 9 fire small").await, "");
    assert_eq!(does("ingest", "notes sea - It is gone.").await, "1", "the same source again");
    assert_eq!(does("search", "notes 9 - whale").await, "");
    assert_eq!((does("forget", "notes sea").await, does("forget", "notes sea").await), ("true".into(), "false".into()));
    assert_eq!(does("search", "notes 9 - gone").await, "");
    for (skill, line) in [
        ("search", "notes 0 - x"),
        ("ingest", "notes  - no source"),
        ("ingest", &format!("notes {} - long", "x".repeat(1025))),
        ("ingest", &format!("notes a {} many", vec!["t"; 33].join(","))),
        ("forget", "notes "),
    ] {
        assert!(does(skill, line).await.starts_with("error: invalid"), "{skill} {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_is_open_to_those_who_were_granted_it_and_shut_to_all_others() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = village(folder.path()).await;
    assert_eq!(posted(&village, "ann", "ingest", "team/a plan - We meet at noon.").await, "1");
    assert_eq!(posted(&village, "ann", "ingest", "notes diary - Ann's secret noon.").await, "1");
    assert_eq!(posted(&village, "ben", "search", "team/a 9 - noon").await, "plan 0-16 [] We meet at noon.\n");
    for (skill, line) in [("ingest", "team/a x - y"), ("forget", "team/a plan")] {
        let refused = posted(&village, "ben", skill, line).await;
        assert!(refused.starts_with("error: denied") && refused.contains("reading only"), "{refused}");
    }
    for line in ["notes 9 - noon", "team 9 - noon", "ow 9 - noon", "own2 9 - noon"] {
        let refused = posted(&village, "ben", "search", line).await;
        assert!(refused.starts_with("error: denied no grant `memory` covers"), "{line}: {refused}");
    }
    for name in ["team/a\u{e9}", "", "team/a:read"] {
        assert!(posted(&village, "ann", "forget", &format!("{name} x")).await.starts_with("error: "), "{name}");
    }
    // A helper is handed no more than its parent has.
    let wider = posted(&village, "ann", "spawn", "kid memory = [\"own\"]").await;
    assert!(wider.starts_with("error: denied"), "{wider}");
    let kid = posted(&village, "ann", "spawn", "kid memory = [\"team/a:read\"]").await;
    assert_eq!(kid, "ann/kid");
    assert_eq!(
        posted(&village, "ann", "ask", "ann/kid search team/a 9 - noon").await,
        "plan 0-16 [] We meet at noon.\n"
    );
    let refused = posted(&village, "ann", "ask", "ann/kid search notes 9 - noon").await;
    assert!(refused.contains("denied"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_finds_what_it_ingested_and_leaves_nothing_if_it_fails() {
    let host = host();
    let agent = host.agent("scholar", "deadline=1s,memory=32MiB", &["memory=notes"]).await;
    assert_eq!(said(&agent, "ingest", "notes old - the old oak").await, "1");
    for (way, kind) in [("fail", "internal"), ("panic", "trap"), ("spin", "deadline")] {
        let no = ask(&agent, "both-and", &format!("{way} a new oak")).await.expect_err("it is told to fail");
        assert_eq!(no.kind, kind, "{no}");
        if way == "fail" {
            assert!(no.text.contains("new 0-9 [] a new oak") && !no.text.contains("old oak"), "it sees its own: {no}");
        }
        assert_eq!(said(&agent, "search", "notes 9 - oak").await, "old 0-11 [] the old oak\n", "{way}");
        assert_eq!(used(&agent, "storage"), 128 + 3 + 64 + 11, "{way}");
    }
    assert_eq!(said(&agent, "both", "x a new oak").await, "new 0-9 [] a new oak\n");
    assert_eq!(said(&agent, "search", "notes 9 - oak").await, "new 0-9 [] a new oak\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_is_there_again_and_whoever_filled_it_pays_for_it() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let text = "word ".repeat(1000);
    let before = {
        let village = village(folder.path()).await;
        posted(&village, "ann", "ingest", &format!("team/a long - {text}")).await;
        posted(&village, "ann", "ingest", "notes short - It rains.").await;
        assert_eq!(posted(&village, "ben", "search", "team/a 1 - word").await.lines().count(), 1);
        assert_eq!(used(&village.agent("ben"), "storage"), 0);
        used(&village.agent("ann"), "storage")
    };
    assert!(before > 5000 && before < 6500, "{before}");
    let village = village(folder.path()).await;
    assert_eq!(village.host.stored("ann").expect("it can be read"), before, "also while it sleeps");
    assert_eq!(used(&village.agent("ann"), "storage"), before, "and before its first turn");
    assert_eq!(posted(&village, "ann", "search", "notes 9 - rain").await, "short 0-9 [] It rains.\n");
    // Who replaces it pays for it from then on.
    village.enrol_guest("eve", "scholar", LIMITS, &["memory=team/*"]).await;
    assert_eq!(posted(&village, "eve", "ingest", "team/a long - brief").await, "1");
    let short = 128 + 5 + 64 + 9;
    assert_eq!(
        (used(&village.agent("ann"), "storage"), used(&village.agent("eve"), "storage")),
        (short, 128 + 4 + 64 + 5)
    );
    // What a helper puts there, the agent pays for that made it.
    posted(&village, "ann", "spawn", "kid memory = [\"notes\"]").await;
    assert_eq!(posted(&village, "ann", "ask", "ann/kid ingest notes kid - from the kid").await, "1");
    assert_eq!(used(&village.agent("ann"), "storage"), short + 128 + 3 + 64 + 12);
    assert_eq!(posted(&village, "ann", "forget", "notes kid").await, "true");
    assert_eq!(used(&village.agent("ann"), "storage"), short);
    // A space is the village's: it stays when an agent goes, and whoever has its name next pays on.
    village.host.rest("ann");
    village.host.expel("ann");
    let mut change = store::Change::new();
    village.host.forget("ann", &mut change);
    village.books.store().commit(change).await.expect("it is kept");
    village.enrol_guest("ann", "scholar", LIMITS, &["memory=notes"]).await;
    assert_eq!(posted(&village, "ann", "search", "notes 9 - rain").await, "short 0-9 [] It rains.\n");
    assert_eq!(used(&village.agent("ann"), "storage"), short);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_leads_past_the_bounds_of_a_memory() {
    let host = host();
    host.beside(async {
        let agent = host
            .agent("scholar", "deadline=20s,memory=16MiB,mailbox-bytes=64MiB,storage=100KiB", &["memory=notes"])
            .await;
        let refused = said(&agent, "flood", "notes 1000 10000").await;
        assert!(refused.ends_with("error: limit storage for good"), "{refused}");
        assert!((5..10).contains(&refused.split(' ').next().and_then(|at| at.parse().ok()).unwrap_or(0)), "{refused}");
        assert!(used(&agent, "storage") <= 100 << 10, "{}", used(&agent, "storage"));
        assert_ne!(said(&agent, "search", "notes 1 - 0000000").await, "", "what went before is there");
        // Replacing needs room for the difference only.
        assert_eq!(said(&agent, "flood", "notes 3 10000").await, "3");
        let large = said(&agent, "ingest", &format!("notes large - {}", "x".repeat(3 << 20))).await;
        assert!(large.starts_with("error: limit memory"), "{large}");
        let patient = host.agent("scholar", "deadline=20s,memory=8MiB,storage=1GiB", &["memory=notes"]).await;
        let refused = said(&patient, "flood", "notes 1000 10000").await;
        assert!(refused.ends_with("error: limit memory for good"), "one turn holds no more: {refused}");
        assert_eq!(said(&patient, "search", "notes 9 - x").await, "");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_every_kind_are_read_and_hostile_ones_are_refused_in_time() {
    let host = host();
    host.beside(async {
        let agent = host
            .agent("scholar", "deadline=20s,memory=64MiB,storage=64MiB,mailbox-bytes=64MiB", &["memory=notes"])
            .await;
        let document = async |name: &str, kind: &str, body: Vec<u8>| {
            let payload = Payload { content_type: kind.into(), body };
            let asked = Message { payload, ..message(&format!("document notes {name}"), "") };
            let answer = agent.ask(asked).await.expect("it is there").outcome;
            String::from_utf8(answer.unwrap_or_else(|error| panic!("{name}: {error}")).payload.body)
                .expect("it is text")
        };
        assert_eq!(
            document("page", "text/html", b"<h1>Bees</h1><script>wasp</script><p>They hum.".to_vec()).await,
            "1"
        );
        assert_eq!(document("guide.md", "", b"# Ants\nThey walk.\n# Moths\nThey fly at night.".to_vec()).await, "2");
        assert_eq!(document("a.rs", "text/x-rust", b"fn spider() {}\n".to_vec()).await, "1");
        let pdf = include_bytes!("../../host/memory/tests/data/reportlab.pdf");
        assert_eq!(document("paper", "application/pdf", pdf.to_vec()).await, "2");
        assert_eq!(said(&agent, "search", "notes 9 - wasp").await, "");
        assert!(said(&agent, "search", "notes 1 - night").await.starts_with("guide.md 18-44 [] # Moths"));
        assert!(said(&agent, "search", "notes 1 - quick fox").await.starts_with("paper 0-"));
        assert!(document("x", "image/png", vec![1]).await.starts_with("error: invalid `image/png` is not read here"));
        assert!(document("x", "text/plain", vec![255]).await.starts_with("error: invalid the text can't be read"));
        for (kind, part) in [
            ("application/pdf", "%PDF-1.4 1 0 obj << "),
            ("application/pdf", "%PDF-1.4 "),
            ("text/html", "<a '"),
            ("text/html", "<div>"),
            ("text/plain", "a"),
            ("text/plain", "a\u{301}"),
        ] {
            let begun = std::time::Instant::now();
            let body = part.repeat((2 << 20) / part.len()).into_bytes();
            let said = document("hostile", kind, body).await;
            assert!(said.starts_with("error: ") || said.parse::<u32>().is_ok(), "{kind} {part}: {said}");
            assert!(begun.elapsed() < Duration::from_secs(15), "{kind} {part}: {:?}", begun.elapsed());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_shortened_to_what_the_task_needs() {
    let host = host();
    let agent = host.agent("scholar", LIMITS, &["memory=notes:read"]).await;
    let text = "Ants walk in lines. Moths fly at night. Bees dance to say where flowers are. Spiders wait.";
    let short = said(&agent, "compress", &format!("14 - night {text}")).await;
    assert!(short.contains("Moths fly at night.") && short.len() < 14 * 3, "{short}");
    assert_eq!(said(&agent, "compress", &format!("1000 - night {text}")).await, text);
    let unknown = said(&agent, "compress", &format!("9 local/none night {text}")).await;
    assert!(unknown.starts_with("error: not-found"), "{unknown}");
}

/// The last turn of an agent that is on record.
pub(crate) fn last(village: &Lasting, agent: &str) -> Box<Entry> {
    let entries = village.books.store().read().journal(0..u64::MAX, usize::MAX).expect("it can be read");
    let turn = entries.iter().rev().find_map(|entry| match entry.read::<Event>() {
        Ok(Some(Event::Turn(entry))) if entry.agent == agent && !entry.record.is_empty() => Some(entry),
        _ => None,
    });
    turn.expect("there is one")
}

pub(crate) async fn again(village: &Lasting, entry: &Entry, guest: &str) -> Replayed {
    let version = village.host.load(tests::guest(guest)).await.unwrap_or_else(|error| panic!("{error}"));
    let record = Record::read(&entry.record).expect("it is a record");
    let grants = tests::grants(&["memory=notes", "memory=team/*"]);
    village
        .host
        .replay(&version, &record, tests::budget(LIMITS), &grants)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_is_run_again_finds_what_it_found_then() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = village(folder.path()).await;
    posted(&village, "ann", "ingest", "notes old - the old oak").await;
    let reply = posted(&village, "ann", "both", "x a new oak").await;
    let entry = last(&village, "ann");
    posted(&village, "ann", "forget", "notes new").await;
    let replayed = again(&village, &entry, "scholar").await;
    assert_eq!((replayed.differs, replayed.missing, replayed.outcome), (vec![], vec![], reply));
    assert_eq!(posted(&village, "ann", "search", "notes 9 - oak").await, "", "nothing of it was done");
    let mut other = entry.clone();
    let mut record = Record::read(&other.record).expect("it is a record");
    record.message.as_mut().expect("it has one").body = b"x another elm".to_vec();
    other.record = Vec::new();
    let version = village.host.load(tests::guest("scholar")).await.unwrap_or_else(|error| panic!("{error}"));
    let replayed =
        village.host.replay(&version, &record, tests::budget(LIMITS), &tests::grants(&["memory=notes"])).await;
    let replayed = replayed.unwrap_or_else(|error| panic!("{error}"));
    assert!(!replayed.missing.is_empty() || !replayed.differs.is_empty(), "{replayed:?}");
}

async fn opened(disk: &FaultyDisk) -> Option<Lasting> {
    let (disk, options) = (Arc::new(disk.clone()), Options { checkpoint: 64 << 10, ..Options::default() });
    let opened = tokio::task::spawn_blocking(move || Store::open_with(disk, Path::new("/village"), options));
    let books = Books::open(opened.await.expect("it does not panic").ok()?).await.ok()?;
    let village = Lasting::with(books).await;
    village.enrol_guest("ann", "scholar", LIMITS, &["memory=notes"]).await;
    Some(village)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_found_whenever_the_power_fails() {
    let seed = std::env::var("VILLAGE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()) * 7919);
    println!("VILLAGE_SEED={seed}");
    let mut disk = FaultyDisk::new();
    let kept = Arc::new(Mutex::new(0));
    for round in 0..40u64 {
        disk.cut_power_after(20 + ((seed >> (round % 16)) + round * 13) % 80);
        if let Some(village) = opened(&disk).await {
            let agent = village.agent("ann");
            for number in round * 100..round * 100 + 40 {
                // One source that is replaced again and again: a word of each round's, and nothing of those before.
                let line = format!("notes it - number n{number}x and n{number}y");
                if disk.is_dead() {
                    break;
                }
                let Ok((_, answer)) = agent.call(message("ingest", &line)).await else { break };
                // What can't be kept any more is tried again until somebody stops it.
                let answer = tokio::time::timeout(Duration::from_millis(500), answer).await;
                if answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.outcome.is_ok())) {
                    *kept.lock().expect("nobody panics with it") = number;
                }
            }
        }
        disk.cut_power_after(0);
        disk = if round % 3 == 0 { disk.restart() } else { disk.power_cycle(seed ^ round) };
        let village = opened(&disk).await.unwrap_or_else(|| panic!("seed {seed}, round {round}: it does not open"));
        let found = posted(&village, "ann", "search", "notes 9 - number").await;
        let last = *kept.lock().expect("nobody panics with it");
        if last > 0 {
            assert_eq!(found.lines().count(), 1, "seed {seed}, round {round}: {found}");
            let number: u64 =
                found.split("number n").nth(1).and_then(|rest| rest.split('x').next()?.parse().ok()).expect("a number");
            assert!(number >= last, "seed {seed}, round {round}: {number} is there, and {last} was answered");
            let text = format!("number n{number}x and n{number}y");
            assert_eq!(found, format!("it 0-{} [] {text}\n", text.len()), "seed {seed}, round {round}");
            let bytes = 128 + 2 + 64 + text.len() as u64;
            assert_eq!(used(&village.agent("ann"), "storage"), bytes, "seed {seed}, round {round}");
        }
        drop(village);
    }
    assert!(*kept.lock().expect("nobody panics with it") > 100, "the power failed at other moments than meant");
}

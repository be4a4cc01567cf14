//! The workspace: files and versions of objects that take part in the turn, last, count, and are nobody else's.

use agents::{Entry, Event, MAIL};
use guest::{Agent, Books, Message, Plan, Record, Replayed, SwapEvent};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::fault::FaultyDisk;
use store::{Change, Options, Store};
use tests::lasting::Lasting;
use tests::{ask, budget, grants, guest, host, host_of, message, receipt, used};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const LIMITS: &str = "deadline=5s,memory=12MiB,storage=1MiB,messages=10000/s,mailbox=20000,mailbox-bytes=64MiB";
const OPEN: [&str; 2] = ["state", "workspace"];

async fn archivist(host: &tests::Village, limits: &str) -> Agent {
    host.agent("archivist", limits, &OPEN).await
}

async fn said(agent: &Agent, skill: &str, line: &str) -> String {
    ask(agent, skill, line).await.unwrap_or_else(|no| panic!("{skill} {line}: {no}"))
}

/// A village that keeps what `ann` does, who is an archivist.
async fn village(folder: &Path, limits: &str) -> Lasting {
    let village = Lasting::open(folder).await;
    village.enrol_guest("ann", "archivist", limits, &OPEN).await;
    village
}

async fn posted(village: &Lasting, skill: &str, line: &str) -> String {
    village.post("ann", skill, line).await.unwrap_or_else(|error| panic!("{skill} {line}: {error}"))
}

async fn fast(village: &Lasting, skill: &str, line: &str) -> String {
    village.fast("ann", skill, line).await.unwrap_or_else(|error| panic!("{skill} {line}: {error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_objects_do_what_the_contract_says() {
    let host = host();
    let agent = archivist(&host, LIMITS).await;
    let does = async |skill: &str, line: &str| said(&agent, skill, line).await;
    assert_eq!(does("read", "a 0 9").await, "error: not-found there is no file `a`");
    for (skill, line) in [("write-at", "a 0 x"), ("truncate", "a 0"), ("rename", "a b")] {
        assert_eq!(does(skill, line).await, "error: not-found there is no file `a`", "{skill}");
    }
    assert_eq!((does("stat", "a").await, does("remove", "a").await), ("none".into(), "false".into()));
    assert_eq!(does("append", "a 0123456789").await, "10");
    assert_eq!(does("write-at", "a 12 xy").await, "done");
    assert_eq!(does("read", "a 8 99").await, "89\0\0xy");
    assert_eq!((does("read", "a 14 9").await, does("read", "a 99 9").await), (String::new(), String::new()));
    assert_eq!((does("truncate", "a 3").await, does("truncate", "a 5").await), ("done".into(), "done".into()));
    assert_eq!(does("read", "a 0 9").await, "012\0\0", "what was cut off is not there again");
    assert_eq!(
        (does("write", "dir/b two words").await, does("rename", "a dir/b").await),
        ("done".into(), "done".into())
    );
    assert_eq!((does("rename", "dir/b dir/b").await, does("stat", "a").await), ("done".into(), "none".into()));
    for path in ["dirt", "dir/a/c", "é"] {
        does("write", &format!("{path} x")).await;
    }
    assert_eq!(does("files", "9 - ").await, "dir/a/c 1\ndir/b 5\ndirt 1\né 1\n");
    assert_eq!(does("files", "9 - dir").await, "dir/a/c 1\ndir/b 5\n");
    assert_eq!(
        (does("files", "1 - dir").await, does("files", "9 dir/a/c dir").await),
        ("dir/a/c 1\n".into(), "dir/b 5\n".into())
    );
    assert_eq!((does("files", "9 - nowhere").await, does("files", "9 zz ").await), (String::new(), "é 1\n".into()));
    assert!(does("files", "0 - ").await.starts_with("error: invalid"));

    assert_eq!((does("get", "o").await, does("versions", "9 o").await), ("none".into(), String::new()));
    assert_eq!((does("prune", "o 1").await, does("delete", "o").await), ("0".into(), "false".into()));
    let mut numbers = Vec::new();
    for text in ["one", "two", "three", "four"] {
        numbers.push(does("keep", &format!("o {text}")).await.parse::<u64>().expect("a number"));
        does("keep", &format!("other {text}")).await;
    }
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert_eq!(
        (does("get", "o").await, does("get", &format!("o {}", numbers[1])).await),
        ("four".into(), "two".into())
    );
    assert_eq!(does("get", &format!("o {}", numbers[1] + 1)).await, "none", "that is a version of another object");
    assert_eq!(does("versions", &format!("1 o {}", numbers[0])).await, format!("{} 3 0\n", numbers[1]));
    assert_eq!(does("objects", "9 - o").await, "o 4 15\nother 4 15\n");
    assert_eq!((does("prune", "o 2").await, does("prune", "o 2").await), ("2".into(), "0".into()));
    assert_eq!(
        (does("get", &format!("o {}", numbers[1])).await, does("get", "o").await),
        ("none".into(), "four".into())
    );
    assert_eq!((does("delete", "o").await, does("get", "o").await), ("true".into(), "none".into()));
    assert!(does("keep", "o again").await.parse::<u64>().expect("a number") > numbers[3] + 1);
    assert!(does("prune", "o 0").await.starts_with("error: invalid"));
    assert_eq!(does("objects", "9 - ot").await, "other 4 15\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_refused() {
    let host = host();
    let agent = archivist(&host, LIMITS).await;
    let (long, part, deep) = ("x/".repeat(256) + "x", "x".repeat(256), "../".repeat(20) + "etc/passwd");
    for path in [
        "",
        "/",
        "/etc/passwd",
        "a/",
        "a//b",
        ".",
        "..",
        "a/./b",
        "a/..",
        "a\0b",
        "a\nb",
        "\u{1b}[2J",
        &long,
        &part,
        &deep,
    ] {
        let refused = said(&agent, "odd", path).await;
        assert!(refused.starts_with("error: invalid a path has"), "{path:?}: {refused}");
    }
    for (skill, line) in [
        ("read", "../a 0 1"),
        ("write-at", "../a 0 x"),
        ("append", "../a x"),
        ("truncate", "../a 0"),
        ("rename", "../a b"),
        ("remove", "../a"),
        ("stat", "../a"),
        ("files", "9 - .."),
        ("keep", "../a x"),
        ("get", "../a"),
        ("versions", "9 ../a"),
        ("prune", "../a 1"),
        ("delete", "../a"),
    ] {
        let refused = said(&agent, skill, line).await;
        assert!(refused.starts_with("error: invalid a "), "{skill}: {refused}");
    }
    said(&agent, "write", "b x").await;
    assert!(said(&agent, "rename", "b ../a").await.starts_with("error: invalid a path has no part `..`"));
    for path in ["...", "a\\..\\b", "C:", "~", "%2e%2e", "-rf"] {
        assert_eq!(said(&agent, "odd", path).await, "done", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_sees_what_it_wrote_and_leaves_nothing_if_it_fails() {
    let host = host();
    let agent = host.agent("archivist", "deadline=600ms,memory=12MiB", &OPEN).await;
    assert_eq!(said(&agent, "all", "first").await, "1 first 6");
    for (way, kind) in [("fail", "internal"), ("panic", "trap"), ("spin", "deadline")] {
        let no = ask(&agent, "all-and", &format!("{way} lost")).await.expect_err("it is told to fail");
        assert_eq!(no.kind, kind, "{no}");
        if way == "fail" {
            assert!(no.text.contains("2 lost 11"), "it read what it wrote: {no}");
        }
        assert_eq!(said(&agent, "read", "lines 0 99").await, "first\n", "{way}");
        assert_eq!(
            (said(&agent, "get", "last").await, said(&agent, "state", "last").await),
            ("first".into(), "first".into())
        );
    }
    assert_eq!(said(&agent, "all", "second").await, "2 second 13");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_is_there_again_and_goes_with_its_agent() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let before = {
        let village = village(folder.path(), LIMITS).await;
        posted(&village, "all", "first").await;
        fast(&village, "fill", "large 300000").await;
        let accepted = Message { accepted: 1234, ..message("append", "large more") };
        let answer = village.agent("ann").ask(accepted).await.expect("it is there");
        assert!(answer.outcome.is_ok());
        assert_eq!(fast(&village, "stat", "large").await, "300004 1234");
        (fast(&village, "sum", "large").await, used(&village.agent("ann"), "storage"))
    };
    let village = village(folder.path(), LIMITS).await;
    assert_eq!(village.host.stored("ann").expect("it can be read"), before.1, "also while it sleeps");
    assert_eq!(used(&village.agent("ann"), "storage"), before.1, "and before its first turn");
    assert_eq!((fast(&village, "sum", "large").await, used(&village.agent("ann"), "storage")), before);
    assert_eq!(posted(&village, "all", "second").await, "2 second 13");
    assert_eq!(fast(&village, "read", "lines 0 99").await, "first\nsecond\n");
    // `turns` and `last` of the state, three heads, two versions, and all that they hold.
    let (state, names, content) = (5 + 1 + 4 + 6, 5 + 5 + 4, 300_004 + 13 + 11);
    assert_eq!(used(&village.agent("ann"), "storage"), state + names + content + 3 * 128 + 2 * 64);

    // Nor has somebody whose name begins so a part in it, or loses anything with it.
    village.enrol_guest("ann2", "archivist", LIMITS, &OPEN).await;
    let other = async |skill: &str, line: &str| {
        village.fast("ann2", skill, line).await.unwrap_or_else(|error| panic!("{skill} {line}: {error}"))
    };
    assert_eq!((other("files", "9 - ").await, other("get", "last").await), (String::new(), "none".into()));
    other("write", "large its own").await;
    assert_eq!(fast(&village, "sum", "large").await, before.0);

    village.host.rest("ann");
    village.host.expel("ann");
    let mut change = Change::new();
    village.host.forget("ann", &mut change);
    village.books.store().commit(change).await.expect("it is kept");
    village.enrol_guest("ann", "archivist", LIMITS, &OPEN).await;
    assert_eq!(
        (fast(&village, "files", "9 - ").await, fast(&village, "objects", "9 - ").await),
        (String::new(), String::new())
    );
    assert_eq!((fast(&village, "state", "last").await, used(&village.agent("ann"), "storage")), ("none".into(), 0));
    assert_eq!(other("files", "9 - ").await, "large 7\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_leads_past_the_storage() {
    let host = host();
    host.beside(async {
        let agent = archivist(&host, "storage=200KiB,memory=12MiB,deadline=9s").await;
        let full = "error: limit storage for good";
        let filled = said(&agent, "fill", "a 1000000").await;
        assert_eq!(filled, format!("196608 {full}"), "three pieces fit");
        let there = 196_608 + 1 + 128;
        assert_eq!(used(&agent, "storage"), there);
        let left = 200 * KIB - there;
        let long = "y".repeat(left as usize);
        for (skill, line) in [
            ("append", format!("a {}", "x".repeat(left as usize + 1))),
            ("write-at", format!("a {} x", there + left)),
            ("truncate", format!("a {}", 1u64 << 40)),
            ("write", format!("b {}", "x".repeat(left as usize - 128))),
            ("keep", format!("o {}", "x".repeat(left as usize - 128 - 64))),
            ("set", format!("k {long}")),
        ] {
            assert_eq!(said(&agent, skill, &line).await, full, "{skill}");
            assert_eq!(used(&agent, "storage"), there, "{skill}");
        }
        let flooded = said(&agent, "flood", "files 10000").await;
        let files = left / (128 + "flood/00000".len() as u64);
        assert_eq!(flooded, format!("{files} {full}"), "each counts, though it is empty");
        let flooded = said(&agent, "flood", "versions 10000").await;
        assert_eq!(flooded, format!("0 {full}"));
        said(&agent, "remove", "flood/00000").await;
        said(&agent, "remove", "flood/00001").await;
        let flooded = said(&agent, "flood", "versions 10000").await;
        assert!(flooded.ends_with(full) && !flooded.starts_with("0 "), "{flooded}");
        let name = "z".repeat(255);
        assert_eq!(said(&agent, "rename", &format!("a {name}")).await, full, "a longer name counts");
        assert!(used(&agent, "storage") <= 200 * KIB);
        // What is taken away makes room when its turn has ended well.
        assert_eq!(said(&agent, "truncate", "a 100000").await, "done");
        assert_eq!(said(&agent, "set", &format!("k {long}")).await.parse::<u64>().map(drop), Ok(()));
        assert_eq!(said(&agent, "fill", "c 65536").await, "65536");
        assert!(used(&agent, "storage") <= 200 * KIB);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_turn_writes_counts_as_memory_until_it_ends() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = village(folder.path(), "memory=6MiB,storage=100MiB,deadline=9s").await;
    let filled = fast(&village, "fill", "a 20000000").await;
    let (taken, why) = filled.split_once(' ').expect("it was refused");
    assert_eq!(why, "error: limit memory for good");
    let taken = taken.parse::<u64>().expect("a number");
    assert!((2 * MIB..6 * MIB).contains(&taken), "{taken}");
    let agent = village.agent("ann");
    assert_eq!(used(&agent, "storage"), taken + 129, "what was refused changed nothing, and what was not lasts");
    assert!(used(&agent, "memory") < 3 * MIB, "{}", used(&agent, "memory"));
    assert_eq!(fast(&village, "remove", "a").await, "true");
    assert_eq!(used(&agent, "storage"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_far_larger_than_the_memory_of_its_agent() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let limits = "memory=4MiB,storage=80MiB,deadline=30s,cpu=100%";
    let village = village(folder.path(), limits).await;
    for _ in 0..64 {
        assert_eq!(fast(&village, "fill", "large 1048576").await, "1048576");
    }
    let agent = village.agent("ann");
    assert_eq!(used(&agent, "storage"), 64 * MIB + 128 + 5);
    let whole = fast(&village, "sum", "large").await;
    assert!(whole.starts_with("67108864 "), "{whole}");
    let at = 33 * MIB + 7;
    let (answer, receipt) = receipt(&agent, "write-at", &format!("large {at} here")).await;
    assert_eq!(answer.as_deref(), Ok("done"));
    assert!(receipt.memory < 4 * MIB, "{receipt:?}");
    drop(agent);
    drop(village);
    let village = self::village(folder.path(), limits).await;
    assert_eq!(fast(&village, "read", &format!("large {at} 4")).await, "here");
    assert_eq!(fast(&village, "truncate", "large 1000000").await, "done");
    assert_eq!(used(&village.agent("ann"), "storage"), 1_000_000 + 128 + 5);
    assert_eq!(fast(&village, "remove", "large").await, "true");
    assert_eq!(used(&village.agent("ann"), "storage"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_sees_a_workspace() {
    let host = host_of(16);
    let version = host.load("archivist").await;
    let limits = "deadline=5s,memory=12MiB,messages=1000/s,children=3,storage=1MiB";
    let named = |name: &str, open: &[&str]| {
        let started = host.0.start_as(name, &version, budget(limits), grants(open), None);
        started.unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let ann = named("ann", &["workspace", "spawn"]);
    let bob = named("bob", &["workspace"]);
    said(&ann, "write", "a of ann").await;
    said(&ann, "keep", "o of ann").await;
    assert_eq!((said(&bob, "files", "9 - ").await, said(&bob, "get", "o").await), (String::new(), "none".into()));

    assert_eq!(said(&ann, "spawn", "kid workspace = true").await, "ann/kid");
    assert_eq!(said(&ann, "ask", "ann/kid files 9 - ").await, "");
    assert_eq!(said(&ann, "ask", "ann/kid get o").await, "none");
    let before = used(&ann, "storage");
    assert_eq!(said(&ann, "ask", "ann/kid write a of the kid").await, "done");
    assert_eq!(used(&ann, "storage"), before + 1 + 128 + 10, "what a helper keeps counts as its parent's");
    assert_eq!(said(&ann, "read", "a 0 9").await, "of ann");
    assert_eq!(said(&ann, "spawn", "bare ").await, "ann/bare");
    assert!(said(&ann, "ask", "ann/bare files 9 - ").await.starts_with("error: denied `workspace` is not granted"));
    let shut = named("eve", &["state", "spawn"]);
    assert!(said(&shut, "files", "9 - ").await.contains("--grant workspace"));
    let wider = said(&shut, "spawn", "kid workspace = true").await;
    assert!(wider.starts_with("error: denied an agent hands on no more than it has"), "{wider}");
}

/// The recorded turns of `ann`, in their order.
fn turns(village: &Lasting) -> Vec<Record> {
    let records = village.books.store().read().journal(0..u64::MAX, usize::MAX).expect("it can be read");
    let events = records.iter().filter_map(|record| record.read::<Event>().expect("it is an event"));
    let entries = events.filter_map(|event| match event {
        Event::Turn(entry) if entry.agent == "ann" => Some(*entry),
        _ => None,
    });
    entries.map(|Entry { record, .. }| Record::read(&record).expect("it was recorded")).collect()
}

async fn again(village: &Lasting, record: &Record) -> Replayed {
    let version = village.host.load(guest("archivist")).await.unwrap_or_else(|error| panic!("{error}"));
    let replayed = village.host.replay(&version, record, budget(LIMITS), &grants(&OPEN)).await;
    replayed.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_is_run_again_finds_the_workspace_that_it_saw() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = village(folder.path(), LIMITS).await;
    for (skill, line) in [
        ("all", "one"),
        ("all", "two"),
        ("fill", "large 100000"),
        ("write-at", "large 50000 here"),
        ("sum", "large"),
        ("files", "9 - "),
        ("versions", "9 last"),
        ("prune", "last 1"),
        ("rename", "large small"),
        ("truncate", "small 20001"),
        ("remove", "small"),
        ("delete", "last"),
        ("get", "last"),
        ("write", "../odd x"),
    ] {
        posted(&village, skill, line).await;
    }
    let kept = (fast(&village, "files", "9 - ").await, used(&village.agent("ann"), "storage"));
    let turns = turns(&village);
    assert_eq!(turns.len(), 14);
    for (place, record) in turns.iter().enumerate() {
        let replayed = again(&village, record).await;
        assert_eq!(replayed.differs, Vec::<String>::new(), "{place}: {}", replayed.outcome);
        assert_eq!(replayed.missing, Vec::<String>::new(), "{place}: {}", replayed.outcome);
    }
    assert_eq!((fast(&village, "files", "9 - ").await, used(&village.agent("ann"), "storage")), kept, "nothing left");

    let other = |skill: &str, line: &str| {
        let mut record = turns[1].clone();
        let message = record.message.as_mut().expect("it has one");
        (message.skill, message.body) = (skill.into(), line.into());
        record
    };
    let differs = again(&village, &other("all", "2wo")).await.differs.join("\n");
    for part in [
        "the reply: `2 two 8` then, `2 2wo 8` now",
        "`last` is changed",
        "the file `lines` is changed to something else",
        "the object `last` is changed to something else",
    ] {
        assert!(differs.contains(part), "{part}: {differs}");
    }
    let replayed = again(&village, &other("append", "other x")).await;
    assert_eq!(replayed.missing, ["the file `other`"]);
    assert!(replayed.differs.iter().any(|line| line == "the object `last` was changed then, and is not now"));
    let replayed = again(&village, &other("remove", "lines")).await;
    assert!(
        replayed.differs.iter().any(|line| line == "the file `lines` is changed to something else"),
        "{replayed:?}"
    );
}

/// The same component under another digest: with a section that says nothing.
fn renamed(component: &[u8]) -> Vec<u8> {
    [component, &[0, 5, 4, b'n', b'o', b't', b'e']].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_rehearses_has_a_copy_and_one_that_takes_over_has_the_workspace() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = village(folder.path(), "deadline=5s,memory=8MiB,storage=16MiB,cpu=100%").await;
    posted(&village, "all", "first").await;
    let agent = village.agent("ann");
    let next = village.host.load(&renamed(guest("archivist"))).await.unwrap_or_else(|error| panic!("{error}"));
    let plan = Plan { shadow: 4, ..Plan::default() };
    let mut swap = agent.swap(&next, plan).unwrap_or_else(|error| panic!("{error}"));
    while !matches!(swap.next().await, Some(SwapEvent::Shadowing { .. })) {}
    assert_eq!(fast(&village, "all", "second").await, "2 second 13");
    assert_eq!(fast(&village, "read", "lines 0 99").await, "first\nsecond\n");
    assert_eq!(fast(&village, "remove", "lines").await, "true");
    assert_eq!(fast(&village, "objects", "9 - ").await, "last 2 11\n");
    let shadowed = match swap.next().await {
        Some(SwapEvent::Shadowed(shadowed)) => shadowed,
        other => panic!("it has shadowed: {other:?}"),
    };
    assert_eq!((shadowed.messages, shadowed.same, shadowed.failed), (4, 4, 0), "{shadowed:?}");
    assert!(matches!(swap.end().await, SwapEvent::Live(_)));
    assert_eq!(agent.version().digest(), next.digest());
    assert_eq!(fast(&village, "objects", "9 - ").await, "last 2 11\n", "the shadow wrote elsewhere");
    assert_eq!(fast(&village, "all", "third").await, "3 third 6");

    // What it has is more than a copy may take.
    for _ in 0..9 {
        fast(&village, "fill", "large 1000000").await;
    }
    let first = village.host.load(guest("archivist")).await.unwrap_or_else(|error| panic!("{error}"));
    let ended = agent.swap(&first, plan).unwrap_or_else(|error| panic!("{error}")).end().await;
    assert!(!matches!(ended, SwapEvent::Live(_)), "{ended:?}");
    assert_eq!(agent.version().digest(), next.digest());
    let again = agent.swap(&first, Plan::default()).unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(again.end().await, SwapEvent::Live(_)), "without a shadow it needs no copy");
    assert!(fast(&village, "sum", "large").await.starts_with("9000000 "));
}

/// Small, and the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

async fn on_disk(disk: &FaultyDisk) -> Option<Lasting> {
    let (disk, options) = (Arc::new(disk.clone()), Options { checkpoint: 64 << 10, ..Options::default() });
    let opened = tokio::task::spawn_blocking(move || Store::open_with(disk, Path::new("/village"), options));
    let books = Books::open(opened.await.expect("it does not panic").ok()?).await.ok()?;
    let village = Lasting::with(books).await;
    village.enrol_guest("ann", "archivist", LIMITS, &OPEN).await;
    Some(village)
}

/// Sends until the power fails; answers the numbers that were accepted.
async fn load(village: Lasting, disk: &FaultyDisk, numbers: std::ops::Range<u64>) -> Vec<u64> {
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let agent = village.agent("ann");
    for number in numbers {
        let kept = accepted.clone();
        let told = move |done: Result<(), store::Error>| {
            if done.is_ok() {
                kept.lock().expect("nobody panics with it").push(number);
            }
        };
        let _ = agent.tell(message("all", &number.to_string()), told);
        tokio::task::yield_now().await;
    }
    while !disk.is_dead() {
        tokio::time::sleep(Duration::from_micros(200)).await;
        disk.cut_power_after(3);
    }
    drop((agent, village));
    std::mem::take(&mut *accepted.lock().expect("nobody panics with it"))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_objects_and_state_of_a_turn_survive_the_power_together_or_not_at_all() {
    let seed = std::env::var("VILLAGE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) ^ 0x73_7061_6365);
    println!("VILLAGE_SEED={seed}");
    let (mut chance, mut disk, mut all) = (Chance(seed), FaultyDisk::new(), Vec::new());
    for round in 0..100 {
        disk.cut_power_after(10 + chance.below(60));
        if let Some(village) = on_disk(&disk).await {
            all.extend(load(village, &disk, round * 100..round * 100 + 30).await);
        }
        disk = if chance.below(3) == 0 { disk.restart() } else { disk.power_cycle(chance.below(u64::MAX)) };
        let village = on_disk(&disk).await.unwrap_or_else(|| panic!("seed {seed}, round {round}: it does not open"));
        village.agent("ann");
        let settled = || village.books.store().read().scan(MAIL.all(), None, 1).is_ok_and(|rows| rows.is_empty());
        tests::eventually("an empty mailbox", settled).await;
        let lines =
            fast(&village, "read", "lines 0 1048576").await.replace("error: not-found there is no file `lines`", "");
        let lines: Vec<_> = lines.lines().collect();
        let what = format!("seed {seed}, round {round}: {lines:?}");
        let turns = fast(&village, "state", "turns").await.replace("none", "0");
        assert_eq!(turns, lines.len().to_string(), "{what}");
        let last = lines.last().map_or("none".into(), |line| line.to_string());
        assert_eq!(
            (fast(&village, "state", "last").await, fast(&village, "get", "last").await),
            (last.clone(), last),
            "{what}"
        );
        let versions = fast(&village, "objects", "9 - ").await;
        let sum: usize = lines.iter().map(|line| line.len()).sum();
        assert_eq!(
            versions,
            if lines.is_empty() { String::new() } else { format!("last {} {sum}\n", lines.len()) },
            "{what}"
        );
        for number in &all {
            let times = lines.iter().filter(|line| **line == number.to_string()).count();
            assert_eq!(times, 1, "{number}, {what}");
        }
        let (state, name) = (5 + turns.len() + 4 + lines.last().map_or(0, |line| line.len()), 5 + 4);
        let kept = 2 * sum + lines.len() + name + 2 * 128 + lines.len() * 64;
        let counted = if lines.is_empty() { 0 } else { state + kept };
        assert_eq!(used(&village.agent("ann"), "storage"), counted as u64, "{what}");
        village.books.store().read().verify().unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    assert!(all.len() > 10, "the power failed at other moments than meant: {}", all.len());
}

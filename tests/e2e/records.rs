//! What is kept of turns beside what they did: what the web answered, keys of requests and of messages, dead letters.

use agents::{ANSWERS, Answered, DEAD, Event, KEYS, Keyed, MAIL, MOST_DEAD, Then};
use guest::{Record, Replayed, Turns};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tests::lasting::{EAGER, Lasting};
use tests::web::{Web, ok};
use tests::{budget, grants, guest, message};

/// A village with an agent that asks the web.
async fn fetcher(folder: &tempfile::TempDir, web: &Web) -> Lasting {
    let village = Lasting::open(folder.path()).await;
    let version = village.host.load(guest("fetch")).await.unwrap_or_else(|error| panic!("{error}"));
    let open = format!("http=GET,POST,PUT {}/", web.origin());
    village.enrol_with("fetch", version, EAGER, &[&open]);
    village
}

/// The records of an agent's turns, in their order.
fn recorded(village: &Lasting, agent: &str) -> Vec<Record> {
    let records = village.books.store().read().journal(0..u64::MAX, usize::MAX).expect("it can be read");
    let events = records.iter().filter_map(|record| record.read::<Event>().expect("it is an event"));
    let entries = events.filter_map(|event| match event {
        Event::Turn(entry) if entry.agent == agent => Some(*entry),
        _ => None,
    });
    entries.map(|entry| Record::read(&entry.record).expect("it was recorded")).collect()
}

async fn again(village: &Lasting, record: &Record) -> Replayed {
    let version = village.host.load(guest("fetch")).await.unwrap_or_else(|error| panic!("{error}"));
    let replayed = village.host.replay(&version, record, budget("deadline=5s"), &grants(&[])).await;
    replayed.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_is_run_again_gets_what_the_web_answered_then_and_asks_nobody() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let web = Web::start(|request| ok("x-back: 7", format!("{} bytes asked", request.len()))).await;
    let village = fetcher(&folder, &web).await;
    let here = web.origin();
    let gone = "GET http://127.0.0.1:1/";
    for request in [format!("GET {here}/a?b=1\nx-mine: 1"), format!("POST {here}/p\n\nthe body"), gone.to_string()] {
        village.post("fetch", "fetch", &request).await.unwrap_or_else(|error| panic!("{request}: {error}"));
    }
    let asked = web.seen().len();
    for record in &recorded(&village, "fetch") {
        let replayed = again(&village, record).await;
        assert_eq!((replayed.differs, replayed.missing), (Vec::new(), Vec::new()), "{}", replayed.outcome);
        assert!(!record.is_cut());
    }
    assert_eq!(web.seen().len(), asked, "nothing left");

    // Another body is another question, and what was asked then is not asked now.
    let mut other = recorded(&village, "fetch").remove(1);
    other.message.as_mut().expect("it has one").body = format!("POST {here}/p\n\nanother body").into();
    let replayed = again(&village, &other).await;
    assert_eq!(replayed.missing, [format!("what `POST {here}/p` was answered")]);
    assert!(replayed.differs.contains(&format!("it asked `POST {here}/p` then, and does not now")), "{replayed:?}");
    assert!(replayed.outcome.contains("HttpRequestDenied"), "{}", replayed.outcome);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_for_the_record_is_named_when_it_is_missed() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let web = Web::start(|request| match request.contains("/large") {
        true => ok("", vec![b'x'; 2 << 20]),
        false => ok("", "small"),
    })
    .await;
    let village = fetcher(&folder, &web).await;
    for path in ["large", "small"] {
        let request = format!("GET {}/{path}", web.origin());
        village.post("fetch", "size", &request).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let records = recorded(&village, "fetch");
    assert_eq!(records.iter().map(Record::is_cut).collect::<Vec<_>>(), [true, false]);
    let replayed = again(&village, &records[0]).await;
    assert_eq!(replayed.missing, [format!("what `GET {}/large` was answered", web.origin())]);
    let replayed = again(&village, &records[1]).await;
    assert_eq!((replayed.differs, replayed.missing), (Vec::new(), Vec::new()));
}

/// What a request was known by.
fn key(request: &str) -> Option<String> {
    request.lines().find_map(|line| line.to_lowercase().strip_prefix("idempotency-key: ").map(str::to_string))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_the_same_key_at_each_try_of_its_turn_and_another_elsewhere() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let web = Web::start(|_| ok("", "in")).await;
    let village = fetcher(&folder, &web).await;
    let here = web.origin();
    // It breaks when it has asked, and is tried again.
    let broke = village.post("fetch", "panic", &format!("POST {here}/x\n\n1")).await;
    assert!(broke.is_err());
    let keys: Vec<_> = web.seen().iter().map(|request| key(request).expect("it has one")).collect();
    assert_eq!(keys.len(), EAGER.attempts as usize);
    assert!(keys.iter().all(|key| *key == keys[0] && key.len() == 32), "{keys:?}");

    let ask = async |skill: &str, request: String| {
        village.post("fetch", skill, &request).await.unwrap_or_else(|error| panic!("{request}: {error}"));
        key(web.seen().last().expect("it was asked"))
    };
    let second = ask("fetch", format!("POST {here}/x\n\n1")).await;
    assert!(second.is_some() && second.as_ref() != Some(&keys[0]), "another message has another");
    assert_ne!(ask("fetch", format!("PUT {here}/x\n\n1")).await, second);
    assert_eq!(ask("fetch", format!("GET {here}/x")).await, None, "what changes nothing needs none");
    let own = ask("fetch", format!("POST {here}/x\nidempotency-key: mine\n\n1")).await;
    assert_eq!(own.as_deref(), Some("mine"), "the agent's own stays");
    // What is not kept is not tried again.
    village.fast("fetch", "fetch", &format!("POST {here}/x\n\n1")).await.expect("it is asked");
    assert_eq!(key(web.seen().last().expect("it was asked")), None);
}

/// Hands over a message with a key, as one that somebody waits for or nobody.
async fn keyed(village: &Lasting, key: &str, skill: &str, body: &str, waiting: Weak<()>) -> Result<String, String> {
    let (books, agent) = (village.books.clone(), village.agent("ada"));
    let more = |message: &guest::Message, number: u64, change: &mut store::Change| {
        let keyed = Keyed { said: [0; 32], id: message.id.clone(), number, when: 0, bytes: None };
        books.keyed("ada", key, keyed, change);
    };
    let posted = agent.post_with(message(skill, body), waiting, more).await;
    let (_, answer) = posted.map_err(|error| error.to_string())?;
    let answer = answer.await.map_err(|error| error.to_string())?;
    answer.outcome.map_err(|error| error.to_string()).map(|reply| String::from_utf8_lossy(&reply.payload.body).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_of_a_message_with_a_key_is_kept_with_its_end() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = Lasting::open(folder.path()).await.clerks(&["ada"]);
    assert_eq!(keyed(&village, "k", "note", "one", Weak::new()).await, Ok("1".into()));
    let again = keyed(&village, "k", "note", "one", Weak::new()).await;
    assert!(again.as_ref().is_err_and(|error| error.contains("keys")), "it is not accepted twice: {again:?}");
    assert!(keyed(&village, "no", "refuse", "null", Weak::new()).await.is_err());
    assert_eq!(village.lines("ada").await, ["one"]);
    let read = village.books.store().read();
    let row = read.get(&KEYS, ("ada", "k")).expect("it is read").expect("it is known");
    assert!(row.bytes.is_some());
    let answer = read.get(&ANSWERS, ("ada", "k")).expect("it is read").expect("it is kept");
    assert!(answer.outcome().is_ok_and(|reply| reply.payload.body == b"1"));
    let no = read.get(&ANSWERS, ("ada", "no")).expect("it is read").expect("it is kept");
    assert!(matches!(no, Answered::Failed { kind, message, .. } if kind == "refused" && message == "not I"));
    drop(read);

    // What is old goes, and what is too much.
    let mut change = store::Change::new();
    assert_eq!(village.books.forget_keys(1 << 60, 1, 1 << 20, &mut change).expect("it is looked at"), 1);
    let mut change = store::Change::new();
    assert_eq!(village.books.forget_keys(1 << 60, 9, 0, &mut change).expect("it is looked at"), 2);
    let mut change = store::Change::new();
    assert_eq!(village.books.forget_keys(1000, 9, 1 << 20, &mut change).expect("it is looked at"), 2);
    village.books.store().commit(change).await.expect("they go");
    assert_eq!(village.books.store().read().scan(ANSWERS.all(), None, 9).expect("it is read"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_and_gets_no_dead_letter() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = Lasting::open(folder.path()).await.clerks(&["ada"]);
    let waiting = Arc::new(());
    let told = keyed(&village, "a", "refuse", "null", Arc::downgrade(&waiting)).await;
    assert!(told.as_ref().is_err_and(|error| error.contains("not I")), "{told:?}");
    let dead = || village.books.store().read().scan(DEAD.under("ada"), None, 9).expect("it is read").len();
    assert_eq!((dead(), village.books.store().read().scan(MAIL.all(), None, 9).expect("it is read").len()), (0, 0));
    drop(waiting);
    keyed(&village, "b", "refuse", "null", Weak::new()).await.expect_err("it is refused");
    assert_eq!(dead(), 1, "nobody was told");
    // One that breaks has failed, whoever waits.
    let waiting = Arc::new(());
    keyed(&village, "c", "trap", "null", Arc::downgrade(&waiting)).await.expect_err("it breaks");
    assert_eq!(dead(), 2);
    let records = village.books.store().read().journal(0..u64::MAX, usize::MAX).expect("it can be read");
    let events = records.iter().filter_map(|record| record.read::<Event>().expect("it is an event"));
    let thens: Vec<_> = events
        .filter_map(|event| match event {
            Event::Turn(entry) => match entry.outcome {
                agents::Outcome::Failed { then, .. } => Some(then),
                agents::Outcome::Replied(_) => None,
            },
            _ => None,
        })
        .collect();
    assert_eq!(thens[..2], [Then::Told, Then::Dead]);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many_dead_letters_and_the_journal_says_which_went() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = Lasting::open(folder.path()).await.clerks(&["ada"]);
    let agent = village.agent("ada");
    let body = "x".repeat(40_000);
    let mut first = String::new();
    for (skill, body, times) in [("refuse", "null", MOST_DEAD + 5), ("refuse", body.as_str(), 430)] {
        let mut ends = Vec::new();
        for _ in 0..times {
            let (id, end) = agent.post(message(skill, body)).await.expect("it is accepted");
            if first.is_empty() {
                first = id;
            }
            ends.push(end);
        }
        for end in ends {
            assert!(end.await.expect("it is answered").outcome.is_err());
        }
        let dead = village.books.store().read().scan(DEAD.under("ada"), None, usize::MAX).expect("it is read");
        let bytes: usize = dead.iter().map(|(_, dead)| dead.mail.body.len()).sum();
        assert!(dead.len() <= MOST_DEAD && dead.len() > 300 && bytes <= 16 << 20, "{} of {bytes}", dead.len());
        assert!(dead.iter().all(|(_, dead)| dead.mail.id != first), "the oldest went");
    }
    let records = village.books.store().read().journal(0..u64::MAX, usize::MAX).expect("it can be read");
    let noted = records.iter().find_map(|record| match record.read::<Event>().expect("it is an event") {
        Some(Event::Noted { what, details, .. }) if what == "dead-letters-dropped" => Some(details),
        _ => None,
    });
    assert!(noted.as_ref().is_some_and(|details| details.contains(&first)), "{noted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_turns_are_tried_changes_while_an_agent_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = Lasting::open(folder.path()).await.clerks(&["ada"]);
    let failing = r#"{"to":"ada","text":"x","fail":9}"#;
    let tries = |village: &Lasting| {
        let dead = village.books.store().read().scan(DEAD.under("ada"), None, 9).expect("it is read");
        dead.last().map(|(_, dead)| dead.mail.attempt)
    };
    village.post("ada", "pass", failing).await.expect_err("it fails");
    assert_eq!(tries(&village), Some(EAGER.attempts));
    let fields = [("attempts", "2"), ("backoff", "1ms"), ("idle", "1ms")];
    let turns = Turns::default().with(fields).expect("it is good");
    village.agent("ada").set_turns(turns);
    village.post("ada", "pass", failing).await.expect_err("it fails");
    assert_eq!(tries(&village), Some(2));
    assert_eq!(recorded_lengths(&village), [true, true, true, true, false, false], "and it is not recorded any more");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(!village.agent("ada").has_instance(), "it has had nothing to do for long");
}

/// Whether each turn was recorded.
fn recorded_lengths(village: &Lasting) -> Vec<bool> {
    let records = village.books.store().read().journal(0..u64::MAX, usize::MAX).expect("it can be read");
    let events = records.iter().filter_map(|record| record.read::<Event>().expect("it is an event"));
    events
        .filter_map(|event| match event {
            Event::Turn(entry) => Some(!entry.record.is_empty()),
            _ => None,
        })
        .collect()
}

//! Turns as transactions: what a message does is kept with its end, all of it or nothing, and exactly once.

use agents::{Care, DEAD, Event, MAIL, Outcome, REPLIES, TIMERS, Then};
use guest::{Failed, Retry};
use std::path::Path;
use std::time::Duration;
use tests::lasting::{EAGER, Lasting};
use tests::{eventually, message};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

async fn village(folder: &Path) -> Lasting {
    Lasting::open(folder).await.clerks(&["ada", "bob", "eve"])
}

fn order(to: &str, text: &str, fail: u32) -> String {
    format!(r#"{{"to":"{to}","text":"{text}","fail":{fail},"millis":50}}"#)
}

/// What the journal says of turns: whose, which try, and what came of it.
fn turns(village: &Lasting) -> Vec<(String, u32, Outcome)> {
    let records = village.books.store().read().journal(0..u64::MAX, usize::MAX).expect("it can be read");
    let events = records.iter().filter_map(|record| record.read::<Event>().expect("it is an event"));
    let turn = |event| match event {
        Event::Turn(entry) => Some((entry.agent, entry.attempt, entry.outcome)),
        _ => None,
    };
    events.filter_map(turn).collect()
}

/// Whether nothing waits and nothing is kept for a turn under way.
fn settled(village: &Lasting) -> bool {
    let read = village.books.store().read();
    let mail = read.scan(MAIL.all(), None, 1).expect("it can be read");
    let replies = read.scan(REPLIES.all(), None, 1).expect("it can be read");
    mail.is_empty() && replies.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_turn_kept_is_there_after_the_host_has_gone() {
    let folder = folder();
    let first = village(folder.path()).await;
    assert_eq!(first.post("ada", "note", "one").await.expect("it is kept"), "1");
    assert_eq!(first.post("ada", "pass", &order("bob", "two", 0)).await.expect("it is kept"), "2");
    assert_eq!(first.lines_when("bob", 1).await, ["two"]);
    drop(first);
    let second = village(folder.path()).await;
    assert_eq!(second.lines("ada").await, ["one", "two"]);
    assert_eq!(second.lines("bob").await, ["two"]);
    assert_eq!(second.post("ada", "note", "three").await.expect("it goes on"), "3");
    assert!(settled(&second), "nothing waits any more");
    second.books.store().read().verify().expect("the chain of the journal holds");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_kept_with_its_outcome_if_that_is_soon_there_and_before_it_if_not() {
    let folder = folder();
    let village = Lasting::open(folder.path()).await;
    let slow = Retry { backoff: Duration::from_secs(1), longest: Duration::from_secs(1), ..EAGER };
    ["ada", "bob"].iter().for_each(|name| village.clerk(name, slow));
    village.agent("ada").warm().await.expect("it lives").expect("it can be made");
    let ada = village.agent("ada");
    let head = || *village.books.store().tail().borrow();
    let mail = || village.books.store().read().scan(MAIL.under("ada"), None, 9).expect("it can be read").len();

    let before = head();
    let (_, answer) = ada.call(message("note", "\"one\"")).await.expect("it is kept");
    assert_eq!((head(), mail()), (before + 2, 0), "its end is kept when it is");
    answer.await.expect("it is answered").outcome.expect("it ends well");

    // Its first turn waits for another agent.
    let (_, answer) = ada.call(message("ask", &order("bob", "two", 1))).await.expect("it is kept");
    assert_eq!(mail(), 1, "it waits to be tried again");
    answer.await.expect("it is answered").outcome.expect("it ends well in the end");
    assert_eq!(village.lines("ada").await, ["one", "two at 1"]);

    // One that comes while it waits is kept at once, as it has to wait behind it.
    let (_, first) = ada.call(message("pass", &order("bob", "three", 1))).await.expect("it is kept");
    let (_, second) = ada.call(message("note", "\"four\"")).await.expect("it is kept");
    assert_eq!(mail(), 2);
    first.await.expect("it is answered").outcome.expect("it ends well in the end");
    second.await.expect("it is answered").outcome.expect("it ends well");
    assert_eq!(village.lines("ada").await, ["one", "two at 1", "three", "four"]);
    eventually("nothing that waits", || settled(&village)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_turn_leaves_nothing_and_is_tried_again_until_it_ends_well() {
    let folder = folder();
    let village = village(folder.path()).await;
    let lines = village.post("ada", "pass", &order("bob", "once", 2)).await.expect("the third try ends well");
    assert_eq!(lines, "1", "what the first two wrote is gone");
    assert_eq!(village.lines_when("bob", 1).await, ["once"], "and so is what they told");
    let of_ada: Vec<_> = turns(&village).into_iter().filter(|(agent, ..)| agent == "ada").collect();
    assert_eq!(of_ada.iter().map(|(_, attempt, _)| *attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(matches!(&of_ada[0].2, Outcome::Failed { kind, then: Then::Again, .. } if kind == "temporary"));
    assert!(matches!(of_ada[2].2, Outcome::Replied(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fails_too_often_or_for_good_is_a_dead_letter() {
    let folder = folder();
    let village = village(folder.path()).await;
    let outcome = village.post("ada", "pass", &order("bob", "never", 99)).await;
    assert!(matches!(outcome, Err(Failed::Failed(failure)) if failure.message == "not yet"));
    let refused = village.post("ada", "refuse", "null").await;
    assert!(matches!(refused, Err(Failed::Failed(failure)) if failure.message == "not I"));
    let broken = village.post("ada", "trap", "null").await;
    assert!(matches!(broken, Err(Failed::Broke(fault)) if fault.to_string().contains("broken on purpose")));
    let dead = village.books.store().read().scan(DEAD.under("ada"), None, 9).expect("it can be read");
    let seen: Vec<_> =
        dead.iter().map(|(_, dead)| (dead.mail.skill.as_str(), dead.mail.attempt, &*dead.kind)).collect();
    assert_eq!(
        seen,
        [("pass", EAGER.attempts, "temporary"), ("refuse", 1, "refused"), ("trap", EAGER.attempts, "trap")]
    );
    assert!(village.lines("ada").await.is_empty(), "nothing of them happened");
    assert!(village.lines("bob").await.is_empty());
    assert!(settled(&village));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_asks_the_same_again_gets_the_recorded_reply() {
    let folder = folder();
    let village = village(folder.path()).await;
    let there = village.post("ada", "ask", &order("bob", "asked", 2)).await.expect("the third try ends well");
    assert_eq!(there, "1");
    assert_eq!(village.lines("bob").await, ["asked"], "bob handled it once");
    assert_eq!(village.lines("ada").await, ["asked at 1"]);
    let of_bob = turns(&village).into_iter().filter(|(agent, ..)| agent == "bob").count();
    assert_eq!(of_bob, 1);
    assert!(settled(&village), "the reply goes with the turn that asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_asks_happens_once_however_often_its_first_turn_is_tried() {
    let folder = folder();
    let village = village(folder.path()).await;
    village.post("ada", "relay", &order("bob", "eve", 2)).await.expect("the third try ends well");
    assert_eq!(village.lines("eve").await, ["relayed"]);
    assert_eq!(village.lines("bob").await, ["relayed at 1"]);
    assert!(settled(&village));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_when_the_host_goes_is_handled_by_the_next_one() {
    let folder = folder();
    let first = village(folder.path()).await;
    let agent = first.agent("ada");
    let mut kept = Vec::new();
    for number in 0..50 {
        kept.push(agent.post(message("note", &number.to_string())).await.expect("it is kept").0);
    }
    drop((agent, first));
    let second = village(folder.path()).await;
    let lines = second.lines_when("ada", 50).await;
    assert_eq!(lines, (0..50).map(|number| number.to_string()).collect::<Vec<_>>(), "each once, in their order");
    assert!(settled(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_back_off_holds_back_its_senders_later_ones() {
    let folder = folder();
    let village = village(folder.path()).await;
    let agent = village.agent("ada");
    let (_, failing) = agent.post(message("pass", &order("bob", "first", 2))).await.expect("it is kept");
    let (_, later) = agent.post(message("note", "second")).await.expect("it is kept");
    let mut other = message("note", "of another");
    other.sender = guest::Sender::Client("another".into());
    let (_, other) = agent.post(other).await.expect("it is kept");
    let (failing, later, other) = tokio::join!(failing, later, other);
    for answer in [failing, later, other] {
        answer.expect("the agent lives").outcome.expect("it ends well");
    }
    let lines = village.lines("ada").await;
    let place = |line: &str| lines.iter().position(|found| found == line);
    assert!(place("first") < place("second"), "{lines:?}");
    assert!(place("of another") < place("first"), "another sender's is not held back: {lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_wants_no_order_lets_later_messages_pass() {
    let folder = folder();
    let village = Lasting::open(folder.path()).await.clerks(&["bob"]);
    village.clerk("ada", Retry { ordered: false, backoff: Duration::from_millis(100), ..EAGER });
    let agent = village.agent("ada");
    let (_, failing) = agent.post(message("pass", &order("bob", "first", 1))).await.expect("it is kept");
    let (_, later) = agent.post(message("note", "second")).await.expect("it is kept");
    let (failing, later) = tokio::join!(failing, later);
    assert!(failing.expect("the agent lives").outcome.is_ok() && later.expect("the agent lives").outcome.is_ok());
    assert_eq!(village.lines("ada").await, ["second", "first"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_outlives_the_host_and_one_of_a_failed_turn_never_was() {
    let folder = folder();
    let first = village(folder.path()).await;
    first.post("ada", "later", &order("bob", "in a while", 1)).await.expect("the second try ends well");
    let timers = first.books.store().read().scan(TIMERS.all(), None, 9).expect("it can be read");
    assert_eq!(timers.len(), 1, "the first try's is gone");
    drop(first);
    let second = village(folder.path()).await;
    // It goes off in its sender's next life.
    second.agent("ada");
    assert_eq!(second.lines_when("bob", 1).await, ["in a while"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(second.lines("bob").await, ["in a while"], "once");
    assert!(second.books.store().read().scan(TIMERS.all(), None, 9).expect("it can be read").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_was_taken_back_does_not_come_after_a_restart() {
    let folder = folder();
    let first = village(folder.path()).await;
    let id = first.post("ada", "later", &order("bob", "never", 0)).await.expect("it is kept");
    assert_eq!(first.post("ada", "recall", &id).await.expect("it is kept"), "true");
    drop(first);
    let second = village(folder.path()).await;
    second.agent("ada");
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(second.lines("bob").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_outlives_the_host_and_its_time_does_not() {
    let folder = folder();
    let first = village(folder.path()).await;
    let grow = r#"{"to":"helper","text":"hello","fail":1,"millis":60000}"#;
    let name = first.post("ada", "grow", grow).await.expect("the second try ends well");
    assert_eq!(name, "ada/helper");
    let ask = r#"{"to":"ada/helper","text":"again"}"#;
    assert_eq!(first.post("ada", "ask", ask).await.expect("the helper answers"), "2");
    drop(first);
    let second = village(folder.path()).await;
    assert_eq!(second.post("ada", "ask", ask).await.expect("the helper is there again"), "3");
    assert_eq!(second.post("bob", "ask", ask).await.expect("and others find it"), "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_message_is_not_kept_and_what_it_does_is() {
    let folder = folder();
    let first = village(folder.path()).await;
    assert_eq!(first.fast("ada", "note", "quick").await.expect("it is handled"), "1");
    let failed = first.fast("ada", "trap", "null").await;
    assert!(matches!(failed, Err(Failed::Broke(_))), "nobody tries it again");
    assert!(first.books.store().read().scan(DEAD.all(), None, 9).expect("it can be read").is_empty());
    drop(first);
    assert_eq!(village(folder.path()).await.lines("ada").await, ["quick"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_rests_wakes_with_what_it_had() {
    let folder = folder();
    let village = village(folder.path()).await;
    village.post("ada", "note", "before").await.expect("it is kept");
    assert!(village.host.rest("ada"));
    assert!(village.host.awake("ada").is_none());
    assert_eq!(village.post("bob", "pass", &order("ada", "a knock", 0)).await.expect("it is kept"), "1");
    assert_eq!(village.lines_when("ada", 2).await, ["before", "a knock"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_an_agent_is_let_go_again_and_again() {
    let folder = folder();
    let village = std::sync::Arc::new(village(folder.path()).await);
    let sender = {
        let village = village.clone();
        tokio::spawn(async move {
            for number in 0..300 {
                loop {
                    // Between two lives the door may be shut.
                    if village.agent("bob").post(message("note", &number.to_string())).await.is_ok() {
                        break;
                    }
                }
            }
        })
    };
    while !sender.is_finished() {
        village.host.rest("bob");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    sender.await.expect("every message was kept");
    let lines = village.lines_when("bob", 300).await;
    assert_eq!(lines, (0..300).map(|number| number.to_string()).collect::<Vec<_>>());
    eventually("an empty mailbox", || settled(&village)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_keeps_breaking_is_left_alone_for_a_while_and_what_waits_is_not_lost() {
    let folder = folder();
    let mut village = Lasting::open(folder.path()).await;
    village.care = Care { faults: 3, pause: Duration::from_millis(700), ..Care::default() };
    let village = village.clerks(&["ada"]);
    let agent = village.agent("ada");
    let (_, broken) = agent.post(message("trap", "null")).await.expect("it is kept");
    eventually("a pause", || agent.left_alone().is_some()).await;
    let told = village.fast("ada", "note", "not now").await;
    assert!(matches!(told, Err(Failed::Failed(failure)) if failure.message.contains("left alone")));
    let (_, waits) = agent.post(message("note", "waits")).await.expect("it is kept");
    assert!(broken.await.expect("the agent lives").outcome.is_err(), "the fourth try breaks as well");
    waits.await.expect("the agent lives").outcome.expect("then it is the next one's turn");
    assert_eq!(village.lines("ada").await, ["waits"]);
    assert_eq!(agent.faults(), u64::from(EAGER.attempts));
    assert!(agent.left_alone().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_many_turns_a_new_instance_goes_on_with_what_the_old_one_kept() {
    let folder = folder();
    let mut village = Lasting::open(folder.path()).await;
    village.care = Care { recycle: 3, ..Care::default() };
    let village = village.clerks(&["ada"]);
    for _ in 0..3 {
        village.fast("ada", "note", "x").await.expect("it is handled");
    }
    assert_eq!(village.fast("ada", "seen", "null").await.expect("it is handled"), "0", "it keeps nothing in memory");
    let echo = village.host.load(tests::guest("echo")).await.expect("it loads");
    village.enrol("echo", echo, EAGER);
    for number in 1..=10 {
        assert_eq!(village.fast("echo", "count", "").await.expect("it is handled"), number.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_nothing_to_do_puts_its_instance_away_and_wakes_with_what_it_kept() {
    let folder = folder();
    let mut village = Lasting::open(folder.path()).await;
    village.care = Care { idle: Duration::from_millis(100), ..Care::default() };
    let echo = village.host.load(tests::guest("echo")).await.expect("it loads");
    village.enrol("echo", echo, EAGER);
    assert_eq!(village.fast("echo", "count", "").await.expect("it is handled"), "1");
    let agent = village.agent("echo");
    assert!(agent.has_instance());
    let held = |agent: &guest::Agent| {
        agent.usage().into_iter().find(|usage| usage.field == "memory").expect("it has memory").used_units
    };
    let awake = held(&agent);
    eventually("sleep", || !agent.has_instance()).await;
    assert!(held(&agent) < awake / 10, "{} of {awake} bytes are held", held(&agent));
    assert_eq!(village.fast("echo", "count", "").await.expect("it is handled"), "2", "it goes on where it was");
}

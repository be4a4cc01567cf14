//! Agents as the macro makes them, on a host for tests.

use serde::{Deserialize, Serialize};
use village::test::{self, Value, json};
use village::{Failure, FailureKind, Message, Payload, Schema, Sender, agent, log, state};

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
struct Trip {
    /// Where to go,
    /// in this order.
    stops: Vec<Stop>,
    #[schema(minimum = 1, default = 1)]
    #[serde(default)]
    vehicles: u32,
}

#[derive(Deserialize, Schema)]
struct Stop {
    demand: u8,
}

#[derive(Serialize, Schema)]
struct Sum {
    sum: u32,
}

#[derive(Default)]
struct Clerk {
    turns: u32,
}

#[derive(Debug)]
struct Closed;

impl From<Closed> for Failure {
    fn from(_: Closed) -> Failure {
        Failure::refused("closed")
    }
}

/// Does
/// this and that.
///
/// And more.
#[agent(name = "clerk", version = "3.2.1", role = "office", tags = ["a", "b"])]
impl Clerk {
    /// Adds up what is wanted.
    #[skill(tags = ["sums"], example = r#"{"stops": [{"demand": 2}]}"#)]
    fn total_demand(&mut self, trip: Trip) -> Sum {
        self.turns += 1;
        Sum { sum: trip.stops.iter().map(|stop| u32::from(stop.demand)).sum::<u32>() + trip.vehicles }
    }

    #[skill]
    fn upper(&self, text: String) -> String {
        text.to_uppercase()
    }

    #[skill]
    fn reverse(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.reverse();
        bytes
    }

    #[skill(name = "same")]
    fn as_it_is(&mut self, payload: Payload) -> Result<Payload, Failure> {
        Ok(payload)
    }

    #[skill]
    fn sender(text: String, message: &Message) -> String {
        format!("{text} from {}, try {}", message.sender_name(), message.attempt)
    }

    #[skill]
    fn turns(&mut self) -> u32 {
        self.turns
    }

    #[skill]
    fn knock(&mut self) -> Result<(), Closed> {
        Err(Closed)
    }

    #[skill]
    fn nothing(&mut self) {}

    /// No skill: an ordinary method.
    fn quiet(&self) -> bool {
        self.turns == 0
    }

    #[snapshot]
    fn keep(&self) -> Option<u32> {
        if self.quiet() { None } else { Some(self.turns) }
    }

    #[restore]
    fn take_over(&mut self, turns: u32, version: &str) -> Result<(), Failure> {
        if version != "3.2.0" {
            return Err(Failure::refused(version));
        }
        self.turns = turns;
        Ok(())
    }
}

#[derive(Default)]
struct Anything;

#[agent(name = "anything")]
impl Anything {
    #[skill]
    fn known(&mut self) -> String {
        "known".to_owned()
    }

    #[otherwise]
    fn unknown(&mut self, message: Message) -> Result<String, Failure> {
        match message.sender {
            Sender::Topic(topic) => Ok(topic),
            _ => Err(Failure::unsupported(message.skill)),
        }
    }
}

#[derive(Default)]
struct Writer;

#[agent]
impl Writer {
    #[skill]
    fn write(&mut self, value: u32) -> Result<u64, Failure> {
        log::info!("writing {value}");
        let version = state::set("value", &value)?;
        if value == 13 { Err(Failure::temporary("not today")) } else { Ok(version) }
    }

    #[skill]
    fn read(&mut self) -> Result<Option<u32>, Failure> {
        Ok(state::get("value")?)
    }
}

fn clerk() -> test::Tested<Clerk> {
    test::agent(test::Host::new())
}

fn failed(result: Result<Value, Failure>) -> Failure {
    result.expect_err("it fails")
}

#[test]
fn the_card_says_what_the_code_says() {
    let card = clerk().card();
    assert_eq!((card.name.as_str(), card.version.as_str(), card.role.as_str()), ("clerk", "3.2.1", "office"));
    assert_eq!(card.description, "Does this and that.\nAnd more.");
    assert_eq!(card.tags, ["a", "b"]);
    let names: Vec<_> = card.skills.iter().map(|skill| skill.name.as_str()).collect();
    assert_eq!(names, ["total-demand", "upper", "reverse", "same", "sender", "turns", "knock", "nothing"]);

    let sum = &card.skills[0];
    assert_eq!(sum.description, "Adds up what is wanted.");
    assert_eq!(sum.tags, ["sums"]);
    assert_eq!(sum.examples, [r#"{"stops": [{"demand": 2}]}"#]);
    let input: Value = serde_json::from_str(&sum.input).expect("the schema is JSON");
    let stop = json!({
        "type": "object",
        "properties": {"demand": {"type": "integer", "minimum": 0, "maximum": 255}},
        "required": ["demand"],
    });
    let wanted = json!({
        "type": "object",
        "properties": {
            "stops": {"type": "array", "items": stop, "description": "Where to go, in this order."},
            "vehicles": {"type": "integer", "minimum": 1, "maximum": 4294967295u32, "default": 1},
        },
        "required": ["stops"],
        "additionalProperties": false,
    });
    assert_eq!(input, wanted);
    for raw in &card.skills[1..5] {
        assert_eq!((raw.input.as_str(), raw.output.as_str()), ("", ""), "{}", raw.name);
    }
    let turns = &card.skills[5];
    assert_eq!((turns.input.as_str(), turns.output.contains("integer")), ("", true));
}

#[test]
fn what_is_not_said_comes_from_the_package() {
    let card = test::agent::<Writer>(test::Host::new()).card();
    assert_eq!((card.name.as_str(), card.version.as_str()), (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")));
    assert_eq!(card.description, env!("CARGO_PKG_DESCRIPTION"));
}

#[test]
fn a_skill_takes_and_answers_what_its_signature_says() {
    let mut clerk = clerk();
    let trip = json!({"stops": [{"demand": 2}, {"demand": 3}]});
    assert_eq!(clerk.call("total-demand", trip), Ok(json!({"sum": 5})));
    let upper = clerk.send("upper", "zebra").expect("it is text");
    assert_eq!((upper.as_text(), upper.content_type.starts_with("text/plain")), (Some("ZEBRA"), true));
    assert_eq!(clerk.send("reverse", vec![1, 2, 255]).expect("any bytes").body, [255, 2, 1]);
    let odd = Payload { content_type: "image/png".to_owned(), body: vec![0] };
    assert_eq!(clerk.send("same", odd.clone()), Ok(odd));
    assert_eq!(clerk.send("sender", "hello").expect("it is text").as_text(), Some("hello from test, try 1"));
    assert_eq!(clerk.send("nothing", "").expect("nothing can fail"), Payload::default());
    assert_eq!(clerk.send("turns", Payload::default()).expect("no input").as_text(), Some("1"));
}

#[test]
fn an_input_that_does_not_parse_is_invalid_and_names_the_field() {
    let mut clerk = clerk();
    let wrong = failed(clerk.call("total-demand", json!({"stops": [{"demand": 1}, {"demand": 256}]})));
    assert_eq!(wrong.kind, FailureKind::Invalid);
    assert_eq!(wrong.details, r#"{"field":"stops[1].demand"}"#);
    assert_eq!(wrong.message, "`stops[1].demand` is 256, and is to be u8");

    let missing = failed(clerk.call("total-demand", json!({"stops": [{}]})));
    assert_eq!(missing.message, "`stops[0].demand` is missing");
    let unknown = failed(clerk.call("total-demand", json!({"stops": [], "speed": 3})));
    assert!(unknown.message.starts_with("`speed` is not known"), "{}", unknown.message);
    for text in ["", "{", "[]", "null", "{\"stops\": []} x"] {
        let refused = clerk.send("total-demand", text).expect_err(text);
        assert_eq!(refused.kind, FailureKind::Invalid, "{text}: {refused}");
    }
    let bytes = clerk.send("upper", vec![0xff]).expect_err("it is not UTF-8");
    assert_eq!(bytes.kind, FailureKind::Invalid);
}

#[test]
fn an_unknown_skill_is_unsupported_and_the_nearest_is_named() {
    let unknown = failed(clerk().call("total_demnd", json!({})));
    assert_eq!(unknown.kind, FailureKind::Unsupported);
    assert!(unknown.message.contains("did you mean `total-demand`?"), "{}", unknown.message);
    assert!(unknown.message.contains("there are total-demand, upper, reverse"), "{}", unknown.message);
    assert!(failed(clerk().call("", json!({}))).message.starts_with("no skill was named; there are"));
}

#[test]
fn what_a_skill_fails_with_is_what_its_error_becomes() {
    assert_eq!(clerk().call("knock", json!(null)), Err(Failure::refused("closed")));
}

#[test]
fn messages_that_name_no_known_skill_go_to_the_one_that_takes_them() {
    let mut agent = test::agent::<Anything>(test::Host::new());
    assert_eq!(agent.send("known", "").expect("it is known").as_text(), Some("known"));
    let published = Message { sender: Sender::Topic("news".to_owned()), ..test::message("", "") };
    assert_eq!(agent.handle(published).expect("topics are taken").as_text(), Some("news"));
    assert_eq!(agent.send("other", ""), Err(Failure::unsupported("other")));
}

#[test]
fn memory_is_kept_by_a_snapshot_and_lost_by_a_failure() {
    let mut clerk = clerk();
    assert_eq!(clerk.snapshot(), None, "an agent that was never needed keeps nothing");
    clerk.send("nothing", "").expect("nothing can fail");
    assert_eq!(clerk.snapshot(), None, "a snapshot of nothing is none");
    clerk.call("total-demand", json!({"stops": []})).expect("no stops are fine");
    let kept = clerk.snapshot().expect("there was a turn");

    assert!(clerk.call("knock", json!(null)).is_err());
    assert_eq!(clerk.call("turns", json!(null)), Ok(json!(0)), "a failed turn costs the memory");

    clerk.restore(kept.clone(), "3.2.0").expect("it is of this shape");
    assert_eq!(clerk.call("turns", json!(null)), Ok(json!(1)));
    assert_eq!(clerk.restore(kept, "2.0.0"), Err(Failure::refused("2.0.0")));
    let other = clerk.restore(b"[]".to_vec(), "3.2.0").expect_err("it is of another shape");
    assert_eq!(other.kind, FailureKind::Internal);
}

#[test]
fn a_failed_turn_writes_nothing_and_logs_all_the_same() {
    let host = test::Host::new().with_state().with_log();
    let mut writer = test::agent::<Writer>(host.clone());
    writer.call("write", 7).expect("seven is fine");
    assert!(writer.call("write", 13).is_err());
    assert_eq!(writer.call("read", json!(null)), Ok(json!(7)));
    assert_eq!(host.kept::<u32>("value"), Some(7));
    assert!(host.logged(log::Level::Info, "writing 13"));
}

#[test]
fn what_is_not_granted_is_refused_and_a_full_store_is_temporary() {
    let mut shut = test::agent::<Writer>(test::Host::new());
    let denied = failed(shut.call("write", 7));
    assert_eq!(denied.kind, FailureKind::Refused);
    assert!(denied.message.contains("state"), "{}", denied.message);

    let mut full = test::agent::<Writer>(test::Host::new().with_state().with_storage(5));
    let full = failed(full.call("write", 7));
    assert_eq!((full.kind, full.details.as_str()), (FailureKind::Temporary, r#"{"limit":"storage"}"#));
}

//! What a schema accepts is what serde reads, and what serde writes fits the schema: over serde's attributes.

mod validator;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use validator::fits;
use village::Schema;
use village::schema::{input, output};

fn parsed(schema: String) -> Value {
    serde_json::from_str(&schema).unwrap_or_else(|error| panic!("{error}: {schema}"))
}

/// Each of these is read by serde, and fits; what is written of it fits too. None of the others does either.
fn agree<T: Schema + DeserializeOwned + Serialize>(good: &[Value], bad: &[Value]) {
    let (reads, writes) = (parsed(input::<T>()), parsed(output::<T>()));
    for value in good {
        let read: T =
            serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("serde, of {value}: {error}"));
        fits(&reads, value).unwrap_or_else(|why| panic!("{value} does not fit {reads}: {why}"));
        let written = serde_json::to_value(&read).expect("it can be written");
        fits(&writes, &written).unwrap_or_else(|why| panic!("{written} does not fit {writes}: {why}"));
    }
    for value in bad {
        assert!(serde_json::from_value::<T>(value.clone()).is_err(), "serde reads {value}");
        assert!(fits(&reads, value).is_err(), "{value} fits {reads}");
    }
}

#[derive(Deserialize, Serialize, Schema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Plain {
    two_words: String,
    #[serde(rename = "x-y")]
    renamed: bool,
    #[serde(default)]
    defaulted: Vec<i16>,
    maybe: Option<f64>,
    #[serde(skip)]
    #[allow(dead_code, reason = "it is there to be skipped")]
    hidden: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    sometimes: Option<Box<u8>>,
    r#type: char,
}

#[test]
fn names_defaults_and_what_may_be_left_out() {
    let full = json!({"twoWords": "a", "x-y": true, "defaulted": [-3], "maybe": 1.5, "sometimes": 2, "type": "t"});
    let least = json!({"twoWords": "a", "x-y": true, "type": "t"});
    let null = json!({"twoWords": "a", "x-y": true, "maybe": null, "sometimes": null, "type": "ž"});
    let without = |name: &str| {
        let mut value = least.clone();
        value.as_object_mut().expect("it is an object").remove(name);
        value
    };
    let with = |name: &str, other: Value| {
        let mut value = full.clone();
        value[name] = other;
        value
    };
    agree::<Plain>(
        &[full.clone(), least.clone(), null],
        &[
            without("twoWords"),
            without("x-y"),
            without("type"),
            with("hidden", json!(1)),
            with("two_words", json!("a")),
            with("defaulted", json!([40_000])),
            with("defaulted", json!(null)),
            with("sometimes", json!(-1)),
            with("sometimes", json!(256)),
            with("maybe", json!("1")),
            with("type", json!("tt")),
            json!([]),
            json!(null),
        ],
    );
    let writes = parsed(output::<Plain>());
    assert_eq!(writes["required"], json!(["twoWords", "x-y", "defaulted", "maybe", "type"]));
}

#[derive(Deserialize, Serialize, Schema)]
#[serde(default)]
struct AllDefault {
    a: u64,
    b: String,
}

impl Default for AllDefault {
    fn default() -> AllDefault {
        AllDefault { a: 1, b: "b".into() }
    }
}

#[derive(Deserialize, Serialize, Schema)]
struct Directions {
    #[serde(rename(deserialize = "in", serialize = "out"))]
    both: u8,
    #[serde(skip_serializing)]
    #[allow(dead_code, reason = "it is read by serde only")]
    secret: String,
    #[serde(skip_deserializing)]
    made: u32,
}

#[test]
fn a_direction_has_names_of_its_own() {
    agree::<AllDefault>(&[json!({}), json!({"a": 2}), json!({"other": 1})], &[json!({"a": -1})]);
    agree::<Directions>(&[json!({"in": 1, "secret": "s"})], &[json!({"out": 1, "secret": "s"}), json!({"in": 1})]);
    assert_eq!(parsed(output::<Directions>())["required"], json!(["out", "made"]));
    assert!(parsed(input::<Directions>())["properties"].get("made").is_none());
}

#[derive(Deserialize, Serialize, Schema)]
struct Flat {
    a: u8,
    #[serde(flatten)]
    inner: Inner,
    #[serde(flatten)]
    perhaps: Option<Perhaps>,
}

#[derive(Deserialize, Serialize, Schema)]
struct Inner {
    b: bool,
    #[serde(default)]
    c: u8,
}

#[derive(Deserialize, Serialize, Schema)]
struct Perhaps {
    d: String,
}

#[derive(Deserialize, Serialize, Schema)]
struct Rest {
    a: u8,
    #[serde(flatten)]
    others: BTreeMap<String, bool>,
}

#[derive(Deserialize, Serialize, Schema)]
struct FlatTag {
    a: u8,
    #[serde(flatten)]
    kind: Internal,
}

#[test]
fn flattened_fields_stand_beside_the_others() {
    agree::<Flat>(
        &[json!({"a": 1, "b": true}), json!({"a": 1, "b": true, "c": 2, "d": "d"})],
        &[json!({"a": 1}), json!({"b": true}), json!({"a": 1, "inner": {"b": true}})],
    );
    agree::<Rest>(&[json!({"a": 1}), json!({"a": 1, "x": true})], &[json!({"a": 1, "x": 1})]);
    agree::<FlatTag>(
        &[json!({"a": 1, "kind": "stop"}), json!({"a": 1, "kind": "go-on", "far": 3})],
        &[json!({"a": 1}), json!({"a": 1, "kind": "go-on"}), json!({"kind": "stop"})],
    );
}

#[derive(Deserialize, Serialize, Schema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Word {
    One,
    TwoThree,
    #[serde(rename = "4")]
    Four,
}

/// A word with a meaning.
#[derive(Deserialize, Serialize, Schema)]
#[serde(rename_all = "kebab-case")]
enum Documented {
    /// The first.
    FirstOne,
    Second,
}

#[derive(Deserialize, Serialize, Schema)]
#[serde(rename_all = "snake_case", rename_all_fields = "camelCase")]
enum External {
    NoContent,
    NewType(u8),
    ThePair(u8, String),
    WithFields { one_field: bool, other: Option<u8> },
}

#[derive(Deserialize, Serialize, Schema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Internal {
    Stop,
    GoOn { far: u32 },
    Inner(Inner),
}

#[derive(Deserialize, Serialize, Schema)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Nothing,
    One(u8),
    Two(u8, u8),
    Fields { a: bool },
}

#[derive(Deserialize, Serialize, Schema)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
    List(Vec<Untagged>),
    Fields { a: u8 },
}

#[test]
fn enums_are_written_in_four_ways() {
    agree::<Word>(
        &[json!("ONE"), json!("TWO_THREE"), json!("4")],
        &[json!("one"), json!("TwoThree"), json!("FOUR"), json!(1), json!(null)],
    );
    agree::<Documented>(&[json!("first-one"), json!("second")], &[json!("FirstOne")]);
    agree::<External>(
        &[
            json!("no_content"),
            json!({"new_type": 3}),
            json!({"the_pair": [1, "a"]}),
            json!({"with_fields": {"oneField": true}}),
            json!({"with_fields": {"oneField": true, "other": null}}),
        ],
        &[
            json!("new_type"),
            json!({"new_type": "3"}),
            json!({"the_pair": [1]}),
            json!({"the_pair": [1, "a", 2]}),
            json!({"with_fields": {"one_field": true}}),
            json!({"new_type": 3, "no_content": null}),
        ],
    );
    agree::<Internal>(
        &[json!({"kind": "stop"}), json!({"kind": "go-on", "far": 1}), json!({"kind": "inner", "b": false})],
        &[
            json!({"kind": "go-on"}),
            json!({"kind": "inner"}),
            json!({"kind": "other"}),
            json!({"far": 1}),
            json!("stop"),
        ],
    );
    agree::<Adjacent>(
        &[
            json!({"t": "Nothing"}),
            json!({"t": "One", "c": 1}),
            json!({"t": "Two", "c": [1, 2]}),
            json!({"t": "Fields", "c": {"a": true}}),
        ],
        &[json!({"t": "One"}), json!({"t": "Two", "c": [1]}), json!({"c": 1}), json!({"t": "Fields", "c": {}})],
    );
    agree::<Untagged>(
        &[json!(1), json!("a"), json!([1, ["b", {"a": 1}]]), json!({"a": 255})],
        &[json!(true), json!({"a": 256}), json!([null]), json!(null)],
    );
}

#[test]
fn a_variants_comment_is_its_description() {
    let schema = parsed(input::<Documented>());
    assert_eq!(schema["description"], "A word with a meaning.");
    assert_eq!(schema["oneOf"][0], json!({"description": "The first.", "const": "first-one"}));
    assert_eq!(parsed(input::<Word>())["enum"], json!(["ONE", "TWO_THREE", "4"]));
}

#[derive(Deserialize, Serialize, Schema)]
struct Tree {
    /// Of this branch.
    value: u8,
    /// Further ones.
    branches: Vec<Tree>,
    parent: Option<Box<Tree>>,
}

#[derive(Deserialize, Serialize, Schema)]
struct Forest {
    first: Tree,
    /// Another.
    second: Tree,
    couple: Option<Box<Couple>>,
}

#[derive(Deserialize, Serialize, Schema)]
struct Couple {
    other: Vec<Other>,
}

#[derive(Deserialize, Serialize, Schema)]
struct Other {
    couple: Option<Box<Couple>>,
}

#[test]
fn a_type_that_contains_itself_is_referred_to() {
    let leaf = json!({"value": 1, "branches": []});
    let tree = json!({"value": 1, "branches": [leaf, {"value": 2, "branches": [leaf], "parent": leaf}]});
    let broken = json!({"value": 1, "branches": [{"value": 2, "branches": [{"value": 300, "branches": []}]}]});
    agree::<Tree>(&[leaf.clone(), tree.clone()], &[broken.clone(), json!({"value": 1})]);
    let couple = json!({"other": [{"couple": {"other": [{}]}}]});
    agree::<Forest>(
        &[json!({"first": leaf, "second": tree}), json!({"first": leaf, "second": leaf, "couple": couple})],
        &[
            json!({"first": leaf, "second": broken}),
            json!({"first": leaf, "second": leaf, "couple": {"other": [{"couple": 1}]}}),
        ],
    );
    assert_eq!(parsed(input::<Tree>())["properties"]["branches"]["items"], json!({"$ref": "#"}));
    let forest = parsed(input::<Forest>());
    assert_eq!(forest["properties"]["second"], json!({"description": "Another.", "$ref": "#/$defs/Tree"}));
    assert_eq!(forest["$defs"]["Tree"]["properties"]["value"]["description"], "Of this branch.");
}

#[derive(Deserialize, Serialize, Schema)]
struct Bounded {
    /// In per cent.
    #[schema(minimum = 0, maximum = 100.5, exclusive_minimum = -1, multiple_of = 0.5, default = 1e3)]
    number: f64,
    #[schema(min_length = 1, max_length = 3, pattern = "^\"[a-z]+$", format = "word", title = "A \"word\"")]
    text: String,
    #[schema(min_items = 1, max_items = 2, unique_items = true, default = ["a", "b"])]
    list: Vec<String>,
    #[schema(minimum = 7)]
    small: u8,
    #[schema(as = u64)]
    #[serde(with = "seconds")]
    time: std::time::Duration,
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        time.as_secs().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }
}

#[test]
fn what_a_field_says_of_itself_is_in_the_schema() {
    let properties = &parsed(input::<Bounded>())["properties"];
    assert_eq!(
        properties["number"],
        json!({
            "description": "In per cent.", "type": "number", "minimum": 0, "maximum": 100.5,
            "exclusiveMinimum": -1, "multipleOf": 0.5, "default": 1e3,
        })
    );
    assert_eq!(
        properties["text"],
        json!({
            "type": "string", "minLength": 1, "maxLength": 3, "pattern": "^\"[a-z]+$", "format": "word",
            "title": "A \"word\"",
        })
    );
    assert_eq!(properties["list"]["default"], json!(["a", "b"]));
    assert_eq!((&properties["list"]["minItems"], &properties["list"]["uniqueItems"]), (&json!(1), &json!(true)));
    assert_eq!(properties["small"], json!({"type": "integer", "minimum": 7, "maximum": 255}));
    assert_eq!(properties["time"], json!({"type": "integer", "minimum": 0}));
}

#[derive(Deserialize, Serialize, Schema)]
struct Wrapped(#[schema(minimum = 1)] u16);

#[derive(Deserialize, Serialize, Schema)]
#[serde(transparent)]
struct Transparent {
    inner: Wrapped,
}

#[derive(Deserialize, Serialize, Schema)]
struct Pair(u8, Option<String>);

#[derive(Deserialize, Serialize, Schema)]
struct Unit;

#[derive(Clone, Deserialize, Serialize, Schema)]
#[serde(from = "String", into = "String")]
struct Spelt(String);

impl From<String> for Spelt {
    fn from(text: String) -> Spelt {
        Spelt(text)
    }
}

impl From<Spelt> for String {
    fn from(spelt: Spelt) -> String {
        spelt.0
    }
}

#[derive(Deserialize, Serialize, Schema)]
struct Generic<T> {
    value: T,
}

#[test]
fn structs_without_names_and_types_in_disguise() {
    agree::<Transparent>(&[json!(1)], &[json!(-1), json!({"inner": 1}), json!([1])]);
    assert_eq!(parsed(input::<Transparent>())["minimum"], 1);
    agree::<Pair>(&[json!([1, "a"]), json!([1, null])], &[json!([1]), json!([1, "a", 2]), json!(["a", 1])]);
    agree::<Unit>(&[json!(null)], &[json!(1), json!({})]);
    agree::<Spelt>(&[json!("a")], &[json!(1), json!(["a"])]);
    agree::<Generic<bool>>(&[json!({"value": true})], &[json!({"value": 1})]);
    agree::<Generic<Generic<u8>>>(&[json!({"value": {"value": 1}})], &[json!({"value": 1})]);
}

#[test]
fn the_types_that_serde_knows() {
    agree::<i8>(&[json!(-128)], &[json!(-129), json!(1.5), json!("1")]);
    agree::<u64>(&[json!(u64::MAX)], &[json!(-1)]);
    agree::<std::num::NonZeroU32>(&[json!(1)], &[json!(0)]);
    agree::<(u8, bool)>(&[json!([1, true])], &[json!([1]), json!([1, true, 1]), json!([true, 1])]);
    agree::<[u8; 2]>(&[json!([1, 2])], &[json!([1]), json!([1, 2, 3])]);
    agree::<HashMap<String, u8>>(&[json!({}), json!({"a": 1})], &[json!({"a": 256}), json!([])]);
    agree::<BTreeMap<u8, bool>>(&[json!({"1": true})], &[json!({"1": 1})]);
    agree::<BTreeSet<u8>>(&[json!([1, 2])], &[json!(["a"])]);
    agree::<Option<Inner>>(&[json!(null), json!({"b": true})], &[json!({}), json!(1)]);
    agree::<Option<Vec<Option<u8>>>>(&[json!(null), json!([null, 1])], &[json!(["a"])]);
    agree::<Value>(&[json!(null), json!({"a": [1]})], &[]);
    agree::<()>(&[json!(null)], &[json!(1)]);
    agree::<char>(&[json!("ž")], &[json!("ab"), json!("")]);
}

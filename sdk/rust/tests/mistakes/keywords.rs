use serde::{Deserialize, Serialize};
use village::Schema;

#[derive(Deserialize, Schema)]
struct Order {
    #[schema(minumum = 1)] //~ a schema has no `minumum`; there are minimum, maximum
    count: u32,
}

#[derive(Deserialize, Schema)]
struct Stamp {
    #[serde(deserialize_with = "seconds")] //~ how this field is written can't be seen here: say `#[schema(as = Type)]` beside it
    time: std::time::Duration,
}

fn seconds<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<std::time::Duration, D::Error> {
    u64::deserialize(reader).map(std::time::Duration::from_secs)
}

#[derive(Serialize, Schema)]
struct Span {
    length: std::time::Duration, //~ `Duration` has no JSON schema, so no skill can take or answer it
}

fn main() {}

//! What an agent of a village is written with.
//!
//! An agent is a WebAssembly component in a sandbox of its own, with a budget it cannot exceed and only the abilities that it was
//! granted. It answers messages, one at a time; each is a *turn*, which takes effect all together when it ends well, or not at all.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use village::{Failure, Schema, agent, log, state};
//!
//! #[derive(Deserialize, Schema)]
//! struct Name {
//!     /// Who is to be greeted.
//!     name: String,
//! }
//!
//! #[derive(Serialize, Schema)]
//! struct Greeting {
//!     text: String,
//!     times: u32,
//! }
//!
//! #[derive(Default)]
//! struct Greeter;
//!
//! /// Greets people, and remembers whom.
//! #[agent(name = "greeter", role = "example", tags = ["hello"])]
//! impl Greeter {
//!     /// Greets one by name.
//!     #[skill(example = r#"{"name": "Ada"}"#)]
//!     fn greet(&mut self, ask: Name) -> Result<Greeting, Failure> {
//!         if ask.name.is_empty() {
//!             return Err(Failure::field("name", "is empty"));
//!         }
//!         let times = state::update(&ask.name, |times: Option<u32>| times.unwrap_or(0) + 1)?;
//!         log::info!("{} for the {times}. time", ask.name);
//!         Ok(Greeting { text: format!("Hello, {}!", ask.name), times })
//!     }
//! }
//!
//! // In a `#[test]`: a host on which everything is shut that was not opened.
//! use village::test::{self, json};
//!
//! let mut greeter = test::agent::<Greeter>(test::Host::new().with_state().with_log());
//! assert_eq!(greeter.call("greet", json!({"name": "Ada"})), Ok(json!({"text": "Hello, Ada!", "times": 1})));
//! assert_eq!(greeter.call("greet", json!({"nam": "Ada"})).unwrap_err().message, "`name` is missing");
//! ```
//!
//! # Skills
//!
//! A method marked `#[skill]` can be asked for by its name, `shortest_path` as `shortest-path`. Its comment is what people and
//! models read when they choose between skills. It takes nothing, or one input, and answers nothing or one output:
//!
//! | type | as input | as output |
//! |---|---|---|
//! | any with `Deserialize` or `Serialize`, and [`Schema`] | JSON; what does not parse is answered `invalid`, naming the field | JSON |
//! | `String` (`&str`) | text; what is not UTF-8 is answered `invalid` | text |
//! | `Vec<u8>` | the bytes | bytes |
//! | [`Payload`] | bytes with their type | as it is |
//! | [`Message`] | the whole message | – |
//!
//! Beside the input a method may take `&Message`, to see who sent it. It answers `T`, or `Result<T, E>` with any `E` that
//! becomes a [`Failure`]; every error of this crate does, so `?` works. `#[skill(name = "…", description = "…", tags = ["…"],
//! example = "…")]` says more; `example` may stand several times.
//!
//! A method marked `#[otherwise]` gets every message that names no skill, or an unknown one; without one those are answered
//! `unsupported`, naming the skills there are.
//!
//! # What lasts
//!
//! The agent itself (`Greeter` above) is memory, and memory is a cache: after a turn that failed the next one meets a new agent, made
//! by `Default`. What must last belongs in [`state`], or in the [`workspace`] if it is large. To take memory along when the village
//! puts an agent to sleep or swaps in a new version:
//!
//! ```
//! # use village::{Failure, agent};
//! #[derive(Default)]
//! struct Counter {
//!     seen: u64,
//! }
//!
//! #[agent(name = "counter")]
//! impl Counter {
//!     #[skill]
//!     fn count(&mut self) -> u64 {
//!         self.seen += 1;
//!         self.seen
//!     }
//!
//!     #[snapshot]
//!     fn keep(&self) -> u64 {
//!         self.seen
//!     }
//!
//!     #[restore]
//!     fn take_over(&mut self, seen: u64) {
//!         self.seen = seen;
//!     }
//! }
//! ```
//!
//! # What an agent can reach
//!
//! One module an interface of the contract. Each is shut unless the agent's manifest grants it: then its functions answer
//! [`Error::Denied`].
//!
//! | module | for |
//! |---|---|
//! | [`log`] | lines of the agent's own log |
//! | [`state`] | what lasts: a key-value store inside the turn's transaction |
//! | [`workspace`] | what lasts and is large: files of the agent's own, and objects in versions, inside the same transaction |
//! | [`budget`] | what is left of the agent's budget, and of the turn's time |
//! | [`agents`] | asking other agents, several at once; telling them, at once or later; replies in pieces |
//! | [`mesh`] | agents and topics on other villages |
//! | [`model`] | language models and embeddings |
//! | [`memory`] | passages of documents, found by meaning |
//! | [`kernels`] | tensors: convert, merge, compare |
//! | [`tasks`] | work for whoever can do it; helpers; teams |
//! | [`supervision`] | being told when other agents break, and falling with them |
//! | [`ledger`] | the village's tokens |
//! | [`device`] | the machine |
//! | [`http`] | the web, by granted origins |
//! | [`random`] | random numbers |
//!
//! Files (under granted folders) and the clock are those of `std`.
//!
//! # Failing
//!
//! An error of an import is a value, and the turn goes on. With `?` it ends the turn as a [`Failure`]: what may pass later as
//! `temporary`, so that the village tries the message again; what is shut as `refused`; see [`Error`]. Everything that the turn
//! wrote, told and moved is dropped then. A panic ends the turn too, and costs the agent its memory.
//!
//! # Waiting
//!
//! A skill is no `async fn`. [`agents::ask`], [`model::Prompt::write`], [`kernels::convert`] and [`http::Request::begin`] only begin:
//! several are on their way at once, and [`agents::all`], [`agents::first`], [`http::all`] and [`kernels::all`] wait for them.
//!
//! # Building
//!
//! An agent is a library of the kind `cdylib`, built for `wasm32-wasip2`: `village new` writes one, and `village build` builds it. Add the
//! kind `rlib` and `cargo test` runs its tests natively; [`test`](mod@test) is the host that they have. A component imports only what
//! its code uses: one that greets people has some 90 KB, and imports nothing of the contract.

extern crate self as village;

#[cfg(all(target_family = "wasm", not(all(target_os = "wasi", target_env = "p2"))))]
compile_error!(
    "an agent is built for wasm32-wasip2: by `village build`, or `cargo build --release --target wasm32-wasip2`"
);

pub mod agents;
pub mod budget;
pub mod device;
pub mod http;
pub mod kernels;
pub mod ledger;
pub mod log;
pub mod memory;
pub mod mesh;
pub mod model;
pub mod random;
pub mod schema;
pub mod state;
pub mod supervision;
pub mod tasks;
#[cfg(not(target_family = "wasm"))]
pub mod test;
pub mod workspace;

mod agent;
#[allow(
    missing_docs,
    unused,
    unsafe_code,
    unreachable_pub,
    clippy::all,
    clippy::unwrap_used,
    reason = "generated, and tested to be what the generator makes of the contract"
)]
#[doc(hidden)]
#[rustfmt::skip]
pub mod bindings;
#[doc(hidden)]
#[path = "expanded.rs"]
#[allow(missing_docs, reason = "only the macros' code calls these")]
pub mod __;
mod json;
mod near;
mod types;

#[cfg(target_family = "wasm")]
mod imports;
#[cfg(not(target_family = "wasm"))]
use test::imports;

pub use agent::{Agent, Card, Message, Sender, Skill};
pub use schema::Schema;
pub use types::{Error, Failure, FailureKind, Limit, Payload, Priority};

/// Makes an agent of an `impl` block whose methods are skills. The [crate's page](crate) shows how.
///
/// `#[agent]` alone takes name and version from `Cargo.toml`, and the description from the block's comment. More is said by
/// `#[agent(name = "…", version = "…", role = "…", description = "…", tags = ["…"])]`.
pub use village_sdk_macros::agent;

/// Derives the JSON schema of a type from its fields, comments and serde attributes: see the trait [`trait@Schema`].
pub use village_sdk_macros::Schema;

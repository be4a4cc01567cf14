//! What versions of one agent have in common that count, remember who sent what, and keep all of it across a swap.

use crate::bindings::exports::village::agent::agent::Sender;
use crate::bindings::village::agent::{agents, state, types};
use crate::{Answer, Failure, FailureKind, Message, failure, number, shown, text, unsupported};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;

/// The skills of every version.
pub const SKILLS: &[&str] =
    &["count", "order", "keep", "state", "spin", "fail", "say", "ask", "tell", "later", "log", "which"];

#[derive(Default)]
struct Memory {
    /// Bytes that were to be kept.
    ballast: Vec<u8>,
    count: u64,
    /// The number that each sender sent last.
    last: BTreeMap<String, u64>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// Handles a message as `version` does.
pub fn handle(version: &str, message: Message) -> Answer {
    let body = message.payload.body;
    match message.skill.as_str() {
        "count" => Ok(count().to_string().into_bytes()),
        "order" => order(name(&message.sender), number(&body, 0)?),
        "keep" => {
            let bytes = number(&body, 0)? as usize;
            MEMORY.with_borrow_mut(|memory| memory.ballast = vec![7; bytes]);
            Ok(bytes.to_string().into_bytes())
        }
        "state" => Ok(shown(add_one()).into_bytes()),
        "spin" => loop {
            black_box(());
        },
        "fail" => Err(failure(FailureKind::Temporary, "as it was told to")),
        "say" => Ok([version.as_bytes(), b" ", &body].concat()),
        "ask" => Ok(shown(agents::ask(&text(body)?, &request("say"), 1_000).map(|_| "asked")).into_bytes()),
        "tell" => Ok(shown(agents::tell(&text(body)?, &request("count"), agents::Delivery::Now)).into_bytes()),
        "later" => {
            let soon = agents::Delivery::After(1);
            Ok(shown(agents::tell(&text(body)?, &request("count"), soon).map(|_| "told")).into_bytes())
        }
        "log" => {
            eprintln!("{}", text(body)?);
            Ok(Vec::new())
        }
        "which" => Ok(version.as_bytes().to_vec()),
        skill => Err(unsupported(skill)),
    }
}

fn request(skill: &str) -> agents::Request {
    let payload = types::Payload { content_type: String::new(), body: Vec::new() };
    agents::Request { skill: skill.into(), payload, priority: types::Priority::Normal }
}

fn name(sender: &Sender) -> String {
    let (Sender::Client(name) | Sender::Agent(name) | Sender::Timer(name) | Sender::Topic(name)) = sender;
    name.clone()
}

fn count() -> u64 {
    MEMORY.with_borrow_mut(|memory| {
        memory.count += 1;
        memory.count
    })
}

/// The number that a sender sends must be the one after its last one.
fn order(sender: String, number: u64) -> Answer {
    let last = MEMORY.with_borrow_mut(|memory| std::mem::replace(memory.last.entry(sender).or_insert(0), number));
    match number == last + 1 {
        true => Ok(number.to_string().into_bytes()),
        false => Err(failure(FailureKind::Internal, format!("{number} came after {last}"))),
    }
}

/// Adds one to the number under `n`.
fn add_one() -> Result<u64, state::Error> {
    let entry = state::get("n")?;
    let old: u64 = entry.map_or(0, |entry| String::from_utf8_lossy(&entry.value).parse().unwrap_or(0));
    state::set("n", (old + 1).to_string().as_bytes())?;
    Ok(old + 1)
}

/// The ballast, then the numbers as text, then the length of that text.
pub fn snapshot() -> Option<Vec<u8>> {
    MEMORY.with_borrow(|memory| {
        let mut numbers = format!("{}\n", memory.count);
        for (sender, last) in &memory.last {
            numbers.push_str(&format!("{last} {sender}\n"));
        }
        let mut kept = Vec::with_capacity(memory.ballast.len() + numbers.len() + 4);
        kept.extend_from_slice(&memory.ballast);
        kept.extend_from_slice(numbers.as_bytes());
        kept.extend_from_slice(&(numbers.len() as u32).to_le_bytes());
        Some(kept)
    })
}

pub fn restore(mut kept: Vec<u8>) -> Result<(), Failure> {
    read(&mut kept).ok_or_else(|| failure(FailureKind::Invalid, "this is not what a tally keeps"))
}

fn read(kept: &mut Vec<u8>) -> Option<()> {
    let at = kept.len().checked_sub(4)?;
    let length = u32::from_le_bytes(kept[at..].try_into().ok()?) as usize;
    let numbers = kept.get(at.checked_sub(length)?..at)?;
    let mut lines = str::from_utf8(numbers).ok()?.lines();
    let mut memory = Memory { count: lines.next()?.parse().ok()?, ..Memory::default() };
    for line in lines {
        let (last, sender) = line.split_once(' ')?;
        memory.last.insert(sender.to_owned(), last.parse().ok()?);
    }
    kept.truncate(at - length);
    memory.ballast = std::mem::take(kept);
    MEMORY.replace(memory);
    Some(())
}

//! A guest that deals with others: it asks and tells them, creates helpers, and tries to hand on more than it has.
//!
//! A request is one line of words; what is sent to others comes after the first ` | `.

use std::sync::Mutex;

use guests::bindings::exports::village::agent::agent::Sender;
use guests::bindings::village::agent::agents::{self, Delivery, Pending, Request};
use guests::bindings::village::agent::tasks::{self, Child};
use guests::bindings::village::agent::types::Priority;
use guests::bindings::village::agent::{budget, log, state};
use guests::bindings::wasi::io::poll;
use guests::{Agent, Answer, Error, FailureKind, Message, Payload, failure, shown, text, unsupported, word};

struct Family;

/// What others told it, in order.
static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

const MINUTE: u64 = 60_000;

impl Agent for Family {
    const NAME: &'static str = "family";
    const SKILLS: &'static [&'static str] = &["ask", "ask-all", "give-up", "tell", "emit", "hear", "spawn", "fail"];

    fn message(message: Message) -> Answer {
        let from = match &message.sender {
            Sender::Client(name) => format!("client {name}"),
            Sender::Agent(name) => format!("agent {name}"),
            Sender::Timer(_) => "timer".to_owned(),
            Sender::Topic(name) => format!("topic {name}"),
        };
        if message.skill == "note" {
            let line = format!("{from}: {}", text(message.payload.body)?);
            HEARD.lock().expect("one turn at a time").push(line);
            return Ok(Vec::new());
        }
        if message.skill == "who" {
            return Ok(from.into_bytes());
        }
        Self::handle(&message.skill, message.payload.body)
    }

    fn handle(skill: &str, body: Vec<u8>) -> Answer {
        let line = text(body)?;
        let (words, rest) = line.split_once(" | ").unwrap_or((&line, ""));
        let words: Vec<_> = words.split(' ').collect();
        let word = |at: usize| words.get(at).copied().unwrap_or("");
        let reply = match skill {
            "ask" => shown(ask(word(0), word(1), rest, number(word(2)))),
            "ask-all" => ask_all(&words, rest),
            "give-up" => shown(agents::ask(word(0), &request(word(1), rest), MINUTE).map(|pending| {
                drop(pending);
                "gave up"
            })),
            "twice" => shown(twice(word(0), word(1), rest)),
            "tell" => shown(agents::tell(word(0), &request("note", rest), delivery(word(1), number(word(2))))),
            "tell-many" => (0..number(word(1))).map(|_| tell(word(0), rest) + "\n").collect(),
            "tell-and-fail" => return Err(failure(FailureKind::Refused, tell(word(0), rest))),
            "tell-and-cancel" => shown(tell_and_cancel(word(0))),
            "cancel" => shown(agents::cancel(word(0))),
            "cancel-and-fail" => return Err(failure(FailureKind::Refused, shown(agents::cancel(word(0))))),
            "heard" => HEARD.lock().expect("one turn at a time").join("\n"),
            "emit" => emit(&words),
            "emit-and-fail" => return Err(failure(FailureKind::Refused, emit(&words))),
            "flood" => shown(flood(number(word(0)))),
            "hear" => shown(hear(word(0), rest)),
            "spawn" => shown(spawn(word(0), word(1), number(word(2)), rest)),
            "spawn-and-tell" => {
                shown(spawn(word(0), "", MINUTE, rest)) + " " + &tell(&format!("{}/{}", word(1), word(0)), "born")
            }
            "spawn-and-fail" => return Err(failure(FailureKind::Refused, shown(spawn(word(0), "", MINUTE, rest)))),
            "retire" => shown(tasks::retire(word(0))),
            "reach" => shown(reach(word(0))),
            "spin" => loop {
                std::hint::black_box(0);
            },
            "fail" => return Err(failure(FailureKind::Refused, rest)),
            "take" => Vec::<u8>::with_capacity(number(word(0)) as usize).capacity().to_string(),
            "big" => "x".repeat(number(word(0)) as usize),
            "allowances" => shown(budget::list().map(|list| {
                list.iter().map(|one| format!("{} {}/{}\n", one.name, one.used, one.limit)).collect::<String>()
            })),
            _ => return Err(unsupported(skill)),
        };
        Ok(reply.into_bytes())
    }
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or(MINUTE)
}

fn request(skill: &str, body: &str) -> Request {
    Request {
        skill: skill.to_owned(),
        payload: Payload { content_type: "text/plain".to_owned(), body: body.as_bytes().to_vec() },
        priority: Priority::Normal,
    }
}

fn delivery(word: &str, number: u64) -> Delivery {
    match word {
        "after" => Delivery::After(number),
        "at" => Delivery::At(number),
        _ => Delivery::Now,
    }
}

fn wait(pending: &Pending) -> Result<String, Error> {
    loop {
        if let Some(answer) = pending.answer() {
            return Ok(String::from_utf8_lossy(&answer?.body).into_owned());
        }
        pending.subscribe().block();
    }
}

fn ask(to: &str, skill: &str, body: &str, timeout: u64) -> Result<String, Error> {
    wait(&agents::ask(to, &request(skill, body), timeout)?)
}

/// Takes the answer, and tries to take it again.
fn twice(to: &str, skill: &str, body: &str) -> Result<String, Error> {
    let pending = agents::ask(to, &request(skill, body), MINUTE)?;
    let first = wait(&pending)?;
    match pending.answer() {
        Some(Err(error)) => Ok(format!("{first}, then {}", word(&error))),
        other => Ok(format!("{first}, then {other:?}")),
    }
}

/// Asks each for `skill`, the first word, and answers in the order in which they answered.
fn ask_all(words: &[&str], body: &str) -> String {
    let skill = words.first().copied().unwrap_or("");
    let mut waiting: Vec<_> = words[1..]
        .iter()
        .filter_map(|to| Some((to.to_string(), agents::ask(to, &request(skill, body), MINUTE).ok()?)))
        .collect();
    let mut came = Vec::new();
    while !waiting.is_empty() {
        let pollables: Vec<_> = waiting.iter().map(|(_, pending)| pending.subscribe()).collect();
        let ready = poll::poll(&pollables.iter().collect::<Vec<_>>());
        drop(pollables);
        for at in ready.into_iter().rev() {
            let (to, pending) = waiting.remove(at as usize);
            came.push(format!("{to}: {}", shown(wait(&pending))));
        }
    }
    came.join("\n")
}

fn tell(to: &str, body: &str) -> String {
    shown(agents::tell(to, &request("note", body), Delivery::Now).map(|_| "told"))
}

fn tell_and_cancel(to: &str) -> Result<String, Error> {
    let id = agents::tell(to, &request("note", "taken back"), Delivery::Now)?;
    let (first, second) = (agents::cancel(&id)?, agents::cancel(&id)?);
    Ok(format!("{first} {second}"))
}

fn emit(words: &[&str]) -> String {
    let emitted: Result<(), Error> = words.iter().try_for_each(|word| agents::emit(word.as_bytes()));
    shown(emitted.map(|()| words.join(" ")))
}

/// Emits 64 KiB again and again.
fn flood(times: u64) -> Result<u64, Error> {
    let chunk = vec![b'x'; 64 << 10];
    for _ in 0..times {
        agents::emit(&chunk)?;
    }
    Ok(times)
}

/// Asks for `emit`, and answers every chunk as it comes, then the reply.
fn hear(to: &str, body: &str) -> Result<String, Error> {
    let pending = agents::ask(to, &request("emit", body), MINUTE)?;
    let mut chunks = Vec::new();
    loop {
        while let Some(chunk) = pending.chunk() {
            chunks.push(String::from_utf8_lossy(&chunk).into_owned());
        }
        if let Some(answer) = pending.answer() {
            let reply = String::from_utf8_lossy(&answer?.body).into_owned();
            return Ok(format!("{} = {reply}", chunks.join("+")));
        }
        pending.subscribe().block();
    }
}

/// `grants` and `budget` are TOML, the lines of each parted by `;`, the two parted by ` | `.
fn spawn(name: &str, version: &str, lifetime: u64, rest: &str) -> Result<String, Error> {
    let (grants, budget) = rest.split_once(" | ").unwrap_or((rest, ""));
    tasks::spawn(&Child {
        name: name.to_owned(),
        version: if version == "-" { String::new() } else { version.to_owned() },
        grants: grants.replace(';', "\n"),
        budget: budget.replace(';', "\n"),
        lifetime,
    })
}

/// Tries one import after the other, and answers which are open.
fn reach(file: &str) -> Result<String, Error> {
    let open = |name: &str, result: Result<(), Error>| format!("{name}={} ", result.is_ok());
    let mut all = open("log", log::write(log::Level::Info, "here"));
    all += &open("state", state::set("k", b"v").map(|_| ()));
    all += &open("budget", budget::remaining().map(|_| ()));
    all += &open("spawn", tasks::retire("nobody").map(|_| ()));
    all += &format!("read={} ", std::fs::read(format!("{file}/there")).is_ok());
    all += &format!("write={}", std::fs::write(format!("{file}/made"), "x").is_ok());
    Ok(all)
}

guests::export!(Family with_types_in guests::bindings);

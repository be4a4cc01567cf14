//! Keeps documents in spaces of memory, finds them again, and tries whatever a memory should not allow.
//!
//! A request is words; content is the rest of the line.

use guests::bindings::village::agent::memory::{self, Document, Passage};
use guests::bindings::village::agent::tasks::{self, Child};
use guests::bindings::village::agent::{agents, types::Priority};
use guests::{Agent, Answer, Error, FailureKind, Message, Payload, failure, shown, text, unsupported, word};

struct Scholar;

impl Agent for Scholar {
    const NAME: &'static str = "scholar";
    const SKILLS: &'static [&'static str] = &["ingest", "search", "forget", "compress"];

    fn message(message: Message) -> Answer {
        // A document of any kind: the space and the source are the skill.
        if let Some(("document", to)) = message.skill.split_once(' ') {
            let (space, source) = to.split_once(' ').unwrap_or((to, ""));
            let document = Document { source: source.to_owned(), content: message.payload, tags: Vec::new() };
            return Ok(shown(memory::ingest(space, &document)).into_bytes());
        }
        Self::handle(&message.skill, message.payload.body)
    }

    fn handle(skill: &str, body: Vec<u8>) -> Answer {
        let line = text(body)?;
        let words: Vec<_> = line.split(' ').collect();
        let part = |at: usize| words.get(at).copied().unwrap_or("");
        let rest = |after: usize| line.splitn(after + 1, ' ').nth(after).unwrap_or("");
        let reply = match skill {
            "ingest" => shown(ingest(part(0), part(1), part(2), rest(3))),
            "search" => shown(search(part(0), part(1), part(2), rest(3))),
            "forget" => shown(memory::forget(part(0), rest(1))),
            "compress" => {
                shown(memory::compress(rest(3), part(2), if part(1) == "-" { "" } else { part(1) }, number(part(0))))
            }
            // Its own writes seen by its own search, and then an end of some kind.
            "both" | "both-and" => {
                let seen = both(rest(1)).map_err(|error| failure(FailureKind::Internal, word(&error)))?;
                match (skill, part(0)) {
                    ("both", _) => seen,
                    (_, "panic") => panic!("after it has ingested"),
                    (_, "spin") => loop {
                        std::hint::black_box(0);
                    },
                    _ => return Err(failure(FailureKind::Internal, seen)),
                }
            }
            // So many documents of so many bytes, until one is refused.
            "flood" => flood(part(0), number(part(1)), number(part(2))),
            "spawn" => shown(tasks::spawn(&Child {
                name: part(0).to_owned(),
                version: String::new(),
                grants: format!("{}\n", rest(1)),
                budget: String::new(),
                lifetime: 60_000,
            })),
            "ask" => shown(ask(part(0), part(1), rest(2))),
            _ => return Err(unsupported(skill)),
        };
        Ok(reply.into_bytes())
    }
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or(0)
}

fn tags(text: &str) -> Vec<String> {
    text.split(',').filter(|tag| *tag != "-" && !tag.is_empty()).map(str::to_owned).collect()
}

fn ingest(space: &str, source: &str, marks: &str, body: &str) -> Result<u32, Error> {
    let content = Payload { content_type: "text/plain".to_owned(), body: body.as_bytes().to_vec() };
    memory::ingest(space, &Document { source: source.to_owned(), content, tags: tags(marks) })
}

fn search(space: &str, limit: &str, marks: &str, query: &str) -> Result<String, Error> {
    let found = memory::search(space, query, &tags(marks), number(limit))?;
    let line =
        |one: &Passage| format!("{} {}-{} [{}] {}\n", one.source, one.start, one.end, one.tags.join(","), one.text);
    Ok(found.iter().map(line).collect())
}

fn both(body: &str) -> Result<String, Error> {
    memory::forget("notes", "old")?;
    ingest("notes", "new", "-", body)?;
    search("notes", "9", "-", body)
}

fn flood(space: &str, count: u32, bytes: u32) -> String {
    for at in 0..count {
        let body: String = (0..bytes / 8).map(|word| format!("{:07x} ", at.wrapping_mul(7919) ^ word)).collect();
        if let Err(error) = ingest(space, &format!("flood {at}"), "-", &body) {
            return format!("{at} error: {}", word(&error));
        }
    }
    count.to_string()
}

fn ask(to: &str, skill: &str, body: &str) -> Result<String, Error> {
    let payload = Payload { content_type: String::new(), body: body.as_bytes().to_vec() };
    let request = agents::Request { skill: skill.to_owned(), payload, priority: Priority::Normal };
    let pending = agents::ask(to, &request, 60_000)?;
    loop {
        if let Some(answer) = pending.answer() {
            return Ok(String::from_utf8_lossy(&answer?.body).into_owned());
        }
        pending.subscribe().block();
    }
}

guests::export!(Scholar with_types_in guests::bindings);

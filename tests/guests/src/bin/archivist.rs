//! Keeps files and objects in its workspace, and tries whatever a workspace should not allow.
//!
//! A request is words; content is the rest of the line.

use guests::bindings::village::agent::agents::{self, Request};
use guests::bindings::village::agent::tasks::{self, Child};
use guests::bindings::village::agent::types::Priority;
use guests::bindings::village::agent::{state, workspace};
use guests::{Agent, Answer, Error, FailureKind, Payload, failure, shown, text, unsupported, word};

struct Archivist;

/// So much is written and read at once.
const PIECE: u64 = 64 << 10;

impl Agent for Archivist {
    const NAME: &'static str = "archivist";
    const SKILLS: &'static [&'static str] = &["write", "read", "keep", "get", "all"];

    fn handle(skill: &str, body: Vec<u8>) -> Answer {
        let line = text(body)?;
        let words: Vec<_> = line.split(' ').collect();
        let part = |at: usize| words.get(at).copied().unwrap_or("");
        let number = |at: usize| part(at).parse::<u64>().unwrap_or(0);
        let rest = |after: usize| line.splitn(after + 1, ' ').nth(after).unwrap_or("").as_bytes();
        let after = |at: usize| words.get(at).copied().filter(|word| *word != "-");
        let reply = match skill {
            "read" => shown(workspace::read(part(0), number(1), number(2) as u32).map(said)),
            "write" => done(workspace::write(part(0), rest(1))),
            "append" => shown(workspace::append(part(0), rest(1))),
            "write-at" => done(workspace::write_at(part(0), number(1), rest(2))),
            "truncate" => done(workspace::truncate(part(0), number(1))),
            "rename" => done(workspace::rename(part(0), part(1))),
            "remove" => shown(workspace::remove(part(0))),
            "stat" => shown(workspace::stat(part(0)).map(|file| match file {
                Some(file) => format!("{} {}", file.size, file.modified),
                None => "none".to_owned(),
            })),
            "files" => shown(
                workspace::files(part(2), after(1), number(0) as u32)
                    .map(|files| files.iter().map(|file| format!("{} {}\n", file.path, file.size)).collect::<String>()),
            ),
            "keep" => shown(workspace::keep(part(0), rest(1))),
            "get" => {
                shown(workspace::get(part(0), part(1).parse().ok()).map(|found| found.map_or("none".into(), said)))
            }
            "versions" => shown(workspace::versions(part(1), part(2).parse().ok(), number(0) as u32).map(|versions| {
                versions.iter().map(|one| format!("{} {} {}\n", one.number, one.size, one.kept)).collect::<String>()
            })),
            "prune" => shown(workspace::prune(part(0), number(1))),
            "delete" => shown(workspace::delete(part(0))),
            "objects" => shown(workspace::objects(part(2), after(1), number(0) as u32).map(|objects| {
                let line = |one: &workspace::Object| format!("{} {} {}\n", one.name, one.versions, one.size);
                objects.iter().map(line).collect::<String>()
            })),
            // A name that no line of words can carry.
            "odd" => done(workspace::write(&line, b"x")),
            "fill" => fill(part(0), number(1)),
            "sum" => shown(sum(part(0))),
            "flood" => flood(part(0), number(1)),
            "all" => shown(all(&line)),
            "all-and" => {
                let kept = all(line.split_once(' ').unwrap_or_default().1).map_err(|error| failed(&error))?;
                match part(0) {
                    "panic" => panic!("after it has written"),
                    "spin" => loop {
                        std::hint::black_box(0);
                    },
                    _ => return Err(failure(FailureKind::Internal, kept)),
                }
            }
            "state" => shown(state::get(part(0)).map(|entry| entry.map_or("none".into(), |entry| said(entry.value)))),
            "set" => shown(state::set(part(0), rest(1))),
            "spawn" => shown(tasks::spawn(&Child {
                name: part(0).to_owned(),
                version: String::new(),
                grants: format!("{}\n", rest_of(&line)),
                budget: String::new(),
                lifetime: 60_000,
            })),
            "ask" => shown(ask(part(0), part(1), rest(2))),
            _ => return Err(unsupported(skill)),
        };
        Ok(reply.into_bytes())
    }
}

fn said(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn done(result: Result<(), Error>) -> String {
    shown(result.map(|()| "done"))
}

fn failed(error: &Error) -> guests::Failure {
    failure(FailureKind::Internal, word(error))
}

fn rest_of(line: &str) -> &str {
    line.split_once(' ').map_or("", |(_, rest)| rest)
}

/// Appends until the file has so many bytes more, each block of 64 KiB with its number in it; answers how many were taken.
fn fill(path: &str, bytes: u64) -> String {
    let mut done = 0;
    while done < bytes {
        let block = PIECE.min(bytes - done);
        let content: Vec<u8> = (0..block).map(|at| ((done + at) % 251) as u8).collect();
        if let Err(error) = workspace::append(path, &content) {
            return format!("{done} error: {}", word(&error));
        }
        done += block;
    }
    done.to_string()
}

/// Reads a whole file piece by piece; answers its size and the sum of its bytes.
fn sum(path: &str) -> Result<String, Error> {
    let (mut size, mut sum) = (0, 0u64);
    loop {
        let piece = workspace::read(path, size, PIECE as u32)?;
        if piece.is_empty() {
            return Ok(format!("{size} {sum}"));
        }
        size += piece.len() as u64;
        sum += piece.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    }
}

/// Makes empty files, or versions of one object, until one is refused; answers how many, and the error.
fn flood(what: &str, most: u64) -> String {
    for count in 0..most {
        let made = match what {
            "files" => workspace::write(&format!("flood/{count:05}"), &[]),
            _ => workspace::keep("flood", &[]).map(drop),
        };
        if let Err(error) = made {
            return format!("{count} error: {}", word(&error));
        }
    }
    most.to_string()
}

/// Writes the same into the state, a file and an object, and reads it back; answers how many turns did that.
fn all(line: &str) -> Result<String, Error> {
    let turns = state::get("turns")?.map_or(0, |entry| said(entry.value).parse::<u64>().unwrap_or(0)) + 1;
    state::set("turns", turns.to_string().as_bytes())?;
    state::set("last", line.as_bytes())?;
    workspace::append("lines", format!("{line}\n").as_bytes())?;
    let number = workspace::keep("last", line.as_bytes())?;
    let there = workspace::get("last", Some(number))?.map(said).unwrap_or_default();
    let size = workspace::stat("lines")?.map_or(0, |file| file.size);
    Ok(format!("{turns} {there} {size}"))
}

fn ask(to: &str, skill: &str, body: &[u8]) -> Result<String, Error> {
    let payload = Payload { content_type: String::new(), body: body.to_vec() };
    let request = Request { skill: skill.to_owned(), payload, priority: Priority::Normal };
    let pending = agents::ask(to, &request, 60_000)?;
    loop {
        if let Some(answer) = pending.answer() {
            return Ok(said(answer?.body));
        }
        pending.subscribe().block();
    }
}

guests::export!(Archivist with_types_in guests::bindings);

//! The wire, with others at its other end. Alone, serves what the tests' servers say, for clients of others:
//! `tests/golden/wire/record.py` asks it with the official ones and keeps what was sent, answered and understood. It prints two
//! ports, and serves until its input ends. `ask URL MODEL [EMBEDDER]` asks a server of others all that a back end is asked.

// The tests use what this doesn't.
#[allow(dead_code)]
#[path = "../tests/all/dialects.rs"]
mod dialects;
#[allow(dead_code)]
#[path = "../tests/all/fake.rs"]
mod fake;

use fake::Fake;
use model::{Ask, Backend, OpenAi, Prompt, Reader, Remote};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => serve().await,
        ["ask", url, writes] => ask(url, writes, None).await,
        ["ask", url, writes, embeds] => ask(url, writes, Some(embeds)).await,
        _ => eprintln!("wire | wire ask URL MODEL [EMBEDDER]"),
    }
    Ok(())
}

async fn serve() {
    let (openai, anthropic) = (Fake::new(dialects::openai).await, Fake::new(dialects::anthropic).await);
    println!("{} {}", openai.port, anthropic.port);
    let input = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let _ = input.await;
}

/// Counts the pieces, and notes when the first came.
#[derive(Default)]
struct Pieces(Vec<String>, Option<Instant>);

impl Reader for Pieces {
    fn text(&mut self, text: &str) {
        self.1.get_or_insert_with(Instant::now);
        self.0.push(text.into());
    }
}

async fn ask(url: &str, writes: &str, embeds: Option<&str>) {
    let remote = Remote {
        name: "there".into(),
        address: url.parse().expect("an address"),
        key: None,
        models: Vec::new(),
        context: 4096,
        at_once: 1,
        passes_on: false,
    };
    let backend = OpenAi::new(remote, &Default::default());
    let until = || Instant::now() + Duration::from_secs(60);
    println!("list: {:?}", backend.list(until()).await);
    let prompt = |text: &str, most| Prompt::ask(text, most);
    for (what, prompt) in [
        ("an answer", prompt("Once upon a time", 24)),
        ("the same again", prompt("Once upon a time", 24)),
        ("one token", prompt("Once upon a time", 1)),
        ("too long", prompt(&"a long prompt ".repeat(4000), 8)),
    ] {
        let (mut pieces, begun) = (Pieces::default(), Instant::now());
        let answer = backend.complete(Ask { model: writes, prompt: &prompt, until: until() }, &mut pieces).await;
        let first = pieces.1.map(|at| at.duration_since(begun));
        println!("{what}: {answer:?}; {} pieces, the first after {first:?}", pieces.0.len());
        if let Ok(answer) = answer {
            assert_eq!(pieces.0.concat(), answer.text, "it is told as it is written");
        }
    }
    let nobody = Ask { model: "nobody-of-this-name", prompt: &prompt("hello", 8), until: until() };
    println!("nobody: {:?}", backend.complete(nobody, &mut ()).await);
    println!("count: {:?}", backend.count(writes, "one two three", false, until()).await);
    if let Some(model) = embeds {
        let texts = ["a text".to_owned(), "another".to_owned()];
        let made = backend.embed(model, &texts, false, until()).await;
        println!("vectors: {:?}", made.map(|made| made.vectors.iter().map(Vec::len).collect::<Vec<_>>()));
    }
}

//! No agent: an ordinary command. It prints its arguments, its standard input in capitals, and the file that is named
//! first; `--exit N` ends it with success (0) or failure (anything else), which is all that WASI 0.2 can say.

use std::io::{self, Read, Write};

struct Command;

impl wasip2::exports::cli::run::Guest for Command {
    fn run() -> Result<(), ()> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        work(&args).map_err(|error| eprintln!("command: {error}"))?;
        if let Some(code) = args.iter().position(|arg| arg == "--exit").and_then(|at| args.get(at + 1)) {
            wasip2::cli::exit::exit(if code == "0" { Ok(()) } else { Err(()) });
        }
        Ok(())
    }
}

fn work(args: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", args.join(" "))?;
    let mut input = String::new();
    io::stdin().read_to_string(&mut input)?;
    write!(out, "{}", input.to_uppercase())?;
    if let Some(path) = args.first().filter(|arg| !arg.starts_with("--")) {
        out.write_all(&std::fs::read(path)?)?;
    }
    out.flush()
}

wasip2::cli::command::export!(Command);

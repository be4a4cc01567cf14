//! `village secret`, and `village run --http`: what is shown, what is kept, and how it ends.

use crate::harness::{guest, village};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

const VALUE: &str = "an-0rdinary/secret";

/// Calls the program with secrets of its own; what it said on both outputs, and its exit code.
fn secret(file: &Path, input: &str, arguments: &[&str]) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_village"))
        .args(arguments)
        .env("VILLAGE_SECRETS", file)
        .env("VILLAGE_SECRET_FROM_HERE", "0123456789")
        .env("VILLAGE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("native"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the program ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains(VALUE), "no value is shown: {said}");
    (output.status.code().expect("it ends by itself"), said)
}

#[test]
fn secrets_are_set_listed_replaced_and_forgotten_without_being_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("own/secrets.toml");
    let line = format!("{VALUE}\n");
    assert_eq!(secret(&file, &line, &["secret", "set", "API_KEY"]).0, 0);
    assert!(std::fs::read_to_string(&file).expect("it is kept").contains(VALUE), "and without the line break");
    let (code, said) = secret(&file, &line, &["secret", "set", "API_KEY"]);
    assert!(code == 1 && said.contains("rotate"), "{said}");
    let (_, said) = secret(&file, "", &["secret", "ls"]);
    assert!(said.contains("API_KEY    file") && said.contains("FROM_HERE  environment"), "{said}");
    let (_, said) = secret(&file, "", &["secret", "ls", "--json"]);
    let listed: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(listed["secrets"][0], serde_json::json!({ "name": "API_KEY", "from": "file" }));
    assert_eq!(secret(&file, "another-value", &["secret", "rotate", "API_KEY"]).0, 0);
    assert!(!std::fs::read_to_string(&file).expect("it is kept").contains(VALUE));
    assert_eq!(secret(&file, "", &["secret", "rm", "API_KEY"]).0, 0);
    assert_eq!(secret(&file, "", &["secret", "rm", "API_KEY"]).0, 1);
    // A value in the place of the name is not repeated, and a value is no argument.
    let (code, said) = secret(&file, "", &["secret", "set", VALUE]);
    assert!(code == 2 && said.contains("called by its name"), "{said}");
    assert_eq!(secret(&file, "", &["secret", "set", "API_KEY", "x"]).0, 2);
    assert_eq!(secret(&file, "short", &["secret", "set", "API_KEY"]).0, 1);
}

#[test]
fn an_agent_whose_secret_is_missing_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("own/secrets.toml");
    let grant = "http=GET https://example.com/ secret=API_KEY";
    let (code, said) = secret(&file, "", &["run", guest("echo"), "--grant", grant]);
    assert!(code == 1 && said.contains("village: secret: ") && said.contains("village secret set API_KEY"), "{said}");
    assert_eq!(secret(&file, VALUE, &["secret", "set", "API_KEY"]).0, 0);
    let (code, said) = secret(&file, "", &["run", guest("echo"), "--grant", grant, "--input", VALUE, "--json"]);
    assert!(code == 0 && said.contains("[secret API_KEY]"), "{said}");
}

#[test]
fn a_service_is_served_until_it_is_told_to_end() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_village"))
        .args(["run", guest("serve"), "--http", "0", "--json", "--grant", "log"])
        .env("VILLAGE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("native"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON") };
    let listening = next();
    let address =
        listening["listening"].as_str().and_then(|url| url.strip_prefix("http://")).expect("an address").to_owned();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").expect("it is open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    };
    assert!(get("/").ends_with("hello\n"));
    let line = next();
    assert_eq!((&line["method"], &line["path"], &line["status"]), (&"GET".into(), &"/".into(), &200.into()));
    assert!(line["usage"]["memory_peak_bytes"].as_u64() > Some(0) && line.get("problem").is_none(), "{line}");
    assert!(get("/trap").starts_with("HTTP/1.1 500 "));
    let line = next();
    assert!(line["problem"].as_str().is_some_and(|problem| problem.contains("an inner detail")), "{line}");
    let ended = Command::new("kill").arg(child.id().to_string()).status().expect("kill is there");
    assert!(ended.success() && child.wait().expect("it ends").success(), "a stop is no failure");
}

#[test]
fn a_service_is_asked_by_hand_and_what_is_none_is_not_served() {
    let ran = village(["run", guest("serve"), "--skill", "http", "--input", r#"{"path":"/echo","body":"hi"}"#]);
    let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!((ran.code, &answer["status"]), (0, &201.into()), "{ran:?}");
    assert!(answer["body"].as_str().is_some_and(|body| body.ends_with("\nhi")), "{answer}");
    let card = village(["inspect", guest("serve"), "--json"]).json();
    assert_eq!((&card["kind"], &card["card"]["skills"][0]["name"]), (&"service".into(), &"http".into()));
    let ran = village(["run", guest("echo"), "--http", "0"]);
    assert!(ran.code == 2 && ran.err.contains("--http is for"), "{ran:?}");
    let ran = village(["run", guest("serve"), "--http", "nowhere"]);
    assert!(ran.code == 2 && ran.err.contains("127.0.0.1:8080"), "{ran:?}");
}

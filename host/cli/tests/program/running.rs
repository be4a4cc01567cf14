//! `village up`, and the commands that ask it: what a user does, and what a user does wrong.

use crate::harness::{Ran, guest, village};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use tempfile::TempDir;

/// A village that is up, on a data folder of its own.
pub(crate) struct Up {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    /// Where it listens, without the scheme.
    pub(crate) address: String,
    /// What it said first.
    pub(crate) first: Value,
    pub(crate) folder: TempDir,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_village"));
    command
        .args(arguments)
        .env("VILLAGE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("native"))
        .env_remove("VILLAGE_DATA")
        .env_remove("VILLAGE_URL")
        .env_remove("VILLAGE_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Up {
    pub(crate) fn start(more: &[&str]) -> Up {
        Up::again(tempfile::tempdir().expect("a folder"), more)
    }

    /// On a data folder that was used before.
    pub(crate) fn again(folder: TempDir, more: &[&str]) -> Up {
        Up::knowing(folder, more, &[])
    }

    /// With this in its environment.
    fn knowing(folder: TempDir, more: &[&str], environment: &[(&str, &str)]) -> Up {
        let data = data(&folder);
        let path = data.to_str().expect("plain characters");
        let arguments = [&["up", "--json", "--listen", "0", "--data", path], more].concat();
        let mut command = command(&arguments);
        let mut child = command.envs(environment.iter().copied()).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let first: Value = match lines.next() {
            Some(line) => serde_json::from_str(&line.expect("text")).expect("JSON"),
            None => panic!("it says where it listens: {:?}", child.wait_with_output()),
        };
        let url = first["listening"].as_str().unwrap_or_else(|| panic!("it listens: {first}"));
        let address = url.strip_prefix("http://").expect("a URL").to_string();
        Up { child, lines, address, first, folder }
    }

    pub(crate) fn data(&self) -> PathBuf {
        data(&self.folder)
    }

    /// Calls a command for this village.
    pub(crate) fn call(&self, arguments: &[&str]) -> Ran {
        let data = self.data();
        village(arguments.iter().copied().chain(["--data", data.to_str().expect("plain characters")]))
    }

    /// What a command answers that must be done, as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.call(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.json()
    }

    /// Starts a command for this village, and does not wait for it.
    fn begin(&self, arguments: &[&str]) -> Child {
        let data = self.data();
        let all = [arguments, &["--json", "--data", data.to_str().expect("plain characters")]].concat();
        command(&all).spawn().expect("the program starts")
    }

    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.data().join("token")).expect("a token").trim().into()
    }

    /// Tells it to end.
    fn end(&self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill is there");
        assert!(status.success());
    }

    /// Waits until it has ended: how, what it said last, and its data.
    fn ended(mut self) -> (ExitStatus, Value, TempDir) {
        let status = self.child.wait().expect("it ends");
        let last = self.lines.next().map(|line| serde_json::from_str(&line.expect("text")).expect("JSON"));
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"));
        (status, last.unwrap_or_default(), folder)
    }

    /// Waits until the village has taken a message that is not answered yet.
    fn busy(&self) {
        self.until("under_way", |village| village["under_way"] == 1);
    }

    fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        for _ in 0..500 {
            if holds(&get(self, "/v1/village").1) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{what} never came");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn data(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

/// A request as it is written, and all of its answer.
fn raw(up: &Up, request: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(&up.address).expect("it listens");
    stream.write_all(request.as_bytes()).expect("it is open");
    // A server that has heard enough may have shut it.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request with the token and these headers more; its status and its JSON.
fn asked(up: &Up, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, Value) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        up.address,
        up.token(),
        body.len()
    );
    parsed(&raw(up, &request, body))
}

fn parsed(answer: &str) -> (u16, Value) {
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{answer}"));
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or_else(|_| body.into()))
}

fn get(up: &Up, path: &str) -> (u16, Value) {
    asked(up, "GET", path, "", b"")
}

fn post(up: &Up, path: &str, body: &Value) -> (u16, Value) {
    asked(up, "POST", path, "content-type: application/json\r\n", body.to_string().as_bytes())
}

const JSON: &str = "content-type: application/json\r\n";

#[test]
fn agents_are_deployed_asked_stopped_and_removed() {
    let up = Up::start(&[]);
    assert_eq!(up.first["token"], up.token(), "it is shown at the first start");
    let deployed = up.json(&["deploy", "polyglot", "--name", "poly", "--budget", "memory=48MiB"]);
    assert_eq!((&deployed["name"], &deployed["state"]), (&json!("poly"), &json!("asleep")));
    let asked =
        ["send", "poly", "--skill", "detect-language", "--input", r#"{"text": "Guten Morgen, wie geht es Ihnen?"}"#];
    let answer = up.json(&asked);
    assert_eq!(answer["reply"]["body"]["language"], "de", "{answer}");
    assert!(answer["usage"]["cpu_ms"].as_f64() > Some(0.0), "{answer}");
    let plain = up.call(&asked);
    assert!(plain.code == 0 && plain.out.starts_with("{\"certainty\""), "{plain:?}");

    // What it uses is shown field by field, with its limit.
    let agent = up.json(&["ps", "poly"]);
    assert_eq!((&agent["state"], &agent["health"]), (&json!("awake"), &json!("well")));
    let fields: Vec<_> = agent["budget"].as_array().expect("a list").iter().map(|used| used["field"].clone()).collect();
    assert_eq!(fields, base::BUDGET_FIELDS);
    let memory = agent["budget"].as_array().and_then(|all| all.iter().find(|used| used["field"] == "memory"));
    let memory = memory.expect("a field");
    assert!(memory["used_units"].as_u64() > Some(0) && memory["limit"] == "48MiB", "{memory}");
    let table = up.call(&["ps"]).out;
    let head: Vec<_> = table.lines().next().expect("a title").split_whitespace().collect();
    assert_eq!(head[3..], base::BUDGET_FIELDS, "{table}");
    assert!(table.contains("/48MiB"), "{table}");
    let page = up.call(&["top"]).out;
    assert!(page.contains("1 awake") && page.contains("2 answered") && page.contains("poly"), "{page}");

    // Another one, which breaks.
    up.json(&["deploy", "mischief", "--budget", "deadline=200ms,cpu=100%"]);
    let broke = up.call(&["send", "mischief", "--skill", "spin", "--json"]);
    assert_eq!((broke.code, broke.error().0.as_str()), (1, "deadline"), "{broke:?}");
    let (agent, poly) = (up.json(&["ps", "mischief"]), up.json(&["ps", "poly"]));
    assert_eq!(
        (&agent["health"], &agent["sends"]["broke"], &poly["health"]),
        (&json!("broke"), &json!(1), &json!("well"))
    );

    // Stopped, started, removed.
    assert_eq!(up.json(&["stop", "poly"])["agents"][0]["state"], "stopped");
    let refused = up.call(&asked);
    assert!(
        refused.code == 1 && refused.err.starts_with("village: stopped: ") && refused.err.contains("village start")
    );
    assert_eq!(up.json(&["start", "poly"])["agents"][0]["state"], "awake");
    assert_eq!(up.call(&asked).code, 0);
    assert_eq!(up.json(&["rm", "poly", "mischief"])["removed"], json!(["poly", "mischief"]));
    assert_eq!(up.json(&["ps"])["agents"], json!([]));
}

#[test]
fn what_is_wrong_with_a_command_is_told_with_what_to_do() {
    let up = Up::start(&[]);
    up.json(&["deploy", "navigator"]);
    let refused = |arguments: &[&str], code: i32, kind: &str, words: &[&str]| {
        let ran = up.call(&[arguments, &["--json"]].concat());
        let (given, message) = ran.error();
        assert_eq!((ran.code, given.as_str()), (code, kind), "{arguments:?}: {message}");
        let plain = up.call(arguments);
        assert!(plain.err.starts_with(&format!("village: {kind}: ")), "{}", plain.err);
        for word in words {
            assert!(message.contains(word) && plain.err.contains(word), "`{word}` in {message}");
        }
    };
    refused(&["send", "navigater", "--input", "x"], 1, "unknown-agent", &["`navigater`", "did you mean `navigator`?"]);
    refused(&["ps", "nobody"], 1, "unknown-agent", &["`nobody`"]);
    refused(&["logs", "nobody"], 1, "unknown-agent", &[]);
    refused(&["logs", "nobody", "-f"], 1, "unknown-agent", &[]);
    refused(&["start", "navigator", "nobody"], 1, "unknown-agent", &[]);
    refused(&["rm", "nobody"], 1, "unknown-agent", &[]);
    refused(&["deploy", "navigator"], 1, "exists", &["`navigator`", "another name"]);
    refused(&["deploy", "navigator", "--name", "a b"], 1, "bad-request", &["`a b` is no name"]);
    refused(&["deploy", "navigator", "--name", "n2", "--group", "none"], 1, "unknown-group", &["[groups.none]"]);
    refused(&["deploy", "navigator", "--budget", "cup=1%"], 2, "usage", &["did you mean `cpu`?"]);
    refused(&["deploy", "navigator", "--name", "n3", "--grant", "netwrok"], 1, "bad-request", &["unknown grant"]);
    refused(&["deploy", guest("command"), "--name", "c"], 1, "invalid-component", &["village run"]);
    refused(&["deploy", guest("trap-describe"), "--name", "t"], 1, "trap", &[]);
    refused(&["budget", "navigator", "cpu=200%"], 2, "usage", &["from 0.1% to 100%"]);
    refused(&["budget", "none", "--group"], 1, "unknown-group", &[]);
    refused(&["send", "navigator", "--timeout", "soon"], 2, "usage", &["--timeout"]);
    refused(&["send", "navigator", "--skill", "fly"], 1, "unsupported", &["`fly`", "shortest-path"]);
    assert_eq!(up.json(&["ps"])["agents"].as_array().map(Vec::len), Some(1), "and nothing of it was deployed");

    // Another village's token, none, no village at all.
    let other = Up::start(&[]);
    let url = format!("http://{}", up.address);
    let data = other.data();
    let data = data.to_str().expect("plain characters");
    let ran = village(["ps", "--data", data, "--url", &url]);
    assert!(ran.code == 1 && ran.err.starts_with("village: unauthorized: ") && ran.err.contains("--data"), "{ran:?}");
    let empty = tempfile::tempdir().expect("a folder");
    let path = empty.path().to_str().expect("plain characters");
    for arguments in [&["ps", "--data", path][..], &["ps", "--data", path, "--url", "http://127.0.0.1:9"]] {
        let ran = village(arguments);
        assert!(ran.code == 1 && ran.err.starts_with("village: no-village: "), "{ran:?}");
    }
    let ran = village(["ps", "--data", data, "--url", "http://127.0.0.1:9"]);
    assert!(ran.code == 1 && ran.err.contains("`village up` starts one"), "{ran:?}");
    let ran = village(["ps", "--data", data, "--url", "ftp:nowhere"]);
    assert!(ran.code == 2 && ran.err.contains("http://127.0.0.1:7420"), "{ran:?}");
}

#[test]
fn what_keeps_a_village_from_starting_is_told() {
    let up = Up::start(&[]);
    let refused = |arguments: &[&str], code: i32, kind: &str, words: &[&str]| {
        let ran = village(arguments);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.err.starts_with(&format!("village: {kind}: ")), "{}", ran.err);
        for word in words {
            assert!(ran.err.contains(word), "`{word}` in {}", ran.err);
        }
    };
    let data = up.data();
    let pid = format!("process {}", up.child.id());
    refused(&["up", "--data", data.to_str().expect("text"), "--listen", "0"], 1, "busy", &["another village", &pid]);
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("data");
    let own = own.to_str().expect("plain characters");
    refused(&["up", "--data", own, "--listen", &up.address], 1, "listen", &["something listens there already"]);
    refused(&["up", "--data", own, "--listen", "0.0.0.0:0"], 1, "listen", &["--open", "127.0.0.1"]);
    refused(&["up", "--data", own, "--listen", "nowhere"], 2, "usage", &["ADDRESS:PORT"]);
    refused(&["up", "--data", own, "--stop-within", "soon"], 2, "usage", &["--stop-within"]);

    let config = folder.path().join("village.toml");
    let path = config.to_str().expect("plain characters");
    for (text, kind, words) in [
        ("lisen = \"0\"\n", "config", &["village.toml:1: ", "did you mean `listen`?"][..]),
        ("\n[groups.a]\nmemroy = \"1MiB\"\n", "config", &["village.toml:3: ", "did you mean `memory`?"]),
        ("[groups.a]\nwithin = \"b\"\n", "bad-request", &["within one that is not there: a"]),
        ("[[agents]]\ncomponent = \"nothing.wasm\"\n", "file", &["nothing.wasm"]),
        (
            "[[agents]]\ncomponent = \"navigator\"\ngrants = [\"fly\"]\n",
            "bad-request",
            &["navigator: unknown grant `fly`"],
        ),
    ] {
        std::fs::write(&config, text).expect("written");
        refused(&["up", "--data", own, "--listen", "0", "--config", path], 1, kind, words);
    }
    let open = tempfile::tempdir().expect("a folder");
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(open.path(), std::fs::Permissions::from_mode(0o755)).expect("set");
    refused(&["up", "--data", open.path().to_str().expect("text"), "--listen", "0"], 1, "store", &["chmod 700"]);
}

#[test]
fn settings_name_groups_defaults_and_agents() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("village.toml");
    let text = "[defaults]\nmailbox = 7\n[groups.all]\ncpu = \"150%\"\n[groups.workers]\nwithin = \"all\"\ncpu = \"40%\"\n\
                [[agents]]\ncomponent = \"navigator\"\ngroup = \"workers\"\nbudget = { cpu = \"30%\" }\n\
                [agents.turns]\nattempts = 3\nidle = \"1m\"\n[agents.replicas]\nmax = 3\n";
    std::fs::write(&config, text).expect("written");
    let up = Up::start(&["--config", config.to_str().expect("plain characters")]);
    let agent = up.json(&["ps", "navigator"]);
    let limit = |field: &str| {
        let found = agent["budget"].as_array().and_then(|all| all.iter().find(|used| used["field"] == field));
        found.expect("a field")["limit"].clone()
    };
    assert_eq!((limit("cpu"), limit("mailbox"), limit("memory")), (json!("30%"), json!("7"), json!("32MiB")));
    assert_eq!(agent["group"], "workers");
    assert_eq!((&agent["replicas"]["min"], &agent["replicas"]["max"]), (&json!(1), &json!(3)));
    for field in [json!(["attempts", "3"]), json!(["idle", "60s"])] {
        assert!(agent["turns"].as_array().is_some_and(|all| all.contains(&field)), "{field} in {agent}");
    }
    let group = up.json(&["budget", "workers", "--group", "cpu=20%"]);
    assert_eq!(
        (&group["agents"], &group["within"], &group["limits"][0]),
        (&json!(1), &json!("all"), &json!(["cpu", "20%"]))
    );
    let shown = up.call(&["budget", "workers", "--group"]);
    assert!(shown.out.contains("cpu     20%"), "{shown:?}");
}

#[test]
fn a_budget_that_is_changed_holds_from_the_next_turn_on() {
    let up = Up::start(&[]);
    up.json(&["deploy", "mischief", "--budget", "deadline=20s"]);
    let changed = up.call(&["budget", "mischief", "deadline=150ms", "cpu=90%"]);
    assert_eq!(changed.out, "mischief: cpu 0.0%/90%\nmischief: deadline 0ms/150ms\n", "{changed:?}");
    let broke = up.call(&["send", "mischief", "--skill", "spin"]);
    assert!(broke.code == 1 && broke.err.contains("150ms") && broke.err.contains("village budget"), "{broke:?}");
    up.json(&["budget", "mischief", "deadline=250ms"]);
    let broke = up.call(&["send", "mischief", "--skill", "spin"]);
    assert!(broke.err.contains("250ms"), "also of one that is awake: {broke:?}");
    assert!(up.call(&["budget", "mischief"]).out.contains("/250ms"));
}

#[test]
fn a_village_that_is_told_to_end_ends_what_is_under_way_first() {
    let up = Up::start(&[]);
    up.json(&["deploy", "mischief", "--budget", "deadline=1s"]);
    let waiting = up.begin(&["send", "mischief", "--skill", "spin"]);
    up.busy();
    up.end();
    // It takes nothing new, and says so.
    up.until("the end", |village| village["stopping"] == true);
    assert_eq!(get(&up, "/ready").0, 503);
    assert_eq!(get(&up, "/live").0, 200);
    let refused = up.call(&["send", "mischief", "--skill", "spin", "--json"]);
    assert_eq!(refused.error().0, "stopping");
    let answer = waiting.wait_with_output().expect("it ends");
    let answer: Value = serde_json::from_slice(&answer.stdout).expect("JSON");
    assert_eq!(answer["error"]["kind"], "deadline", "it came to its own end: {answer}");
    let data = up.data();
    let (status, last, _folder) = up.ended();
    assert_eq!((status.code(), last), (Some(0), json!({ "stopped": true, "left": 0 })));
    assert!(!data.join("address").exists(), "nobody is sent there any more");
}

#[test]
fn a_village_waits_no_longer_than_it_may_and_not_at_all_the_second_time() {
    for (more, again) in [(&["--stop-within", "100ms"][..], false), (&["--stop-within", "1h"], true)] {
        let up = Up::start(more);
        up.json(&["deploy", "mischief", "--budget", "deadline=10m,cpu=50%"]);
        let waiting = up.begin(&["send", "mischief", "--skill", "spin"]);
        up.busy();
        up.end();
        if again {
            up.until("the end", |village| village["stopping"] == true);
            up.end();
        }
        let answer = waiting.wait_with_output().expect("it ends");
        let answer: Value = serde_json::from_slice(&answer.stdout).expect("JSON");
        let kind = answer["error"]["kind"].as_str().expect("a kind");
        assert!(["postponed", "no-village"].contains(&kind), "{answer}");
        let (status, last, _folder) = up.ended();
        assert_eq!((status.code(), last), (Some(1), json!({ "stopped": true, "left": 1 })));
    }
}

#[test]
fn a_message_with_a_key_is_handled_once() {
    let up = Up::start(&[]);
    up.json(&["deploy", "navigator", "--name", "n"]);
    let send = |input: &str, key: &str| up.call(&["send", "n", "--input", input, "--key", key, "--json"]);
    let first = send("{}", "k1");
    let (first, again) = (first.json(), send("{}", "k1").json());
    assert_eq!(first["error"], again["error"], "an agent that says no says it once");
    up.json(&["deploy", guest("echo"), "--name", "echo"]);
    let echo = |input: &str, key: &str| {
        up.call(&["send", "echo", "--skill", "echo", "--input", input, "--key", key, "--json"])
    };
    let (first, again, other) = (echo("a", "k").json(), echo("a", "k").json(), echo("a", "k2").json());
    assert_eq!(
        (&first["repeated"], &again["repeated"], &other["repeated"]),
        (&json!(false), &json!(true), &json!(false))
    );
    assert_eq!((&first["id"], &first["reply"]), (&again["id"], &again["reply"]));
    assert_ne!(first["id"], other["id"]);
    assert_eq!(echo("b", "k").error().0, "conflict", "another message under the same key");
    assert_eq!(up.json(&["ps", "echo"])["sends"]["answered"], 2, "the agent was asked twice in all");
}

#[test]
fn parts_of_an_answer_come_as_they_are_given() {
    let up = Up::start(&[]);
    up.json(&["deploy", guest("family"), "--name", "family", "--grant", "agents=*"]);
    let ran = up.call(&["send", "family", "--skill", "emit", "--input", "one two three", "--stream", "--json"]);
    assert_eq!(ran.json()["parts"], json!(["one", "two", "three"]), "{ran:?}");
    let failed = up.call(&["send", "family", "--skill", "emit-and-fail", "--input", "one", "--stream", "--json"]);
    assert_eq!((failed.code, failed.error().0.as_str()), (1, "refused"));
    let told = up.json(&["send", "family", "--skill", "emit", "--input", "x", "--no-wait"]);
    assert!(told["id"].as_str().is_some_and(|id| !id.is_empty()), "{told}");
}

#[path = "running/wire.rs"]
mod wire;

#[path = "running/kept.rs"]
mod kept;
mod keys;

#[path = "running/swapped.rs"]
mod swapped;

#[path = "running/killed.rs"]
mod killed;

mod leaving;
mod mesh;
mod models;
#[path = "running/records.rs"]
mod records;
mod replicas;
mod spaces;
mod votes;

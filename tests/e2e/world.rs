//! Environment, arguments, clocks, chance, standard streams, sockets: each opens by its grant, and is shut without it.

use guest::{Agent, Finished, Grants, Stdin};
use std::time::SystemTime;
use tests::{ask, budget, grants, guest, host};

async fn world(host: &tests::Village, open: &[&str]) -> Agent {
    host.agent("world", "deadline=5s,memory=12MiB,storage=1MiB", open).await
}

/// The refusal of something that was not granted and has no other answer, which names the grant.
async fn denied(agent: &Agent, skill: &str, payload: &str, grant: &str) {
    let no = ask(agent, skill, payload).await.expect_err("it is shut");
    assert_eq!((no.kind, no.text.contains(&format!("--grant {grant}"))), ("denied", true), "{skill}: {no}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_holds_what_was_granted_and_nothing_else() {
    let host = host();
    let path = std::env::var("PATH").expect("tests run with a PATH");
    let open = world(&host, &["env=PATH"]).await;
    assert_eq!(ask(&open, "env", "PATH").await, Ok(path));
    let home = ask(&open, "env", "CARGO_MANIFEST_DIR").await.expect("it copes");
    assert!(home.starts_with("error: "), "{home}");
    let shut = world(&host, &[]).await;
    let path = ask(&shut, "env", "PATH").await.expect("it copes");
    assert!(path.starts_with("error: "), "{path}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_has_neither_arguments_nor_input() {
    let host = host();
    let agent = world(&host, &[]).await;
    assert_eq!(ask(&agent, "args", "").await.as_deref(), Ok(""));
    assert_eq!(ask(&agent, "stdin", "").await.as_deref(), Ok(""));
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_run_with_the_grant_and_end_the_turn_without_it() {
    let host = host();
    let open = world(&host, &["clock"]).await;
    let now: u128 = ask(&open, "now", "").await.expect("it is granted").parse().expect("a number");
    let ours = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
    assert!(ours.abs_diff(now) < 10_000, "{now}, and here {ours}");
    let (first, second) = (ask(&open, "instant", "").await, ask(&open, "instant", "").await);
    assert!(first.is_ok() && first != second, "it moves: {first:?}");
    let shut = world(&host, &["random", "log", "state", "budget"]).await;
    denied(&shut, "now", "", "clock").await;
    denied(&shut, "instant", "", "clock").await;
    let sleeper = host.agent("cpu", "deadline=2s", &[]).await;
    denied(&sleeper, "sleep", "1", "clock").await;
    denied(&sleeper, "poll", "1", "clock").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chance_opens_with_the_grant_and_ends_the_turn_without_it() {
    let host = host();
    let open = world(&host, &["random"]).await;
    for skill in ["random", "insecure"] {
        let (one, two) =
            (ask(&open, skill, "16").await.expect("granted"), ask(&open, skill, "16").await.expect("granted"));
        assert_eq!((one.len(), one != two), (32, true), "{skill}: {one} {two}");
    }
    let shut = world(&host, &["clock"]).await;
    denied(&shut, "random", "16", "random").await;
    denied(&shut, "insecure", "16", "random").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_amount_of_chance_ends_the_turn_and_costs_nothing() {
    let host = host();
    host.beside(async {
        let agent = world(&host, &["random"]).await;
        for skill in ["random", "insecure"] {
            for many in ["1048577", "4000000000", "18446744073709551615"] {
                let no = ask(&agent, skill, many).await.expect_err("it is too much");
                assert_eq!((no.kind, no.text.contains(many)), ("trap", true), "{no}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_output_is_in_the_log_if_there_is_one() {
    let host = host();
    let open = world(&host, &["log"]).await;
    ask(&open, "print", "said").await.expect("it prints");
    ask(&open, "eprint", "complained").await.expect("it prints");
    let (lines, _) = open.log();
    let lines: Vec<_> = lines.iter().map(|line| (line.source.word(), line.text.as_str())).collect();
    assert_eq!(lines, [("stdout", "said"), ("stderr", "complained")]);
    let shut = world(&host, &[]).await;
    ask(&shut, "print", "said").await.expect("it prints");
    ask(&shut, "eprint", "complained").await.expect("it prints");
    assert!(shut.log().0.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_grant_opens_a_socket_or_looks_up_a_name() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port().to_string();
    let host = host();
    let agent = world(&host, &["log", "state", "budget", "clock", "random", "env=PATH"]).await;
    let reply = ask(&agent, "socket", &port).await.expect("it copes");
    assert_eq!(reply.lines().filter(|line| line.contains("error: ")).count(), 3, "{reply}");
    listener.set_nonblocking(true).expect("it can be asked");
    assert!(listener.accept().is_err(), "nobody has knocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_import_of_the_contract_answers_denied_without_its_grant() {
    let host = host();
    let shut = world(&host, &[]).await;
    let reply = ask(&shut, "denied", "").await.expect("it copes");
    assert!(reply.lines().count() >= 36, "{reply}");
    for line in reply.lines().filter(|line| !line.starts_with("agents.emit ")) {
        assert!(line.split_once(' ').is_some_and(|(_, answer)| answer.starts_with("error: denied ")), "{line}");
    }
    let open = world(&host, &["log", "state", "workspace", "budget"]).await;
    let reply = ask(&open, "denied", "").await.expect("it copes");
    for line in reply.lines() {
        let (name, answer) = line.split_once(' ').expect("a name and its answer");
        // Part of a reply needs no grant.
        let granted =
            ["log.", "state.", "workspace.", "budget.", "agents.emit"].iter().any(|open| name.starts_with(open));
        assert_eq!(answer == "ok", granted, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_reads_its_own_budget_with_the_grant() {
    let host = host();
    let agent = host
        .agent("echo", "cpu=12%,burst=70ms,deadline=4s,memory=6MiB,storage=3MiB,log=5KiB,mailbox=7,mailbox-bytes=2MiB,messages=9/s,children=2", &["budget", "state"])
        .await;
    ask(&agent, "state", "").await.expect("it is granted");
    let reply = ask(&agent, "budget", "").await.expect("it is granted");
    let limit =
        |name: &str| reply.lines().find_map(|line| line.strip_prefix(name)?.split(' ').nth(1)?.parse::<u64>().ok());
    let limits = ["cpu ", "burst ", "deadline ", "memory ", "storage ", "log "].map(limit);
    assert_eq!(limits, [120, 70_000, 4_000_000, 6 << 20, 3 << 20, 5 << 10].map(Some), "{reply}");
    let limits = ["mailbox ", "mailbox-bytes ", "messages ", "children "].map(limit);
    assert_eq!(limits, [7, 2 << 20, 9, 2].map(Some), "{reply}");
    let storage = reply.lines().find(|line| line.starts_with("storage ")).expect("it is there");
    assert!(storage.starts_with("storage 2 "), "a key and a value of one byte each: {storage}");
    let left: u64 = ask(&agent, "remaining", "").await.expect("it is granted").parse().expect("a number");
    assert!((3_000_000..=4_000_000).contains(&left), "{left}");
}

async fn command(arguments: &[&str], input: &str, open: Grants) -> Finished {
    let host = host();
    let version = host.0.load(guest("command")).await.expect("it is loaded");
    let arguments = arguments.iter().map(|argument| argument.to_string()).collect();
    let input = Stdin::Bytes(input.as_bytes().to_vec());
    host.0.run(&version, arguments, input, budget("memory=8MiB,deadline=5s"), open).await.expect("it runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_its_arguments_input_output_and_exit_code() {
    let done = command(&["command", "--exit", "0"], "quiet\n", Grants::default()).await;
    assert_eq!(done.outcome.expect("it ends"), 0);
    assert_eq!(String::from_utf8_lossy(&done.stdout), "--exit 0\nQUIET\n");
    let failed = command(&["command", "--exit", "1"], "", Grants::default()).await;
    assert_eq!(failed.outcome.expect("it ends"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reads_a_file_with_the_grant_and_none_without() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("note"), "hello from a file").expect("written");
    let open = grants(&[&format!("files={}:/notes:ro", folder.path().display())]);
    let read = command(&["command", "/notes/note"], "", open).await;
    assert_eq!(read.outcome.expect("it ends"), 0);
    assert!(String::from_utf8_lossy(&read.stdout).ends_with("hello from a file"));
    let shut = command(&["command", "/notes/note"], "", Grants::default()).await;
    assert_eq!(shut.outcome.expect("it ends"), 1);
    assert!(String::from_utf8_lossy(&shut.stderr).starts_with("command: "), "it says why");
}

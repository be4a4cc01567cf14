//! A process that writes is killed at any moment.

use crate::load::{self, Progress, Random};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::{env, thread};
use store::{Options, Store};

const FOLDER: &str = "STORE_CHILD_FOLDER";

/// Not a test by itself: what the other one starts, and kills.
#[test]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let store = Store::open(Path::new(&folder), load::options()).expect("a store opens");
    let progress = Progress::after(&load::check(&store));
    let say = |line: String| {
        // One write for each line, so that none is half when this ends.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    };
    say("begun\n".into());
    load::write(&store, &progress, &|| false, &|agent, number| say(format!("{agent} {number}\n")));
    unreachable!("the disk does not fail");
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let seed = getrandom::u64().expect("a seed");
    println!("seed {seed}");
    let mut random = Random(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let mut changes = 0;
    for kill in 0..200 {
        let mut child = Command::new(env::current_exe().expect("this is a program"))
            .args(["--exact", "kill::child", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("its output is read"));
        let (begun, begins) = std::sync::mpsc::channel();
        let listen = thread::spawn(move || {
            let progress = Progress::default();
            for line in output.lines() {
                let Ok(line) = line else { break };
                if line.ends_with("begun") {
                    let _ = begun.send(());
                }
                let Some((agent, number)) = line.split_once(' ') else { continue };
                let (Ok(agent), Ok(number)) = (agent.parse::<usize>(), number.parse()) else { continue };
                progress.done[agent].store(number, Ordering::Relaxed);
                changes += 1;
            }
            (progress, changes)
        });
        // While it starts and opens the store, or while it writes.
        if random.below(3) > 0 {
            let _ = begins.recv_timeout(Duration::from_secs(10));
        }
        thread::sleep(Duration::from_micros(random.below(20_000)));
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
        let (progress, so_far) = listen.join().expect("its output ends");
        changes = so_far;
        let store = Store::open(folder.path(), load::options())
            .unwrap_or_else(|error| panic!("seed {seed}, kill {kill}: {error}"));
        let found = load::check(&store);
        for (agent, found) in found.iter().enumerate() {
            let done = progress.done[agent].load(Ordering::Relaxed);
            assert!(*found >= done, "seed {seed}, kill {kill}: {agent} was told of {done}, and {found} is there");
        }
    }
    println!("{changes} changes");
    assert!(changes > 200, "the processes were killed before they wrote anything: {changes}");
}

#[test]
fn a_folder_is_free_when_its_process_was_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(env::current_exe().expect("this is a program"))
        .args(["--exact", "kill::child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut output = BufReader::new(child.stdout.take().expect("its output is read"));
    let mut line = String::new();
    while !line.contains("begun") {
        line.clear();
        assert!(output.read_line(&mut line).expect("it says when it has begun") > 0);
    }
    let second = Store::open(folder.path(), Options::default());
    assert!(matches!(second, Err(store::Error::Busy { .. })), "the folder of another process was opened");
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    Store::open(folder.path(), Options::default()).expect("the folder is free");
}

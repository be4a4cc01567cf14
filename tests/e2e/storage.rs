//! `storage`: what a guest keeps, in its state and in folders.

use guest::Agent;
use std::path::Path;
use tests::{ask, budget, host, used};

const KIB: u64 = 1 << 10;

/// A folder with an agent that may write it.
async fn writer(host: &tests::Village, limits: &str, open: &str) -> (tempfile::TempDir, Agent) {
    let folder = tempfile::tempdir().expect("a folder");
    let grant = format!("files={}:/data:{open}", folder.path().display());
    let agent = host.agent("files", limits, &[&grant]).await;
    (folder, agent)
}

/// What all files of a folder claim to hold.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.and_then(|entry| entry.metadata()).map_or(0, |about| about.len())).sum()
}

/// Whether an error is for want of room. The guests' libc calls any error of a stream one of I/O, whatever the host says.
fn is_full(error: &str) -> bool {
    error.contains("StorageFull") || error.contains("insufficient-space") || error.contains("I/O error (os error 29)")
}

/// How many were done before it was refused for want of room.
fn until_full(reply: &str) -> u64 {
    let (count, error) = reply.split_once(' ').unwrap_or_else(|| panic!("it was not refused: {reply}"));
    assert!(is_full(error), "{reply}");
    count.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_state_is_refused_at_the_limit() {
    let host = host();
    host.beside(async {
        let agent = host.agent("world", "storage=200KiB", &["state"]).await;
        let refused = ask(&agent, "state-flood", "").await.expect("it copes");
        let (keys, why) = refused.split_once(' ').expect("keys and reason");
        assert_eq!(why, "error: limit storage for good");
        let each = 1024 + "flood/00000000".len() as u64;
        assert_eq!(keys.parse::<u64>().expect("a number"), 200 * KIB / each);
        assert_eq!(used(&agent, "storage"), 200 * KIB / each * each);
        // What is taken away makes room, once that turn has ended well.
        assert_eq!(ask(&agent, "delete", "flood/00000000").await.as_deref(), Ok("true"));
        assert!(ask(&agent, "set", "again x").await.expect("it copes").parse::<u64>().is_ok());
        agent.set_budget(budget("storage=300KiB"));
        let again = ask(&agent, "state-flood", "").await.expect("it copes");
        let most = (300 * KIB - "again".len() as u64 - 1) / each;
        assert_eq!(again, format!("{most} error: limit storage for good"), "replacing what is there takes no room");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_filled_to_the_limit_and_no_further() {
    let host = host();
    host.beside(async {
        let (folder, agent) = writer(&host, "storage=300KiB", "rw").await;
        let written = until_full(&ask(&agent, "fill", "/data/one").await.expect("it copes"));
        assert!((200 * KIB..300 * KIB).contains(&written), "{written}");
        assert!(size(folder.path()) <= 300 * KIB);
        assert!(used(&agent, "storage") <= 300 * KIB);
        // Nothing is left for a second one.
        let more = until_full(&ask(&agent, "fill", "/data/two").await.expect("it copes"));
        assert!(written + more <= 300 * KIB, "{written} and {more}");
        assert!(size(folder.path()) <= 300 * KIB);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_refused_for_want_of_room_says_so() {
    let host = host();
    let (_folder, agent) = writer(&host, "storage=30KiB", "rw").await;
    assert_eq!(ask(&agent, "stream", "/data/one").await.as_deref(), Ok("28672 insufficient-space"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_hole_counts_by_its_length() {
    let host = host();
    host.beside(async {
        let (folder, agent) = writer(&host, "storage=400KiB", "rw").await;
        let reply = ask(&agent, "sparse", "/data/hole").await.expect("it copes");
        let refusals: Vec<_> = reply.lines().collect();
        assert!(refusals.iter().all(|line| is_full(line)), "{reply}");
        assert_eq!(refusals.len(), 2);
        assert_eq!(size(folder.path()), 0);
        let reply = ask(&agent, "sparse", "/data/hole 300000").await.expect("it copes");
        assert_eq!(reply, "set-len done\nwrite done");
        assert_eq!(size(folder.path()), 300_001);
        assert!(used(&agent, "storage") >= 300_001);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_without_end_are_refused() {
    let host = host();
    host.beside(async {
        let (folder, agent) = writer(&host, "storage=25KiB", "rw").await;
        let made = until_full(&ask(&agent, "fill-many", "/data").await.expect("it copes"));
        assert_eq!(made, 100, "a name counts as 256 bytes");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 100);
        for (skill, payload) in [("mkdir", "/data/d"), ("symlink", "0 /data/s"), ("link", "/data/0 /data/h")] {
            let reply = ask(&agent, skill, payload).await.expect("it copes");
            assert!(is_full(&reply), "{skill}: {reply}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_truncated_or_deleted_is_free_again() {
    let host = host();
    let (folder, agent) = writer(&host, "storage=300KiB", "rw").await;
    until_full(&ask(&agent, "fill", "/data/one").await.expect("it copes"));
    assert_eq!(ask(&agent, "truncate", "/data/one").await.as_deref(), Ok("truncated"));
    assert!(used(&agent, "storage") <= KIB, "{}", used(&agent, "storage"));
    until_full(&ask(&agent, "fill", "/data/one").await.expect("it copes"));
    // However often a file is made and deleted, or replaced by another: the agent never has more than one at a time.
    for round in 0..5 {
        assert_eq!(ask(&agent, "unlink", "/data/one").await.as_deref(), Ok("removed"), "round {round}");
        assert_eq!(ask(&agent, "fill", "/data/one 200000").await.as_deref(), Ok("200000"), "round {round}");
    }
    assert_eq!(ask(&agent, "unlink", "/data/one").await.as_deref(), Ok("removed"));
    for round in 0..5 {
        assert_eq!(ask(&agent, "fill", "/data/new 100000").await.as_deref(), Ok("100000"), "round {round}");
        assert_eq!(ask(&agent, "rename", "/data/new /data/kept").await.as_deref(), Ok("renamed"), "round {round}");
    }
    assert_eq!(size(folder.path()), 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_what_others_put_there_earns_nothing() {
    let host = host();
    host.beside(async {
        let (folder, agent) = writer(&host, "storage=100KiB", "rw").await;
        for name in ["a", "b"] {
            std::fs::write(folder.path().join(name), vec![0; 2 << 20]).expect("written");
        }
        assert_eq!(ask(&agent, "unlink", "/data/a").await.as_deref(), Ok("removed"));
        assert_eq!(ask(&agent, "truncate", "/data/b").await.as_deref(), Ok("truncated"));
        let written = until_full(&ask(&agent, "fill", "/data/own").await.expect("it copes"));
        assert!((40 * KIB..=100 * KIB).contains(&written), "{written}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_given_back_twice() {
    let host = host();
    host.beside(async {
        let (folder, agent) = writer(&host, "storage=200KiB", "rw").await;
        for round in 0..4 {
            // It deletes a file that it holds open, and then truncates it: that frees the file's bytes once.
            let reply = ask(&agent, "unlink-truncate", "/data/once 90000").await.expect("it copes");
            assert!(reply == "done" || is_full(&reply), "{reply}");
            // A name that is renamed to itself, or to another name of the same file, stays.
            ask(&agent, "fill", "/data/twice 1000").await.expect("it copes");
            ask(&agent, "link", "/data/twice /data/thrice").await.expect("it copes");
            ask(&agent, "rename", "/data/twice /data/twice").await.expect("it copes");
            ask(&agent, "rename", "/data/twice /data/thrice").await.expect("it copes");
            ask(&agent, "fill", &format!("/data/{round} 60000")).await.expect("it copes");
            // The instance ends, which settles what was deleted.
            ask(&agent, "no such skill", "").await.expect_err("it has none");
        }
        assert!(size(folder.path()) <= 200 * KIB, "{} bytes are there", size(folder.path()));
    })
    .await;
}

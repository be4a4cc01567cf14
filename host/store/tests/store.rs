//! What the store promises to those who write and read, on real files and on the disk that is for tests.

use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use store::fault::FaultyDisk;
use store::{Change, Disk, Error, Files, Options, Store, Table};

const MAIL: Table<(String, u64), Letter> = Table::new("mail");
const STATE: Table<(String, String), Vec<u8>> = Table::new("state");
const NAMES: Table<String, u64> = Table::new("names");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Letter {
    from: String,
    text: String,
}

fn letter(text: &str) -> Letter {
    Letter { from: "ada".into(), text: text.into() }
}

fn open(folder: &Path) -> Store {
    Store::open(folder, Options::default()).expect("a store opens")
}

fn change(make: impl FnOnce(&mut Change)) -> Change {
    let mut change = Change::new();
    make(&mut change);
    change
}

fn commit(store: &Store, make: impl FnOnce(&mut Change)) -> Result<store::Committed, Error> {
    store.commit(change(make)).wait()
}

/// Whatever is asked of a store must be answered alike from the log in memory, from the tree, and after opening anew; on
/// each kind of disk.
fn everywhere(fill: impl Fn(&Store), check: impl Fn(&Store)) {
    let folder = tempfile::tempdir().expect("a folder");
    let faulty = Arc::new(FaultyDisk::new());
    let disks: [(Arc<dyn Files>, &Path); 2] = [(Arc::new(Disk), folder.path()), (faulty, Path::new("/village"))];
    for (files, folder) in disks {
        let open = || Store::open_with(files.clone(), folder, Options::default()).expect("a store opens");
        let store = open();
        fill(&store);
        check(&store);
        store.close();
        drop(store);
        let store = open();
        check(&store);
        store.checkpoint().expect("a checkpoint");
        check(&store);
        drop(store);
        check(&open());
    }
}

#[test]
fn what_was_written_is_read() {
    everywhere(
        |store| {
            commit(store, |change| {
                change.put(&MAIL, ("bob", 1), &letter("one")).put(&MAIL, ("bob", 2), &letter("two"));
                change.put(&MAIL, ("bobby", 1), &letter("not bob's")).put(&NAMES, "bob", &7);
            })
            .expect("it is stored");
            commit(store, |change| {
                change.delete(&MAIL, ("bob", 1)).put(&MAIL, ("bob", 10), &letter("ten"));
            })
            .expect("it is stored");
        },
        |store| {
            let read = store.read();
            assert_eq!(read.get(&MAIL, ("bob", 1)).expect("a read"), None);
            assert_eq!(read.get(&MAIL, ("bob", 2)).expect("a read"), Some(letter("two")));
            assert_eq!(read.get(&NAMES, "bob").expect("a read"), Some(7));
            let rows = read.scan(MAIL.under("bob"), None, 10).expect("a scan");
            let keys: Vec<u64> = rows.iter().map(|((_, number), _)| *number).collect();
            assert_eq!(keys, [2, 10]);
            let rows = read.scan(MAIL.under("bob"), Some(("bob", 2)), 10).expect("a scan");
            assert_eq!(rows, [(("bob".to_owned(), 10), letter("ten"))]);
            let rows = read.scan_back(MAIL.all(), None, 2).expect("a scan");
            assert_eq!(rows[0].0, ("bobby".to_owned(), 1));
            assert_eq!(rows[1].0, ("bob".to_owned(), 10));
        },
    );
}

#[test]
fn a_span_is_cleared_and_its_neighbours_are_not() {
    everywhere(
        |store| {
            commit(store, |change| {
                for key in ["a/1", "a/2", "b/1"] {
                    change.put(&STATE, ("x", key), &vec![1]).put(&STATE, ("y", key), &vec![2]);
                }
            })
            .expect("it is stored");
            store.checkpoint().expect("a checkpoint");
            commit(store, |change| {
                change.put(&STATE, ("x", "a/3"), &vec![3]).clear(STATE.under_starting("x", "a/"));
                change.put(&STATE, ("x", "a/4"), &vec![4]);
            })
            .expect("it is stored");
        },
        |store| {
            let rows = store.read().scan(STATE.all(), None, 100).expect("a scan");
            let keys: Vec<_> = rows.into_iter().map(|(key, _)| format!("{}:{}", key.0, key.1)).collect();
            assert_eq!(keys, ["x:a/4", "x:b/1", "y:a/1", "y:a/2", "y:b/1"]);
        },
    );
}

#[test]
fn a_change_whose_guard_does_not_hold_fails_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let first = store.commit(change(|change| {
        change.guard(&NAMES, "ada", None).put(&NAMES, "ada", &1);
    }));
    let second = store.commit(change(|change| {
        change.guard(&NAMES, "ada", None).put(&NAMES, "ada", &2).put(&NAMES, "bob", &2);
    }));
    let third = store.commit(change(|change| {
        change.guard(&NAMES, "ada", Some(&1)).put(&NAMES, "ada", &3);
    }));
    first.wait().expect("the first is stored");
    assert!(matches!(second.wait(), Err(Error::Conflict { table }) if table == "names"));
    third.wait().expect("the third sees the first");
    let read = store.read();
    assert_eq!(read.get(&NAMES, "ada").expect("a read"), Some(3));
    assert_eq!(read.get(&NAMES, "bob").expect("a read"), None);
}

#[test]
fn a_reader_sees_one_moment() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    commit(&store, |change| {
        change.put(&NAMES, "a", &1).put(&NAMES, "b", &1);
    })
    .expect("it is stored");
    let before = store.read();
    for number in 2..50 {
        commit(&store, |change| {
            change.put(&NAMES, "a", &number).delete(&NAMES, "b").put(&NAMES, &format!("c{number}"), &number);
        })
        .expect("it is stored");
        if number % 20 == 0 {
            store.checkpoint().expect("a checkpoint");
        }
    }
    let rows = before.scan(NAMES.all(), None, 100).expect("a scan");
    assert_eq!(rows, [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    assert_eq!(
        (before.count(NAMES.all()).expect("counted"), store.read().count(NAMES.all()).expect("counted")),
        (2, 49)
    );
    assert_eq!(store.read().get(&NAMES, "a").expect("a read"), Some(49));
    assert!(!store.read().contains(&NAMES, "b").expect("a read"));
}

#[test]
fn records_are_numbered_in_the_order_of_the_calls() {
    everywhere(
        |store| {
            let commits: Vec<_> = (0..500u64)
                .map(|number| {
                    store.commit(change(|change| {
                        change.record(1000 + number, &number);
                    }))
                })
                .collect();
            for (number, commit) in (0..).zip(commits) {
                let records = commit.wait().expect("it is stored").records;
                assert_eq!(records, number + 1..number + 2);
            }
        },
        |store| {
            let records = store.read().journal(1..u64::MAX, 1000).expect("the journal");
            assert_eq!(records.len(), 500);
            for (number, record) in (0..).zip(&records) {
                assert_eq!((record.seq, record.time), (number + 1, 1000 + number));
                assert_eq!(record.read::<u64>().expect("it is a number"), Some(number));
            }
            assert_eq!(*store.tail().borrow(), 500);
        },
    );
}

#[test]
fn a_second_opener_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    assert!(matches!(Store::open(folder.path(), Options::default()), Err(Error::Busy { .. })));
    drop(store);
    open(folder.path());
}

#[tokio::test]
async fn a_commit_can_be_awaited_and_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    drop(store.commit(change(|change| {
        change.put(&NAMES, "dropped", &1);
    })));
    store
        .commit(change(|change| {
            change.put(&NAMES, "awaited", &2);
        }))
        .await
        .expect("it is stored");
    assert_eq!(store.read().get(&NAMES, "dropped").expect("a read"), Some(1));
}

#[test]
fn blobs_are_kept_by_their_hash() {
    everywhere(
        |store| {
            let (one, two) =
                (store.blobs().put(b"one").expect("it is kept"), store.blobs().put(b"two").expect("it is kept"));
            assert_eq!(store.blobs().put(b"one").expect("it is there"), one);
            store.blobs().remove(&two).expect("it is removed");
        },
        |store| {
            let (one, two) = (store::Hash::of(b"one"), store::Hash::of(b"two"));
            assert_eq!(store.blobs().list().expect("a list"), [one]);
            assert_eq!(store.blobs().get(&one).expect("a read").as_deref(), Some(b"one".as_slice()));
            assert_eq!(store.blobs().get(&two).expect("a read"), None);
        },
    );
}

#[test]
fn a_row_of_another_type_or_version_is_an_error() {
    const LETTERS: Table<String, Letter> = Table::new("names");
    const NUMBERS: Table<u64, u64> = Table::new("names");
    everywhere(
        |store| {
            commit(store, |change| {
                change.put(&NAMES, "ada", &1);
            })
            .expect("it is stored");
        },
        |store| {
            let read = store.read();
            let says = |outcome: Result<(), Error>| match outcome {
                Err(Error::Row { table, what }) => format!("{table}: {what}"),
                other => panic!("{other:?}"),
            };
            let later = NAMES.version(2);
            assert_eq!(says(read.get(&later, "ada").map(drop)), "names: it has version 1, and 2 was expected");
            assert!(says(read.get(&LETTERS, "ada").map(drop)).starts_with("names: "));
            assert_eq!(says(read.scan(NUMBERS.all(), None, 9).map(drop)), "names: its key is of another type");
        },
    );
}

#[test]
fn a_new_record_wakes_who_waits_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let mut tail = store.tail();
    assert!(!tail.has_changed().expect("the store is there"));
    commit(&store, |change| {
        change.put(&NAMES, "ada", &1);
    })
    .expect("it is stored");
    assert!(!tail.has_changed().expect("the store is there"), "a row is no record");
    commit(&store, |change| {
        change.record(1, &1u64).record(2, &2u64);
    })
    .expect("it is stored");
    assert!(tail.has_changed().expect("the store is there"));
    assert_eq!(*tail.borrow_and_update(), 2);
}

#[test]
fn what_the_end_of_a_change_calls_may_close_the_store_or_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let put = |key: &str| {
        change(|change| {
            change.put(&NAMES, key, &1);
        })
    };
    store.submit(put("panic"), |_| panic!("as a test does"));
    let (send, receive) = std::sync::mpsc::channel();
    let last = store.clone();
    store.submit(put("last"), move |outcome| {
        drop(last);
        send.send(outcome).expect("the test waits");
    });
    drop(store);
    receive.recv().expect("it is answered").expect("it is stored");
    // The writer ends a moment after it has called.
    let store = loop {
        match Store::open(folder.path(), Options::default()) {
            Ok(store) => break store,
            Err(Error::Busy { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    };
    assert!(store.read().contains(&NAMES, "panic").expect("a read"));
    assert!(store.read().contains(&NAMES, "last").expect("a read"));
}

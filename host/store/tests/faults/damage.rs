//! Files that are not what was written, or were written by a later version.

use crate::load;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use store::{Change, Disk, Error, Options, Store, Table};

const ROWS: Table<String, Row> = Table::new("rows");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    number: u64,
    text: String,
}

fn row(number: u64) -> Row {
    Row { number, text: format!("row {number}") }
}

fn open(folder: &Path) -> Result<Store, Error> {
    Store::open(folder, load::options())
}

/// A store with something in the tree, something in the log, and a blob.
fn fill(folder: &Path) {
    let store = open(folder).expect("a store opens");
    for number in 0..20 {
        let mut change = Change::new();
        change.put(&ROWS, &format!("{number:02}"), &row(number)).record(number, &row(number));
        store.commit(change).wait().expect("it is stored");
        if number == 9 {
            store.checkpoint().expect("a checkpoint");
        }
    }
    store.blobs().put(b"a blob").expect("it is kept");
}

fn change_byte(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("the file is there");
    bytes[at] ^= 0x10;
    fs::write(path, bytes).expect("it can be written");
}

fn log_file(folder: &Path) -> std::path::PathBuf {
    let mut logs: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    assert_eq!(logs.len(), 1, "{logs:?}");
    logs.remove(0)
}

#[track_caller]
fn expect_damaged(outcome: Result<Store, Error>, name: &str) {
    match outcome {
        Err(Error::Damaged { file, .. }) => assert!(file.ends_with(name), "{file:?} was named instead of {name}"),
        Err(error) => panic!("{name}: {error:?}"),
        Ok(_) => panic!("{name} is damaged, and the store was opened"),
    }
}

#[test]
fn a_damaged_log_is_named_and_a_torn_end_is_not_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path());
    let path = log_file(folder.path());
    let name = path.file_name().expect("a name").to_str().expect("text").to_owned();
    let whole = fs::read(&path).expect("the log");
    // The head, the first frame, one in the middle: what follows them was acknowledged.
    for at in [0, 14, 20, 40, 70, 100, whole.len() / 2] {
        change_byte(&path, at);
        expect_damaged(open(folder.path()), &name);
        fs::write(&path, &whole).expect("it can be written");
    }
    // The last frame, which nobody may have been told of.
    for cut in [1, 10, 60] {
        fs::write(&path, &whole[..whole.len() - cut]).expect("it can be written");
        let store = open(folder.path()).expect("a torn end is no damage");
        assert_eq!(store.read().head().expect("the head").seq, 19);
        drop(store);
        fs::write(&path, &whole).expect("it can be written");
    }
    fs::remove_file(&path).expect("it can be removed");
    expect_damaged(open(folder.path()), &name);
}

#[test]
fn a_damaged_tree_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path());
    let path = folder.path().join("tree.redb");
    let whole = fs::read(&path).expect("the tree");
    for at in [0, 3] {
        change_byte(&path, at);
        expect_damaged(open(folder.path()), "tree.redb");
        fs::write(&path, &whole).expect("it can be written");
    }
    fs::write(&path, b"this is no database, and it is long enough to be looked at".repeat(100)).expect("it is written");
    expect_damaged(open(folder.path()), "tree.redb");
    fs::write(&path, &whole[..whole.len() / 3]).expect("it can be written");
    expect_damaged(open(folder.path()), "tree.redb");
}

#[test]
fn later_formats_are_refused_and_nothing_is_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path());
    let path = folder.path().join("FORMAT");
    fs::write(&path, "village store 2\n").expect("it can be written");
    assert!(matches!(open(folder.path()), Err(Error::Newer { found: 2, known: 1, .. })));
    fs::write(&path, "something else").expect("it can be written");
    expect_damaged(open(folder.path()), "FORMAT");
    fs::remove_file(&path).expect("it can be removed");
    expect_damaged(open(folder.path()), "FORMAT");
    fs::write(&path, "village store 1\n").expect("it can be written");
    // A segment of a later version, as that one would write it: with a check that fits.
    let path = log_file(folder.path());
    let mut later = fs::read(&path).expect("the log");
    later[12] = 2;
    let check = blake3::hash(&later[..48]);
    later[48..64].copy_from_slice(&check.as_bytes()[..16]);
    fs::write(&path, &later).expect("it can be written");
    match open(folder.path()) {
        Err(Error::Newer { file, found: 2, known: 1 }) => assert_eq!(file, path),
        other => panic!("a log of a later version: {:?}", other.err()),
    }
    assert_eq!(fs::read(&path).expect("the log"), later);
}

#[test]
fn a_damaged_blob_is_not_given_out_and_can_be_put_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("a store opens");
    let hash = store.blobs().put(b"a blob").expect("it is kept");
    assert_eq!(store.blobs().get(&hash).expect("a read").as_deref(), Some(b"a blob".as_slice()));
    assert_eq!(store.blobs().get(&store::Hash::of(b"another")).expect("a read"), None);
    change_byte(&store.blobs().folder().join(hash.hex()), 2);
    assert!(matches!(store.blobs().get(&hash), Err(Error::Damaged { .. })));
    store.blobs().put(b"a blob").expect("it is kept");
    assert!(store.blobs().get(&hash).expect("a read").is_some());
    store.blobs().remove(&hash).expect("it is removed");
    store.blobs().remove(&hash).expect("it need not be there");
    assert_eq!(store.blobs().list().expect("a list"), []);
}

#[test]
fn a_backup_of_a_running_store_is_restored_and_a_damaged_one_is_refused() {
    let place = tempfile::tempdir().expect("a folder");
    let at = |name: &str| place.path().join(name);
    fill(&at("store"));
    let store = open(&at("store")).expect("a store opens");
    store.cut(5, None).expect("it is cut");
    store.erase(&[7, 15]).expect("they are erased");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let manifest = std::thread::scope(|scope| {
        let (store, stopped) = (&store, &stop);
        // Each change keeps the sum of two rows, which a backup of one moment shows.
        let writing = scope.spawn(move || {
            for number in 0.. {
                if stopped.load(std::sync::atomic::Ordering::Relaxed) {
                    return number;
                }
                let mut change = Change::new();
                change
                    .put(&ROWS, "a", &row(number))
                    .put(&ROWS, "z", &row(1_000_000 - number))
                    .record(number, &row(number));
                store.commit(change).wait().expect("it is stored");
            }
            0
        });
        while store.read().get(&ROWS, "z").expect("a read").is_none() {
            std::thread::yield_now();
        }
        let manifest = store.backup(&at("backup")).expect("a backup");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(writing.join().expect("it ends") > 0);
        manifest
    });
    assert!(matches!(store.backup(&at("backup")), Err(Error::NotEmpty { .. })));
    assert_eq!(store::check_backup(&Disk, &at("backup")).expect("it is whole"), manifest);
    store::restore(std::sync::Arc::new(Disk), &at("backup"), &at("restored")).expect("it is restored");
    let restored = open(&at("restored")).expect("it opens");
    let read = restored.read();
    let rows = read.scan(ROWS.all(), None, 100).expect("a scan");
    assert_eq!(rows.len(), 22);
    assert_eq!(rows[20].1.number + rows[21].1.number, 1_000_000);
    let verified = read.verify().expect("the chain verifies");
    assert_eq!((verified.from.seq, verified.erased), (4, 2));
    assert_eq!((verified.from, verified.to), manifest.journal);
    assert_eq!(restored.blobs().list().expect("a list"), store.blobs().list().expect("a list"));
    let refused = store::restore(std::sync::Arc::new(Disk), &at("backup"), &at("restored"));
    assert!(matches!(refused, Err(Error::NotEmpty { .. }) | Err(Error::Busy { .. })), "{refused:?}");
    drop((read, restored));
    let refused = store::restore(std::sync::Arc::new(Disk), &at("backup"), &at("restored"));
    assert!(matches!(refused, Err(Error::NotEmpty { .. })), "{refused:?}");
    for (name, byte) in [("MANIFEST", 20), ("rows", 500), (&*format!("blobs/{}", manifest.blobs[0].hex()), 3)] {
        change_byte(&at("backup").join(name), byte);
        match store::restore(std::sync::Arc::new(Disk), &at("backup"), &at("never")) {
            Err(Error::Damaged { file, .. }) => assert!(file.ends_with(name), "{file:?} for {name}"),
            other => panic!("{name} is damaged, and the answer was {other:?}"),
        }
        assert!(!at("never").exists());
        change_byte(&at("backup").join(name), byte);
    }
    fs::write(at("backup").join("MANIFEST"), "village backup 2\n").expect("it can be written");
    let newer = store::check_backup(&Disk, &at("backup"));
    assert!(matches!(newer, Err(Error::Newer { found: 2, known: 1, .. })), "{newer:?}");
}

#[test]
fn a_cut_journal_verifies_and_so_does_its_archive() {
    let place = tempfile::tempdir().expect("a folder");
    let at = |name: &str| place.path().join(name);
    fill(&at("store"));
    let store = open(&at("store")).expect("a store opens");
    store.erase(&[3]).expect("it is erased");
    assert_eq!(store.cut(0, None).expect("there is nothing to cut").seq, 0);
    let first = store.cut(6, Some(&at("first"))).expect("it is cut");
    let second = store.cut(12, Some(&at("second"))).expect("it is cut");
    assert_eq!((first.seq, second.seq), (5, 11));
    // What was cut goes out of the tree with the next checkpoint, and stays away.
    store.checkpoint().expect("a checkpoint");
    let verified = store.read().verify().expect("the chain verifies");
    assert_eq!((verified.from, verified.to.seq), (second, 20));
    assert_eq!(store.read().journal(0..15, 100).expect("the journal").first().map(|record| record.seq), Some(12));
    let mut texts = Vec::new();
    let one = store::read_archive(&Disk, &at("first"), &mut |record| {
        texts.push(record.read::<Row>().expect("a row").map(|row| row.number));
    })
    .expect("the archive verifies");
    assert_eq!(texts, [Some(0), Some(1), None, Some(3), Some(4)]);
    let two = store::read_archive(&Disk, &at("second"), &mut |_| ()).expect("the archive verifies");
    assert_eq!((one.from.seq, one.to, two.from, two.to), (0, first, first, second));
    change_byte(&at("second"), 200);
    let bad = store::read_archive(&Disk, &at("second"), &mut |_| ());
    assert!(matches!(bad, Err(Error::Broken { .. } | Error::Damaged { .. })), "{bad:?}");
    let whole = fs::read(at("first")).expect("the archive");
    let length = whole.len() - (4 + 42 + 8);
    fs::write(at("first"), &whole[..length]).expect("it can be written");
    let short = store::read_archive(&Disk, &at("first"), &mut |_| ());
    assert!(matches!(short, Err(Error::Damaged { .. })), "{short:?}");
    // Everything can be cut, and the numbers go on.
    let all = store.cut(u64::MAX, None).expect("it is cut");
    assert_eq!((all.seq, store.read().head().expect("the head")), (20, all));
    drop(store);
    let store = Store::open(&at("store"), Options::default()).expect("it opens");
    let mut change = Change::new();
    change.record(1, &row(1));
    assert_eq!(store.commit(change).wait().expect("it is stored").records, 21..22);
    assert_eq!(store.read().verify().expect("the chain verifies").from, all);
}

#[test]
fn an_erased_body_is_nowhere_in_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("a store opens");
    let secret = b"the one thing that nobody must read again";
    let mut change = Change::new();
    change.journal(1, secret.to_vec());
    store.commit(change).wait().expect("it is stored");
    let holds = |path: &Path| fs::read(path).expect("a file").windows(secret.len()).any(|bytes| bytes == secret);
    assert!(holds(&log_file(folder.path())));
    store.erase(&[1, 99]).expect("it is erased");
    assert!(!holds(&log_file(folder.path())));
    assert!(!holds(&folder.path().join("tree.redb")), "it never came into the tree");
    let record = store.read().journal(1..2, 1).expect("the journal").remove(0);
    assert_eq!(record.bytes(), None);
    assert_eq!(record.body, store::Body::Erased(store::Hash::of(secret)));
    store.read().verify().expect("the chain verifies");
}

//! Bytes of the first format, which every later version must still read. `STORE_GOLDEN=write` makes them, once for each
//! format.

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Body, Change, Disk, Options, Store, Table};

const MAIL: Table<(String, u64), Letter> = Table::new("mail");
const NAMES: Table<String, u64> = Table::new("names");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Letter {
    from: String,
    bytes: Vec<u8>,
    at: Option<i64>,
}

fn letter(number: u64) -> Letter {
    Letter { from: format!("agent {number}"), bytes: vec![0, 1, 255], at: (number > 2).then_some(-5) }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("it is copied");
        }
    }
}

/// Some rows in the tree, some in the log over them.
fn write(store: &Store) {
    for number in 1..=6 {
        let mut change = Change::new();
        change.put(&MAIL, ("bob", number), &letter(number)).put(&NAMES, "last\0one", &number);
        change.record(1_790_000_000_000 + number, &letter(number));
        store.commit(change).wait().expect("it is stored");
        if number == 3 {
            store.cut(2, Some(&golden("journal.archive"))).expect("it is cut");
            store.erase(&[3]).expect("it is erased");
        }
    }
    let mut change = Change::new();
    change.delete(&MAIL, ("bob", 1)).clear(NAMES.starting("none"));
    store.commit(change).wait().expect("it is stored");
    store.blobs().put(b"a blob").expect("it is kept");
}

fn check(store: &Store) {
    let read = store.read();
    let mail = read.scan(MAIL.under("bob"), None, 100).expect("a scan");
    let expected: Vec<_> = (2..=6).map(|number| (("bob".to_owned(), number), letter(number))).collect();
    assert_eq!(mail, expected);
    assert_eq!(read.get(&NAMES, "last\0one").expect("a read"), Some(6));
    let verified = read.verify().expect("the chain verifies");
    assert_eq!((verified.from.seq, verified.to.seq, verified.erased), (1, 6, 1));
    assert_eq!(verified.to.hash.hex(), "302423d67bca9a817f8373ef0c35ff6af2f048f997baeeefc4699b6a5914ec83");
    for record in read.journal(1..100, 100).expect("the journal") {
        assert_eq!(record.time, 1_790_000_000_000 + record.seq);
        match record.seq {
            3 => assert!(matches!(record.body, Body::Erased(_))),
            seq => assert_eq!(record.read().expect("a letter"), Some(letter(seq))),
        }
    }
    let blob = store::Hash::of(b"a blob");
    assert_eq!(store.blobs().get(&blob).expect("a read").as_deref(), Some(b"a blob".as_slice()));
    assert_eq!(blob.hex(), "8e8dcfd5b7a5a4f6e42d1aa34660e299f35a4054ba60cccd931ab212101bab0e");
}

#[test]
fn a_store_of_the_first_format_opens() {
    if std::env::var_os("STORE_GOLDEN").is_some_and(|word| word == "write") {
        let _ = fs::remove_dir_all(golden(""));
        fs::create_dir_all(golden("")).expect("a folder");
        let store = Store::open(&golden("store"), Options::default()).expect("a store");
        write(&store);
        store.backup(&golden("backup")).expect("a backup");
        println!("{} {:?}", store.read().head().expect("the head").hash, store.blobs().list());
        store.close();
        fs::remove_file(golden("store/LOCK")).expect("nobody has it");
    }
    let folder = tempfile::tempdir().expect("a folder");
    copy(&golden("store"), folder.path());
    let store = Store::open(folder.path(), Options::default()).expect("it opens");
    check(&store);
    store.checkpoint().expect("it can be written to");
    check(&store);
}

#[test]
fn a_backup_of_the_first_format_is_restored() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("restored");
    store::restore(Arc::new(Disk), &golden("backup"), &to).expect("it is restored");
    check(&Store::open(&to, Options::default()).expect("it opens"));
}

#[test]
fn an_archive_of_the_first_format_verifies() {
    let mut records = Vec::new();
    let archive = store::read_archive(&Disk, &golden("journal.archive"), &mut |record| records.push(record));
    let archive = archive.expect("it verifies");
    assert_eq!((archive.from.seq, archive.to.seq), (0, 1));
    assert_eq!(records[0].read().expect("a letter"), Some(letter(1)));
}

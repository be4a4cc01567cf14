//! The disk is full, or fails, and works again.

use crate::load;
use std::path::Path;
use std::sync::Arc;
use store::fault::FaultyDisk;
use store::{Change, Error, Options, Store, Table};

const ROWS: Table<u64, Vec<u8>> = Table::new("rows");

fn put(store: &Store, key: u64, bytes: usize) -> Result<(), Error> {
    let mut change = Change::new();
    change.put(&ROWS, key, &vec![key as u8; bytes]).record(key, &key);
    store.commit(change).wait().map(drop)
}

/// Exactly those, and a journal that says the same.
fn expect(store: &Store, keys: &[u64]) {
    let read = store.read();
    let rows = read.scan(ROWS.all(), None, usize::MAX).expect("a scan");
    let found: Vec<u64> = rows.iter().map(|(key, _)| *key).collect();
    assert_eq!(found, keys);
    assert!(rows.iter().all(|(key, value)| value.iter().all(|byte| *byte == *key as u8)));
    read.verify().expect("the chain verifies");
    let records = read.journal(0..u64::MAX, usize::MAX).expect("the journal is read");
    let said: Vec<u64> = records.iter().map(|record| record.read().expect("a number").expect("it is kept")).collect();
    assert_eq!(said, keys);
}

#[test]
fn a_full_disk_is_an_error_and_it_goes_on_when_there_is_room() {
    let folder = Path::new("/village");
    // Full at once, and full when the next checkpoint wants to grow the tree.
    for room in [0, 100, 5_000, 40_000, 200_000] {
        let disk = FaultyDisk::new();
        let store = Store::open_with(Arc::new(disk.clone()), folder, load::options()).expect("a store opens");
        let mut stored: Vec<u64> = (0..50).collect();
        for key in &stored {
            put(&store, *key, 1000).expect("there is room");
        }
        disk.set_capacity(Some(disk.used() + room));
        let mut refused = 0;
        for key in 50..2000 {
            match put(&store, key, 1000) {
                Ok(()) => stored.push(key),
                Err(Error::Full) => refused += 1,
                Err(error) => panic!("with room for {room}: {error}"),
            }
            if refused >= 20 {
                break;
            }
        }
        assert!(refused >= 20, "with room for {room} the disk was never full");
        expect(&store, &stored);
        disk.set_capacity(None);
        let mut key = 5000;
        // A checkpoint that has failed is tried again some moments later.
        while put(&store, key, 1000).is_err() {
            key += 1;
            assert!(key < 100_000, "it never goes on");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        stored.push(key);
        for key in 200_000..200_100 {
            put(&store, key, 1000).expect("there is room again");
            stored.push(key);
        }
        expect(&store, &stored);
        drop(store);
        let disk = disk.power_cycle(room);
        let store = Store::open_with(Arc::new(disk), folder, load::options()).expect("it opens again");
        expect(&store, &stored);
    }
}

#[test]
fn a_failing_disk_is_an_error_and_it_goes_on_when_it_works() {
    let folder = Path::new("/village");
    for (after, count) in (0..60).flat_map(|after| [(after, 1), (after, 3), (after, 8)]) {
        let disk = FaultyDisk::new();
        let store = Store::open_with(Arc::new(disk.clone()), folder, load::options()).expect("a store opens");
        disk.fail(after, count);
        let mut stored = Vec::new();
        let mut failed = 0;
        for key in 0..60 {
            match put(&store, key, 1500) {
                Ok(()) => stored.push(key),
                Err(Error::Io { .. }) => failed += 1,
                Err(error) => panic!("after {after}, {count} times: {error}"),
            }
        }
        disk.fail(0, 0);
        let mut key = 1000;
        while put(&store, key, 10).is_err() {
            key += 1;
            assert!(key < 100_000, "after {after}, {count} times: it never goes on");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        stored.push(key);
        assert!(failed > 0 || after > 0, "nothing failed");
        expect(&store, &stored);
        store.checkpoint().or_else(|_| store.checkpoint()).expect("the disk works");
        expect(&store, &stored);
        drop(store);
        let store =
            Store::open_with(Arc::new(disk.power_cycle(after)), folder, load::options()).expect("it opens again");
        expect(&store, &stored);
    }
}

#[test]
fn a_change_that_was_refused_does_not_come_back() {
    let folder = Path::new("/village");
    // The write fails, which may have reached the disk all the same; the sync fails; taking it back fails too.
    for (after, count) in [(0, 1), (1, 1), (1, 2), (1, 3)] {
        let disk = FaultyDisk::new();
        let store = Store::open_with(Arc::new(disk.clone()), folder, Options::default()).expect("a store opens");
        put(&store, 1, 1000).expect("the disk works");
        disk.fail(after, count);
        assert!(matches!(put(&store, 2, 1000), Err(Error::Io { .. })));
        disk.fail(0, 0);
        // Whatever comes next, it first takes back what may be there.
        assert!(put(&store, 3, 1).is_ok());
        expect(&store, &[1, 3]);
        drop(store);
        let store = Store::open_with(Arc::new(disk.restart()), folder, Options::default()).expect("it opens again");
        expect(&store, &[1, 3]);
    }
    let disk = FaultyDisk::new();
    let store = Store::open_with(Arc::new(disk.clone()), folder, Options::default()).expect("a store opens");
    put(&store, 1, 1000).expect("the disk works");
    disk.fail(1, 1);
    assert!(matches!(put(&store, 2, 1000), Err(Error::Io { .. })));
    // Where the disk works again, it is taken back at once.
    let store = Store::open_with(Arc::new(disk.restart()), folder, Options::default()).expect("it opens again");
    expect(&store, &[1]);
}

#[test]
fn a_blob_that_does_not_fit_leaves_nothing() {
    let disk = FaultyDisk::new();
    let store = Store::open_with(Arc::new(disk.clone()), Path::new("/village"), Options::default()).expect("it opens");
    let small = store.blobs().put(b"small").expect("there is room");
    disk.set_capacity(Some(disk.used() + 1000));
    assert!(matches!(store.blobs().put(&[7; 5000]), Err(Error::Full)));
    assert_eq!(store.blobs().list().expect("a list"), [small]);
    assert!(!disk.list().iter().any(|(path, _)| path.to_string_lossy().contains(".part")));
    put(&store, 1, 100).expect("half a blob does not keep the disk full");
}

#[test]
fn too_much_at_once_is_refused() {
    let options = Options { waiting: 10_000, ..Options::default() };
    let disk = FaultyDisk::new();
    let store = Store::open_with(Arc::new(disk), Path::new("/village"), options).expect("it opens");
    assert!(matches!(put(&store, 1, 10_000), Err(Error::TooLarge { limit: 10_000, .. })));
    let (entered, inside) = std::sync::mpsc::channel();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    store.submit(Change::new(), move |_| {
        entered.send(()).expect("the test waits");
        let _ = left.recv();
    });
    inside.recv().expect("the writer is held up");
    let commits: Vec<_> = (0..20)
        .map(|key| {
            let mut change = Change::new();
            change.put(&ROWS, key, &vec![0; 900]);
            store.commit(change)
        })
        .collect();
    leave.send(()).expect("the writer waits");
    let outcomes: Vec<_> = commits.into_iter().map(store::Commit::wait).collect();
    assert!(outcomes[..10].iter().all(Result::is_ok), "{outcomes:?}");
    assert!(matches!(outcomes[19], Err(Error::Overloaded { limit: 10_000 })));
    put(&store, 50, 100).expect("it goes on");
}

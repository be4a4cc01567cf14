//! The power fails at any moment, and the disk keeps what it likes of what was not synced.

use crate::load::{self, Progress, Random};
use std::path::Path;
use std::sync::Arc;
use store::fault::FaultyDisk;
use store::{Error, Store};

fn seed() -> u64 {
    let given = std::env::var("STORE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| getrandom::u64().expect("a seed"));
    println!("STORE_SEED={seed}");
    seed
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_fails() {
    let seed = seed();
    let mut random = Random(seed);
    let folder = Path::new("/village");
    let (mut cuts, mut while_opening, mut changes) = (0, 0, 0);
    while cuts < 240 {
        // Some cuts in a row on one disk: what was recovered is what the next recovery begins with.
        let mut disk = FaultyDisk::new();
        let mut found = vec![0; load::AGENTS as usize];
        for _ in 0..6 {
            // Often while the store is being made or opened.
            let operations = if random.below(3) == 0 { 40 } else { 600 };
            disk.cut_power_after(random.below(operations));
            let progress = Progress::after(&found);
            match Store::open_with(Arc::new(disk.clone()), folder, load::options()) {
                Ok(store) => load::write(&store, &progress, &|| false, &|_, _| ()),
                Err(Error::Io { .. }) if disk.is_dead() => while_opening += 1,
                Err(error) => panic!("seed {seed}, cut {cuts}: {error}"),
            }
            // A killed process leaves what was not synced to the next one, whose word for it must count.
            disk = if random.below(3) == 0 { disk.restart() } else { disk.power_cycle(random.below(u64::MAX)) };
            cuts += 1;
            let store = Store::open_with(Arc::new(disk.clone()), folder, load::options());
            let store = store.unwrap_or_else(|error| panic!("seed {seed}, cut {cuts}: {error}"));
            found = load::check(&store);
            load::compare(&found, &progress);
        }
        changes += found.iter().sum::<u64>();
    }
    println!("{cuts} cuts, {while_opening} of them while opening, {changes} changes");
    assert!(while_opening > 10 && changes > 10 * cuts, "the power failed at other moments than meant");
}

#[test]
fn one_durable_commit_is_one_sync() {
    let disk = FaultyDisk::new();
    let options = store::Options::default();
    let store = Store::open_with(Arc::new(disk.clone()), Path::new("/village"), options).expect("a store opens");
    let before = disk.counts();
    for number in 0..10 {
        let mut change = store::Change::new();
        change.journal(number, vec![0; 300]);
        store.commit(change).wait().expect("it is stored");
    }
    let after = disk.counts();
    assert_eq!(after.syncs - before.syncs, 10);
    // One more for the zeros ahead of them all.
    assert_eq!(after.writes - before.writes, 11);
    assert_eq!(after.folder_syncs, before.folder_syncs);
}

#[test]
fn changes_that_wait_share_a_sync() {
    let disk = FaultyDisk::new();
    let options = store::Options::default();
    let store = Store::open_with(Arc::new(disk.clone()), Path::new("/village"), options).expect("a store opens");
    let before = disk.counts().syncs;
    let (entered, inside) = std::sync::mpsc::channel();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let mut first = store::Change::new();
    first.journal(0, vec![0]);
    // The writer is held up in what the first change's end called, while a hundred others come.
    store.submit(first, move |_| {
        entered.send(()).expect("the test waits");
        let _ = left.recv();
    });
    inside.recv().expect("the first is through");
    let commits: Vec<_> = (0..100)
        .map(|number| {
            let mut change = store::Change::new();
            change.journal(number, vec![1]);
            store.commit(change)
        })
        .collect();
    leave.send(()).expect("the writer waits");
    for commit in commits {
        commit.wait().expect("it is stored");
    }
    assert_eq!(disk.counts().syncs - before, 2);
}

use super::*;
use crate::state::Shelf;
use agents::Books;
use runtime::Quota;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Change, Options, Store};

/// An agent's workspace without an agent.
struct Desk {
    state: State,
    storage: Arc<Quota>,
    memory: Arc<Quota>,
    writes: Option<Writes>,
    now: u64,
}

impl Desk {
    fn new(storage: u64, memory: u64, books: Option<&Arc<Books>>) -> Desk {
        let (storage, memory) = (Quota::new(storage), Quota::new(memory));
        let shelf = books.map(|books| Shelf { books: books.clone(), agent: "one".into() });
        let state = State::new(&storage, &memory, shelf).expect("there is room");
        Desk { state, storage, memory, writes: None, now: 7 }
    }

    /// Does something in the turn that is under way, or begins one.
    fn at<T>(&mut self, work: impl FnOnce(&mut Workspace<'_>) -> Answer<T>) -> Answer<T> {
        let writes = self.writes.get_or_insert_with(|| self.state.begin().expect("there is room"));
        work(&mut Workspace { state: &self.state, writes, tape: &mut Tape::Off, now: self.now })
    }

    fn end(&mut self, books: Option<&Arc<Books>>) {
        let Some(mut writes) = self.writes.take() else { return };
        if let Some(books) = books {
            let mut change = Change::new();
            self.state.record(&writes, &mut change);
            let stored = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            stored.block_on(books.store().commit(change)).expect("it is kept");
        }
        self.state.commit(&mut writes);
    }

    /// All rows that there are, with what they take in memory.
    fn rows(&mut self) -> (Vec<String>, u64) {
        let writes = self.writes.get_or_insert_with(|| self.state.begin().expect("there is room"));
        let rows = self.state.scan(writes, Part::Workspace, "", None, |_, _| false).expect("it can be read");
        let bytes = rows.iter().map(|(key, value)| (key.len() + value.bytes.len()) as u64 + 96).sum();
        (rows.into_iter().map(|(key, _)| key).collect(), bytes)
    }
}

fn books(folder: &tempfile::TempDir) -> Arc<Books> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let store = Store::open(folder.path(), Options { checkpoint: 1 << 20, ..Options::default() }).expect("it opens");
    runtime.block_on(Books::open(store)).expect("it opens")
}

fn is_full(answer: Answer<()>) -> bool {
    matches!(answer, Err(Refused::State(state::Refused::Storage)))
}

/// Small, and the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn size(&mut self) -> u64 {
        match self.below(4) {
            0 => self.below(40),
            1 => self.below(4) * content::SIZE,
            2 => self.below(4 * content::SIZE),
            _ => self.below(60 * content::SIZE),
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let (size, first) = (self.size(), self.below(250) as u8);
        (0..size).map(|at| first.wrapping_add((at % 251) as u8)).collect()
    }
}

/// The same, as simple as can be.
#[derive(Clone, Default)]
struct Model {
    files: BTreeMap<String, Vec<u8>>,
    objects: BTreeMap<String, BTreeMap<u64, Vec<u8>>>,
}

impl Model {
    fn cost(&self) -> u64 {
        let files = self.files.iter().map(|(path, content)| path.len() + content.len() + 128);
        let versions =
            |versions: &BTreeMap<u64, Vec<u8>>| versions.values().map(|content| content.len() + 64).sum::<usize>();
        let objects = self.objects.iter().map(|(name, kept)| name.len() + 128 + versions(kept));
        files.chain(objects).sum::<usize>() as u64
    }

    /// Does one thing here and there, and compares.
    fn step(&mut self, desk: &mut Desk, chance: &mut Chance) {
        let mut path = || ["a", "a/b", "a/c", "d"][chance.below(4) as usize];
        let (one, other) = (path(), path());
        let there = self.files.contains_key(one);
        match chance.below(10) {
            0 | 1 => {
                let bytes = chance.bytes();
                desk.at(|w| w.write(one, &bytes)).expect("there is room");
                self.files.insert(one.into(), bytes);
            }
            2 => {
                let bytes = chance.bytes();
                let size = desk.at(|w| w.append(one, &bytes)).expect("there is room");
                let file = self.files.entry(one.into()).or_default();
                file.extend(bytes);
                assert_eq!(size, file.len() as u64);
            }
            3 | 4 => {
                let (bytes, offset) = (chance.bytes(), chance.size());
                assert_eq!(desk.at(|w| w.write_at(one, offset, &bytes)).is_ok(), there);
                if let Some(file) = self.files.get_mut(one).filter(|_| !bytes.is_empty()) {
                    let (from, to) = (offset as usize, offset as usize + bytes.len());
                    file.resize(file.len().max(to), 0);
                    file[from..to].copy_from_slice(&bytes);
                }
            }
            5 => {
                let size = chance.size();
                assert_eq!(desk.at(|w| w.truncate(one, size)).is_ok(), there);
                if let Some(file) = self.files.get_mut(one) {
                    file.resize(size as usize, 0);
                }
            }
            6 => {
                assert_eq!(desk.at(|w| w.rename(one, other)).is_ok(), there);
                if let Some(file) = self.files.remove(one) {
                    self.files.insert(other.into(), file);
                }
            }
            7 => {
                assert_eq!(desk.at(|w| w.remove(one)).expect("taking away passes"), there);
                self.files.remove(one);
            }
            8 => {
                let bytes = chance.bytes();
                let number = desk.at(|w| w.keep(one, &bytes)).expect("there is room");
                let versions = self.objects.entry(one.into()).or_default();
                assert!(versions.keys().next_back().is_none_or(|last| *last < number));
                versions.insert(number, bytes);
            }
            _ => self.take_away(desk, one, chance.below(6)),
        }
    }

    fn take_away(&mut self, desk: &mut Desk, name: &str, leave: u64) {
        if leave == 0 {
            let there = self.objects.remove(name).is_some();
            return assert_eq!(desk.at(|w| w.delete(name)).expect("taking away passes"), there);
        }
        let gone = desk.at(|w| w.prune(name, leave)).expect("taking away passes");
        let Some(versions) = self.objects.get_mut(name) else { return assert_eq!(gone, 0) };
        assert_eq!(gone, (versions.len() as u64).saturating_sub(leave));
        (0..gone).for_each(|_| drop(versions.pop_first()));
    }

    fn compare(&self, desk: &mut Desk, chance: &mut Chance) {
        let files = desk.at(|w| w.files("", None, 99)).expect("it can be read");
        let found: Vec<_> = files.iter().map(|(path, file)| (path.as_str(), file.size as usize)).collect();
        let wanted: Vec<_> = self.files.iter().map(|(path, content)| (path.as_str(), content.len())).collect();
        assert_eq!(found, wanted);
        for (path, content) in &self.files {
            let (offset, length) = (chance.below(content.len() as u64 + 9), chance.below(1 << 20));
            let found = desk.at(|w| w.read(path, offset, length as u32)).expect("it can be read");
            let from = content.len().min(offset as usize);
            assert_eq!(found, content[from..content.len().min(from + length as usize)], "{path} {offset} {length}");
        }
        for (name, versions) in &self.objects {
            let listed = desk.at(|w| w.versions(name, None, 999)).expect("it can be read");
            assert!(listed.iter().map(|(number, _)| number).eq(versions.keys()));
            for (number, content) in versions {
                assert_eq!(
                    desk.at(|w| w.version(name, Some(*number))).expect("it can be read").as_ref(),
                    Some(content)
                );
            }
            let newest = desk.at(|w| w.version(name, None)).expect("it can be read");
            assert_eq!(newest.as_ref(), versions.values().next_back());
        }
    }
}

/// Turn after turn by chance, some of which fail.
fn suite(books: Option<&Arc<Books>>, seed: u64) {
    let (mut chance, mut lasts) = (Chance(seed), Model::default());
    let mut desk = Desk::new(1 << 30, 1 << 30, books);
    for turn in 0..60 {
        let mut model = lasts.clone();
        for _ in 0..=chance.below(6) {
            model.step(&mut desk, &mut chance);
        }
        model.compare(&mut desk, &mut chance);
        if chance.below(3) == 0 {
            desk.writes = None;
        } else {
            desk.end(books);
            lasts = model;
        }
        if chance.below(8) == 0 && books.is_some() {
            desk = Desk::new(1 << 30, 1 << 30, books);
        }
        lasts.compare(&mut desk, &mut chance);
        let (_, bytes) = desk.rows();
        assert_eq!(desk.storage.used(), lasts.cost(), "seed {seed}, turn {turn}");
        assert_eq!(desk.memory.used(), if books.is_some() { 0 } else { bytes }, "seed {seed}, turn {turn}");
    }
    for (path, name) in ["a", "a/b", "a/c", "d"].into_iter().zip(["a", "a/b", "a/c", "d"]) {
        desk.at(|w| Ok((w.remove(path)?, w.delete(name)?))).expect("taking away passes");
    }
    desk.end(books);
    assert_eq!((desk.rows().0, desk.storage.used()), (vec![LAST.to_owned()], 0), "seed {seed}: nothing is left behind");
}

#[test]
fn a_workspace_is_what_was_written_to_it() {
    (1..=8).for_each(|seed| suite(None, seed));
    for seed in 1..=4 {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        suite(Some(&books(&folder)), seed);
    }
}

#[test]
fn every_way_to_grow_ends_at_storage_and_changes_nothing() {
    let most = 40_000;
    let mut desk = Desk::new(most, 1 << 30, None);
    desk.at(|w| w.write("a", &[1; 20_000])).expect("there is room");
    desk.at(|w| w.keep("o", &[1; 10_000])).expect("there is room");
    desk.end(None);
    let (rows, bytes) = desk.rows();
    let mut refused = |what: &str, work: &dyn Fn(&mut Workspace<'_>) -> Answer<()>| {
        assert!(is_full(desk.at(|w| work(w))), "{what}");
        assert_eq!(desk.rows(), (rows.clone(), bytes), "{what}");
    };
    let long = format!("{}/{}", "x".repeat(255), "y".repeat(250));
    refused("overwriting", &|w| w.write("a", &[1; 30_000]));
    refused("another", &|w| w.write("b", &[1; 9_700]));
    refused("appending", &|w| w.append("a", &[1; 9_800]).map(drop));
    refused("behind the end", &|w| w.write_at("a", 1 << 30, &[1]));
    refused("lengthening", &|w| w.truncate("a", 1 << 39));
    refused("a version", &|w| w.keep("o", &[1; 9_700]).map(drop));
    refused("an object", &|w| w.keep("p", &[1; 9_600]).map(drop));
    for number in 0..18 {
        desk.at(|w| w.write(&format!("{number}"), &[])).expect("there is room");
    }
    for number in 0..200 {
        let more = desk.at(|w| w.write(&format!("{long}{number}"), &[]).and_then(|()| w.keep("o", &[])));
        if more.is_err() {
            break;
        }
    }
    desk.end(None);
    assert!((most - 800..=most).contains(&desk.storage.used()), "{}", desk.storage.used());
    assert!(is_full(desk.at(|w| w.rename("a", &long))), "a longer name");
    assert_eq!(desk.at(|w| w.file("a")).expect("it can be read").map(|file| file.size), Some(20_000));
}

#[test]
fn what_a_turn_has_written_is_held_as_memory_until_it_ends() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let books = books(&folder);
    let mut desk = Desk::new(1 << 30, 200_000, Some(&books));
    desk.at(|w| w.append("a", &[1; 150_000])).expect("there is room");
    let refused = desk.at(|w| w.append("a", &[1; 60_000]));
    assert!(matches!(refused, Err(Refused::State(state::Refused::Memory))), "{refused:?}");
    assert_eq!(desk.at(|w| w.file("a")).expect("it can be read").map(|file| file.size), Some(150_000));
    assert!(desk.memory.used() > 150_000);
    desk.at(|w| w.write("a", &[2; 190_000])).expect("what is overwritten is held no more");
    desk.end(Some(&books));
    assert_eq!(desk.memory.used(), 0);
    // A file far larger than the memory is changed, cut and taken away in little of it.
    for _ in 0..60 {
        desk.at(|w| w.append("a", &[3; 100_000])).expect("there is room");
        desk.end(Some(&books));
    }
    desk.at(|w| w.write_at("a", 3_000_000, b"here")).expect("there is room");
    assert!(desk.memory.used() < 32_000, "{}", desk.memory.used());
    desk.end(Some(&books));
    assert_eq!(desk.at(|w| w.read("a", 2_999_999, 6)).expect("it can be read"), b"\x03here\x03");
    desk.at(|w| w.truncate("a", 100_001)).expect("it takes little");
    assert!(desk.memory.used() < 48_000, "{}", desk.memory.used());
    desk.end(Some(&books));
    desk.at(|w| w.truncate("a", 5_000_000)).expect("there is room");
    assert_eq!(desk.at(|w| w.read("a", 100_000, 3)).expect("it can be read"), [2, 0, 0]);
    desk.end(Some(&books));
    desk.at(|w| w.remove("a")).expect("it takes little");
    assert!(desk.memory.used() < 1_000, "{}", desk.memory.used());
    desk.end(Some(&books));
    assert_eq!((desk.rows().0, desk.storage.used()), (vec![LAST.to_owned()], 0));
}

#[test]
fn no_number_of_a_version_is_given_twice() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let books = books(&folder);
    let mut desk = Desk::new(1 << 20, 1 << 20, Some(&books));
    let first = desk.at(|w| w.keep("o", b"1")).expect("there is room");
    desk.end(Some(&books));
    desk.at(|w| w.delete("o")).expect("it is there");
    desk.end(Some(&books));
    let mut desk = Desk::new(1 << 20, 1 << 20, Some(&books));
    let second = desk.at(|w| w.keep("o", b"2")).expect("there is room");
    assert!(second > first);
    assert_eq!(desk.at(|w| w.version("o", Some(first))).expect("it can be read"), None);
    desk.now = 9;
    let third = desk.at(|w| w.keep("o", b"3")).expect("there is room");
    let listed = desk.at(|w| w.versions("o", Some(second), 9)).expect("it can be read");
    assert_eq!(listed.iter().map(|(number, version)| (*number, version.kept)).collect::<Vec<_>>(), [(third, 9)]);
    assert!(matches!(desk.at(|w| w.prune("o", 0)), Err(Refused::Invalid(_))));
}

#[test]
fn another_version_that_rehearses_has_a_copy() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let books = books(&folder);
    for books in [None, Some(&books)] {
        let mut desk = Desk::new(1 << 20, 1 << 20, books);
        desk.at(|w| w.write("a", &[5; 40_000])).expect("there is room");
        let number = desk.at(|w| w.keep("o", b"1")).expect("there is room");
        desk.end(books);
        let mut other = Desk::new(1 << 20, 1 << 20, None);
        other.state.copy(&desk.state).expect("there is room");
        assert_eq!((other.storage.used(), other.memory.used()), (desk.storage.used(), other.rows().1));
        assert_eq!(other.at(|w| w.read("a", 39_999, 9)).expect("it can be read"), [5]);
        assert_eq!(other.at(|w| w.version("o", Some(number))).expect("it can be read"), Some(b"1".to_vec()));
        other.at(|w| w.remove("a")).expect("it is there");
        other.end(None);
        assert_eq!(other.memory.used(), other.rows().1);
        assert!(desk.at(|w| w.file("a")).expect("it can be read").is_some(), "its own is as it was");
        let small = Desk::new(1 << 20, 30_000, None);
        assert!(matches!(small.state.copy(&desk.state), Err(state::Refused::Memory)));
    }
}

#[test]
fn a_turn_that_is_kept_writes_no_more_than_a_store_takes() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let books = books(&folder);
    let mut desk = Desk::new(1 << 30, 1 << 30, Some(&books));
    desk.at(|w| w.append("a", &vec![1; 16 << 20])).expect("there is room");
    let storage = desk.storage.used();
    let refused = desk.at(|w| w.append("a", &vec![2; 16 << 20]));
    assert!(matches!(refused, Err(Refused::State(state::Refused::Memory))), "{refused:?}");
    assert_eq!(desk.storage.used(), storage);
    desk.at(|w| w.append("a", &vec![2; 15 << 20])).expect("there is room");
    desk.end(Some(&books));
    desk.at(|w| w.append("a", &vec![2; 16 << 20])).expect("it is another turn");
    let long = desk.at(|w| w.append("a", &vec![2; (16 << 20) + 1]));
    assert!(matches!(long, Err(Refused::Invalid(_))), "{long:?}");
    let mut here = Desk::new(1 << 30, 1 << 30, None);
    for _ in 0..3 {
        here.at(|w| w.append("a", &vec![1; 16 << 20])).expect("nothing has to be stored");
    }
}

/// The rows are in people's stores: whatever changes here must read these as well.
#[test]
fn the_rows_are_these_bytes() {
    let mut desk = Desk::new(1 << 20, 1 << 20, None);
    desk.now = 300;
    desk.at(|w| w.write("a/b", b"xyz")).expect("there is room");
    desk.at(|w| w.keep("o", b"old")).expect("there is room");
    desk.at(|w| w.keep("o", &[7; 200])).expect("there is room");
    desk.at(|w| w.write_at("a/b", content::SIZE, b"!")).expect("there is room");
    desk.end(None);
    let writes = desk.state.begin().expect("there is room");
    let rows = desk.state.scan(&writes, Part::Workspace, "", None, |_, _| false).expect("it can be read");
    let rows: Vec<(&str, &[u8])> = rows.iter().map(|(key, value)| (key.as_str(), &value.bytes[..])).collect();
    let wanted: [(&str, &[u8]); 9] = [
        ("c000000000000000100000000", b"xyz"),
        ("c000000000000000100000001", b"!"),
        ("c0000000000000002000000000000000200000000", b"old"),
        ("c0000000000000002000000000000000300000000", &[7; 200]),
        // Number, size, time.
        ("fa/b", &[1, 0x81, 0x78, 0xac, 2]),
        ("n", &[3]),
        // Number, newest version, versions, bytes.
        ("oo", &[2, 3, 2, 0xcb, 1]),
        // Size, time.
        ("v00000000000000020000000000000002", &[3, 0xac, 2]),
        ("v00000000000000020000000000000003", &[0xc8, 1, 0xac, 2]),
    ];
    assert_eq!(rows, wanted);
}

#[test]
fn what_is_cut_off_is_zeros_when_the_file_grows_again_in_the_same_turn() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let books = books(&folder);
    for books in [None, Some(&books)] {
        let mut desk = Desk::new(1 << 30, 1 << 30, books);
        desk.at(|w| w.write("a", &[1; 40 * content::SIZE as usize])).expect("there is room");
        desk.end(books);
        desk.at(|w| w.truncate("a", 10)).expect("it is there");
        desk.at(|w| w.truncate("a", 40 * content::SIZE)).expect("there is room");
        desk.at(|w| w.write_at("a", 30 * content::SIZE + 5, &[2])).expect("there is room");
        let mut looks = |books| {
            assert_eq!(desk.at(|w| w.read("a", 8, 4)).expect("it can be read"), [1, 1, 0, 0]);
            assert_eq!(desk.at(|w| w.read("a", 20 * content::SIZE, 3)).expect("it can be read"), [0; 3]);
            let piece = desk.at(|w| w.read("a", 30 * content::SIZE + 3, 5)).expect("it can be read");
            assert_eq!(piece, [0, 0, 2, 0, 0]);
            desk.end(books);
        };
        looks(books);
        looks(books);
    }
}

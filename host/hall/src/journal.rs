//! Keeping the journal short: what is older than the village is to remember goes, into archives if it is to be kept at all.

use crate::error::Error;
use crate::registry::apart;
use crate::ring::millis;
use crate::village::Village;
use crate::weights::Weights;
use agents::Event;
use base::Size;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::{Anchor, Disk, Files as _, Read, Store};

/// How much of the journal is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keep {
    /// Entries that are older go; none do if it isn't said.
    pub span: Option<Duration>,
    /// With more entries than this the oldest go.
    pub most: Option<u64>,
    /// With more bytes of entries than this the oldest go, and a tenth more, so that they do not go one by one.
    pub size: Option<Size>,
    /// Whether what goes is written to archives first, in the folder `archive` of the data folder.
    pub archive: bool,
}

impl Keep {
    /// Whether anything is ever to go.
    pub(crate) fn cuts(&self) -> bool {
        self.span.is_some() || self.most.is_some() || self.size.is_some()
    }
}

/// What was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The last entry that is gone.
    pub last: u64,
    /// How many went now.
    pub entries: u64,
    /// The archive that they are in.
    pub archive: Option<String>,
}

/// How often it is looked whether something is to go.
const EVERY: Duration = Duration::from_secs(600);

/// The same where bytes are counted: they come faster than days go by.
const SOON: Duration = Duration::from_secs(30);

/// Fewer entries than this are not worth a cut of their own.
const FEW: u64 = 100;

/// Where archives are, in the data folder.
const ARCHIVES: &str = "archive";

impl Village {
    /// Cuts the journal as it is to be kept, now and every so often, for as long as the village is there.
    pub(crate) fn keep_short(&self, keep: Keep) {
        if !keep.cuts() {
            return;
        }
        let village = self.weakly();
        let every = if keep.size.is_some() { SOON } else { EVERY };
        tokio::spawn(async move {
            let mut counted = Counted::default();
            loop {
                let Some(village) = village() else { return };
                if village.open().is_err() {
                    return;
                }
                // What can't be cut now is cut later.
                counted = village.cut_as(&keep, counted).await.map(|(_, counted)| counted).unwrap_or_default();
                drop(village);
                tokio::time::sleep(every).await;
            }
        });
    }

    /// Cuts the journal as it is to be kept. None if nothing is to go.
    pub async fn cut(&self, keep: &Keep) -> Result<Option<Cut>, Error> {
        self.cut_as(keep, Counted::default()).await.map(|(cut, _)| cut)
    }

    /// The same; what was counted of the journal need not be counted anew.
    async fn cut_as(&self, keep: &Keep, mut counted: Counted) -> Result<(Option<Cut>, Counted), Error> {
        let (store, keep) = (self.books().store().clone(), keep.clone());
        let folder = self.data().join(ARCHIVES);
        // What is erased leaves little behind.
        let erasures = self.registry().erasures();
        if counted.erasures != erasures {
            counted = Counted { erasures, weights: Weights::default() };
        }
        let (cut, counted) = apart(move || Ok((cut(&store, &keep, &folder, &mut counted.weights)?, counted))).await?;
        if let Some(cut) = &cut {
            let details = json!({ "last": cut.last, "entries": cut.entries, "archive": cut.archive });
            let (what, agent, by) = ("journal-cut".into(), String::new(), "village".into());
            self.books().note(&Event::Noted { what, agent, by, details: details.to_string() }).await?;
        }
        Ok((cut, counted))
    }

    /// Verifies the archives of what was cut off, and that the last one ends where the journal begins. Answers how many
    /// there are, and the first entry that they have.
    pub(crate) async fn archives(&self) -> Result<(u64, Option<u64>), Error> {
        let (store, folder) = (self.books().store().clone(), self.data().join(ARCHIVES));
        apart(move || verify(&store, &folder)).await
    }
}

/// The bytes of the journal's entries, after so many erasures.
#[derive(Default)]
struct Counted {
    erasures: u64,
    weights: Weights,
}

fn cut(store: &Store, keep: &Keep, folder: &Path, weights: &mut Weights) -> Result<Option<Cut>, store::Error> {
    let read = store.read();
    let (from, head) = (read.anchor()?.seq, read.head()?.seq);
    let mut before = from + 1;
    if let Some(most) = keep.most {
        before = before.max((head + 1).saturating_sub(most));
    }
    if let Some(span) = keep.span {
        let old = millis().saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        before = before.max(first_since(&read, old, from, head)?);
    }
    let mut few = before - 1 - from < FEW;
    if let Some(size) = keep.size.map(Size::get) {
        weights.update(&read, from, head)?;
        if weights.sum() > size {
            before = before.max(weights.first_of(&read, size / 10 * 9)?);
            few = false;
        }
    }
    drop(read);
    let entries = before - 1 - from;
    if few || entries == 0 {
        return Ok(None);
    }
    let archive = keep.archive.then(|| folder.join(format!("{:020}-{:020}.journal", from + 1, before - 1)));
    if archive.is_some() {
        crate::folder::private(folder)
            .map_err(|source| store::Error::Io { file: folder.into(), source: Arc::new(source) })?;
    }
    let Anchor { seq: last, .. } = store.cut(before, archive.as_deref())?;
    let archive = archive.map(|path| path.display().to_string());
    Ok(Some(Cut { last, entries, archive }))
}

/// The first entry that is not older, as far as their times grow; one after the last if all are.
fn first_since(read: &Read, time: u64, from: u64, head: u64) -> Result<u64, store::Error> {
    let (mut low, mut high) = (from + 1, head + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match read.journal(middle..middle + 1, 1)?.first() {
            Some(record) if record.time < time => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

fn verify(store: &Store, folder: &Path) -> Result<(u64, Option<u64>), store::Error> {
    let names = match Disk.names(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(store::Error::Io { file: folder.into(), source: Arc::new(error) }),
    };
    let anchor = store.read().anchor()?;
    // By their first entries: of two with the same one, the shorter is left of a cut that was not finished, as is one that
    // has what the journal has.
    let mut archives: BTreeMap<u64, (u64, PathBuf)> = BTreeMap::new();
    for name in names {
        let Some((first, last)) = span(&name).filter(|(_, last)| *last <= anchor.seq) else { continue };
        let longest = archives.entry(first).or_insert_with(|| (last, folder.join(&name)));
        if last > longest.0 {
            *longest = (last, folder.join(&name));
        }
    }
    let mut end: Option<Anchor> = None;
    for (_, path) in archives.values() {
        let verified = store::read_archive(&Disk, path, &mut |_| {})?;
        if end.is_some_and(|end| end != verified.from) {
            let what = "it does not begin where the archive before it ends".into();
            return Err(store::Error::Damaged { file: path.clone(), what });
        }
        end = Some(verified.to);
    }
    match (end, archives.last_key_value()) {
        (Some(end), Some((_, (_, path)))) if end != anchor => {
            let what = "it does not end where the journal begins".into();
            Err(store::Error::Damaged { file: path.clone(), what })
        }
        _ => Ok((archives.len() as u64, archives.keys().next().copied())),
    }
}

/// The first and the last entry of the archive of that name.
fn span(name: &str) -> Option<(u64, u64)> {
    let (first, last) = name.strip_suffix(".journal")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Change, Options};

    fn journal(folder: &Path, times: impl IntoIterator<Item = u64>) -> Store {
        let store = Store::open(folder, Options::default()).expect("a store opens");
        for time in times {
            let mut change = Change::new();
            change.journal(time, vec![1]);
            drop(store.commit(change));
        }
        store.checkpoint().expect("all is there");
        store
    }

    #[test]
    fn with_too_many_bytes_the_oldest_go_and_a_tenth_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, archives) = (journal(&folder.path().join("store"), 0..50), folder.path().join("archive"));
        let mut weights = Weights::default();
        let mut cut = |keep: &Keep| cut(&store, keep, &archives, &mut weights).expect("it is looked at");
        let all = store.read().weigh(1..51).expect("it is counted");
        let keep = |size: u64| Keep { size: Some(Size::bytes(size)), archive: true, ..Keep::default() };
        assert_eq!(cut(&keep(all)), None);
        // Few as they are: they may be large.
        let gone = cut(&keep(all - 1)).expect("it is too much");
        let left = store.read().weigh(0..u64::MAX).expect("it is counted");
        assert!(left <= (all - 1) / 10 * 9 && left + 2 * all / 50 > (all - 1) / 10 * 9, "{left} of {all}");
        assert_eq!((gone.last, gone.entries, cut(&keep(all - 1))), (gone.entries, gone.last, None));
        let rest = cut(&keep(1)).expect("all of it is too much");
        assert_eq!((rest.last, rest.entries), (50, 50 - gone.entries));
        assert_eq!(verify(&store, &archives).expect("they fit"), (2, Some(1)));
        store.close();
    }

    #[test]
    fn what_is_old_or_too_much_is_cut_off_and_archives_fit_together() {
        let folder = tempfile::tempdir().expect("a folder");
        let (now, archives) = (millis(), folder.path().join("archive"));
        let old = (0..300).map(|n| 1_000 + n);
        let store = journal(&folder.path().join("store"), old.chain((0..300).map(|n| now + n)));
        let keep = |span: Option<u64>, most| Keep {
            span: span.map(Duration::from_secs),
            most,
            archive: true,
            ..Keep::default()
        };
        let cut = |keep: &Keep| cut(&store, keep, &archives, &mut Weights::default());
        assert_eq!(cut(&keep(None, Some(600))).expect("it is looked at"), None);
        let first = cut(&keep(Some(3_600), None)).expect("it is cut").expect("it is old");
        assert_eq!((first.last, first.entries), (300, 300));
        assert_eq!(cut(&keep(Some(3_600), None)).expect("it is looked at"), None, "nothing more is");
        let second = cut(&keep(None, Some(150))).expect("it is cut").expect("it is much");
        assert_eq!((second.last, second.entries), (450, 150));
        assert_eq!(verify(&store, &archives).expect("they fit"), (2, Some(1)));
        store.read().verify().expect("and the rest is whole");

        // What is left of a cut that was not finished is passed over; what was changed is not.
        let archive = PathBuf::from(second.archive.expect("there is one"));
        let mut bytes = std::fs::read(&archive).expect("it is read");
        std::fs::write(archives.join(format!("{:020}-{:020}.journal", 301, 320)), &bytes).expect("it is written");
        std::fs::write(archives.join(format!("{:020}-{:020}.journal", 451, 500)), b"half").expect("it is written");
        assert_eq!(verify(&store, &archives).expect("they fit"), (2, Some(1)));
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&archive, bytes).expect("it is written");
        verify(&store, &archives).expect_err("it was changed");
        store.close();
    }
}

//! What a peer knows of its village, kept in one file: its own pass, the members, the invitations it gave, whom it blocks.

use crate::identity;
use crate::invitation::Invitation;
use crate::key::Key;
use crate::pass::Pass;
use crate::votes::Matter;
use crate::{Error, Why};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FILE: &str = "village";
const MAGIC: &[u8; 8] = b"vlg-mesh";
const VERSION: u8 = 1;
/// The most addresses that are kept of one member, and the most bytes of one.
const ADDRESSES: usize = 8;
const ADDRESS_LIMIT: usize = 256;
/// The most invitations that may be open at once.
const INVITATIONS: usize = 1000;

/// A member of the village, as far as it is known here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its pass.
    pub pass: Pass,
    /// Where it may be reached.
    pub addresses: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Roster {
    file: Arc<Place>,
    /// How often it was written down, or given to be.
    turn: u64,
    kept: Kept,
    changed: bool,
    most: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    pass: Pass,
    members: BTreeMap<Key, Member>,
    invitations: BTreeMap<[u8; 16], Issued>,
    blocked: BTreeSet<Key>,
    /// How this peer has voted, until nobody asks any more.
    cast: BTreeMap<Matter, Cast>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Cast {
    yes: bool,
    deadline: u64,
}

/// An invitation that was given.
#[derive(Debug, Serialize, Deserialize)]
struct Issued {
    expires: u64,
    uses: u32,
    /// Those who have used it: they may ask again if the answer got lost.
    taken: BTreeSet<Key>,
}

impl Roster {
    /// Reads what is known, or founds a village of one.
    pub(crate) fn open(folder: &Path, own: Key, most: usize) -> Result<Roster, Error> {
        let file = folder.join(FILE);
        let kept = match fs::read(&file) {
            Ok(bytes) => read(&file, &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::found(own),
            Err(error) => return Err(Error::io(&file, error)),
        };
        if kept.pass.holder() != own {
            return Err(Error::Damaged { file, what: "it belongs to another identity" });
        }
        let file = Arc::new(Place { path: file, last: Mutex::new(0) });
        let mut roster = Roster { file, turn: 0, kept, changed: true, most };
        roster.keep()?;
        Ok(roster)
    }

    pub(crate) fn pass(&self) -> &Pass {
        &self.kept.pass
    }

    pub(crate) fn own(&self) -> Key {
        self.kept.pass.holder()
    }

    pub(crate) fn village(&self) -> Key {
        self.kept.pass.village()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&Key, &Member)> {
        self.kept.members.iter()
    }

    pub(crate) fn member(&self, key: &Key) -> Option<&Member> {
        self.kept.members.get(key)
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.kept.members.contains_key(key)
    }

    pub(crate) fn blocked(&self) -> impl Iterator<Item = &Key> {
        self.kept.blocked.iter()
    }

    pub(crate) fn is_blocked(&self, key: &Key) -> bool {
        self.kept.blocked.contains(key)
    }

    /// Takes in whoever has a good pass. Says whether it was not known before.
    pub(crate) fn admit(&mut self, pass: &Pass) -> Result<bool, Why> {
        let holder = pass.holder();
        if self.is_blocked(&holder) {
            return Err(Why::Blocked);
        }
        if holder == self.own() || self.has(&holder) {
            return Ok(false);
        }
        if pass.village() != self.village() {
            return Err(Why::Stranger);
        }
        if !pass.is_of(&self.village()) {
            return Err(Why::Forged);
        }
        if self.kept.members.len() >= self.most {
            return Err(Why::Full);
        }
        self.kept.members.insert(holder, Member { pass: pass.clone(), addresses: Vec::new() });
        self.changed = true;
        Ok(true)
    }

    /// A member may be reached at these addresses. Those named last come first; the oldest are forgotten.
    pub(crate) fn locate<'a>(&mut self, key: &Key, addresses: impl IntoIterator<Item = &'a Multiaddr>) {
        let Some(member) = self.kept.members.get_mut(key) else { return };
        let before = member.addresses.clone();
        let mut new: Vec<String> = addresses.into_iter().map(Multiaddr::to_string).collect();
        new.retain(|text| text.len() <= ADDRESS_LIMIT);
        new.truncate(ADDRESSES);
        // What is known already keeps its place: otherwise two sources would swap them for ever.
        if new.iter().all(|text| before.contains(text)) {
            return;
        }
        for old in before {
            if !new.contains(&old) && new.len() < ADDRESSES {
                new.push(old);
            }
        }
        member.addresses = new;
        self.changed = true;
    }

    pub(crate) fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        let member = Key::of(peer).and_then(|key| self.member(&key));
        member.map_or_else(Vec::new, |member| member.addresses.iter().filter_map(|text| text.parse().ok()).collect())
    }

    /// Makes an invitation, and keeps it before it is given.
    pub(crate) fn invite(
        &mut self,
        keys: &Keypair,
        uses: u32,
        expires: u64,
        addresses: &[Multiaddr],
        now: u64,
    ) -> Result<Invitation, Error> {
        if !self.pass().can_invite() {
            return Err(Error::NoRoom { what: "the chain of invitations", limit: crate::pass::DEPTH });
        }
        self.kept.invitations.retain(|_, issued| issued.expires > now);
        if self.kept.invitations.len() >= INVITATIONS {
            return Err(Error::NoRoom { what: "the list of open invitations", limit: INVITATIONS });
        }
        let made = Invitation::new(keys, self.village(), expires, addresses);
        self.kept.invitations.insert(made.id(), Issued { expires, uses, taken: BTreeSet::new() });
        self.changed = true;
        self.keep()?;
        Ok(made)
    }

    /// Takes an invitation back.
    pub(crate) fn revoke(&mut self, id: &[u8; 16]) -> Result<(), Error> {
        self.kept.invitations.remove(id).ok_or(Error::NoInvitation)?;
        self.changed = true;
        self.keep()
    }

    /// Lets in the one who shows an invitation of this peer: its pass, kept before it is given.
    pub(crate) fn redeem(&mut self, keys: &Keypair, shown: &Invitation, joiner: Key, now: u64) -> Result<Pass, Why> {
        if self.is_blocked(&joiner) {
            return Err(Why::Blocked);
        }
        if !shown.is_signed() {
            return Err(Why::Forged);
        }
        if shown.inviter() != self.own() || shown.village() != self.village() {
            return Err(Why::Invitation);
        }
        let issued = self.kept.invitations.get_mut(&shown.id()).ok_or(Why::Invitation)?;
        if issued.expires <= now {
            return Err(Why::Invitation);
        }
        let again = issued.taken.contains(&joiner);
        if !again && issued.taken.len() >= issued.uses as usize {
            return Err(Why::Spent);
        }
        if !self.kept.members.contains_key(&joiner) && self.kept.members.len() >= self.most {
            return Err(Why::Full);
        }
        issued.taken.insert(joiner);
        self.changed = true;
        // Not given if it cannot be kept: otherwise it could be used once more after a restart.
        self.keep().map_err(|_| Why::Full)?;
        Ok(self.kept.pass.extend(keys, joiner, shown.id(), now))
    }

    /// Becomes a member of another's village.
    pub(crate) fn join(&mut self, pass: Pass) -> Result<(), Error> {
        self.kept.pass = pass;
        self.kept.members.clear();
        self.kept.invitations.clear();
        self.changed = true;
        self.keep()
    }

    /// Writes down how this peer votes. It does so once.
    pub(crate) fn cast(&mut self, matter: Matter, yes: bool, deadline: u64, now: u64) -> Result<(), Error> {
        match self.has_cast(&matter) {
            Some(before) if before == yes => return Ok(()),
            Some(before) => return Err(Error::HasVoted { yes: before }),
            None => {}
        }
        self.kept.cast.retain(|_, cast| cast.deadline > now);
        self.kept.cast.insert(matter, Cast { yes, deadline });
        self.changed = true;
        self.keep()
    }

    pub(crate) fn has_cast(&self, matter: &Matter) -> Option<bool> {
        self.kept.cast.get(matter).map(|cast| cast.yes)
    }

    pub(crate) fn block(&mut self, key: Key) -> Result<(), Error> {
        self.kept.blocked.insert(key);
        self.kept.members.remove(&key);
        self.changed = true;
        self.keep()
    }

    pub(crate) fn unblock(&mut self, key: &Key) -> Result<(), Error> {
        self.kept.blocked.remove(key);
        self.changed = true;
        self.keep()
    }

    /// Writes it down, if there is anything new.
    pub(crate) fn keep(&mut self) -> Result<(), Error> {
        let Some(write) = self.keep_later() else { return Ok(()) };
        let kept = write();
        self.changed |= kept.is_err();
        kept
    }

    /// What has to be done, by a thread that may wait for the disk, to have it written down; nothing if there is nothing new.
    pub(crate) fn keep_later(&mut self) -> Option<impl FnOnce() -> Result<(), Error> + Send + use<>> {
        if !self.changed {
            return None;
        }
        self.changed = false;
        self.turn += 1;
        let (file, turn, bytes) = (self.file.clone(), self.turn, write(&self.kept));
        Some(move || file.write(turn, &bytes))
    }

    /// It was not written down after all.
    pub(crate) fn not_kept(&mut self) {
        self.changed = true;
    }
}

/// The file, and the turn of what is in it: what comes late never overwrites what is newer.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    last: Mutex<u64>,
}

impl Place {
    fn write(&self, turn: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut last = self.last.lock();
        if turn > *last {
            identity::replace(&self.path, bytes)?;
            *last = turn;
        }
        Ok(())
    }
}

impl Kept {
    fn found(own: Key) -> Kept {
        Kept {
            pass: Pass::found(own),
            members: BTreeMap::new(),
            invitations: BTreeMap::new(),
            blocked: BTreeSet::new(),
            cast: BTreeMap::new(),
        }
    }
}

/// Eight bytes that say what it is, the version, the content, and the hash of all that.
fn write(kept: &Kept) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    let mut bytes = postcard::to_extend(kept, bytes).expect("it has nothing that cannot be written");
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    bytes
}

fn read(file: &Path, bytes: &[u8]) -> Result<Kept, Error> {
    let damaged = |what| Error::Damaged { file: file.into(), what };
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it is another kind of file"))?;
    match rest.first() {
        Some(&VERSION) => {}
        Some(&found) => return Err(Error::Newer { file: file.into(), found, known: VERSION }),
        None => return Err(damaged("it was cut")),
    }
    let content = bytes.len().checked_sub(32).filter(|&end| end > MAGIC.len()).ok_or_else(|| damaged("it was cut"))?;
    if blake3::hash(&bytes[..content]).as_bytes() != &bytes[content..] {
        return Err(damaged("its bytes are not those that were written"));
    }
    let kept: Kept =
        postcard::from_bytes(&bytes[MAGIC.len() + 1..content]).map_err(|_| damaged("it cannot be read"))?;
    let village = kept.pass.village();
    let good = kept.pass.is_of(&village) && kept.members.iter().all(|(key, member)| member.pass.holder() == *key);
    if !good {
        return Err(damaged("a pass in it is wrong"));
    }
    Ok(kept)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    fn keys(seed: u8) -> (Keypair, Key) {
        let keys = Keypair::ed25519_from_bytes([seed; 32]).unwrap();
        let key = Key::of_pair(&keys).unwrap();
        (keys, key)
    }

    fn open(folder: &Path, most: usize) -> Roster {
        Roster::open(folder, keys(1).1, most).unwrap()
    }

    #[test]
    fn an_invitation_lets_in_as_often_as_it_says_even_across_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (own, (_, a), (_, b), (_, c)) = (keys(1).0, keys(2), keys(3), keys(4));
        let mut roster = open(folder.path(), 10);
        let made = roster.invite(&own, 2, 1000, &[], 0).unwrap();
        let pass = roster.redeem(&own, &made, a, 10).unwrap();
        assert!(pass.is_of(&roster.village()) && pass.holder() == a);
        let mut roster = open(folder.path(), 10);
        assert!(roster.redeem(&own, &made, a, 11).is_ok(), "whoever lost the answer may ask again");
        assert!(roster.redeem(&own, &made, b, 12).is_ok());
        assert_eq!(roster.redeem(&own, &made, c, 13), Err(Why::Spent));
        assert_eq!(roster.redeem(&own, &made, a, 1000), Err(Why::Invitation), "it has expired");
    }

    #[test]
    fn an_invitation_of_another_a_forged_one_and_a_revoked_one_let_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let ((own, village), (stranger, _), (_, joiner)) = (keys(1), keys(2), keys(3));
        let mut roster = open(folder.path(), 10);
        let others = Invitation::new(&stranger, village, 1000, &[]);
        assert_eq!(roster.redeem(&own, &others, joiner, 0), Err(Why::Invitation));
        let unknown = Invitation::new(&own, village, 1000, &[]);
        assert_eq!(roster.redeem(&own, &unknown, joiner, 0), Err(Why::Invitation));
        let made = roster.invite(&own, 1, 1000, &[], 0).unwrap();
        roster.revoke(&made.id()).unwrap();
        assert_eq!(roster.redeem(&own, &made, joiner, 0), Err(Why::Invitation));
        assert!(matches!(roster.revoke(&made.id()), Err(Error::NoInvitation)));
    }

    #[test]
    fn members_are_admitted_by_their_pass_only_and_no_more_than_fit() {
        let folder = tempfile::tempdir().unwrap();
        let ((own, village), (stranger, stranger_key)) = (keys(1), keys(2));
        let mut roster = open(folder.path(), 2);
        let pass = |seed: u8| Pass::found(village).extend(&own, keys(seed).1, [0; 16], 0);
        assert_eq!(roster.admit(&pass(3)), Ok(true));
        assert_eq!(roster.admit(&pass(3)), Ok(false));
        assert_eq!(roster.admit(&Pass::found(stranger_key)), Err(Why::Stranger));
        let forged = Pass::found(village).extend(&stranger, keys(4).1, [0; 16], 0);
        assert_eq!(roster.admit(&forged), Err(Why::Forged));
        roster.block(keys(5).1).unwrap();
        assert_eq!(roster.admit(&pass(5)), Err(Why::Blocked));
        assert_eq!(roster.admit(&pass(6)), Ok(true));
        assert_eq!(roster.admit(&pass(7)), Err(Why::Full));
        roster.keep().unwrap();
        let again = open(folder.path(), 2);
        assert!(again.has(&keys(3).1) && again.has(&keys(6).1) && again.is_blocked(&keys(5).1));
    }

    #[test]
    fn a_damaged_file_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path(), 2));
        let path = folder.path().join(FILE);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert!(read(&path, &bad).is_err(), "byte {at}");
        }
        let mut later = good.clone();
        later[8] = 2;
        assert!(matches!(read(&path, &later), Err(Error::Newer { found: 2, .. })));
        assert!(matches!(read(&path, &good[..20]), Err(Error::Damaged { .. })));
        assert!(matches!(Roster::open(folder.path(), keys(8).1, 2), Err(Error::Damaged { .. })));
    }

    #[test]
    fn a_file_of_version_1_still_reads() {
        let kept = Kept {
            invitations: BTreeMap::from([(
                [5; 16],
                Issued { expires: 7, uses: 2, taken: BTreeSet::from([keys(2).1]) },
            )]),
            blocked: BTreeSet::from([keys(3).1]),
            cast: BTreeMap::from([([4; 32], Cast { yes: true, deadline: 8 })]),
            members: BTreeMap::from([(
                keys(2).1,
                Member {
                    pass: Pass::found(keys(1).1).extend(&keys(1).0, keys(2).1, [5; 16], 6),
                    addresses: vec!["/ip4/192.0.2.1/tcp/4000".into()],
                },
            )]),
            ..Kept::found(keys(1).1)
        };
        let hex: String = write(&kept).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("../tests/golden/roster-1.hex").trim());
        assert_eq!(write(&read(Path::new("x"), &write(&kept)).unwrap()), write(&kept));
    }
}

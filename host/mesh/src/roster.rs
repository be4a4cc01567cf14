//! What a peer knows of its village, kept in one file: its own pass, the members, the invitations it gave, who has left, whom it
//! blocks.

mod kept;

use crate::invitation::Invitation;
use crate::key::Key;
use crate::leave::Leave;
use crate::pass::Pass;
use crate::votes::Matter;
use crate::{Error, Why};
use kept::{Cast, FILE, Issued, Kept, Place, read, write};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

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
        let file = Arc::new(Place::new(file));
        let mut roster = Roster { file, turn: 0, kept, changed: true, most };
        if roster.kept.left.contains_key(&own) {
            // Some of the others know already that it has left.
            roster.join(Pass::found(own))?;
        }
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

    /// Takes in whoever has a good pass. Says whether it was not known before. Of two passes of one the later counts.
    pub(crate) fn admit(&mut self, pass: &Pass) -> Result<bool, Why> {
        let holder = pass.holder();
        if self.is_blocked(&holder) {
            return Err(Why::Blocked);
        }
        let known = self.kept.members.get(&holder).map(|member| member.pass.at());
        if holder == self.own() || known.is_some_and(|at| at >= pass.at()) {
            return Ok(false);
        }
        if self.kept.left.get(&holder).is_some_and(|leave| leave.until() >= pass.at()) {
            return Err(Why::Left);
        }
        if pass.village() != self.village() {
            return Err(Why::Stranger);
        }
        if !pass.is_of(&self.village()) {
            return Err(Why::Forged);
        }
        if known.is_none() && self.kept.members.len() >= self.most {
            return Err(Why::Full);
        }
        let new = || Member { pass: pass.clone(), addresses: Vec::new() };
        self.kept.members.entry(holder).or_insert_with(new).pass = pass.clone();
        self.changed = true;
        Ok(known.is_none())
    }

    /// Those that have left, as they have said it.
    pub(crate) fn left(&self) -> impl Iterator<Item = &Leave> {
        self.kept.left.values()
    }

    /// This peer is about to leave: from here on there is no way back but an invitation.
    pub(crate) fn say_leave(&mut self, leave: Leave) -> Result<(), Error> {
        self.kept.left.insert(self.own(), leave);
        self.changed = true;
        self.keep()
    }

    /// Somebody has left: it is no member any more, unless it has come back since. Whether that is news.
    pub(crate) fn part(&mut self, leave: &Leave) -> Result<bool, Why> {
        let (holder, until) = (leave.holder(), leave.until());
        if holder == self.own() || self.kept.left.get(&holder).is_some_and(|known| known.until() >= until) {
            return Ok(false);
        }
        if !leave.is_of(&self.village()) {
            return Err(Why::Forged);
        }
        let gone = self.kept.members.get(&holder).is_some_and(|member| member.pass.at() <= until);
        if gone {
            self.kept.members.remove(&holder);
        }
        self.kept.left.insert(holder, leave.clone());
        if self.kept.left.len() > self.most {
            let oldest = self.kept.left.iter().min_by_key(|(_, leave)| leave.until()).map(|(key, _)| *key);
            oldest.map(|key| self.kept.left.remove(&key));
        }
        self.changed = true;
        Ok(gone || self.kept.left.contains_key(&holder))
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
        // Later than any that it had: one that it has given up is good no more.
        let given_up = self.kept.left.get(&joiner).map(Leave::until);
        let before = given_up.max(self.member(&joiner).map(|member| member.pass.at()));
        let at = before.map_or(now, |before| now.max(before.saturating_add(1)));
        Ok(self.kept.pass.extend(keys, joiner, shown.id(), at))
    }

    /// Becomes a member of another's village.
    pub(crate) fn join(&mut self, pass: Pass) -> Result<(), Error> {
        self.kept.pass = pass;
        self.kept.members.clear();
        self.kept.invitations.clear();
        self.kept.left.clear();
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

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
        later[8] = 3;
        assert!(matches!(read(&path, &later), Err(Error::Newer { found: 3, .. })));
        assert!(matches!(read(&path, &good[..20]), Err(Error::Damaged { .. })));
        assert!(matches!(Roster::open(folder.path(), keys(8).1, 2), Err(Error::Damaged { .. })));
    }

    #[test]
    fn files_of_all_versions_still_read() {
        let pass = Pass::found(keys(1).1).extend(&keys(1).0, keys(2).1, [5; 16], 6);
        let member = Member { pass: pass.clone(), addresses: vec!["/ip4/192.0.2.1/tcp/4000".into()] };
        let issued = Issued { expires: 7, uses: 2, taken: BTreeSet::from([keys(2).1]) };
        let mut kept = Kept {
            invitations: BTreeMap::from([([5; 16], issued)]),
            blocked: BTreeSet::from([keys(3).1]),
            cast: BTreeMap::from([([4; 32], Cast { yes: true, deadline: 8 })]),
            members: BTreeMap::from([(keys(2).1, member)]),
            ..Kept::found(keys(1).1)
        };
        let bytes = |hex: &str| -> Vec<u8> {
            let hex = hex.trim();
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
        };
        let before = bytes(include_str!("../tests/golden/roster-1.hex"));
        assert_eq!(write(&read(Path::new("x"), &before).unwrap()), write(&kept));
        kept.left.insert(keys(2).1, Leave::new(&keys(2).0, pass));
        let hex: String = write(&kept).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("../tests/golden/roster-2.hex").trim());
        assert_eq!(write(&read(Path::new("x"), &write(&kept)).unwrap()), write(&kept));
    }

    #[test]
    fn who_has_left_comes_back_by_a_later_invitation_only() {
        let folder = tempfile::tempdir().unwrap();
        let ((own, village), (guest, guest_key)) = (keys(1), keys(2));
        let mut roster = open(folder.path(), 2);
        let made = roster.invite(&own, 2, 1000, &[], 0).unwrap();
        let pass = roster.redeem(&own, &made, guest_key, 10).unwrap();
        assert_eq!(roster.admit(&pass), Ok(true));
        let forged = Leave::new(&own, pass.clone());
        assert_eq!((roster.part(&forged), roster.has(&guest_key)), (Err(Why::Forged), true));
        let leave = Leave::new(&guest, pass.clone());
        assert_eq!((roster.part(&leave), roster.has(&guest_key)), (Ok(true), false));
        assert_eq!(roster.part(&leave), Ok(false), "it is known");
        roster.keep().unwrap();
        let mut roster = open(folder.path(), 2);
        assert_eq!(roster.admit(&pass), Err(Why::Left));
        // The inviter's clock has been put back.
        let made = roster.invite(&own, 1, 1000, &[], 0).unwrap();
        let again = roster.redeem(&own, &made, guest_key, 3).unwrap();
        assert!(again.at() > pass.at());
        assert_eq!(roster.admit(&again), Ok(true));
        assert_eq!((roster.part(&leave), roster.has(&guest_key)), (Ok(false), true));
        // Who was away all the time has the old pass, then sees the new one.
        let elsewhere = tempfile::tempdir().unwrap();
        let mut away = open(elsewhere.path(), 2);
        assert_eq!((away.admit(&pass), away.admit(&again)), (Ok(true), Ok(false)));
        assert_eq!((away.part(&leave), away.has(&guest_key)), (Ok(true), true));
        let last = Leave::new(&guest, again);
        assert_eq!((away.part(&last), away.has(&guest_key)), (Ok(true), false));
        // No more are remembered than there may be members: the earliest is forgotten.
        for seed in 3..6 {
            let (member, key) = keys(seed);
            let pass = Pass::found(village).extend(&own, key, [0; 16], 100 + u64::from(seed));
            assert_eq!(away.part(&Leave::new(&member, pass)), Ok(true));
        }
        assert_eq!(away.left().map(Leave::until).max(), Some(105));
        assert_eq!(away.left().count(), 2);
    }

    #[test]
    fn who_ends_while_it_leaves_has_left() {
        let folder = tempfile::tempdir().unwrap();
        let ((own, key), (founder, village)) = (keys(1), keys(2));
        let mut roster = open(folder.path(), 2);
        roster.join(Pass::found(village).extend(&founder, key, [5; 16], 6)).unwrap();
        roster.admit(&Pass::found(village)).unwrap();
        roster.say_leave(Leave::new(&own, roster.pass().clone())).unwrap();
        let mut roster = open(folder.path(), 2);
        assert_eq!((roster.village(), roster.members().count(), roster.left().count()), (key, 0, 0));
        roster.invite(&own, 1, 1000, &[], 0).unwrap();
        assert_eq!(open(folder.path(), 2).kept.invitations.len(), 1, "it leaves once");
    }
}

//! Components of other villages: what a peer has under a digest is fetched as a blob of the mesh, verified, and kept here.
//!
//! An agent's grants name things of the machine that it is on. They are not taken from there: whoever deploys it says them.

use super::own::{AGENT, COMPONENT, read, written};
use crate::components::LARGEST;
use crate::deploy::Deployment;
use crate::error::Error;
use crate::registry::{Note, Registration, apart};
use crate::village::Village;
use base::{Digest, Size};
use mesh::{BlobHash, PeerId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinSet;

/// A component that came from other villages, or was here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// Its digest.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
    /// Whom it came from. Nobody, if it was here before.
    pub from: Vec<String>,
}

/// What is to be deployed as another village has it.
#[derive(Debug, Clone, Default)]
pub struct Adoption {
    /// The other village.
    pub peer: String,
    /// The agent's name there.
    pub agent: String,
    /// Its name here; the same, unless it is said.
    pub name: Option<String>,
    /// Fields of its budget, over those that it has there.
    pub budget: Vec<(String, String)>,
    /// All that it may reach here.
    pub grants: Vec<String>,
    /// The group that it shares a budget with here.
    pub group: Option<String>,
}

/// An agent that was deployed as another village has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// Its row here.
    pub row: Registration,
    /// What it may reach there, by kind: none of that is open here unless it was said.
    pub grants_there: Vec<String>,
    /// Fields of its budget that are smaller here, with what they are there.
    pub less: Vec<(String, String)>,
    /// The village that it came from.
    pub from: String,
}

/// What is asked of a component.
#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    digest: String,
}

/// How others get a component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Lent {
    /// The blob that it is in the mesh.
    blob: String,
    size: u64,
}

/// What is asked of an agent.
#[derive(Debug, Serialize, Deserialize)]
struct Named {
    agent: String,
}

/// An agent, as others may make one like it.
#[derive(Debug, Serialize, Deserialize)]
struct Described {
    digest: String,
    budget: Vec<(String, String)>,
    turns: Vec<(String, String)>,
    grants: Vec<String>,
}

/// Fields of a budget, as they are written.
type Fields = Vec<(String, String)>;

/// Villages that are asked for a component at once.
const ASKED: usize = 32;

impl Village {
    /// Says how a component can be had here, and sees to it that it can.
    pub(super) async fn look_up(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        let Wanted { digest } = read(body)?;
        let digest: Digest = digest.parse().map_err(|bad: base::Bad| Error::Bad(bad.to_string()))?;
        let (blob, size) = self.registry().blob(&digest)?.ok_or(Error::Component { digest })?;
        self.may_lend(&digest)?;
        let (hash, from) = (BlobHash::from_bytes(blob), self.books().store().blobs().folder().to_path_buf());
        let (folder, _kept) = (self.lent(), self.lending().read().await);
        apart(move || lend(&hash, &from, &folder)).await?;
        written(&Lent { blob: hash.to_string(), size })
    }

    /// Says what another village needs to make an agent like one here. Nothing of what its grants name.
    pub(super) fn describe_to_peer(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        let Named { agent } = read(body)?;
        let row = self.registry().row(&agent)?.ok_or_else(|| Error::Unknown { name: agent.clone(), nearest: None })?;
        self.may_describe(&agent)?;
        let kind = |grant: &String| grant.split('=').next().unwrap_or_default().to_string();
        let mut grants: Vec<_> = row.grants.iter().map(kind).collect();
        grants.sort();
        grants.dedup();
        let turns = crate::turns::shown(&self.registry().turns(&agent)?);
        written(&Described { digest: row.digest, budget: row.budget, turns, grants })
    }

    /// Gets a component that another village has: from one, or from all that are there. It is kept for a while, and for as
    /// long as an agent is made of it.
    pub async fn fetch(&self, digest: Digest, from: Option<&str>) -> Result<Fetched, Error> {
        self.open()?;
        let mesh = self.linked()?;
        let peers = match from {
            Some(peer) => vec![self.peer(peer).await?],
            None => {
                let mut peers: Vec<_> = mesh.links().await?.into_iter().map(|link| link.peer).collect();
                for present in mesh.present().await? {
                    if !peers.contains(&present.peer) {
                        peers.push(present.peer);
                    }
                }
                peers.truncate(ASKED);
                peers
            }
        };
        let held = self.hold(digest).await;
        if let Some((_, size)) = self.registry().blob(&digest)? {
            self.spare(held).await?;
            return Ok(Fetched { digest: digest.to_string(), size, from: Vec::new() });
        }
        drop(held);
        let (bytes, from) = self.fetch_bytes(digest, peers, from).await?;
        let size = self.upload(bytes).await?.size;
        let from: Vec<_> = from.iter().map(PeerId::to_string).collect();
        let note = json!({ "digest": digest.to_string(), "size": size, "from": from });
        self.registry().note("", Note::new("mesh-fetched", note)).await?;
        Ok(Fetched { digest: digest.to_string(), size, from })
    }

    /// The bytes with this digest, from those of these that say they have them.
    async fn fetch_bytes(
        &self,
        digest: Digest,
        peers: Vec<PeerId>,
        named: Option<&str>,
    ) -> Result<(Vec<u8>, Vec<PeerId>), Error> {
        let (offers, mut last) = self.offers(digest, peers).await;
        if offers.is_empty() {
            let nobody = || Error::Nowhere { digest };
            // Of one that was named it is said what it answered.
            return Err(named.and(last).unwrap_or_else(nobody));
        }
        let mesh = self.linked()?;
        for (lent, peers) in offers {
            let Ok(hash) = lent.blob.parse::<BlobHash>() else { continue };
            let _kept = self.lending().read().await;
            let fetched = match mesh.fetch_within(hash, &peers, LARGEST as u64).await {
                Ok(fetched) => fetched,
                Err(error) => {
                    last = Some(error.into());
                    continue;
                }
            };
            let file = fetched.file;
            let bytes = apart(move || take(&file, digest)).await?;
            if let Some(bytes) = bytes {
                return Ok((bytes, fetched.from.into_keys().collect()));
            }
            last = Some(Error::Bad(format!("what was given as {digest} has another digest: it was thrown away")));
        }
        Err(last.unwrap_or(Error::Nowhere { digest }))
    }

    /// Who has a component: by what they say it is in the mesh, those that most say first. And why somebody has it not.
    async fn offers(&self, digest: Digest, peers: Vec<PeerId>) -> (Vec<(Lent, Vec<PeerId>)>, Option<Error>) {
        let mut asking = JoinSet::new();
        for peer in peers {
            let village = self.clone();
            let wanted = Wanted { digest: digest.to_string() };
            asking.spawn(async move { (peer, village.ask_village::<Lent>(peer, COMPONENT, &wanted).await) });
        }
        let (mut offers, mut last) = (BTreeMap::<Lent, Vec<PeerId>>::new(), None);
        while let Some(answer) = asking.join_next().await {
            match answer {
                Ok((_, Ok(lent))) if lent.size > LARGEST as u64 => {
                    let (size, most) = (Size::bytes(lent.size), Size::bytes(LARGEST as u64));
                    last = Some(Error::Bad(format!("the component has {size}, and {most} is the most")));
                }
                Ok((peer, Ok(lent))) => offers.entry(lent).or_default().push(peer),
                Ok((_, Err(error))) => last = Some(error),
                Err(_) => {}
            }
        }
        let mut offers: Vec<_> = offers.into_iter().collect();
        offers.sort_by_key(|(_, peers)| std::cmp::Reverse(peers.len()));
        (offers, last)
    }

    /// Makes an agent of the component that one of another village is made of, with the turns that it has there, with the
    /// budget that it has there as far as this village lets agents of others have that, unless it is said, and with those
    /// grants only that are said.
    pub async fn adopt(&self, adoption: Adoption) -> Result<Adopted, Error> {
        self.open()?;
        let Adoption { peer, agent, name, budget, grants, group } = adoption;
        let from = self.peer(&peer).await?;
        let described: Described = self.ask_village(from, AGENT, &Named { agent: agent.clone() }).await?;
        let digest = described.digest.parse().map_err(|bad: base::Bad| Error::Bad(format!("{peer}: {bad}")))?;
        let from = from.to_string();
        self.fetch(digest, Some(&from)).await?;
        let (most, less) = self.within_terms(&described.budget, &budget)?;
        let budget = most.into_iter().chain(budget).collect();
        let name = Some(name.unwrap_or(agent));
        let row = self
            .deploy(Deployment { name, digest: Some(digest), budget, grants, group, ..Deployment::default() })
            .await?;
        // Fields that this program does not know are of a later one.
        let mut known = guest::Turns::default();
        let turns: Vec<_> =
            described.turns.into_iter().filter(|(field, text)| known.set(field, text).is_ok()).collect();
        self.set_turns(&row.name, &turns).await?;
        Ok(Adopted { row, grants_there: described.grants, less, from })
    }

    /// A budget of another village as far as an agent of others may have that here; and which fields are smaller now, but for
    /// those that are `said`, with what they are there.
    fn within_terms(&self, there: &Fields, said: &Fields) -> Result<(Fields, Fields), Error> {
        let mut budget = self.defaults();
        for (field, text) in there {
            budget.set(field, text)?;
        }
        let here = budget.within(&self.terms().most(self.defaults())?);
        let fields = budget.fields().into_iter().zip(here.fields());
        let less =
            fields.filter(|((field, there), (_, here))| there != here && !said.iter().any(|(said, _)| said == field));
        let less = less.map(|((field, there), _)| (field.to_string(), there)).collect();
        Ok((crate::registry::kept(&here), less))
    }

    /// Lets go what others could have of this village and what is here no more.
    pub(crate) async fn take_back(&self) -> Result<(), Error> {
        // While something is fetched or looked up this waits for the next time.
        let Ok(_alone) = self.lending().try_write() else { return Ok(()) };
        if self.mesh().is_none() {
            return Ok(());
        }
        let mut kept: HashSet<String> = match self.terms().share {
            true => self.registry().blobs()?.into_iter().map(blob_name).collect(),
            false => HashSet::new(),
        };
        for digest in self.registry().unshared()? {
            if let Some((blob, _)) = self.registry().blob(&digest)? {
                kept.remove(&blob_name(blob));
            }
        }
        let folder = self.lent();
        apart(move || {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if !entry.file_name().to_str().is_some_and(|name| kept.contains(name)) {
                    // What can't be removed now is tried again.
                    let _ = fs::remove_file(entry.path());
                }
            }
            Ok(())
        })
        .await
    }

    /// The folder of what others can have.
    fn lent(&self) -> PathBuf {
        super::blobs(self.data())
    }
}

fn blob_name(blob: [u8; 32]) -> String {
    BlobHash::from_bytes(blob).to_string()
}

/// Puts a component where others can have it: under another name, or as a copy where that can't be.
fn lend(hash: &BlobHash, from: &Path, folder: &Path) -> Result<(), store::Error> {
    let (name, failed) =
        (hash.to_string(), |source| store::Error::Io { file: folder.into(), source: Arc::new(source) });
    let to = folder.join(&name);
    if to.exists() {
        return Ok(());
    }
    crate::folder::private(folder).map_err(failed)?;
    match fs::hard_link(from.join(&name), &to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => {
            // Whole or not at all: others may look at any time.
            let part = folder.join(format!("{name}.part"));
            fs::copy(from.join(&name), &part).and_then(|_| fs::rename(&part, &to)).map_err(failed)
        }
    }
}

/// What was fetched, if it is what it was asked for as; otherwise it is thrown away.
fn take(file: &Path, digest: Digest) -> Result<Option<Vec<u8>>, store::Error> {
    let failed = |source| store::Error::Io { file: file.into(), source: Arc::new(source) };
    let bytes = fs::read(file).map_err(failed)?;
    if Digest::of(&bytes) == digest {
        return Ok(Some(bytes));
    }
    fs::remove_file(file).map_err(failed)?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_another_digest_is_thrown_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("blob");
        fs::write(&file, b"good").expect("written");
        assert_eq!(take(&file, Digest::of(b"good")).expect("read"), Some(b"good".to_vec()));
        assert_eq!(take(&file, Digest::of(b"else")).expect("read"), None);
        assert!(!file.exists());
    }

    #[test]
    fn a_component_is_lent_once_and_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("own"), folder.path().join("lent"));
        fs::create_dir(&from).expect("a folder");
        let hash = BlobHash::of(b"bytes");
        assert!(lend(&hash, &from, &to).is_err(), "it is not there");
        fs::write(from.join(hash.to_string()), b"bytes").expect("written");
        for _ in 0..2 {
            lend(&hash, &from, &to).expect("it is lent");
        }
        assert_eq!(fs::read(to.join(hash.to_string())).expect("read"), b"bytes");
    }
}

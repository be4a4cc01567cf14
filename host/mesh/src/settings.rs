//! What a mesh is told at its start. Every field has a value, and none means "no limit".

use crate::Error;
use crate::fault::Weather;
use libp2p::Multiaddr;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of one peer.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where its keys and what it knows of the village are kept.
    pub folder: PathBuf,
    /// Where it listens.
    pub listen: Vec<Multiaddr>,
    /// Peers that are called when none of those that are known can be reached.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether it looks for others on the local network, and lets them find it.
    pub mdns: bool,
    /// The most connections with members.
    pub connections: usize,
    /// The most connections with peers that have not shown a pass yet.
    pub lobby: usize,
    /// The most members that are known here.
    pub members: usize,
    /// Bytes of messages of others that are in memory at once. As many again are for answers, and for what is sent.
    pub memory: usize,
    /// Asks of others that may wait for this program.
    pub inbox: usize,
    /// Messages that may wait for one peer.
    pub waiting: usize,
    /// Messages that are under way to one peer at once.
    pub flying: usize,
    /// What one member may send.
    pub rate: Rate,
    /// The folder of blobs: what is there under its hash, others can have; what is fetched comes there.
    pub blobs: PathBuf,
    /// Bytes of blobs a second, given and fetched each.
    pub blob_rate: u64,
    /// How peers without an address of their own are reached.
    pub relay: Relay,
    /// How fast it does what it does by itself.
    pub pace: Pace,
    /// What chance decides: from the system if it is 0.
    pub seed: u64,
    /// For tests: what gets lost, late or cut.
    pub weather: Option<Weather>,
}

/// What one member may send in a second, and at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Messages a second.
    pub messages: u32,
    /// Bytes a second.
    pub bytes: u32,
    /// Messages above the rate that are kept until their time has come. Who sends still more is dropped.
    pub late: usize,
    /// How long it is kept out then.
    pub ban: Duration,
}

/// How peers without an address of their own are reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    /// Whether other members may be reached through this one.
    pub serve: bool,
    /// Members through which this one can be reached: their addresses, with `/p2p/` and the peer.
    pub through: Vec<Multiaddr>,
    /// The most pairs of members that talk through this one at once.
    pub circuits: usize,
    /// The most bytes of one such talk, and how long it lasts at most. Who has more to say calls once more.
    pub bytes: u64,
    /// How long it lasts.
    pub time: Duration,
}

/// How fast a peer does what it does by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// How often it looks whether it has enough connections.
    pub look: Duration,
    /// After how long a peer that could not be reached is called again, at first; doubled each time.
    pub back_off: Duration,
    /// The longest of these.
    pub back_off_most: Duration,
    /// How often it says that it is there.
    pub hello: Duration,
    /// How often a link is measured.
    pub ping: Duration,
    /// How long a peer may be connected before it has shown a pass.
    pub lobby: Duration,
}

impl Settings {
    /// The settings for a folder: nothing is listened to, no other is called.
    pub fn new(folder: impl Into<PathBuf>) -> Settings {
        let folder = folder.into();
        Settings {
            blobs: folder.join("blobs"),
            blob_rate: 64 << 20,
            folder,
            listen: Vec::new(),
            bootstrap: Vec::new(),
            mdns: false,
            connections: 10,
            lobby: 4,
            members: 1000,
            memory: 64 << 20,
            inbox: 256,
            waiting: 256,
            flying: 32,
            rate: Rate::default(),
            relay: Relay::default(),
            pace: Pace::default(),
            seed: 0,
            weather: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let bad = |setting, what: &str| Err(Error::Setting { setting, what: what.into() });
        let some = [
            ("connections", self.connections),
            ("lobby", self.lobby),
            ("members", self.members),
            ("inbox", self.inbox),
            ("waiting", self.waiting),
            ("flying", self.flying),
            ("rate.messages", self.rate.messages as usize),
            ("relay.circuits", self.relay.circuits),
        ];
        for (setting, value) in some {
            if value == 0 || value > 1 << 20 {
                return bad(setting, "it is from 1 to 1048576");
            }
        }
        if !(4 << 20..1 << 40).contains(&self.memory) {
            return bad("memory", "it is from 4 MiB to 1 TiB: a message has up to 1 MiB");
        }
        if self.rate.bytes < 2 << 20 {
            return bad("rate.bytes", "it is at least 2 MiB: a message has up to 1 MiB");
        }
        if !(1 << 20..=1 << 40).contains(&self.blob_rate) {
            return bad("blob_rate", "it is at least 1 MiB a second");
        }
        if self.relay.bytes == 0 || self.relay.time.is_zero() || self.relay.time.as_secs() > u32::MAX.into() {
            return bad("relay", "its bytes and its time are more than 0");
        }
        let pace = &self.pace;
        if [pace.look, pace.back_off, pace.back_off_most, pace.hello, pace.ping, pace.lobby].contains(&Duration::ZERO) {
            return bad("pace", "none of its times is 0");
        }
        Ok(())
    }
}

impl Default for Rate {
    fn default() -> Rate {
        Rate { messages: 5000, bytes: 64 << 20, late: 256, ban: Duration::from_secs(60) }
    }
}

impl Default for Relay {
    fn default() -> Relay {
        let time = Duration::from_secs(3600);
        Relay { serve: false, through: Vec::new(), circuits: 16, bytes: 64 << 20, time }
    }
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            look: Duration::from_millis(250),
            back_off: Duration::from_millis(250),
            back_off_most: Duration::from_secs(30),
            hello: Duration::from_secs(3),
            ping: Duration::from_secs(5),
            lobby: Duration::from_secs(5),
        }
    }
}

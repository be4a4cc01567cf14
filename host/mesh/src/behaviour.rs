//! What of libp2p is used, and how: the transports, what members speak, and what can be said at the door.

use crate::admission::{DOOR_LIMIT, SHOW_LIMIT};
use crate::codec::Lengths;
use crate::frame::{FRAME_LIMIT, SIGNED_LIMIT};
use crate::gate::{Doors, Gate};
use crate::node::{GIVE_LIMIT, WANT_LIMIT};
use crate::{Error, Settings};
use libp2p::core::transport::MemoryTransport;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    PeerId, StreamProtocol, Swarm, SwarmBuilder, Transport, dcutr, gossipsub, identify, kad, mdns, noise, ping, relay,
    tcp, yamux,
};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// All of it.
#[derive(NetworkBehaviour)]
pub(crate) struct Outer {
    pub(crate) gate: Gate<Inner>,
    pub(crate) door: request_response::Behaviour<Lengths>,
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
}

/// What only members get to see.
#[derive(NetworkBehaviour)]
pub(crate) struct Inner {
    pub(crate) calls: request_response::Behaviour<Lengths>,
    pub(crate) blobs: request_response::Behaviour<Lengths>,
    pub(crate) gossip: gossipsub::Behaviour,
    pub(crate) kad: kad::Behaviour<MemoryStore>,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) relay: Toggle<relay::Behaviour>,
    pub(crate) relayed: relay::client::Behaviour,
    pub(crate) punch: dcutr::Behaviour,
}

/// What is spoken, by name and version.
const CALLS: StreamProtocol = StreamProtocol::new("/village/call/1");
const BLOBS: StreamProtocol = StreamProtocol::new("/village/blob/1");
const DOOR: StreamProtocol = StreamProtocol::new("/village/door/1");
const KAD: StreamProtocol = StreamProtocol::new("/village/kad/1");
const SPOKEN: &str = "/village/1";

/// Longer than any village runs: members are not parted from each other for being silent.
const IDLE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// How long an answer may take: as long as a message may last.
const CALL: Duration = crate::frame::LIFE_LIMIT;
/// At the door: a second is plenty, and a slow line has a few.
const DOOR_TIME: Duration = Duration::from_secs(5);
/// A chunk, though others are before it and the rate is low.
const BLOB_TIME: Duration = Duration::from_secs(30);
/// Streams that one connection may have at once.
const STREAMS: usize = 256;
/// Memory for what is said at the door.
const DOOR_MEMORY: usize = 256 << 10;

pub(crate) fn swarm(keys: &Keypair, settings: &Settings, doors: Arc<Mutex<Doors>>) -> Result<Swarm<Outer>, Error> {
    let bad = |setting| move |what: String| Error::Setting { setting, what };
    let builder = SwarmBuilder::with_existing_identity(keys.clone())
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux_config)
        .map_err(|error| bad("tcp")(error.to_string()))?
        .with_quic()
        .with_other_transport(|keys| {
            let noise = noise::Config::new(keys)?;
            let memory = MemoryTransport::default().upgrade(Version::V1Lazy).authenticate(noise);
            Ok(memory.multiplex(yamux_config()).boxed())
        })
        .map_err(|error| bad("memory")(error.to_string()))?
        .with_relay_client(noise::Config::new, yamux_config)
        .map_err(|error| bad("relay")(error.to_string()))?
        .with_behaviour(|keys, relayed| outer(keys, settings, doors, relayed))
        .map_err(|error| bad("mdns")(error.to_string()))?
        .with_swarm_config(|config| {
            // What each protocol is called is known: what is said goes with its name, not after the other side has
            // repeated it. That halves the way of a question and its answer.
            config
                .with_idle_connection_timeout(IDLE)
                .with_max_negotiating_inbound_streams(STREAMS)
                .with_substream_upgrade_protocol_override(Version::V1Lazy)
        });
    Ok(builder.build())
}

fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS);
    config
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

fn outer(
    keys: &Keypair,
    settings: &Settings,
    doors: Arc<Mutex<Doors>>,
    relayed: relay::client::Behaviour,
) -> Result<Outer, Failed> {
    let own = keys.public().to_peer_id();
    let calls = Lengths::new(FRAME_LIMIT, FRAME_LIMIT, settings.memory);
    let calls = request_response::Behaviour::with_codec(
        calls,
        [(CALLS, ProtocolSupport::Full)],
        // Above what is asked of it, so that whoever asks for more has his own limit first.
        request_response::Config::default().with_request_timeout(CALL).with_max_concurrent_streams(STREAMS),
    );
    let blobs = request_response::Behaviour::with_codec(
        Lengths::new(WANT_LIMIT, GIVE_LIMIT, settings.memory),
        [(BLOBS, ProtocolSupport::Full)],
        request_response::Config::default().with_request_timeout(BLOB_TIME).with_max_concurrent_streams(STREAMS),
    );
    let door = request_response::Behaviour::with_codec(
        Lengths::new(SHOW_LIMIT, DOOR_LIMIT, DOOR_MEMORY),
        [(DOOR, ProtocolSupport::Full)],
        request_response::Config::default().with_request_timeout(DOOR_TIME).with_max_concurrent_streams(4),
    );
    let inner = Inner {
        calls,
        blobs,
        gossip: gossip()?,
        kad: kad(own),
        identify: identify::Behaviour::new(
            identify::Config::new(SPOKEN.into(), keys.public())
                .with_agent_version(format!("village/{}", env!("CARGO_PKG_VERSION"))),
        ),
        ping: ping::Behaviour::new(
            ping::Config::new().with_interval(settings.pace.ping).with_timeout(settings.pace.ping * 2),
        ),
        relay: settings.relay.serve.then(|| relay::Behaviour::new(own, relay::Config::default())).into(),
        relayed,
        punch: dcutr::Behaviour::new(own),
    };
    let mdns = match settings.mdns {
        true => Some(mdns::tokio::Behaviour::new(mdns::Config::default(), own)?),
        false => None,
    };
    Ok(Outer { gate: Gate::new(inner, doors), door, mdns: mdns.into() })
}

fn kad(own: PeerId) -> kad::Behaviour<MemoryStore> {
    let mut kad = kad::Behaviour::with_config(own, MemoryStore::new(own), kad::Config::new(KAD));
    // In a closed village each can be asked; nobody guesses whether it can be reached from outside.
    kad.set_mode(Some(kad::Mode::Server));
    kad
}

fn gossip() -> Result<gossipsub::Behaviour, Failed> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix("/village/gossip/1")
        .max_transmit_size(SIGNED_LIMIT + 1024)
        // Nothing goes on before it was looked at here.
        .validate_messages()
        // Frames are signed themselves, so that they can be handed on in other ways than this too.
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .message_id_fn(|message| gossipsub::MessageId::new(blake3::hash(&message.data).as_bytes()))
        .heartbeat_initial_delay(Duration::from_millis(100))
        .heartbeat_interval(Duration::from_millis(500))
        // As long as a message may last, and the clocks be apart.
        .duplicate_cache_time(crate::frame::LIFE_LIMIT + 2 * crate::frame::SKEW)
        // Links come and go with the members: a minute's grudge would keep a healed partition apart.
        .prune_backoff(Duration::from_secs(3))
        .unsubscribe_backoff(Duration::from_secs(1))
        .backoff_slack(1)
        // Of large messages a few; small ones wait here for a heartbeat or two.
        .connection_handler_queue_len(256)
        .build()?;
    Ok(gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, config)?)
}

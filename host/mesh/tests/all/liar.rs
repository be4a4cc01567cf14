//! A peer that says whatever bytes it likes, over the same protocols.

use libp2p::core::transport::MemoryTransport;
use libp2p::core::upgrade::Version;
use libp2p::futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::request_response::{self, Codec, Event, Message, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, Transport, gossipsub, noise, yamux};
use std::io;
use std::path::Path;
use std::time::Duration;

#[derive(Clone, Default)]
pub(crate) struct Raw;

/// What is said, and which length is claimed for it.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) claimed: u32,
    pub(crate) bytes: Vec<u8>,
}

impl From<Vec<u8>> for Said {
    fn from(bytes: Vec<u8>) -> Said {
        Said { claimed: bytes.len() as u32, bytes }
    }
}

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Said;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Said> {
        read(io).await.map(Said::from)
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        read(io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        said: Said,
    ) -> io::Result<()> {
        io.write_all(&said.claimed.to_be_bytes()).await?;
        io.write_all(&said.bytes).await?;
        io.flush().await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&(bytes.len() as u32).to_be_bytes()).await?;
        io.write_all(&bytes).await?;
        io.close().await
    }
}

async fn read<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    io.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[derive(NetworkBehaviour)]
pub(crate) struct Spoken {
    pub(crate) door: request_response::Behaviour<Raw>,
    pub(crate) calls: request_response::Behaviour<Raw>,
    pub(crate) gossip: gossipsub::Behaviour,
}

pub(crate) struct Liar {
    pub(crate) keys: Keypair,
    pub(crate) swarm: Swarm<Spoken>,
}

/// Keys of a peer that has stopped.
pub(crate) fn stolen(folder: &Path) -> Keypair {
    Keypair::from_protobuf_encoding(&std::fs::read(folder.join("identity")).unwrap()).unwrap()
}

fn gossip() -> gossipsub::Behaviour {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix("/village/gossip/1")
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .message_id_fn(|message| gossipsub::MessageId::new(&message.data))
        .build()
        .unwrap();
    gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, config).unwrap()
}

/// A published frame as it goes over the line, signed with these keys.
pub(crate) fn signed(keys: &Keypair, frame: &mesh::Frame) -> Vec<u8> {
    let frame = frame.encode();
    let signature = keys.sign(&[b"village published 1\0".as_slice(), &frame].concat()).unwrap();
    let mut bytes = vec![1];
    bytes.extend(postcard::to_stdvec(&frame).unwrap());
    bytes.extend(signature);
    bytes
}

impl Liar {
    pub(crate) fn new(keys: Keypair) -> Liar {
        let of = |name| {
            let config = request_response::Config::default().with_request_timeout(Duration::from_secs(20));
            request_response::Behaviour::with_codec(Raw, [(StreamProtocol::new(name), ProtocolSupport::Full)], config)
        };
        let swarm = SwarmBuilder::with_existing_identity(keys.clone())
            .with_tokio()
            .with_other_transport(|keys| {
                let noise = noise::Config::new(keys).unwrap();
                let memory = MemoryTransport::default().upgrade(Version::V1Lazy).authenticate(noise);
                memory.multiplex(yamux::Config::default())
            })
            .unwrap()
            .with_behaviour(|_| Spoken { door: of("/village/door/1"), calls: of("/village/call/1"), gossip: gossip() })
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
            .build();
        Liar { keys, swarm }
    }

    /// Calls, and says nothing. Whether it got through.
    pub(crate) async fn call(&mut self, address: &Multiaddr) -> bool {
        self.swarm.dial(address.clone()).unwrap();
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => return true,
                SwarmEvent::OutgoingConnectionError { .. } => return false,
                _ => {}
            }
        }
    }

    /// Says this at the door; what is answered, if anything is.
    pub(crate) async fn show(&mut self, peer: &PeerId, said: impl Into<Said>) -> Option<Vec<u8>> {
        self.swarm.behaviour_mut().door.send_request(peer, said.into());
        self.answer().await
    }

    /// Says this as a member would; what is answered, if anything is.
    pub(crate) async fn ask(&mut self, peer: &PeerId, said: impl Into<Said>) -> Option<Vec<u8>> {
        self.swarm.behaviour_mut().calls.send_request(peer, said.into());
        self.answer().await
    }

    async fn answer(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::Behaviour(SpokenEvent::Door(event) | SpokenEvent::Calls(event)) => match event {
                    Event::Message { message: Message::Response { response, .. }, .. } => return Some(response),
                    Event::OutboundFailure { .. } => return None,
                    _ => {}
                },
                SwarmEvent::ConnectionClosed { num_established: 0, .. } => return None,
                _ => {}
            }
        }
    }

    /// Publishes this as soon as somebody listens; whether it was not thrown out before.
    pub(crate) async fn publish(&mut self, topic: &str, bytes: Vec<u8>) -> bool {
        let topic = gossipsub::IdentTopic::new(topic);
        let mut handed = false;
        // What was handed over still has to leave.
        for _ in 0..5 {
            while !handed && self.swarm.behaviour_mut().gossip.publish(topic.clone(), bytes.clone()).is_err() {
                if self.is_thrown_out_soon().await {
                    return false;
                }
            }
            handed = true;
            if self.is_thrown_out_soon().await {
                return false;
            }
        }
        true
    }

    async fn is_thrown_out_soon(&mut self) -> bool {
        let event = tokio::time::timeout(Duration::from_millis(20), self.swarm.select_next_some()).await;
        matches!(event, Ok(SwarmEvent::ConnectionClosed { .. }))
    }

    /// Waits until it is thrown out.
    pub(crate) async fn thrown_out(&mut self) {
        loop {
            if let SwarmEvent::ConnectionClosed { .. } = self.swarm.select_next_some().await {
                return;
            }
        }
    }
}

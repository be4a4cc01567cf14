//! Plain libp2p: a question and its answer by its own protocol for that, as it is set by default.

use crate::Error;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo, Version};
use libp2p::futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::request_response::{self, Event, Message, ProtocolSupport};
use libp2p::swarm::SwarmEvent;
use libp2p::{PeerId, StreamProtocol, Swarm, SwarmBuilder, Transport, noise, tcp, yamux};
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Bytes of a question, and of its answer.
pub(super) const BYTES: usize = 1024;

/// What it goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Tcp,
    /// Without encryption.
    Open,
    Quic,
}

impl Way {
    /// Where to listen.
    pub(super) fn listen(self) -> &'static str {
        match self {
            Way::Tcp | Way::Open => "/ip4/127.0.0.1/tcp/0",
            Way::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        }
    }
}

/// One who asks, and one who answers.
pub(super) struct Bare {
    /// None while it asks.
    client: Option<Swarm<Asks>>,
    peer: PeerId,
    serving: JoinHandle<()>,
}

type Asks = request_response::Behaviour<Plain>;

impl Bare {
    pub(super) async fn new(way: Way) -> Result<Bare, Error> {
        let (mut server, mut client) = (swarm(way)?, swarm(way)?);
        server.listen_on(way.listen().parse()?)?;
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = server.select_next_some().await {
                break address;
            }
        };
        let peer = *server.local_peer_id();
        let serving = tokio::spawn(async move {
            loop {
                let event = server.select_next_some().await;
                if let SwarmEvent::Behaviour(Event::Message {
                    message: Message::Request { request, channel, .. },
                    ..
                }) = event
                {
                    // Who has gone does not want it.
                    let _ = server.behaviour_mut().send_response(channel, request);
                }
            }
        });
        client.dial(address)?;
        while !client.is_connected(&peer) {
            if let SwarmEvent::OutgoingConnectionError { error, .. } = client.select_next_some().await {
                return Err(error.into());
            }
        }
        Ok(Bare { client: Some(client), peer, serving })
    }

    /// Nanoseconds of each of so many asks, of which so many are under way at once. It is a task of its own, as it would be in a
    /// program: the thread that waits for all of it is woken by way of the system each time.
    pub(super) async fn asks(&mut self, times: usize, together: usize) -> Result<Vec<f64>, Error> {
        let (mut client, peer) = (self.client.take().ok_or("it asked well the last time")?, self.peer);
        let asking = tokio::spawn(async move {
            let took = asks(&mut client, peer, times, together).await?;
            Ok::<_, Error>((client, took))
        });
        let (client, took) = asking.await??;
        self.client = Some(client);
        Ok(took)
    }
}

async fn asks(client: &mut Swarm<Asks>, peer: PeerId, times: usize, together: usize) -> Result<Vec<f64>, Error> {
    let (mut asked, mut took) = (HashMap::new(), Vec::with_capacity(times));
    let mut left = times;
    while took.len() < times {
        while left > 0 && asked.len() < together {
            left -= 1;
            let begun = Instant::now();
            asked.insert(client.behaviour_mut().send_request(&peer, vec![1; BYTES]), begun);
        }
        match client.select_next_some().await {
            SwarmEvent::Behaviour(Event::Message { message: Message::Response { request_id, .. }, .. }) => {
                let begun = asked.remove(&request_id).ok_or("what was answered was asked")?;
                took.push(begun.elapsed().as_nanos() as f64);
            }
            SwarmEvent::Behaviour(Event::OutboundFailure { error, .. }) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(took)
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn swarm(way: Way) -> Result<Swarm<Asks>, Error> {
    let spoken = || [(StreamProtocol::new("/plain/1"), ProtocolSupport::Full)];
    let behaviour = |_: &Keypair| Asks::with_codec(Plain, spoken(), request_response::Config::default());
    let last = |config: libp2p::swarm::Config| config.with_idle_connection_timeout(Duration::from_secs(3600));
    let tcp = || tcp::tokio::Transport::new(tcp::Config::default().nodelay(true)).upgrade(Version::V1Lazy);
    let builder = SwarmBuilder::with_new_identity().with_tokio();
    Ok(match way {
        Way::Quic => builder.with_quic().with_behaviour(behaviour)?.with_swarm_config(last).build(),
        Way::Tcp => builder
            .with_other_transport(|keys| {
                Ok(tcp().authenticate(noise::Config::new(keys)?).multiplex(yamux::Config::default()))
            })?
            .with_behaviour(behaviour)?
            .with_swarm_config(last)
            .build(),
        Way::Open => builder
            .with_other_transport(|keys| {
                Ok(tcp().authenticate(Open(keys.public().to_peer_id())).multiplex(yamux::Config::default()))
            })?
            .with_behaviour(behaviour)?
            .with_swarm_config(last)
            .build(),
    })
}

/// Each side says who it is, is believed, and nothing is encrypted: what Noise costs is what this lacks.
#[derive(Clone)]
struct Open(PeerId);

impl UpgradeInfo for Open {
    type Info = &'static str;
    type InfoIter = std::iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/open/1")
    }
}

type Opened<C> = Pin<Box<dyn Future<Output = io::Result<(PeerId, C)>> + Send>>;

fn open<C: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut io: C, own: PeerId) -> Opened<C> {
    Box::pin(async move {
        let own = own.to_bytes();
        io.write_all(&[own.len() as u8]).await?;
        io.write_all(&own).await?;
        io.flush().await?;
        let mut length = [0];
        io.read_exact(&mut length).await?;
        let mut other = vec![0; length[0].into()];
        io.read_exact(&mut other).await?;
        Ok((PeerId::from_bytes(&other).map_err(io::Error::other)?, io))
    })
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> InboundConnectionUpgrade<C> for Open {
    type Output = (PeerId, C);
    type Error = io::Error;
    type Future = Opened<C>;

    fn upgrade_inbound(self, io: C, _: &'static str) -> Opened<C> {
        open(io, self.0)
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> OutboundConnectionUpgrade<C> for Open {
    type Output = (PeerId, C);
    type Error = io::Error;
    type Future = Opened<C>;

    fn upgrade_outbound(self, io: C, _: &'static str) -> Opened<C> {
        open(io, self.0)
    }
}

/// The bytes and nothing else.
#[derive(Clone)]
struct Plain;

impl request_response::Codec for Plain {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &bytes).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &bytes).await
    }
}

async fn read<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; BYTES];
    io.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn write<T: AsyncWrite + Unpin>(io: &mut T, bytes: &[u8]) -> io::Result<()> {
    io.write_all(bytes).await?;
    io.close().await
}

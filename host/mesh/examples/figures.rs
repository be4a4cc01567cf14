//! Figures of the mesh on this machine: two peers on loopback ask each other, beside plain libp2p, and give each other a blob;
//! then fifty in one process, each with ten connections.
//!
//! `cargo run -p mesh --example figures`

use libp2p::futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::request_response::{self, Event, Message as Said};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use mesh::{BlobHash, Error, Mesh, Message, Settings};
use std::io;
use std::time::{Duration, Instant};

const ASKS: usize = 3000;
const BLOB: usize = 256 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (name, listen) in [("tcp", "/ip4/127.0.0.1/tcp/0"), ("quic", "/ip4/127.0.0.1/udp/0/quic-v1")] {
        let folder = tempfile::tempdir()?;
        let settings = |of: &str| -> Result<Settings, Box<dyn std::error::Error>> {
            let mut settings = Settings::new(folder.path().join(of));
            settings.listen = vec![listen.parse()?];
            settings.rate.messages = 1 << 20;
            settings.rate.bytes = u32::MAX;
            settings.blob_rate = 1 << 40;
            Ok(settings)
        };
        let (a, mut asks) = Mesh::start(settings("a")?).await?;
        let (b, _asks) = Mesh::start(settings("b")?).await?;
        b.join(&a.invite(1, Duration::from_secs(60)).await?).await?;
        let serving = tokio::spawn(async move {
            while let Some(ask) = asks.next().await {
                let body = ask.frame.body.clone();
                ask.answer(body)?;
            }
            Ok::<(), Error>(())
        });
        plain(name, listen.parse()?).await?;
        one_by_one(name, &a, &b).await?;
        many_at_once(name, &a, &b).await?;
        blob(name, folder.path(), &a, &b).await?;
        b.stop().await;
        a.stop().await;
        serving.await??;
    }
    fifty().await
}

/// What a request and its response take without any of this: the same bytes, by the same protocol of libp2p.
async fn plain(name: &str, listen: Multiaddr) -> Result<(), Box<dyn std::error::Error>> {
    let swarm = || -> Result<_, Box<dyn std::error::Error>> {
        let config = || request_response::Config::default();
        let asks = move || {
            let spoken = [(StreamProtocol::new("/plain/1"), request_response::ProtocolSupport::Full)];
            request_response::Behaviour::with_codec(Plain, spoken, config())
        };
        Ok(SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
            .with_quic()
            .with_behaviour(|_| asks())?
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
            .build())
    };
    let (mut server, mut client) = (swarm()?, swarm()?);
    server.listen_on(listen)?;
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = server.select_next_some().await {
            break address;
        }
    };
    let peer = *server.local_peer_id();
    let serving = tokio::spawn(async move {
        loop {
            if let SwarmEvent::Behaviour(Event::Message { message: Said::Request { request, channel, .. }, .. }) =
                server.select_next_some().await
            {
                let _ = server.behaviour_mut().send_response(channel, request);
            }
        }
    });
    client.dial(address)?;
    while !client.is_connected(&peer) {
        client.select_next_some().await;
    }
    let mut times = Vec::new();
    for _ in 0..ASKS {
        let started = Instant::now();
        client.behaviour_mut().send_request(&peer, vec![1; 1024]);
        loop {
            if let SwarmEvent::Behaviour(Event::Message { .. }) = client.select_next_some().await {
                break;
            }
        }
        times.push(started.elapsed());
    }
    serving.abort();
    times.sort_unstable();
    println!("{name}: plain libp2p: p50 {:?}, p99 {:?}", times[ASKS / 2], times[ASKS * 99 / 100]);
    Ok(())
}

#[derive(Clone)]
struct Plain;

impl request_response::Codec for Plain {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 1024];
        io.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 1024];
        io.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await?;
        io.close().await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await?;
        io.close().await
    }
}

/// Fifty peers, as they are by default: when each knows each, and when what one publishes has reached all.
async fn fifty() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let mut all: Vec<Mesh> = Vec::new();
    let mut kept = Vec::new();
    for n in 0..50u64 {
        let mut settings = Settings::new(folder.path().join(n.to_string()));
        settings.listen = vec![format!("/memory/{}", 5_000_000_000 + n).parse()?];
        let (mesh, asks) = Mesh::start(settings).await?;
        if let Some(first) = all.first() {
            mesh.join(&first.invite(1, Duration::from_secs(60)).await?).await?;
        }
        kept.push(asks);
        all.push(mesh);
    }
    let joined = Instant::now();
    let mut topics = Vec::new();
    for mesh in &all {
        topics.push(mesh.subscribe("news").await?);
    }
    for mesh in &all {
        while mesh.present().await?.len() < 49 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    println!("50 peers: each hears each {:?} after the last has joined", joined.elapsed());
    let mut times = Vec::new();
    for mesh in all.iter().take(20) {
        let started = Instant::now();
        mesh.publish(Message::new("news", vec![1; 1024])).await?;
        for topic in &mut topics {
            topic.next().await;
            times.push(started.elapsed());
        }
    }
    times.sort_unstable();
    println!("50 peers: what is published reaches one p50 {:?}, p99 {:?}", times[500], times[990]);
    let mut most = 0;
    for mesh in &all {
        most = most.max(mesh.links().await?.len());
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    println!("50 peers: at most {most} links each; {memory} for all of them");
    for mesh in &all {
        mesh.stop().await;
    }
    Ok(())
}

async fn one_by_one(name: &str, a: &Mesh, b: &Mesh) -> Result<(), Error> {
    let mut times = Vec::new();
    for _ in 0..ASKS {
        let started = Instant::now();
        b.ask(a.peer(), Message::new("echo", vec![1; 1024])).await?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    println!("{name}: an ask of 1 KiB: p50 {:?}, p99 {:?}", times[ASKS / 2], times[ASKS * 99 / 100]);
    Ok(())
}

async fn many_at_once(name: &str, a: &Mesh, b: &Mesh) -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (b, to) = (b.clone(), a.peer());
        asking.spawn(async move {
            for _ in 0..ASKS / 32 {
                b.ask(to, Message::new("echo", vec![1; 1024])).await?;
            }
            Ok::<(), Error>(())
        });
    }
    let mut asked = 0;
    while let Some(each) = asking.join_next().await {
        each??;
        asked += ASKS / 32;
    }
    println!("{name}: 64 ask at once: {:.0} asks a second", asked as f64 / started.elapsed().as_secs_f64());
    Ok(())
}

async fn blob(name: &str, folder: &std::path::Path, a: &Mesh, b: &Mesh) -> Result<(), Box<dyn std::error::Error>> {
    let bytes: Vec<u8> = (0..BLOB).map(|n| (n * 31 + n / 251) as u8).collect();
    let hash = BlobHash::of(&bytes);
    std::fs::create_dir_all(folder.join("a/blobs"))?;
    std::fs::write(folder.join("a/blobs").join(hash.to_string()), &bytes)?;
    let started = Instant::now();
    let fetched = b.fetch(hash, &[a.peer()]).await?;
    let seconds = started.elapsed().as_secs_f64();
    println!("{name}: a blob of {} MiB: {:.0} MB a second", fetched.bytes >> 20, fetched.bytes as f64 / seconds / 1e6);
    Ok(())
}

//! Figures of the mesh on this machine: two peers on loopback ask each other, and give each other a blob.
//!
//! `cargo run -p mesh --example figures`

use mesh::{BlobHash, Error, Mesh, Message, Settings};
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
        one_by_one(name, &a, &b).await?;
        many_at_once(name, &a, &b).await?;
        blob(name, folder.path(), &a, &b).await?;
        b.stop().await;
        a.stop().await;
        serving.await??;
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

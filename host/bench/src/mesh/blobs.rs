//! A blob from one village to another, beside one TCP stream that carries as many bytes.

use super::Size;
use super::bare::Way;
use super::pair::{Pair, mesh};
use crate::report::{Bar, Row, percentile, sorted};
use crate::{Error, Rows};
use ::mesh::BlobHash;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ROUNDS: u8 = 3;

pub(super) async fn measure(size: Size) -> Rows {
    let pair = Pair::new(Way::Tcp.listen()).await?;
    let place = pair.folder.path().join("answering/mesh/blobs");
    std::fs::create_dir_all(&place)?;
    let (mut parts, mut rates, mut streams) = (vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        // Another one each time: what is there is not fetched.
        let bytes: Vec<u8> = (0..size.blob << 20).map(|at| (at * 31 + at / 251) as u8 ^ round).collect();
        let hash = BlobHash::of(&bytes);
        let file = place.join(hash.to_string());
        std::fs::write(&file, &bytes)?;
        let stream = stream(&bytes).await?;
        let begun = Instant::now();
        let fetched = mesh(&pair.asking)?.fetch(hash, &[mesh(&pair.answering)?.peer()]).await?;
        let rate = fetched.bytes as f64 / 1e6 / begun.elapsed().as_secs_f64();
        std::fs::remove_file(&fetched.file)?;
        std::fs::remove_file(&file)?;
        parts.push(rate / stream);
        rates.push(rate);
        streams.push(stream);
    }
    pair.close().await?;
    let typical = |rates: Vec<f64>| percentile(&sorted(rates), 0.5);
    let beside = format!(
        "one TCP stream, {:.0} MB/s, not encrypted, checked or written; ours {:.0} MB/s to the disk, the limit lifted",
        typical(streams),
        typical(rates)
    );
    let name = format!("mesh: a blob of {} MiB, fetched and checked", size.blob);
    Ok(vec![Row::of(name, "x", parts, beside, Bar::AtLeast(0.6))])
}

/// Megabytes a second that one stream carries over loopback.
async fn stream(bytes: &[u8]) -> Result<f64, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let all = bytes.len();
    let receiving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let (mut buffer, mut got) = (vec![0; 256 << 10], 0);
        while got < all {
            match stream.read(&mut buffer).await? {
                0 => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
                some => got += some,
            }
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address).await?;
    let begun = Instant::now();
    stream.write_all(bytes).await?;
    receiving.await??;
    Ok(all as f64 / 1e6 / begun.elapsed().as_secs_f64())
}

//! The server: connections that are bounded in number, in patience and in what they may send.

use crate::error::Error;
use crate::routes::{App, router};
use crate::token::Token;
use guest::Limits;
use hall::Village;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// How it serves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether that may be an address that others can reach.
    pub open: bool,
}

/// Serves a village.
pub struct Server {
    listener: TcpListener,
    app: App,
    stopping: watch::Sender<bool>,
}

/// Streams at once.
const STREAMS: usize = 128;

const LIMITS: Limits = Limits {
    connections: 512,
    head: 16 << 10,
    fields: 64,
    patience: Duration::from_secs(30),
    farewell: Duration::from_secs(2),
};

impl Server {
    /// Listens.
    pub async fn bind(village: Village, token: Token, settings: &Settings) -> Result<Server, Error> {
        let Settings { address, open } = *settings;
        if !address.ip().is_loopback() && !open {
            return Err(Error::Server(format!(
                "{address} can be reached from elsewhere, and what is sent there is not encrypted: \
                 say --open if that is wanted, or listen on 127.0.0.1"
            )));
        }
        let listener = TcpListener::bind(address).await.map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::AddrInUse => ": something listens there already; name another with --listen",
                io::ErrorKind::PermissionDenied => ": a port below 1024 is not everybody's; name another with --listen",
                _ => "",
            };
            Error::Server(format!("{address}: {}{advice}", text(&error)))
        })?;
        let address = listener.local_addr().map_err(|error| Error::Server(text(&error)))?;
        let (stopping, stopped) = watch::channel(false);
        let streams = Arc::new(Semaphore::new(STREAMS));
        let app = App { village, token: Arc::new(token), address, streams, stopped };
        Ok(Server { listener, app, stopping })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.app.address
    }

    /// Serves until `stop`; what is under way then has a little time to end.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Server { listener, app, stopping } = self;
        let stop = async {
            stop.await;
            let _ = stopping.send(true);
        };
        guest::receive(listener, LIMITS, stop, TowerToHyperService::new(router(app.clone()))).await;
    }
}

/// What the system says, without the number that only programmers know.
fn text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.clone(), |(words, _)| words.to_lowercase())
}

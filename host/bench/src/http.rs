//! What HTTP costs: a request through the checks of a grant, and a request served as a turn, beside wasmtime's own host.

use crate::plain::{Instance, Plain};
use crate::report::{Bar, Row, percentile, sorted};
use crate::village::{Village, io, message};
use crate::{Error, Plan, Rows, process_cpu};
use base::Budget;
use guest::{Grants, Pool, Server};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

mod bare;

pub(crate) use bare::Hooks;

const FETCH: &[u8] = include_bytes!("../guests/fetch.wasm");
const SERVE: &[u8] = include_bytes!("../guests/serve.wasm");

/// Connections that ask at once.
const CLIENTS: usize = 8;

pub(crate) fn measure(plan: &Plan) -> Rows {
    let mut rows = outgoing(plan)?;
    rows.extend(incoming(plan)?);
    Ok(rows)
}

/// The same guest asks the same server, many times in one turn.
fn outgoing(plan: &Plan) -> Rows {
    let (rounds, each) = if plan.quick { (3, 100) } else { (15, 400) };
    io(2)?.block_on(async {
        let address = answering().await?;
        let plain = Plain::new(16, true)?;
        let mut bare = Instance::start(&plain.load(FETCH)?).await?;
        let village = Village::new(Pool::Slots(16), None)?;
        let version = village.load(FETCH).await?;
        let mut budget = Budget::default();
        for (field, value) in [("cpu", "100%"), ("burst", "1h"), ("http", "10000/s"), ("deadline", "1h")] {
            budget.set(field, value)?;
        }
        let mut grants = Grants::default();
        grants.open(&format!("http=GET http://{address}/v1/"))?;
        let agent = village.host.start(&version, budget, grants, None)?;
        let request = format!("{each} GET http://{address}/v1/item");
        let (mut ratios, mut costs) = (Vec::new(), Vec::new());
        // Ports that were used rest for a while, so a round is short and both sides share the machine's state.
        for round in 0..=rounds {
            let begun = Instant::now();
            let said = String::from_utf8(bare.handle("times", request.as_bytes()).await?)?;
            let theirs = begun.elapsed().as_nanos() as f64 / 1e3 / each as f64;
            let begun = Instant::now();
            let reply = agent.ask(message("times", &request)).await?.outcome?;
            let ours = begun.elapsed().as_nanos() as f64 / 1e3 / each as f64;
            let wanted = each.to_string();
            if said != wanted || reply.payload.body != wanted.as_bytes() {
                return Err(format!("{said}, {}", String::from_utf8_lossy(&reply.payload.body)).into());
            }
            // The first round warms both.
            if round > 0 {
                ratios.push(ours / theirs);
                costs.push(theirs);
            }
        }
        let beside = format!("bare wasi:http host, {:.0} µs a request", percentile(&sorted(costs), 0.5));
        Ok(vec![Row::of(
            "http: a request through its grant, against the bare host's",
            "×",
            ratios,
            beside,
            Bar::AtMost(1.2),
        )])
    })
}

/// A server that answers each connection's one request.
async fn answering() -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nhello, world\n").await;
            });
        }
    });
    Ok(address)
}

/// The same clients ask the same guest, served here and there.
fn incoming(plan: &Plan) -> Rows {
    let (rounds, each) = if plan.quick { (3, 100) } else { (15, 500) };
    io(2)?.block_on(async {
        let plain = Plain::new(64, true)?;
        let theirs = bare::serve(ProxyPre::new(plain.link(SERVE)?)?).await?;
        let village = Village::new(Pool::Slots(64), None)?;
        let version = village.load(SERVE).await?;
        let mut budget = Budget::default();
        for (field, value) in [("cpu", "100%"), ("burst", "1h")] {
            budget.set(field, value)?;
        }
        let agent = village.host.start(&version, budget, Grants::default(), None)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let ours = listener.local_addr()?;
        let serving = tokio::spawn(Server::new(agent, |_| {}).run(listener, std::future::pending()));
        let (mut ratios, mut costs, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=rounds {
            let (bare, bare_cost) = per_second(theirs, each).await?;
            let (our, our_cost) = per_second(ours, each).await?;
            if round > 0 {
                ratios.push(our / bare * 100.0);
                costs.push(bare_cost / our_cost * 100.0);
                rates.push(our);
            }
        }
        serving.abort();
        let beside = format!(
            "wasmtime serve's handler path, {CLIENTS} connections; ours {:.0} a second",
            percentile(&sorted(rates), 0.5)
        );
        Ok(vec![
            Row::of(
                "http: requests served as turns, a second, of the bare handler's",
                "%",
                ratios,
                beside,
                Bar::AtLeast(80.0),
            ),
            Row::of("http: the same per CPU, clients included", "%", costs, "the same", Bar::Stated),
        ])
    })
}

/// Requests a second, when some connections ask `each` in a row, and what each costs in CPU.
async fn per_second(address: SocketAddr, each: usize) -> Result<(f64, f64), Error> {
    let (begun, before) = (Instant::now(), process_cpu());
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(client(address, each))).collect();
    for client in clients {
        client.await??;
    }
    let asked = (CLIENTS * each) as f64;
    Ok((asked / begun.elapsed().as_secs_f64(), (process_cpu() - before) as f64 / asked))
}

async fn client(address: SocketAddr, each: usize) -> Result<(), Error> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut answer = [0; 4096];
    for _ in 0..each {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await?;
        let mut read = 0;
        while !answer[..read].windows(6).any(|end| end == b"hello\n") {
            match stream.read(&mut answer[read..]).await? {
                0 => return Err(format!("no answer: {}", String::from_utf8_lossy(&answer[..read])).into()),
                count => read += count,
            }
        }
    }
    Ok(())
}

//! A running village, from outside: messages over HTTP, and a start with many agents.

use crate::report::{Bar, Row, percentile, sorted};
use crate::village::{ECHO, io};
use crate::{Error, Plan, Rows};
use agents::Event;
use hall::Registration;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use store::{Change, Options, Store, Table};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connections that send at once, and agents that they send to.
const CLIENTS: usize = 32;
const AGENTS: usize = 64;

/// The program `village up`, on a data folder.
struct Up {
    child: Child,
    address: String,
    token: String,
}

impl Up {
    fn start(program: &Path, folder: &Path) -> Result<Up, Error> {
        let data = folder.join("data");
        let mut child = Command::new(program)
            .args(["up", "--json", "--listen", "0", "--data"])
            .arg(&data)
            .env("VILLAGE_CACHE", folder.join("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("the program has an output")?;
        BufReader::new(out).read_line(&mut line)?;
        let first: Value = serde_json::from_str(&line)?;
        let address = first["listening"].as_str().and_then(|url| url.strip_prefix("http://")).ok_or("it listens")?;
        let token = std::fs::read_to_string(data.join("token"))?.trim().to_string();
        Ok(Up { address: address.into(), token, child })
    }

    /// Resident bytes.
    fn resident(&self) -> Result<f64, Error> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the system says it")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let head = format!("host: {}\r\nauthorization: Bearer {}\r\n", self.address, self.token);
        Ok(Connection { stream, head, rest: Vec::new() })
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that is kept.
struct Connection {
    stream: TcpStream,
    head: String,
    rest: Vec<u8>,
}

impl Connection {
    /// Asks, and answers the status and the body.
    async fn ask(&mut self, path: &str, kind: &str, body: &[u8]) -> Result<(u16, Vec<u8>), Error> {
        let head = &self.head;
        let mut request =
            format!("POST {path} HTTP/1.1\r\n{head}content-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len())
                .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).await?;
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.rest[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or("an answer has a status")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        let whole = end + length.ok_or("an answer has a length")?;
        while self.rest.len() < whole {
            self.more().await?;
        }
        let body = self.rest[end..whole].to_vec();
        self.rest.drain(..whole);
        Ok((status, body))
    }

    async fn more(&mut self) -> Result<(), Error> {
        match self.stream.read_buf(&mut self.rest).await? {
            0 => Err("the village broke off".into()),
            _ => Ok(()),
        }
    }

    async fn must(&mut self, path: &str, kind: &str, body: &[u8]) -> Result<Value, Error> {
        let (status, body) = self.ask(path, kind, body).await?;
        match status {
            200..=299 => Ok(serde_json::from_slice(&body)?),
            status => Err(format!("{path}: {status} {}", String::from_utf8_lossy(&body)).into()),
        }
    }
}

const JSON: &str = "application/json";

pub(crate) fn measure(plan: &Plan) -> Rows {
    let folder = tempfile::tempdir()?;
    let folder = PathBuf::from(folder.path());
    let size = if plan.quick { QUICK } else { FULL };
    io(2)?.block_on(async {
        let up = Up::start(&plan.program, &folder)?;
        deploy(&up, 0..AGENTS).await?;
        let mut rows = over_http(&up, size.span).await?;
        drop(up);
        fill(&folder, AGENTS..size.many, size.records).await?;
        let begun = Instant::now();
        let up = Up::start(&plan.program, &folder)?;
        send(&mut up.connect().await?, 7, false).await?;
        let took = begun.elapsed().as_secs_f64();
        let name = format!("village: start with {} agents and {} records, to the first turn", size.many, size.records);
        rows.push(Row::judged(name, "s", took, "after a kill", Bar::AtMost(3.0)));
        drop(up);
        fill(&folder, size.many..size.most, 0).await?;
        rows.extend(asleep(&Up::start(&plan.program, &folder)?, &size).await?);
        Ok(rows)
    })
}

/// How much is measured.
struct Size {
    span: Duration,
    /// Agents and records when it starts.
    many: usize,
    records: u64,
    /// Agents of which most are asleep.
    most: usize,
    active: usize,
}

const QUICK: Size = Size { span: Duration::from_millis(500), many: 300, records: 10_000, most: 500, active: 50 };
const FULL: Size =
    Size { span: Duration::from_secs(4), many: 10_000, records: 1_000_000, most: 100_000, active: 1_000 };

/// Messages from many clients at once.
async fn over_http(up: &Up, span: Duration) -> Rows {
    let mut rows = Vec::new();
    for (fast, name, bar, slowest) in [
        (false, "village: messages over HTTP, kept, a second", Bar::AtLeast(5_000.0), Bar::AtMost(25.0)),
        (true, "village: fast messages over HTTP, a second", Bar::Stated, Bar::Stated),
    ] {
        let times = sorted(load(up, span, fast).await?);
        let rate = times.len() as f64 / span.as_secs_f64();
        let baseline = format!("{CLIENTS} connections, {AGENTS} agents; p50 {:.2} ms", percentile(&times, 0.5));
        rows.push(Row::judged(name, "/s", rate, baseline, bar));
        let name = name.replace("a second", "p99");
        rows.push(Row::judged(name, "ms", percentile(&times, 0.99), "the same", slowest));
    }
    Ok(rows)
}

/// What a village keeps of its agents.
const ROWS: Table<String, Registration> = Table::new("agents");

/// Writes so many agents more, like the first, and records into the folder of a village that does not run.
async fn fill(folder: &Path, agents: std::ops::Range<usize>, records: u64) -> Result<(), Error> {
    const TOGETHER: u64 = 1000;
    let store = Store::open(&folder.join("data/store"), Options::default())?;
    let first = store.read().get(&ROWS, "a-0")?.ok_or("the first agent is kept")?;
    let numbers: Vec<_> = agents.collect();
    for numbers in numbers.chunks(TOGETHER as usize) {
        let mut change = Change::new();
        for name in numbers.iter().map(|number| format!("a-{number}")) {
            change.put(&ROWS, &name, &Registration { name: name.clone(), ..first.clone() });
        }
        store.commit(change).await?;
    }
    let details = "x".repeat(200);
    let noted = Event::Noted { what: "measured".into(), agent: "a-0".into(), by: "bench".into(), details };
    for _ in 0..records / TOGETHER {
        let mut change = Change::new();
        for _ in 0..TOGETHER {
            change.record(0, &noted);
        }
        store.commit(change).await?;
    }
    // As after a kill: what was not yet in the tables is still in the log.
    drop(store);
    Ok(())
}

/// Agents that nobody has sent anything to, and some of them woken.
async fn asleep(up: &Up, size: &Size) -> Rows {
    let mut connection = up.connect().await?;
    let before = up.resident()?;
    let mut times = Vec::new();
    let step = size.most / size.active;
    for number in 0..size.active {
        let begun = Instant::now();
        send(&mut connection, number * step, false).await?;
        times.push(begun.elapsed().as_nanos() as f64 / 1e6);
    }
    let times = sorted(times);
    let name = format!("village: resident memory with {} agents, {} of them awake", size.most, size.active);
    let baseline = format!("{before:.0} MiB with all of them asleep");
    Ok(vec![
        Row::judged(name, "MiB", up.resident()?, baseline, Bar::AtMost(1024.0)),
        Row::judged(
            "village: waking an agent, until its first answer is kept: p50",
            "ms",
            percentile(&times, 0.5),
            format!("one message each over HTTP; p99 {:.2} ms", percentile(&times, 0.99)),
            Bar::AtMost(2.0),
        )
        .spread(&times),
    ])
}

/// Agents `a-N` that answer what they are sent.
async fn deploy(up: &Up, numbers: std::ops::Range<usize>) -> Result<(), Error> {
    let mut connection = up.connect().await?;
    let uploaded = connection.must("/v1/components", "application/wasm", ECHO).await?;
    let digest = uploaded["digest"].as_str().ok_or("an upload has a digest")?;
    for number in numbers {
        let agent = json!({ "digest": digest, "name": format!("a-{number}"), "budget": { "cpu": "100%" } });
        connection.must("/v1/agents", JSON, agent.to_string().as_bytes()).await?;
    }
    Ok(())
}

async fn send(connection: &mut Connection, agent: usize, fast: bool) -> Result<(), Error> {
    let message = json!({ "skill": "echo", "text": "hello", "fast": fast }).to_string();
    let answer = connection.must(&format!("/v1/agents/a-{agent}/messages"), JSON, message.as_bytes()).await?;
    match answer["reply"]["body"].as_str() {
        Some("hello") => Ok(()),
        _ => Err(format!("the answer is {answer}").into()),
    }
}

/// Milliseconds that each message took until its answer was there, of all that were sent within `span`.
async fn load(up: &Up, span: Duration, fast: bool) -> Result<Vec<f64>, Error> {
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let (mut connection, over) = (up.connect().await?, over.clone());
        // Agents are made when their first message comes, which is not what is measured.
        send(&mut connection, client, fast).await?;
        send(&mut connection, client + CLIENTS, fast).await?;
        clients.push(tokio::spawn(async move {
            let mut times = Vec::new();
            let mut turn = client;
            while !over.load(Relaxed) {
                let begun = Instant::now();
                send(&mut connection, turn % AGENTS, fast).await?;
                times.push(begun.elapsed().as_nanos() as f64 / 1e6);
                turn += CLIENTS;
            }
            Ok::<_, Error>(times)
        }));
    }
    tokio::time::sleep(span).await;
    over.store(true, Relaxed);
    let mut all = Vec::new();
    for client in clients {
        all.extend(client.await??);
    }
    Ok(all)
}

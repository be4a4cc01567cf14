//! Serving HTTP: one request a turn, and clients that are up to no good.

use guest::{Agent, Exchange, Kind, Server};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tests::web::{rest, send};
use tests::{Village, ask, host, used};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

const LIMITS: &str = "cpu=100%,memory=16MiB,deadline=2s,log=1MiB";

/// A service that listens.
struct Served {
    address: SocketAddr,
    server: Arc<Server>,
    told: Arc<Mutex<Vec<Exchange>>>,
    stop: tokio::sync::oneshot::Sender<()>,
    running: tokio::task::JoinHandle<()>,
}

async fn serve(host: &Village, limits: &str) -> Served {
    let agent = host.agent("serve", limits, &["log"]).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let told = Arc::<Mutex<Vec<Exchange>>>::default();
    let heard = told.clone();
    let server = Server::new(agent, move |exchange| heard.lock().expect("nobody panicked").push(exchange.clone()));
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let running = tokio::spawn(server.clone().run(listener, async {
        let _ = stopped.await;
    }));
    Served { address, server, told, stop, running }
}

impl Served {
    async fn get(&self, path: &str) -> String {
        send(self.address, format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")).await
    }
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_and_each_meets_an_instance_of_its_own() {
    let host = host();
    let served = serve(&host, LIMITS).await;
    let hello = served.get("/").await;
    assert!(hello.starts_with("HTTP/1.1 200 OK\r\n") && hello.ends_with("\r\n\r\nhello\n"), "{hello}");
    let text =
        "POST /echo?a=b HTTP/1.1\r\nhost: here\r\nx-mine: 1\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
    let echo = send(served.address, text).await;
    assert_eq!(status(&echo), 201, "{echo}");
    assert!(echo.contains("set-cookie: a=b\r\n") && echo.contains("set-cookie: c=d\r\n"), "{echo}");
    assert!(echo.contains("\r\n\r\nPOST /echo?a=b\n") && echo.contains("x-mine: 1\n"), "{echo}");
    assert!(echo.ends_with("\nhello"), "{echo}");
    let chunked = "POST /echo HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
                   5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    assert!(send(served.address, chunked).await.ends_with("\nhello world"));
    for _ in 0..3 {
        assert!(served.get("/count").await.ends_with("\r\n\r\n1"), "nothing is left of the request before");
    }
    let body = served.get("/big?300000").await;
    assert_eq!(body.matches('x').count(), 300_000);
    assert_eq!(status(&served.get("/nowhere").await), 404);
    served.get("/print?a-line").await;
    let (lines, _) = served.server.agent().log();
    assert!(lines.iter().any(|line| line.text == "a-line"), "{lines:?}");
    let told = served.told.lock().expect("nobody panicked");
    assert_eq!((told[0].method.as_str(), told[0].path.as_str(), told[0].status), ("GET", "/", 200));
    assert!(told[1].path == "/echo" && told.iter().all(|one| one.problem.is_none() && one.receipt.memory > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_inside_is_an_error_that_says_nothing_of_it() {
    let host = host();
    let served = serve(&host, "cpu=100%,memory=8MiB,deadline=700ms").await;
    host.beside(async {
        for (path, expected) in [
            ("/trap", 500),
            ("/after", 500),
            ("/none", 500),
            ("/error", 500),
            ("/half", 500),
            ("/memory", 500),
            ("/flood", 500),
            ("/spin", 504),
        ] {
            let begun = Instant::now();
            let answer = served.get(path).await;
            assert_eq!(status(&answer), expected, "{path}: {answer}");
            assert!(begun.elapsed() < Duration::from_secs(5), "{path}: {:?}", begun.elapsed());
            for inner in ["inner", "panick", "early", "wasm", "12345", "memory", "xxx"] {
                assert!(!answer.contains(inner), "{path}: {answer}");
            }
            assert_eq!(status(&served.get("/").await), 200, "after {path}");
        }
    })
    .await;
    let told = served.told.lock().expect("nobody panicked");
    let why =
        |path: &str| told.iter().find(|one| one.path == path).and_then(|one| one.problem.clone()).unwrap_or_default();
    assert!(why("/trap").contains("an inner detail"), "whoever runs it is told: {}", why("/trap"));
    assert!(why("/memory").contains("out of memory") && why("/flood").contains("out of memory"), "{}", why("/flood"));
    assert!(why("/spin").contains("700ms"), "{}", why("/spin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_carries_one_request_after_the_other() {
    let host = host();
    let served = serve(&host, LIMITS).await;
    // Three at once, the last of which ends the connection.
    let one = "GET /count HTTP/1.1\r\nhost: here\r\n\r\n";
    let last = "GET /count HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";
    let answers = send(served.address, format!("{one}{one}{last}")).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_clients_are_turned_away() {
    let host = host();
    let served = serve(&host, LIMITS).await;
    let long = "x".repeat(40_000);
    let many: String = (0..300).map(|n| format!("x-{n}: y\r\n")).collect();
    host.beside(async {
        for (request, expected) in [
            (format!("GET / HTTP/1.1\r\nhost: here\r\nx: {long}\r\n\r\n"), 431),
            (format!("GET / HTTP/1.1\r\nhost: here\r\n{many}\r\n"), 431),
            (format!("GET /{long} HTTP/1.1\r\nhost: here\r\n\r\n"), 431),
            ("GET / HTTP/1.1\r\n\r\n".into(), 400),
            ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".into(), 400),
            ("GET http://evil.example/ HTTP/1.1\r\nhost: a\r\n\r\n".into(), 400),
            ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nabcde".into(), 400),
            ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\n\r\nabc".into(), 413),
            ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".into(), 400),
            ("CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n".into(), 400),
            ("TRACE / HTTP/1.1\r\nhost: a\r\n\r\n".into(), 501),
            ("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n".into(), 501),
            ("G\u{0}T / HTTP/1.1\r\nhost: a\r\n\r\n".into(), 400),
            ("\u{16}\u{3}\u{1} is no HTTP\r\n\r\n".into(), 400),
        ] {
            // What is answered and not closed would be waited for.
            let request = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
            let answer = send(served.address, &request).await;
            // A connection that is closed with much unread takes back what it said: such a client may not learn why.
            let closed = answer.is_empty() && (request.len() > 10_000 || request.contains("chunked"));
            assert!(status(&answer) == expected || closed, "{}: {answer}", &request[..request.len().min(80)]);
        }
        let endless = format!(
            "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{}",
            "400\r\n".to_string() + &"x".repeat(0x400) + "\r\n"
        );
        let mut stream = TcpStream::connect(served.address).await.expect("it listens");
        let mut sent = 0;
        let chunk = "400\r\n".to_string() + &"x".repeat(0x400) + "\r\n";
        let _ = stream.write_all(endless.as_bytes()).await;
        while sent < 64 << 20 && stream.write_all(chunk.as_bytes()).await.is_ok() {
            sent += chunk.len();
        }
        assert!(sent < 64 << 20, "an endless body is cut off");
        let told = served.told.lock().expect("nobody panicked").clone();
        assert!(told.iter().all(|one| one.status >= 400 && one.receipt.memory == 0), "no turn was begun: {told:?}");
        assert_eq!(status(&served.get("/").await), 200);
        // Of a length beside chunks the chunks count, and the guest sees no length.
        let both = "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 50\r\ntransfer-encoding: chunked\r\n\r\n\
                    3\r\nabc\r\n0\r\n\r\n";
        let answer = send(served.address, both).await;
        let echo = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        assert!(status(&answer) == 201 && echo.ends_with("\nabc") && !echo.contains("content-length"), "{answer}");
    })
    .await;
    assert!(used(served.server.agent(), "memory") < 8 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_never_finishes_a_head_is_not_waited_for() {
    let host = host();
    let served = serve(&host, LIMITS).await;
    let begun = Instant::now();
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: he").await.expect("it is open");
    rest(&mut stream).await;
    let took = begun.elapsed();
    assert!((Duration::from_secs(8)..Duration::from_secs(14)).contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_wait_have_an_account_of_their_own() {
    let host = host();
    let served = serve(&host, LIMITS).await;
    let large = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\n";
    // One that sends nothing of what it promised keeps its part.
    let mut first = TcpStream::connect(served.address).await.expect("it listens");
    first.write_all(large.as_bytes()).await.expect("it is open");
    let refused = async || {
        let mut second = TcpStream::connect(served.address).await.expect("it listens");
        second.write_all(large.as_bytes()).await.expect("it is open");
        second.shutdown().await.expect("it is open");
        rest(&mut second).await
    };
    let begun = Instant::now();
    let answer = loop {
        let answer = refused().await;
        if status(&answer) == 503 || begun.elapsed() > Duration::from_secs(5) {
            break answer;
        }
    };
    assert!(status(&answer) == 503 && answer.contains("retry-after: 1"), "{answer}");
    drop(first);
    let begun = Instant::now();
    while status(&refused().await) == 503 {
        assert!(begun.elapsed() < Duration::from_secs(5), "the part is given back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_what_is_under_way_end() {
    let host = host();
    let served = serve(&host, "cpu=100%,deadline=1s").await;
    let idle = TcpStream::connect(served.address).await.expect("it listens");
    let busy = tokio::spawn(send(served.address, "GET /spin HTTP/1.1\r\nhost: a\r\n\r\n"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    served.stop.send(()).expect("it runs");
    let ended = tokio::time::timeout(Duration::from_secs(8), served.running).await;
    assert!(ended.is_ok(), "it ends");
    let answer = busy.await.expect("it ends");
    assert_eq!(status(&answer), 504, "{answer}");
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody listens any more");
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_asked_as_an_agent_with_one_skill() {
    let host = host();
    assert_eq!(host.load("serve").await.kind(), Kind::Service);
    let agent: Agent = host.agent("serve", LIMITS, &[]).await;
    let card = agent.describe().await.expect("it lives").expect("it describes itself");
    assert_eq!(card.skills.iter().map(|skill| skill.name.as_str()).collect::<Vec<_>>(), ["http"]);
    assert!(card.skills[0].input.contains("\"method\"") && card.skills[0].output.contains("\"status\""));
    let input = r#"{"method":"POST","path":"/echo?q","headers":{"x-mine":"1"},"body":"hi"}"#;
    let reply = ask(&agent, "http", input).await.expect("it answers");
    let reply: serde_json::Value = serde_json::from_str(&reply).expect("JSON");
    assert_eq!((reply["status"].as_u64(), &reply["headers"]["x-one"]), (Some(201), &"1".into()));
    assert_eq!(reply["headers"]["set-cookie"], serde_json::json!(["a=b", "c=d"]));
    let body = reply["body"].as_str().expect("text");
    assert!(body.starts_with("POST /echo?q\n") && body.contains("x-mine: 1\n") && body.ends_with("\nhi"), "{body}");
    let hello = ask(&agent, "", "").await.expect("it answers");
    assert!(hello.contains("hello"), "{hello}");
    let no = ask(&agent, "http", "{\"path\": 1}").await.expect_err("it is no request");
    assert_eq!((no.kind, no.text.contains("`path` is text")), ("invalid", true), "{no}");
    assert_eq!(ask(&agent, "other", "").await.expect_err("it has one skill").kind, "unsupported");
    assert_eq!(ask(&agent, "http", r#"{"path":"/trap"}"#).await.expect_err("it traps").kind, "trap");
    for _ in 0..40 {
        // Forty instances at once would not fit.
        let counted = ask(&agent, "http", r#"{"path":"/count"}"#).await;
        assert!(counted.as_ref().is_ok_and(|reply| reply.contains("\"1\"")), "{counted:?}");
    }
}

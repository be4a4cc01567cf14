//! Outgoing HTTP: what a grant opens, what it doesn't, and answers that are meant to hurt.

use guest::Agent;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::web::{Piece, Web, ok, raw, to};
use tests::{Village, ask, budget, builder, eventually, host, receipt, used};

async fn agent(host: &Village, limits: &str, grants: &[String]) -> Agent {
    let grants: Vec<_> = grants.iter().map(|grant| format!("http={grant}")).collect();
    let open: Vec<_> = grants.iter().map(String::as_str).collect();
    host.agent("fetch", limits, &open).await
}

/// What the guest answers; a refusal is part of it.
async fn said(agent: &Agent, skill: &str, request: &str) -> String {
    ask(agent, skill, request).await.unwrap_or_else(|no| panic!("{skill} {request}: {no}"))
}

const LIMITS: &str = "cpu=100%,memory=16MiB,deadline=20s,http=1000/s";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_granted_is_asked_as_it_was_meant() {
    let host = host();
    let web = Web::start(|_| ok("x-back: 2", "the answer")).await;
    let agent = agent(&host, LIMITS, &[format!("GET,POST {}/v1/", web.origin())]).await;
    let got = said(&agent, "fetch", &format!("GET {}/v1/x?y=1\nx-mine: 1", web.origin())).await;
    assert!(got.starts_with("200\n") && got.contains("x-back: 2") && got.ends_with("\n\nthe answer"), "{got}");
    let request = &web.seen()[0];
    assert!(request.starts_with("GET /v1/x?y=1 HTTP/1.1\r\n"), "the line names no other receiver: {request}");
    assert!(request.contains(&format!("host: {}\r\n", web.address)) && request.contains("x-mine: 1"), "{request}");
    let body = "b".repeat(50_000);
    let got = said(&agent, "fetch", &format!("POST {}/v1/\n\n{body}", web.origin())).await;
    assert!(got.starts_with("200\n") && web.seen()[1].matches('b').count() >= 50_000, "{got}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_neighbours_of_what_is_granted_are_shut() {
    let host = host();
    let (web, other) = (Web::start(|_| ok("", "in")).await, Web::start(|_| ok("", "in")).await);
    let agent = agent(&host, LIMITS, &[format!("GET {}/v1/", web.origin())]).await;
    let (here, port) = (web.origin(), web.address.port());
    for (request, refusal) in [
        (format!("POST {here}/v1/"), "HttpRequestDenied"),
        (format!("HEAD {here}/v1/"), "HttpRequestDenied"),
        (format!("GET {here}/v1x"), "HttpRequestDenied"),
        (format!("GET {here}/"), "HttpRequestDenied"),
        (format!("GET {here}/v1/../admin"), "HttpRequestUriInvalid"),
        (format!("GET {here}/v1/%2e%2e/admin"), "HttpRequestUriInvalid"),
        (format!("GET {here}/v1//admin"), "HttpRequestUriInvalid"),
        (format!("GET {here}/v1/..%2fadmin"), "HttpRequestUriInvalid"),
        (format!("GET https://127.0.0.1:{port}/v1/"), "HttpRequestDenied"),
        (format!("GET http://localhost:{port}/v1/"), "HttpRequestDenied"),
        (format!("GET http://[::1]:{port}/v1/"), "HttpRequestDenied"),
        (format!("GET {}/v1/", other.origin()), "HttpRequestDenied"),
        ("GET http://169.254.169.254/v1/".into(), "HttpRequestDenied"),
    ] {
        let got = said(&agent, "fetch", &request).await;
        assert!(got.starts_with("error: ") && got.contains(refusal), "{request}: {got}");
    }
    let shut = host.agent("fetch", LIMITS, &["log", "state", "clock"]).await;
    let got = said(&shut, "fetch", &format!("GET {here}/v1/")).await;
    assert!(got.contains("HttpRequestDenied"), "{got}");
    assert_eq!((web.seen().len(), other.seen().len()), (0, 0), "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_spellings_and_smuggled_lines_are_refused() {
    let host = host();
    let web = Web::start(|_| ok("", "in")).await;
    let (here, port) = (web.origin(), web.address.port());
    let agent = agent(&host, LIMITS, &[format!("GET {here}/")]).await;
    for authority in [
        format!("user@127.0.0.1:{port}"),
        format!("127.1:{port}"),
        format!("0x7f.0.0.1:{port}"),
        format!("0177.0.0.1:{port}"),
        format!("2130706433:{port}"),
        format!("127.0.0.1.:{port}"),
        format!("127.0.0.1:0{port}"),
        "127.0.0.1:".into(),
        "127.0.0.1:0".into(),
        format!("127.0.0.1:{port}\r\nx: y"),
        format!("127.0.0.1:{port}/evil"),
        String::new(),
    ] {
        let got = said(&agent, "raw", &format!("GET\nhttp\n{authority}\n/")).await;
        assert!(got.starts_with("error: "), "{authority:?}: {got}");
    }
    for (method, scheme, path) in [
        ("GET", "ftp", "/"),
        ("GET", "http", "http://evil.example/"),
        ("GET", "http", "/a b"),
        ("GET", "http", "/a HTTP/1.1\r\nx: y\r\n"),
        ("GET", "http", "/\\evil"),
        ("G ET", "http", "/"),
        ("CONNECT", "http", "/"),
    ] {
        let got = said(&agent, "raw", &format!("{method}\n{scheme}\n127.0.0.1:{port}\n{path}")).await;
        assert!(got.starts_with("error: "), "{method} {scheme} {path}: {got}");
    }
    for header in [
        "host: evil.example",
        "Host: 127.0.0.1",
        "transfer-encoding: chunked",
        "connection: keep-alive",
        "te: trailers",
        "trailer: x",
        "upgrade: h2c",
        "expect: 100-continue",
        "proxy-authorization: x",
        "content-length: +5",
        "content-length: 5",
        "x-a: b\rx-c: d",
    ] {
        let got = said(&agent, "fetch", &format!("GET {here}/\n{header}")).await;
        assert!(got.starts_with("error: "), "{header:?}: {got}");
    }
    assert_eq!(web.seen(), Vec::<String>::new(), "nothing was sent");
    assert!(said(&agent, "raw", &format!("GET\nhttp\n127.0.0.1:{port}\n/")).await.starts_with("200"), "but this is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_judged_like_any_request() {
    let host = host();
    let inner = Web::start(|_| ok("", "an inner service")).await;
    let place = inner.origin();
    let web = Web::start(move |request| match request.split(' ').nth(1) {
        Some("/inner") => to(&format!("{place}/")),
        Some("/metadata") => to("http://169.254.169.254/latest/meta-data/"),
        Some("/again") => to(&format!(
            "http://{}/end",
            request.split("host: ").nth(1).expect("a host").lines().next().expect("a line")
        )),
        _ => ok("", "the end"),
    })
    .await;
    let agent = agent(&host, LIMITS, &[format!("GET {}/", web.origin())]).await;
    let follow = async |path: &str| said(&agent, "follow", &format!("GET {}{path}", web.origin())).await;
    assert!(follow("/again").await.ends_with("the end"));
    assert!(follow("/inner").await.contains("HttpRequestDenied"));
    assert!(follow("/metadata").await.contains("HttpRequestDenied"));
    assert_eq!(inner.seen(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_this_machine_is_refused_unless_it_is_localhost() {
    let host = host();
    let web = Web::start(|_| ok("", "in")).await;
    let port = web.address.port();
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let named = named.trim();
    for name in ["ip6-localhost", "localhost.localdomain", named] {
        let Ok(grant) = guest::Site::parse(&format!("http://{name}:{port}/")) else { continue };
        let agent = agent(&host, LIMITS, &[grant.to_string()]).await;
        let got = said(&agent, "fetch", &format!("GET http://{name}:{port}/")).await;
        let refused = ["DestinationIpProhibited", "DnsError", "DestinationNotFound"];
        assert!(refused.iter().any(|refusal| got.contains(refusal)), "{name}: {got}");
    }
    assert_eq!(web.seen(), Vec::<String>::new(), "nothing was sent");
    let agent = agent(&host, LIMITS, &[format!("http://localhost:{port}/")]).await;
    let got = said(&agent, "fetch", &format!("GET http://LOCALHOST:{port}/")).await;
    assert!(got.starts_with("200"), "{got}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_and_refused_at_the_rate() {
    let host = host();
    let web = Web::start(|_| ok("", "in")).await;
    let agent = agent(&host, "cpu=100%,http=3/s", &[format!("GET {}/", web.origin())]).await;
    let request = format!("20 GET {}/", web.origin());
    let got = said(&agent, "times", &request).await;
    let (done, why) = got.split_once(' ').expect("a number and an error");
    let done: usize = done.parse().expect("a number");
    assert!((3..=6).contains(&done) && why.contains("ConnectionLimitReached"), "{got}");
    assert_eq!(web.seen().len(), done, "what is refused is not sent");
    assert!(used(&agent, "http") >= 2 && agent.usage().iter().any(|row| row.field == "http" && row.limit == "3/s"));
    eventually("the rate", || used(&agent, "http") == 0).await;
    agent.set_budget(budget("cpu=100%,http=500/s"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(said(&agent, "times", &request).await, "20");
    let echo = host.agent("echo", "http=7/s", &["budget"]).await;
    let rows = ask(&echo, "budget", "").await.expect("granted");
    assert!(rows.contains("http 0 7 Unit::CountPerSecond"), "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_are_under_way_at_once() {
    let host = host();
    let web = Web::start(|_| ok("", "in")).await;
    let agent = agent(&host, LIMITS, &[format!("GET {}/", web.origin())]).await;
    let before = used(&agent, "memory");
    let got = said(&agent, "at-once", &format!("20 GET {}/", web.origin())).await;
    let (good, bad): (Vec<_>, Vec<_>) = got.lines().partition(|line| *line == "200");
    assert_eq!((good.len(), bad.len()), (16, 4), "{got}");
    assert!(bad.iter().all(|line| line.contains("ConnectionLimitReached")), "{got}");
    assert!(said(&agent, "fetch", &format!("GET {}/", web.origin())).await.starts_with("200"), "there is room again");
    let after = used(&agent, "memory");
    assert!(after < before + (8 << 20), "what was under way is given back: {before} and then {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_lie_or_never_end_are_cut_off() {
    let host = host();
    let web = Web::start(|request| match request.split(' ').nth(1) {
        Some("/two-lengths") => {
            vec![raw("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nabcde")]
        }
        Some("/short") => vec![raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")],
        Some("/huge") => vec![raw("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nabc")],
        Some("/headers") => vec![raw("HTTP/1.1 200 OK\r\n"), Piece::Forever(b"x-more: and more\r\n".to_vec())],
        Some("/long-header") => vec![raw("HTTP/1.1 200 OK\r\nx: "), Piece::Forever(vec![b'y'; 1000])],
        Some("/informed") => vec![Piece::Forever(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec())],
        Some("/body") => {
            vec![raw("HTTP/1.1 200 OK\r\n\r\n"), Piece::Forever(vec![b'x'; 64 << 10])]
        }
        Some("/nothing") => vec![Piece::Pause(Duration::from_secs(60))],
        Some("/pause") => {
            vec![raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"), Piece::Pause(Duration::from_secs(60))]
        }
        _ => vec![raw("no HTTP at all\r\n\r\n")],
    })
    .await;
    let agent =
        agent(&host, "cpu=100%,memory=300MiB,deadline=30s,http=1000/s", &[format!("GET {}/", web.origin())]).await;
    host.beside(async {
        for (path, refusal) in [
            ("/two-lengths", "HttpProtocolError"),
            ("/short", "HttpResponseIncomplete"),
            ("/huge", "HttpResponseBodySize"),
            ("/headers", "Http"),
            ("/long-header", "HttpResponseHeaderSectionSize"),
            ("/body", "HttpResponseBodySize"),
            ("/other", "HttpProtocolError"),
        ] {
            let got = said(&agent, "size", &format!("GET {}{path}", web.origin())).await;
            assert!(got.starts_with("error: ") && got.contains(refusal), "{path}: {got}");
        }
        for (path, times) in [("/nothing", "- 300 -"), ("/pause", "- - 300"), ("/informed", "- 300 -")] {
            let begun = Instant::now();
            let got = said(&agent, "slow", &format!("{times} GET {}{path}", web.origin())).await;
            assert!(got.contains("Timeout"), "{path}: {got}");
            assert!(begun.elapsed() < Duration::from_secs(5), "{path}: {:?}", begun.elapsed());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_an_answer_waits_until_the_deadline_and_no_longer() {
    let host = host();
    let web = Web::start(|_| vec![Piece::Pause(Duration::from_secs(60))]).await;
    let agent = agent(&host, "deadline=600ms", &[format!("GET {}/", web.origin())]).await;
    let begun = Instant::now();
    let ended = ask(&agent, "fetch", &format!("GET {}/", web.origin())).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // Either the turn is over, or the guest hears of the time-out that comes with it.
    match ended {
        Ok(said) => assert!(said.contains("Timeout"), "{said}"),
        Err(no) => assert_eq!(no.kind, "deadline"),
    }
    assert_eq!(web.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_piles_up_in_the_host_counts_as_its_memory() {
    let host = host();
    host.beside(async {
        let agent = agent(&host, "cpu=100%,memory=20MiB", &["GET http://127.0.0.1:1/".into()]).await;
        for (skill, each) in [("fields", 16 << 10), ("bodies", 32 << 10)] {
            let none = receipt(&agent, skill, "0").await.1.memory;
            let (some, used) = receipt(&agent, skill, "60").await;
            assert_eq!(some.as_deref(), Ok("60"));
            assert!(used.memory >= none + 60 * each, "{skill}: {none} bytes without, {} with", used.memory);
            let no = ask(&agent, skill, "1000000").await.expect_err("it is too much");
            assert_eq!(no.kind, "memory", "{skill}: {no}");
        }
        said(&agent, "fields", "1").await;
        assert!(used(&agent, "memory") < 4 << 20, "{}", used(&agent, "memory"));
    })
    .await;
}

/// A certificate for `name` by an authority of our own, with that authority's certificate.
fn certificate(name: &str) -> (tokio_rustls::TlsAcceptor, String) {
    let key = || KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = key();
    let authority = params.self_signed(&authority_key).expect("a certificate");
    let issuer = Issuer::new(params, authority_key);
    let own = key();
    let leaf = CertificateParams::new(vec![name.into()]).expect("a name").signed_by(&own, &issuer).expect("signed");
    let chain = vec![CertificateDer::from(leaf.der().to_vec())];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::try_from(own.serialize_der()).expect("a key"))
        .expect("they fit");
    (Arc::new(config).into(), authority.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secure_connection_is_to_whom_the_certificate_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let (tls, authority) = certificate("localhost");
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, &authority).expect("written");
    let web = Web::start_tls(Some(tls), |_| ok("", "in")).await;
    let (other_tls, _) = certificate("localhost");
    let stranger = Web::start_tls(Some(other_tls), |_| ok("", "in")).await;
    let trusting = Village(builder(4).roots(&roots).build().expect("a host"));
    let fetch = async |host: &Village, name: &str, web: &Web| {
        let origin = format!("https://{name}:{}/", web.address.port());
        let agent = agent(host, LIMITS, &[format!("GET {origin}")]).await;
        said(&agent, "fetch", &format!("GET {origin}")).await
    };
    let got = fetch(&trusting, "localhost", &web).await;
    assert!(got.starts_with("200"), "{got}");
    for (host, name, web) in
        [(&trusting, "127.0.0.1", &web), (&trusting, "localhost", &stranger), (&host(), "localhost", &web)]
    {
        let got = fetch(host, name, web).await;
        assert!(got.contains("TlsCertificateError"), "{name}: {got}");
    }
    assert_eq!(web.seen().iter().filter(|request| request.starts_with("GET")).count(), 1);
}

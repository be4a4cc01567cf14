//! Secrets: the host sends them, and the agent, its log and its replies never hold one.

use guest::{Agent, Error, Secrets};
use std::path::Path;
use tests::web::{Piece, Web, ok, raw};
use tests::{Village, ask, budget, builder, grants, message, text};

const VALUE: &str = "pl4nted-s3cret/of+the\"test";
const LIMITS: &str = "cpu=100%,memory=16MiB,http=1000/s,log=1MiB";

/// A host whose user has one secret, `KEY`.
fn host(folder: &Path) -> Village {
    let secrets = Secrets::at(folder.join("own/secrets.toml"));
    secrets.set("KEY", VALUE).expect("it is kept");
    Village(builder(4).cache(folder.join("native")).secrets(secrets).build().expect("a host"))
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// In base64, as the test has it from elsewhere: of `user:` and the secret.
const BASIC: &str = "dXNlcjpwbDRudGVkLXMzY3JldC9vZit0aGUidGVzdA==";

/// A server that gives back what it was sent, in every spelling, in its head and its body.
async fn echo() -> Web {
    Web::start(|request| {
        let sent = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap_or("none");
        if request.starts_with("GET /pieces") {
            let mut pieces = vec![raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sent\r\n\r\n")];
            pieces.extend(sent.bytes().map(|byte| raw(&format!("1\r\n{}\r\n", char::from(byte)))));
            pieces.push(Piece::Bytes(format!("0\r\nx-sent: {sent}\r\n\r\n").into_bytes()));
            return pieces;
        }
        ok(&format!("x-sent: {sent}"), format!("{request}\n{sent} {} {BASIC} end", hex(sent)))
    })
    .await
}

async fn keyed(host: &Village, web: &Web) -> Agent {
    let grant = format!("http=GET {}/ secret=KEY", web.origin());
    host.agent("fetch", LIMITS, &[&grant, "log"]).await
}

/// Every spelling in which the secret must be nowhere.
fn clean(what: &str, text: &str) {
    for spelling in [VALUE, &hex(VALUE), BASIC, "s3cret/of", &VALUE.replace('"', "\\\"")] {
        assert!(!text.contains(spelling), "{what} holds `{spelling}`: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_sent_by_the_host_and_seen_by_nobody_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let (host, web) = (host(folder.path()), echo().await);
    let agent = keyed(&host, &web).await;
    for path in ["/", "/pieces"] {
        let got = ask(&agent, "fetch", &format!("GET {}{path}", web.origin())).await.expect("it answers");
        assert!(got.starts_with("200") && got.contains("[secret KEY]"), "{got}");
        clean(path, &got);
    }
    let request = &web.seen()[0];
    assert!(request.contains(&format!("authorization: Bearer {VALUE}\r\n")), "it was sent: {request}");
    assert!(request.contains("accept-encoding: identity"), "{request}");

    let fetch = format!("GET {}/", web.origin());
    for skill in ["log", "print"] {
        ask(&agent, skill, &fetch).await.expect("it writes");
    }
    let (lines, _) = agent.log();
    assert!(lines.len() > 5 && lines.iter().any(|line| line.text.contains("[secret KEY]")), "{lines:?}");
    clean("the log", &format!("{lines:?}"));
    let panicked = ask(&agent, "panic", &fetch).await.expect_err("it panics");
    let failed = ask(&agent, "fail", &fetch).await.expect_err("it fails");
    assert!(panicked.text.contains("[secret KEY]") || panicked.kind == "trap", "{panicked}");
    clean("a panic", &panicked.to_string());
    clean("a failure", &failed.to_string());
    assert!(failed.text.contains("[secret KEY]"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_repeats_a_secret_that_it_learned_elsewhere_is_silenced() {
    // No server told it: the test does. So each way out is seen to be watched by itself.
    let folder = tempfile::tempdir().expect("a folder");
    let (host, web) = (host(folder.path()), echo().await);
    let grant = format!("http=GET {}/ secret=KEY", web.origin());
    let told = host.agent("world", LIMITS, &[&grant, "log"]).await;
    let line = format!("before {VALUE} after");
    for skill in ["print", "eprint"] {
        let reply = ask(&told, skill, &line).await.expect("it prints");
        clean("a reply", &reply);
        assert!(reply.contains("before [secret KEY] after"), "{reply}");
    }
    let broken = ask(&told, "panic", &line).await.expect_err("it breaks");
    clean("a fault", &format!("{broken:?}"));
    assert!(broken.text.contains("[secret KEY]"), "{broken}");
    let (lines, _) = told.log();
    assert_eq!(lines.iter().filter(|line| line.text.contains("before [secret KEY] after")).count(), 3, "{lines:?}");
    clean("the log", &format!("{lines:?}"));
    let echo = host.agent("echo", LIMITS, &[&grant, "log"]).await;
    let failed = ask(&echo, "fail", &format!("refused {VALUE}")).await.expect_err("it fails");
    clean("a failure", &format!("{failed:?}"));
    let answer = echo.ask(message("echo", VALUE)).await.expect("it answers").outcome.expect("it does");
    assert_eq!(answer.payload.body, b"[secret KEY]");
    ask(&echo, "log", VALUE).await.expect("it logs");
    clean("the log", &format!("{:?}", echo.log()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_goes_where_it_was_granted_and_nowhere_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let (host, web, other) = (host(folder.path()), echo().await, echo().await);
    let grants = [
        format!("http=GET {}/keyed/ secret=KEY as=x-key: {{}}", web.origin()),
        format!("http=GET {}/", web.origin()),
        format!("http=GET {}/", other.origin()),
    ];
    let open: Vec<_> = grants.iter().map(String::as_str).collect();
    let agent = host.agent("fetch", LIMITS, &open).await;
    let fetch = async |request: String| ask(&agent, "fetch", &request).await.expect("it answers");
    fetch(format!("GET {}/keyed/a", web.origin())).await;
    fetch(format!("GET {}/open", web.origin())).await;
    fetch(format!("GET {}/", other.origin())).await;
    assert!(web.seen()[0].contains(&format!("x-key: {VALUE}")), "{:?}", web.seen());
    assert!(!web.seen()[1].contains(VALUE) && !other.seen()[0].contains(VALUE));
    for header in ["x-key: mine", "X-Key: mine", "range: bytes=0-3"] {
        let got = fetch(format!("GET {}/keyed/a\n{header}", web.origin())).await;
        assert!(got.contains("HttpRequestDenied"), "{header}: {got}");
    }
    assert_eq!(web.seen().len(), 2, "nothing more was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_compressed_is_refused_where_it_could_hide_a_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = host(folder.path());
    let web = Web::start(|_| ok("content-encoding: gzip", "squeezed")).await;
    let agent = keyed(&host, &web).await;
    let got = ask(&agent, "fetch", &format!("GET {}/", web.origin())).await.expect("it answers");
    assert!(got.contains("HttpResponseContentCoding"), "{got}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_there_is_asked_for_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = host(folder.path());
    let version = host.load("fetch").await;
    let started = host.0.start(&version, budget(""), grants(&["http=https://example.com/ secret=OTHER"]), None);
    let error = started.err().expect("it is refused");
    assert!(matches!(error, Error::Secret(_)) && error.to_string().contains("village secret set OTHER"), "{error}");
}

/// Every file in a folder, whatever it holds.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("it can be listed").path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default())),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_secret_is_in_nothing_that_was_written_but_its_own_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (host, web) = (host(folder.path()), echo().await);
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("made");
    let agent = keyed(&host, &web).await;
    let mut written = String::new();
    for skill in ["fetch", "log", "print", "panic", "fail", "follow"] {
        written.push_str(&format!("{:?}", ask(&agent, skill, &format!("GET {}/", web.origin())).await));
    }
    // A command's output is kept too: this one prints a file that the test planted the secret in.
    std::fs::write(data.join("leak"), VALUE).expect("written");
    let grant = format!("http=GET {}/ secret=KEY", web.origin());
    let files_grant = format!("files={}:/data:ro", data.display());
    let version = host.0.load(tests::guest("command")).await.expect("it loads");
    let arguments = ["command", "/data/leak"].map(String::from).to_vec();
    let stdin = guest::Stdin::Bytes(VALUE.into());
    let ran =
        host.0.run(&version, arguments, stdin, budget(LIMITS), grants(&[&grant, &files_grant])).await.expect("runs");
    assert!(String::from_utf8_lossy(&ran.stdout).contains("[secret KEY]"), "{ran:?}");
    written.push_str(&format!("{ran:?} {:?} {:?} {:?}", agent.log(), agent.usage(), agent.budget()));
    written.push_str(&format!("{:?}", grants(&[&grant])));
    std::fs::remove_file(data.join("leak")).expect("it is ours");
    clean("what was said", &written);
    let mut found = Vec::new();
    files(folder.path(), &mut found);
    let holding: Vec<_> = found
        .iter()
        .filter(|(_, bytes)| {
            let text = String::from_utf8_lossy(bytes);
            [VALUE, "pl4nted", &hex("pl4nted"), BASIC].iter().any(|spelling| text.contains(spelling))
        })
        .map(|(path, _)| path.as_str())
        .collect();
    assert!(found.len() >= 3, "the cache was looked at: {found:?}", found = found.len());
    assert_eq!(holding, [folder.path().join("own/secrets.toml").display().to_string()]);
    // A component that is no agent fails with words of its own; nothing of the secret is in those either.
    let broken = host.0.load(&text::component("")).await.err().expect("it is refused");
    clean("a refusal", &broken.to_string());
}

#[test]
fn no_grant_shows_the_folder_of_the_secrets() {
    // The user's own place is looked at, as nothing else is known where a grant is read.
    let program = std::env::current_exe().expect("this program has a path");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("village/secrets.toml");
    Secrets::at(&file).set("KEY", VALUE).expect("it is kept");
    let ran = std::process::Command::new(program)
        .args(["--exact", "secrets::shut_folder", "--nocapture", "--include-ignored"])
        .env("VILLAGE_SECRETS", &file)
        .env("VILLAGE_SHUT", folder.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success() && said.contains("1 passed") && said.contains("looked"), "{said}");
}

/// What the test above runs in a process with an environment of its own.
#[test]
fn shut_folder() {
    let Ok(folder) = std::env::var("VILLAGE_SHUT") else { return };
    for place in [folder.clone(), format!("{folder}/village"), "/".into()] {
        let refusal = guest::Grants::default().open(&format!("files={place}:/data:ro")).expect_err("it is refused");
        assert!(refusal.to_string().contains("secrets"), "{refusal}");
    }
    println!("looked");
}

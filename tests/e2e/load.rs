//! Loading: what is refused and why, the compiler in its own process, and its cache.

use guest::{Compiler, Host, Pool};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tests::{Village, ask, guest, host, text};

/// A host that compiles in a child process, with a cache of its own.
fn strict(cache: &Path, program: impl Into<PathBuf>) -> Village {
    let built = Host::builder()
        .pool(Pool::Slots(4))
        .cache(cache)
        .compiler(Compiler::Program(program.into()))
        .workers(NonZeroUsize::MIN.saturating_add(1))
        .build();
    Village(built.expect("a host can be made"))
}

fn compiler() -> &'static str {
    env!("CARGO_BIN_EXE_compiler")
}

/// Why a component is not loaded.
async fn refusal(host: &Village, bytes: &[u8]) -> (&'static str, String) {
    match host.0.load(bytes).await {
        Ok(_) => panic!("it was loaded"),
        Err(error) => (error.kind(), error.to_string()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_sound_component_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = strict(&folder.path().join("native"), compiler());
    let echo = guest("echo");
    let mut broken = echo.to_vec();
    let middle = broken.len() / 2;
    broken[middle..middle + 64].fill(0xff);
    let unsound = text::command(r#"(func (export "run") (result i32) i32.const 0)"#);
    let unsound: Vec<u8> = {
        // The constant's type is changed, so that only whoever checks the code sees it.
        let at = unsound.windows(3).position(|window| window == [0x41, 0x00, 0x0b]).expect("the function's body");
        let mut bytes = unsound.clone();
        bytes[at] = 0x42;
        bytes
    };
    for (bytes, said) in [
        (&b""[..], "the file is empty"),
        (b"\x7fELF", "not WebAssembly"),
        (b"(component)", "wasm-tools parse"),
        (&text::binary("(module)"), "core module"),
        (&echo[..echo.len() - 7], "truncated"),
        (&echo[..12], "truncated"),
        (&broken, ""),
        (&unsound, "type mismatch"),
        (&text::command(&format!("(memory i64 1) {}", text::WELL)), "64"),
        (&text::command(&format!("(memory 1 1 shared) {}", text::WELL)), "thread"),
    ] {
        let (kind, reason) = refusal(&host, bytes).await;
        assert_eq!((kind, reason.contains(said)), ("invalid-component", true), "{said}: {reason}");
    }
    host.0.load(echo).await.expect("the sound one is loaded");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_told_all_that_is_missing() {
    let host = host();
    let other = text::component(
        r#"(import "wasi:keyvalue/store@0.2.0" (instance))
        (import "acme:dice/roll@1.0.0" (instance))
        (import "village:agent/log@0.2.0" (instance))
        (import "wasi:io/poll@0.2.3" (instance))"#,
    );
    let (kind, reason) = refusal(&host, &other).await;
    assert_eq!(kind, "invalid-component");
    for missing in [
        "village:agent/agent@0.1.0",
        "wasi:http/incoming-handler@0.2",
        "wasi:cli/run@0.2",
        "wasi:keyvalue/store@0.2.0",
        "acme:dice/roll@1.0.0",
        "village:agent/log@0.2.0",
    ] {
        assert!(reason.contains(missing), "{missing} is not in: {reason}");
    }
    assert!(!reason.contains("wasi:io/poll"), "{reason}");
    // The names are right, and what is behind them is not.
    for wrong in [
        r#"(instance $empty) (export "village:agent/agent@0.1.0" (instance $empty))"#,
        r#"(import "village:agent/log@0.1.0" (instance (export "shout" (func))))
        (instance $empty) (export "wasi:cli/run@0.2.0" (instance $empty))"#,
    ] {
        let (kind, reason) = refusal(&host, &text::component(wrong)).await;
        assert_eq!(kind, "invalid-component", "{reason}");
    }
}

/// Components in which each holds two of the one before: few bytes, and 2 to the power of `levels` instances.
fn bomb(levels: usize) -> Vec<u8> {
    let mut inner = format!("(component $c0 (core module $m {}) (core instance (instantiate $m)))", text::WELL);
    for level in 1..=levels {
        let below = level - 1;
        inner = format!(
            "(component $c{level} {inner} (instance (instantiate $c{below})) (instance (instantiate $c{below})))"
        );
    }
    let whole = format!(
        r#"{inner} (instance (instantiate $c{levels}))
        (core module $main {}) (core instance $main (instantiate $main)) {}"#,
        text::WELL,
        text::export("$main", "")
    );
    text::component(&whole)
}

/// So many components within each other.
fn nested(levels: usize) -> Vec<u8> {
    const HEADER: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
    let mut bytes = HEADER.to_vec();
    for _ in 0..levels {
        let mut outer = HEADER.to_vec();
        outer.push(4);
        let mut length = bytes.len();
        while length >= 0x80 {
            outer.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend(bytes);
        bytes = outer;
    }
    bytes.extend(&text::command(text::WELL)[HEADER.len()..]);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_blows_up_the_compiler_costs_its_own_load_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = strict(&folder.path().join("native"), compiler());
    host.beside(async {
        let bomb = bomb(28);
        assert!(bomb.len() < 4096, "{} bytes", bomb.len());
        let (kind, reason) = refusal(&host, &bomb).await;
        assert_eq!(kind, "invalid-component", "{reason}");
        // This many within each other are no harm, and far more are too many: to the compiler, not to the host.
        let deep = host.run(&nested(1000), "memory=1MiB").await.expect("it is loaded");
        assert_eq!(deep.outcome.expect("it ends"), 0);
        let (kind, reason) = refusal(&host, &nested(60_000)).await;
        assert_eq!(kind, "invalid-component", "{reason}");
        let small = host.run(&self::bomb(2), "memory=1MiB").await.expect("what is small enough is loaded");
        assert_eq!(small.outcome.expect("it ends"), 0);
        let agent = host.agent("cpu", "", &[]).await;
        assert_eq!(ask(&agent, "work", "1").await.as_deref(), Ok("1"), "others are compiled as ever");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_compiler_is_stopped_at_its_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = strict(&folder.path().join("native"), compiler());
    let begun = Instant::now();
    let (kind, reason) = refusal(&host, &bomb(28)).await;
    assert_eq!((kind, reason.contains("1024 MiB")), ("invalid-component", true), "{reason}");
    assert!(begun.elapsed() < runtime::compiler::TIME, "{:?}", begun.elapsed());
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_compiler_is_stopped_when_its_time_is_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let (program, id) = (folder.path().join("sleeps"), folder.path().join("id"));
    script(&program, &format!("#!/bin/sh\necho $$ > '{}'\nexec sleep 300\n", id.display()));
    let host = strict(&folder.path().join("native"), &program);
    let begun = Instant::now();
    let (kind, reason) = refusal(&host, guest("echo")).await;
    assert_eq!((kind, reason.contains("longer than 30 s")), ("invalid-component", true), "{reason}");
    assert!(begun.elapsed() < runtime::compiler::TIME + Duration::from_secs(5), "{:?}", begun.elapsed());
    let id = std::fs::read_to_string(&id).expect("it began");
    let gone =
        || std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).map_or(true, |stat| stat.contains(") Z "));
    tests::eventually("the end of the compiler", gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_no_compiler_is_the_hosts_own_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = strict(&folder.path().join("native"), folder.path().join("no such program"));
    let (kind, reason) = refusal(&host, guest("echo")).await;
    assert_eq!((kind, reason.contains("no such program")), ("internal", true), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_compiled_is_used_again_unless_somebody_changed_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("native");
    strict(&cache, compiler()).0.load(guest("echo")).await.expect("it is compiled");
    let without = strict(&cache, folder.path().join("no compiler"));
    without.0.load(guest("echo")).await.expect("it is in the cache");
    assert_eq!(refusal(&without, guest("cpu")).await.0, "internal", "what is not must be compiled");
    let kept: Vec<_> = std::fs::read_dir(&cache)
        .expect("a folder")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|end| end == "native"))
        .collect();
    assert_eq!(kept.len(), 1);
    let mut native = std::fs::read(&kept[0]).expect("it can be read");
    let middle = native.len() / 2;
    native[middle] ^= 1;
    std::fs::write(&kept[0], &native).expect("written");
    assert_eq!(refusal(&without, guest("echo")).await.0, "internal", "what was changed is not used");
    strict(&cache, compiler()).0.load(guest("echo")).await.expect("it is compiled again");
    without.0.load(guest("echo")).await.expect("and is in the cache again");
}

/// Makes a program of these lines.
#[cfg(unix)]
fn script(program: &Path, lines: &str) {
    // A shell writes it: were it open for writing here, a process started meanwhile could keep it from running.
    let write = r#"printf %s "$1" > "$0" && chmod +x "$0""#;
    let wrote = std::process::Command::new("/bin/sh").args(["-c", write]).arg(program).arg(lines).status();
    assert!(wrote.expect("there is a shell").success());
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn components_that_are_loaded_at_once_are_compiled_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (program, count) = (folder.path().join("counts"), folder.path().join("count"));
    let script = format!("#!/bin/sh\necho >> '{}'\nexec '{}' \"$@\"\n", count.display(), compiler());
    self::script(&program, &script);
    let cache = folder.path().join("native");
    // Two hosts with one cache, as two programs would be.
    let (one, two) = (strict(&cache, &program), strict(&cache, &program));
    let (a, b, c, d) = tokio::join!(
        one.0.load(guest("echo")),
        two.0.load(guest("echo")),
        one.0.load(guest("echo")),
        two.0.load(guest("cpu"))
    );
    for version in [a, b, c, d] {
        version.expect("it is loaded");
    }
    let compiled = std::fs::read_to_string(&count).expect("it was called").lines().count();
    assert_eq!(compiled, 2, "for two components");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_no_agent_and_an_agent_no_command() {
    let host = host();
    let command = host.agent("command", "deadline=2s", &[]).await;
    let no = ask(&command, "", "").await.expect_err("it is a command");
    assert_eq!(no.kind, "refused", "{no}");
    let version = host.load("echo").await;
    let input = guest::Stdin::Bytes(Vec::new());
    let error = host.0.run(&version, Vec::new(), input, tests::budget("deadline=2s"), tests::grants(&[])).await;
    assert_eq!(error.err().map(|error| error.kind()), Some("invalid-component"));
    tokio::time::timeout(Duration::from_secs(5), host.agent("echo", "", &[]).await.describe())
        .await
        .expect("it answers")
        .expect("it lives")
        .expect("it is sound");
}

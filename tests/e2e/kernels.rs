//! Arithmetic on weights for agents: what it answers, who pays for it, and what nobody gets through it.

use guest::Agent;
use kernels::backend::{Linear, Stretch, Tasks};
use kernels::job::{Means, convert_tensor, merge_tensor};
use kernels::merge::{Ask, Method};
use kernels::{Backend, Counter, Cpu, Format, Inline, Kind, Metadata, Output, Scheme, View};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tests::{Village, ask, eventually, host, host_with, quiet, receipt, used};

/// A folder `w` of weights that an agent is granted, beside a secret one.
struct Place {
    root: tempfile::TempDir,
    agent: Agent,
}

const SHAPE: [u64; 2] = [8, 256];
const NAMES: [&str; 4] = ["base", "a", "b", "c"];

/// Numbers like weights.
fn numbers(count: u64, seed: u64) -> Vec<u8> {
    let counter = Counter::new(seed, "tests", 0);
    (0..count).flat_map(|i| ((counter.unit(i) - 0.5) * 0.1).to_le_bytes()).collect()
}

fn write(path: &std::path::Path, tensors: &[(&str, &[u64], Vec<u8>)]) {
    let plans: Vec<_> =
        tensors.iter().map(|(name, shape, _)| ((*name).to_owned(), shape.to_vec(), Format::F32)).collect();
    let output = Output::create(path, &plans, &Metadata::Safetensors(Vec::new())).expect("begun");
    for (number, (.., bytes)) in tensors.iter().enumerate() {
        output.write(number, 0, bytes).expect("written");
    }
    output.finish().expect("finished");
}

fn weights(path: &std::path::Path) {
    let tensor = |n: usize| (NAMES[n], &SHAPE[..], numbers(SHAPE[0] * SHAPE[1], n as u64));
    write(path, &[tensor(0), tensor(1), tensor(2), tensor(3), ("odd", &[3, 5], numbers(15, 9))]);
}

impl Place {
    async fn new(host: &Village, limits: &str) -> Place {
        Self::with(host, limits, &["kernels"]).await
    }

    async fn with(host: &Village, limits: &str, open: &[&str]) -> Place {
        let root = tempfile::tempdir().expect("a folder");
        for folder in ["w", "outside"] {
            fs::create_dir(root.path().join(folder)).expect("made");
            weights(&root.path().join(folder).join("m.safetensors"));
        }
        let files = format!("files={}:/w:ro", root.path().join("w").display());
        let grants: Vec<&str> = open.iter().copied().chain([files.as_str()]).collect();
        let agent = host.agent("kernels", limits, &grants).await;
        Place { root, agent }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    async fn ask(&self, skill: &str, payload: &str) -> String {
        ask(&self.agent, skill, payload).await.unwrap_or_else(|no| panic!("{skill} {payload}: {no}"))
    }
}

fn means() -> Means<'static> {
    static CPU: std::sync::LazyLock<Cpu> = std::sync::LazyLock::new(Cpu::default);
    Means { backend: &*CPU, pool: &Inline, watch: &() }
}

/// As the guest tells of a tensor.
fn told(shape: &[u64], format: Format, bytes: &[u8]) -> String {
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{shape:?} {format} {} {sum:016x}", bytes.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_the_bytes_that_the_arithmetic_gives() {
    let host = host();
    let place = Place::new(&host, "memory=16MiB,cpu=100%").await;
    assert_eq!(place.ask("names", "/w/m.safetensors").await, "base,a,b,c,odd");
    assert_eq!(place.ask("about", "/w/m.safetensors:odd").await, "[3, 5] f32");
    let all: Vec<Vec<u8>> = (0..4).map(|n| numbers(SHAPE[0] * SHAPE[1], n)).collect();
    let view = |n: usize| View::new(NAMES[n], &SHAPE, Format::F32, &all[n]).expect("sound");
    let expected = |method: Method, base: Option<View<'_>>, tensors: &[usize], parameters: &str| {
        let ask = Ask::from_json(method, base, tensors.iter().map(|n| view(*n)).collect(), parameters).expect("sound");
        told(&SHAPE, Format::F32, &merge_tensor(&ask, Format::F32.into(), means()).expect("merges"))
    };
    let at = |name: &str| format!("/w/m.safetensors:{name}");
    let weighted = r#"{"weight":[0.5,0.25,0.25],"density":0.5}"#;
    let three = format!("{},{},{}", at("a"), at("b"), at("c"));
    let merged = place.ask("merge", &format!("ties {three} {} {weighted}", at("base"))).await;
    assert_eq!(merged, expected(Method::Ties, Some(view(0)), &[1, 2, 3], weighted));
    let merged = place.ask("merge", &format!("linear {three} - {weighted}")).await;
    assert_eq!(merged, expected(Method::Linear, None, &[1, 2, 3], weighted));
    let chance = r#"{"weight":1,"density":0.5,"seed":7}"#;
    let merged = place.ask("merge", &format!("dare_linear {} {} {chance}", at("a"), at("base"))).await;
    assert_eq!(merged, expected(Method::DareLinear, Some(view(0)), &[1], chance));
    for format in ["q8_0", "q4_k", "ternary", "nf4", "vq", "bf16", "int8_row"] {
        let to: Scheme = format.parse().expect("a type");
        let bytes = convert_tensor(&view(1), to, means()).expect("converts");
        assert_eq!(place.ask("convert", &format!("{} {format}", at("a"))).await, told(&SHAPE, to.format, &bytes));
    }
    let asked = |a: usize, b: usize| kernels::compare::distance(&view(a), &view(b), &Inline).expect("answers");
    assert_eq!(place.ask("distance", &format!("{} {}", at("a"), at("b"))).await, asked(1, 2).to_string());
    let norm = kernels::compare::norm(&view(3), &Inline).expect("answers");
    assert_eq!(place.ask("norm", &at("c")).await, norm.to_string());
    let cosine = kernels::compare::cosine(&view(1), &view(2), &Inline).expect("answers");
    assert_eq!(place.ask("cosine", &format!("{} {}", at("a"), at("b"))).await, cosine.to_string());
    let top = kernels::compare::top(&view(2), 3, &Inline).expect("answers");
    assert_eq!(place.ask("top", &format!("{} 3", at("b"))).await, format!("{top:?}"));
    assert_eq!(place.ask("read", &format!("{} 2 4", at("a"))).await, hex(&all[1][2..6]));
    assert_eq!(place.ask("read", &format!("{} 8190 99", at("a"))).await, hex(&all[1][8190..]));
    assert_eq!(place.ask("read", &format!("{} 999999 1", at("a"))).await, "", "past the end");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_said() {
    let host = host();
    let place = Place::new(&host, "memory=16MiB").await;
    fs::write(place.path("w/short.safetensors"), [9, 0, 0, 0, 0, 0, 0, 0, b'{']).expect("written");
    fs::write(place.path("w/text.safetensors"), "no weights at all, just some words").expect("written");
    let a = "/w/m.safetensors:a";
    for (skill, payload, said) in [
        ("names", "/w/none.safetensors", "not-found /w/none.safetensors"),
        ("names", "/w/m.safetensors/x", "not-found"),
        ("names", "/w", "invalid /w: not a file"),
        ("names", "/w/short.safetensors", "invalid /w/short.safetensors: cut short"),
        ("names", "/w/text.safetensors", "invalid /w/text.safetensors"),
        ("about", "/w/m.safetensors:none", "not-found /w/m.safetensors has no tensor `none`"),
        ("make", "2x3 f32 25", "invalid tensor `tensor`: shape [2, 3] needs 24 bytes"),
        ("make", "2x3 f31 24", "invalid"),
        ("make", "4x100 q4_k 225", "invalid"),
        ("make", "1x1x1x1x1x1x1x1x4 u8 4", "invalid"),
        ("convert", &format!("{a} q4_k_m"), "invalid"),
        ("convert", "/w/m.safetensors:odd q4_k", "invalid tensor `tensor`: rows of 5 do not divide"),
        ("convert", &format!("{a} i32"), "invalid"),
        ("merge", "linear  - {}", "invalid"),
        ("merge", &format!("linear {a},/w/m.safetensors:odd - {{\"weight\":1}}"), "invalid"),
        ("merge", &format!("ties {a} - {{\"weight\":1}}"), "invalid recipe: `ties` needs a base"),
        ("merge", &format!("ties {a} {a} {{\"weight\":1,\"wieght\":2}}"), "invalid recipe: `wieght` is not known"),
        ("merge", &format!("linear {a} - {{\"weight\":[1,2]}}"), "invalid"),
        ("merge", &format!("linear {a} - [1]"), "invalid"),
        ("merge", &format!("lienar {a} - {{}}"), "invalid recipe: unknown merge method `lienar`"),
        ("distance", &format!("{a} /w/m.safetensors:odd"), "invalid tensors of different shapes"),
    ] {
        let reply = place.ask(skill, payload).await;
        assert!(reply.starts_with(&format!("error: {said}")), "{skill} {payload}: {reply}");
    }
    assert_eq!(place.ask("make", "0x7 f32 0").await, "[0, 7]", "no elements are a tensor too");
    assert_eq!(place.ask("twice", a).await, "true then invalid the result of this work was given already");
    assert_eq!(place.ask("orphan", a).await, "dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_grant_nothing_is_opened_or_made() {
    let host = host();
    let place = Place::with(&host, "memory=16MiB", &[]).await;
    for (skill, payload) in [("names", "/w/m.safetensors"), ("make", "2x3 f32 24"), ("grind", "1024 q8_0 1")] {
        assert!(place.ask(skill, payload).await.starts_with("error: denied `kernels`"), "{skill}");
    }
    // And the one grant is not the other.
    let agent = host.agent("kernels", "memory=16MiB", &["kernels"]).await;
    let reply = ask(&agent, "names", "/w/m.safetensors").await.expect("it copes");
    assert!(reply.starts_with("error: denied no granted folder"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_weights_are_opened_outside_of_a_granted_folder() {
    let host = host();
    let place = Place::new(&host, "memory=16MiB").await;
    let outside = place.path("outside/m.safetensors").display().to_string();
    #[cfg(unix)]
    for (target, name) in [("../outside/m.safetensors", "up"), (outside.as_str(), "absolute"), ("../outside", "folder")]
    {
        std::os::unix::fs::symlink(target, place.path("w").join(name)).expect("linked");
    }
    for path in [
        "/w/../outside/m.safetensors",
        "/outside/m.safetensors",
        "../outside/m.safetensors",
        "/w/x/../../outside/m.safetensors",
        "/w/up",
        "/w/absolute",
        "/w/folder/m.safetensors",
        "/etc/passwd",
        "",
        "/",
        outside.as_str(),
    ] {
        let reply = place.ask("names", path).await;
        assert!(reply.starts_with("error: denied") || reply.starts_with("error: not-found"), "{path}: {reply}");
    }
    assert_eq!(place.ask("names", "/w/./m.safetensors").await, "base,a,b,c,odd");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_that_nobody_writes_to_is_not_waited_for() {
    let host = host();
    let place = Place::new(&host, "memory=16MiB,deadline=5s").await;
    let made = std::process::Command::new("mkfifo").arg(place.path("w/pipe")).status().expect("mkfifo runs");
    assert!(made.success());
    let reply = place.ask("names", "/w/pipe").await;
    assert_eq!(reply, "error: invalid /w/pipe: not a file");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_shortened_while_it_is_open_is_an_error_and_no_more() {
    let host = host();
    let place = Place::new(&host, "memory=32MiB,cpu=100%").await;
    // What is kept from the turn before has read its header, and not yet its numbers.
    let path = place.path("w/m.safetensors");
    let length = fs::metadata(&path).expect("it is there").len();
    place.ask("keep", "/w/m.safetensors:c q4_k").await;
    fs::OpenOptions::new().write(true).open(&path).expect("opens").set_len(length / 2).expect("cut");
    place.ask("kept", "").await;
    for payload in ["/w/m.safetensors:c q4_k", "/w/m.safetensors:a q4_k"] {
        let reply = place.ask("convert", payload).await;
        assert!(reply.starts_with("error: invalid"), "{reply}");
    }
    // Shortened again and again while it is read.
    let stop = std::sync::atomic::AtomicBool::new(false);
    weights(&path);
    let file = fs::OpenOptions::new().write(true).open(&path).expect("opens");
    let whole = fs::read(&path).expect("it is there");
    std::thread::scope(|scope| {
        use std::sync::atomic::Ordering::Relaxed;
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                file.set_len(length / 2).expect("cut");
                std::os::unix::fs::FileExt::write_all_at(&file, &whole, 0).expect("written");
            }
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                for _ in 0..50 {
                    place.ask("convert", "/w/m.safetensors:c q4_k").await;
                    place.ask("norm", "/w/m.safetensors:odd").await;
                }
            });
        });
        stop.store(true, Relaxed);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_larger_than_memory_is_read_tensor_by_tensor() {
    let host = host();
    let place = Place::new(&host, "memory=12MiB,cpu=100%,deadline=60s").await;
    let count = 1u64 << 20;
    let names: Vec<String> = (0..8).map(|n| format!("t{n}")).collect();
    let tensors: Vec<_> = names.iter().map(|name| (name.as_str(), &[1024, 1024][..], numbers(count, 1))).collect();
    write(&place.path("w/large.safetensors"), &tensors);
    place.ask("convert", "/w/large.safetensors:t0 q8_0").await;
    let idle = used(&place.agent, "memory");
    for name in &names {
        let reply = place.ask("convert", &format!("/w/large.safetensors:{name} q8_0")).await;
        assert!(reply.starts_with("[1024, 1024] q8_0 1114112 "), "{reply}");
    }
    // Two of them and their sum do not fit.
    let reply = place.ask("merge", "linear /w/large.safetensors:t0,/w/large.safetensors:t1 - {\"weight\":1}").await;
    assert_eq!(reply, "error: limit memory for good");
    eventually("all memory being given back", || used(&place.agent, "memory") <= idle + (64 << 10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_holds_for_tensors_counts_as_memory() {
    let host = host();
    host.beside(async {
        let place = Place::new(&host, "memory=9MiB,cpu=100%").await;
        let reply = place.ask("hold-many", "1000000").await;
        let count: u64 = reply.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
        assert!((3..9).contains(&count) && reply.ends_with("error: limit memory for good"), "{reply}");
        let reply = place.ask("open-many", "/w/m.safetensors").await;
        let count: u64 = reply.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
        assert!(count < 150 && reply.ends_with("error: limit memory for good"), "{reply}");
        // A header that takes many times its own length once it is read.
        let entries: Vec<String> = (0..200_000)
            .map(|n| format!("\"{n}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"))
            .collect();
        let header = format!("{{{}}}", entries.join(","));
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        fs::write(place.path("w/many.safetensors"), &file).expect("written");
        let reply = place.ask("names", "/w/many.safetensors").await;
        assert!(reply.starts_with("error: limit memory"), "{reply}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arithmetic_is_charged_and_throttled_like_the_guest() {
    let _quiet = quiet().await;
    let host = host();
    let place = Place::new(&host, "cpu=10%,burst=10ms,memory=32MiB,deadline=4s").await;
    let idle = used(&place.agent, "memory");
    host.beside(async {
        let begun = Instant::now();
        let (outcome, receipt) = receipt(&place.agent, "grind", "1048576 q4_k 100000").await;
        assert_eq!(outcome.expect_err("it takes for ever").kind, "deadline");
        let wall = begun.elapsed().as_secs_f64();
        let share = receipt.cpu.as_secs_f64() / wall;
        // On a machine that is busy with other things it gets less than its share; never more.
        assert!((0.005..0.125).contains(&share), "{:.1} % of a core, of {:?} in all", share * 100.0, receipt.cpu);
        // Nothing goes on for nobody.
        eventually("all memory being given back", || used(&place.agent, "memory") <= idle).await;
        // The slice that was under way is charged right after.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let after = place.agent.cpu();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(place.agent.cpu(), after);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_is_dropped_is_cancelled() {
    let host = host();
    let place = Place::new(&host, "cpu=100%,burst=1s,memory=64MiB,deadline=60s").await;
    let idle = used(&place.agent, "memory");
    let tensor = ("t", &[2048u64, 1024][..], numbers(2 << 20, 3));
    write(&place.path("w/large.safetensors"), &[tensor]);
    let (one, receipt_one) = receipt(&place.agent, "convert", "/w/large.safetensors:t q5_k").await;
    one.expect("it converts");
    let before = place.agent.cpu();
    assert_eq!(place.ask("cancel", "/w/large.safetensors:t q5_k").await, "20");
    eventually("all memory being given back", || used(&place.agent, "memory") < 8 << 20).await;
    let all = place.agent.cpu() - before;
    assert!(all < receipt_one.cpu * 3, "20 that were cancelled took {all:?}, one to the end {:?}", receipt_one.cpu);
    // Stopping the agent cancels what it has kept.
    place.ask("keep", "/w/large.safetensors:t q5_k").await;
    place.agent.stop();
    eventually("all memory being given back", || used(&place.agent, "memory") <= idle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_names_a_tensor_of_somebody_else() {
    let host = host();
    let place = Place::new(&host, "memory=16MiB,cpu=100%").await;
    // The work that it has kept and its tensor are behind numbers of this other agent.
    place.ask("keep", "/w/m.safetensors:a q4_k").await;
    let other = host.agent("kernels", "memory=16MiB,cpu=100%", &["kernels"]).await;
    for handle in (0..40).chain([u32::MAX, 1 << 30]) {
        let no = ask(&other, "forge", &handle.to_string()).await.expect_err("nothing is there");
        assert_eq!(no.kind, "trap", "{handle}: {no}");
    }
    let no = ask(&place.agent, "mistake", "/w/m.safetensors:a").await.expect_err("it is no tensor");
    assert_eq!(no.kind, "trap", "{no}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_compute_without_end_are_in_nobodys_way() {
    let _quiet = quiet().await;
    let host = host_of_grinders().await;
    let (village, agents) = &host;
    village
        .beside(async {
            let work = agents.iter().map(|agent| ask(agent, "grind", "262144 q6_k 100000"));
            let ended: Vec<_> = join(work.collect()).await;
            assert!(ended.iter().all(|outcome| outcome.as_ref().is_err_and(|no| no.kind == "deadline")));
        })
        .await;
    let shares: Vec<f64> = agents.iter().map(|agent| agent.cpu().as_secs_f64()).collect();
    let (least, most) = shares.iter().fold((f64::MAX, 0.0f64), |(a, b), x| (a.min(*x), b.max(*x)));
    assert!(least > most * 0.5, "they share what there is: {shares:.2?}");
}

async fn host_of_grinders() -> (Village, Vec<Agent>) {
    let host = host();
    let mut agents = Vec::new();
    for _ in 0..6 {
        agents.push(host.agent("kernels", "cpu=100%,burst=10ms,memory=8MiB,deadline=2s", &["kernels"]).await);
    }
    (host, agents)
}

async fn join<O>(futures: Vec<impl Future<Output = O>>) -> Vec<O> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|cx| {
        futures.retain_mut(|future| match future.as_mut().poll(cx) {
            std::task::Poll::Ready(outcome) => {
                done.push(outcome);
                false
            }
            std::task::Poll::Pending => true,
        });
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

/// A device that takes its time, and computes as the CPU does: all that there is, or searches alone.
struct Slow(bool);

impl Slow {
    fn take(&self) {
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Backend for Slow {
    fn name(&self) -> String {
        "slow".into()
    }

    fn chunk(&self, _: Kind) -> usize {
        1 << 18
    }

    fn has(&self, kind: Kind) -> bool {
        self.0 || kind == Kind::Search
    }

    fn linear(&self, job: &Linear<'_>, scheme: Scheme, out: &mut [u8]) -> kernels::Result<()> {
        self.take();
        Cpu::default().linear(job, scheme, out)
    }

    fn tasks(&self, job: &Tasks<'_>, scheme: Scheme, out: &mut [u8]) -> kernels::Result<()> {
        self.take();
        Cpu::default().tasks(job, scheme, out)
    }

    fn quantize(&self, values: &[f32], scheme: Scheme, out: &mut [u8]) -> kernels::Result<()> {
        self.take();
        Cpu::default().quantize(values, scheme, out)
    }

    fn dequantize(&self, input: Stretch<'_>, out: &mut [f32]) -> kernels::Result<()> {
        Cpu::default().dequantize(input, out)
    }
}

/// Two agents that ask a device for all that it has: one may have a twentieth of it. `call` is how long one may take.
async fn share(host: Village, call: Duration) {
    let small = host.agent("kernels", "gpu=5%,burst=20ms,cpu=100%,memory=32MiB,deadline=60s", &["kernels"]).await;
    let large = host.agent("kernels", "gpu=100%,burst=20ms,cpu=100%,memory=32MiB,deadline=60s", &["kernels"]).await;
    let measure = async {
        let spent = || small.gpu() > Duration::from_millis(20) && large.gpu() > Duration::from_millis(20);
        eventually("the end of the burst", spent).await;
        let mut best = 0.0f64;
        for _ in 0..5 {
            let before = (small.gpu(), large.gpu());
            let begun = Instant::now();
            tokio::time::sleep(Duration::from_secs(3)).await;
            let passed = begun.elapsed().as_secs_f64();
            let part = (small.gpu() - before.0).as_secs_f64() / passed;
            let rest = (large.gpu() - before.1).as_secs_f64() / passed;
            // What was still to be had at the begin, and the last call, come on top.
            let most = 0.051 + (Duration::from_millis(20) + call).as_secs_f64() / passed;
            assert!(part <= most, "{:.2} % instead of 5 %", part * 100.0);
            assert!(part + rest <= 1.01, "there is one device: {part} and {rest}");
            best = best.max(if part > 0.03 { rest } else { 0.0 });
            if best > 0.5 {
                return;
            }
        }
        panic!("the other one had {:.1} % while the first had its share", best * 100.0);
    };
    tokio::select! {
        () = measure => {}
        ended = ask(&small, "grind", "524288 q8_0 1000000") => panic!("{ended:?}"),
        ended = ask(&large, "grind", "524288 q8_0 1000000") => panic!("{ended:?}"),
    }
    let usage = large.usage();
    let gpu = usage.iter().find(|usage| usage.field == "gpu").expect("a field of the budget");
    assert!(gpu.used_units > 0 && gpu.limit == "100%", "{gpu:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twentieth_of_a_device_is_a_twentieth_while_another_gets_the_rest() {
    let _quiet = quiet().await;
    share(host_with(Slow(true)), Duration::from_millis(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_is_on_a_real_device_if_there_is_one() {
    let _quiet = quiet().await;
    match kernels::Gpu::open() {
        Ok(gpu) => share(host_with(gpu), Duration::from_millis(250)).await,
        Err(error) => assert!(std::env::var_os("VILLAGE_GPU").is_none(), "{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turns_receipt_has_the_time_of_the_device() {
    let host = host_with(Slow(true));
    let agent = host.agent("kernels", "gpu=50%,cpu=100%,memory=32MiB", &["kernels"]).await;
    let (done, receipt) = receipt(&agent, "grind", "524288 q8_0 3").await;
    assert_eq!(done.as_deref(), Ok("3"));
    // Two stretches each, of two kernels.
    assert!(receipt.gpu >= Duration::from_millis(12), "{receipt:?}");
    assert!(receipt.gpu <= receipt.wall && receipt.cpu > Duration::ZERO, "{receipt:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_leaves_to_the_processor_takes_none_of_its_time() {
    let host = host_with(Slow(false));
    let agent = host.agent("kernels", "gpu=50%,cpu=100%,memory=32MiB", &["kernels"]).await;
    let (done, streamed) = receipt(&agent, "grind", "524288 q8_0 2").await;
    assert_eq!((done.as_deref(), streamed.gpu), (Ok("2"), Duration::ZERO));
    // Two stretches that are searched, and no more than those.
    let (done, searched) = receipt(&agent, "grind", "524288 q4_k 1").await;
    assert_eq!(done.as_deref(), Ok("1"));
    assert!(searched.gpu >= Duration::from_millis(4) && searched.gpu <= searched.wall, "{searched:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_merges_two_files_within_its_budget() {
    let host = host();
    let version = host.0.load(tests::plugin("merger")).await.expect("it loads");
    let folder = tempfile::tempdir().expect("a folder");
    let (count, shape) = (1u64 << 19, [512u64, 1024]);
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];
    for (seed, file) in [(1, "one.safetensors"), (2, "two.safetensors")] {
        let tensors: Vec<_> = names.iter().map(|name| (*name, &shape[..], numbers(count, seed))).collect();
        write(&folder.path().join(file), &tensors);
    }
    // Each file has 32 MiB: neither fits.
    let limits = tests::budget("memory=24MiB,storage=33MiB,cpu=100%,deadline=60s");
    let files = format!("files={}:/weights:rw", folder.path().display());
    let grants = tests::grants(&["kernels", "log", &files]);
    let agent = host.0.start(&version, limits, grants, None).expect("it starts");
    let request = r#"{"one":"one.safetensors","two":"two.safetensors","method":"linear","parameters":{"weight":[0.75,0.25]},"out":"out.safetensors"}"#;
    let (reply, receipt) = receipt(&agent, "merge", request).await;
    assert_eq!(reply.as_deref(), Ok(r#"{"out":"out.safetensors","tensors":16,"bytes":33554432}"#));
    assert!(receipt.memory <= 24 << 20 && receipt.cpu > Duration::ZERO, "{receipt:?}");
    let merged = kernels::Weights::open(&folder.path().join("out.safetensors"), &kernels::Limits::default());
    let merged = merged.expect("it is sound");
    let (one, two) = (numbers(count, 1), numbers(count, 2));
    let view = |bytes| View::new("x", &shape, Format::F32, bytes).expect("sound");
    let both = vec![view(&one), view(&two)];
    let ask = Ask::from_json(Method::Linear, None, both, r#"{"weight":[0.75,0.25]}"#).expect("sound");
    let expected = merge_tensor(&ask, Format::F32.into(), means()).expect("merges");
    for name in names {
        assert!(merged.tensor(name).expect("it is there").bytes == expected, "{name}");
    }
    // A second result of that size is more than it may store: it is told so, and leaves nothing.
    let no = ask_merger(&agent, &request.replace("out.s", "more.s")).await;
    assert!(no.contains("/weights/more.safetensors.partial"), "{no}");
    let mut left: Vec<_> =
        fs::read_dir(folder.path()).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
    left.sort();
    assert_eq!(left, ["one.safetensors", "out.safetensors", "two.safetensors"]);
}

async fn ask_merger(agent: &Agent, request: &str) -> String {
    ask(agent, "merge", request).await.expect_err("it is refused").text
}

//! Time: for ever in every way there is, and calibrated work to measure by.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use guests::{Agent, Answer, kernels, number, unsupported};
use wasip2::clocks::monotonic_clock;

struct Cpu;

impl Agent for Cpu {
    const NAME: &'static str = "cpu";
    const SKILLS: &'static [&'static str] = &[
        "spin",
        "count-for",
        "work",
        "recurse",
        "recurse-wide",
        "bulk",
        "sha256",
        "tight",
        "calls",
        "fib",
        "bytes",
        "poll",
        "sleep",
    ];

    fn handle(skill: &str, body: Vec<u8>) -> Answer {
        let n = number(&body, u64::MAX)?;
        match skill {
            "spin" => spin(),
            "count-for" => Ok(count_for(Duration::from_millis(n)).to_string().into_bytes()),
            "work" => {
                kernels::tight(n);
                Ok(n.to_string().into_bytes())
            }
            "recurse" => Ok(narrow(n).to_string().into_bytes()),
            "recurse-wide" => Ok(wide(n).to_string().into_bytes()),
            "bulk" => bulk(number(&body, 16)?),
            "sha256" => Ok(hex(&kernels::sha256_of_zeros(n))),
            "tight" => Ok(kernels::tight(n).to_string().into_bytes()),
            "calls" => Ok(kernels::calls(n).to_string().into_bytes()),
            "fib" => Ok(kernels::fib(n).to_string().into_bytes()),
            "bytes" => Ok(kernels::bytes(n).to_string().into_bytes()),
            "poll" => Ok(poll(n).to_string().into_bytes()),
            "sleep" => sleep(n),
            _ => Err(unsupported(skill)),
        }
    }
}

/// A loop that calls nothing, not even for more memory.
fn spin() -> ! {
    let mut x = 0u64;
    loop {
        x = black_box(x.wrapping_add(1));
    }
}

/// How many thousands of rounds fit in `time` by the guest's own clock, which is read after each thousand.
fn count_for(time: Duration) -> u64 {
    let start = Instant::now();
    let mut thousands = 0;
    while start.elapsed() < time {
        kernels::tight(1000);
        thousands += 1;
    }
    thousands
}

/// Frames on the engine's stack only.
#[inline(never)]
fn narrow(depth: u64) -> u64 {
    if depth == 0 {
        return 0;
    }
    black_box(narrow(black_box(depth - 1))).wrapping_add(1)
}

/// Frames on the stack in linear memory too, which runs out first.
#[inline(never)]
fn wide(depth: u64) -> u64 {
    let frame = black_box([depth; 512]);
    if depth == 0 {
        return 0;
    }
    wide(black_box(depth - 1)).wrapping_add(frame[511].min(1))
}

/// Fills and copies `mebibytes` for ever: few instructions, each of which takes long.
fn bulk(mebibytes: u64) -> ! {
    let mut from = vec![1u8; (mebibytes << 20) as usize];
    let mut to = vec![2u8; from.len()];
    let mut byte = 0u8;
    loop {
        byte = byte.wrapping_add(1);
        black_box(&mut from).fill(byte);
        black_box(&mut to).copy_from_slice(&from);
    }
}

/// Asks for a moment that is over already, again and again.
fn poll(times: u64) -> u64 {
    for _ in 0..times {
        let now = monotonic_clock::subscribe_duration(0);
        wasip2::io::poll::poll(&[&now]);
    }
    times
}

/// Milliseconds; without a number for ever, an hour at a time.
fn sleep(milliseconds: u64) -> Answer {
    if milliseconds == u64::MAX {
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
    std::thread::sleep(Duration::from_millis(milliseconds));
    Ok(milliseconds.to_string().into_bytes())
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.into_bytes()
}

guests::export!(Cpu with_types_in guests::bindings);

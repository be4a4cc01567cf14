//! Arithmetic on weights: what the import answers, and everything that a guest can do wrong with it.

use std::cell::RefCell;

use guests::bindings::village::agent::kernels::{self, Tensor, Weights, Work};
use guests::{Agent, Answer, Error, Failure, FailureKind, failure, shown, text, unsupported, word};

struct Kernels;

thread_local! {
    /// Kept from one turn to the next.
    static KEPT: RefCell<Vec<Work>> = const { RefCell::new(Vec::new()) };
}

impl Agent for Kernels {
    const NAME: &'static str = "kernels";
    const SKILLS: &'static [&'static str] = &[
        "names",
        "about",
        "read",
        "make",
        "convert",
        "merge",
        "norm",
        "distance",
        "cosine",
        "top",
        "twice",
        "orphan",
        "cancel",
        "keep",
        "kept",
        "grind",
        "open-many",
        "hold-many",
        "forge",
        "mistake",
    ];

    fn handle(skill: &str, body: Vec<u8>) -> Answer {
        let request = text(body)?;
        let words: Vec<&str> = request.split(' ').collect();
        let word = |at: usize| words.get(at).copied().unwrap_or_default();
        let reply = match skill {
            "names" => shown(kernels::open(&request).map(|weights| weights.names().join(","))),
            "about" => shown(tensor(word(0)).map(|tensor| format!("{:?} {}", tensor.shape(), tensor.format()))),
            "read" => {
                let (start, length) = (number(word(1))?, number(word(2))?);
                shown(tensor(word(0)).and_then(|tensor| tensor.read(start, length)).map(|bytes| hex(&bytes)))
            }
            "make" => shown(make(word(0), word(1), number(word(2))?).map(|tensor| format!("{:?}", tensor.shape()))),
            "convert" => shown(tensor(word(0)).and_then(|tensor| done(kernels::convert(&tensor, word(1))?)).map(told)),
            "merge" => {
                let (method, names, base) = (word(0), word(1), word(2));
                shown(merge(method, names, base, &words.get(3..).unwrap_or_default().join(" ")).map(told))
            }
            "norm" => shown(tensor(word(0)).and_then(|tensor| kernels::norm(&tensor))),
            "distance" => shown(pair(word(0), word(1)).and_then(|(a, b)| kernels::distance(&a, &b))),
            "cosine" => shown(pair(word(0), word(1)).and_then(|(a, b)| kernels::cosine(&a, &b))),
            "top" => {
                let k = number(word(1))? as u32;
                shown(tensor(word(0)).and_then(|tensor| kernels::top(&tensor, k)).map(|top| format!("{top:?}")))
            }
            "twice" => shown(twice(word(0))),
            "orphan" => shown(orphan(word(0))),
            "cancel" => shown(tensor(word(0)).and_then(|tensor| cancel(&tensor, word(1)))),
            "keep" => shown(tensor(word(0)).and_then(|tensor| keep(&tensor, word(1)))),
            "kept" => kept(),
            "grind" => shown(grind(number(word(0))?, word(1), number(word(2))?)),
            "open-many" => open_many(&request),
            "hold-many" => hold_many(number(word(0))?),
            "forge" => format!("{:?}", forged(number(word(0))? as u32).shape()),
            "mistake" => shown(mistake(word(0))),
            _ => return Err(unsupported(skill)),
        };
        Ok(reply.into_bytes())
    }
}

fn number(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| failure(FailureKind::Invalid, format!("not a number: `{text}`")))
}

/// `PATH:NAME`.
fn tensor(place: &str) -> Result<Tensor, Error> {
    let (path, name) = place.split_once(':').unwrap_or((place, ""));
    kernels::open(path)?.tensor(name)
}

fn pair(a: &str, b: &str) -> Result<(Tensor, Tensor), Error> {
    Ok((tensor(a)?, tensor(b)?))
}

/// A shape as `2x3`, a format, and so many bytes that count up.
fn make(shape: &str, format: &str, bytes: u64) -> Result<Tensor, Error> {
    let shape: Vec<u64> = shape.split('x').filter_map(|part| part.parse().ok()).collect();
    let bytes: Vec<u8> = (0..bytes).map(|i| (i % 61) as u8).collect();
    kernels::make(&shape, format, &bytes)
}

/// Waits for work as a well-behaved guest does.
fn done(work: Work) -> Result<Tensor, Error> {
    loop {
        if let Some(outcome) = work.finish() {
            return outcome;
        }
        work.subscribe().block();
    }
}

fn merge(method: &str, names: &str, base: &str, parameters: &str) -> Result<Tensor, Error> {
    let tensors = names.split(',').filter(|name| !name.is_empty()).map(tensor).collect::<Result<Vec<_>, _>>()?;
    let base = if base.is_empty() || base == "-" { None } else { Some(tensor(base)?) };
    done(kernels::merge(method, &tensors.iter().collect::<Vec<_>>(), base.as_ref(), parameters)?)
}

/// Shape, format and a digest that is different if any byte is.
fn told(tensor: Tensor) -> String {
    let (mut sum, mut start) = (0xcbf2_9ce4_8422_2325u64, 0);
    loop {
        match tensor.read(start, u64::MAX) {
            Ok(bytes) if bytes.is_empty() => break,
            Ok(bytes) => {
                start += bytes.len() as u64;
                bytes.iter().for_each(|byte| sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
            }
            Err(error) => return format!("error: {}", word(&error)),
        }
    }
    format!("{:?} {} {start} {sum:016x}", tensor.shape(), tensor.format())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fetches one result twice.
fn twice(place: &str) -> Result<String, Error> {
    let work = kernels::convert(&tensor(place)?, "bf16")?;
    work.subscribe().block();
    let first = work.finish().is_some_and(|outcome| outcome.is_ok());
    // It stays ready.
    work.subscribe().block();
    match work.finish() {
        Some(Err(error)) => Ok(format!("{first} then {}", word(&error))),
        Some(Ok(_)) => Ok(format!("{first} then again")),
        None => Ok(format!("{first} then nothing")),
    }
}

/// Drops work before what waits for it.
fn orphan(place: &str) -> Result<String, Error> {
    let tensor = tensor(place)?;
    let work = kernels::convert(&tensor, "q4_k")?;
    let ready = work.subscribe();
    drop(tensor);
    drop(work);
    ready.block();
    Ok("dropped".to_owned())
}

/// Begins work and drops it, again and again.
fn cancel(tensor: &Tensor, format: &str) -> Result<u32, Error> {
    for _ in 0..20 {
        drop(kernels::convert(tensor, format)?);
    }
    Ok(20)
}

/// Begins work and goes, with the work unfinished.
fn keep(tensor: &Tensor, format: &str) -> Result<&'static str, Error> {
    let work = kernels::convert(tensor, format)?;
    KEPT.with_borrow_mut(|kept| kept.push(work));
    Ok("kept")
}

/// What became of it.
fn kept() -> String {
    KEPT.with_borrow_mut(|kept| kept.drain(..).map(|work| shown(done(work).map(told))).collect::<Vec<_>>().join("\n"))
}

/// Converts so many elements so many times, one after the other; answers how often it was done.
fn grind(elements: u64, format: &str, rounds: u64) -> Result<u64, Error> {
    let tensor = kernels::make(&[elements / 1024, 1024], "f32", &vec![0; elements as usize * 4])?;
    for _ in 0..rounds {
        done(kernels::convert(&tensor, format)?)?;
    }
    Ok(rounds)
}

/// Opens a file until it is refused; answers how often it was opened.
fn open_many(path: &str) -> String {
    let mut open: Vec<Weights> = Vec::new();
    loop {
        match kernels::open(path) {
            Ok(weights) => open.push(weights),
            Err(error) => return format!("{} error: {}", open.len(), word(&error)),
        }
    }
}

/// Makes tensors of so many bytes until one is refused.
fn hold_many(bytes: u64) -> String {
    let mut held: Vec<Tensor> = Vec::new();
    let some = vec![0; bytes as usize];
    loop {
        match kernels::make(&[bytes], "u8", &some) {
            Ok(tensor) => held.push(tensor),
            Err(error) => return format!("{} error: {}", held.len(), word(&error)),
        }
    }
}

/// A tensor by a number that nobody gave.
fn forged(handle: u32) -> Tensor {
    unsafe { Tensor::from_handle(handle) }
}

/// Work, called a tensor.
fn mistake(place: &str) -> Result<String, Error> {
    let work = kernels::convert(&tensor(place)?, "bf16")?;
    let handle = work.take_handle();
    Ok(format!("{:?}", forged(handle).shape()))
}

guests::export!(Kernels with_types_in guests::bindings);

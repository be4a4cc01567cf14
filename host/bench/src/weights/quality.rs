//! What the kernels make of numbers: the same bytes everywhere, and no more noise than promised.

use super::cpu;
use crate::report::{Bar, Row};
use crate::{Error, Plan, Rows};
use kernels::job::{Means, merge_tensor};
use kernels::merge::{Ask, Method};
use kernels::{Backend, Counter, Cpu, Format, Inline, Level, Scheme, View, dequantize, quantize};

pub(crate) fn measure(plan: &Plan) -> Rows {
    let rows = if plan.quick { 64 } else { 1024 };
    let shape = [rows, 1024];
    let values = gauss(rows * 1024);
    let snr = |name: &str| -> Result<(f64, f64), Error> {
        let scheme: Scheme = name.parse()?;
        let mut bytes = vec![0; scheme.format.bytes(&shape)? as usize];
        quantize(&shape, &values, scheme, &mut bytes, &Inline)?;
        let back = dequantize(&View::new(name, &shape, scheme.format, &bytes)?)?;
        let (mut signal, mut noise) = (0.0, 0.0);
        for (a, b) in values.iter().zip(&back) {
            signal += f64::from(*a).powi(2);
            noise += (f64::from(*a) - f64::from(*b)).powi(2);
        }
        Ok((10.0 * (signal / noise).log10(), bytes.len() as f64 * 8.0 / values.len() as f64))
    };
    let (ternary, bits) = snr("ternary")?;
    let mut made = vec![Row::judged(
        "kernels: ternary by least squares on normal numbers",
        "dB",
        ternary,
        format!("{bits:.2} bits a number, in TQ2_0's bytes; with ggml's scale {:.1} dB", snr("tq2_0")?.0),
        Bar::AtLeast(7.2),
    )];
    let (vq, bits) = snr("vq")?;
    // A codebook is a larger part of a small tensor.
    let most = if plan.quick { 2.8 } else { 2.1 };
    made.push(Row::judged(
        "kernels: vectors of a codebook, on normal numbers",
        "dB",
        vq,
        format!("{bits:.2} bits a number"),
        if bits <= most { Bar::AtLeast(10.0) } else { Bar::AtLeast(f64::MAX) },
    ));
    let mut between = 0;
    for level in Level::available() {
        let level = Cpu::with_level(level).ok_or("a level that is there")?;
        between += different(&level, 1 << 16)?;
    }
    let what = "the same on each level of instructions that the processor has";
    made.push(Row::judged(
        "kernels: bytes that differ between levels",
        "bytes",
        between as f64,
        what,
        Bar::AtMost(0.0),
    ));
    made.push(sixteen(if plan.quick { 1 << 16 } else { 1 << 20 })?);
    Ok(made)
}

/// Normal numbers, from a counter.
fn gauss(count: u64) -> Vec<f32> {
    let counter = Counter::new(11, "gauss", 0);
    let pair = |i: u64| {
        let (u, v) = (f64::from(counter.unit(2 * i)).max(1e-12), f64::from(counter.unit(2 * i + 1)));
        let (length, angle) = ((-2.0 * u.ln()).sqrt() * 0.02, std::f64::consts::TAU * v);
        [(length * angle.cos()) as f32, (length * angle.sin()) as f32]
    };
    (0..count / 2).flat_map(pair).collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

/// Four models of so many numbers: a base, and three near it.
fn models(count: u64) -> Vec<Vec<f32>> {
    let base = gauss(count);
    let near = |seed: u64| {
        let counter = Counter::new(seed, "near", 0);
        (0..).zip(&base).map(|(i, x)| x + (counter.unit(i) - 0.5) * 0.01).collect()
    };
    let near: Vec<Vec<f32>> = (1..4).map(near).collect();
    std::iter::once(base).chain(near).collect()
}

/// Bytes in which a back end differs from the CPU with all its instructions.
pub(super) fn different(other: &dyn Backend, count: u64) -> Result<usize, Error> {
    let all: Vec<Vec<u8>> = models(count).iter().map(|model| bytes(model)).collect();
    let shape = [count / 1024, 1024];
    let view = |n: usize| View::new("model", &shape, Format::F32, &all[n]);
    let mut differ = 0;
    for (method, base, to) in [
        (Method::Linear, None, "f32"),
        (Method::Linear, None, "bf16"),
        (Method::Ties, Some(view(0)?), "f32"),
        (Method::Ties, Some(view(0)?), "q8_0"),
        (Method::Passthrough, None, "q8_0"),
        (Method::Passthrough, None, "q4_0"),
        (Method::Passthrough, None, "tq2_0"),
        (Method::Passthrough, None, "q4_k"),
    ] {
        let (tensors, parameters) = match method {
            Method::Passthrough => (vec![view(1)?], ""),
            _ => (vec![view(1)?, view(2)?, view(3)?], r#"{"weight":[0.5,0.3,0.2],"density":0.5}"#),
        };
        let ask = Ask::from_json(method, base, tensors, parameters)?;
        let make =
            |backend: &dyn Backend| merge_tensor(&ask, to.parse()?, Means { backend, pool: &Inline, watch: &() });
        let (ours, theirs) = (make(&cpu())?, make(other)?);
        differ += ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
    }
    Ok(differ)
}

/// The nearest number that 16 bits with the range of 32 can hold.
fn bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

/// TIES of 16-bit models: one rounding at the end, against one after each operation, which is what doing it in 16 bits
/// means. Both against doubles.
fn sixteen(count: u64) -> Result<Row, Error> {
    let all: Vec<Vec<f32>> = models(count).iter().map(|model| model.iter().map(|x| bf16(*x)).collect()).collect();
    let kept: Vec<Vec<u8>> = all.iter().map(|model| bytes(model)).collect();
    let weights = [0.5f32, 0.3, 0.25];
    let shape = [count / 1024, 1024];
    let view = |n: usize| View::new("model", &shape, Format::F32, &kept[n]);
    let parameters = r#"{"weight":[0.5,0.3,0.25],"density":1}"#;
    let ask = Ask::from_json(Method::Ties, Some(view(0)?), vec![view(1)?, view(2)?, view(3)?], parameters)?;
    let means = Means { backend: &cpu(), pool: &Inline, watch: &() };
    let ours = floats(&merge_tensor(&ask, Format::F32.into(), means)?);
    let (mut our_error, mut their_error) = (0.0, 0.0);
    for i in 0..count as usize {
        let near = [1, 2, 3].map(|n: usize| all[n][i]);
        let base = f64::from(all[0][i]);
        let (truth, votes) = ties(base, near.map(f64::from), weights.map(f64::from), |x| x);
        // Where the votes are even, either sign is right.
        if votes.abs() < 1e-8 {
            continue;
        }
        let round = |x: f64| f64::from(bf16(x as f32));
        let (rounded, _) = ties(base, near.map(f64::from), weights.map(f64::from), round);
        // What the final format takes away is the same for both.
        our_error += (f64::from(ours[i]) - truth).powi(2);
        their_error += (rounded - truth).powi(2);
    }
    let ratio = (our_error / their_error).sqrt();
    let baseline =
        "rounding to bf16 after each operation, as a tool that computes in bf16 does; before the last rounding";
    Ok(Row::judged("kernels: ties of bf16 models, rms error", "×", ratio, baseline, Bar::AtMost(0.1)))
}

/// The merged number, and the sum that decided on its sign.
fn ties(base: f64, models: [f64; 3], weights: [f64; 3], round: impl Fn(f64) -> f64) -> (f64, f64) {
    let mut deltas = [0.0; 3];
    for n in 0..3 {
        deltas[n] = round(round(models[n] - base) * round(weights[n]));
    }
    let sum = deltas.iter().fold(0.0, |sum, delta| round(sum + delta));
    let (mut mix, mut weight) = (0.0, 0.0);
    for n in 0..3 {
        if if sum >= 0.0 { deltas[n] > 0.0 } else { deltas[n] < 0.0 } {
            mix = round(mix + deltas[n]);
            weight = round(weight + round(weights[n]));
        }
    }
    (round(base + round(mix / if weight == 0.0 { 1.0 } else { weight })), sum)
}

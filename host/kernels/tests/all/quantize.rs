//! Quantizing, against the bytes of the tools that own the formats.

use kernels::{Backend, Cpu, Format, Inline, Level, Scheme, View, dequantize, quantize};

use crate::{digest, oracle, raw, singles};

fn input(name: &str) -> (Vec<u64>, Vec<f32>) {
    if name == "middle" {
        let (_, values) = input("edge");
        return (vec![8, 1024], values[2 * 1024..10 * 1024].to_vec());
    }
    let values = singles(&std::fs::read(oracle(&format!("{name}.f32"))).expect("test data is there"));
    (vec![values.len() as u64 / 1024, 1024], values)
}

fn encoded(shape: &[u64], values: &[f32], scheme: Scheme) -> Vec<u8> {
    let mut out = vec![0; scheme.format.bytes(shape).expect("fits") as usize];
    quantize(shape, values, scheme, &mut out, &Inline).expect("quantizes");
    out
}

fn expected(what: &str) -> Vec<(String, Scheme, String)> {
    let text = std::fs::read_to_string(oracle("quantize.txt")).expect("test data is there");
    let lines = text.lines().map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    lines
        .filter(|words| words[0] == what)
        .map(|words| (words[1].clone(), words[2].parse().expect("a type"), words[3].clone()))
        .collect()
}

#[test]
fn bytes_are_those_of_the_tools_that_own_the_formats() {
    let mut wrong = Vec::new();
    let list = expected("quantize");
    assert!(list.len() > 30);
    for (name, scheme, sha) in list {
        let (shape, values) = input(&name);
        if digest(&encoded(&shape, &values, scheme)) != sha {
            wrong.push(format!("{name} {scheme}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn reading_back_gives_the_numbers_of_the_tools_that_own_the_formats() {
    let mut wrong = Vec::new();
    for (name, scheme, sha) in expected("dequantize") {
        let (shape, values) = input(&name);
        let bytes = encoded(&shape, &values, scheme);
        let view = View::new("t", &shape, scheme.format, &bytes).expect("sound");
        if digest(&raw(&dequantize(&view).expect("reads"))) != sha {
            wrong.push(format!("{name} {scheme}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

const BLOCKS: [&str; 15] = [
    "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "mxfp4", "tq1_0", "tq2_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k",
    "ternary", "tq1_0_ls",
];

#[test]
fn every_level_of_instructions_gives_the_same_bytes() {
    for name in ["gauss", "edge"] {
        let (shape, values) = input(name);
        for scheme in BLOCKS.iter().chain(&["f16", "bf16"]).map(|t| t.parse::<Scheme>().expect("a type")) {
            let size = scheme.format.bytes(&shape).expect("fits") as usize;
            let outputs: Vec<Vec<u8>> = Level::available()
                .into_iter()
                .map(|level| {
                    let mut out = vec![0; size];
                    let cpu = Cpu::with_level(level).expect("available");
                    cpu.quantize(&values, scheme, &mut out).expect("quantizes");
                    out
                })
                .collect();
            assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]), "{name} {scheme}");
        }
    }
}

fn snr(values: &[f32], back: &[f32]) -> f64 {
    let signal: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
    let noise: f64 = values.iter().zip(back).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    10.0 * (signal / noise).log10()
}

/// Decibels on Gaussian weights that a format must reach, a little below what it was measured at.
const QUALITY: [(&str, f64); 20] = [
    ("q8_0", 45.2),
    ("q6_k", 34.8),
    ("q5_k", 28.6),
    ("q5_1", 28.2),
    ("q5_0", 27.1),
    ("q4_k", 22.7),
    ("q4_1", 21.9),
    ("q4_0", 21.1),
    ("nf4", 20.5),
    ("mxfp4", 18.6),
    ("q3_k", 16.2),
    ("q2_k", 10.3),
    ("vq", 10.0),
    ("ternary", 7.2),
    ("tq1_0_ls", 7.2),
    ("bitnet", 5.6),
    ("int8_asym_row", 42.0),
    ("int8_row", 41.5),
    ("int8_asym", 38.0),
    ("int8", 38.0),
];

/// Normal numbers out of a counter.
pub(crate) fn normal(count: usize, seed: u64) -> Vec<f32> {
    let chance = kernels::Counter::new(seed, "normal", 0);
    let unit = |i| (f64::from(chance.unit(i)) + 1e-9).ln();
    (0..count as u64)
        .map(|i| {
            ((-2.0 * unit(2 * i)).sqrt() * (std::f64::consts::TAU * f64::from(chance.unit(2 * i + 1))).cos()) as f32
        })
        .collect()
}

#[test]
fn noise_on_gaussian_weights_is_below_what_each_format_promises() {
    let shape = [256, 1024];
    let values = normal(256 * 1024, 1);
    for (name, least) in QUALITY {
        let scheme: Scheme = name.parse().expect("a type");
        let bytes = encoded(&shape, &values, scheme);
        let view = View::new("t", &shape, scheme.format, &bytes).expect("sound");
        let db = snr(&values, &dequantize(&view).expect("reads"));
        assert!(db >= least, "{name}: {db:.2} dB");
    }
}

#[test]
fn a_constant_tensor_comes_back_as_it_was() {
    for value in [0.0f32, 1.0, -3.5] {
        for scheme in ["int8", "int8_row", "int8_asym", "int8_asym_row", "nf4", "q8_0"] {
            let scheme: Scheme = scheme.parse().expect("a type");
            let values = vec![value; 512];
            let bytes = encoded(&[2, 256], &values, scheme);
            let view = View::new("t", &[2, 256], scheme.format, &bytes).expect("sound");
            for back in dequantize(&view).expect("reads") {
                assert!((back - value).abs() <= value.abs() * 0.004, "{scheme}: {value} became {back}");
            }
        }
    }
}

#[test]
fn an_error_of_int8_is_at_most_half_a_step() {
    let values = normal(4096, 2);
    let scheme = Scheme::from(Format::Int8Asym);
    let bytes = encoded(&[4096], &values, scheme);
    let step = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let view = View::new("t", &[4096], scheme.format, &bytes).expect("sound");
    for (a, b) in values.iter().zip(dequantize(&view).expect("reads")) {
        assert!((a - b).abs() <= step * 0.5001);
    }
}

#[test]
fn vectors_take_little_more_than_two_bits() {
    let bytes = Format::Vq.bytes(&[1024, 1024]).expect("fits");
    assert!(bytes as f64 * 8.0 / (1024.0 * 1024.0) < 2.1);
}

#[test]
fn numbers_that_are_none_are_refused_with_their_place() {
    let mut values = vec![1.0f32; 64];
    values[37] = f32::NAN;
    let error = quantize(&[2, 32], &values, Format::Q8_0.into(), &mut [0; 68], &Inline).expect_err("refused");
    assert_eq!(error.to_string(), "tensor `tensor`: element 37 is not finite");
}

#[test]
fn tensors_without_elements_are_quantized_and_merged_to_nothing() {
    use kernels::merge::{Ask, Method, prepare};
    for shape in [&[0u64][..], &[0, 256], &[5, 0], &[3, 0, 256]] {
        for &format in Format::ALL {
            let Ok(size) = format.bytes(shape) else { continue };
            let mut out = vec![0; size as usize];
            if quantize(shape, &[], format.into(), &mut out, &Inline).is_ok() {
                let view = View::new("t", shape, format, &out).expect("sound");
                assert!(dequantize(&view).expect("reads").is_empty(), "{format} {shape:?}");
            }
        }
        let view = View::new("t", shape, Format::F32, &[]).expect("sound");
        for &method in Method::ALL {
            let models = match method {
                Method::Slerp | Method::Nearswap | Method::Passthrough => vec![view],
                _ => vec![view, view],
            };
            let base = method.takes_base().then_some(view);
            let ask =
                Ask::from_json(method, base, models, r#"{"weight": 1, "density": 0.5, "t": 0.5, "filter_wise": true}"#);
            let job = prepare(&ask.expect("sound"), Level::detect(), &Inline);
            assert_eq!(job.map(|job| job.count()).map_err(|e| format!("{method:?}: {e}")), Ok(0));
        }
    }
}

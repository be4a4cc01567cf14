//! Files and recipes that were damaged at random: refused or read, never more.

use std::sync::Arc;

use kernels::merge::Recipe;
use kernels::weights::gguf::{Array, Value};
use kernels::{Catalogue, Counter, Error, Format, Limits, Metadata, Output, Weights, dequantize};

/// A sound file with a bit of everything.
fn sound(metadata: &Metadata, formats: &[Format]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    let plans: Vec<_> = formats.iter().map(|format| (format!("t.{format}"), vec![2, 256], *format)).collect();
    let output = Output::create(&path, &plans, metadata).expect("creates");
    for (number, (_, shape, format)) in plans.iter().enumerate() {
        let bytes = format.bytes(shape).expect("fits") as usize;
        output.write(number, 0, &vec![number as u8; bytes]).expect("writes");
    }
    output.finish().expect("finishes");
    std::fs::read(&path).expect("reads")
}

fn safetensors() -> Vec<u8> {
    let pairs = vec![("format".to_owned(), "pt".to_owned())];
    sound(
        &Metadata::Safetensors(pairs),
        &[Format::F32, Format::Bf16, Format::I8, Format::Q8_0, Format::Nf4, Format::Vq],
    )
}

fn gguf() -> Vec<u8> {
    let pairs = vec![
        ("general.architecture".to_owned(), Value::Text("llama".to_owned())),
        ("general.alignment".to_owned(), Value::U32(64)),
        ("tokens".to_owned(), Value::Array(Array::of_texts(["a", "b", "<unk>"]))),
        ("scores".to_owned(), Value::Array(Array::of_f32(&[1.0, 2.0]))),
    ];
    sound(&Metadata::Gguf(pairs), &[Format::F32, Format::Q4K, Format::Tq1_0, Format::Mxfp4])
}

/// Numbers that lengths, offsets and kinds like least.
const HOSTILE: [u64; 8] = [0, 1, 255, 1 << 31, 1 << 32, 1 << 62, 1 << 63, u64::MAX];

/// Damages bytes in one to four places of the first `head`, or cuts or repeats some.
fn damage(bytes: &mut Vec<u8>, head: usize, counter: &Counter, round: u64) {
    let mut drawn = 0;
    let mut draw = |below: usize| {
        drawn += 1;
        (counter.bits(round * 64 + drawn) % below.max(1) as u64) as usize
    };
    for _ in 0..=draw(4) {
        let at = draw(head.min(bytes.len()));
        match draw(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << draw(8),
            1 if at < bytes.len() => bytes[at] = draw(256) as u8,
            2 => {
                let hostile = HOSTILE[draw(HOSTILE.len())].to_le_bytes();
                let width = [1, 2, 4, 8][draw(4)];
                let end = (at + width).min(bytes.len());
                bytes[at..end].copy_from_slice(&hostile[..end - at]);
            }
            3 => bytes.truncate(at),
            4 => {
                let end = (at + draw(32)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let part = bytes[at..(at + draw(32)).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            // What JSON and YAML are made of.
            _ if at < bytes.len() => bytes[at] = b"{}[]\",:0-9eE\\ \n&*|>#"[draw(20)],
            _ => {}
        }
    }
}

/// Whole and by its catalogue a file is the same, or the same refusal; what can be read is read.
fn read(bytes: &[u8]) -> bool {
    let limits = Limits::default();
    let whole = Weights::from_bytes("file", Arc::from(bytes), &limits);
    let mut fill = |at: u64, part: &mut [u8]| {
        part.copy_from_slice(&bytes[at as usize..][..part.len()]);
        Ok(())
    };
    let catalogue = Catalogue::read("file", bytes.len() as u64, &limits, &mut fill);
    match (whole, catalogue) {
        (Ok(whole), Ok(catalogue)) => {
            assert_eq!(whole.infos(), catalogue.infos());
            for (number, info) in whole.infos().iter().enumerate() {
                assert_eq!(catalogue.find(&info.name), Some(number));
                // A tensor with a zero in its shape may have other dimensions that are absurd.
                if info.count() < 1 << 16 {
                    let _ = dequantize(&whole.view(info));
                }
            }
            true
        }
        (Err(whole), Err(catalogue)) => {
            assert_eq!(whole.to_string(), catalogue.to_string());
            false
        }
        (whole, catalogue) => panic!("{whole:?} and {catalogue:?}"),
    }
}

fn rounds(sound: &[u8], head: usize, seed: u64, count: u64) {
    assert!(read(sound));
    let counter = Counter::new(seed, "damage", 0);
    let mut accepted = 0;
    for round in 0..count {
        let mut bytes = sound.to_vec();
        damage(&mut bytes, head, &counter, round);
        accepted += u64::from(read(&bytes));
    }
    // Both ways were gone: damage that hits nothing of importance is no damage.
    assert!(accepted > count / 500 && accepted < count * 9 / 10, "{accepted} of {count} were accepted");
}

#[test]
fn damaged_safetensors_are_read_or_refused() {
    let sound = safetensors();
    let head = 8 + u64::from_le_bytes(*sound.first_chunk().expect("a length")) as usize;
    rounds(&sound, head, 1, 6000);
}

#[test]
fn damaged_gguf_is_read_or_refused() {
    let sound = gguf();
    let head = sound.len() - sound.iter().rev().take_while(|byte| **byte <= 3).count();
    rounds(&sound, head.min(sound.len()), 2, 6000);
}

const RECIPE: &str = "\
merge_method: dare_ties
base_model: base
slices:
  - sources:
      - {model: a, layer_range: [0, 4], parameters: {weight: [0, 0.5, 1], density: 0.5}}
      - model: b
        layer_range: [0, 4]
        parameters:
          weight:
            - {filter: self_attn, value: 0.7}
            - value: 0.3
parameters: {normalize: true, lambda: 1.0}
dtype: bfloat16
";

#[test]
fn damaged_recipes_are_read_or_refused() {
    Recipe::parse(RECIPE).expect("it is sound");
    let counter = Counter::new(3, "damage", 0);
    let (mut accepted, count) = (0, 4000);
    for round in 0..count {
        let mut bytes = RECIPE.as_bytes().to_vec();
        damage(&mut bytes, usize::MAX, &counter, round);
        let text = String::from_utf8_lossy(&bytes);
        match Recipe::parse(&text) {
            Ok(_) => accepted += 1,
            Err(error) => assert!(matches!(error, Error::Recipe(_)), "{error}"),
        }
    }
    assert!(accepted > count / 100, "{accepted} of {count} were accepted");
}

#[test]
fn aliases_that_multiply_do_not_take_the_memory() {
    let mut text = String::from("merge_method: linear\nname: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for n in 1..30 {
        let all = vec![format!("*a{}", n - 1); 9].join(", ");
        text.push_str(&format!("parameters: &a{n} [{all}]\n"));
    }
    assert!(Recipe::parse(&text).is_err());
}

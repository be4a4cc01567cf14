//! Lengths, distances and largest elements, against sums done plainly.

use std::num::NonZeroUsize;

use kernels::compare::{cosine, distance, norm, top};
use kernels::{Backend, Cpu, Format, Inline, Threads, View};

use crate::quantize::normal;
use crate::raw;

#[test]
fn lengths_and_angles_are_those_of_plain_sums() {
    let (a, b) = (normal(100_003, 1), normal(100_003, 2));
    let (ra, rb) = (raw(&a), raw(&b));
    let shape = [100_003];
    let view = |bytes| View::new("t", &shape, Format::F32, bytes).expect("sound");
    let plain =
        |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(&b).map(|(a, b)| f(f64::from(*a), f64::from(*b))).sum::<f64>();
    let near = |x: f64, y: f64| assert!((x - y).abs() < 1e-9 * y.abs().max(1.0), "{x} {y}");
    let threads = Threads(NonZeroUsize::new(3).expect("not zero"));
    let (la, lb) = (plain(&|a, _| a * a).sqrt(), plain(&|_, b| b * b).sqrt());
    near(norm(&view(&ra), &Inline).expect("sums"), la);
    near(distance(&view(&ra), &view(&rb), &Inline).expect("sums"), plain(&|a, b| (a - b).powi(2)).sqrt());
    near(cosine(&view(&ra), &view(&rb), &Inline).expect("sums"), plain(&|a, b| a * b) / la / lb);
    let (one, many) = (norm(&view(&ra), &Inline), norm(&view(&ra), &threads));
    assert_eq!(one.expect("sums").to_bits(), many.expect("sums").to_bits());
}

#[test]
fn nothing_and_zero_have_no_length_and_no_angle() {
    let none = View::new("t", &[0], Format::F32, &[]).expect("sound");
    assert_eq!(norm(&none, &Inline).expect("sums"), 0.0);
    let zero = View::new("t", &[2], Format::F32, &[0; 8]).expect("sound");
    assert_eq!(cosine(&zero, &zero, &Inline).expect("sums"), 0.0);
    assert!(distance(&none, &zero, &Inline).is_err());
}

#[test]
fn the_largest_come_first_and_the_lower_place_first_among_equals() {
    let mut values = vec![1.0f32; 200_000];
    values[150_000] = 5.0;
    values[7] = 3.0;
    values[199_999] = 3.0;
    let bytes = raw(&values);
    let shape = [200_000];
    let view = View::new("t", &shape, Format::F32, &bytes).expect("sound");
    let found = top(&view, 5, &Inline).expect("finds");
    assert_eq!(found, [(150_000, 5.0), (7, 3.0), (199_999, 3.0), (0, 1.0), (1, 1.0)]);
    assert!(top(&view, 0, &Inline).expect("finds").is_empty());
    assert_eq!(top(&view, 300_000, &Inline).expect("finds").len(), 200_000);
}

#[test]
fn quantized_tensors_are_compared_by_their_numbers() {
    let values = normal(512, 3);
    let mut bytes = vec![0; 512 / 32 * 34];
    Cpu::default().quantize(&values, Format::Q8_0.into(), &mut bytes).expect("quantizes");
    let plain = raw(&values);
    let shape = [2, 256];
    let a = View::new("a", &shape, Format::Q8_0, &bytes).expect("sound");
    let b = View::new("b", &shape, Format::F32, &plain).expect("sound");
    assert!(cosine(&a, &b, &Inline).expect("sums") > 0.9999);
}

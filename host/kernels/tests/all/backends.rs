//! One suite for every back end: the bytes are those of the portable CPU.

use kernels::backend::{Cut, Keep, Linear, Stretch, Task, Tasks};
use kernels::{Backend, Counter, Cpu, Format, Level, Scheme};

use crate::quantize::normal;
use crate::{oracle, singles};

fn kept_as(values: &[f32], format: Format) -> Vec<u8> {
    let mut out = vec![0; format.bytes(&[values.len() as u64]).expect("fits") as usize];
    reference().quantize(values, format.into(), &mut out).expect("a float format");
    out
}

fn reference() -> Cpu {
    Cpu::with_level(Level::Portable).expect("always there")
}

const SCHEMES: [&str; 8] = ["f32", "bf16", "f16", "q8_0", "q4_0", "tq2_0", "q4_k", "q6_k"];

/// What a back end got wrong: all of it, as a look at a rare machine should tell as much as it can.
#[derive(Default)]
struct Wrong(std::cell::RefCell<Vec<String>>);

fn compare(
    (backend, wrong): (&dyn Backend, &Wrong),
    count: usize,
    what: &str,
    run: impl Fn(&dyn Backend, Scheme, &mut [u8]),
) {
    for name in SCHEMES {
        let scheme: Scheme = name.parse().expect("a type");
        let size = scheme.format.bytes(&[count as u64]).expect("fits") as usize;
        let (mut ours, mut wanted) = (vec![0; size], vec![0; size]);
        run(backend, scheme, &mut ours);
        run(&reference(), scheme, &mut wanted);
        let places: Vec<usize> = (0..size).filter(|i| ours[*i] != wanted[*i]).collect();
        if let Some(first) = places.first() {
            let (count, [ours, wanted]) = (places.len(), [ours, wanted].map(|bytes| bytes[first & !3..][..4].to_vec()));
            wrong.0.borrow_mut().push(format!(
                "{what} to {name}: {count} of {size} bytes, the first at {first}: {ours:?} for {wanted:?}"
            ));
        }
    }
}

fn suite(backend: &dyn Backend) {
    let wrong = Wrong::default();
    let backend = (backend, &wrong);
    quantizing(backend);
    linear(backend);
    tasks(backend);
    extremes(backend);
    let wrong = wrong.0.take();
    assert!(wrong.is_empty(), "{}:\n{}", backend.0.name(), wrong.join("\n"));
}

type Tried<'a> = (&'a dyn Backend, &'a Wrong);

fn quantizing(backend: Tried<'_>) {
    for name in ["gauss", "edge"] {
        let values = singles(&std::fs::read(oracle(&format!("{name}.f32"))).expect("test data is there"));
        compare(backend, values.len(), name, |backend, scheme, out| {
            backend.quantize(&values, scheme, out).expect("quantizes");
        });
        // An odd number of blocks: two share an invocation.
        let values = &values[..256 * 7];
        compare(backend, values.len(), name, |backend, scheme, out| {
            backend.quantize(values, scheme, out).expect("quantizes");
        });
    }
}

fn linear(backend: Tried<'_>) {
    for (count, formats) in
        [(256 * 301, [Format::F32, Format::F32, Format::F32]), (256 * 5, [Format::Bf16, Format::F16, Format::Q8_0])]
    {
        let inputs: Vec<Vec<u8>> = (0..3).map(|m| kept_as(&normal(count, 100 + m), formats[m as usize])).collect();
        for divisor in [1.0, 0.9, 3.0e-38] {
            compare(backend, count, "linear", |backend, scheme, out| {
                let inputs = inputs.iter().zip(formats).map(|(bytes, format)| Stretch { format, bytes }).collect();
                let job = Linear { inputs, weights: vec![0.5, 0.3, 0.1], divisor, fused: false };
                backend.linear(&job, scheme, out).expect("merges");
            });
        }
    }
}

fn tasks(backend: Tried<'_>) {
    let count = 256 * 77;
    let base = normal(count, 1);
    let model = |seed: u64| base.iter().zip(normal(count, seed)).map(|(b, n)| b + 0.1 * n).collect::<Vec<f32>>();
    let inputs: Vec<Vec<u8>> = (0..3).map(|m| kept_as(&model(50 + m), Format::Bf16)).collect();
    let base = kept_as(&base, Format::Bf16);
    let mask: Vec<u8> = (0..count / 8 + 1000).map(|i| (i * 37 % 251) as u8).collect();
    let from = 512;
    let magnitude = |x: f32| x.to_bits();
    let band = |low: f32, high: f32| Keep::Band {
        low: Cut { bits: magnitude(low), index: from + 3333 },
        high: Cut { bits: magnitude(high), index: 0 },
    };
    let keeps = [
        [Keep::All; 3],
        [band(0.0625, f32::INFINITY), band(0.03125, 0.25), Keep::All],
        [Keep::Mask(&mask), Keep::Chance { counter: Counter::new(9, "t", 2), share: 0.4 }, Keep::Mask(&mask)],
    ];
    for keep in keeps {
        for (vote, normalize, lambda, rescale) in
            [(true, true, 1.0, 1.0), (true, false, 0.7, 1.3), (false, true, 1.0, 1.1), (false, false, 0.3, 1.0)]
        {
            compare(backend, count, &format!("tasks {keep:?}"), |backend, scheme, out| {
                let bf16 = |bytes| Stretch { format: Format::Bf16, bytes };
                let weights = [0.7, -0.5, 0.3];
                let tasks = (0..3)
                    .map(|m| Task { input: bf16(&inputs[m]), weight: weights[m], keep: keep[m], rescale })
                    .collect();
                let job = Tasks { base: bf16(&base), tasks, vote, normalize, lambda, from };
                backend.tasks(&job, scheme, out).expect("merges");
            });
        }
    }
}

/// Ordinary numbers, with some that a device may take for zeros or that are nearly infinite strewn in: in every block, in
/// some, and in whole blocks; and results of ordinary numbers that are no longer ordinary.
fn extremes(backend: Tried<'_>) {
    let count = 256 * 40;
    let strange = |seed: u64, model: usize| -> Vec<f32> {
        let mut values = normal(count, seed);
        for (i, x) in values.iter_mut().enumerate() {
            let power = match (i / 2048, i % 37) {
                (0, 0) => -149 + (i as i32 / 37) % 60,
                (1, _) => -140 + (i as i32 / 256) % 30,
                (2, 5) => -40 - (i as i32 / 37) % 40,
                (3, 7) => 100 + (i as i32 / 37) % 24,
                (4, 3) if model == 1 => -126,
                _ => continue,
            };
            *x *= 2.0f32.powi(power / 2) * 2.0f32.powi(power - power / 2);
        }
        values
    };
    let singles: Vec<Vec<f32>> = (0..4).map(|m| strange(70 + m as u64, m)).collect();
    for (m, values) in singles.iter().enumerate() {
        compare(backend, count, &format!("extremes {m}"), |backend, scheme, out| {
            backend.quantize(values, scheme, out).expect("quantizes");
        });
    }
    let kept: Vec<Vec<u8>> = singles.iter().map(|values| kept_as(values, Format::F32)).collect();
    let stretch = |m: usize| Stretch { format: Format::F32, bytes: &kept[m] };
    for (weights, divisor) in [([0.5, -0.3, 0.1], 1.0), ([1e-20, 0.0, 0.25], 3.0), ([1e-38, 1e30, 1.0], 1e10)] {
        compare(backend, count, &format!("linear of extremes, {weights:?}"), |backend, scheme, out| {
            let job =
                Linear { inputs: (0..3).map(stretch).collect(), weights: weights.to_vec(), divisor, fused: false };
            backend.linear(&job, scheme, out).expect("merges");
        });
    }
    for (factor, lambda) in [(1.0, 1.0), (0.004, 200.0), (1e-30, 1.0), (1.0, 1e-25)] {
        compare(backend, count, &format!("ties of extremes, {factor} {lambda}"), |backend, scheme, out| {
            let task = |m: usize| Task { input: stretch(m), weight: 0.4 * factor, keep: Keep::All, rescale: 1.5 };
            let tasks = (1..4).map(task).collect();
            let job = Tasks { base: stretch(0), tasks, vote: true, normalize: true, lambda, from: 0 };
            backend.tasks(&job, scheme, out).expect("merges");
        });
    }
}

#[test]
fn cpu() {
    for level in Level::available() {
        suite(&Cpu::with_level(level).expect("available"));
    }
}

/// A machine without an adapter proves the CPU's half only, unless VILLAGE_GPU says that there must be one.
#[cfg(feature = "gpu")]
#[test]
fn gpu() {
    match kernels::Gpu::open() {
        Ok(gpu) => {
            suite(&gpu);
            for (stream, search) in [(true, false), (false, true)] {
                suite(&kernels::Mixed::of(stream, search).expect("opened before"));
            }
        }
        Err(error) => assert!(std::env::var_os("VILLAGE_GPU").is_none(), "{error}"),
    }
}

/// Three threads share three places of the ring, and more wait.
#[cfg(feature = "gpu")]
#[test]
fn calls_from_many_threads_do_not_mix() {
    let Ok(gpu) = kernels::Gpu::open() else { return };
    std::thread::scope(|scope| {
        for seed in 0..6 {
            let gpu = &gpu;
            scope.spawn(move || {
                let values = normal(256 * (20 + seed as usize), seed);
                for _ in 0..5 {
                    let (mut ours, mut wanted) = (vec![0; values.len() / 32 * 34], vec![0; values.len() / 32 * 34]);
                    gpu.quantize(&values, Format::Q8_0.into(), &mut ours).expect("quantizes");
                    reference().quantize(&values, Format::Q8_0.into(), &mut wanted).expect("quantizes");
                    assert!(ours == wanted);
                }
            });
        }
    });
}

#[cfg(feature = "gpu")]
#[test]
fn a_file_made_on_a_device_is_the_file_made_on_the_processor() {
    use kernels::job::{self, Means};
    use kernels::merge::{Plan, Recipe};
    use kernels::{Inline, Limits, Types, Weights};
    let Ok(gpu) = kernels::Gpu::open() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, types) in [("ties.f32", "q8_0"), ("dare_ties.f32", "f32"), ("linear.bf16", "q4_0")] {
        let yaml = std::fs::read_to_string(oracle("merge/outputs").join(name).join("mergekit.yml"));
        let recipe = Recipe::parse(&yaml.expect("test data is there")).expect("parses");
        let open = |name: &&str| Weights::open(&oracle("merge").join(name), &Limits::default()).expect("sound");
        let models: Vec<Weights> = recipe.models().iter().map(open).collect();
        let plan = Plan::new(&recipe, models.iter().collect()).expect("fits");
        let types: Types = types.parse().expect("a type");
        let file = |backend: &dyn Backend| {
            let path = folder.path().join("out");
            let means = Means { backend, pool: &Inline, watch: &() };
            job::merge(&plan, Some(&types), &path, means).expect("merges");
            std::fs::read(path).expect("is there")
        };
        assert!(file(&gpu) == file(&Cpu::default()), "{name}");
    }
}

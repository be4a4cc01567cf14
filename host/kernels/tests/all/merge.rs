//! Merging, against mergekit's results and against what must hold for any tool.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use kernels::job::{self, Means, Report};
use kernels::merge::{Ask, Masks, Method, Plan, Recipe, prepare};
use kernels::{
    Backend, Cpu, Error, Format, Inline, Level, Limits, Pool, Result, Threads, Types, View, Weights, dequantize,
};

use crate::quantize::normal;
use crate::{oracle, raw, singles};

fn open(path: &Path) -> Weights {
    Weights::open(path, &Limits::default()).expect("test data is sound")
}

/// The masks mergekit drew, by `model/tensor`.
struct Drawn(Weights);

impl Masks for Drawn {
    fn mask(&self, model: &str, tensor: &str) -> Option<&[u8]> {
        let short = model.rsplit('/').next()?.split('_').next()?;
        self.0.tensor(&format!("{short}/{tensor}")).ok().map(|view| view.bytes)
    }
}

fn merged(
    yaml: &str,
    masks: Option<&Drawn>,
    to: &Path,
    change: impl Fn(&mut Recipe),
    pool: &dyn Pool,
) -> Result<Report> {
    let mut recipe = Recipe::parse(yaml)?;
    change(&mut recipe);
    let models: Vec<Weights> = recipe.models().iter().map(|name| open(&oracle("merge").join(name))).collect();
    let mut plan = Plan::new(&recipe, models.iter().collect())?;
    plan.masks = masks.map(|masks| masks as &dyn Masks);
    job::merge(&plan, None, to, Means { backend: &Cpu::default(), pool, watch: &() })
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Merges one of the oracle's recipes; gives our file and mergekit's.
fn against(name: &str, change: impl Fn(&mut Recipe)) -> (Weights, Weights) {
    let at = oracle("merge/outputs").join(name);
    let yaml = std::fs::read_to_string(at.join("mergekit.yml")).expect("test data is there");
    let masks = at.join("masks.safetensors");
    let masks = masks.exists().then(|| Drawn(open(&masks)));
    let folder = folder();
    let to = folder.path().join("out.safetensors");
    merged(&yaml, masks.as_ref(), &to, change, &Inline).expect("merges");
    (open(&to), open(&at))
}

#[test]
fn bytes_are_mergekits_for_the_methods_without_rounding_choices() {
    for name in ["task_arithmetic.f32", "ties.f32", "breadcrumbs.f32", "passthrough.f32", "slerp_lerp.f32"] {
        let (ours, theirs) = against(name, |_| {});
        assert_eq!(ours.infos().len(), theirs.infos().len(), "{name}");
        for info in theirs.infos() {
            assert!(
                ours.tensor(&info.name).expect("is there").bytes == theirs.view(info).bytes,
                "{name}: {}",
                info.name
            );
        }
    }
}

#[test]
fn exact_linear_gives_mergekits_bytes_and_plain_linear_does_not() {
    for name in ["linear.f32", "linear.bf16", "linear_unnorm.f32"] {
        let differ = |fused: bool| {
            let (ours, theirs) = against(name, |recipe| recipe.fused = fused);
            theirs
                .infos()
                .iter()
                .filter(|i| ours.tensor(&i.name).expect("is there").bytes != theirs.view(i).bytes)
                .count()
        };
        assert_eq!(differ(true), 0, "{name}");
        // Else the flag would prove nothing.
        assert!(differ(false) > 0, "{name}");
    }
}

#[test]
fn the_other_methods_are_within_a_millionth_of_mergekit() {
    for name in
        ["slerp.f32", "nuslerp.f32", "model_stock.f32", "dare_linear.f32", "dare_ties.f32", "della.f32", "linear.f32"]
    {
        let (ours, theirs) = against(name, |_| {});
        for info in theirs.infos() {
            let (a, b) = (dequantize(&ours.tensor(&info.name).expect("is there")), dequantize(&theirs.view(info)));
            let (a, b) = (a.expect("reads"), b.expect("reads"));
            let rms = (b.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / b.len() as f64).sqrt();
            let worst = a.iter().zip(&b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
            assert!(worst <= 2e-6 * rms.max(1e-3), "{name} {}: {worst} of {rms}", info.name);
        }
    }
}

/// Sixteen-bit inputs, computed in single, rounded once: a tenth of the error of sixteen-bit arithmetic.
#[test]
fn ties_of_bfloat16_is_mergekits_f32_result_rounded_once() {
    let (ours, theirs) = against("ties_f32acc.bf16", |_| {});
    let (mut same, mut all) = (0, 0);
    for info in theirs.infos() {
        let (a, b) = (ours.tensor(&info.name).expect("is there").bytes, theirs.view(info).bytes);
        same += a.as_chunks::<2>().0.iter().zip(b.as_chunks::<2>().0).filter(|(a, b)| a == b).count();
        all += a.len() / 2;
    }
    // Equal differences at the cut are chosen differently: a sort there is not stable.
    assert!(same as f64 > 0.8 * all as f64, "{same} of {all}");
}

/// Tensors for merges in memory: a base and three models near it.
struct Set {
    shape: Vec<u64>,
    bytes: Vec<Vec<u8>>,
    format: Format,
}

impl Set {
    fn new(shape: &[u64], format: Format) -> Self {
        let count = shape.iter().product::<u64>() as usize;
        let base = normal(count, 10);
        let models = (0..4).map(|m| {
            let noise = normal(count, 20 + m);
            let values: Vec<f32> =
                base.iter().zip(&noise).map(|(b, n)| if m == 0 { *b } else { b + n * 0.1 * m as f32 }).collect();
            let mut out = vec![0; format.bytes(&[count as u64]).expect("fits") as usize];
            Cpu::default().quantize(&values, format.into(), &mut out).expect("a float format");
            out
        });
        Self { shape: shape.to_vec(), bytes: models.collect(), format }
    }

    fn view(&self, model: usize) -> View<'_> {
        View::new("t", &self.shape, self.format, &self.bytes[model]).expect("sound")
    }

    fn ask(&self, method: Method, parameters: &str) -> Result<Ask<'_>> {
        let base = method.takes_base().then(|| self.view(0));
        let models = match method {
            Method::Slerp | Method::Nearswap | Method::Passthrough => vec![self.view(1)],
            Method::Nuslerp => vec![self.view(1), self.view(2)],
            _ => vec![self.view(1), self.view(2), self.view(3)],
        };
        Ask::from_json(method, base, models, parameters)
    }

    fn run(&self, method: Method, parameters: &str, pool: &dyn Pool, level: Level) -> Result<Vec<f32>> {
        let job = prepare(&self.ask(method, parameters)?, level, pool)?;
        let mut out = vec![0; job.count() * 4];
        job.run(&Cpu::with_level(level).expect("available"), 0, Format::F32.into(), &mut out)?;
        Ok(singles(&out))
    }
}

const MODEST: &str =
    r#"{"weight": 0.4, "density": 0.5, "epsilon": 0.1, "gamma": 0.02, "t": 0.3, "rescale": true, "seed": 7}"#;

#[test]
fn levels_threads_and_chunks_change_no_byte_of_any_method() {
    let set = Set::new(&[300, 512], Format::Bf16);
    let threads = Threads(NonZeroUsize::new(3).expect("not zero"));
    for &method in Method::ALL {
        let once = set.run(method, MODEST, &Inline, Level::Portable).expect("merges");
        assert!(once.iter().all(|x| x.is_finite()), "{method:?}");
        for level in Level::available() {
            let again = set.run(method, MODEST, &threads, level).expect("merges");
            assert!(raw(&once) == raw(&again), "{method:?} at {level:?}");
        }
        let job = prepare(&set.ask(method, MODEST).expect("sound"), Level::detect(), &Inline).expect("sound");
        let mut parts = Vec::new();
        for from in (0..job.count()).step_by(768) {
            let mut out = vec![0; 768.min(job.count() - from) * 4];
            job.run(&Cpu::default(), from, Format::F32.into(), &mut out).expect("merges");
            parts.extend(out);
        }
        assert!(raw(&once) == parts, "{method:?} in chunks");
        let beyond = job.run(&Cpu::default(), job.count() - 256, Format::F32.into(), &mut [0; 2048]);
        assert!(beyond.is_err(), "{method:?} beyond the end");
    }
}

#[test]
fn nothing_but_numbers_comes_out_of_equal_or_empty_tensors() {
    for format in [Format::F32, Format::F16, Format::Bf16] {
        let set = Set::new(&[4, 256], format);
        let zero = Set { bytes: vec![vec![0; set.bytes[0].len()]; 4], shape: set.shape.clone(), format };
        let equal = Set { bytes: vec![set.bytes[0].clone(); 4], shape: set.shape.clone(), format };
        for (set, what) in [(&zero, "zero"), (&equal, "equal")] {
            for &method in Method::ALL {
                let out = set.run(method, MODEST, &Inline, Level::detect()).expect("merges");
                assert!(out.iter().all(|x| x.is_finite()), "{method:?} of {what} {format}");
                if what == "equal" && method != Method::Multislerp && method != Method::Nuslerp {
                    let was = dequantize(&set.view(0)).expect("reads");
                    let near = out.iter().zip(&was).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1e-3));
                    assert!(near, "{method:?} of equal {format}");
                }
            }
        }
    }
}

#[test]
fn ties_keeps_the_lowest_index_among_equals() {
    let count = 70_000;
    let base = vec![0.0f32; count];
    let model = vec![1.0f32; count];
    let (base, model) = (raw(&base), raw(&model));
    let shape = [count as u64];
    let view = |bytes| View::new("t", &shape, Format::F32, bytes).expect("sound");
    for density in [0.0001, 0.5, 0.97] {
        let parameters = format!(r#"{{"weight": 1.0, "density": {density}}}"#);
        let ask = Ask::from_json(Method::Ties, Some(view(&base)), vec![view(&model)], &parameters).expect("sound");
        let job = prepare(&ask, Level::detect(), &Inline).expect("sound");
        let mut out = vec![0; count * 4];
        job.run(&Cpu::default(), 0, Format::F32.into(), &mut out).expect("merges");
        let kept = ((density * count as f64) as usize).max(1);
        let out = singles(&out);
        assert!(out[..kept].iter().all(|x| *x == 1.0) && out[kept..].iter().all(|x| *x == 0.0), "{density}");
    }
}

#[test]
fn dare_keeps_the_share_it_is_told_and_another_seed_keeps_others() {
    let set = Set::new(&[400, 512], Format::F32);
    let kept = |seed: u32| {
        let parameters = format!(r#"{{"weight": [1, 0, 0], "density": 0.3, "rescale": false, "seed": {seed}}}"#);
        let out = set.run(Method::DareLinear, &parameters, &Inline, Level::detect()).expect("merges");
        let base = dequantize(&set.view(0)).expect("reads");
        out.iter().zip(&base).map(|(a, b)| a != b).collect::<Vec<_>>()
    };
    let (one, two) = (kept(1), kept(2));
    let count = one.iter().filter(|k| **k).count() as f64;
    let (n, p) = (one.len() as f64, 0.3);
    assert!((count - n * p).abs() < 5.0 * (n * p * (1.0 - p)).sqrt());
    assert_eq!(one, kept(1));
    assert_ne!(one, two);
}

#[test]
fn a_gradient_and_a_filter_reach_the_tensors_they_are_for() {
    let yaml = "
merge_method: slerp
base_model: inputs/a_f32
slices:
- sources:
  - {model: inputs/a_f32, layer_range: [0, 2]}
  - {model: inputs/c_f32, layer_range: [0, 2]}
parameters:
  t:
  - filter: k_proj
    value: [0, 1]
  - value: 0
dtype: float32
";
    let folder = folder();
    let to = folder.path().join("out.safetensors");
    merged(yaml, None, &to, |_| {}, &Inline).expect("merges");
    let (out, a, c) = (open(&to), open(&oracle("merge/inputs/a_f32")), open(&oracle("merge/inputs/c_f32")));
    let same = |name: &str, with: &Weights| {
        let (x, y) = (dequantize(&out.tensor(name).expect("there")), dequantize(&with.tensor(name).expect("there")));
        x.expect("reads").iter().zip(y.expect("reads")).all(|(x, y)| (x - y).abs() < 1e-6)
    };
    assert!(same("model.layers.0.self_attn.k_proj.weight", &a));
    assert!(same("model.layers.1.self_attn.k_proj.weight", &c));
    assert!(same("model.layers.1.self_attn.v_proj.weight", &a));
    assert!(!same("model.layers.1.self_attn.v_proj.weight", &c));
}

#[test]
fn layers_are_swapped_and_numbered_anew() {
    let (ours, _) = against("passthrough.f32", |_| {});
    let a = open(&oracle("merge/inputs/a_f32"));
    let c = open(&oracle("merge/inputs/c_f32"));
    let bytes = |weights: &Weights, layer: u32| {
        weights.tensor(&format!("model.layers.{layer}.self_attn.v_proj.weight")).expect("is there").bytes.to_vec()
    };
    assert_eq!(bytes(&ours, 0), bytes(&a, 0));
    assert_eq!(bytes(&ours, 1), bytes(&c, 0));
    assert_eq!(bytes(&ours, 2), bytes(&c, 1));
}

fn refusal(yaml: &str) -> String {
    let folder = folder();
    let error = merged(yaml, None, &folder.path().join("out.safetensors"), |_| {}, &Inline).expect_err("refused");
    assert!(std::fs::read_dir(folder.path()).expect("a folder").next().is_none(), "something was left behind");
    error.to_string()
}

#[test]
fn recipes_that_make_no_sense_are_refused_with_the_reason() {
    let two =
        "models: [{model: inputs/a_f32, parameters: {weight: 1}}, {model: inputs/b_f32, parameters: {weight: 1}}]";
    for (yaml, reason) in [
        (format!("merge_method: alchemy\n{two}"), "recipe: unknown merge method `alchemy`"),
        (format!("merge_method: ties\n{two}"), "recipe: `ties` needs a base model"),
        (format!("merge_method: slerp\n{two}\nbase_model: inputs/a_f32"), "recipe: `t` is missing"),
        ("merge_method: linear\nmodels: [{model: inputs/a_f32}]".to_owned(), "recipe: `weight` is missing"),
        (format!("merge_method: linear\n{two}\nparameters: {{wieght: 2}}"), "recipe: `wieght` is not known"),
        (
            format!("merge_method: linear\n{two}\ntokenizer_source: union"),
            "recipe: `tokenizer_source` is not supported",
        ),
        (
            "merge_method: linear\nmodels: [{model: inputs/a_f32+some/lora, parameters: {weight: 1}}]".to_owned(),
            "recipe: `an adapter (lora)` is not supported",
        ),
        (
            format!("merge_method: linear\n{two}\nparameters: {{density: 1.5}}"),
            "recipe: `density` is not between 0 and 1",
        ),
    ] {
        assert_eq!(refusal(&yaml), reason, "{yaml}");
    }
    assert!(refusal(&format!("merge_method: linear\n{two}\nmodles: []")).contains("modles"));
}

#[test]
fn an_alias_bomb_is_refused_quickly() {
    let mut yaml = String::from("merge_method: linear\nx0: &x0 [a, a, a, a, a, a, a, a, a, a]\n");
    for i in 1..10 {
        let list = vec![format!("*x{}", i - 1); 10].join(", ");
        yaml.push_str(&format!("x{i}: &x{i} [{list}]\n"));
    }
    assert!(matches!(Recipe::parse(&yaml), Err(Error::Recipe(_))));
}

#[test]
fn merging_and_quantizing_at_once_gives_the_bytes_of_one_after_the_other() {
    let folder = folder();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let yaml = std::fs::read_to_string(oracle("merge/outputs/ties.f32/mergekit.yml")).expect("test data is there");
    let recipe = Recipe::parse(&yaml).expect("parses");
    let models: Vec<Weights> = recipe.models().iter().map(|name| open(&oracle("merge").join(name))).collect();
    let plan = Plan::new(&recipe, models.iter().collect()).expect("fits");
    let cpu = Cpu::default();
    let means = Means { backend: &cpu, pool: &Inline, watch: &() };
    let types: Types = "q8_0".parse().expect("a type");
    job::merge(&plan, Some(&types), &path("once"), means).expect("merges");
    job::merge(&plan, None, &path("first"), means).expect("merges");
    let first = open(&path("first"));
    let report = job::convert(&first, &types, &path("second"), first.metadata(), means).expect("converts");
    assert!(std::fs::read(path("once")).expect("written") == std::fs::read(path("second")).expect("written"));
    assert!(report.tensors.iter().filter(|t| t.shape.len() == 2).all(|t| t.snr.is_some_and(|db| db > 35.0)));
    assert!(report.ratio() > 3.5, "{}", report.ratio());
}

/// Lets a few stretches pass and then stops.
struct Impatient(std::sync::atomic::AtomicU64);

impl job::Watch for Impatient {
    fn advance(&self, bytes: u64) -> std::ops::ControlFlow<()> {
        let seen = self.0.fetch_add(bytes, std::sync::atomic::Ordering::SeqCst) + bytes;
        if seen > 30_000 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    }
}

#[test]
fn work_that_is_stopped_leaves_no_file() {
    let folder = folder();
    let weights = open(&oracle("merge/inputs/a_f32"));
    let watch = Impatient(0.into());
    let means = Means { backend: &Cpu::default(), pool: &Inline, watch: &watch };
    let types: Types = "q8_0".parse().expect("a type");
    let error =
        job::convert(&weights, &types, &folder.path().join("out"), weights.metadata(), means).expect_err("stopped");
    assert!(matches!(error, Error::Stopped));
    assert!(watch.0.into_inner() < weights.file_bytes() - 10_000, "it went on");
    assert!(std::fs::read_dir(folder.path()).expect("a folder").next().is_none());
}

#[test]
fn the_watch_is_told_of_every_byte() {
    let folder = folder();
    let weights = open(&oracle("merge/inputs/a_f32"));
    let total: u64 = weights.infos().iter().map(|info| info.bytes()).sum();
    let watch = Counted(0.into());
    let means = Means { backend: &Cpu::default(), pool: &Inline, watch: &watch };
    let types: Types = "int8".parse().expect("a type");
    job::convert(&weights, &types, &folder.path().join("out"), weights.metadata(), means).expect("converts");
    assert_eq!(watch.0.into_inner(), total);
}

struct Counted(std::sync::atomic::AtomicU64);

impl job::Watch for Counted {
    fn advance(&self, bytes: u64) -> std::ops::ControlFlow<()> {
        self.0.fetch_add(bytes, std::sync::atomic::Ordering::SeqCst);
        std::ops::ControlFlow::Continue(())
    }
}

#[test]
fn a_size_is_met_with_the_best_types_that_fit() {
    let weights = open(&oracle("merge/inputs/a_f32"));
    let whole: u64 = weights.infos().iter().map(|info| info.bytes()).sum();
    let types = Types::within(&weights, whole / 3).expect("there is a choice");
    assert_eq!(
        types,
        "q8_0".parse::<Types>().expect("a mix").for_model(weights.infos().iter().map(|i| i.name.as_str()))
    );
    let smaller = Types::within(&weights, whole / 6).expect("there is a choice");
    assert!(smaller.size(&weights) <= whole / 6 && smaller.size(&weights) < types.size(&weights));
    let error = Types::within(&weights, 100).expect_err("nothing is that small");
    assert!(error.to_string().starts_with("recipe: no types reach 100 bytes"), "{error}");
}

#[test]
fn a_mix_gives_the_tensors_that_matter_more_bits() {
    let names: Vec<String> = (0..16)
        .flat_map(|l| ["attn_v", "ffn_down", "attn_q"].map(|n| format!("blk.{l}.{n}.weight")))
        .chain(["output.weight", "token_embd.weight", "output_norm.weight"].map(str::to_owned))
        .collect();
    let types = "q4_k_m".parse::<Types>().expect("a mix").for_model(names.iter().map(String::as_str));
    let of = |name: &str| types.of(name, &[512, 512], Format::F16).to_string();
    assert_eq!(of("output.weight"), "q6_k");
    assert_eq!(of("token_embd.weight"), "q4_k");
    assert_eq!(of("blk.0.attn_q.weight"), "q4_k");
    // The first and last eighth, and every third between.
    let better: Vec<u32> = (0..16).filter(|l| of(&format!("blk.{l}.attn_v.weight")) == "q6_k").collect();
    assert_eq!(better, [0, 1, 4, 7, 10, 13, 14, 15]);
    assert_eq!(types.of("output_norm.weight", &[512], Format::F32).to_string(), "f32");
    assert_eq!(types.of("blk.0.attn_q.weight", &[512, 320], Format::F16).to_string(), "q5_0");
}

#[test]
fn tensors_in_memory_are_converted_and_merged_like_files() {
    let set = Set::new(&[40, 512], Format::F32);
    let threads = Threads(NonZeroUsize::new(3).expect("not zero"));
    let means = Means { backend: &Cpu::default(), pool: &threads, watch: &() };
    for name in ["q4_k", "int8_row", "vq", "bf16", "ternary", "nf4"] {
        let scheme = name.parse().expect("a type");
        let bytes = job::convert_tensor(&set.view(1), scheme, means).expect("converts");
        let view = View::new("t", &set.shape, scheme.format, &bytes).expect("sound");
        let back = job::convert_tensor(&view, Format::F32.into(), means).expect("converts");
        assert!(back == raw(&dequantize(&view).expect("reads")), "{name}");
        // From any format to any: also between two that both need a whole tensor.
        let other = job::convert_tensor(&view, Format::Int8.into(), means).expect("converts");
        assert_eq!(other.len() as u64, Format::Int8.bytes(&set.shape).expect("fits"));
    }
    let ask = set.ask(Method::Ties, MODEST).expect("sound");
    let merged = job::merge_tensor(&ask, Format::F32.into(), means).expect("merges");
    assert!(merged == raw(&set.run(Method::Ties, MODEST, &Inline, Level::Portable).expect("merges")));
}

#[test]
fn what_an_agent_asks_wrongly_is_told_apart() {
    let set = Set::new(&[4, 256], Format::F32);
    let refusal = |method, parameters: &str| set.ask(method, parameters).expect_err("refused").to_string();
    assert_eq!(
        refusal(Method::Linear, r#"{"weight": [1, 2]}"#),
        "recipe: `weight` does not have one value for each tensor"
    );
    assert_eq!(refusal(Method::Linear, r#"{"wait": 1}"#), "recipe: `wait` is not known");
    assert_eq!(refusal(Method::Linear, r#"{"weight": "much"}"#), "recipe: `weight` is not a number");
    assert_eq!(refusal(Method::Ties, "{}"), "recipe: `weight` is missing");
    assert!(refusal(Method::Linear, "[1]").starts_with("recipe: "));
    let none = Ask::from_json(Method::Linear, None, vec![], r#"{"weight": []}"#).expect("sound so far");
    assert_eq!(
        prepare(&none, Level::detect(), &Inline).err().map(|e| e.to_string()),
        Some("recipe: `linear` needs at least one model".to_owned())
    );
    let zero = Ask::from_json(Method::Linear, None, vec![set.view(0)], r#"{"weight": 0}"#).expect("sound so far");
    assert!(prepare(&zero, Level::detect(), &Inline).is_err());
}

#[test]
fn no_damage_to_a_recipe_panics() {
    let sound = std::fs::read_to_string(oracle("merge/outputs/ties.f32/mergekit.yml")).expect("test data is there");
    let chance = kernels::Counter::new(8, "recipe", 0);
    for round in 0..3000u64 {
        let mut text = sound.clone().into_bytes();
        for edit in 0..1 + chance.bits(round) % 4 {
            let bits = chance.bits(round << 8 | edit << 4 | 7);
            let at = bits as usize % text.len().max(1);
            let signs = b"[]{}:,-&*!|>'\"%@` \n0.eE~";
            match bits >> 40 & 3 {
                0 if at < text.len() => text[at] = signs[(bits >> 50) as usize % signs.len()],
                1 => text.insert(at, signs[(bits >> 50) as usize % signs.len()]),
                2 => drop(text.splice(at..(at + 9).min(sound.len()).min(text.len()), []).count()),
                _ => text.truncate(at.max(1)),
            }
        }
        if let Ok(text) = String::from_utf8(text)
            && let Ok(recipe) = Recipe::parse(&text)
        {
            assert!(!recipe.models().is_empty());
        }
    }
}

//! The methods, each from its formula to a job that any stretch can be computed with.

use std::str::FromStr;

use super::directions::{self, Mix};
use super::parameters::{Global, Own};
use super::recipe::needs;
use super::{masks, select, sums};
use crate::backend::{Backend, Cut, Keep, Linear, Stretch, Task, Tasks};
use crate::level::Level;
use crate::random::Counter;
use crate::{Error, Fault, Misfit, Pool, Result, Scheme, View};

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident $name:literal;)*) => {
        /// A way to merge.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Method { $($(#[$doc])* $variant,)* }

        impl Method {
            /// Every method.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// mergekit's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

methods! {
    /// Weighted mean.
    Linear "linear";
    /// Along the great circle between two tensors.
    Slerp "slerp";
    /// The same with weights, of tensors or of their differences from a base.
    Nuslerp "nuslerp";
    /// The same for many, in the plane that touches their mean.
    Multislerp "multislerp";
    /// Base plus weighted differences.
    TaskArithmetic "task_arithmetic";
    /// Largest differences, one sign.
    Ties "ties";
    /// Random differences.
    DareLinear "dare_linear";
    /// Random differences, one sign.
    DareTies "dare_ties";
    /// Random differences, large ones more likely, one sign.
    Della "della";
    /// Random differences, large ones more likely.
    DellaLinear "della_linear";
    /// Neither the largest nor the smallest differences.
    Breadcrumbs "breadcrumbs";
    /// Neither the largest nor the smallest differences, one sign.
    BreadcrumbsTies "breadcrumbs_ties";
    /// From the base towards the mean, as far as the models agree.
    ModelStock "model_stock";
    /// One model as it is.
    Passthrough "passthrough";
    /// Towards the other where both are near.
    Nearswap "nearswap";
    /// The mean on the sphere.
    Karcher "karcher";
}

impl Method {
    /// Uses a base if there is one.
    pub const fn takes_base(self) -> bool {
        !matches!(self, Self::Linear | Self::Passthrough | Self::Karcher)
    }

    /// Makes no sense without a base.
    pub const fn needs_base(self) -> bool {
        self.takes_base() && !matches!(self, Self::Nuslerp | Self::Multislerp)
    }

    pub(super) const fn needs_weight(self) -> bool {
        matches!(self, Self::Linear | Self::Nuslerp) || self.is_task()
    }

    /// Sums differences from the base.
    const fn is_task(self) -> bool {
        self.votes() || matches!(self, Self::TaskArithmetic | Self::DareLinear | Self::DellaLinear | Self::Breadcrumbs)
    }

    const fn votes(self) -> bool {
        matches!(self, Self::Ties | Self::DareTies | Self::Della | Self::BreadcrumbsTies)
    }

    /// How many models besides the base it takes.
    fn check(self, base: bool, models: usize) -> Result<()> {
        if self.needs_base() && !base {
            return Err(needs(self, "a base model"));
        }
        let need = match self {
            Self::Slerp | Self::Nearswap if models != 1 => "a base model and exactly one other",
            Self::Nuslerp if models != 2 => "exactly two models",
            Self::Passthrough if models != 1 => "exactly one model",
            Self::ModelStock if models < 2 => "at least two models besides the base",
            _ if models == 0 => "at least one model",
            _ => return Ok(()),
        };
        Err(needs(self, need))
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.iter().copied().find(|method| method.name() == name);
        found.ok_or_else(|| Error::Recipe(Misfit::Method(name.to_owned())))
    }
}

/// One model's tensor, and what is said about the model.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// The tensor.
    pub view: View<'a>,
    /// What is said.
    pub own: Own,
    /// Its place in the recipe; part of the key of chance.
    pub number: u64,
    /// Takes the place of whatever the method would leave out: one bit an element, the first one lowest.
    pub mask: Option<&'a [u8]>,
}

/// What to merge into one tensor.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// How.
    pub method: Method,
    /// The result's name; part of the key of chance.
    pub name: &'a str,
    /// What differences are from.
    pub base: Option<View<'a>>,
    /// The others, in the recipe's order.
    pub models: Vec<Model<'a>>,
    /// What is said about the merge.
    pub global: Global,
    /// Of the random methods.
    pub seed: u64,
    /// See [`Linear::fused`].
    pub fused: bool,
}

impl<'a> Ask<'a> {
    /// One tensor as it is.
    pub fn copy(view: View<'a>) -> Self {
        let model = Model { view, own: Own::default(), number: 0, mask: None };
        let global = Global::usual(Method::Passthrough);
        Self {
            method: Method::Passthrough,
            name: view.name,
            base: None,
            models: vec![model],
            global,
            seed: 0,
            fused: false,
        }
    }
}

/// A merge of one tensor, ready to be computed stretch by stretch.
pub struct Job<'a> {
    kind: Kind<'a>,
    row: usize,
    count: usize,
}

enum Kind<'a> {
    Linear {
        inputs: Vec<View<'a>>,
        weights: Vec<f32>,
        divisor: f32,
        fused: bool,
    },
    Tasks {
        base: View<'a>,
        tasks: Vec<Part<'a>>,
        vote: bool,
        normalize: bool,
        lambda: f32,
    },
    /// A weighted sum whose weights differ from row to row.
    Rows {
        inputs: Vec<View<'a>>,
        weights: Vec<Vec<f32>>,
    },
    /// A weighted sum whose weights differ from column to column.
    Columns {
        inputs: Vec<View<'a>>,
        weights: Vec<Vec<f32>>,
    },
    Near {
        base: View<'a>,
        other: View<'a>,
        t: f32,
    },
}

struct Part<'a> {
    view: View<'a>,
    weight: f32,
    keep: Kept<'a>,
    rescale: f32,
}

/// [`Keep`], with masks of its own.
enum Kept<'a> {
    Borrowed(Keep<'a>),
    Owned(Vec<u8>),
}

impl Kept<'_> {
    fn get(&self) -> Keep<'_> {
        match self {
            Self::Borrowed(keep) => *keep,
            Self::Owned(mask) => Keep::Mask(mask),
        }
    }
}

/// Finds what must be known of whole tensors.
pub fn prepare<'a>(ask: &Ask<'a>, level: Level, pool: &dyn Pool) -> Result<Job<'a>> {
    ask.method.check(ask.base.is_some(), ask.models.len())?;
    let first = ask.base.unwrap_or(ask.models[0].view);
    for model in &ask.models {
        agrees(&first, &model.view)?;
    }
    for view in ask.base.iter().chain(ask.models.iter().map(|model| &model.view)) {
        if !view.format.is_readable() || view.format.is_whole() {
            return Err(Error::tensor(view.name, Fault::Opaque(view.format)));
        }
    }
    let kind = kind(ask, level, pool)?;
    Ok(Job { kind, row: first.row().max(1), count: first.count() })
}

fn agrees(first: &View<'_>, other: &View<'_>) -> Result<()> {
    if first.shape == other.shape {
        return Ok(());
    }
    let (expected, found) = (first.shape.to_vec(), other.shape.to_vec());
    Err(Error::tensor(first.name, Fault::Shape { expected, found, place: other.name.to_owned() }))
}

fn kind<'a>(ask: &Ask<'a>, level: Level, pool: &dyn Pool) -> Result<Kind<'a>> {
    let views: Vec<View<'a>> = ask.models.iter().map(|model| model.view).collect();
    let with_base: Vec<View<'a>> = ask.base.into_iter().chain(views.iter().copied()).collect();
    let weights: Vec<f64> = ask.models.iter().map(|model| model.own.weight).collect();
    let global = &ask.global;
    let linear =
        |inputs: Vec<View<'a>>, weights: Vec<f32>, divisor| Kind::Linear { inputs, weights, divisor, fused: false };
    Ok(match (ask.method, ask.base) {
        (Method::Linear, _) => {
            let weights: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
            let total: f32 = weights.iter().sum();
            if global.normalize && total == 0.0 {
                return Err(Error::Recipe(Misfit::Parameter {
                    name: "weight".to_owned(),
                    reason: "of all models sums to 0",
                }));
            }
            let divisor = if global.normalize { total } else { 1.0 };
            Kind::Linear { inputs: views, weights, divisor, fused: ask.fused }
        }
        (Method::Passthrough, _) => {
            let scale = ask.models[0].own.scale.map_or(1.0, |scale| scale as f32);
            linear(views, vec![scale], 1.0)
        }
        (Method::Slerp, _) => {
            let gram = sums::gram(level, pool, None, &with_base)?;
            linear(with_base, directions::slerp(&gram, global.t).into(), 1.0)
        }
        (Method::Nuslerp, base) => nuslerp(base, &views, &weights, global, level, pool)?,
        (Method::Multislerp, base) => {
            let gram = sums::gram(level, pool, base.as_ref(), &views)?;
            let mix = directions::multislerp(&gram, &weights).ok_or_else(|| opposite(ask.method))?;
            around(base, &views, mix)
        }
        (Method::Karcher, _) => {
            let gram = sums::gram(level, pool, None, &views)?;
            linear(views, directions::karcher(&gram, &weights, global.rounds, global.tolerance), 1.0)
        }
        (Method::ModelStock, Some(base)) if global.filter_wise => {
            let rows = sums::row_grams(level, pool, &base, &views)?;
            let weights = rows.iter().map(directions::model_stock).collect();
            Kind::Rows { inputs: with_base, weights }
        }
        (Method::ModelStock, Some(base)) => {
            let gram = sums::gram(level, pool, Some(&base), &views)?;
            // As differences, which are small: summing whole weights would round five times as much.
            let mix = directions::model_stock(&gram).split_off(1);
            around(Some(base), &views, mix)
        }
        (Method::Nearswap, Some(base)) => Kind::Near { base, other: views[0], t: global.t as f32 },
        (_, Some(base)) => tasks(ask, base, level, pool)?,
        (method, None) => return Err(needs(method, "a base model")),
    })
}

fn opposite(method: Method) -> Error {
    needs(method, "models that do not point in opposite directions")
}

/// A weighted sum, of the tensors or of their differences from a base.
fn around<'a>(base: Option<View<'a>>, views: &[View<'a>], weights: Mix) -> Kind<'a> {
    match base {
        None => Kind::Linear { inputs: views.to_vec(), weights, divisor: 1.0, fused: false },
        Some(base) => {
            let part = |(view, weight): (&View<'a>, f32)| Part {
                view: *view,
                weight,
                keep: Kept::Borrowed(Keep::All),
                rescale: 1.0,
            };
            let tasks = views.iter().zip(weights).map(part).collect();
            Kind::Tasks { base, tasks, vote: false, normalize: false, lambda: 1.0 }
        }
    }
}

fn nuslerp<'a>(
    base: Option<View<'a>>,
    views: &[View<'a>],
    weights: &[f64],
    global: &Global,
    level: Level,
    pool: &dyn Pool,
) -> Result<Kind<'a>> {
    let total = weights[0] + weights[1];
    if total == 0.0 {
        return Err(Error::Recipe(Misfit::Parameter { name: "weight".to_owned(), reason: "of both models sums to 0" }));
    }
    let t = weights[1] / total;
    if global.flatten {
        let gram = sums::gram(level, pool, base.as_ref(), views)?;
        return Ok(around(base, views, directions::nuslerp(&gram, t).into()));
    }
    let by_columns = global.row_wise && views[0].shape.len() > 1;
    let grams = if by_columns {
        sums::column_grams(level, base.as_ref(), views)?
    } else {
        match base {
            Some(base) => sums::row_grams(level, pool, &base, views)?,
            None => sums::row_grams_plain(level, pool, views)?,
        }
    };
    // base + Σ wᵢ (xᵢ − base) = (1 − Σ wᵢ) base + Σ wᵢ xᵢ
    let spread = |gram: &sums::Gram| {
        let [a, b] = directions::nuslerp(gram, t);
        if base.is_some() { vec![1.0 - (a + b), a, b] } else { vec![a, b] }
    };
    let inputs = base.into_iter().chain(views.iter().copied()).collect();
    let weights = grams.iter().map(spread).collect();
    Ok(if by_columns { Kind::Columns { inputs, weights } } else { Kind::Rows { inputs, weights } })
}

fn tasks<'a>(ask: &Ask<'a>, base: View<'a>, level: Level, pool: &dyn Pool) -> Result<Kind<'a>> {
    let mut tasks = Vec::new();
    for model in &ask.models {
        let keep = keep(ask, &base, model, level, pool)?;
        let mut rescale = 1.0;
        let partial = keep.get() != Keep::All;
        if partial && ask.global.rescale {
            let (all, kept) = sums::magnitudes(level, pool, &base, &model.view, keep.get())?;
            // Where there is next to nothing, a ratio says nothing.
            if all >= 1e-7 && kept >= 1e-7 {
                rescale = (all / kept) as f32;
            }
        }
        tasks.push(Part { view: model.view, weight: model.own.weight as f32, keep, rescale });
    }
    let global = &ask.global;
    let (vote, lambda) = (ask.method.votes(), global.lambda as f32);
    Ok(Kind::Tasks { base, tasks, vote, normalize: global.normalize, lambda })
}

/// Which differences of a model count.
fn keep<'a>(ask: &Ask<'a>, base: &View<'a>, model: &Model<'a>, level: Level, pool: &dyn Pool) -> Result<Kept<'a>> {
    let count = base.count() as u64;
    let share = |part: f64| ((part * count as f64) as u64).min(count);
    let own = model.own;
    let view = &model.view;
    if own.density >= 1.0 || ask.method == Method::TaskArithmetic || count == 0 {
        return Ok(Kept::Borrowed(Keep::All));
    }
    if let Some(mask) = model.mask {
        return Ok(Kept::Borrowed(Keep::Mask(mask)));
    }
    let counter = Counter::new(ask.seed, ask.name, model.number);
    Ok(match ask.method {
        Method::Ties => {
            let low = select::cut(level, pool, base, view, share(own.density).max(1))?;
            Kept::Borrowed(Keep::Band { low, high: Cut::TOP })
        }
        Method::Breadcrumbs | Method::BreadcrumbsTies => {
            let (top, wanted) = (share(own.gamma), share(own.density));
            // What does not fit below the largest is taken from them.
            let bottom = count.saturating_sub(wanted).saturating_sub(top);
            let end = count - bottom;
            let low = select::cut(level, pool, base, view, end)?;
            let high = select::cut(level, pool, base, view, end - wanted)?;
            Kept::Borrowed(Keep::Band { low, high })
        }
        Method::DareLinear | Method::DareTies => Kept::Borrowed(Keep::Chance { counter, share: own.density as f32 }),
        _ => Kept::Owned(masks::by_rank(level, pool, base, view, own.density, own.epsilon, counter)?),
    })
}

impl Job<'_> {
    /// Elements of the result.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the result is the first input, untouched.
    pub fn is_copy(&self) -> bool {
        matches!(&self.kind, Kind::Linear { inputs, weights, divisor, .. } if inputs.len() == 1 && weights[0] == 1.0 && *divisor == 1.0)
    }

    /// Computes elements from `from` on, as many as fit `out`. `from` is a multiple of 256.
    pub fn run(&self, backend: &dyn Backend, from: usize, scheme: Scheme, out: &mut [u8]) -> Result<()> {
        let (elements, size) = scheme.format.block();
        let count = out.len() / (size as usize).max(1) * elements as usize;
        match &self.kind {
            Kind::Linear { inputs, weights, divisor, fused } => {
                let inputs = inputs.iter().map(|view| stretch(*view, from, count)).collect();
                backend.linear(
                    &Linear { inputs, weights: weights.clone(), divisor: *divisor, fused: *fused },
                    scheme,
                    out,
                )
            }
            Kind::Tasks { base, tasks, vote, normalize, lambda } => {
                let tasks: Vec<Task<'_>> = tasks
                    .iter()
                    .map(|part| Task {
                        input: stretch(part.view, from, count),
                        weight: part.weight,
                        keep: part.keep.get(),
                        rescale: part.rescale,
                    })
                    .collect();
                let base = stretch(*base, from, count);
                let job = Tasks { base, tasks, vote: *vote, normalize: *normalize, lambda: *lambda, from: from as u64 };
                backend.tasks(&job, scheme, out)
            }
            Kind::Rows { inputs, weights } => {
                self.spread(backend, inputs, from, count, |at| &weights[at / self.row], scheme, out)
            }
            Kind::Columns { inputs, weights } => {
                self.spread(backend, inputs, from, count, |at| &weights[at % self.row], scheme, out)
            }
            Kind::Near { base, other, t } => {
                let (mut a, mut b) = (vec![0.0; count], vec![0.0; count]);
                backend.dequantize(stretch(*base, from, count), &mut a)?;
                backend.dequantize(stretch(*other, from, count), &mut b)?;
                for (a, b) in a.iter_mut().zip(&b) {
                    let distance = (*a - b).abs();
                    // The smallest distance that counts keeps equal elements from dividing by zero.
                    let share = (t / distance.max(1e-6)).clamp(0.0, 1.0);
                    *a = share * b + (1.0 - share) * *a;
                }
                backend.quantize(&a, scheme, out)
            }
        }
    }

    /// A weighted sum whose weights depend on the element's place.
    #[allow(clippy::too_many_arguments, reason = "a stretch is three of them")]
    fn spread<'w>(
        &self,
        backend: &dyn Backend,
        inputs: &[View<'_>],
        from: usize,
        count: usize,
        weights: impl Fn(usize) -> &'w Vec<f32>,
        scheme: Scheme,
        out: &mut [u8],
    ) -> Result<()> {
        let (mut sum, mut values) = (vec![0.0f32; count], vec![0.0; count]);
        for (number, view) in inputs.iter().enumerate() {
            backend.dequantize(stretch(*view, from, count), &mut values)?;
            for (i, (sum, x)) in sum.iter_mut().zip(&values).enumerate() {
                let product = x * weights(from + i)[number];
                *sum = if number == 0 { product } else { *sum + product };
            }
        }
        backend.quantize(&sum, scheme, out)
    }
}

pub(super) fn stretch(view: View<'_>, from: usize, count: usize) -> Stretch<'_> {
    let whole = Stretch { format: view.format, bytes: view.bytes };
    Stretch { bytes: crate::backend::part(whole, from, count), ..whole }
}

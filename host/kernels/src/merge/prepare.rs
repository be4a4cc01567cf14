//! From a method's formula to a job that any stretch can be computed with.

use super::directions::{self, Mix};
use super::job::{Job, Kept, Kind, Part};
use super::method::{Ask, Method, Model};
use super::parameters::Global;
use super::recipe::needs;
use super::{masks, select, sums};
use crate::backend::{Cut, Keep};
use crate::level::Level;
use crate::random::Counter;
use crate::{Error, Fault, Misfit, Pool, Result, View};

/// Finds what must be known of whole tensors.
pub fn prepare<'a>(ask: &Ask<'a>, level: Level, pool: &dyn Pool) -> Result<Job<'a>> {
    // Never more than the processor has, whatever is asked for.
    let level = level.min(Level::detect());
    let first = check(ask)?;
    let kind = kind(ask, level, pool)?;
    Ok(Job { kind, row: first.row().max(1), count: first.count() })
}

/// Refuses what can be seen to be wrong without reading a byte: the number of tensors, their shapes and formats.
pub fn check<'a>(ask: &Ask<'a>) -> Result<View<'a>> {
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
    Ok(first)
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

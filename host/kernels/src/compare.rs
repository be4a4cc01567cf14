//! Questions about tensors: lengths, distances, the largest elements.

use crate::level::Level;
use crate::merge::sums;
use crate::pool::{self, Pool};
use crate::{Error, Fault, Result, View, quantize};

/// The numbers of a tensor, whatever its format; formats of stretches are read piece by piece instead.
fn pair<'a>(a: &View<'a>, b: &View<'a>) -> Result<()> {
    if a.shape == b.shape {
        return Ok(());
    }
    let (expected, found) = (a.shape.to_vec(), b.shape.to_vec());
    Err(Error::tensor(a.name, Fault::Shape { expected, found, place: b.name.to_owned() }))
}

/// Elements that are looked at at once; a multiple of every block.
pub const STRETCH: usize = 1 << 16;

/// Sums of something over the elements of tensors of one shape: in double, stretch by stretch, in order.
fn sum<const N: usize>(
    views: &[View<'_>],
    pool: &dyn Pool,
    of: impl Fn(&[Vec<f32>]) -> [f64; N] + Sync,
) -> Result<[f64; N]> {
    let (count, row) = (views[0].count(), views[0].row().max(1));
    // Formats with something a row are read from the begin of one.
    let step = if views.iter().any(|view| view.format.is_whole()) { STRETCH.div_ceil(row) * row } else { STRETCH };
    let parts = pool::map(pool, count.div_ceil(step), |i| {
        let from = i * step;
        let mut values = Vec::with_capacity(views.len());
        for view in views {
            let mut out = vec![0.0; step.min(count - from)];
            quantize::decode_at(Level::detect(), view.format, view.shape, view.bytes, from, &mut out)
                .map_err(|fault| Error::tensor(view.name, fault))?;
            values.push(out);
        }
        Ok(of(&values))
    })?;
    let mut total = [0.0; N];
    for part in parts {
        for (total, part) in total.iter_mut().zip(part) {
            *total += part;
        }
    }
    Ok(total)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    sums::lanes(a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)))
}

/// The Euclidean norm. Of no elements: 0.
pub fn norm(view: &View<'_>, pool: &dyn Pool) -> Result<f64> {
    let [squares] = sum(&[*view], pool, |values| [dot(&values[0], &values[0])])?;
    Ok(squares.sqrt())
}

/// The Euclidean distance of two tensors of one shape.
pub fn distance(a: &View<'_>, b: &View<'_>, pool: &dyn Pool) -> Result<f64> {
    pair(a, b)?;
    let [squares] = sum(&[*a, *b], pool, |values| {
        let difference = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
        [sums::lanes(values[0].iter().zip(&values[1]).map(difference))]
    })?;
    Ok(squares.sqrt())
}

/// The cosine of two tensors of one shape; 0 if either is all zero.
pub fn cosine(a: &View<'_>, b: &View<'_>, pool: &dyn Pool) -> Result<f64> {
    pair(a, b)?;
    let [ab, aa, bb] = sum(&[*a, *b], pool, |values| {
        let (a, b) = (&values[0], &values[1]);
        [dot(a, b), dot(a, a), dot(b, b)]
    })?;
    let lengths = aa.sqrt() * bb.sqrt();
    Ok(if lengths > 0.0 { (ab / lengths).clamp(-1.0, 1.0) } else { 0.0 })
}

/// The `k` largest elements as (position, value), largest first, the lower position first among equals. At most all.
pub fn top(view: &View<'_>, k: usize, pool: &dyn Pool) -> Result<Vec<(u64, f32)>> {
    let count = view.count();
    let row = view.row().max(1);
    let step = if view.format.is_whole() { STRETCH.div_ceil(row) * row } else { STRETCH };
    let order = |a: &(u64, f32), b: &(u64, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    let parts = pool::map(pool, count.div_ceil(step), |i| {
        let from = i * step;
        let mut values = vec![0.0f32; step.min(count - from)];
        quantize::decode_at(Level::detect(), view.format, view.shape, view.bytes, from, &mut values)
            .map_err(|fault| Error::tensor(view.name, fault))?;
        // The two zeros are equal.
        let mut best: Vec<(u64, f32)> = (from as u64..).zip(values).map(|(i, v)| (i, v + 0.0)).collect();
        if best.len() > k && k > 0 {
            best.select_nth_unstable_by(k - 1, order);
        }
        best.truncate(k);
        // What is kept of all stretches together is small only if each gives back its room.
        best.shrink_to_fit();
        Ok(best)
    })?;
    let mut best = parts.concat();
    best.sort_unstable_by(order);
    best.truncate(k);
    Ok(best)
}

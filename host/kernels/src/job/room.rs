//! How much memory work on tensors in memory takes, for whoever counts it: said before it begins, and never too little.

use crate::merge::{Ask, Method};
use crate::{Error, Format, Result, Scheme};

/// What every piece of work takes, however small.
const LEAST: u64 = 64 << 10;

/// Bytes that [`convert_tensor`](super::convert_tensor) holds at once at most, beside the tensor: the result is among
/// them. `chunk` is the back end's.
pub fn convert_room(shape: &[u64], from: Format, to: Scheme, chunk: usize) -> Result<u64> {
    let refuse = |fault| Error::tensor("tensor", fault);
    let (count, out) = (crate::format::count(shape).unwrap_or(u64::MAX), to.format.bytes(shape).map_err(refuse)?);
    if from == to.format {
        return Ok(LEAST.saturating_add(out));
    }
    let singles = |many: u64| count.saturating_mul(4 * many);
    let read = if from.is_whole() { singles(1) } else { 0 };
    let written = match to.format {
        // The vectors, scaled, and the sample that the codebook is made from.
        Format::Vq => singles(4).saturating_add(out + (4 << 20)),
        format if format.is_whole() => singles(2).saturating_add(out),
        _ => 0,
    };
    Ok(LEAST
        .saturating_add(out)
        .saturating_add(read)
        .saturating_add(written)
        .saturating_add(stretches(count, 1, chunk)))
}

/// Bytes that [`merge_tensor`](super::merge_tensor) holds at once at most, beside the tensors: the result is among them.
/// The views need no bytes.
pub fn merge_room(ask: &Ask<'_>, to: Scheme, chunk: usize) -> Result<u64> {
    let first = crate::merge::check(ask)?;
    let (count, row) = (first.count() as u64, first.row().max(1) as u64);
    let models = ask.models.len() as u64 + 1;
    let out = to.format.bytes(first.shape).map_err(|fault| Error::tensor(first.name, fault))?;
    // The products of all pairs of tensors, and the weights that come of them.
    let products = |many: u64| many.saturating_mul(160 + 8 * models * models + 4 * models);
    let found = match ask.method {
        // Everything may be equal, and then a bracket holds all of it: once in parts, and once put together.
        Method::Ties | Method::Breadcrumbs | Method::BreadcrumbsTies => count.saturating_mul(8) + (1 << 20),
        // A row's magnitudes and their order, a flag for each element, and a mask for each model.
        Method::Della | Method::DellaLinear => {
            row.max(1 << 16).min(count).saturating_mul(8) + count.saturating_mul(1) + models * (count / 8 + 1)
        }
        Method::ModelStock if ask.global.filter_wise => products(count / row),
        Method::Nuslerp if !ask.global.flatten && ask.global.row_wise => products(row) + models * row * 4,
        Method::Nuslerp if !ask.global.flatten => products(count / row),
        _ => products(count >> 16),
    };
    let tiles = models * models * 64 + models * (8 << 10);
    Ok((LEAST + tiles).saturating_add(out).saturating_add(found).saturating_add(stretches(count, models, chunk)))
}

/// Buffers of one stretch: each model's numbers, the sum, the result, and what it reads as.
fn stretches(count: u64, models: u64, chunk: usize) -> u64 {
    count.min(chunk as u64).saturating_mul(4 * (models + 4))
}

//! Arithmetic on plain numbers: the one format that is kept here is `f32`.

use std::cell::RefCell;

use super::poll::Pollable;
use crate::test::world::{self, Kept};
use crate::types::Error;

#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    shape: Vec<u64>,
    numbers: Vec<f32>,
}

#[derive(Debug)]
pub(crate) struct Weights(Vec<Kept>);

#[derive(Debug)]
pub(crate) struct Work(RefCell<Option<Tensor>>);

impl Tensor {
    pub(crate) fn shape(&self) -> Vec<u64> {
        self.shape.clone()
    }

    pub(crate) fn format(&self) -> String {
        "f32".to_owned()
    }

    pub(crate) fn read(&self, start: u64, length: u64) -> Result<Vec<u8>, Error> {
        let bytes: Vec<u8> = self.numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let start = bytes.len().min(start as usize);
        let end = bytes.len().min(start + length.min(1 << 20) as usize);
        Ok(bytes[start..end].to_vec())
    }
}

impl Weights {
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, ..)| name.clone()).collect()
    }

    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        let found = self.0.iter().find(|(other, ..)| other == name);
        let (_, shape, numbers) = found.ok_or_else(|| Error::NotFound(name.to_owned()))?;
        Ok(Tensor { shape: shape.clone(), numbers: numbers.clone() })
    }
}

impl Work {
    fn done(tensor: Tensor) -> Work {
        Work(RefCell::new(Some(tensor)))
    }

    pub(crate) fn subscribe(&self) -> Pollable {
        Pollable { at: 0 }
    }

    pub(crate) fn finish(&self) -> Option<Result<Tensor, Error>> {
        let done = self.0.borrow_mut().take();
        Some(done.ok_or_else(|| Error::Invalid("the result was given already".to_owned())))
    }
}

pub(crate) fn open(path: &str) -> Result<Weights, Error> {
    let world = world::open("kernels")?;
    let kept = world.borrow().weights.get(path).cloned();
    kept.map(Weights).ok_or_else(|| Error::NotFound(path.to_owned()))
}

pub(crate) fn make(shape: &[u64], format: &str, bytes: &[u8]) -> Result<Tensor, Error> {
    world::open("kernels")?;
    check(format)?;
    let count: u64 = shape.iter().product();
    if count * 4 != bytes.len() as u64 {
        return Err(Error::Invalid(format!("{} bytes for {count} numbers", bytes.len())));
    }
    let numbers = bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    Ok(Tensor { shape: shape.to_vec(), numbers: numbers.collect() })
}

pub(crate) fn convert(tensor: &Tensor, format: &str) -> Result<Work, Error> {
    world::open("kernels")?;
    check(format)?;
    Ok(Work::done(tensor.clone()))
}

pub(crate) fn merge(
    method: &str,
    tensors: &[&Tensor],
    _base: Option<&Tensor>,
    parameters: &str,
) -> Result<Work, Error> {
    world::open("kernels")?;
    if method != "linear" {
        return Err(Error::Unavailable(format!("a host for tests does not merge by `{method}`")));
    }
    let first = tensors.first().ok_or_else(|| Error::Invalid("no tensors".to_owned()))?;
    if tensors.iter().any(|tensor| tensor.shape != first.shape) {
        return Err(Error::Invalid("shapes that differ".to_owned()));
    }
    let weights = weights(parameters, tensors.len())?;
    let sum: f64 = weights.iter().sum();
    let at = |place: usize| {
        let parts = tensors.iter().zip(&weights).map(|(tensor, weight)| f64::from(tensor.numbers[place]) * weight);
        (parts.sum::<f64>() / sum) as f32
    };
    let numbers = (0..first.numbers.len()).map(at).collect();
    Ok(Work::done(Tensor { shape: first.shape.clone(), numbers }))
}

fn weights(parameters: &str, count: usize) -> Result<Vec<f64>, Error> {
    if parameters.is_empty() {
        return Ok(vec![1.0; count]);
    }
    let parameters: serde_json::Value =
        serde_json::from_str(parameters).map_err(|error| Error::Invalid(format!("parameters: {error}")))?;
    let weights: Option<Vec<f64>> = match &parameters["weight"] {
        serde_json::Value::Array(list) => list.iter().map(serde_json::Value::as_f64).collect(),
        serde_json::Value::Null => Some(vec![1.0; count]),
        one => one.as_f64().map(|one| vec![one; count]),
    };
    let weights = weights.filter(|weights| weights.len() == count);
    weights.ok_or_else(|| Error::Invalid("parameters: `weight` is a number, or one for each tensor".to_owned()))
}

pub(crate) fn norm(tensor: &Tensor) -> Result<f64, Error> {
    world::open("kernels")?;
    Ok(dot(tensor, tensor).sqrt())
}

pub(crate) fn distance(a: &Tensor, b: &Tensor) -> Result<f64, Error> {
    world::open("kernels")?;
    same(a, b)?;
    let squares = a.numbers.iter().zip(&b.numbers).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    Ok(squares.sum::<f64>().sqrt())
}

pub(crate) fn cosine(a: &Tensor, b: &Tensor) -> Result<f64, Error> {
    world::open("kernels")?;
    same(a, b)?;
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    Ok(if norms == 0.0 { 0.0 } else { dot(a, b) / norms })
}

pub(crate) fn top(tensor: &Tensor, k: u32) -> Result<Vec<(u64, f32)>, Error> {
    world::open("kernels")?;
    let mut all: Vec<_> = tensor.numbers.iter().enumerate().map(|(place, number)| (place as u64, *number)).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(k as usize);
    Ok(all)
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    a.numbers.iter().zip(&b.numbers).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn same(a: &Tensor, b: &Tensor) -> Result<(), Error> {
    if a.shape == b.shape { Ok(()) } else { Err(Error::Invalid("shapes that differ".to_owned())) }
}

fn check(format: &str) -> Result<(), Error> {
    if format == "f32" {
        return Ok(());
    }
    Err(Error::Unavailable(format!("a host for tests keeps no `{format}`")))
}

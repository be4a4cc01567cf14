//! Vectors: the nearest of many, in a byte a dimension.
//!
//! They are compared one by one: nothing has to be built, and one that is gone is gone. Of many, a sketch of one bit a
//! dimension first says which are worth a closer look.

/// A vector of length one, in a byte a dimension.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Vector {
    /// What each of them is multiplied with.
    scale: f32,
    values: Vec<i8>,
}

impl Vector {
    /// Of these numbers, made as long as one; none if they are none, have no length or are not finite.
    pub fn of(numbers: &[f32]) -> Option<Vector> {
        let norm = numbers.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
        if norm == 0.0 || !norm.is_finite() {
            return None;
        }
        let most = numbers.iter().fold(0.0f32, |most, number| most.max(number.abs()));
        let values = numbers.iter().map(|number| (number / most * 127.0).round() as i8).collect();
        Some(Vector { scale: (f64::from(most) / norm / 127.0) as f32, values })
    }

    /// How many dimensions it has.
    pub fn dimensions(&self) -> usize {
        self.values.len()
    }
}

/// Fewer than this are all looked at closely.
const FEW: usize = 20_000;

/// Of more, one of so many is, but these at least.
const SHARE: usize = 32;
const LEAST: usize = 1_024;

/// Vectors of one number of dimensions, by their place.
#[derive(Debug, Default)]
pub(crate) struct Vectors {
    dimensions: usize,
    values: Vec<i8>,
    /// 0 where there is none.
    scales: Vec<f32>,
    sketches: Vec<u64>,
}

impl Vectors {
    /// Bytes that a place takes.
    pub(crate) fn each(dimensions: usize) -> u64 {
        (dimensions + 4 + dimensions.div_ceil(64) * 8) as u64
    }

    pub(crate) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Adds a place, with a vector or without. The first vector says how many dimensions they have.
    pub(crate) fn push(&mut self, vector: Option<&Vector>) {
        let vector = vector.filter(|vector| self.dimensions == 0 || vector.dimensions() == self.dimensions);
        if let Some(vector) = vector
            && self.dimensions == 0
        {
            self.dimensions = vector.dimensions();
            self.values.resize(self.scales.len() * self.dimensions, 0);
            self.sketches.resize(self.scales.len() * self.words(), 0);
        }
        self.scales.push(vector.map_or(0.0, |vector| vector.scale));
        match vector {
            Some(vector) => {
                self.values.extend_from_slice(&vector.values);
                sketch(&vector.values, &mut self.sketches);
            }
            None => {
                self.values.resize(self.scales.len() * self.dimensions, 0);
                self.sketches.resize(self.scales.len() * self.words(), 0);
            }
        }
    }

    fn words(&self) -> usize {
        self.dimensions.div_ceil(64)
    }

    /// Takes the places away that `keep` does not want.
    pub(crate) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let (dimensions, words) = (self.dimensions, self.words());
        let mut to = 0;
        for from in (0..self.scales.len()).filter(|at| keep(*at)) {
            self.scales[to] = self.scales[from];
            self.values.copy_within(from * dimensions..(from + 1) * dimensions, to * dimensions);
            self.sketches.copy_within(from * words..(from + 1) * words, to * words);
            to += 1;
        }
        self.scales.truncate(to);
        self.values.truncate(to * dimensions);
        self.sketches.truncate(to * words);
    }

    /// How near the vector at a place is, from -1 to 1; none if there is none there.
    pub(crate) fn near(&self, to: &Vector, at: usize) -> Option<f32> {
        let scale = self.scales[at];
        if scale == 0.0 || to.dimensions() != self.dimensions {
            return None;
        }
        let values = &self.values[at * self.dimensions..(at + 1) * self.dimensions];
        Some(dot(&to.values, values) as f32 * to.scale * scale)
    }

    /// The nearest `most` places that `wanted` lets through, in no order.
    pub(crate) fn nearest(&self, to: &Vector, most: usize, wanted: impl Fn(usize) -> bool) -> Vec<(f32, usize)> {
        if to.dimensions() != self.dimensions || self.dimensions == 0 {
            return Vec::new();
        }
        let there = |at: &usize| self.scales[*at] != 0.0 && wanted(*at);
        let near = |at: usize| self.near(to, at).map(|near| (near, at));
        let mut found: Vec<_> = match self.scales.len() {
            0..FEW => (0..self.scales.len()).filter(there).filter_map(near).collect(),
            _ => self.sketched(to, most, there).into_iter().filter_map(near).collect(),
        };
        if found.len() > most {
            found.select_nth_unstable_by(most, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            found.truncate(most);
        }
        found
    }

    /// The places whose sketches differ least.
    fn sketched(&self, to: &Vector, most: usize, wanted: impl Fn(&usize) -> bool) -> Vec<usize> {
        let mut other = Vec::new();
        sketch(&to.values, &mut other);
        let words = self.words();
        let mut counts = vec![0u32; self.dimensions + 1];
        let none = u16::MAX;
        let differences: Vec<u16> = (0..self.scales.len())
            .map(|at| {
                let own = &self.sketches[at * words..(at + 1) * words];
                let differs = own.iter().zip(&other).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
                if !wanted(&at) {
                    return none;
                }
                counts[differs as usize] += 1;
                differs as u16
            })
            .collect();
        let enough = (self.scales.len() / SHARE).max(LEAST).max(most * 4) as u32;
        let mut sum = 0;
        let bound = counts.iter().position(|count| {
            sum += count;
            sum >= enough
        });
        let bound = bound.map_or(none - 1, |bound| bound as u16);
        (0..self.scales.len()).filter(|at| differences[*at] <= bound).collect()
    }
}

/// Adds a bit for each dimension: whether it is above zero.
fn sketch(values: &[i8], to: &mut Vec<u64>) {
    to.extend(
        values.chunks(64).map(|chunk| {
            chunk.iter().enumerate().fold(0u64, |word, (bit, value)| word | (u64::from(*value > 0) << bit))
        }),
    );
}

fn dot(a: &[i8], b: &[i8]) -> i32 {
    // In stretches of a fixed length, so that the compiler knows that they fit its registers.
    let (a, b) = (a.chunks_exact(32), b.chunks_exact(32));
    let rest: i32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
    let whole: i32 = a
        .zip(b)
        .map(|(a, b)| a.iter().zip(b).map(|(a, b)| i32::from(i16::from(*a) * i16::from(*b))).sum::<i32>())
        .sum();
    whole + rest
}

#[cfg(test)]
mod tests;

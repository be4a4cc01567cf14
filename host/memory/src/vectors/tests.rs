use super::*;

/// The same for the same seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1u64 << 24) as f32) - 0.5
    }

    /// Nearly normal.
    fn vector(&mut self, dimensions: usize) -> Vec<f32> {
        (0..dimensions).map(|_| (0..6).map(|_| self.next()).sum()).collect()
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn a_byte_a_dimension_is_near_enough() {
    let mut chance = Chance(1);
    for dimensions in [1, 31, 64, 384, 1000] {
        let (a, b) = (chance.vector(dimensions), chance.vector(dimensions));
        let mut vectors = Vectors::default();
        vectors.push(Vector::of(&b).as_ref());
        let near = vectors.near(&Vector::of(&a).expect("it has a length"), 0).expect("there is one");
        assert!((near - cosine(&a, &b)).abs() < 0.02, "{dimensions}: {near} {}", cosine(&a, &b));
    }
    for none in [&[][..], &[0.0, 0.0], &[f32::NAN], &[f32::INFINITY, 1.0]] {
        assert_eq!(Vector::of(none), None, "{none:?}");
    }
}

#[test]
fn places_without_a_vector_and_other_lengths_are_never_near() {
    let mut vectors = Vectors::default();
    vectors.push(None);
    vectors.push(Vector::of(&[1.0, 0.0]).as_ref());
    vectors.push(Vector::of(&[1.0, 0.0, 0.0]).as_ref());
    vectors.push(Vector::of(&[0.0, 1.0]).as_ref());
    let to = Vector::of(&[1.0, 0.1]).expect("it has a length");
    let mut found = vectors.nearest(&to, 9, |_| true);
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    assert_eq!(found.iter().map(|(_, at)| *at).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(vectors.nearest(&Vector::of(&[1.0]).expect("it has one"), 9, |_| true), []);
    vectors.retain(|at| at != 1);
    assert_eq!(vectors.nearest(&to, 9, |_| true).iter().map(|(_, at)| *at).collect::<Vec<_>>(), [2]);
}

#[test]
fn of_many_the_sketches_lose_few() {
    // More than are looked at one by one; in groups, as texts are.
    let (mut chance, count, dimensions) = (Chance(7), 30_000, 128);
    let groups: Vec<_> = (0..300).map(|_| chance.vector(dimensions)).collect();
    let mut vectors = Vectors::default();
    let mut all = Vec::new();
    for at in 0..count {
        let noise = chance.vector(dimensions);
        let one: Vec<f32> = groups[at % groups.len()].iter().zip(noise).map(|(a, b)| a + b).collect();
        vectors.push(Vector::of(&one).as_ref());
        all.push(one);
    }
    let (mut found, mut wanted) = (0, 0);
    for question in 0..20 {
        let noise = chance.vector(dimensions);
        let asked: Vec<f32> = groups[question * 7].iter().zip(noise).map(|(a, b)| a + b).collect();
        let mut exact: Vec<_> = all.iter().enumerate().map(|(at, one)| (cosine(&asked, one), at)).collect();
        exact.sort_by(|a, b| b.0.total_cmp(&a.0));
        let near = vectors.nearest(&Vector::of(&asked).expect("it has a length"), 10, |_| true);
        found += exact[..10].iter().filter(|(_, at)| near.iter().any(|(_, other)| other == at)).count();
        wanted += 10;
    }
    assert!(found * 100 >= wanted * 95, "{found} of {wanted}");
}

//! A router that learns saves money.

use crate::workload;

#[tokio::test]
async fn learning_saves_a_third_and_more_at_nearly_the_same_pass_rate() {
    let (mut saved, mut lost) = (Vec::new(), Vec::new());
    for seed in 0..20 {
        let outcome = workload::run(seed).await;
        saved.push(outcome.saved());
        lost.push(outcome.best.rate() - outcome.router.rate());
    }
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    assert!(mean(&saved) >= 0.40 && saved.iter().all(|saved| *saved >= 0.25), "{saved:?}");
    // What trying costs, in points of a hundred; a fifth of a point is in the workload itself, where what is nearly as
    // good as the best is a little worse.
    assert!(mean(&lost) <= 0.5 && lost.iter().all(|lost| *lost <= 1.0), "{lost:?}");
}

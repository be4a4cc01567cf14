//! A router that learns saves money.

use crate::workload::{self, Outcome};

fn judge(all: &[Outcome], saved: (f64, f64), lost: (f64, f64)) {
    let savings: Vec<f64> = all.iter().map(Outcome::saved).collect();
    let losses: Vec<f64> = all.iter().map(|one| one.best.rate() - one.router.rate()).collect();
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    assert!(mean(&savings) >= saved.0 && savings.iter().all(|one| *one >= saved.1), "{savings:?}");
    // Beside somebody who knows all rates from the beginning.
    let could: Vec<f64> = all.iter().map(|one| 1.0 - one.knowing.cost as f64 / one.best.cost as f64).collect();
    assert!(mean(&savings) >= 0.8 * mean(&could), "{savings:?} of {could:?}");
    assert!(mean(&losses) <= lost.0 && losses.iter().all(|one| *one <= lost.1), "{losses:?}");
}

#[tokio::test]
async fn learning_saves_half_at_nearly_the_same_pass_rate() {
    let mut all = Vec::new();
    for seed in 0..20 {
        all.push(workload::run(seed).await);
    }
    // What trying costs, in points of a hundred; a fifth of a point is in the workload itself, where what is nearly as
    // good as the best is a little worse.
    judge(&all, (0.48, 0.35), (0.45, 0.9));
}

#[tokio::test]
async fn it_saves_as_much_on_work_that_it_was_not_made_for() {
    let mut all = Vec::new();
    for seed in 0..20 {
        all.push(workload::run_other(seed).await);
    }
    judge(&all, (0.45, 0.20), (1.5, 2.5));
}

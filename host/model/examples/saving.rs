//! What a router saves that learns from agents' words, on a workload whose pass rates it never sees.
//!
//! For each of twenty seeds: three models of different prices, six kinds of tasks of different difficulty, and an agent that
//! says of each answer whether it did. Beside the router, the same tasks are all given to the best model.

#[path = "../tests/all/workload.rs"]
mod workload;

#[tokio::main]
async fn main() {
    let mut known = Vec::new();
    let mut other = Vec::new();
    for seed in 0..20 {
        known.push(workload::run(seed).await);
        other.push(workload::run_other(seed).await);
    }
    show("the workload that it was tuned on", &known);
    show("one that it was not tuned on", &other);
}

fn show(what: &str, all: &[workload::Outcome]) {
    println!("{what}\nseed  cheaper  pass rate (router / always the best)");
    for (seed, one) in all.iter().enumerate() {
        println!("{seed:>4}  {:>5.1} %  {:.2} % / {:.2} %", 100.0 * one.saved(), one.router.rate(), one.best.rate());
    }
    let mean = |f: &dyn Fn(&workload::Outcome) -> f64| all.iter().map(f).sum::<f64>() / all.len() as f64;
    let worst = |f: &dyn Fn(&workload::Outcome) -> f64| all.iter().map(f).fold(f64::MAX, f64::min);
    println!(
        "mean  {:>5.1} %  {:.2} % / {:.2} %; the worst seeds: {:.1} % cheaper, {:.2} points less",
        100.0 * mean(&|one| one.saved()),
        mean(&|one| one.router.rate()),
        mean(&|one| one.best.rate()),
        100.0 * worst(&|one| one.saved()),
        worst(&|one| one.router.rate() - one.best.rate()),
    );
    let could = |one: &workload::Outcome| 1.0 - one.knowing.cost as f64 / one.best.cost as f64;
    println!(
        "who knew all rates, and took the cheapest that does as well to a point, would save {:.1} %, in the worst seed {:.1} %, at \
         {:.2} points; bar: 30 % cheaper at an equal pass rate",
        100.0 * mean(&could),
        100.0 * worst(&could),
        mean(&|one| one.knowing.rate() - one.best.rate()),
    );
}

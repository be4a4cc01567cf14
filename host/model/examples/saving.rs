//! What a router saves that learns from agents' words, on a workload whose pass rates it never sees.
//!
//! For each of twenty seeds: three models of different prices, six kinds of tasks of different difficulty, and an agent that
//! says of each answer whether it did. Beside the router, the same tasks are all given to the best model.

#[path = "../tests/all/workload.rs"]
mod workload;

#[tokio::main]
async fn main() {
    println!("seed  cheaper  pass rate (router / always the best)");
    let mut all = Vec::new();
    for seed in 0..20 {
        let outcome = workload::run(seed).await;
        let (router, best) = (outcome.router, outcome.best);
        println!("{seed:>4}  {:>5.1} %  {:.2} % / {:.2} %", 100.0 * outcome.saved(), router.rate(), best.rate());
        all.push(outcome);
    }
    let mean = |f: &dyn Fn(&workload::Outcome) -> f64| all.iter().map(f).sum::<f64>() / all.len() as f64;
    println!(
        "mean  {:>5.1} %  {:.2} % / {:.2} %",
        100.0 * mean(&|one| one.saved()),
        mean(&|one| one.router.rate()),
        mean(&|one| one.best.rate())
    );
}

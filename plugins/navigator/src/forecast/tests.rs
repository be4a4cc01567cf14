use serde_json::{Value, json};

use super::*;
use crate::chance::Chance;

fn ask(request: Value) -> Result<Value, Error> {
    let told = answer(crate::asking::parse(request)?)?;
    Ok(serde_json::to_value(told).expect("it is JSON"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("it is a number")
}

#[test]
fn simple_smoothing_agrees_with_the_sum_it_stands_for() {
    let series = [3.0, 5.0, 9.0, 20.0, 12.0, 17.0, 22.0];
    let alpha: f64 = 0.3;
    let told = ask(json!({"series": series, "method": "simple", "alpha": alpha, "horizon": 2})).expect("it is valid");

    // Each value weighs α(1 − α)^age, the first one (1 − α)^age.
    let last = series.len() - 1;
    let sum: f64 = series
        .iter()
        .enumerate()
        .map(|(at, value)| value * (1.0 - alpha).powi((last - at) as i32) * if at == 0 { 1.0 } else { alpha })
        .sum();
    assert!((number(&told["forecast"][0]) - sum).abs() < 1e-12);
    assert_eq!(told["forecast"][0], told["forecast"][1]);
}

#[test]
fn double_smoothing_agrees_with_a_published_example() {
    // Holt's method on demand 12, 17, 20, 19, 24, 21, 31, 28, 36 (α = 0.2, β = 0.4, level 11 and trend 2 before the first)
    // foretells 35.16 for the tenth. Two values before it give just that level and trend.
    let series = [9.0, 11.0, 12.0, 17.0, 20.0, 19.0, 24.0, 21.0, 31.0, 28.0, 36.0];
    let told = ask(json!({"series": series, "method": "double", "alpha": 0.2, "beta": 0.4})).expect("it is valid");

    assert!((number(&told["forecast"][0]) - 35.16).abs() < 0.005, "{told}");
}

#[test]
fn a_straight_line_goes_on_straight_and_the_error_says_so() {
    let series: Vec<f64> = (0..12).map(|at| 7.0 + 3.0 * f64::from(at)).collect();
    let told = ask(json!({"series": series, "horizon": 3})).expect("it is valid");

    assert_eq!(told["method"], "double");
    for (at, expected) in [43.0, 46.0, 49.0].into_iter().enumerate() {
        assert!((number(&told["forecast"][at]) - expected).abs() < 1e-9, "{told}");
    }
    assert!(number(&told["backtest"]["mae"]) < 1e-9);
    assert_eq!(told["backtest"]["naive_mae"], 3.0);
}

#[test]
fn noise_around_a_level_is_smoothed_better_than_repeated() {
    let mut chance = Chance::new(11);
    let series: Vec<f64> = (0..200).map(|_| 100.0 + chance.below(21) as f64 - 10.0).collect();
    let told = ask(json!({"series": series})).expect("it is valid");

    assert!(number(&told["backtest"]["mae"]) < number(&told["backtest"]["naive_mae"]), "{told}");
    assert!((number(&told["forecast"][0]) - 100.0).abs() < 5.0, "{told}");
}

#[test]
fn the_error_is_of_values_that_the_fit_has_not_seen() {
    // Level for 20 values, then a jump: whoever had seen the end would not have kept a small error there.
    let mut series = vec![10.0; 20];
    series.extend([50.0; 5]);
    let told = ask(json!({"series": series, "method": "simple"})).expect("it is valid");

    assert_eq!(told["backtest"]["points"], 5);
    // Fitted to the end as well, the newest value alone would count, and the mean be 8.
    assert!(number(&told["backtest"]["mae"]) > 30.0, "{told}");
    assert!(number(&told["backtest"]["bias"]) < 0.0, "{told}");
}

#[test]
fn what_is_wrong_is_named() {
    for (request, wrong) in [
        (json!({"series": [1, 2, 3]}), "series"),
        (json!({"series": [1, 2, 3, 4, 5, 1e15]}), "series[5]"),
        (json!({"series": [1, 2, 3, 4, 5, 6], "horizon": 0}), "horizon"),
        (json!({"series": [1, 2, 3, 4, 5, 6], "alpha": 2}), "alpha"),
        (json!({"series": [1, 2, 3, 4, 5, 6], "method": "magic"}), "method"),
    ] {
        let refused = ask(request);
        assert!(matches!(&refused, Err(Error::Invalid { field, .. }) if field == wrong), "{refused:?}");
    }
}

/// Passengers of international air lines, in thousands a month, 1949 to 1960 (Box and Jenkins, series G).
const PASSENGERS: [f64; 144] = [
    112.0, 118.0, 132.0, 129.0, 121.0, 135.0, 148.0, 148.0, 136.0, 119.0, 104.0, 118.0, 115.0, 126.0, 141.0, 135.0,
    125.0, 149.0, 170.0, 170.0, 158.0, 133.0, 114.0, 140.0, 145.0, 150.0, 178.0, 163.0, 172.0, 178.0, 199.0, 199.0,
    184.0, 162.0, 146.0, 166.0, 171.0, 180.0, 193.0, 181.0, 183.0, 218.0, 230.0, 242.0, 209.0, 191.0, 172.0, 194.0,
    196.0, 196.0, 236.0, 235.0, 229.0, 243.0, 264.0, 272.0, 237.0, 211.0, 180.0, 201.0, 204.0, 188.0, 235.0, 227.0,
    234.0, 264.0, 302.0, 293.0, 259.0, 229.0, 203.0, 229.0, 242.0, 233.0, 267.0, 269.0, 270.0, 315.0, 364.0, 347.0,
    312.0, 274.0, 237.0, 278.0, 284.0, 277.0, 317.0, 313.0, 318.0, 374.0, 413.0, 405.0, 355.0, 306.0, 271.0, 306.0,
    315.0, 301.0, 356.0, 348.0, 355.0, 422.0, 465.0, 467.0, 404.0, 347.0, 305.0, 336.0, 340.0, 318.0, 362.0, 348.0,
    363.0, 435.0, 491.0, 505.0, 404.0, 359.0, 310.0, 337.0, 360.0, 342.0, 406.0, 396.0, 420.0, 472.0, 548.0, 559.0,
    463.0, 407.0, 362.0, 405.0, 417.0, 391.0, 419.0, 461.0, 472.0, 535.0, 622.0, 606.0, 508.0, 461.0, 390.0, 432.0,
];

#[test]
fn the_season_of_air_passengers_multiplies_and_a_year_held_back_is_foretold_within_a_few_per_cent() {
    let told =
        ask(json!({"series": &PASSENGERS[..], "season": 12, "holdout": 12, "horizon": 12})).expect("it is valid");
    assert_eq!(told["method"], "multiplicative");
    assert_eq!(told["holdout"]["points"], 12);
    // Repeating the year before is wrong by 47.8 on average, 10 %.
    assert!((number(&told["holdout"]["naive_mae"]) - 47.83).abs() < 0.01, "{told}");
    assert!(number(&told["holdout"]["mape"]) < 4.0, "{told}");
    let additive = ask(json!({"series": &PASSENGERS[..], "season": 12, "holdout": 12, "method": "additive"}))
        .expect("it is valid");
    assert!(number(&additive["holdout"]["mape"]) > number(&told["holdout"]["mape"]), "{additive}");
    let july = number(&told["forecast"][6]);
    assert!(
        told["forecast"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|month| number(month) <= july.max(number(&told["forecast"][7])))
    );
}

#[test]
fn a_pure_season_is_foretold_exactly() {
    let wave = [3.0, -1.0, -4.0, 2.0];
    let series: Vec<f64> = (0..26).map(|at| 50.0 + 2.0 * f64::from(at) + wave[at as usize % 4]).collect();
    let told = ask(json!({"series": series, "season": 4, "horizon": 6})).expect("it is valid");
    assert_eq!(told["method"], "additive");
    for step in 0..6 {
        let at = 26 + step;
        let expected = 50.0 + 2.0 * at as f64 + wave[at % 4];
        assert!((number(&told["forecast"][step]) - expected).abs() < 1e-6, "{told}");
    }
    assert!(number(&told["holdout"]["mae"]) < 1e-6 && number(&told["holdout"]["naive_mae"]) > 7.0, "{told}");
}

#[test]
fn what_comes_now_and_then_is_foretold_by_how_much_and_how_seldom() {
    // Sizes 3 and 5 at α = 0.5 are smoothed to 4, gaps 2 and 3 to 2.5; corrected by a quarter: 0.75 × 4 / 2.5.
    let told =
        ask(json!({"series": [0, 3, 0, 0, 5, 0, 0, 0], "method": "croston", "alpha": 0.5})).expect("it is valid");
    assert!((number(&told["forecast"][0]) - 1.2).abs() < 1e-12, "{told}");
    let mut chance = Chance::new(3);
    let mut mean = 0.0;
    for _ in 0..100 {
        let series: Vec<u64> = (0..300).map(|_| if chance.below(4) == 0 { 1 + chance.below(9) } else { 0 }).collect();
        let told = ask(json!({"series": series, "method": "croston", "alpha": 0.1})).expect("it is valid");
        mean += number(&told["forecast"][0]) / 100.0;
    }
    // One in four asks for five on average. Without the correction it would be about 1.31.
    assert!((mean - 1.25).abs() < 0.05, "{mean}");
}

#[test]
fn intervals_hold_as_many_values_as_they_promise() {
    let mut chance = Chance::new(101);
    let mut normal = || (0..12).map(|_| chance.below(1_000_001) as f64 / 1e6).sum::<f64>() - 6.0;
    let (mut inside, mut all) = (0, 0);
    for _ in 0..150 {
        // A level that wanders, seen through noise.
        let mut level = 100.0;
        let mut series: Vec<f64> = (0..120)
            .map(|_| {
                level += 0.5 * normal();
                level + normal()
            })
            .collect();
        let after = series.split_off(110);
        let told =
            ask(json!({"series": series, "horizon": 10, "interval": 0.8, "method": "simple"})).expect("it is valid");
        for (step, value) in after.iter().enumerate() {
            all += 1;
            inside += usize::from((number(&told["low"][step])..=number(&told["high"][step])).contains(value));
        }
    }
    let share = inside as f64 / all as f64;
    assert!((0.74..0.86).contains(&share), "{share}");
}

#[test]
fn a_method_and_what_it_does_not_know_are_refused() {
    let year = vec![1; 60];
    for (request, wrong) in [
        (json!({"series": year, "season": 1}), "season"),
        (json!({"series": year, "method": "additive"}), "season"),
        (json!({"series": year, "method": "simple", "season": 12}), "season"),
        (json!({"series": year, "method": "simple", "beta": 0.5}), "beta"),
        (json!({"series": year, "gamma": 0.5}), "gamma"),
        (json!({"series": year, "season": 30}), "series"),
        (json!({"series": year, "holdout": 57}), "holdout"),
        (json!({"series": year, "interval": 1.0}), "interval"),
        (json!({"series": [1, 2, 3, 0, 5, 6, 7, 8, 9], "season": 2, "method": "multiplicative"}), "series[3]"),
        (json!({"series": [1, 2, 3, -1, 5, 6], "method": "croston"}), "series[3]"),
        (json!({"series": [0, 0, 0, 0, 0, 6], "method": "croston"}), "series"),
    ] {
        let refused = ask(request);
        assert!(matches!(&refused, Err(Error::Invalid { field, .. }) if field == wrong), "{refused:?}, not {wrong}");
    }
}

//! The next values of a series, by exponential smoothing.
//!
//! How good it is comes from values that were held back: the smoothing is fitted without them, and asked for each in turn.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, invalid, parse, within, write};

pub const INPUT: &str = r#"{
  "type": "object",
  "properties": {
    "series": {"type": "array", "items": {"type": "number", "minimum": -1e12, "maximum": 1e12}, "minItems": 6, "maxItems": 10000, "description": "Oldest first, evenly spaced."},
    "horizon": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1, "description": "How many values to foretell."},
    "method": {"enum": ["simple", "double", "auto"], "default": "auto", "description": "A level; a level and a trend; whichever fits better."},
    "alpha": {"type": "number", "minimum": 0.01, "maximum": 1, "description": "Weight of the newest value; fitted if it is not given."},
    "beta": {"type": "number", "minimum": 0.01, "maximum": 1, "description": "The same for the trend."}
  },
  "required": ["series"],
  "additionalProperties": false
}"#;

pub const OUTPUT: &str = r#"{
  "type": "object",
  "properties": {
    "method": {"enum": ["simple", "double"]},
    "alpha": {"type": "number"},
    "beta": {"type": "number", "description": "0 for the simple method."},
    "forecast": {"type": "array", "items": {"type": "number"}},
    "backtest": {
      "type": "object",
      "description": "Errors one step ahead, on the last values of the series, held back from the fit.",
      "properties": {
        "points": {"type": "integer"},
        "mae": {"type": "number", "description": "Mean absolute error."},
        "rmse": {"type": "number", "description": "Root of the mean squared error."},
        "bias": {"type": "number", "description": "Mean of forecast less actual."},
        "naive_mae": {"type": "number", "description": "The mean absolute error of saying that nothing changes."}
      }
    }
  },
  "required": ["method", "alpha", "beta", "forecast", "backtest"]
}"#;

pub const EXAMPLE: &str = r#"{"series": [112, 118, 121, 129, 131, 138, 144, 146, 155, 158], "horizon": 3}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    series: Vec<f64>,
    #[serde(default = "one")]
    horizon: usize,
    #[serde(default)]
    method: Method,
    alpha: Option<f64>,
    beta: Option<f64>,
    /// Asked for at times, and not done here.
    #[serde(default)]
    season: Value,
}

fn one() -> usize {
    1
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Method {
    Simple,
    Double,
    #[default]
    Auto,
}

#[derive(Serialize)]
struct Answer {
    method: &'static str,
    alpha: f64,
    beta: f64,
    forecast: Vec<f64>,
    backtest: Backtest,
}

#[derive(Serialize)]
struct Backtest {
    points: usize,
    mae: f64,
    rmse: f64,
    bias: f64,
    naive_mae: f64,
}

pub fn answer(json: &[u8]) -> Result<Vec<u8>, Error> {
    let request: Request = parse(json)?;
    request.check()?;
    let series = &request.series;
    // A fifth is held back. What was fitted to the rest is judged on it; the forecast is then fitted to all.
    let held = (series.len() / 5).max(2);
    let judged = request.fit(&series[..series.len() - held]);
    let fitted = request.fit_like(&judged, series);
    let state = fitted.run(series).1;
    let forecast = (1..=request.horizon).map(|step| state.level + step as f64 * state.trend).collect();
    let method = if fitted.beta.is_some() { "double" } else { "simple" };
    let backtest = judged.backtest(series, held);
    Ok(write(&Answer { method, alpha: fitted.alpha, beta: fitted.beta.unwrap_or(0.0), forecast, backtest }))
}

impl Request {
    fn check(&self) -> Result<(), Error> {
        if !self.season.is_null() {
            return Err(Error::Unsupported("`season` needs a seasonal method, which is not done here".to_owned()));
        }
        if !(6..=10_000).contains(&self.series.len()) {
            return Err(invalid("series", format!("has {} values; it must have from 6 to 10000", self.series.len())));
        }
        for (at, value) in self.series.iter().enumerate() {
            within(&format!("series[{at}]"), *value, -1e12, 1e12)?;
        }
        within("horizon", self.horizon as f64, 1.0, 1000.0)?;
        within("alpha", self.alpha.unwrap_or(0.5), 0.01, 1.0)?;
        within("beta", self.beta.unwrap_or(0.5), 0.01, 1.0)?;
        if self.method == Method::Simple && self.beta.is_some() {
            return Err(invalid("beta", "means nothing to the simple method"));
        }
        Ok(())
    }

    /// The smoothing that foretold `series` best, of those asked for.
    fn fit(&self, series: &[f64]) -> Smoothing {
        let simple = || self.candidates(false);
        let double = || self.candidates(true);
        // Given a beta, a trend is meant.
        let all: Vec<_> = match self.method {
            Method::Simple => simple(),
            Method::Auto if self.beta.is_none() => simple().into_iter().chain(double()).collect(),
            Method::Double | Method::Auto => double(),
        };
        best(all, series)
    }

    /// As `fit`, of the method that was chosen before.
    fn fit_like(&self, chosen: &Smoothing, series: &[f64]) -> Smoothing {
        best(self.candidates(chosen.beta.is_some()), series)
    }

    fn candidates(&self, trend: bool) -> Vec<Smoothing> {
        let steps = |given: Option<f64>| given.map_or_else(grid, |given| vec![given]);
        let alphas = steps(self.alpha);
        if !trend {
            return alphas.into_iter().map(|alpha| Smoothing { alpha, beta: None }).collect();
        }
        let betas = steps(self.beta);
        let pair = |alpha| betas.iter().map(move |beta| Smoothing { alpha, beta: Some(*beta) });
        alphas.into_iter().flat_map(pair).collect()
    }
}

fn grid() -> Vec<f64> {
    (1..=20).map(|step| f64::from(step) / 20.0).collect()
}

/// The first of those with the least squared error one step ahead.
fn best(candidates: Vec<Smoothing>, series: &[f64]) -> Smoothing {
    let error = |smoothing: &Smoothing| smoothing.run(series).0.iter().map(|error| error * error).sum::<f64>();
    let scored = candidates.into_iter().map(|smoothing| (error(&smoothing), smoothing));
    scored.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there is at least one candidate").1
}

/// Exponential smoothing: of a level, and with `beta` of a trend too (Holt).
#[derive(Clone, Copy)]
struct Smoothing {
    alpha: f64,
    beta: Option<f64>,
}

#[derive(Clone, Copy)]
struct State {
    level: f64,
    trend: f64,
}

impl Smoothing {
    /// Forecast less actual for each value after the first two, and where it stands in the end.
    fn run(&self, series: &[f64]) -> (Vec<f64>, State) {
        let mut errors = Vec::with_capacity(series.len());
        let trend = if self.beta.is_some() { series[1] - series[0] } else { 0.0 };
        let mut state = State { level: series[0], trend };
        for (at, value) in series.iter().enumerate().skip(1) {
            let said = state.level + state.trend;
            // The second value gave the trend: foretelling it is no feat.
            if at > 1 {
                errors.push(said - value);
            }
            let level = said + self.alpha * (value - said);
            let beta = self.beta.unwrap_or(0.0);
            state = State { level, trend: state.trend + beta * (level - state.level - state.trend) };
        }
        (errors, state)
    }

    fn backtest(&self, series: &[f64], held: usize) -> Backtest {
        let (errors, _) = self.run(series);
        let errors = &errors[errors.len() - held..];
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / held as f64;
        let changes = series.windows(2).skip(series.len() - 1 - held);
        Backtest {
            points: held,
            mae: mean(&mut errors.iter().map(|error| error.abs())),
            rmse: mean(&mut errors.iter().map(|error| error * error)).sqrt(),
            bias: mean(&mut errors.iter().copied()),
            naive_mae: mean(&mut changes.map(|pair| (pair[1] - pair[0]).abs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chance::Chance;

    fn ask(request: Value) -> Result<Value, Error> {
        answer(request.to_string().as_bytes()).map(|json| serde_json::from_slice(&json).expect("it is JSON"))
    }

    fn number(value: &Value) -> f64 {
        value.as_f64().expect("it is a number")
    }

    #[test]
    fn simple_smoothing_agrees_with_the_sum_it_stands_for() {
        let series = [3.0, 5.0, 9.0, 20.0, 12.0, 17.0, 22.0];
        let alpha: f64 = 0.3;
        let told =
            ask(json!({"series": series, "method": "simple", "alpha": alpha, "horizon": 2})).expect("it is valid");

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
        assert!(number(&told["backtest"]["mae"]) >= 8.0, "{told}");
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
        let seasonal = ask(json!({"series": [1, 2, 3, 4, 5, 6], "season": 12}));
        assert!(matches!(seasonal, Err(Error::Unsupported(_))));
    }
}

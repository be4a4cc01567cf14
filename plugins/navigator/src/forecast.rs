//! The next values of a series, by exponential smoothing: of a level, a trend and a season, or of demand that comes now and then.
//!
//! How good it is comes from values that were held back: the method is chosen and fitted without them. The methods are in
//! `smoothing`.

mod smoothing;

use serde::{Deserialize, Serialize};
use village::Schema;

use crate::normal::quantile;
use crate::{Error, invalid, within};
use smoothing::{Model, Season};

const MOST: usize = 10_000;

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Oldest first, evenly spaced; from 6 to 10000.
    #[schema(min_items = 6, max_items = 10000)]
    series: Vec<f64>,
    /// How many values to foretell.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 1000, default = 1)]
    horizon: usize,
    #[serde(default)]
    method: Method,
    /// After how many values the season begins again, such as 12 for months. There must be two seasons and more.
    #[schema(minimum = 2, maximum = 400)]
    season: Option<usize>,
    /// Weight of the newest value; fitted if it is not given.
    #[schema(minimum = 0.01, maximum = 1)]
    alpha: Option<f64>,
    /// The same for the trend.
    #[schema(minimum = 0.01, maximum = 1)]
    beta: Option<f64>,
    /// The same for the season.
    #[schema(minimum = 0.01, maximum = 1)]
    gamma: Option<f64>,
    /// How many of the last values are held back, to judge by; a fifth if it is not given.
    #[schema(minimum = 2)]
    holdout: Option<usize>,
    /// The chance with which a value is to lie between `low` and `high`.
    #[schema(minimum = 0.5, maximum = 0.99)]
    interval: Option<f64>,
}

fn one() -> usize {
    1
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Schema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A level.
    Simple,
    /// A level and a trend (Holt).
    Double,
    /// And a season that is added (Holt and Winters).
    Additive,
    /// And a season that is multiplied by.
    Multiplicative,
    /// How much, and how seldom: for demand that is often 0 (Croston, corrected by Syntetos and Boylan).
    Croston,
    /// Of the first four, the one that fits best for the numbers it has.
    #[default]
    Auto,
}

#[derive(Serialize, Schema)]
pub struct Answer {
    /// `simple`, `double`, `additive`, `multiplicative` or `croston`.
    method: &'static str,
    alpha: f64,
    /// 0 for a method without a trend.
    beta: f64,
    /// 0 for a method without a season.
    gamma: f64,
    forecast: Vec<f64>,
    /// With `interval`: what the values lie above and below, if errors go on as on the values held back. Empty without.
    low: Vec<f64>,
    high: Vec<f64>,
    backtest: Backtest,
    holdout: Holdout,
}

/// Errors one step ahead, on the last values of the series, held back from the fit.
#[derive(Serialize, Schema)]
pub struct Backtest {
    points: usize,
    /// Mean absolute error.
    mae: f64,
    /// Root of the mean squared error.
    rmse: f64,
    /// Mean of forecast less actual.
    bias: f64,
    /// The mean absolute error of saying that nothing changes.
    naive_mae: f64,
}

/// Errors of foretelling all values that were held back at once, from those before them.
#[derive(Serialize, Schema)]
pub struct Holdout {
    points: usize,
    mae: f64,
    rmse: f64,
    /// Mean absolute error in per cent of the value; none if a value is 0.
    mape: Option<f64>,
    /// The mean absolute error of repeating the last value, or the last season.
    naive_mae: f64,
}

pub fn answer(request: Request) -> Result<Answer, Error> {
    request.check()?;
    let series = &request.series;
    let held = request.held();
    let train = &series[..series.len() - held];
    // What was chosen and fitted without them is judged on those held back; the forecast is then fitted to all.
    let judged = request.fit(train);
    let fitted = smoothing::best(request.candidates(Some(judged.method())), series, 0);
    let state = fitted.run(series).state;
    let forecast: Vec<f64> = (1..=request.horizon).map(|step| fitted.ahead(&state, step)).collect();
    let backtest = backtest(&judged, series, held);
    let (low, high) = match request.interval {
        Some(chance) => {
            let far = quantile(0.5 + chance / 2.0) * backtest.rmse;
            let spread: Vec<f64> = fitted.spread(request.horizon).into_iter().map(|growth| far * growth).collect();
            let at = |sign: f64| forecast.iter().zip(&spread).map(|(value, spread)| value + sign * spread).collect();
            (at(-1.0), at(1.0))
        }
        None => (Vec::new(), Vec::new()),
    };
    let (alpha, beta, gamma) = fitted.weights();
    let holdout = holdout(&judged, series, held, request.season);
    Ok(Answer { method: name(fitted.method()), alpha, beta, gamma, forecast, low, high, backtest, holdout })
}

fn name(method: Method) -> &'static str {
    match method {
        Method::Simple => "simple",
        Method::Double => "double",
        Method::Additive => "additive",
        Method::Multiplicative => "multiplicative",
        Method::Croston => "croston",
        Method::Auto => unreachable!("a fitted model has a method"),
    }
}

impl Request {
    fn held(&self) -> usize {
        self.holdout.unwrap_or((self.series.len() / 5).max(2))
    }

    fn check(&self) -> Result<(), Error> {
        let count = self.series.len();
        if !(6..=MOST).contains(&count) {
            return Err(invalid("series", format!("has {count} values; it must have from 6 to {MOST}")));
        }
        let seasonal = matches!(self.method, Method::Additive | Method::Multiplicative);
        for (at, value) in self.series.iter().enumerate() {
            let field = format!("series[{at}]");
            within(&field, *value, -1e12, 1e12)?;
            if self.method == Method::Multiplicative && *value <= 0.0 {
                return Err(invalid(
                    field,
                    format!("is {value}; a season can be multiplied by only where all is above 0"),
                ));
            }
            if self.method == Method::Croston && *value < 0.0 {
                return Err(invalid(field, format!("is {value}; demand is not negative")));
            }
        }
        within("horizon", self.horizon as f64, 1.0, 1000.0)?;
        for (field, value) in [("alpha", self.alpha), ("beta", self.beta), ("gamma", self.gamma)] {
            within(field, value.unwrap_or(0.5), 0.01, 1.0)?;
        }
        within("interval", self.interval.unwrap_or(0.5), 0.5, 0.99)?;
        within("season", self.season.unwrap_or(2) as f64, 2.0, 400.0)?;
        within("holdout", self.held() as f64, 2.0, count.saturating_sub(4) as f64)?;
        let trendless = matches!(self.method, Method::Simple | Method::Croston);
        if trendless && self.beta.is_some() {
            return Err(invalid("beta", "means nothing to this method"));
        }
        if self.gamma.is_some() && self.season.is_none() {
            return Err(invalid("gamma", "means nothing without a `season`"));
        }
        match self.season {
            None if seasonal => Err(invalid("season", "is missing, and the method needs it")),
            Some(_) if !seasonal && self.method != Method::Auto => {
                Err(invalid("season", "means nothing to this method"))
            }
            Some(season) if count < 2 * season + 2 + self.held() => {
                let least = 2 * season + 2 + self.held();
                let held = self.held();
                Err(invalid(
                    "series",
                    format!("has {count} values; with a season of {season} and {held} held back it must have {least}"),
                ))
            }
            _ if self.method == Method::Croston
                && self.series[..count - self.held()].iter().all(|value| *value == 0.0) =>
            {
                Err(invalid("series", "is 0 all along, up to what is held back"))
            }
            _ => Ok(()),
        }
    }

    /// The model that foretold `series` best for the numbers it has, of the methods asked for.
    fn fit(&self, series: &[f64]) -> Model {
        // All are judged on the same values.
        let from = self.season.map_or(2, |season| 2 * season);
        smoothing::best(self.candidates(None), series, from)
    }

    /// One set of candidates for each method in question.
    fn candidates(&self, chosen: Option<Method>) -> Vec<Vec<Model>> {
        let methods = match (chosen, self.method) {
            (Some(chosen), _) => vec![chosen],
            (None, Method::Auto) => self.automatic(),
            (None, method) => vec![method],
        };
        methods.into_iter().map(|method| self.grid(method)).collect()
    }

    fn automatic(&self) -> Vec<Method> {
        let positive = self.series.iter().all(|value| *value > 0.0);
        let mut methods = vec![Method::Simple, Method::Double];
        if self.season.is_some() {
            methods.push(Method::Additive);
            methods.extend(positive.then_some(Method::Multiplicative));
        }
        // Given a beta, a trend is meant; given a gamma, a season.
        methods.retain(|method| self.beta.is_none() || *method != Method::Simple);
        methods.retain(|method| self.gamma.is_none() || !matches!(method, Method::Simple | Method::Double));
        methods
    }

    fn grid(&self, method: Method) -> Vec<Model> {
        let steps = |given: Option<f64>, usual: &dyn Fn() -> Vec<f64>| given.map_or_else(usual, |given| vec![given]);
        let fine = || (1..=20).map(|step| f64::from(step) / 20.0).collect::<Vec<_>>();
        let coarse = || vec![0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9];
        let seasonal = |multiplies: bool| {
            let length = self.season.unwrap_or(2);
            let mut all = Vec::new();
            for alpha in steps(self.alpha, &coarse) {
                for beta in steps(self.beta, &coarse) {
                    for gamma in steps(self.gamma, &coarse) {
                        all.push(Model::Smooth {
                            alpha,
                            beta: Some(beta),
                            season: Some(Season { length, gamma, multiplies }),
                        });
                    }
                }
            }
            all
        };
        let level = |alpha| Model::Smooth { alpha, beta: None, season: None };
        match method {
            Method::Simple | Method::Auto => steps(self.alpha, &fine).into_iter().map(level).collect(),
            Method::Double => {
                let betas = steps(self.beta, &fine);
                let pair =
                    |alpha| betas.iter().map(move |beta| Model::Smooth { alpha, beta: Some(*beta), season: None });
                steps(self.alpha, &fine).into_iter().flat_map(pair).collect()
            }
            Method::Additive => seasonal(false),
            Method::Multiplicative => seasonal(true),
            Method::Croston => steps(self.alpha, &fine).into_iter().map(|alpha| Model::Croston { alpha }).collect(),
        }
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

fn backtest(model: &Model, series: &[f64], held: usize) -> Backtest {
    let errors = model.run(series).errors;
    let errors = &errors[errors.len() - held..];
    let changes = series[series.len() - 1 - held..].windows(2);
    Backtest {
        points: held,
        mae: mean(errors.iter().map(|error| error.abs())),
        rmse: mean(errors.iter().map(|error| error * error)).sqrt(),
        bias: mean(errors.iter().copied()),
        naive_mae: mean(changes.map(|pair| (pair[1] - pair[0]).abs())),
    }
}

fn holdout(model: &Model, series: &[f64], held: usize, season: Option<usize>) -> Holdout {
    let (before, after) = series.split_at(series.len() - held);
    let state = model.run(before).state;
    let errors: Vec<f64> = after.iter().enumerate().map(|(at, value)| model.ahead(&state, at + 1) - value).collect();
    let season = season.unwrap_or(1);
    let repeated = |at: usize| before[before.len() - season + at % season];
    let whole = after.iter().all(|value| *value != 0.0);
    let shares = errors.iter().zip(after).map(|(error, value)| (error / value).abs() * 100.0);
    Holdout {
        points: held,
        mae: mean(errors.iter().map(|error| error.abs())),
        rmse: mean(errors.iter().map(|error| error * error)).sqrt(),
        mape: whole.then(|| mean(shares)),
        naive_mae: mean(after.iter().enumerate().map(|(at, value)| (value - repeated(at)).abs())),
    }
}

#[cfg(test)]
mod tests;

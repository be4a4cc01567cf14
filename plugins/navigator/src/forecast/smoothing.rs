//! Exponential smoothing, and the fit of its weights.

use super::Method;

#[derive(Clone, Copy, Debug)]
pub(super) enum Model {
    /// Of a level, with `beta` of a trend too, and of a season.
    Smooth { alpha: f64, beta: Option<f64>, season: Option<Season> },
    /// Of how much is asked for when something is, and of how long that takes.
    Croston { alpha: f64 },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Season {
    pub(super) length: usize,
    pub(super) gamma: f64,
    /// Or is added.
    pub(super) multiplies: bool,
}

/// What a model has made of a series.
pub(super) struct Run {
    /// Forecast less actual, one step ahead, for each value but those it began with.
    pub(super) errors: Vec<f64>,
    pub(super) state: State,
}

#[derive(Clone, Default)]
pub(super) struct State {
    level: f64,
    /// A change for each step; how many steps there are between two demands, for Croston's.
    trend: f64,
    /// For the next step first.
    seasons: Vec<f64>,
}

impl Model {
    pub(super) fn method(&self) -> Method {
        match self {
            Self::Croston { .. } => Method::Croston,
            Self::Smooth { season: Some(Season { multiplies: true, .. }), .. } => Method::Multiplicative,
            Self::Smooth { season: Some(_), .. } => Method::Additive,
            Self::Smooth { beta: Some(_), .. } => Method::Double,
            Self::Smooth { .. } => Method::Simple,
        }
    }

    /// Alpha, beta and gamma; 0 where there is none.
    pub(super) fn weights(&self) -> (f64, f64, f64) {
        match self {
            Self::Croston { alpha } => (*alpha, 0.0, 0.0),
            Self::Smooth { alpha, beta, season } => {
                (*alpha, beta.unwrap_or(0.0), season.map_or(0.0, |season| season.gamma))
            }
        }
    }

    pub(super) fn run(&self, series: &[f64]) -> Run {
        match *self {
            Self::Croston { alpha } => croston(alpha, series),
            Self::Smooth { alpha, beta, season } => smooth(alpha, beta, season, series),
        }
    }

    /// So many steps after the end of what was run.
    pub(super) fn ahead(&self, state: &State, step: usize) -> f64 {
        match self {
            // Smoothing the quotient's parts makes it too large by about this much.
            Self::Croston { alpha } => (1.0 - alpha / 2.0) * state.level / state.trend,
            Self::Smooth { season: None, .. } => state.level + step as f64 * state.trend,
            Self::Smooth { season: Some(season), .. } => {
                let part = state.seasons[(step - 1) % season.length];
                put(state.level + step as f64 * state.trend, part, season.multiplies)
            }
        }
    }

    /// By how much the error grows, step by step, against that of one step.
    pub(super) fn spread(&self, steps: usize) -> Vec<f64> {
        let (alpha, beta, gamma) = self.weights();
        let length = match self {
            Self::Smooth { season: Some(season), .. } => season.length,
            _ => usize::MAX,
        };
        let still = matches!(self, Self::Croston { .. });
        let mut variance = 1.0;
        let mut all = Vec::with_capacity(steps);
        for step in 1..=steps {
            all.push(f64::sqrt(variance));
            // What an error of one step leaves in the forecast of a later one.
            let kept =
                alpha + alpha * beta * step as f64 + if step % length == 0 { gamma * (1.0 - alpha) } else { 0.0 };
            variance += if still { 0.0 } else { kept * kept };
        }
        all
    }

    fn numbers(&self) -> f64 {
        match self {
            Self::Croston { .. } => 3.0,
            Self::Smooth { beta, season, .. } => {
                let season = season.map_or(0.0, |season| season.length as f64 + 1.0);
                2.0 + if beta.is_some() { 2.0 } else { 0.0 } + season
            }
        }
    }

    /// Nearby weights, to look whether they are better.
    fn neighbours(&self, step: f64) -> Vec<Model> {
        let Self::Smooth { alpha, beta: Some(beta), season: Some(season) } = *self else {
            return Vec::new();
        };
        let near = |weight: f64| [(weight - step).max(0.01), (weight + step).min(1.0)];
        let with =
            |alpha, beta, gamma| Self::Smooth { alpha, beta: Some(beta), season: Some(Season { gamma, ..season }) };
        let mut all: Vec<Model> = near(alpha).map(|alpha| with(alpha, beta, season.gamma)).to_vec();
        all.extend(near(beta).map(|beta| with(alpha, beta, season.gamma)));
        all.extend(near(season.gamma).map(|gamma| with(alpha, beta, gamma)));
        all
    }
}

/// Of each set the model that foretells `series` from `from` on with the least error; of those, the one that is best for the
/// numbers it has to fit (Akaike's criterion).
pub(super) fn best(sets: Vec<Vec<Model>>, series: &[f64], from: usize) -> Model {
    let error = |model: &Model| {
        let errors = model.run(series).errors;
        let skipped = (series.len() - errors.len()).max(from);
        errors[skipped + errors.len() - series.len()..].iter().map(|error| error * error).sum::<f64>()
    };
    let scale = series.iter().map(|value| value * value).sum::<f64>() / series.len() as f64;
    let fitted = sets.into_iter().map(|set| {
        let free = set.len() > 1;
        let scored = set.into_iter().map(|model| (error(&model), model));
        let (mut least, mut model) =
            scored.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there is at least one candidate");
        let mut step = 0.08;
        while free && step > 0.004 {
            let nearby = model.neighbours(step).into_iter().map(|near| (error(&near), near));
            match nearby.min_by(|a, b| a.0.total_cmp(&b.0)).filter(|(other, _)| *other < least) {
                Some(better) => (least, model) = better,
                None => step /= 2.0,
            }
        }
        let count = (series.len() - from.max(2)).max(1) as f64;
        // An error below the rounding of sums is none.
        let score = count * (least / count).max(scale * 1e-20).max(1e-300).ln() + 2.0 * model.numbers();
        (score, model)
    });
    fitted.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there is at least one method").1
}

fn put(level: f64, part: f64, multiplies: bool) -> f64 {
    if multiplies { level * part } else { level + part }
}

fn take(value: f64, other: f64, multiplies: bool) -> f64 {
    if multiplies { value / other } else { value - other }
}

fn smooth(alpha: f64, beta: Option<f64>, season: Option<Season>, series: &[f64]) -> Run {
    let (mut state, begin, first) = match season {
        // The second value gave the trend: foretelling it is no feat. So with the first two seasons.
        None => {
            let trend = if beta.is_some() { series[1] - series[0] } else { 0.0 };
            (State { level: series[0], trend, seasons: vec![0.0] }, 1, 2)
        }
        Some(season) => (begin(series, season), season.length, 2 * season.length),
    };
    let (gamma, multiplies) = season.map_or((0.0, false), |season| (season.gamma, season.multiplies));
    let mut errors = Vec::with_capacity(series.len());
    for (at, value) in series.iter().enumerate().skip(begin) {
        let place = at % state.seasons.len();
        let part = state.seasons[place];
        let before = state.level + state.trend;
        let said = put(before, part, multiplies);
        if at >= first {
            errors.push(said - value);
        }
        let level = before + alpha * (take(*value, part, multiplies) - before);
        let trend = state.trend + beta.unwrap_or(0.0) * (level - state.level - state.trend);
        if season.is_some() {
            state.seasons[place] = part + gamma * (take(*value, level, multiplies) - part);
        }
        (state.level, state.trend) = (level, trend);
    }
    let turn = series.len() % state.seasons.len();
    state.seasons.rotate_left(turn);
    Run { errors, state }
}

/// Level, trend and season at the end of the first season, from the first two.
fn begin(series: &[f64], season: Season) -> State {
    let length = season.length;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / length as f64;
    let (one, two) = (mean(&series[..length]), mean(&series[length..2 * length]));
    let trend = (two - one) / length as f64;
    let line = |at: usize| one + trend * (at as f64 - (length as f64 - 1.0) / 2.0);
    let part = |at: usize| take(series[at], line(at), season.multiplies);
    let seasons = (0..length).map(|at| (part(at) + part(at + length)) / 2.0).collect();
    State { level: line(length - 1), trend, seasons }
}

fn croston(alpha: f64, series: &[f64]) -> Run {
    let first = series.iter().position(|value| *value > 0.0).unwrap_or(0);
    let mut state = State { level: series[first], trend: first as f64 + 1.0, seasons: Vec::new() };
    let model = Model::Croston { alpha };
    let mut errors = Vec::with_capacity(series.len());
    let mut gap = 1.0;
    for value in &series[first + 1..] {
        errors.push(model.ahead(&state, 1) - value);
        if *value > 0.0 {
            state.level += alpha * (value - state.level);
            state.trend += alpha * (gap - state.trend);
            gap = 0.0;
        }
        gap += 1.0;
    }
    Run { errors, state }
}

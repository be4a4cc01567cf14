//! One vehicle's route under all that bounds it, and what it costs to put another stop into it.

use super::plan::Map;

/// What a plan must keep to. Place 0 is the depot.
pub(super) struct Problem<'a> {
    pub(super) map: &'a Map,
    pub(super) demands: &'a [u64],
    pub(super) capacity: u64,
    /// Of one route.
    pub(super) longest: f64,
    pub(super) times: Option<Times>,
}

/// When each place is open, how long each stop takes, and how fast vehicles are.
pub(super) struct Times {
    pub(super) open: Vec<f64>,
    pub(super) close: Vec<f64>,
    pub(super) service: Vec<f64>,
    pub(super) speed: f64,
}

/// A bound may be passed by the rounding of sums.
const SLIP: f64 = 1e-9;

#[derive(Clone)]
pub(super) struct Tour {
    pub(super) stops: Vec<usize>,
    pub(super) load: u64,
    pub(super) length: f64,
    /// When the vehicle can leave each stop at the earliest, the depot first.
    leaves: Vec<f64>,
    /// When service must begin at each stop at the latest, the depot last.
    latest: Vec<f64>,
}

impl Problem<'_> {
    /// How long after its opening a stop can still be reached; without times all are alike.
    pub(super) fn slack(&self, stop: usize) -> f64 {
        self.times.as_ref().map_or(0.0, |times| times.close[stop] - times.open[stop])
    }

    pub(super) fn close(&self, stop: usize) -> f64 {
        self.times.as_ref().map_or(0.0, |times| times.close[stop])
    }
}

impl Times {
    fn takes(&self, map: &Map, from: usize, to: usize) -> f64 {
        map.far(from, to) / self.speed
    }
}

impl Tour {
    pub(super) fn of(problem: &Problem<'_>, stops: Vec<usize>) -> Self {
        let mut tour = Self { stops, load: 0, length: 0.0, leaves: Vec::new(), latest: Vec::new() };
        tour.measure(problem);
        tour
    }

    /// Counts anew, after stops have changed.
    pub(super) fn measure(&mut self, problem: &Problem<'_>) {
        self.load = self.stops.iter().map(|stop| problem.demands[*stop]).sum();
        self.length = problem.map.length(&self.stops);
        let Some(times) = &problem.times else {
            return;
        };
        self.leaves.clear();
        self.leaves.push(times.open[0]);
        let mut here = 0;
        for &stop in &self.stops {
            let arrives = self.leaves[self.leaves.len() - 1] + times.takes(problem.map, here, stop);
            self.leaves.push(arrives.max(times.open[stop]) + times.service[stop]);
            here = stop;
        }
        self.latest.clear();
        self.latest.resize(self.stops.len() + 1, times.close[0]);
        let mut next = 0;
        for (at, &stop) in self.stops.iter().enumerate().rev() {
            let must = self.latest[at + 1] - times.takes(problem.map, stop, next) - times.service[stop];
            self.latest[at] = must.min(times.close[stop]);
            next = stop;
        }
    }

    /// How much longer it gets with the stop at this place; none if a bound would be passed. Room is the caller's to look at.
    pub(super) fn costs(&self, problem: &Problem<'_>, stop: usize, place: usize) -> Option<f64> {
        let before = place.checked_sub(1).map_or(0, |at| self.stops[at]);
        let after = self.stops.get(place).copied().unwrap_or(0);
        let map = problem.map;
        let more = map.far(before, stop) + map.far(stop, after) - map.far(before, after);
        if self.length + more > problem.longest * (1.0 + SLIP) {
            return None;
        }
        if let Some(times) = &problem.times {
            let arrives = (self.leaves[place] + times.takes(map, before, stop)).max(times.open[stop]);
            let next = arrives + times.service[stop] + times.takes(map, stop, after);
            let latest = self.latest[place];
            if arrives > times.close[stop] + SLIP || next > latest + SLIP {
                return None;
            }
        }
        Some(more)
    }

    /// Whether a route with one stop alone keeps to the bounds.
    pub(super) fn alone_fits(problem: &Problem<'_>, stop: usize) -> bool {
        Tour::of(problem, Vec::new()).costs(problem, stop, 0).is_some()
    }

    /// When service begins at each stop, and when the vehicle is back.
    pub(super) fn schedule(&self, problem: &Problem<'_>) -> Option<(Vec<f64>, f64)> {
        let times = problem.times.as_ref()?;
        let begins =
            self.stops.iter().enumerate().map(|(at, stop)| self.leaves[at + 1] - times.service[*stop]).collect();
        let last = self.stops.last().copied().unwrap_or(0);
        Some((begins, self.leaves[self.stops.len()] + times.takes(problem.map, last, 0)))
    }
}

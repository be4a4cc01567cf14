//! Vehicle routes: a request checked and made into a plan.
//!
//! Quick plans and how they get better are in `plan`; the longer search, which knows times, in `search` and `tour`.

mod plan;
mod search;
mod tour;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use village::Schema;

use crate::{Error, invalid, within};
use plan::{Effort, Map, Plan};
use search::{Search, length};
use tour::{Problem, Times, Tour};

/// Distances for all pairs are kept, and fit well into a small agent's memory up to here.
const MOST_STOPS: usize = 500;
/// Rounds of the longer search where times are given and nothing else is said.
const USUAL_ROUNDS: u32 = 20_000;
const MOST_ROUNDS: u32 = 10_000_000;

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    depot: Option<Place>,
    /// At most 500.
    #[schema(max_items = 500)]
    stops: Vec<Stop>,
    /// Of each vehicle.
    #[schema(minimum = 1)]
    capacity: u64,
    /// At most so many routes; as many as it takes if it is not given.
    #[schema(minimum = 1)]
    vehicles: Option<usize>,
    /// Row by row, from each place to each: the depot first, then the stops in their order. Takes the place of coordinates; may
    /// differ by direction.
    distances: Option<Vec<Vec<f64>>>,
    /// When vehicles may leave, and when they must be back.
    window: Option<[f64; 2]>,
    /// Distance in a unit of time; 1 if it is not given.
    #[schema(exclusive_minimum = 0)]
    speed: Option<f64>,
    /// Longest route.
    #[schema(exclusive_minimum = 0)]
    max_distance: Option<f64>,
    /// How long to look for something better, in rounds: 0 for a quick plan, which is what is done unless there are times or a
    /// longest route; then 20000. The turn's deadline ends it too.
    #[schema(minimum = 0, maximum = 10000000)]
    rounds: Option<u32>,
    /// Asked for at times, and not done here: there is one depot.
    #[serde(default)]
    depots: Value,
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
struct Place {
    x: f64,
    y: f64,
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
struct Stop {
    name: String,
    x: Option<f64>,
    y: Option<f64>,
    demand: u64,
    /// When service may begin, and until when it must have; a vehicle that is early waits.
    window: Option<[f64; 2]>,
    /// How long it takes.
    #[serde(default)]
    #[schema(minimum = 0)]
    service_time: f64,
    /// Asked for at times, and not done here: everything is brought.
    #[serde(default)]
    pickup: Value,
}

#[derive(Serialize, Schema)]
pub struct Answer {
    routes: Vec<Route>,
    /// Of all routes.
    distance: f64,
    /// Whether the search came to its end; false if time ran out first.
    settled: bool,
}

#[derive(Serialize, Schema)]
struct Route {
    /// In order; from the depot and back to it.
    stops: Vec<String>,
    load: u64,
    distance: f64,
    /// When service begins at each stop; empty where no times are given.
    begins: Vec<f64>,
    /// When the vehicle is back.
    #[serde(skip_serializing_if = "Option::is_none")]
    back: Option<f64>,
}

/// `go_on` says whether there is time to look for something better.
pub fn answer(request: Request, go_on: &mut dyn FnMut() -> bool) -> Result<Answer, Error> {
    request.check()?;
    let map = request.map()?;
    let demands: Vec<u64> = std::iter::once(0).chain(request.stops.iter().map(|stop| stop.demand)).collect();
    let bounded = request.times().is_some() || request.max_distance.is_some();
    let rounds = request.rounds.unwrap_or(if bounded { USUAL_ROUNDS } else { 0 });
    if rounds > MOST_ROUNDS {
        return Err(invalid("rounds", format!("is {rounds}; it must be from 0 to {MOST_ROUNDS}")));
    }
    let longest = request.max_distance.unwrap_or(f64::INFINITY);
    let problem = Problem { map: &map, demands: &demands, capacity: request.capacity, longest, times: request.times() };
    if let Some(at) = (0..request.stops.len()).find(|at| !Tour::alone_fits(&problem, at + 1)) {
        return Err(invalid(
            format!("stops[{at}]"),
            "can't be reached in time, or not within `max_distance`, even by a vehicle of its own",
        ));
    }
    let most = request.vehicles.unwrap_or(usize::MAX);
    let (mut tours, mut settled) = (Vec::new(), true);
    if !bounded {
        let mut plan = Plan::by_savings(&map, &demands, request.capacity);
        if plan.routes.len() > most {
            plan = Plan::packed(&map, &demands, request.capacity);
        }
        settled = plan.improve(&mut Effort::new(go_on));
        tours = plan.routes.into_iter().map(|stops| Tour::of(&problem, stops)).collect();
    }
    if settled && (bounded || rounds > 0) {
        let mut search = Search::new(&problem, most);
        let begin = if bounded { search.begin() } else { tours };
        (tours, settled) = search.run(begin, rounds, go_on);
    }
    if tours.len() > most {
        let needed = tours.len();
        return Err(Error::Unsupported(format!("no plan for {most} `vehicles` was found; there is one for {needed}")));
    }
    Ok(request.answer(&problem, &tours, settled))
}

impl Request {
    fn check(&self) -> Result<(), Error> {
        self.check_scope()?;
        self.check_times()?;
        if self.capacity == 0 {
            return Err(invalid("capacity", "is 0: nothing can be carried"));
        }
        if self.vehicles == Some(0) {
            return Err(invalid("vehicles", "is 0: nothing can be carried"));
        }
        let mut names = HashSet::new();
        let mut sum = 0u64;
        for (at, stop) in self.stops.iter().enumerate() {
            if !names.insert(&stop.name) {
                return Err(invalid(format!("stops[{at}].name"), format!("is `{}`, as another stop's", stop.name)));
            }
            if stop.demand > self.capacity {
                let reason = format!("is {}, more than a vehicle carries ({})", stop.demand, self.capacity);
                return Err(invalid(format!("stops[{at}].demand"), reason));
            }
            let more = sum.checked_add(stop.demand);
            sum = more.ok_or_else(|| invalid(format!("stops[{at}].demand"), "makes the sum too large to count"))?;
        }
        match self.vehicles {
            Some(vehicles) if sum > self.capacity.saturating_mul(vehicles as u64) => {
                let reason = format!("is {vehicles}, which carry less than the {sum} that is asked for");
                Err(invalid("vehicles", reason))
            }
            _ => Ok(()),
        }
    }

    /// What makes sense and is not done here.
    fn check_scope(&self) -> Result<(), Error> {
        let unsupported = |what: String| Err(Error::Unsupported(what));
        if !self.depots.is_null() {
            return unsupported("`depots`: there is one depot".to_owned());
        }
        if let Some(at) = self.stops.iter().position(|stop| !stop.pickup.is_null()) {
            return unsupported(format!("`stops[{at}].pickup`: everything is brought, and nothing fetched"));
        }
        if self.stops.len() > MOST_STOPS {
            return unsupported(format!("{} stops: at most {MOST_STOPS} are planned at once", self.stops.len()));
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), Error> {
        within("speed", self.speed.unwrap_or(1.0), 1e-9, 1e9)?;
        within("max_distance", self.max_distance.unwrap_or(1.0), 1e-9, 1e15)?;
        let window = |field: String, window: Option<[f64; 2]>| match window {
            None => Ok(()),
            Some([open, close]) => {
                within(&format!("{field}[0]"), open, -1e12, 1e12)?;
                within(&format!("{field}[1]"), close, open, 1e12).map(drop)
            }
        };
        window("window".to_owned(), self.window)?;
        for (at, stop) in self.stops.iter().enumerate() {
            window(format!("stops[{at}].window"), stop.window)?;
            within(&format!("stops[{at}].service_time"), stop.service_time, 0.0, 1e12)?;
        }
        Ok(())
    }

    /// When places are open; none if nothing has a time.
    fn times(&self) -> Option<Times> {
        let timed = self.stops.iter().any(|stop| stop.window.is_some() || stop.service_time > 0.0);
        if self.window.is_none() && self.speed.is_none() && !timed {
            return None;
        }
        let windows: Vec<[f64; 2]> = std::iter::once(self.window)
            .chain(self.stops.iter().map(|stop| stop.window))
            .map(|window| window.unwrap_or([self.window.map_or(0.0, |[open, _]| open), f64::INFINITY]))
            .collect();
        let service = std::iter::once(0.0).chain(self.stops.iter().map(|stop| stop.service_time));
        Some(Times {
            open: windows.iter().map(|window| window[0]).collect(),
            close: windows.iter().map(|window| window[1]).collect(),
            service: service.collect(),
            speed: self.speed.unwrap_or(1.0),
        })
    }

    fn map(&self) -> Result<Map, Error> {
        let size = self.stops.len() + 1;
        let Some(rows) = &self.distances else {
            return self.map_by_coordinates();
        };
        if rows.len() != size {
            return Err(invalid(
                "distances",
                format!("has {} rows, not {size}: the depot's, then each stop's", rows.len()),
            ));
        }
        for (at, row) in rows.iter().enumerate() {
            if row.len() != size {
                return Err(invalid(format!("distances[{at}]"), format!("has {} numbers, not {size}", row.len())));
            }
            for (to, distance) in row.iter().enumerate() {
                within(&format!("distances[{at}][{to}]"), *distance, 0.0, 1e12)?;
            }
        }
        Ok(Map::new(size, |from, to| rows[from][to]))
    }

    fn map_by_coordinates(&self) -> Result<Map, Error> {
        let depot = self.depot.as_ref().ok_or_else(|| invalid("depot", "is missing, and so is `distances`"))?;
        let mut places = vec![(within("depot.x", depot.x, -1e9, 1e9)?, within("depot.y", depot.y, -1e9, 1e9)?)];
        for (at, stop) in self.stops.iter().enumerate() {
            let read = |name: &str, value: Option<f64>| {
                let field = format!("stops[{at}].{name}");
                let value = value.ok_or_else(|| invalid(field.clone(), "is missing, and so is `distances`"))?;
                within(&field, value, -1e9, 1e9)
            };
            places.push((read("x", stop.x)?, read("y", stop.y)?));
        }
        Ok(Map::new(places.len(), |from, to| {
            let ((x, y), (u, v)) = (places[from], places[to]);
            (x - u).hypot(y - v)
        }))
    }

    fn answer(&self, problem: &Problem<'_>, tours: &[Tour], settled: bool) -> Answer {
        let route = |tour: &Tour| {
            let (begins, back) =
                tour.schedule(problem).map_or((Vec::new(), None), |(begins, back)| (begins, Some(back)));
            let stops = tour.stops.iter().map(|stop| self.stops[stop - 1].name.clone()).collect();
            Route { stops, load: tour.load, distance: tour.length, begins, back }
        };
        Answer { routes: tours.iter().map(route).collect(), distance: length(tours), settled }
    }
}

#[cfg(test)]
mod tests;

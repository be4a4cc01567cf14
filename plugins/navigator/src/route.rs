//! Vehicle routes: a request checked and made into a plan.
//!
//! What plans are and how they get better is in `plan`.

mod plan;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, invalid, parse, within, write};
use plan::{Effort, Map, Plan};

pub const INPUT: &str = r#"{
  "type": "object",
  "properties": {
    "depot": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x", "y"], "additionalProperties": false},
    "stops": {
      "type": "array",
      "maxItems": 500,
      "items": {
        "type": "object",
        "properties": {
          "name": {"type": "string"},
          "x": {"type": "number"},
          "y": {"type": "number"},
          "demand": {"type": "integer", "minimum": 0}
        },
        "required": ["name", "demand"],
        "additionalProperties": false
      }
    },
    "capacity": {"type": "integer", "minimum": 1, "description": "Of each vehicle."},
    "vehicles": {"type": "integer", "minimum": 1, "description": "At most so many routes; as many as it takes if it is not given."},
    "distances": {"type": "array", "items": {"type": "array", "items": {"type": "number", "minimum": 0}}, "description": "Row by row, from each place to each: the depot first, then the stops in their order. Takes the place of coordinates; may differ by direction."}
  },
  "required": ["stops", "capacity"],
  "additionalProperties": false
}"#;

pub const OUTPUT: &str = r#"{
  "type": "object",
  "properties": {
    "routes": {
      "type": "array",
      "items": {
        "type": "object",
        "properties": {
          "stops": {"type": "array", "items": {"type": "string"}, "description": "In order; from the depot and back to it."},
          "load": {"type": "integer"},
          "distance": {"type": "number"}
        }
      }
    },
    "distance": {"type": "number", "description": "Of all routes."},
    "settled": {"type": "boolean", "description": "Whether no single move makes it shorter; false if time ran out first."}
  },
  "required": ["routes", "distance", "settled"]
}"#;

pub const EXAMPLE: &str = r#"{"depot": {"x": 0, "y": 0}, "capacity": 10, "stops": [{"name": "bakery", "x": 2, "y": 7, "demand": 4}, {"name": "school", "x": 3, "y": 6, "demand": 5}, {"name": "harbour", "x": -5, "y": 1, "demand": 6}]}"#;

/// Distances for all pairs are kept, and fit well into a small agent's memory up to here.
const MOST_STOPS: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    depot: Option<Place>,
    stops: Vec<Stop>,
    capacity: u64,
    vehicles: Option<usize>,
    distances: Option<Vec<Vec<f64>>>,
    /// Asked for at times, and not done here: this and the next.
    #[serde(default)]
    depots: Value,
    #[serde(default)]
    max_distance: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    x: f64,
    y: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stop {
    name: String,
    x: Option<f64>,
    y: Option<f64>,
    demand: u64,
    /// Asked for at times, and not done here: this and the next two.
    #[serde(default)]
    window: Value,
    #[serde(default)]
    service_time: Value,
    #[serde(default)]
    pickup: Value,
}

#[derive(Serialize)]
struct Answer<'a> {
    routes: Vec<Route<'a>>,
    distance: f64,
    settled: bool,
}

#[derive(Serialize)]
struct Route<'a> {
    stops: Vec<&'a str>,
    load: u64,
    distance: f64,
}

/// `go_on` says whether there is time to look for something better.
pub fn answer(json: &[u8], go_on: &mut dyn FnMut() -> bool) -> Result<Vec<u8>, Error> {
    let request: Request = parse(json)?;
    request.check()?;
    let map = request.map()?;
    let demands: Vec<u64> = std::iter::once(0).chain(request.stops.iter().map(|stop| stop.demand)).collect();

    let mut plan = Plan::by_savings(&map, &demands, request.capacity);
    if let Some(vehicles) = request.vehicles.filter(|vehicles| plan.routes.len() > *vehicles) {
        plan = Plan::packed(&map, &demands, request.capacity);
        if plan.routes.len() > vehicles {
            let needed = plan.routes.len();
            return Err(Error::Unsupported(format!(
                "no plan for {vehicles} `vehicles` was found; there is one for {needed}"
            )));
        }
    }
    let settled = plan.improve(&mut Effort::new(go_on));
    Ok(write(&request.answer(&plan, settled)))
}

impl Request {
    fn check(&self) -> Result<(), Error> {
        self.check_scope()?;
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
        for (field, value) in [("depots", &self.depots), ("max_distance", &self.max_distance)] {
            if !value.is_null() {
                return unsupported(format!("`{field}`: there is one depot, and vehicles go as far as they must"));
            }
        }
        for (at, stop) in self.stops.iter().enumerate() {
            for (field, value) in
                [("window", &stop.window), ("service_time", &stop.service_time), ("pickup", &stop.pickup)]
            {
                if !value.is_null() {
                    return unsupported(format!("`stops[{at}].{field}`: routes here know no times and no pick-ups"));
                }
            }
        }
        if self.stops.len() > MOST_STOPS {
            return unsupported(format!("{} stops: at most {MOST_STOPS} are planned at once", self.stops.len()));
        }
        Ok(())
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

    fn answer(&self, plan: &Plan<'_>, settled: bool) -> Answer<'_> {
        let route = |stops: &Vec<usize>| Route {
            stops: stops.iter().map(|stop| self.stops[stop - 1].name.as_str()).collect(),
            load: plan.load(stops),
            distance: plan.map.length(stops),
        };
        Answer { routes: plan.routes.iter().map(route).collect(), distance: plan.length(), settled }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chance::Chance;

    fn ask(request: Value) -> Result<Value, Error> {
        let answer = answer(request.to_string().as_bytes(), &mut || true)?;
        Ok(serde_json::from_slice(&answer).expect("it is JSON"))
    }

    fn stops(chance: &mut Chance, count: usize, most: u64) -> Vec<Value> {
        let stop = |at: usize, chance: &mut Chance| json!({"name": at.to_string(), "x": chance.below(100), "y": chance.below(100), "demand": 1 + chance.below(most)});
        (0..count).map(|at| stop(at, chance)).collect()
    }

    /// Each stop once, no vehicle overloaded, and distances that add up.
    fn check(request: &Value, answer: &Value) {
        let stops = request["stops"].as_array().expect("there are stops");
        let place = |name: &str| stops.iter().find(|stop| stop["name"] == name).expect("the stop is known");
        let at = |place: &Value| (place["x"].as_f64().expect("a number"), place["y"].as_f64().expect("a number"));
        let mut seen = HashSet::new();
        let mut total = 0.0;
        for route in answer["routes"].as_array().expect("there are routes") {
            let names: Vec<_> =
                route["stops"].as_array().expect("a list").iter().map(|name| name.as_str().expect("a name")).collect();
            assert!(!names.is_empty());
            let load: u64 = names.iter().map(|name| place(name)["demand"].as_u64().expect("a number")).sum();
            assert_eq!(route["load"], load);
            assert!(load <= request["capacity"].as_u64().expect("a number"), "{route}");
            let mut here = at(&request["depot"]);
            for next in names.iter().map(|name| at(place(name))).chain([at(&request["depot"])]) {
                total += (here.0 - next.0).hypot(here.1 - next.1);
                here = next;
            }
            assert!(names.iter().all(|name| seen.insert(name.to_string())), "{names:?}");
        }
        assert_eq!(seen.len(), stops.len());
        assert!((answer["distance"].as_f64().expect("a number") - total).abs() < 1e-6);
    }

    #[test]
    fn every_stop_is_visited_once_and_no_vehicle_is_overloaded() {
        let mut chance = Chance::new(3);
        for count in [0, 1, 2, 3, 10, 40, 120] {
            for capacity in [9, 20, 1000] {
                let request =
                    json!({"depot": {"x": 50, "y": 50}, "capacity": capacity, "stops": stops(&mut chance, count, 9)});
                let answer = ask(request.clone()).expect("it is a valid request");
                assert_eq!(answer["settled"], true);
                check(&request, &answer);
            }
        }
    }

    #[test]
    fn a_search_that_is_cut_short_still_answers_a_sound_plan() {
        let request =
            json!({"depot": {"x": 50, "y": 50}, "capacity": 200, "stops": stops(&mut Chance::new(5), 400, 9)});
        for rounds in [0, 1, 3] {
            let mut left = rounds;
            let mut go_on = || {
                left -= 1;
                left >= 0
            };
            let cut = answer(request.to_string().as_bytes(), &mut go_on).expect("it is a valid request");
            let cut: Value = serde_json::from_slice(&cut).expect("it is JSON");
            assert_eq!(cut["settled"], false, "after {rounds}");
            check(&request, &cut);
        }
    }

    #[test]
    fn a_bound_on_vehicles_is_kept_or_refused() {
        // Five and five fit into two vehicles only if they are paired right: 6+4, 5+5, and savings may pair others.
        let mut chance = Chance::new(9);
        let mut kept = 0;
        for _ in 0..50 {
            let stops = stops(&mut chance, 12, 9);
            let sum: u64 = stops.iter().map(|stop| stop["demand"].as_u64().expect("a number")).sum();
            let vehicles = sum.div_ceil(10);
            let request = json!({"depot": {"x": 0, "y": 0}, "capacity": 10, "vehicles": vehicles, "stops": stops});
            match ask(request.clone()) {
                Ok(answer) => {
                    kept += 1;
                    assert!(answer["routes"].as_array().expect("a list").len() as u64 <= vehicles);
                    check(&request, &answer);
                }
                Err(error) => assert!(matches!(error, Error::Unsupported(_)), "{error}"),
            }
        }
        assert!(kept > 10, "{kept} of 50 were planned");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let depot = json!({"x": 0, "y": 0});
        let stop = |name: &str, demand: i64| json!({"name": name, "x": 1, "y": 1, "demand": demand});
        for (request, wrong) in [
            (json!({"depot": depot, "capacity": 3, "stops": [stop("a", 1), stop("b", 4)]}), "stops[1].demand"),
            (json!({"depot": depot, "capacity": 3, "stops": [stop("a", -1)]}), "stops[0].demand"),
            (json!({"depot": depot, "capacity": 3, "stops": [stop("a", 1), stop("a", 1)]}), "stops[1].name"),
            (json!({"depot": depot, "capacity": 0, "stops": []}), "capacity"),
            (json!({"depot": depot, "capacity": 3, "vehicles": 1, "stops": [stop("a", 2), stop("b", 2)]}), "vehicles"),
            (json!({"capacity": 3, "stops": [stop("a", 2)]}), "depot"),
            (json!({"depot": depot, "capacity": 3, "stops": [{"name": "a", "demand": 1, "y": 2}]}), "stops[0].x"),
            (json!({"capacity": 3, "stops": [stop("a", 2)], "distances": [[0, 1]]}), "distances"),
            (json!({"capacity": 3, "stops": [stop("a", 2)], "distances": [[0, 1], [1]]}), "distances[1]"),
            (json!({"capacity": 3, "stops": [stop("a", 2)], "distances": [[0, -1], [1, 0]]}), "distances[0][1]"),
        ] {
            let refused = ask(request);
            assert!(
                matches!(&refused, Err(Error::Invalid { field, .. }) if field == wrong),
                "{refused:?}, not {wrong}"
            );
        }
    }

    #[test]
    fn what_is_not_done_here_is_unsupported_and_not_ignored() {
        let depot = json!({"x": 0, "y": 0});
        let timed = json!({"name": "a", "x": 1, "y": 1, "demand": 1, "window": [8, 10]});
        for request in [
            json!({"depot": depot, "capacity": 3, "stops": [timed]}),
            json!({"depot": depot, "capacity": 3, "stops": [], "max_distance": 100}),
            json!({"depot": depot, "capacity": 99, "stops": stops(&mut Chance::new(1), MOST_STOPS + 1, 9)}),
        ] {
            assert!(matches!(ask(request), Err(Error::Unsupported(_))));
        }
    }
}

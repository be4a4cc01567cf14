use serde_json::{Value, json};

use super::*;
use crate::chance::Chance;

fn ask(request: Value) -> Result<Value, Error> {
    let told = answer(crate::asking::parse(request)?, &mut || true)?;
    Ok(serde_json::to_value(told).expect("it is JSON"))
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
    let request = json!({"depot": {"x": 50, "y": 50}, "capacity": 200, "stops": stops(&mut Chance::new(5), 400, 9)});
    for rounds in [0, 1, 3] {
        let mut left = rounds;
        let mut go_on = || {
            left -= 1;
            left >= 0
        };
        let cut = answer(crate::asking::parse(request.clone()).expect("it is of the right shape"), &mut go_on);
        let cut = serde_json::to_value(cut.expect("it is a valid request")).expect("it is JSON");
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
        assert!(matches!(&refused, Err(Error::Invalid { field, .. }) if field == wrong), "{refused:?}, not {wrong}");
    }
}

#[test]
fn what_is_not_done_here_is_unsupported_and_not_ignored() {
    let depot = json!({"x": 0, "y": 0});
    let fetched = json!({"name": "a", "x": 1, "y": 1, "demand": 1, "pickup": true});
    for request in [
        json!({"depot": depot, "capacity": 3, "stops": [fetched]}),
        json!({"depot": depot, "capacity": 3, "stops": [], "depots": [depot]}),
        json!({"depot": depot, "capacity": 99, "stops": stops(&mut Chance::new(1), MOST_STOPS + 1, 9)}),
    ] {
        assert!(matches!(ask(request), Err(Error::Unsupported(_))));
    }
}

/// Augerat's A-n32-k5: place and demand, the depot first. Its optimum, with distances rounded, is 784.
const AUGERAT: [(i32, i32, u64); 32] = [
    (82, 76, 0),
    (96, 44, 19),
    (50, 5, 21),
    (49, 8, 6),
    (13, 7, 19),
    (29, 89, 7),
    (58, 30, 12),
    (84, 39, 16),
    (14, 24, 6),
    (2, 39, 16),
    (3, 82, 8),
    (5, 10, 14),
    (98, 52, 21),
    (84, 25, 16),
    (61, 59, 3),
    (1, 65, 22),
    (88, 51, 18),
    (91, 2, 19),
    (19, 32, 1),
    (93, 3, 24),
    (50, 93, 8),
    (98, 14, 12),
    (5, 42, 4),
    (42, 9, 8),
    (61, 62, 24),
    (9, 97, 24),
    (80, 55, 2),
    (57, 69, 20),
    (23, 15, 15),
    (20, 70, 2),
    (85, 60, 14),
    (98, 5, 9),
];

#[test]
fn the_longer_search_finds_the_known_optimum_of_a_published_instance() {
    let far = |a: &(i32, i32, u64), b: &(i32, i32, u64)| f64::from(a.0 - b.0).hypot(f64::from(a.1 - b.1)).round();
    let distances: Vec<Vec<f64>> = AUGERAT.iter().map(|a| AUGERAT.iter().map(|b| far(a, b)).collect()).collect();
    let stops: Vec<Value> =
        AUGERAT.iter().enumerate().skip(1).map(|(at, one)| json!({"name": at.to_string(), "demand": one.2})).collect();
    let mut request = json!({"stops": stops, "capacity": 100, "vehicles": 5, "distances": distances, "rounds": 0});
    let quick = ask(request.clone()).expect("it is valid")["distance"].as_f64().expect("a number");
    request["rounds"] = json!(30_000);
    let told = ask(request).expect("it is valid");
    assert_eq!(told["distance"], 784.0);
    assert_eq!(told["routes"].as_array().expect("a list").len(), 5);
    // The quick plan is good, and not that good.
    assert!(quick > 784.0 && quick < 784.0 * 1.1, "{quick}");
}

/// The first 25 of Solomon's C101: place, demand, window; each takes 90. The optimum is 191.8 with 3 vehicles.
const SOLOMON: [(i32, i32, u64, i32, i32); 26] = [
    (40, 50, 0, 0, 1236),
    (45, 68, 10, 912, 967),
    (45, 70, 30, 825, 870),
    (42, 66, 10, 65, 146),
    (42, 68, 10, 727, 782),
    (42, 65, 10, 15, 67),
    (40, 69, 20, 621, 702),
    (40, 66, 20, 170, 225),
    (38, 68, 20, 255, 324),
    (38, 70, 10, 534, 605),
    (35, 66, 10, 357, 410),
    (35, 69, 10, 448, 505),
    (25, 85, 20, 652, 721),
    (22, 75, 30, 30, 92),
    (22, 85, 10, 567, 620),
    (20, 80, 40, 384, 429),
    (20, 85, 40, 475, 528),
    (18, 75, 20, 99, 148),
    (15, 75, 20, 179, 254),
    (15, 80, 10, 278, 345),
    (30, 50, 10, 10, 73),
    (30, 52, 20, 914, 965),
    (28, 52, 20, 812, 883),
    (28, 55, 10, 732, 777),
    (25, 50, 10, 65, 144),
    (25, 52, 40, 169, 224),
];

fn solomon() -> Value {
    let stop = |(at, one): (usize, &(i32, i32, u64, i32, i32))| json!({"name": at.to_string(), "x": one.0, "y": one.1, "demand": one.2, "window": [one.3, one.4], "service_time": 90});
    let stops: Vec<Value> = SOLOMON.iter().enumerate().skip(1).map(stop).collect();
    json!({"depot": {"x": 40, "y": 50}, "window": [0, 1236], "capacity": 200, "stops": stops})
}

/// That each vehicle is in time everywhere, and no route too long.
fn check_times(request: &Value, answer: &Value) {
    let number = |value: &Value| value.as_f64().expect("a number");
    let stops = request["stops"].as_array().expect("a list");
    let speed = request["speed"].as_f64().unwrap_or(1.0);
    for route in answer["routes"].as_array().expect("a list") {
        let (mut here, mut free) = (&request["depot"], number(&request["window"][0]));
        for (name, begins) in
            route["stops"].as_array().expect("a list").iter().zip(route["begins"].as_array().expect("a list"))
        {
            let stop = stops.iter().find(|stop| stop["name"] == *name).expect("it is known");
            let far = (number(&stop["x"]) - number(&here["x"])).hypot(number(&stop["y"]) - number(&here["y"]));
            let arrives = (free + far / speed).max(number(&stop["window"][0]));
            assert!((number(begins) - arrives).abs() < 1e-6, "{route}");
            assert!(arrives <= number(&stop["window"][1]) + 1e-6, "{route}");
            (here, free) = (stop, arrives + number(&stop["service_time"]));
        }
        assert!(number(&route["back"]) <= number(&request["window"][1]) + 1e-6, "{route}");
        assert!(
            number(&route["distance"]) <= request["max_distance"].as_f64().unwrap_or(f64::INFINITY) + 1e-6,
            "{route}"
        );
    }
}

#[test]
fn the_known_optimum_of_a_published_instance_with_time_windows_is_found() {
    let request = solomon();
    let told = ask(request.clone()).expect("it is valid");
    check(&request, &told);
    check_times(&request, &told);
    assert_eq!(told["routes"].as_array().expect("a list").len(), 3);
    assert!((told["distance"].as_f64().expect("a number") - 191.81).abs() < 0.005, "{}", told["distance"]);
}

#[test]
fn windows_and_the_longest_route_are_kept_or_refused() {
    let mut chance = Chance::new(83);
    for round in 0..20 {
        let mut stops = stops(&mut chance, 15, 9);
        for stop in &mut stops {
            let open = chance.below(300);
            stop["window"] = json!([open, open + 100 + chance.below(100)]);
            stop["service_time"] = json!(chance.below(10));
        }
        let mut request = json!({"depot": {"x": 50, "y": 50}, "window": [0, 600], "capacity": 40, "stops": stops,
            "max_distance": 200, "speed": 2, "rounds": 300});
        let told = ask(request.clone()).expect("it is valid");
        check(&request, &told);
        check_times(&request, &told);
        // Without times a longest route alone is kept as well.
        for stop in request["stops"].as_array_mut().expect("a list") {
            stop.as_object_mut().expect("an object").remove("window");
        }
        request.as_object_mut().expect("an object").remove("window");
        let free = ask(request.clone()).expect("it is valid");
        check(&request, &free);
        for route in free["routes"].as_array().expect("a list") {
            assert!(route["distance"].as_f64().expect("a number") <= 200.0 + 1e-6, "round {round}: {route}");
        }
    }
    let mut late = solomon();
    late["stops"][4]["window"] = json!([0, 3]);
    assert!(matches!(ask(late), Err(Error::Invalid { field, .. }) if field == "stops[4]"));
    let mut few = solomon();
    few["capacity"] = json!(500);
    few["vehicles"] = json!(1);
    few["rounds"] = json!(200);
    assert!(matches!(ask(few), Err(Error::Unsupported(text)) if text.contains("`vehicles`")));
    let mut odd = solomon();
    odd["stops"][2]["window"] = json!([5, 4]);
    assert!(matches!(ask(odd), Err(Error::Invalid { field, .. }) if field == "stops[2].window[1]"));
}

#[test]
fn a_longer_search_that_is_cut_short_still_answers_a_sound_plan() {
    let mut left = 3;
    let mut go_on = || {
        left -= 1;
        left >= 0
    };
    let request = solomon();
    let told = answer(crate::asking::parse(request.clone()).expect("it is of the right shape"), &mut go_on);
    let told = serde_json::to_value(told.expect("it is valid")).expect("it is JSON");
    assert_eq!(told["settled"], false);
    check(&request, &told);
    check_times(&request, &told);
}

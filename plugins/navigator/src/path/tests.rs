use serde_json::{Value, json};

use super::*;
use crate::chance::Chance;

fn ask(request: Value) -> Result<Value, Error> {
    let told = answer(crate::asking::parse(request)?, &mut || true)?;
    Ok(serde_json::to_value(told).expect("it is JSON"))
}

/// All distances, by trying every node in between (Floyd and Warshall).
fn every_distance(nodes: usize, edges: &[(usize, usize, f64)]) -> Vec<Vec<f64>> {
    let mut far = vec![vec![f64::INFINITY; nodes]; nodes];
    for (node, row) in far.iter_mut().enumerate() {
        row[node] = 0.0;
    }
    for &(from, to, cost) in edges {
        far[from][to] = far[from][to].min(cost);
    }
    for middle in 0..nodes {
        for from in 0..nodes {
            for to in 0..nodes {
                far[from][to] = far[from][to].min(far[from][middle] + far[middle][to]);
            }
        }
    }
    far
}

#[test]
fn random_graphs_agree_with_every_pair_distances_and_the_path_adds_up() {
    let mut chance = Chance::new(7);
    for round in 0..200 {
        let nodes = 2 + chance.below(9) as usize;
        let mut edges = Vec::new();
        let mut graph = Graph::default();
        graph.connect(nodes - 1, nodes - 1, 0.0);
        for _ in 0..chance.below(3 * nodes as u64) {
            let edge =
                (chance.below(nodes as u64) as usize, chance.below(nodes as u64) as usize, chance.below(20) as f64);
            edges.push(edge);
            graph.connect(edge.0, edge.1, edge.2);
        }
        let far = every_distance(nodes, &edges);
        for (from, row) in far.iter().enumerate() {
            for (to, far) in row.iter().enumerate() {
                let Some((cost, path)) = graph.cheapest(from, to, &vec![0.0; nodes], &vec![false; nodes], &[], &mut 0)
                else {
                    assert!(far.is_infinite(), "round {round}: {from} to {to}");
                    continue;
                };
                assert_eq!(cost, *far, "round {round}: {from} to {to}");
                let walked: f64 = path
                    .windows(2)
                    .map(|step| {
                        let known = edges.iter().filter(|edge| (edge.0, edge.1) == (step[0], step[1]));
                        known.map(|edge| edge.2).fold(f64::INFINITY, f64::min)
                    })
                    .sum();
                assert_eq!(walked, cost, "round {round}: {path:?}");
                assert_eq!((path.first(), path.last()), (Some(&from), Some(&to)));
            }
        }
    }
}

#[test]
fn one_way_edges_lead_one_way() {
    let edges = json!([{"from": "a", "to": "b", "cost": 2.5}]);
    let back = ask(json!({"edges": edges, "directed": true, "from": "b", "to": "a"})).expect("it is a valid request");
    assert_eq!((&back["reachable"], &back["cost"], &back["path"]), (&json!(false), &json!(0.0), &json!([])));

    let back = ask(json!({"edges": edges, "from": "b", "to": "a"})).expect("it is a valid request");
    assert_eq!((&back["reachable"], &back["cost"], &back["path"]), (&json!(true), &json!(2.5), &json!(["b", "a"])));
}

#[test]
fn from_a_node_to_itself_costs_nothing() {
    let edges = json!([{"from": "a", "to": "b", "cost": 2.5}]);
    let stay = ask(json!({"edges": edges, "from": "a", "to": "a"})).expect("it is a valid request");
    assert_eq!((&stay["reachable"], &stay["cost"], &stay["path"]), (&json!(true), &json!(0.0), &json!(["a"])));
}

#[test]
fn what_is_wrong_is_named() {
    let edges = json!([{"from": "a", "to": "b", "cost": 1}, {"from": "b", "to": "c", "cost": -1}]);
    let refused = ask(json!({"edges": edges, "from": "a", "to": "c"}));
    assert!(matches!(refused, Err(Error::Unsupported(text)) if text.contains("edges[1].cost")));

    let edges = json!([{"from": "a", "to": "b", "cost": "one"}]);
    let refused = ask(json!({"edges": edges, "from": "a", "to": "b"}));
    assert!(matches!(refused, Err(Error::Invalid { field, .. }) if field == "edges[0].cost"));

    let edges = json!([{"from": "a", "to": "b"}]);
    let refused = ask(json!({"edges": edges, "from": "a", "to": "b"}));
    assert!(matches!(refused, Err(Error::Invalid { field, .. }) if field == "edges[0].cost"));

    let refused = ask(json!({"edges": [], "from": "a", "to": "b"}));
    assert!(matches!(refused, Err(Error::Invalid { field, .. }) if field == "from"));
}

/// Every path without a node twice, cheapest first.
fn every_path(nodes: usize, edges: &[(usize, usize, f64)], from: usize, to: usize) -> Vec<f64> {
    fn go(edges: &[(usize, usize, f64)], to: usize, path: &mut Vec<usize>, cost: f64, all: &mut Vec<f64>) {
        let here = path[path.len() - 1];
        if here == to {
            all.push(cost);
            return;
        }
        for next in 0..16 {
            let step = edges
                .iter()
                .filter(|edge| (edge.0, edge.1) == (here, next))
                .map(|edge| edge.2)
                .fold(f64::INFINITY, f64::min);
            if step.is_finite() && !path.contains(&next) {
                path.push(next);
                go(edges, to, path, cost + step, all);
                path.pop();
            }
        }
    }
    assert!(nodes <= 16);
    let mut all = Vec::new();
    go(edges, to, &mut vec![from], 0.0, &mut all);
    all.sort_by(f64::total_cmp);
    all
}

#[test]
fn alternatives_are_the_next_cheapest_of_all_paths() {
    let mut chance = Chance::new(29);
    for round in 0..150 {
        let nodes = 3 + chance.below(5) as usize;
        let mut edges = vec![(0, 1, 50.0)];
        for _ in 0..chance.below(4 * nodes as u64) {
            let mut node = || chance.below(nodes as u64) as usize;
            edges.push((node(), node(), chance.below(20) as f64));
        }
        let given: Vec<Value> = edges
            .iter()
            .map(|(a, b, cost)| json!({"from": a.to_string(), "to": b.to_string(), "cost": cost}))
            .collect();
        let told = ask(json!({"edges": given, "directed": true, "from": "0", "to": "1", "alternatives": 6}))
            .expect("it is valid");
        let mut costs = vec![told["cost"].as_f64().expect("a number")];
        let ways = told["alternatives"].as_array().expect("a list");
        costs.extend(ways.iter().map(|way| way["cost"].as_f64().expect("a number")));
        let mut expected = every_path(nodes, &edges, 0, 1);
        expected.truncate(7);
        assert_eq!(costs, expected, "round {round}");
        let paths: std::collections::HashSet<String> = ways.iter().map(|way| way["path"].to_string()).collect();
        assert!(paths.len() == ways.len() && !paths.contains(&told["path"].to_string()), "round {round}");
    }
}

#[test]
fn looking_towards_the_goal_finds_the_same_and_looks_at_less() {
    let mut chance = Chance::new(61);
    let side = 30;
    let mut edges = Vec::new();
    let mut places = serde_json::Map::new();
    for x in 0..side {
        for y in 0..side {
            places.insert(format!("{x}/{y}"), json!({"x": x, "y": y}));
            for (u, v) in [(x + 1, y), (x, y + 1)] {
                if u < side && v < side {
                    let cost = 1.0 + chance.below(100) as f64 / 200.0;
                    edges.push(json!({"from": format!("{x}/{y}"), "to": format!("{u}/{v}"), "cost": cost}));
                }
            }
        }
    }
    let ask = |places: Value| {
        ask(json!({"edges": edges, "from": "15/15", "to": "25/18", "places": places})).expect("it is valid")
    };
    let (plain, towards) = (ask(json!({})), ask(Value::Object(places)));
    assert_eq!((&plain["cost"], &plain["path"]), (&towards["cost"], &towards["path"]));
    assert!(
        towards["looked_at"].as_u64().expect("a number") * 2 < plain["looked_at"].as_u64().expect("a number"),
        "{towards}"
    );
}

#[test]
fn closed_nodes_are_gone_round() {
    let edge = |from: &str, to: &str, cost: u32| json!({"from": from, "to": to, "cost": cost});
    let edges = json!([edge("a", "b", 1), edge("b", "c", 1), edge("a", "d", 5), edge("d", "c", 5)]);
    let told = ask(json!({"edges": edges, "from": "a", "to": "c", "closed": ["b"]})).expect("it is valid");
    assert_eq!((&told["cost"], &told["path"]), (&json!(10.0), &json!(["a", "d", "c"])));
    let told = ask(json!({"edges": edges, "from": "a", "to": "c", "closed": ["b", "d"]})).expect("it is valid");
    assert_eq!(told["reachable"], false);
}

#[test]
fn a_table_has_the_cost_of_each_path_and_null_where_there_is_none() {
    let edge = |from: &str, to: &str, cost: u32| json!({"from": from, "to": to, "cost": cost});
    let request = json!({"edges": [edge("a", "b", 1), edge("b", "c", 2), edge("c", "a", 9), edge("x", "y", 1)], "directed": true,
        "places": ["a", "c", "x"]});
    let told = table(crate::asking::parse(request.clone()).expect("it is of the right shape")).expect("it is valid");
    assert_eq!(told.distances, [[Some(0.0), Some(3.0), None], [Some(9.0), Some(0.0), None], [None, None, Some(0.0)]]);
    assert_eq!(told.unreachable, 4);
    let mut closed = request;
    closed["closed"] = json!(["c"]);
    let refused = table(crate::asking::parse(closed).expect("it is of the right shape"));
    assert!(matches!(refused, Err(Error::Invalid { field, .. }) if field == "closed[0]"));
}

#[test]
fn what_is_wrong_with_the_rest_is_named() {
    let edges = json!([{"from": "a", "to": "b", "cost": 1}]);
    for (more, wrong) in [
        (json!({"closed": ["z"]}), "closed[0]"),
        (json!({"closed": ["a"]}), "from"),
        (json!({"alternatives": 21}), "alternatives"),
        (json!({"places": {"a": {"x": 0, "y": 0}}}), "places"),
        (json!({"places": {"a": {"x": 0, "y": 0}, "b": {"x": 1e300, "y": 0}}}), "places.b.x"),
    ] {
        let mut request = json!({"edges": edges, "from": "a", "to": "b"});
        request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let refused = ask(request);
        assert!(matches!(&refused, Err(Error::Invalid { field, .. }) if field == wrong), "{refused:?}, not {wrong}");
    }
    let many: Vec<Value> = (0..=MOST_EDGES).map(|_| edges[0].clone()).collect();
    assert!(matches!(ask(json!({"edges": many, "from": "a", "to": "b"})), Err(Error::Unsupported(_))));
}

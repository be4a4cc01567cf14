//! Shortest paths, by Dijkstra.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use serde::{Deserialize, Serialize};

use crate::{Error, invalid, parse, within, write};

pub const INPUT: &str = r#"{
  "type": "object",
  "properties": {
    "edges": {
      "type": "array",
      "items": {
        "type": "object",
        "properties": {
          "from": {"type": "string"},
          "to": {"type": "string"},
          "cost": {"type": "number", "minimum": 0, "maximum": 1e12}
        },
        "required": ["from", "to", "cost"],
        "additionalProperties": false
      }
    },
    "directed": {"type": "boolean", "default": false, "description": "Whether an edge leads one way only."},
    "from": {"type": "string"},
    "to": {"type": "string"}
  },
  "required": ["edges", "from", "to"],
  "additionalProperties": false
}"#;

pub const OUTPUT: &str = r#"{
  "type": "object",
  "properties": {
    "reachable": {"type": "boolean"},
    "cost": {"type": "number", "description": "0 if it is not reachable."},
    "path": {"type": "array", "items": {"type": "string"}, "description": "From first to last; empty if it is not reachable."}
  },
  "required": ["reachable", "cost", "path"]
}"#;

pub const EXAMPLE: &str = r#"{"edges": [{"from": "depot", "to": "north", "cost": 4}, {"from": "depot", "to": "east", "cost": 1}, {"from": "east", "to": "north", "cost": 2}], "from": "depot", "to": "north"}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    edges: Vec<Edge>,
    #[serde(default)]
    directed: bool,
    from: String,
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edge {
    from: String,
    to: String,
    cost: f64,
}

#[derive(Serialize)]
struct Answer<'a> {
    reachable: bool,
    cost: f64,
    path: Vec<&'a str>,
}

pub fn answer(json: &[u8]) -> Result<Vec<u8>, Error> {
    let request: Request = parse(json)?;
    let mut names = Names::default();
    let mut graph = Graph::default();
    for (at, edge) in request.edges.iter().enumerate() {
        if edge.cost < 0.0 {
            return Err(Error::Unsupported(format!(
                "`edges[{at}].cost` is negative, which Dijkstra's method cannot do"
            )));
        }
        let cost = within(&format!("edges[{at}].cost"), edge.cost, 0.0, 1e12)?;
        let (from, to) = (names.number(&edge.from), names.number(&edge.to));
        graph.connect(from, to, cost);
        if !request.directed {
            graph.connect(to, from, cost);
        }
    }
    let find = |field: &str, name: &str| {
        names.known(name).ok_or_else(|| invalid(field, format!("is `{name}`, which no edge touches")))
    };
    let (from, to) = (find("from", &request.from)?, find("to", &request.to)?);
    Ok(write(&match graph.shortest(from, to) {
        Some((cost, path)) => {
            Answer { reachable: true, cost, path: path.into_iter().map(|node| names.all[node]).collect() }
        }
        None => Answer { reachable: false, cost: 0.0, path: Vec::new() },
    }))
}

/// Numbers for names, in the order in which they turn up.
#[derive(Default)]
struct Names<'a> {
    all: Vec<&'a str>,
    numbers: HashMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    fn number(&mut self, name: &'a str) -> usize {
        *self.numbers.entry(name).or_insert_with(|| {
            self.all.push(name);
            self.all.len() - 1
        })
    }

    fn known(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }
}

/// Nodes by number, each with the edges that leave it.
#[derive(Default)]
pub struct Graph {
    edges: Vec<Vec<(usize, f64)>>,
}

impl Graph {
    /// `cost` must be finite and not negative.
    pub fn connect(&mut self, from: usize, to: usize, cost: f64) {
        let nodes = self.edges.len().max(from + 1).max(to + 1);
        self.edges.resize_with(nodes, Vec::new);
        self.edges[from].push((to, cost));
    }

    /// The cheapest path and its cost; none if there is no path.
    pub fn shortest(&self, from: usize, to: usize) -> Option<(f64, Vec<usize>)> {
        let mut best = vec![f64::INFINITY; self.edges.len()];
        let mut before = vec![usize::MAX; self.edges.len()];
        let mut next = BinaryHeap::from([Reached { cost: 0.0, node: from }]);
        best[from] = 0.0;
        while let Some(Reached { cost, node }) = next.pop() {
            if node == to {
                return Some((cost, walk(&before, from, to)));
            }
            if cost > best[node] {
                continue;
            }
            for &(neighbour, step) in &self.edges[node] {
                let cost = cost + step;
                if cost < best[neighbour] {
                    best[neighbour] = cost;
                    before[neighbour] = node;
                    next.push(Reached { cost, node: neighbour });
                }
            }
        }
        None
    }
}

fn walk(before: &[usize], from: usize, to: usize) -> Vec<usize> {
    let mut path = vec![to];
    let mut node = to;
    while node != from {
        node = before[node];
        path.push(node);
    }
    path.reverse();
    path
}

/// Cheapest first in a heap that gives its greatest.
struct Reached {
    cost: f64,
    node: usize,
}

impl Ord for Reached {
    fn cmp(&self, other: &Self) -> Ordering {
        other.cost.total_cmp(&self.cost).then_with(|| other.node.cmp(&self.node))
    }
}

impl PartialOrd for Reached {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Reached {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Reached {}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chance::Chance;

    fn ask(request: Value) -> Result<Value, Error> {
        answer(request.to_string().as_bytes()).map(|json| serde_json::from_slice(&json).expect("it is JSON"))
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
                    let Some((cost, path)) = graph.shortest(from, to) else {
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
        let back =
            ask(json!({"edges": edges, "directed": true, "from": "b", "to": "a"})).expect("it is a valid request");
        assert_eq!(back, json!({"reachable": false, "cost": 0.0, "path": []}));

        let back = ask(json!({"edges": edges, "from": "b", "to": "a"})).expect("it is a valid request");
        assert_eq!(back, json!({"reachable": true, "cost": 2.5, "path": ["b", "a"]}));
    }

    #[test]
    fn from_a_node_to_itself_costs_nothing() {
        let edges = json!([{"from": "a", "to": "b", "cost": 2.5}]);
        let stay = ask(json!({"edges": edges, "from": "a", "to": "a"})).expect("it is a valid request");
        assert_eq!(stay, json!({"reachable": true, "cost": 0.0, "path": ["a"]}));
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
}

//! Shortest paths in a graph: the cheapest one, others nearly as cheap, and the costs between many places.
//!
//! The graph and the searches in it are in `graph`.

mod graph;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use village::Schema;

use crate::{Error, at_most, invalid, within};
use graph::Graph;

/// Most edges of a graph, and most places of a table.
const MOST_EDGES: usize = 100_000;
const MOST_PLACES: usize = 200;
const MOST_ALTERNATIVES: usize = 20;

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// At most 100000.
    #[schema(max_items = 100000)]
    edges: Vec<Edge>,
    /// Whether an edge leads one way only.
    #[serde(default)]
    directed: bool,
    from: String,
    to: String,
    /// Nodes that can't be passed.
    #[serde(default)]
    closed: Vec<String>,
    /// How many other paths to look for, cheapest first, none with a node twice.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 20)]
    alternatives: usize,
    /// Where the nodes are, all of them: the search then goes towards the goal first (A*). The answer is the same.
    #[serde(default)]
    places: BTreeMap<String, Place>,
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    from: String,
    to: String,
    #[schema(minimum = 0, maximum = 1e12)]
    cost: f64,
}

#[derive(Clone, Copy, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    x: f64,
    y: f64,
}

#[derive(Serialize, Schema)]
pub struct Answer {
    reachable: bool,
    /// 0 if it is not reachable.
    cost: f64,
    /// From first to last; empty if it is not reachable.
    path: Vec<String>,
    /// Nodes that were looked at to find it.
    looked_at: usize,
    /// Other paths, if they were asked for.
    alternatives: Vec<Way>,
    /// False if time ran out before all alternatives were found.
    complete: bool,
}

#[derive(Serialize, Schema)]
pub struct Way {
    cost: f64,
    path: Vec<String>,
}

/// `go_on` says whether there is time to look for alternatives.
pub fn answer(request: Request, go_on: &mut dyn FnMut() -> bool) -> Result<Answer, Error> {
    if request.alternatives > MOST_ALTERNATIVES {
        return Err(invalid(
            "alternatives",
            format!("is {}; it must be from 0 to {MOST_ALTERNATIVES}", request.alternatives),
        ));
    }
    let (names, graph) = read(&request.edges, request.directed)?;
    let find = |field: &str, name: &str| {
        names.known(name).ok_or_else(|| invalid(field, format!("is `{name}`, which no edge touches")))
    };
    let (from, to) = (find("from", &request.from)?, find("to", &request.to)?);
    let mut closed = vec![false; names.all.len()];
    for (at, name) in request.closed.iter().enumerate() {
        closed[find(&format!("closed[{at}]"), name)?] = true;
    }
    for (field, node) in [("from", from), ("to", to)] {
        if closed[node] {
            return Err(invalid(field, format!("is `{}`, which is closed", names.all[node])));
        }
    }
    let bound = request.bound(&names, to)?;
    let mut looked_at = 0;
    let found = graph.cheapest(from, to, &bound, &closed, &[], &mut looked_at);
    let spell = |path: Vec<usize>| path.into_iter().map(|node| names.all[node].to_owned()).collect();
    let Some(first) = found else {
        return Ok(Answer {
            reachable: false,
            cost: 0.0,
            path: Vec::new(),
            looked_at,
            alternatives: Vec::new(),
            complete: true,
        });
    };
    let (others, complete) = graph.alternatives(&first, request.alternatives, &bound, &closed, go_on);
    let way = |(cost, path)| Way { cost, path: spell(path) };
    Ok(Answer {
        reachable: true,
        cost: first.0,
        path: spell(first.1),
        looked_at,
        alternatives: others.into_iter().map(way).collect(),
        complete,
    })
}

impl Request {
    /// For each node at least how far it is to the goal: what no edge is cheaper than by its length, times the distance.
    fn bound(&self, names: &Names<'_>, to: usize) -> Result<Vec<f64>, Error> {
        if self.places.is_empty() {
            return Ok(vec![0.0; names.all.len()]);
        }
        let mut at = Vec::with_capacity(names.all.len());
        for name in &names.all {
            let place = self
                .places
                .get(*name)
                .ok_or_else(|| invalid("places", format!("has no `{name}`, and must have all nodes")))?;
            within(&format!("places.{name}.x"), place.x, -1e9, 1e9)?;
            within(&format!("places.{name}.y"), place.y, -1e9, 1e9)?;
            at.push(*place);
        }
        let far = |a: usize, b: usize| (at[a].x - at[b].x).hypot(at[a].y - at[b].y);
        let mut rate = f64::INFINITY;
        for edge in &self.edges {
            if let (Some(a), Some(b)) = (names.known(&edge.from), names.known(&edge.to)) {
                rate = rate.min(edge.cost / far(a, b).max(f64::MIN_POSITIVE));
            }
        }
        // A little less, so that the rounding of sums never makes it too much.
        let rate = if rate.is_finite() { rate * (1.0 - 1e-12) } else { 0.0 };
        Ok((0..at.len()).map(|node| rate * far(node, to)).collect())
    }
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct TableRequest {
    /// At most 100000.
    #[schema(max_items = 100000)]
    edges: Vec<Edge>,
    /// Whether an edge leads one way only.
    #[serde(default)]
    directed: bool,
    /// Nodes of the graph, at most 200.
    #[schema(max_items = 200)]
    places: Vec<String>,
    /// Nodes that can't be passed.
    #[serde(default)]
    closed: Vec<String>,
}

#[derive(Serialize, Schema)]
pub struct Table {
    /// Row by row, the cost of the cheapest path from each place to each, as the skill `route` takes it; null where there is none.
    distances: Vec<Vec<Option<f64>>>,
    /// Pairs of places without a path.
    unreachable: usize,
}

pub fn table(request: TableRequest) -> Result<Table, Error> {
    at_most("places", request.places.len(), MOST_PLACES)?;
    let (names, graph) = read(&request.edges, request.directed)?;
    let find = |field: String, name: &str| {
        names.known(name).ok_or_else(|| invalid(field, format!("is `{name}`, which no edge touches")))
    };
    let all = |field: &str, list: &[String]| {
        list.iter()
            .enumerate()
            .map(|(at, name)| find(format!("{field}[{at}]"), name))
            .collect::<Result<Vec<_>, Error>>()
    };
    let places = all("places", &request.places)?;
    let mut closed = vec![false; names.all.len()];
    for (at, node) in all("closed", &request.closed)?.into_iter().enumerate() {
        if places.contains(&node) {
            return Err(invalid(format!("closed[{at}]"), format!("is `{}`, one of the places", names.all[node])));
        }
        closed[node] = true;
    }
    let distances: Vec<Vec<Option<f64>>> = places
        .iter()
        .map(|from| {
            let costs = graph.costs(*from, &closed);
            places.iter().map(|to| Some(costs[*to]).filter(|cost| cost.is_finite())).collect()
        })
        .collect();
    let unreachable = distances.iter().flatten().filter(|cost| cost.is_none()).count();
    Ok(Table { distances, unreachable })
}

/// The graph of these edges, and its nodes' names.
fn read(edges: &[Edge], directed: bool) -> Result<(Names<'_>, Graph), Error> {
    at_most("edges", edges.len(), MOST_EDGES)?;
    let mut names = Names::default();
    let mut graph = Graph::default();
    for (at, edge) in edges.iter().enumerate() {
        if edge.cost < 0.0 {
            return Err(Error::Unsupported(format!(
                "`edges[{at}].cost` is negative, which Dijkstra's method cannot do"
            )));
        }
        let cost = within(&format!("edges[{at}].cost"), edge.cost, 0.0, 1e12)?;
        let (from, to) = (names.number(&edge.from), names.number(&edge.to));
        graph.connect(from, to, cost);
        if !directed {
            graph.connect(to, from, cost);
        }
    }
    Ok((names, graph))
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

#[cfg(test)]
mod tests;

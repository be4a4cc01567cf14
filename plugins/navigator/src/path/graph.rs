//! Searches in a graph: Dijkstra's, or A* with a bound; and Yen's for alternatives.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A path and its cost.
pub(super) type Way = (f64, Vec<usize>);

/// Nodes by number, each with the edges that leave it.
#[derive(Default)]
pub(super) struct Graph {
    edges: Vec<Vec<(usize, f64)>>,
}

impl Graph {
    /// `cost` must be finite and not negative.
    pub(super) fn connect(&mut self, from: usize, to: usize, cost: f64) {
        let nodes = self.edges.len().max(from + 1).max(to + 1);
        self.edges.resize_with(nodes, Vec::new);
        self.edges[from].push((to, cost));
    }

    /// The cheapest path that passes no closed node and does not begin with one of the barred steps; none if there is none.
    ///
    /// `bound` says for each node at least how far it is to the goal, and never more than an edge and the bound after it.
    pub(super) fn cheapest(
        &self,
        from: usize,
        to: usize,
        bound: &[f64],
        closed: &[bool],
        barred: &[usize],
        looked_at: &mut usize,
    ) -> Option<Way> {
        let mut best = vec![f64::INFINITY; self.edges.len()];
        let mut before = vec![usize::MAX; self.edges.len()];
        let mut next = BinaryHeap::from([Reached { least: bound[from], cost: 0.0, node: from }]);
        best[from] = 0.0;
        while let Some(Reached { cost, node, .. }) = next.pop() {
            if cost > best[node] {
                continue;
            }
            *looked_at += 1;
            if node == to {
                return Some((cost, walk(&before, from, to)));
            }
            for &(neighbour, step) in &self.edges[node] {
                if closed[neighbour] || (node == from && barred.contains(&neighbour)) {
                    continue;
                }
                let cost = cost + step;
                if cost < best[neighbour] {
                    best[neighbour] = cost;
                    before[neighbour] = node;
                    next.push(Reached { least: cost + bound[neighbour], cost, node: neighbour });
                }
            }
        }
        None
    }

    /// What the cheapest path to each node costs; infinite where there is none.
    pub(super) fn costs(&self, from: usize, closed: &[bool]) -> Vec<f64> {
        let mut best = vec![f64::INFINITY; self.edges.len()];
        let mut next = BinaryHeap::from([Reached { least: 0.0, cost: 0.0, node: from }]);
        best[from] = 0.0;
        while let Some(Reached { cost, node, .. }) = next.pop() {
            if cost > best[node] {
                continue;
            }
            for &(neighbour, step) in &self.edges[node] {
                if !closed[neighbour] && cost + step < best[neighbour] {
                    best[neighbour] = cost + step;
                    next.push(Reached { least: cost + step, cost: cost + step, node: neighbour });
                }
            }
        }
        best
    }

    /// The next cheapest paths without a node twice, and whether there was time to find as many as there are up to `most` (Yen).
    ///
    /// Each leaves an earlier one somewhere, by a step that no earlier one with the same beginning has taken.
    pub(super) fn alternatives(
        &self,
        first: &Way,
        most: usize,
        bound: &[f64],
        closed: &[bool],
        go_on: &mut dyn FnMut() -> bool,
    ) -> (Vec<Way>, bool) {
        let mut found = vec![first.clone()];
        let mut waiting: Vec<Way> = Vec::new();
        while found.len() <= most {
            let last = found[found.len() - 1].1.clone();
            let mut closed = closed.to_vec();
            let mut spent = 0.0;
            for at in 0..last.len() - 1 {
                if !go_on() {
                    found.remove(0);
                    return (found, false);
                }
                let begun = &last[..=at];
                let same = found.iter().filter(|(_, path)| path.len() > at + 1 && path[..=at] == *begun);
                let barred: Vec<usize> = same.map(|(_, path)| path[at + 1]).collect();
                let goal = last[last.len() - 1];
                if let Some((cost, rest)) = self.cheapest(last[at], goal, bound, &closed, &barred, &mut 0) {
                    let way = (spent + cost, [&last[..at], &rest].concat());
                    if !waiting.iter().any(|(_, path)| *path == way.1) {
                        waiting.push(way);
                    }
                }
                closed[last[at]] = true;
                spent += self.step(last[at], last[at + 1]);
            }
            let least = (0..waiting.len())
                .min_by(|a, b| waiting[*a].0.total_cmp(&waiting[*b].0).then_with(|| waiting[*a].1.cmp(&waiting[*b].1)));
            match least {
                Some(least) => found.push(waiting.swap_remove(least)),
                None => break,
            }
        }
        found.remove(0);
        (found, true)
    }

    /// The cheapest edge between two neighbours.
    fn step(&self, from: usize, to: usize) -> f64 {
        self.edges[from].iter().filter(|edge| edge.0 == to).map(|edge| edge.1).fold(f64::INFINITY, f64::min)
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

/// Least first in a heap that gives its greatest.
struct Reached {
    /// What a path through it costs at least.
    least: f64,
    cost: f64,
    node: usize,
}

impl Ord for Reached {
    fn cmp(&self, other: &Self) -> Ordering {
        other.least.total_cmp(&self.least).then_with(|| other.node.cmp(&self.node))
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

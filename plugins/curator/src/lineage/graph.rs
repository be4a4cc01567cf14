//! Datasets and steps as nodes of one graph, by number.

use std::collections::{HashMap, VecDeque};

#[derive(Default)]
pub(super) struct Graph {
    pub(super) names: Vec<String>,
    steps: Vec<bool>,
    numbers: HashMap<String, usize>,
    /// Where each node leads, and what leads to it.
    pub(super) forth: Vec<Vec<usize>>,
    pub(super) back: Vec<Vec<usize>>,
}

impl Graph {
    /// The node of that name, a new one if there is none.
    pub(super) fn node(&mut self, name: &str, step: bool) -> usize {
        if let Some(node) = self.find(name) {
            return node;
        }
        let node = self.names.len();
        self.names.push(name.to_owned());
        self.steps.push(step);
        self.numbers.insert(name.to_owned(), node);
        self.forth.push(Vec::new());
        self.back.push(Vec::new());
        node
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    pub(super) fn is_step(&self, node: usize) -> bool {
        self.steps[node]
    }

    pub(super) fn connect(&mut self, from: usize, to: usize) {
        self.forth[from].push(to);
        self.back[to].push(from);
    }

    /// Each link once, in the order of the nodes.
    pub(super) fn settle(&mut self) {
        for list in self.forth.iter_mut().chain(&mut self.back) {
            list.sort_unstable();
            list.dedup();
        }
    }

    /// Every node that can be reached, nearest first, each with the one before it; none before the first ones.
    pub(super) fn reach(&self, from: &[usize], forth: bool) -> Vec<(usize, Option<usize>)> {
        let links = if forth { &self.forth } else { &self.back };
        let mut seen = vec![false; self.names.len()];
        let mut reached = Vec::new();
        let mut waiting: VecDeque<(usize, Option<usize>)> = from.iter().map(|node| (*node, None)).collect();
        while let Some((node, before)) = waiting.pop_front() {
            if std::mem::replace(&mut seen[node], true) {
                continue;
            }
            reached.push((node, before));
            waiting.extend(links[node].iter().filter(|next| !seen[**next]).map(|next| (*next, Some(node))));
        }
        reached
    }

    /// All nodes, each after what leads to it but for cycles; and one cycle of each set of nodes that lead to each other.
    ///
    /// Tarjan's method, with a stack of its own: a chain of 20000 steps must not overflow the machine's.
    pub(super) fn order(&self) -> (Vec<usize>, Vec<Vec<usize>>) {
        let count = self.names.len();
        let (mut index, mut low) = (vec![usize::MAX; count], vec![0; count]);
        let mut open = vec![false; count];
        let (mut stack, mut calls, mut next) = (Vec::new(), Vec::new(), 0);
        let mut knots: Vec<Vec<usize>> = Vec::new();
        for root in 0..count {
            if index[root] != usize::MAX {
                continue;
            }
            calls.push((root, 0));
            while let Some((node, at)) = calls.pop() {
                if at == 0 {
                    (index[node], low[node]) = (next, next);
                    next += 1;
                    stack.push(node);
                    open[node] = true;
                } else {
                    low[node] = low[node].min(low[self.forth[node][at - 1]]);
                }
                let rest = self.forth[node][at..].iter().enumerate();
                let mut deeper = None;
                for (step, to) in rest {
                    if index[*to] == usize::MAX {
                        deeper = Some((at + step + 1, *to));
                        break;
                    }
                    if open[*to] {
                        low[node] = low[node].min(index[*to]);
                    }
                }
                if let Some((resume, to)) = deeper {
                    calls.push((node, resume));
                    calls.push((to, 0));
                } else if low[node] == index[node] {
                    let start = stack.iter().rposition(|other| *other == node).expect("it is on the stack");
                    let knot = stack.split_off(start);
                    for one in &knot {
                        open[*one] = false;
                    }
                    knots.push(knot);
                }
            }
        }
        knots.reverse();
        // A dataset and a step that lead to each other are the least cycle: no node leads to itself.
        let cycles = knots.iter().filter(|knot| knot.len() > 1).map(|knot| self.cycle(knot)).collect();
        (knots.into_iter().flatten().collect(), cycles)
    }

    /// A shortest cycle through the first dataset among nodes that all lead to each other.
    fn cycle(&self, knot: &[usize]) -> Vec<usize> {
        let inside: std::collections::HashSet<usize> = knot.iter().copied().collect();
        let sets = knot.iter().copied().filter(|node| !self.is_step(*node));
        let start = sets.min().expect("datasets stand between steps");
        let mut before: HashMap<usize, usize> = HashMap::new();
        let mut waiting = VecDeque::from([start]);
        while let Some(node) = waiting.pop_front() {
            for to in self.forth[node].iter().filter(|to| inside.contains(to)) {
                if *to == start {
                    let mut cycle = vec![node];
                    while cycle[cycle.len() - 1] != start {
                        cycle.push(before[&cycle[cycle.len() - 1]]);
                    }
                    cycle.reverse();
                    return cycle;
                }
                if !before.contains_key(to) {
                    before.insert(*to, node);
                    waiting.push_back(*to);
                }
            }
        }
        knot.to_vec()
    }
}

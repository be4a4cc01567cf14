//! Where data comes from and what it goes into: a graph of datasets and the steps that make them.
//!
//! What the graph is and how it is walked is in `graph`; here a request is checked and its questions are answered.

mod graph;

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use village::Schema;

use crate::{Error, at_most, invalid};
use graph::Graph;

const MOST_NODES: usize = 20_000;
const MOST_LINKS: usize = 200_000;
/// Most classes of all datasets together, those taken over included.
const MOST_CLASSES: usize = 200_000;

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Only those of which more is to be said than their names: the others are known from the steps.
    #[serde(default)]
    pub datasets: Vec<Dataset>,
    /// At most 20000 together with the datasets, and 200000 inputs and outputs.
    pub steps: Vec<Step>,
    /// A dataset whose ancestors and descendants are asked for.
    pub of: Option<String>,
    /// Datasets, or steps, that have changed or are to change.
    #[serde(default)]
    pub changed: Vec<String>,
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    pub name: String,
    /// Such as `personal`: what is made from it is so too, unless a step removes that.
    #[serde(default)]
    pub classes: Vec<String>,
    /// When it was last written, as a number that grows with time.
    pub updated: Option<i64>,
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// No dataset's name.
    pub name: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    /// Classes that its outputs do not take over from its inputs, as when it makes people unknown.
    #[serde(default)]
    pub removes: Vec<String>,
}

#[derive(Serialize, Schema)]
pub struct Answer {
    /// Datasets that no step makes.
    pub sources: Vec<String>,
    /// Datasets that no step reads.
    pub sinks: Vec<String>,
    /// The steps, each after those whose outputs it reads; those in a cycle stand together.
    pub order: Vec<String>,
    /// Datasets and steps in turn, each leading to the next and the last to the first. One for each knot of cycles.
    pub cycles: Vec<Vec<String>>,
    /// Datasets that several steps make, so that what is in them depends on which ran last.
    pub contested: Vec<Contested>,
    /// Datasets with classes, their own or taken over.
    pub classes: Vec<Classified>,
    /// What was asked `of`.
    pub family: Option<Family>,
    /// What follows from what `changed`.
    pub impact: Vec<Touched>,
    /// Datasets older than something they are made from.
    pub outdated: Vec<Outdated>,
    /// The steps to do again for what `changed` or is `outdated`, in order.
    pub redo: Vec<String>,
}

#[derive(Serialize, Schema)]
pub struct Contested {
    pub dataset: String,
    pub steps: Vec<String>,
}

#[derive(Serialize, Schema)]
pub struct Classified {
    pub dataset: String,
    pub classes: Vec<String>,
    /// Those of them that no one declared: they come from what it is made from.
    pub inherited: Vec<String>,
}

#[derive(Serialize, Schema)]
pub struct Family {
    pub dataset: String,
    /// Datasets, nearest first.
    pub ancestors: Vec<String>,
    pub descendants: Vec<String>,
}

#[derive(Serialize, Schema)]
pub struct Touched {
    pub dataset: String,
    /// How many steps away the nearest change is.
    pub distance: usize,
    /// The step that makes it from what was reached before, and that: so the way back to the change can be followed.
    pub step: String,
    pub after: String,
}

#[derive(Serialize, Schema)]
pub struct Outdated {
    pub dataset: String,
    /// The newest of what it is made from.
    pub newer: String,
    pub step: String,
}

pub fn answer(request: Request) -> Result<Answer, Error> {
    let graph = request.graph()?;
    let node = |field: String, name: &str| {
        graph.find(name).ok_or_else(|| invalid(field, format!("is `{name}`, which is no dataset and no step here")))
    };
    let of = match &request.of {
        Some(name) => Some(node("of".to_owned(), name)?),
        None => None,
    };
    if of.is_some_and(|of| graph.is_step(of)) {
        return Err(invalid("of", "is a step; a dataset is asked for"));
    }
    let changed = request.changed.iter().enumerate();
    let changed = changed.map(|(at, name)| node(format!("changed[{at}]"), name)).collect::<Result<Vec<_>, _>>()?;
    let outdated = request.outdated(&graph);

    let (order, cycles) = graph.order();
    let forth = graph.reach(&changed, true);
    let late = outdated.iter().filter_map(|one| graph.find(&one.step));
    let redo: BTreeSet<usize> = graph
        .reach(&changed.iter().copied().chain(late).collect::<Vec<_>>(), true)
        .into_iter()
        .map(|(node, _)| node)
        .collect();
    let names =
        |nodes: &mut dyn Iterator<Item = usize>| nodes.map(|node| graph.names[node].clone()).collect::<Vec<_>>();
    let steps = || order.iter().copied().filter(|node| graph.is_step(*node));
    let sets = || (0..graph.names.len()).filter(|node| !graph.is_step(*node));
    Ok(Answer {
        sources: names(&mut sets().filter(|node| graph.back[*node].is_empty())),
        sinks: names(&mut sets().filter(|node| graph.forth[*node].is_empty())),
        order: names(&mut steps()),
        cycles: cycles.iter().map(|cycle| names(&mut cycle.iter().copied())).collect(),
        contested: contested(&graph),
        classes: request.classes(&graph, &order)?,
        family: of.map(|of| family(&graph, of)),
        impact: touched(&graph, &forth),
        redo: names(&mut steps().filter(|step| redo.contains(step))),
        outdated,
    })
}

impl Request {
    fn graph(&self) -> Result<Graph, Error> {
        at_most("datasets", self.datasets.len(), MOST_NODES)?;
        at_most("steps", self.steps.len(), MOST_NODES)?;
        let links = self.steps.iter().map(|step| step.inputs.len() + step.outputs.len()).sum();
        at_most("steps' inputs and outputs", links, MOST_LINKS)?;
        let mut graph = Graph::default();
        for (at, dataset) in self.datasets.iter().enumerate() {
            named(format!("datasets[{at}].name"), &dataset.name)?;
            if graph.find(&dataset.name).is_some() {
                return Err(invalid(format!("datasets[{at}].name"), format!("is `{}`, as another's", dataset.name)));
            }
            graph.node(&dataset.name, false);
        }
        for (at, step) in self.steps.iter().enumerate() {
            named(format!("steps[{at}].name"), &step.name)?;
            if graph.find(&step.name).is_some() {
                return Err(invalid(format!("steps[{at}].name"), format!("is `{}`, as another's", step.name)));
            }
            graph.node(&step.name, true);
        }
        for (at, step) in self.steps.iter().enumerate() {
            let this = graph.node(&step.name, true);
            for (list, names) in [("inputs", &step.inputs), ("outputs", &step.outputs)] {
                for (place, name) in names.iter().enumerate() {
                    let field = format!("steps[{at}].{list}[{place}]");
                    named(field.clone(), name)?;
                    let node = graph.node(name, false);
                    if graph.is_step(node) {
                        return Err(invalid(
                            field,
                            format!("is `{name}`, which is a step: a dataset stands between steps"),
                        ));
                    }
                    let (from, to) = if list == "inputs" { (node, this) } else { (this, node) };
                    graph.connect(from, to);
                }
            }
        }
        at_most("datasets and steps", graph.names.len(), MOST_NODES)?;
        graph.settle();
        Ok(graph)
    }

    /// Datasets that were written before something that a step makes them from.
    fn outdated(&self, graph: &Graph) -> Vec<Outdated> {
        let times: HashMap<&str, i64> =
            self.datasets.iter().filter_map(|one| Some((one.name.as_str(), one.updated?))).collect();
        let time = |node: &usize| times.get(graph.names[*node].as_str()).copied();
        let mut found = Vec::new();
        for dataset in &self.datasets {
            let (Some(written), Some(node)) = (dataset.updated, graph.find(&dataset.name)) else {
                continue;
            };
            let newest = |step: &usize| {
                let inputs = graph.back[*step].iter().filter(|input| **input != node);
                inputs
                    .filter_map(|input| Some((time(input)?, *input, *step)))
                    .max_by_key(|(time, input, _)| (*time, std::cmp::Reverse(*input)))
            };
            let newest = graph.back[node].iter().filter_map(newest).max_by_key(|(time, ..)| *time);
            if let Some((_, newer, step)) = newest.filter(|(time, ..)| *time > written) {
                let name = |node: usize| graph.names[node].clone();
                found.push(Outdated { dataset: dataset.name.clone(), newer: name(newer), step: name(step) });
            }
        }
        found
    }

    /// Classes, taken over from inputs by outputs, in order, until nothing is added.
    fn classes(&self, graph: &Graph, order: &[usize]) -> Result<Vec<Classified>, Error> {
        let mut own: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); graph.names.len()];
        for dataset in &self.datasets {
            if let Some(node) = graph.find(&dataset.name) {
                own[node].extend(dataset.classes.iter().map(String::as_str));
            }
        }
        let mut removes: HashMap<usize, BTreeSet<&str>> = HashMap::new();
        for step in &self.steps {
            let node = graph.find(&step.name).expect("every step is in the graph");
            removes.insert(node, step.removes.iter().map(String::as_str).collect());
        }
        let mut all = own.clone();
        let mut count: usize = all.iter().map(BTreeSet::len).sum();
        let mut changed = true;
        // Once in order is enough where there are no cycles.
        while std::mem::take(&mut changed) {
            for node in order {
                at_most("classes, those taken over included,", count, MOST_CLASSES)?;
                let removed = removes.get(node);
                let stays = |class: &&str| removed.is_none_or(|set| !set.contains(class));
                let passed: Vec<&str> = all[*node].iter().copied().filter(stays).collect();
                for next in &graph.forth[*node] {
                    let before = all[*next].len();
                    all[*next].extend(&passed);
                    count += all[*next].len() - before;
                    changed |= all[*next].len() > before;
                }
            }
        }
        let classified = (0..all.len()).filter(|node| !graph.is_step(*node) && !all[*node].is_empty());
        let texts = |set: &mut dyn Iterator<Item = &&str>| set.map(|class| (*class).to_owned()).collect();
        Ok(classified
            .map(|node| Classified {
                dataset: graph.names[node].clone(),
                classes: texts(&mut all[node].iter()),
                inherited: texts(&mut all[node].difference(&own[node])),
            })
            .collect())
    }
}

fn named(field: String, name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(invalid(field, "is empty"));
    }
    Ok(())
}

fn contested(graph: &Graph) -> Vec<Contested> {
    let many = (0..graph.names.len()).filter(|node| !graph.is_step(*node) && graph.back[*node].len() > 1);
    let steps = |node: usize| graph.back[node].iter().map(|step| graph.names[*step].clone()).collect();
    many.map(|node| Contested { dataset: graph.names[node].clone(), steps: steps(node) }).collect()
}

fn family(graph: &Graph, of: usize) -> Family {
    let reached = |forth| {
        let all = graph.reach(&[of], forth).into_iter().map(|(node, _)| node);
        all.filter(|node| *node != of && !graph.is_step(*node)).map(|node| graph.names[node].clone()).collect()
    };
    Family { dataset: graph.names[of].clone(), ancestors: reached(false), descendants: reached(true) }
}

/// The datasets among what was reached, nearest first, each with how it was.
fn touched(graph: &Graph, forth: &[(usize, Option<usize>)]) -> Vec<Touched> {
    // How far each node is, and what stands before it.
    let mut known: HashMap<usize, (usize, Option<usize>)> = HashMap::with_capacity(forth.len());
    let mut all = Vec::new();
    for (node, before) in forth {
        let distance = before.map_or(0, |before| known[&before].0) + usize::from(graph.is_step(*node));
        known.insert(*node, (distance, *before));
        let Some(step) = before.filter(|_| !graph.is_step(*node)) else {
            continue;
        };
        let name = |node: usize| graph.names[node].clone();
        // A step that is changed itself stands after nothing.
        let after = known[&step].1.map(name).unwrap_or_default();
        all.push(Touched { dataset: name(*node), distance, step: name(step), after });
    }
    all
}

#[cfg(test)]
mod tests;

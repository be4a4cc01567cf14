//! What may be written, byte by byte: an automaton with a stack, of which several ways to go on are followed at once.

use super::letters::{Inside, Push};
use super::number::{Digits, Range};

/// A part of a grammar.
pub(super) type Id = u32;

/// What can't be reached.
pub(super) const NEVER: u64 = u64::MAX / 4;

/// Parts of parts that are open at once: what is nested deeper no reader takes.
const DEEPEST: usize = 160;

/// A part of what is written.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// These bytes.
    Text(Box<[u8]>),
    /// One after the other.
    Row(Vec<Id>),
    /// One of them; of none, nothing ever.
    Choice(Vec<Id>),
    /// The first ones as they come, then others, with something between.
    Items { first: Vec<Id>, rest: Option<Id>, least: u64, most: u64, between: Id },
    /// Members of an object in this order, with something between.
    Members { members: Vec<Member>, between: Id },
    /// The inside of a string with so many letters, and the quote that ends it.
    Letters { least: u64, most: u64 },
    /// A number.
    Number(Range),
    /// Anything in which this is not.
    Free(Box<[u8]>),
}

/// A member of an object.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// Its name, up to where the value begins.
    pub(super) name: Id,
    pub(super) value: Id,
    pub(super) required: bool,
}

/// How far a part is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    node: Id,
    /// Bytes, parts, items, members or letters that are behind.
    at: u64,
    more: More,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    None,
    /// A member has been written.
    Begun,
    Inside(Inside),
    Digits(Digits),
}

/// One way in which what is written may be meant: the parts that are open, the innermost last. Empty when it is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way(Vec<Frame>);

/// A grammar whose shortest texts are known, in tokens.
#[derive(Debug)]
pub(super) struct Grammar {
    nodes: Vec<Node>,
    root: Id,
    /// How many tokens each part takes at least, and how many parts are open at most for that.
    least: Vec<(u64, usize)>,
    /// What is missing of each text, from each of its bytes on.
    texts: Vec<Vec<u64>>,
}

impl Grammar {
    /// Of these parts. `tokens` says how many it takes to write a text, from each of its bytes on.
    pub(super) fn new(nodes: Vec<Node>, root: Id, tokens: impl Fn(&[u8]) -> Vec<u64>) -> Grammar {
        let texts = nodes.iter().map(|node| match node {
            Node::Text(text) => tokens(text),
            _ => Vec::new(),
        });
        let mut grammar = Grammar { texts: texts.collect(), least: vec![(NEVER, 0); nodes.len()], nodes, root };
        let mut changed = true;
        while changed {
            changed = false;
            // Parts of others come after them as often as before.
            for node in (0..grammar.nodes.len()).chain((0..grammar.nodes.len()).rev()) {
                let least = grammar.weigh(node as Id);
                if least < grammar.least[node] {
                    (grammar.least[node], changed) = (least, true);
                }
            }
        }
        grammar
    }

    /// What a part takes at least, as far as is known of its own parts.
    fn weigh(&self, node: Id) -> (u64, usize) {
        let cost = self.missing(&self.begin(node));
        let of = |ids: &mut dyn Iterator<Item = Id>| ids.map(|id| self.least[id as usize].1).max().unwrap_or(0);
        // Parts that wait for others take places too.
        let deep = match &self.nodes[node as usize] {
            Node::Row(parts) => of(&mut parts.iter().copied()),
            Node::Choice(parts) => {
                let best = parts.iter().map(|id| self.least[*id as usize]).min();
                return best.map_or((NEVER, 0), |(cost, deep)| (cost, deep + 1));
            }
            Node::Items { first, rest, least, between, .. } => {
                let count = usize::try_from(*least).unwrap_or(usize::MAX);
                1 + of(&mut first.iter().take(count).chain(rest).chain([between]).copied().filter(|_| count > 0))
            }
            Node::Members { members, between } => {
                let required = members.iter().filter(|member| member.required);
                2 + of(&mut required.flat_map(|member| [member.name, member.value]).chain([*between]))
            }
            _ => 0,
        };
        (cost.min(NEVER), if cost >= NEVER { 0 } else { deep + 1 })
    }

    /// How many tokens the shortest text takes; none if there is none.
    pub(super) fn least(&self) -> Option<u64> {
        let (cost, deep) = self.least[self.root as usize];
        (cost < NEVER && deep < DEEPEST).then_some(cost)
    }

    /// The ways before anything is written.
    pub(super) fn start(&self) -> Vec<Way> {
        let mut ways = Vec::new();
        self.open(Way(Vec::new()), self.root, &mut ways);
        ways
    }

    fn begin(&self, node: Id) -> Frame {
        let more = match self.nodes[node as usize] {
            Node::Letters { .. } => More::Inside(Inside::Text),
            Node::Number(_) => More::Digits(Digits::default()),
            _ => More::None,
        };
        Frame { node, at: 0, more }
    }

    /// What a way still takes at least, in tokens.
    pub(super) fn missing_of(&self, way: &Way) -> u64 {
        way.0.iter().map(|frame| self.missing(frame)).fold(0, u64::saturating_add)
    }

    fn missing(&self, frame: &Frame) -> u64 {
        let cost = |id: &Id| self.least[*id as usize].0;
        let sum = |ids: &mut dyn Iterator<Item = &Id>| ids.map(cost).fold(0, u64::saturating_add);
        let at = usize::try_from(frame.at).unwrap_or(usize::MAX);
        match &self.nodes[frame.node as usize] {
            Node::Text(text) if at >= text.len() => 0,
            Node::Text(_) => self.texts[frame.node as usize][at],
            Node::Row(parts) => sum(&mut parts.iter().skip(at)),
            Node::Choice(parts) => parts.iter().map(cost).min().unwrap_or(NEVER),
            Node::Items { first, rest, least, between, .. } => {
                let left = least.saturating_sub(frame.at);
                let known = first.len().saturating_sub(at).min(usize::try_from(left).unwrap_or(usize::MAX));
                let others = left - known as u64;
                let each = rest.as_ref().map_or(NEVER, cost);
                let betweens = left.saturating_sub(u64::from(frame.at == 0)).saturating_mul(cost(between));
                let others = if others == 0 { 0 } else { each.saturating_mul(others) };
                sum(&mut first.iter().skip(at).take(known)).saturating_add(others).saturating_add(betweens)
            }
            Node::Members { members, between } => {
                let required: Vec<&Member> = members.iter().skip(at).filter(|member| member.required).collect();
                let each = required.iter().map(|member| cost(&member.name).saturating_add(cost(&member.value)));
                let betweens = required.len().saturating_sub(usize::from(frame.more == More::None)) as u64;
                each.fold(betweens.saturating_mul(cost(between)), u64::saturating_add)
            }
            Node::Letters { least, .. } => {
                let More::Inside(inside) = frame.more else { return NEVER };
                inside.missing() + least.saturating_sub(frame.at) + 1
            }
            Node::Number(range) => {
                let More::Digits(digits) = &frame.more else { return NEVER };
                range.missing(digits).unwrap_or(NEVER)
            }
            Node::Free(_) => 0,
        }
    }

    /// Opens a part, and follows all ways to its first byte.
    fn open(&self, mut way: Way, node: Id, ways: &mut Vec<Way>) {
        let (cost, deep) = self.least[node as usize];
        if cost >= NEVER || way.0.len() + deep > DEEPEST {
            return;
        }
        way.0.push(self.begin(node));
        self.settle(way, ways);
    }

    /// Follows a way until it waits for a byte, or is whole.
    fn settle(&self, mut way: Way, ways: &mut Vec<Way>) {
        let Some(frame) = way.0.last_mut() else { return add(ways, way) };
        let at = usize::try_from(frame.at).unwrap_or(usize::MAX);
        match &self.nodes[frame.node as usize] {
            Node::Text(text) if at < text.len() => add(ways, way),
            Node::Text(_) => {
                way.0.pop();
                self.settle(way, ways);
            }
            Node::Row(parts) => match parts.get(at) {
                Some(part) => {
                    frame.at += 1;
                    if at + 1 == parts.len() {
                        way.0.pop();
                    }
                    self.open(way, *part, ways);
                }
                None => {
                    way.0.pop();
                    self.settle(way, ways);
                }
            },
            Node::Choice(parts) => {
                way.0.pop();
                for part in parts {
                    self.open(way.clone(), *part, ways);
                }
            }
            Node::Items { first, rest, least, most, between } => {
                let count = frame.at;
                frame.at += 1;
                let next = first.get(at).or(rest.as_ref()).filter(|_| count < *most);
                if count >= *least {
                    let mut done = way.clone();
                    done.0.pop();
                    self.settle(done, ways);
                }
                if let Some(next) = next {
                    self.after(way, (count > 0).then_some(*between), &[*next], ways);
                }
            }
            Node::Members { members, between } => {
                let begun = frame.more == More::Begun;
                frame.more = More::Begun;
                for (place, member) in members.iter().enumerate().skip(at) {
                    let mut chosen = way.clone();
                    if let Some(frame) = chosen.0.last_mut() {
                        frame.at = place as u64 + 1;
                    }
                    self.after(chosen, begun.then_some(*between), &[member.name, member.value], ways);
                    if member.required {
                        return;
                    }
                }
                way.0.pop();
                self.settle(way, ways);
            }
            Node::Letters { .. } => add(ways, way),
            Node::Number(range) => {
                if let More::Digits(digits) = &frame.more
                    && range.missing(digits) == Some(0)
                {
                    let mut done = way.clone();
                    done.0.pop();
                    self.settle(done, ways);
                }
                add(ways, way);
            }
            Node::Free(_) => {
                let mut done = way.clone();
                done.0.pop();
                self.settle(done, ways);
                add(ways, way);
            }
        }
    }

    /// Opens parts that come one after the other, the last of which is opened first.
    fn after(&self, mut way: Way, between: Option<Id>, parts: &[Id], ways: &mut Vec<Way>) {
        let mut all: Vec<Id> = between.into_iter().chain(parts.iter().copied()).collect();
        let first = all.remove(0);
        let deep = all
            .iter()
            .map(|id| self.least[*id as usize])
            .try_fold(0, |deep, (cost, more)| (cost < NEVER).then_some(usize::max(deep, more)));
        // A part that waits takes a place as an open one does.
        if deep.is_none_or(|deep| way.0.len() + all.len() + deep > DEEPEST) {
            return;
        }
        way.0.extend(all.iter().rev().map(|id| self.begin(*id)));
        self.open(way, first, ways);
    }

    /// All ways to go on from a way by a byte.
    pub(super) fn push(&self, way: &Way, byte: u8, ways: &mut Vec<Way>) {
        let Some(frame) = way.0.last() else { return };
        let mut next = *frame;
        let mut ends = false;
        match (&self.nodes[frame.node as usize], &frame.more) {
            (Node::Text(text), _) if text[frame.at as usize] == byte => next.at += 1,
            (Node::Letters { most, .. }, More::Inside(inside)) => match inside.push(byte) {
                Some(Push::End) => ends = true,
                Some(Push::On(inside, begins)) => {
                    next.at += u64::from(begins);
                    next.more = More::Inside(inside);
                    if next.at > *most {
                        return;
                    }
                }
                None => return,
            },
            (Node::Number(range), More::Digits(digits)) => match range.push(digits, byte) {
                Some(digits) => next.more = More::Digits(digits),
                None => return,
            },
            (Node::Free(not), _) => {
                next.at = begun(not, next.at as usize, byte) as u64;
                if next.at as usize == not.len() {
                    return;
                }
            }
            _ => return,
        }
        if let (Node::Letters { least, .. }, true) = (&self.nodes[frame.node as usize], ends)
            && frame.at < *least
        {
            return;
        }
        let mut way = way.clone();
        way.0.pop();
        if !ends {
            way.0.push(next);
        }
        self.settle(way, ways);
    }

    /// Whether a way is within what may be anything.
    pub(super) fn is_free(&self, way: &Way) -> bool {
        way.0.last().is_some_and(|frame| matches!(self.nodes[frame.node as usize], Node::Free(_)))
    }

    /// For a way within a string, between letters: how many more it may and must have, and what is missing otherwise.
    pub(super) fn letters(&self, way: &Way) -> Option<Room> {
        let (last, before) = way.0.split_last()?;
        let Node::Letters { least, most } = &self.nodes[last.node as usize] else { return None };
        let between = last.more == More::Inside(Inside::Text);
        let rest = before.iter().map(|frame| self.missing(frame)).fold(1, u64::saturating_add);
        between.then(|| Room { least: least.saturating_sub(last.at), most: most - last.at, rest })
    }
}

/// What fits into a string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) least: u64,
    pub(super) most: u64,
    /// Tokens that are missing from its end on.
    pub(super) rest: u64,
}

impl Way {
    /// Whether nothing is missing.
    pub(super) fn whole(&self) -> bool {
        self.0.is_empty()
    }
}

fn add(ways: &mut Vec<Way>, way: Way) {
    if !ways.contains(&way) {
        ways.push(way);
    }
}

/// How much of the begin of `not` stands at the end of a text of which so much did before this byte.
fn begun(not: &[u8], before: usize, byte: u8) -> usize {
    let text = [&not[..before], &[byte]].concat();
    (0..=text.len().min(not.len())).rev().find(|size| text.ends_with(&not[..*size])).unwrap_or(0)
}

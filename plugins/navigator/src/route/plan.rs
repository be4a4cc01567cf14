//! Plans: made by savings (Clarke and Wright), improved by turning parts of a route round (2-opt) and by moving stops.
//!
//! Place 0 is the depot. A route lists its stops only.

/// Distances from each place to each.
pub(super) struct Map {
    size: usize,
    far: Vec<f64>,
    /// Whether direction never matters.
    symmetric: bool,
}

impl Map {
    pub(super) fn new(size: usize, far: impl Fn(usize, usize) -> f64) -> Self {
        let all: Vec<f64> = (0..size * size).map(|at| far(at / size, at % size)).collect();
        let symmetric = (0..size).all(|from| (0..from).all(|to| all[from * size + to] == all[to * size + from]));
        Self { size, far: all, symmetric }
    }

    /// How many places there are, the depot among them.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn farthest(&self) -> f64 {
        self.far.iter().copied().fold(0.0, f64::max)
    }

    pub(super) fn far(&self, from: usize, to: usize) -> f64 {
        self.far[from * self.size + to]
    }

    /// From the depot past the stops and back.
    pub(super) fn length(&self, stops: &[usize]) -> f64 {
        let mut here = 0;
        let mut sum = 0.0;
        for &next in stops.iter().chain([&0]) {
            sum += self.far(here, next);
            here = next;
        }
        sum
    }
}

/// How long to look for something better.
pub(super) struct Effort<'a> {
    go_on: &'a mut dyn FnMut() -> bool,
    moves: u32,
}

impl<'a> Effort<'a> {
    /// Moves looked at before it is asked again whether to go on: asking costs as much as a few hundred.
    const ROUND: u32 = 10_000;

    pub(super) fn new(go_on: &'a mut dyn FnMut() -> bool) -> Self {
        Self { go_on, moves: 0 }
    }

    /// Counts a move; none if there is no time for it.
    fn spend(&mut self) -> Option<()> {
        if self.moves == 0 {
            if !(self.go_on)() {
                return None;
            }
            self.moves = Self::ROUND;
        }
        self.moves -= 1;
        Some(())
    }
}

/// Which stops each vehicle visits, in order. No route is empty or over the capacity.
pub(super) struct Plan<'a> {
    pub(super) map: &'a Map,
    pub(super) routes: Vec<Vec<usize>>,
    demands: &'a [u64],
    capacity: u64,
}

/// A gain below this may be the rounding of sums, and taking it could go on for ever.
const LEAST_GAIN: f64 = 1e-9;

impl<'a> Plan<'a> {
    /// A vehicle for each stop, then routes joined end to end, those first that save most.
    pub(super) fn by_savings(map: &'a Map, demands: &'a [u64], capacity: u64) -> Self {
        let mut savings = Vec::new();
        for from in 1..map.size {
            for to in 1..map.size {
                let saved = map.far(from, 0) + map.far(0, to) - map.far(from, to);
                // Where direction does not matter, each pair stands for both.
                if saved > 0.0 && from != to && !(map.symmetric && from > to) {
                    savings.push((saved, from as u32, to as u32));
                }
            }
        }
        savings.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));

        let mut routes: Vec<Vec<usize>> = (0..map.size).map(|stop| vec![stop]).collect();
        routes[0].clear();
        let mut route_of: Vec<usize> = (0..map.size).collect();
        let mut loads = demands.to_vec();
        for (_, from, to) in savings {
            let (from, to) = (from as usize, to as usize);
            let (left, right) = (route_of[from], route_of[to]);
            if left == right || loads[left] + loads[right] > capacity {
                continue;
            }
            if map.symmetric {
                turn_to_end(&mut routes[left], from);
                turn_to_start(&mut routes[right], to);
            }
            if routes[left].last() != Some(&from) || routes[right].first() != Some(&to) {
                continue;
            }
            let joined = std::mem::take(&mut routes[right]);
            for stop in &joined {
                route_of[*stop] = left;
            }
            routes[left].extend(joined);
            loads[left] += loads[right];
        }
        routes.retain(|route| !route.is_empty());
        Self { map, routes, demands, capacity }
    }

    /// Few vehicles, however far they go: the largest stops first, each where it leaves least room.
    pub(super) fn packed(map: &'a Map, demands: &'a [u64], capacity: u64) -> Self {
        let mut stops: Vec<usize> = (1..map.size).collect();
        stops.sort_by_key(|stop| std::cmp::Reverse(demands[*stop]));
        let mut routes: Vec<(u64, Vec<usize>)> = Vec::new();
        for stop in stops {
            let fitting = routes.iter_mut().filter(|(room, _)| *room >= demands[stop]);
            match fitting.min_by_key(|(room, _)| *room) {
                Some((room, route)) => {
                    *room -= demands[stop];
                    route.push(stop);
                }
                None => routes.push((capacity - demands[stop], vec![stop])),
            }
        }
        let routes = routes.into_iter().map(|(_, route)| route).collect();
        Self { map, routes, demands, capacity }
    }

    pub(super) fn load(&self, stops: &[usize]) -> u64 {
        stops.iter().map(|stop| self.demands[*stop]).sum()
    }

    #[cfg(test)]
    pub(super) fn length(&self) -> f64 {
        self.routes.iter().map(|route| self.map.length(route)).sum()
    }

    /// Makes moves until none is a gain, and answers true, or until there is no more time.
    pub(super) fn improve(&mut self, effort: &mut Effort<'_>) -> bool {
        loop {
            let Some(turned) = self.turn_parts(effort) else {
                return false;
            };
            let Some(moved) = self.move_stops(effort) else {
                return false;
            };
            if !turned && !moved {
                return true;
            }
        }
    }

    /// 2-opt in each route; answers whether anything was gained.
    fn turn_parts(&mut self, effort: &mut Effort<'_>) -> Option<bool> {
        let mut gained = false;
        for route in &mut self.routes {
            while let Some((first, last)) = worth_turning(self.map, route, effort)? {
                route[first..=last].reverse();
                gained = true;
            }
        }
        Some(gained)
    }

    /// Moves single stops to where they cost least, in their own route or in another with room.
    fn move_stops(&mut self, effort: &mut Effort<'_>) -> Option<bool> {
        let mut loads: Vec<u64> = self.routes.iter().map(|route| self.load(route)).collect();
        let mut gained = false;
        for stop in 1..self.map.size {
            let (from, at) = self.locate(stop);
            let Some((to, place)) = self.better_place(from, at, &loads, effort)? else {
                continue;
            };
            self.routes[from].remove(at);
            // In its own route the places behind it have moved up.
            let place = if to == from && place > at { place - 1 } else { place };
            self.routes[to].insert(place, stop);
            loads[from] -= self.demands[stop];
            loads[to] += self.demands[stop];
            gained = true;
        }
        self.routes.retain(|route| !route.is_empty());
        Some(gained)
    }

    fn locate(&self, stop: usize) -> (usize, usize) {
        let found = self
            .routes
            .iter()
            .enumerate()
            .find_map(|(route, stops)| Some((route, stops.iter().position(|other| *other == stop)?)));
        found.expect("every stop is in a route")
    }

    /// The route, and the place in it, where the stop is best put; none if it stands best where it is.
    fn better_place(
        &self,
        from: usize,
        at: usize,
        loads: &[u64],
        effort: &mut Effort<'_>,
    ) -> Option<Option<(usize, usize)>> {
        let stop = self.routes[from][at];
        let (before, after) = around(&self.routes[from], at, at + 1);
        let far = |a, b| self.map.far(a, b);
        let gain = far(before, stop) + far(stop, after) - far(before, after);
        let mut best = (LEAST_GAIN, None);
        for (to, route) in self.routes.iter().enumerate() {
            let own = to == from;
            if !own && loads[to] + self.demands[stop] > self.capacity {
                continue;
            }
            for place in 0..=route.len() {
                if own && (place == at || place == at + 1) {
                    continue;
                }
                effort.spend()?;
                let (left, right) = around(route, place, place);
                let net = gain - (far(left, stop) + far(stop, right) - far(left, right));
                if net > best.0 {
                    best = (net, Some((to, place)));
                }
            }
        }
        Some(best.1)
    }
}

/// The first part of a route, as first and last position, that is a gain to turn round.
fn worth_turning(map: &Map, route: &[usize], effort: &mut Effort<'_>) -> Option<Option<(usize, usize)>> {
    for first in 0..route.len() {
        // What the part costs as it is, and turned round, as it grows.
        let (mut forth, mut back) = (0.0, 0.0);
        for last in first + 1..route.len() {
            effort.spend()?;
            forth += map.far(route[last - 1], route[last]);
            back += map.far(route[last], route[last - 1]);
            let (before, after) = around(route, first, last + 1);
            let now = map.far(before, route[first]) + forth + map.far(route[last], after);
            let then = map.far(before, route[last]) + back + map.far(route[first], after);
            if now - then > LEAST_GAIN * now.max(1.0) {
                return Some(Some((first, last)));
            }
        }
    }
    Some(None)
}

/// What stands before position `start` and at position `end` of a route: the depot at its ends.
fn around(route: &[usize], start: usize, end: usize) -> (usize, usize) {
    let before = start.checked_sub(1).map_or(0, |at| route[at]);
    (before, route.get(end).copied().unwrap_or(0))
}

fn turn_to_end(route: &mut [usize], stop: usize) {
    if route.first() == Some(&stop) {
        route.reverse();
    }
}

fn turn_to_start(route: &mut [usize], stop: usize) {
    if route.last() == Some(&stop) {
        route.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    /// The shortest plan there is: the best tour of every set of stops that fits, then the best way to part all stops into such.
    fn optimum(map: &Map, demands: &[u64], capacity: u64) -> f64 {
        let stops = map.size - 1;
        let sets = 1usize << stops;
        // ends[set][stop]: shortest from the depot past the set, ending at the stop.
        let mut ends = vec![vec![f64::INFINITY; stops]; sets];
        let mut tour = vec![f64::INFINITY; sets];
        for set in 1..sets {
            let load: u64 = (0..stops).filter(|at| set >> at & 1 == 1).map(|at| demands[at + 1]).sum();
            for last in (0..stops).filter(|at| set >> at & 1 == 1) {
                let rest = set & !(1 << last);
                ends[set][last] = if rest == 0 {
                    map.far(0, last + 1)
                } else {
                    (0..stops).map(|at| ends[rest][at] + map.far(at + 1, last + 1)).fold(f64::INFINITY, f64::min)
                };
                if load <= capacity {
                    tour[set] = tour[set].min(ends[set][last] + map.far(last + 1, 0));
                }
            }
        }
        let mut best = vec![f64::INFINITY; sets];
        best[0] = 0.0;
        for set in 1..sets {
            let mut part = set;
            while part > 0 {
                best[set] = best[set].min(tour[part] + best[set & !part]);
                part = (part - 1) & set;
            }
        }
        best[sets - 1]
    }

    /// The mean and the worst ratio of our length to the shortest, over random plans.
    fn ratios(rounds: u64, map: impl Fn(&mut Chance, usize) -> Map) -> (f64, f64) {
        let (mut sum, mut worst) = (0.0, 1.0f64);
        for seed in 1..=rounds {
            let mut chance = Chance::new(seed * 977);
            let stops = 2 + chance.below(7) as usize;
            let map = map(&mut chance, stops + 1);
            let demands: Vec<u64> = (0..=stops).map(|at| if at == 0 { 0 } else { 1 + chance.below(9) }).collect();
            let capacity = 9 + chance.below(20);
            let mut plan = Plan::by_savings(&map, &demands, capacity);
            let before = plan.length();
            assert!(plan.improve(&mut Effort::new(&mut || true)));
            assert!(plan.length() <= before + 1e-9, "seed {seed}: improving made it longer");
            assert!(plan.routes.iter().all(|route| plan.load(route) <= capacity), "seed {seed}");
            let ratio = plan.length() / optimum(&map, &demands, capacity);
            assert!(ratio > 1.0 - 1e-9, "seed {seed}: shorter than the shortest");
            sum += ratio;
            worst = worst.max(ratio);
        }
        (sum / rounds as f64, worst)
    }

    #[test]
    fn small_plans_in_the_plane_are_near_the_shortest() {
        let (mean, worst) = ratios(300, |chance, size| {
            let places: Vec<_> = (0..size).map(|_| (chance.below(100) as f64, chance.below(100) as f64)).collect();
            Map::new(size, |a, b| (places[a].0 - places[b].0).hypot(places[a].1 - places[b].1))
        });
        assert!(mean < 1.02 && worst < 1.35, "mean {mean}, worst {worst}");
    }

    #[test]
    fn small_plans_on_one_way_streets_are_near_the_shortest() {
        let (mean, worst) = ratios(300, |chance, size| {
            let far: Vec<_> = (0..size * size).map(|_| 10.0 + chance.below(90) as f64).collect();
            Map::new(size, |a, b| if a == b { 0.0 } else { far[a * size + b] })
        });
        assert!(mean < 1.15 && worst < 2.0, "mean {mean}, worst {worst}");
    }

    #[test]
    fn a_crossing_is_undone() {
        let places = [(0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0)];
        let map = Map::new(4, |a, b| f64::hypot(places[a].0 - places[b].0, places[a].1 - places[b].1));
        let mut plan = Plan { map: &map, routes: vec![vec![2, 1, 3]], demands: &[0, 1, 1, 1], capacity: 3 };

        assert!(plan.improve(&mut Effort::new(&mut || true)));

        assert_eq!(plan.length(), 40.0);
    }

    #[test]
    fn packing_takes_as_few_vehicles_as_the_demands_allow() {
        let map = Map::new(7, |a, b| if a == b { 0.0 } else { 1.0 });
        let demands = [0, 6, 5, 5, 4, 3, 7];
        let plan = Plan::packed(&map, &demands, 10);

        assert_eq!(plan.routes.len(), 3);
        assert!(plan.routes.iter().all(|route| plan.load(route) == 10));
    }
}

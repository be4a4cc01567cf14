//! A longer search for better routes: strings of stops that lie near each other are taken out and put back where they cost
//! least, and a worse plan is kept for a while, less and less often (Christiaens and Vanden Berghe's slack induction).
//!
//! It knows time windows and a longest route, which plans by savings do not.

use super::plan::Map;
use super::tour::{Problem, Tour};
use crate::chance::Chance;

/// Stops taken out at a time, on average, and most of one route.
const REMOVED: f64 = 10.0;
const LONGEST_STRING: usize = 10;
/// One place in so many is passed over when a stop is put back, so that not always the same is tried.
const BLINK: u64 = 100;
/// Rounds between two questions for time, each of some hundred to some thousand places looked at.
const ROUND: u32 = 50;

pub(super) struct Search<'a> {
    problem: &'a Problem<'a>,
    /// For each stop the others, nearest first, itself at the front.
    near: Vec<Vec<u32>>,
    chance: Chance,
    /// More routes than this cost as if they were very long.
    vehicles: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(problem: &'a Problem<'a>, vehicles: usize) -> Self {
        let size = problem.map.size();
        // Farther ones are never reached from a stop.
        let kept = 80.min(size);
        let near = (0..size).map(|stop| nearest(problem.map, stop, kept)).collect();
        Self { problem, near, chance: Chance::new(20_260_301), vehicles }
    }

    /// A first plan: every stop where it costs least.
    pub(super) fn begin(&mut self) -> Vec<Tour> {
        let mut tours = Vec::new();
        self.put_back(&mut tours, (1..self.problem.map.size()).collect());
        tours
    }

    /// Answers the best plan found, and whether there was time for all rounds.
    pub(super) fn run(&mut self, begin: Vec<Tour>, rounds: u32, go_on: &mut dyn FnMut() -> bool) -> (Vec<Tour>, bool) {
        let stops = self.problem.map.size() - 1;
        if stops < 2 {
            return (begin, true);
        }
        let step = length(&begin) / (stops + begin.len()) as f64;
        let (hot, cold) = (step, step / 100.0);
        let mut here = (self.cost(&begin), begin);
        let mut best = here.clone();
        for round in 0..rounds {
            if round % ROUND == 0 && !go_on() {
                return (best.1, false);
            }
            let warmth = hot * (cold / hot).powf(f64::from(round) / f64::from(rounds));
            let mut next = here.1.clone();
            let removed = self.take_out(&mut next);
            self.put_back(&mut next, removed);
            let cost = self.cost(&next);
            // The logarithm of a share of 0 is not taken.
            if cost < here.0 - warmth * (self.chance.share() + 1e-12).ln() {
                here = (cost, next);
                if here.0 < best.0 {
                    best = here.clone();
                }
            }
        }
        (best.1, true)
    }

    fn cost(&self, tours: &[Tour]) -> f64 {
        let over = tours.len().saturating_sub(self.vehicles) as f64;
        // More than any plan is long: fewer routes go before shorter ones.
        let far = 1.0 + self.problem.map.farthest() * self.problem.map.size() as f64;
        length(tours) + over * far
    }

    /// Takes strings of stops out of routes that pass near each other, or a whole route where there are too many.
    fn take_out(&mut self, tours: &mut Vec<Tour>) -> Vec<usize> {
        let mut removed = Vec::new();
        if tours.len() > self.vehicles && self.chance.below(5) == 0 {
            let short = (0..tours.len()).min_by_key(|at| tours[*at].stops.len()).expect("there is a route");
            removed.extend(tours.swap_remove(short).stops);
        }
        let left: usize = tours.iter().map(|tour| tour.stops.len()).sum();
        if left == 0 {
            return removed;
        }
        let mean = left / tours.len();
        let longest = LONGEST_STRING.min(mean.max(1));
        let most = 4.0 * REMOVED / (1.0 + longest as f64) - 1.0;
        let strings = (1.0 + self.chance.share() * most.max(0.0)) as usize;
        let seed = 1 + self.chance.below(self.problem.map.size() as u64 - 1) as usize;
        let mut ruined: Vec<usize> = Vec::new();
        let mut tour_of = vec![usize::MAX; self.problem.map.size()];
        for (at, tour) in tours.iter().enumerate() {
            tour.stops.iter().for_each(|stop| tour_of[*stop] = at);
        }
        for at in 0..self.near[seed].len() {
            let stop = self.near[seed][at] as usize;
            let tour = tour_of[stop];
            if ruined.len() == strings {
                break;
            }
            if tour == usize::MAX || ruined.contains(&tour) {
                continue;
            }
            ruined.push(tour);
            let stops = &mut tours[tour].stops;
            let long = 1 + self.chance.below(longest.min(stops.len()) as u64) as usize;
            let place = stops.iter().position(|other| *other == stop).expect("it is in its route");
            // Anywhere around the stop.
            let (first, last) = ((place + 1).saturating_sub(long), place.min(stops.len() - long));
            let start = first + self.chance.below((last - first + 1) as u64) as usize;
            removed.extend(stops.drain(start..start + long));
        }
        for tour in ruined {
            tours[tour].measure(self.problem);
        }
        tours.retain(|tour| !tour.stops.is_empty());
        removed
    }

    /// Puts each stop where it costs least, or into a route of its own where it fits nowhere.
    fn put_back(&mut self, tours: &mut Vec<Tour>, mut removed: Vec<usize>) {
        self.sort(&mut removed);
        for stop in removed {
            let mut best: Option<(f64, usize, usize)> = None;
            for (at, tour) in tours.iter().enumerate() {
                if tour.load + self.problem.demands[stop] > self.problem.capacity {
                    continue;
                }
                for place in 0..=tour.stops.len() {
                    let Some(more) = tour.costs(self.problem, stop, place) else {
                        continue;
                    };
                    if best.is_none_or(|(least, ..)| more < least) && self.chance.below(BLINK) > 0 {
                        best = Some((more, at, place));
                    }
                }
            }
            match best {
                Some((_, at, place)) => {
                    tours[at].stops.insert(place, stop);
                    tours[at].measure(self.problem);
                }
                None => tours.push(Tour::of(self.problem, vec![stop])),
            }
        }
    }

    /// Which goes first: any, the largest, the farthest, the nearest, or the one with least time.
    fn sort(&mut self, removed: &mut [usize]) {
        for at in (1..removed.len()).rev() {
            removed.swap(at, self.chance.below(at as u64 + 1) as usize);
        }
        let problem = self.problem;
        let far = |stop: &usize| problem.map.far(0, *stop);
        match self.chance.below(13) {
            0..4 => {}
            4..8 => removed.sort_by_key(|stop| std::cmp::Reverse(problem.demands[*stop])),
            8..10 => removed.sort_by(|a, b| far(b).total_cmp(&far(a))),
            10 => removed.sort_by(|a, b| far(a).total_cmp(&far(b))),
            11 => removed.sort_by(|a, b| problem.slack(*a).total_cmp(&problem.slack(*b))),
            _ => removed.sort_by(|a, b| problem.close(*a).total_cmp(&problem.close(*b))),
        }
    }
}

pub(super) fn length(tours: &[Tour]) -> f64 {
    tours.iter().map(|tour| tour.length).sum()
}

fn nearest(map: &Map, stop: usize, kept: usize) -> Vec<u32> {
    let mut others: Vec<u32> = (1..map.size() as u32).collect();
    others.sort_by(|a, b| map.far(stop, *a as usize).total_cmp(&map.far(stop, *b as usize)));
    // At a distance of 0 another may come first, which does no harm.
    others.truncate(kept);
    others
}

//! How much to order and when: the economic order quantity with discounts or planned backorders, and a reorder point or a
//! level to order up to, with safety stock for the service that is asked for.

use serde::{Deserialize, Serialize};
use village::Schema;

use crate::normal::{excess, quantile};
use crate::{Error, invalid, within};

const MOST_DISCOUNTS: usize = 100;

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Units a year.
    #[schema(exclusive_minimum = 0, maximum = 1e12)]
    annual_demand: f64,
    /// Of one order, whatever its size.
    #[schema(exclusive_minimum = 0, maximum = 1e12)]
    order_cost: f64,
    /// Of one unit for a year; 0 only with a `holding_rate`.
    #[schema(minimum = 0, maximum = 1e12)]
    holding_cost: f64,
    /// What holding a unit for a year costs besides, as a share of its price.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10)]
    holding_rate: f64,
    /// Price of a unit; counted in the total cost if it is given.
    #[schema(minimum = 0, maximum = 1e12)]
    unit_cost: Option<f64>,
    /// Prices by quantity, in place of `unit_cost`: the first from 0, each further one from a larger quantity and lower.
    #[serde(default)]
    #[schema(max_items = 100)]
    discounts: Vec<Discount>,
    /// What a lower price is for.
    #[serde(default)]
    discount: Way,
    /// Of one unit owed for a year. Without it nothing is owed on purpose.
    #[schema(exclusive_minimum = 0, maximum = 1e12)]
    backorder_cost: Option<f64>,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 36500)]
    lead_time_days: f64,
    /// Standard deviation.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 36500)]
    lead_time_deviation_days: f64,
    /// Standard deviation of one day's demand.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1e12)]
    demand_deviation: f64,
    /// Every how many days stock is looked at; 0 if it always is.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 36500)]
    review_days: f64,
    #[serde(default)]
    service: Service,
    #[serde(default = "usual_service")]
    #[schema(minimum = 0.5, maximum = 0.99999, default = 0.95)]
    service_level: f64,
    #[serde(default = "usual_year")]
    #[schema(minimum = 1, maximum = 366, default = 365)]
    days_per_year: f64,
}

#[derive(Clone, Copy, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Discount {
    /// The least quantity that it is for.
    from: f64,
    unit_cost: f64,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// All units of an order that is large enough.
    #[default]
    AllUnits,
    /// Only those above the quantity.
    Incremental,
}

/// What the service level is a share of.
#[derive(Clone, Copy, Default, PartialEq, Deserialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Cycles in which nothing runs out.
    #[default]
    Cycle,
    /// Units that are delivered at once.
    FillRate,
}

fn usual_service() -> f64 {
    0.95
}

fn usual_year() -> f64 {
    365.0
}

#[derive(Serialize, Schema)]
pub struct Answer {
    /// Units; not rounded.
    order_quantity: f64,
    orders_per_year: f64,
    days_between_orders: f64,
    /// Of ordering and holding, safety stock and backorders included.
    annual_cost: f64,
    /// And of buying; the same where no price is given.
    total_cost: f64,
    /// What a unit costs on average at that quantity; 0 where no price is given.
    unit_cost: f64,
    /// Units owed when an order comes in, as planned.
    most_backordered: f64,
    /// Standard deviations that the service asks for.
    safety_factor: f64,
    safety_stock: f64,
    /// Units left, less units owed, at which to order.
    reorder_point: f64,
    /// With a review now and then: the level to order up to; else 0.
    order_up_to: f64,
}

pub fn answer(request: Request) -> Result<Answer, Error> {
    request.check()?;
    let lot = request.lot();
    Ok(request.plan(lot))
}

/// An order: how much, what a unit of it costs, and what holding one does.
struct Lot {
    quantity: f64,
    unit: f64,
    holding: f64,
}

impl Request {
    fn check(&self) -> Result<(), Error> {
        // Not zero: they are divided by, or nothing would ever be ordered.
        const LEAST: f64 = 1e-12;
        for (field, value, low, high) in [
            ("annual_demand", self.annual_demand, LEAST, 1e12),
            ("order_cost", self.order_cost, LEAST, 1e12),
            ("holding_cost", self.holding_cost, if self.holding_rate > 0.0 { 0.0 } else { LEAST }, 1e12),
            ("holding_rate", self.holding_rate, 0.0, 10.0),
            ("unit_cost", self.unit_cost.unwrap_or(0.0), 0.0, 1e12),
            ("backorder_cost", self.backorder_cost.unwrap_or(1.0), LEAST, 1e12),
            ("lead_time_days", self.lead_time_days, 0.0, 36_500.0),
            ("lead_time_deviation_days", self.lead_time_deviation_days, 0.0, 36_500.0),
            ("demand_deviation", self.demand_deviation, 0.0, 1e12),
            ("review_days", self.review_days, 0.0, 36_500.0),
            ("service_level", self.service_level, 0.5, 0.99999),
            ("days_per_year", self.days_per_year, 1.0, 366.0),
        ] {
            within(field, value, low, high)?;
        }
        self.check_prices()?;
        let unsupported = |what: &str| Err(Error::Unsupported(what.to_owned()));
        match self.backorder_cost {
            Some(_) if !self.discounts.is_empty() => {
                unsupported("`backorder_cost` and `discounts`: only one of them is done at once")
            }
            Some(_) if self.service == Service::FillRate => {
                unsupported("`backorder_cost` and a fill rate: what is owed on purpose is not delivered at once")
            }
            _ => Ok(()),
        }
    }

    fn check_prices(&self) -> Result<(), Error> {
        crate::at_most("discounts", self.discounts.len(), MOST_DISCOUNTS)?;
        if !self.discounts.is_empty() && self.unit_cost.is_some() {
            return Err(invalid("unit_cost", "is given, and so are `discounts`, which have it"));
        }
        let priced = self.discounts.iter().map(|one| one.unit_cost).chain(self.unit_cost).all(|cost| cost > 0.0);
        if self.holding_rate > 0.0 && ((self.unit_cost.is_none() && self.discounts.is_empty()) || !priced) {
            return Err(invalid("unit_cost", "must be given and above 0: `holding_rate` is a share of it"));
        }
        for (at, one) in self.discounts.iter().enumerate() {
            within(&format!("discounts[{at}].from"), one.from, 0.0, 1e12)?;
            within(&format!("discounts[{at}].unit_cost"), one.unit_cost, 0.0, 1e12)?;
            match at.checked_sub(1).map(|before| self.discounts[before]) {
                None if one.from > 0.0 => {
                    return Err(invalid("discounts[0].from", "must be 0: there is a price for every quantity"));
                }
                Some(before) if one.from <= before.from => {
                    return Err(invalid(format!("discounts[{at}].from"), "must be above the one before"));
                }
                Some(before) if one.unit_cost >= before.unit_cost => {
                    return Err(invalid(format!("discounts[{at}].unit_cost"), "must be below the one before"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn lot(&self) -> Lot {
        let holding = |unit: f64| self.holding_cost + self.holding_rate * unit;
        let square = |order: f64, holding: f64| (2.0 * self.annual_demand * order / holding).sqrt();
        if self.discounts.is_empty() {
            let unit = self.unit_cost.unwrap_or(0.0);
            let holding = holding(unit);
            // What is owed part of the time need not be held.
            let stretch = self.backorder_cost.map_or(1.0, |owed| ((holding + owed) / owed).sqrt());
            return Lot { quantity: square(self.order_cost, holding) * stretch, unit, holding };
        }
        let mut best: Option<(f64, Lot)> = None;
        // What is paid for all units below the price's quantity.
        let mut below = 0.0;
        for (at, one) in self.discounts.iter().enumerate() {
            let next = self.discounts.get(at + 1);
            // Buying at all has a cost of its own where only units above the quantity are cheaper.
            let fixed = if self.discount == Way::Incremental { below - one.unit_cost * one.from } else { 0.0 };
            below += next.map_or(0.0, |next| (next.from - one.from) * one.unit_cost);
            let quantity = square(self.order_cost + fixed, holding(one.unit_cost)).max(one.from).max(f64::MIN_POSITIVE);
            if next.is_some_and(|next| quantity >= next.from) {
                continue;
            }
            let unit = one.unit_cost + fixed / quantity;
            let lot = Lot { quantity, unit, holding: holding(unit) };
            let total = self.annual_demand * unit + self.running(&lot);
            if best.as_ref().is_none_or(|(least, _)| total < *least) {
                best = Some((total, lot));
            }
        }
        best.expect("the last price has no next one").1
    }

    /// What ordering and holding such lots costs a year, nothing being owed.
    fn running(&self, lot: &Lot) -> f64 {
        self.annual_demand / lot.quantity * self.order_cost + lot.quantity / 2.0 * lot.holding
    }

    fn plan(&self, lot: Lot) -> Answer {
        let orders = self.annual_demand / lot.quantity;
        let daily = self.annual_demand / self.days_per_year;
        let days = self.lead_time_days + self.review_days;
        // Demand until the next order can come in varies with each day, and with how many days there are.
        let variance = days * self.demand_deviation.powi(2) + (daily * self.lead_time_deviation_days).powi(2);
        let deviation = variance.sqrt();
        // With a review now and then, an order is what was asked for since the last one.
        let cycle = if self.review_days > 0.0 { daily * self.review_days } else { lot.quantity };
        let factor = match self.service {
            Service::Cycle => quantile(self.service_level),
            Service::FillRate => fill_factor((1.0 - self.service_level) * cycle, deviation),
        };
        let safety = factor * deviation;
        let owed = self.backorder_cost.map_or(0.0, |owed| lot.quantity * lot.holding / (lot.holding + owed));
        let running = match self.backorder_cost {
            Some(cost) => {
                let held = (lot.quantity - owed).powi(2) / (2.0 * lot.quantity) * lot.holding;
                orders * self.order_cost + held + owed.powi(2) / (2.0 * lot.quantity) * cost
            }
            None => self.running(&lot),
        };
        let annual_cost = running + safety * lot.holding;
        let level = daily * days + safety - owed;
        Answer {
            order_quantity: lot.quantity,
            orders_per_year: orders,
            days_between_orders: self.days_per_year / orders,
            annual_cost,
            total_cost: annual_cost + self.annual_demand * lot.unit,
            unit_cost: lot.unit,
            most_backordered: owed,
            safety_factor: factor,
            safety_stock: safety,
            reorder_point: if self.review_days > 0.0 { level - daily * self.review_days } else { level },
            order_up_to: if self.review_days > 0.0 { level } else { 0.0 },
        }
    }
}

/// How many deviations of stock leave so much short of each order; 0 where none is needed.
fn fill_factor(short: f64, deviation: f64) -> f64 {
    if deviation == 0.0 || excess(0.0) * deviation <= short {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 40.0);
    // Halved until it is as narrow as numbers are.
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if excess(middle) * deviation > short { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests;

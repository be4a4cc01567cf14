//! How much to order and when: the economic order quantity, and a reorder point with safety stock.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, parse, within, write};

pub const INPUT: &str = r#"{
  "type": "object",
  "properties": {
    "annual_demand": {"type": "number", "exclusiveMinimum": 0, "maximum": 1e12, "description": "Units a year."},
    "order_cost": {"type": "number", "exclusiveMinimum": 0, "maximum": 1e12, "description": "Of one order, whatever its size."},
    "holding_cost": {"type": "number", "exclusiveMinimum": 0, "maximum": 1e12, "description": "Of one unit for a year."},
    "lead_time_days": {"type": "number", "minimum": 0, "maximum": 36500, "default": 0},
    "lead_time_deviation_days": {"type": "number", "minimum": 0, "maximum": 36500, "default": 0, "description": "Standard deviation."},
    "demand_deviation": {"type": "number", "minimum": 0, "maximum": 1e12, "default": 0, "description": "Standard deviation of one day's demand."},
    "service_level": {"type": "number", "minimum": 0.5, "maximum": 0.99999, "default": 0.95, "description": "Chance that no cycle runs out."},
    "days_per_year": {"type": "number", "minimum": 1, "maximum": 366, "default": 365}
  },
  "required": ["annual_demand", "order_cost", "holding_cost"],
  "additionalProperties": false
}"#;

pub const OUTPUT: &str = r#"{
  "type": "object",
  "properties": {
    "order_quantity": {"type": "number", "description": "Units; not rounded."},
    "orders_per_year": {"type": "number"},
    "days_between_orders": {"type": "number"},
    "annual_cost": {"type": "number", "description": "Of ordering and holding, safety stock included."},
    "safety_factor": {"type": "number", "description": "Standard deviations that the service level asks for."},
    "safety_stock": {"type": "number"},
    "reorder_point": {"type": "number", "description": "Units left at which to order."}
  },
  "required": ["order_quantity", "orders_per_year", "days_between_orders", "annual_cost", "safety_factor", "safety_stock", "reorder_point"]
}"#;

pub const EXAMPLE: &str = r#"{"annual_demand": 8000, "order_cost": 10, "holding_cost": 0.5, "lead_time_days": 3, "demand_deviation": 6, "service_level": 0.95, "days_per_year": 250}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    annual_demand: f64,
    order_cost: f64,
    holding_cost: f64,
    #[serde(default)]
    lead_time_days: f64,
    #[serde(default)]
    lead_time_deviation_days: f64,
    #[serde(default)]
    demand_deviation: f64,
    #[serde(default = "usual_service")]
    service_level: f64,
    #[serde(default = "usual_year")]
    days_per_year: f64,
    /// Asked for at times, and not done here.
    #[serde(default)]
    discounts: Value,
    #[serde(default)]
    backorder_cost: Value,
}

fn usual_service() -> f64 {
    0.95
}

fn usual_year() -> f64 {
    365.0
}

#[derive(Serialize)]
struct Answer {
    order_quantity: f64,
    orders_per_year: f64,
    days_between_orders: f64,
    annual_cost: f64,
    safety_factor: f64,
    safety_stock: f64,
    reorder_point: f64,
}

pub fn answer(json: &[u8]) -> Result<Vec<u8>, Error> {
    let request: Request = parse(json)?;
    for (field, value) in [("discounts", &request.discounts), ("backorder_cost", &request.backorder_cost)] {
        if !value.is_null() {
            return Err(Error::Unsupported(format!("`{field}` is not part of the model that is used here")));
        }
    }
    request.check()?;
    Ok(write(&request.plan()))
}

impl Request {
    fn check(&self) -> Result<(), Error> {
        // Not zero: they are divided by, or nothing would ever be ordered.
        const LEAST: f64 = 1e-12;
        for (field, value, low, high) in [
            ("annual_demand", self.annual_demand, LEAST, 1e12),
            ("order_cost", self.order_cost, LEAST, 1e12),
            ("holding_cost", self.holding_cost, LEAST, 1e12),
            ("lead_time_days", self.lead_time_days, 0.0, 36_500.0),
            ("lead_time_deviation_days", self.lead_time_deviation_days, 0.0, 36_500.0),
            ("demand_deviation", self.demand_deviation, 0.0, 1e12),
            ("service_level", self.service_level, 0.5, 0.99999),
            ("days_per_year", self.days_per_year, 1.0, 366.0),
        ] {
            within(field, value, low, high)?;
        }
        Ok(())
    }

    fn plan(&self) -> Answer {
        let quantity = (2.0 * self.annual_demand * self.order_cost / self.holding_cost).sqrt();
        let orders = self.annual_demand / quantity;
        let daily = self.annual_demand / self.days_per_year;
        // Demand during the lead time varies with each day of it, and with how many days there are.
        let variance =
            self.lead_time_days * self.demand_deviation.powi(2) + (daily * self.lead_time_deviation_days).powi(2);
        let factor = quantile(self.service_level);
        let safety = factor * variance.sqrt();
        Answer {
            order_quantity: quantity,
            orders_per_year: orders,
            days_between_orders: self.days_per_year / orders,
            annual_cost: orders * self.order_cost + (quantity / 2.0 + safety) * self.holding_cost,
            safety_factor: factor,
            safety_stock: safety,
            reorder_point: daily * self.lead_time_days + safety,
        }
    }
}

/// The standard normal quantile for 0 < p < 1, by Acklam's rational approximations (relative error below 1.2e-9).
fn quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.38357751867269e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 6] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 5] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416, 1.0];
    const TAIL: f64 = 0.02425;

    if p > 1.0 - TAIL {
        return -quantile(1.0 - p);
    }
    if p < TAIL {
        let q = (-2.0 * p.ln()).sqrt();
        return polynomial(&C, q) / polynomial(&D, q);
    }
    let q = p - 0.5;
    q * polynomial(&A, q * q) / polynomial(&B, q * q)
}

/// The highest power first.
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(request: Value) -> Result<Value, Error> {
        answer(request.to_string().as_bytes()).map(|json| serde_json::from_slice(&json).expect("it is JSON"))
    }

    fn near(answer: &Value, field: &str, expected: f64, tolerance: f64) {
        let value = answer[field].as_f64().expect("it is a number");
        assert!((value - expected).abs() <= tolerance, "{field} is {value}, not {expected}");
    }

    #[test]
    fn the_quantiles_agree_with_the_published_table() {
        for (p, z) in [
            (0.5, 0.0),
            (0.8, 0.8416212336),
            (0.9, 1.2815515655),
            (0.95, 1.6448536270),
            (0.975, 1.9599639845),
            (0.99, 2.3263478740),
            (0.999, 3.0902323062),
            (0.9999, 3.7190164855),
            (0.01, -2.3263478740),
        ] {
            assert!((quantile(p) - z).abs() < 1e-8, "{p}: {}", quantile(p));
        }
    }

    #[test]
    fn a_thousand_needles_are_ordered_two_hundred_at_a_time() {
        // A textbook's first example: demand 1000, 10 an order, 0.50 a unit and year, 250 working days.
        let plan = ask(json!({"annual_demand": 1000, "order_cost": 10, "holding_cost": 0.5, "days_per_year": 250}));
        let plan = plan.expect("it is a valid request");
        near(&plan, "order_quantity", 200.0, 1e-9);
        near(&plan, "orders_per_year", 5.0, 1e-9);
        near(&plan, "days_between_orders", 50.0, 1e-9);
        near(&plan, "annual_cost", 100.0, 1e-9);
    }

    #[test]
    fn eight_thousand_a_year_with_three_days_to_wait_are_ordered_at_ninety_six() {
        let plan = ask(
            json!({"annual_demand": 8000, "order_cost": 10, "holding_cost": 0.5, "lead_time_days": 3, "days_per_year": 250}),
        );
        near(&plan.expect("it is a valid request"), "reorder_point", 96.0, 1e-9);
    }

    #[test]
    fn demand_and_lead_time_that_both_vary_add_their_variances() {
        // 150 a day (deviation 16), 5 days to wait (deviation 1), 97 % service: 1.8808 × √(5 × 16² + 150² × 1²) = 290.01.
        let plan = ask(json!({
            "annual_demand": 54750, "order_cost": 10, "holding_cost": 1, "lead_time_days": 5, "lead_time_deviation_days": 1,
            "demand_deviation": 16, "service_level": 0.97,
        }));
        let plan = plan.expect("it is a valid request");
        near(&plan, "safety_stock", 290.01, 0.05);
        near(&plan, "reorder_point", 1040.01, 0.05);
    }

    #[test]
    fn no_other_quantity_is_cheaper() {
        for (demand, order, holding) in [(1200.0, 45.0, 3.2), (7.0, 900.0, 0.01), (1e6, 0.3, 12.0)] {
            let plan = ask(json!({"annual_demand": demand, "order_cost": order, "holding_cost": holding}));
            let plan = plan.expect("it is a valid request");
            let best = plan["annual_cost"].as_f64().expect("it is a number");
            let quantity = plan["order_quantity"].as_f64().expect("it is a number");
            for part in [0.5, 0.9, 0.99, 1.01, 1.1, 2.0] {
                let other = quantity * part;
                assert!(demand / other * order + other / 2.0 * holding > best);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = ask(json!({"annual_demand": 1, "order_cost": 1, "holding_cost": 0}));
        assert!(matches!(refused, Err(Error::Invalid { field, .. }) if field == "holding_cost"));

        let refused = ask(json!({"annual_demand": 1, "order_cost": 1, "holding_cost": 1, "service_level": 1}));
        assert!(matches!(refused, Err(Error::Invalid { field, .. }) if field == "service_level"));

        let refused =
            ask(json!({"annual_demand": 1, "order_cost": 1, "holding_cost": 1, "discounts": [{"from": 100}]}));
        assert!(matches!(refused, Err(Error::Unsupported(text)) if text.contains("discounts")));
    }
}

use serde_json::{Value, json};

use super::*;
use crate::chance::Chance;

fn ask(request: Value) -> Result<Value, Error> {
    let told = answer(crate::asking::parse(request)?)?;
    Ok(serde_json::to_value(told).expect("it is JSON"))
}

fn near(answer: &Value, field: &str, expected: f64, tolerance: f64) {
    let value = answer[field].as_f64().expect("it is a number");
    assert!((value - expected).abs() <= tolerance, "{field} is {value}, not {expected}");
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
    let base = |more: Value| {
        let mut all = json!({"annual_demand": 100, "order_cost": 1, "holding_cost": 1});
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        all
    };
    let two = json!([{"from": 0, "unit_cost": 2}, {"from": 10, "unit_cost": 1}]);
    for (more, wrong) in [
        (json!({"discounts": [{"from": 5, "unit_cost": 2}]}), "discounts[0].from"),
        (json!({"discounts": [{"from": 0, "unit_cost": 2}, {"from": 0, "unit_cost": 1}]}), "discounts[1].from"),
        (json!({"discounts": [{"from": 0, "unit_cost": 2}, {"from": 9, "unit_cost": 3}]}), "discounts[1].unit_cost"),
        (json!({"holding_cost": 0}), "holding_cost"),
        (json!({"holding_rate": 0.2}), "unit_cost"),
        (json!({"backorder_cost": 0}), "backorder_cost"),
        (json!({"unit_cost": 1, "discounts": two}), "unit_cost"),
        (json!({"review_days": -1}), "review_days"),
    ] {
        let refused = ask(base(more));
        assert!(matches!(&refused, Err(Error::Invalid { field, .. }) if field == wrong), "{refused:?}, not {wrong}");
    }
    for more in [json!({"discounts": two, "backorder_cost": 3}), json!({"service": "fill-rate", "backorder_cost": 3})] {
        assert!(matches!(ask(base(more.clone())), Err(Error::Unsupported(_))), "{more}");
    }
}

#[test]
fn discounts_on_all_units_are_taken_where_they_pay() {
    // Heizer and Render's race cars: 5.00, 4.80 from 1000, 4.75 from 2000; 49 an order, a fifth of the price a year to hold.
    let plan =
        ask(json!({"annual_demand": 5000, "order_cost": 49, "holding_cost": 0, "holding_rate": 0.2, "discounts": [
        {"from": 0, "unit_cost": 5}, {"from": 1000, "unit_cost": 4.8}, {"from": 2000, "unit_cost": 4.75}]}))
        .expect("it is a valid request");
    near(&plan, "order_quantity", 1000.0, 1e-9);
    near(&plan, "total_cost", 24_725.0, 1e-9);
    near(&plan, "unit_cost", 4.8, 1e-12);
}

/// Nahmias's trash bags: 30 cents, 29 from 500, 28 from 1000; 8 an order, a fifth of the price a year to hold.
fn bags(how: &str) -> Value {
    ask(json!({"annual_demand": 600, "order_cost": 8, "holding_cost": 0, "holding_rate": 0.2, "discount": how, "discounts": [
        {"from": 0, "unit_cost": 0.30}, {"from": 500, "unit_cost": 0.29}, {"from": 1000, "unit_cost": 0.28}]}))
    .expect("it is a valid request")
}

#[test]
fn the_two_ways_of_discount_differ_as_in_the_textbook() {
    let all = bags("all-units");
    near(&all, "order_quantity", 500.0, 1e-9);
    near(&all, "total_cost", 198.10, 0.005);
    let over = bags("incremental");
    near(&over, "order_quantity", 400.0, 1e-9);
    near(&over, "total_cost", 204.00, 0.005);
}

#[test]
fn no_quantity_is_cheaper_under_discounts() {
    let breaks = [(0.0, 9.0), (70.0, 8.1), (200.0, 7.9), (900.0, 7.85)];
    let given: Vec<Value> =
        breaks.iter().map(|(from, unit_cost)| json!({"from": from, "unit_cost": unit_cost})).collect();
    for (how, demand, order) in [
        ("all-units", 700.0, 30.0),
        ("incremental", 700.0, 30.0),
        ("all-units", 90.0, 4.0),
        ("incremental", 9000.0, 4.0),
    ] {
        let plan = ask(json!({"annual_demand": demand, "order_cost": order, "holding_cost": 0.5, "holding_rate": 0.25,
            "discount": how, "discounts": given}))
        .expect("it is a valid request");
        let best = plan["total_cost"].as_f64().expect("it is a number");
        for step in 1..4000 {
            let quantity = f64::from(step);
            let mut paid = 0.0;
            for (at, (from, cost)) in breaks.iter().enumerate() {
                let to = breaks.get(at + 1).map_or(f64::INFINITY, |next| next.0);
                match how {
                    "incremental" if quantity > *from => paid += (quantity.min(to) - from) * cost,
                    "all-units" if quantity >= *from && quantity < to => paid = quantity * cost,
                    _ => {}
                }
            }
            let unit = paid / quantity;
            let total = demand * unit + demand / quantity * order + quantity / 2.0 * (0.5 + 0.25 * unit);
            assert!(total > best - 1e-6, "{how}: {quantity} costs {total}, less than {best}");
        }
    }
}

#[test]
fn planned_backorders_cost_less_than_none() {
    // h = 2, b = 8: the quantity is √(10/8) as large, and a fifth of it is owed at worst.
    let base = json!({"annual_demand": 1200, "order_cost": 45, "holding_cost": 2});
    let mut owed = base.clone();
    owed["backorder_cost"] = json!(8);
    let (plain, owed) = (ask(base).expect("valid"), ask(owed).expect("valid"));
    let quantity = plain["order_quantity"].as_f64().expect("a number") * 1.25f64.sqrt();
    near(&owed, "order_quantity", quantity, 1e-9);
    near(&owed, "most_backordered", quantity / 5.0, 1e-9);
    near(&owed, "annual_cost", plain["annual_cost"].as_f64().expect("a number") * 0.8f64.sqrt(), 1e-9);
}

#[test]
fn a_fill_rate_takes_less_stock_than_the_same_chance_of_a_cycle_without_shortage() {
    let ask = |service: &str| {
        ask(json!({"annual_demand": 10_000, "order_cost": 100, "holding_cost": 2, "lead_time_days": 16, "demand_deviation": 25,
            "service": service, "service_level": 0.98, "days_per_year": 250}))
        .expect("it is a valid request")
    };
    let (cycle, fill) = (ask("cycle"), ask("fill-rate"));
    assert!(fill["safety_stock"].as_f64() < cycle["safety_stock"].as_f64());
    // The shortage of a cycle is the rest of the order: (1 - 0.98) × 1000 = 20 = 100 × 0.2, which the published table has at z = 0.49.
    near(&fill, "order_quantity", 1000.0, 1e-9);
    near(&fill, "safety_factor", 0.49, 0.01);
    // Simulated: demand during the lead time is normal, and what is above the reorder point is short.
    let (mut chance, mut short, rounds) = (Chance::new(19), 0.0, 40_000);
    let point = fill["reorder_point"].as_f64().expect("a number");
    for _ in 0..rounds {
        let normal = (0..12).map(|_| chance.below(1_000_001) as f64 / 1e6).sum::<f64>() - 6.0;
        short += (640.0 + 100.0 * normal - point).max(0.0);
    }
    assert!((short / f64::from(rounds) - 20.0).abs() < 1.5, "{}", short / f64::from(rounds));
}

#[test]
fn a_periodic_review_covers_the_lead_time_and_the_period() {
    // 150 a day (deviation 16), reviewed every 7 days, 5 to wait: 150 × 12 + 1.6449 × 16 × √12.
    let plan =
        ask(json!({"annual_demand": 54750, "order_cost": 10, "holding_cost": 1, "lead_time_days": 5, "review_days": 7,
        "demand_deviation": 16}))
        .expect("it is a valid request");
    near(&plan, "safety_stock", 1.6448536 * 16.0 * 12f64.sqrt(), 1e-3);
    near(&plan, "order_up_to", 1800.0 + 1.6448536 * 16.0 * 12f64.sqrt(), 1e-3);
}

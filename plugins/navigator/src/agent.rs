//! The skills as an agent of a village.

use std::time::Duration;

use village::{Failure, agent, budget, log};

use crate::{Error, forecast, inventory, path, route};

#[derive(Default)]
pub(crate) struct Navigator;

/// Logistics: shortest paths, vehicle routes, inventory and demand forecasts.
#[agent(role = "logistics", tags = ["logistics"])]
impl Navigator {
    /// The cheapest path between two nodes of a graph with costs that are not negative, around closed nodes, and others nearly as
    /// cheap.
    #[skill(
        tags = ["graph"],
        example = r#"{"edges": [{"from": "depot", "to": "north", "cost": 4}, {"from": "depot", "to": "east", "cost": 1}, {"from": "east", "to": "north", "cost": 2}], "from": "depot", "to": "north", "alternatives": 1}"#
    )]
    fn shortest_path(&mut self, ask: path::Request) -> Result<path::Answer, Error> {
        path::answer(ask, &mut effort())
    }

    /// What the cheapest paths between many places of a graph cost: the table that `route` takes.
    #[skill(
        tags = ["graph"],
        example = r#"{"edges": [{"from": "depot", "to": "east", "cost": 1}, {"from": "east", "to": "north", "cost": 2}], "places": ["depot", "north"]}"#
    )]
    fn distances(&mut self, ask: path::TableRequest) -> Result<path::Table, Error> {
        path::table(ask)
    }

    /// Routes for vehicles of one capacity from a depot past every stop and back, with time windows and a longest route where
    /// they are given. Good, not proven best.
    #[skill(
        tags = ["vehicle-routing"],
        example = r#"{"depot": {"x": 0, "y": 0}, "capacity": 10, "stops": [{"name": "bakery", "x": 2, "y": 7, "demand": 4}, {"name": "school", "x": 3, "y": 6, "demand": 5}, {"name": "harbour", "x": -5, "y": 1, "demand": 6}]}"#,
        example = r#"{"depot": {"x": 0, "y": 0}, "window": [8, 18], "speed": 30, "capacity": 10, "stops": [{"name": "bakery", "x": 20, "y": 70, "demand": 4, "window": [8, 12], "service_time": 0.5}, {"name": "school", "x": 30, "y": 60, "demand": 5, "window": [13, 14], "service_time": 0.5}]}"#
    )]
    fn route(&mut self, ask: route::Request) -> Result<route::Answer, Error> {
        let told = route::answer(ask, &mut effort())?;
        // Without the grant, or past the allowance, the work is as good.
        let _ = log::write(log::Level::Debug, "route: planned");
        Ok(told)
    }

    /// How much to order (economic order quantity, with discounts or planned backorders) and when (reorder point or level to
    /// order up to, with safety stock for a service level or a fill rate).
    #[skill(
        tags = ["eoq"],
        example = r#"{"annual_demand": 8000, "order_cost": 10, "holding_cost": 0.5, "lead_time_days": 3, "demand_deviation": 6, "service_level": 0.95, "days_per_year": 250}"#
    )]
    fn inventory(&mut self, ask: inventory::Request) -> Result<inventory::Answer, Error> {
        inventory::answer(ask)
    }

    /// The next values of a series by exponential smoothing, with trend, season or demand now and then, and the errors it had on
    /// values held back.
    #[skill(
        tags = ["demand"],
        example = r#"{"series": [112, 118, 121, 129, 131, 138, 144, 146, 155, 158], "horizon": 3, "interval": 0.8}"#
    )]
    fn forecast(&mut self, ask: forecast::Request) -> Result<forecast::Answer, Error> {
        forecast::answer(ask)
    }
}

/// Whether to go on looking: until half of the turn's time is used, or for so many rounds where we may not know it.
fn effort() -> impl FnMut() -> bool {
    // A round is some ten thousand moves looked at, so these take some two seconds of computing.
    let mut rounds = 5_000u32;
    let half = budget::remaining().map_or(Duration::ZERO, |time| time / 2);
    move || {
        rounds = rounds.saturating_sub(1);
        match budget::remaining() {
            Ok(left) => left > half,
            Err(_) => rounds > 0,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Invalid { field, reason } => Failure::field(&field, reason),
            Error::Unsupported(what) => Failure::unsupported(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use village::FailureKind;
    use village::test::{self, Host, Value, json};

    use super::*;

    #[test]
    fn every_example_is_answered_with_what_the_schema_requires() {
        let mut agent = test::agent::<Navigator>(Host::new());
        let card = agent.card();
        assert_eq!(card.skills.len(), 5);
        for skill in card.skills {
            assert!(!skill.examples.is_empty(), "{}", skill.name);
            for example in &skill.examples {
                let example: Value = serde_json::from_str(example).expect("the example is JSON");
                let answer = agent.call(&skill.name, &example).expect("the example is answered");
                let schema: Value = serde_json::from_str(&skill.output).expect("the schema is JSON");
                for field in schema["required"].as_array().expect("the schema says what is required") {
                    assert!(answer.get(field.as_str().expect("a name")).is_some(), "{}: {field}", skill.name);
                }
                let schema: Value = serde_json::from_str(&skill.input).expect("the schema is JSON");
                for field in schema["required"].as_array().expect("the schema says what is required") {
                    let name = field.as_str().expect("a name");
                    let mut less = example.clone();
                    less.as_object_mut().expect("an object").remove(name);
                    let refused = agent.call(&skill.name, less).expect_err("it lacks something");
                    assert_eq!(refused.message, format!("`{name}` is missing"));
                }
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_named_by_every_skill() {
        let mut agent = test::agent::<Navigator>(Host::new());
        for skill in agent.card().skills {
            let refused = agent.call(&skill.name, json!({"oddity": 1})).expect_err("nobody knows an oddity");
            assert!(refused.kind == FailureKind::Invalid && refused.message.contains("oddity"), "{refused:?}");
        }
        let refused = agent.call("teleport", json!({})).expect_err("it does not teleport");
        assert_eq!(refused.kind, FailureKind::Unsupported);
    }

    #[test]
    fn a_search_ends_when_half_of_the_turn_is_over() {
        let stops: Vec<Value> = (0..30)
            .map(|at| json!({"name": at.to_string(), "x": at * 7 % 30, "y": at * 11 % 30, "demand": 1}))
            .collect();
        let request = json!({"depot": {"x": 0, "y": 0}, "capacity": 9, "stops": stops, "rounds": 1_000_000});
        // The host's clock stands still: as much is left as there was, and half of nothing is nothing.
        let mut agent = test::agent::<Navigator>(Host::new().with_budget([], Duration::ZERO));
        let told = agent.call("route", request).expect("it is a valid request");
        assert_eq!(told["settled"], false);
        assert_eq!(
            told["routes"]
                .as_array()
                .map(|routes| routes.iter().map(|route| route["stops"].as_array().map_or(0, Vec::len)).sum()),
            Some(30)
        );
    }
}

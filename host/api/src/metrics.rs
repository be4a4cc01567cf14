//! `/metrics`: figures for Prometheus, in its text format.

use crate::error::Error;
use crate::routes::App;
use axum::extract::State;
use hall::{Details, Figures, LinkFigures, MeshFigures, State as Doing, Used};
use http::{HeaderName, header};
use model::{Figure, Totals};
use std::fmt::Write as _;

/// The media type of the text format.
pub(crate) const KIND: &str = "text/plain; version=0.0.4";

/// Agents that have rows of their own. Those that sleep have none.
const AGENTS: usize = 2_000;

/// Models that have rows, of those that were asked.
const MODELS: usize = 500;

pub(crate) async fn metrics(State(app): State<App>) -> Result<([(HeaderName, &'static str); 1], String), Error> {
    let agents = app.village.awake_now();
    let mut page = text(&app.village.figures(), &agents);
    if app.village.mesh().is_some() {
        page.push_str(&mesh(&app.village.mesh_figures().await?));
    }
    if let Some(router) = app.village.models() {
        page.push_str(&models(&router.figures(), &router.totals()));
    }
    Ok(([(header::CONTENT_TYPE, KIND)], page))
}

/// The fields whose used part only grows within a second are rates; all are shown as they stand.
fn text(figures: &Figures, agents: &[Details]) -> String {
    let mut page = Page(String::new());
    page.family("village_info", "gauge", "What this is.");
    page.row("village_info", &[("version", &figures.version)], 1.0);
    page.family("village_up_seconds", "gauge", "For how long the village is up.");
    page.row("village_up_seconds", &[], figures.up_ms as f64 / 1e3);
    page.family("village_agents", "gauge", "Agents by what they are doing.");
    for (state, count) in &figures.agents {
        page.row("village_agents", &[("state", Doing::word(*state))], *count as f64);
    }
    page.family("village_capacity", "gauge", "Agents that may be awake at once.");
    page.row("village_capacity", &[], figures.capacity as f64);
    page.family("village_messages_under_way", "gauge", "Messages from outside that are being handled or wait.");
    page.row("village_messages_under_way", &[], figures.under_way as f64);
    page.family("village_messages_total", "counter", "Messages from outside by what came of them.");
    let sends = figures.sends;
    for (outcome, count) in
        [("answered", sends.answered), ("failed", sends.failed), ("broke", sends.broke), ("refused", sends.refused)]
    {
        page.row("village_messages_total", &[("outcome", outcome)], count as f64);
    }
    page.village(figures);
    page.agents(&agents[..agents.len().min(AGENTS)]);
    page.family(
        "village_agents_without_rows",
        "gauge",
        "Agents that are awake and have no rows here, for their number.",
    );
    page.row("village_agents_without_rows", &[], agents.len().saturating_sub(AGENTS) as f64);
    page.0
}

/// Rows of the mesh: one for each link, which are bounded in number.
fn mesh(figures: &MeshFigures) -> String {
    let mut page = Page(String::new());
    page.family("village_mesh_members", "gauge", "Other villages that are known.");
    page.row("village_mesh_members", &[], figures.members as f64);
    page.family("village_mesh_reachable", "gauge", "1 if others can call this one, 0 if not; none if it is not known.");
    if let Some(reachable) = figures.reachable {
        page.row("village_mesh_reachable", &[], f64::from(u8::from(reachable)));
    }
    page.family("village_mesh_links", "gauge", "Other villages that there is a link with.");
    page.row("village_mesh_links", &[], figures.links.len() as f64);
    type Of = fn(&LinkFigures) -> Option<f64>;
    let links: [(&str, &str, &str, Of); 8] = [
        ("village_mesh_link_latency_seconds", "gauge", "The way there and back.", |link| {
            link.latency_us.map(|micros| micros as f64 / 1e6)
        }),
        ("village_mesh_link_loss", "gauge", "The part of pings that was lost.", |link| Some(link.loss)),
        ("village_mesh_link_pings_total", "counter", "Pings sent.", |link| Some(link.pings as f64)),
        ("village_mesh_link_since_seconds", "gauge", "Since when there is the link, in Unix seconds.", |link| {
            Some(link.since as f64 / 1e3)
        }),
        ("village_mesh_link_sent_messages_total", "counter", "Messages sent.", |link| Some(link.sent as f64)),
        ("village_mesh_link_sent_bytes_total", "counter", "Their bytes.", |link| Some(link.sent_bytes as f64)),
        ("village_mesh_link_received_messages_total", "counter", "Messages that came.", |link| {
            Some(link.received as f64)
        }),
        ("village_mesh_link_received_bytes_total", "counter", "Their bytes.", |link| Some(link.received_bytes as f64)),
    ];
    for (name, kind, help, of) in links {
        page.family(name, kind, help);
        for link in &figures.links {
            if let Some(value) = of(link) {
                page.row(name, &[("peer", &link.peer)], value);
            }
        }
    }
    page.family("village_mesh_turned_away_total", "counter", "What was turned away, by why.");
    for (why, count) in &figures.turned_away {
        page.row("village_mesh_turned_away_total", &[("why", why)], *count as f64);
    }
    page.family("village_mesh_messages_total", "counter", "Messages that met with something, by what.");
    let MeshFigures { retries, busy, repeated, untold, .. } = figures;
    for (what, count) in [("sent-again", retries), ("busy", busy), ("repeated", repeated), ("untold", untold)] {
        page.row("village_mesh_messages_total", &[("what", what)], *count as f64);
    }
    page.0
}

/// Rows of models that were asked: by their names, and never by what they were asked.
fn models(figures: &[Figure], totals: &Totals) -> String {
    let mut page = Page(String::new());
    let asked = || figures.iter().filter(|figure| figure.calls > 0).take(MODELS);
    let labels = |figure: &'_ Figure| [("backend", figure.backend.clone()), ("model", figure.model.clone())];
    type Row = (&'static str, &'static str, fn(&Figure) -> f64);
    let families: [(&str, &str, &str, &[Row]); 4] = [
        (
            "village_model_calls_total",
            "counter",
            "Calls of a model, those that are under way included.",
            &[
                ("outcome", "failed", |one| one.failures as f64),
                ("outcome", "other", |one| (one.calls - one.failures) as f64),
            ],
        ),
        (
            "village_model_tokens_total",
            "counter",
            "Tokens of its answers and of what they answer.",
            &[("direction", "read", |one| one.tokens_in as f64), ("direction", "written", |one| one.tokens_out as f64)],
        ),
        (
            "village_model_cost_total",
            "counter",
            "What that cost, in the money of the prices.",
            &[("", "", |one| one.cost as f64 / 1e9)],
        ),
        (
            "village_model_resting",
            "gauge",
            "Whether it failed, and is left alone.",
            &[("", "", |one| f64::from(one.rests))],
        ),
    ];
    for (name, kind, help, rows) in families {
        page.family(name, kind, help);
        for figure in asked() {
            for (label, value, of) in rows {
                page.model(name, &labels(figure), (label, value), of(figure));
            }
        }
    }
    page.family("village_model_first_token_seconds", "gauge", "Until the first token of its last calls.");
    for figure in asked() {
        for (quantile, span) in figure.first.iter().flat_map(|(half, most)| [("0.5", half), ("0.95", most)]) {
            page.model(
                "village_model_first_token_seconds",
                &labels(figure),
                ("quantile", quantile),
                span.as_secs_f64(),
            );
        }
    }
    page.family("village_model_answers_total", "counter", "Answers that came in a special way, by which.");
    let Totals { cached, hedged, failovers, shadows, .. } = totals;
    for (way, count) in [("cached", cached), ("hedged", hedged), ("failed-over", failovers), ("shadow", shadows)] {
        page.row("village_model_answers_total", &[("way", way)], *count as f64);
    }
    page.family("village_model_cache_bytes", "gauge", "Bytes of answers that are kept to be given again.");
    page.row("village_model_cache_bytes", &[], totals.held as f64);
    page.0
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ =
            writeln!(self.0, "# HELP {name} {}\n# TYPE {name} {kind}", help.replace('\\', "\\\\").replace('\n', "\\n"));
    }

    fn row(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn model(&mut self, name: &str, labels: &[(&str, String); 2], more: (&str, &str), value: f64) {
        let labels = labels.iter().map(|(name, value)| (*name, value.as_str()));
        let all: Vec<_> = labels.chain([more]).filter(|(name, _)| !name.is_empty()).collect();
        self.row(name, &all, value);
    }

    fn village(&mut self, figures: &Figures) {
        let swaps = figures.swaps;
        self.family("village_swaps_total", "counter", "Swaps by how they ended.");
        for (outcome, count) in [("live", swaps.live), ("refused", swaps.refused), ("back", swaps.back)] {
            self.row("village_swaps_total", &[("outcome", outcome)], count as f64);
        }
        self.family("village_swap_pause_seconds", "gauge", "For how long swaps kept messages waiting.");
        for (of, micros) in [("last", swaps.last_pause_us), ("most", swaps.most_pause_us)] {
            self.row("village_swap_pause_seconds", &[("of", of)], micros as f64 / 1e6);
        }
        self.family("village_journal_entries", "gauge", "Entries of the journal that are not cut off.");
        self.row("village_journal_entries", &[], figures.journal as f64);
        let dead = figures.dead_letters;
        self.family("village_dead_letters", "gauge", "Messages that were given up and are kept.");
        self.row("village_dead_letters", &[], dead.kept as f64);
        self.family("village_given_up_total", "counter", "Messages that became dead letters since the village is up.");
        self.row("village_given_up_total", &[], dead.given_up as f64);
        self.family("village_agent_talk_total", "counter", "What agents asked and told each other.");
        let talk = figures.talk;
        for (kind, outcome, count) in [
            ("ask", "accepted", talk.asked),
            ("ask", "refused", talk.asks_refused),
            ("tell", "accepted", talk.told),
            ("tell", "refused", talk.tells_refused),
        ] {
            self.row("village_agent_talk_total", &[("kind", kind), ("outcome", outcome)], count as f64);
        }
    }

    fn agents(&mut self, agents: &[Details]) {
        self.family("village_agent_messages_total", "counter", "Messages from outside to an agent that is awake.");
        for agent in agents {
            let sends = agent.sends;
            for (outcome, count) in [
                ("answered", sends.answered),
                ("failed", sends.failed),
                ("broke", sends.broke),
                ("refused", sends.refused),
            ] {
                let labels = [("agent", agent.name.as_str()), ("outcome", outcome)];
                self.row("village_agent_messages_total", &labels, count as f64);
            }
        }
        self.family("village_agent_queue", "gauge", "Messages that wait for an agent.");
        for agent in agents {
            self.row("village_agent_queue", &[("agent", &agent.name)], agent.queue as f64);
        }
        self.family("village_agent_cpu_seconds_total", "counter", "CPU time that an agent used since it was made.");
        for agent in agents {
            self.row("village_agent_cpu_seconds_total", &[("agent", &agent.name)], agent.cpu_ms / 1e3);
        }
        let used: fn(&Used) -> u64 = |used| used.used_units;
        let limit: fn(&Used) -> u64 = |used| used.limit_units;
        for (name, help, of) in [
            (
                "village_budget_used",
                "What an agent uses of each field of its budget, in the field's smallest unit.",
                used,
            ),
            ("village_budget_limit", "What it may use, in the same unit.", limit),
        ] {
            self.family(name, "gauge", help);
            for agent in agents {
                for field in &agent.budget {
                    self.row(name, &[("agent", &agent.name), ("field", &field.field)], of(field) as f64);
                }
            }
        }
    }
}

/// A label's value.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hall::{Health, Sends, Swaps};
    use std::time::Duration;

    fn agent(name: &str) -> Details {
        let field =
            Used { field: "memory".into(), used: "1B".into(), limit: "2B".into(), used_units: 1, limit_units: 2 };
        Details {
            name: name.into(),
            state: Doing::Awake,
            health: Health::Well,
            faults: 0,
            left_alone_ms: 0,
            digest: String::new(),
            group: None,
            grants: Vec::new(),
            deployed: 0,
            queue: 3,
            sends: Sends { answered: 5, ..Sends::default() },
            cpu_ms: 1500.0,
            gpu_ms: 0.0,
            budget: vec![field],
            turns: Vec::new(),
            replicas: hall::Scale { serving: 1, min: 1, max: 1 },
            problem: None,
        }
    }

    #[test]
    fn every_row_is_of_a_family_and_labels_are_escaped() {
        let figures = Figures {
            version: "a\"b\\c\nd".into(),
            up_ms: 1500,
            stopping: false,
            agents: vec![(Doing::Awake, 2)],
            capacity: 10,
            under_way: 0,
            sends: Sends::default(),
            swaps: Swaps { live: 2, most_pause_us: 1500, ..Swaps::default() },
            journal: 7,
            dead_letters: hall::Dead { kept: 3, given_up: 4 },
            talk: hall::Talk { asked: 11, asks_refused: 12, told: 13, tells_refused: 14 },
        };
        let agents: Vec<_> = (0..AGENTS + 3).map(|n| agent(&format!("agent-{n}"))).collect();
        let text = text(&figures, &agents);
        assert!(text.contains("village_info{version=\"a\\\"b\\\\c\\nd\"} 1\n"), "{text}");
        assert!(text.contains("village_agent_cpu_seconds_total{agent=\"agent-7\"} 1.5\n"));
        assert!(text.contains("village_budget_limit{agent=\"agent-7\",field=\"memory\"} 2\n"));
        assert!(text.contains("village_agents_without_rows 3\n"));
        assert!(text.contains("village_swaps_total{outcome=\"live\"} 2\n"));
        assert!(text.contains("village_swap_pause_seconds{of=\"most\"} 0.0015\n"));
        assert!(text.contains("village_journal_entries 7\n"));
        assert!(text.contains("village_dead_letters 3\n") && text.contains("village_given_up_total 4\n"));
        for (labels, count) in [
            ("kind=\"ask\",outcome=\"accepted\"", 11),
            ("kind=\"ask\",outcome=\"refused\"", 12),
            ("kind=\"tell\",outcome=\"accepted\"", 13),
            ("kind=\"tell\",outcome=\"refused\"", 14),
        ] {
            assert!(text.contains(&format!("village_agent_talk_total{{{labels}}} {count}\n")), "{labels}");
        }
        well_formed(&text);
    }

    #[test]
    fn every_link_and_every_reason_has_its_rows() {
        let link = |peer: &str, latency_us| LinkFigures {
            peer: peer.into(),
            address: String::new(),
            called: true,
            since: 1500,
            latency_us,
            pings: 4,
            loss: 0.25,
            sent: 7,
            sent_bytes: 70,
            received: 8,
            received_bytes: 80,
        };
        let figures = MeshFigures {
            peer: "own".into(),
            founder: "own".into(),
            addresses: Vec::new(),
            reachable: Some(true),
            members: 5,
            links: vec![link("a", Some(2500)), link("b", None)],
            turned_away: vec![("stranger".into(), 3)],
            retries: 1,
            busy: 2,
            repeated: 3,
            untold: 4,
        };
        let text = mesh(&figures);
        for row in [
            "village_mesh_members 5",
            "village_mesh_reachable 1",
            "village_mesh_links 2",
            "village_mesh_link_latency_seconds{peer=\"a\"} 0.0025",
            "village_mesh_link_loss{peer=\"b\"} 0.25",
            "village_mesh_link_sent_bytes_total{peer=\"a\"} 70",
            "village_mesh_link_received_messages_total{peer=\"b\"} 8",
            "village_mesh_turned_away_total{why=\"stranger\"} 3",
            "village_mesh_messages_total{what=\"sent-again\"} 1",
        ] {
            assert!(text.contains(&format!("{row}\n")), "{row} in {text}");
        }
        assert!(!text.contains("latency_seconds{peer=\"b\"}"), "it was not measured");
        well_formed(&text);
        assert!(!mesh(&MeshFigures { reachable: None, ..figures }).contains("village_mesh_reachable 0\n"));
    }

    #[test]
    fn models_that_were_asked_have_rows() {
        let figure = |model: &str, calls| Figure {
            backend: "far".into(),
            model: model.into(),
            calls,
            failures: 1.min(calls),
            tokens_in: 10,
            tokens_out: 20,
            cost: 1_500_000_000,
            first: Some((Duration::from_millis(250), Duration::from_millis(500))),
            rests: true,
        };
        let totals = Totals { cached: 3, held: 77, ..Totals::default() };
        let text = models(&[figure("cloud/a", 4), figure("cloud/b", 0)], &totals);
        for row in [
            "village_model_calls_total{backend=\"far\",model=\"cloud/a\",outcome=\"failed\"} 1",
            "village_model_calls_total{backend=\"far\",model=\"cloud/a\",outcome=\"other\"} 3",
            "village_model_tokens_total{backend=\"far\",model=\"cloud/a\",direction=\"read\"} 10",
            "village_model_tokens_total{backend=\"far\",model=\"cloud/a\",direction=\"written\"} 20",
            "village_model_cost_total{backend=\"far\",model=\"cloud/a\"} 1.5",
            "village_model_resting{backend=\"far\",model=\"cloud/a\"} 1",
            "village_model_first_token_seconds{backend=\"far\",model=\"cloud/a\",quantile=\"0.5\"} 0.25",
            "village_model_first_token_seconds{backend=\"far\",model=\"cloud/a\",quantile=\"0.95\"} 0.5",
            "village_model_answers_total{way=\"cached\"} 3",
            "village_model_cache_bytes 77",
        ] {
            assert!(text.contains(&format!("{row}\n")), "{row} in {text}");
        }
        assert!(!text.contains("cloud/b"), "nobody asked it");
        well_formed(&text);
    }

    fn well_formed(text: &str) {
        let mut known = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().expect("a name").to_string();
                assert!(!known.contains(&name), "{name} is one family");
                known.push(name);
            } else if !line.starts_with("# HELP ") {
                let name = line.split(['{', ' ']).next().expect("a name");
                assert_eq!(known.last().map(String::as_str), Some(name), "rows stand below their family");
                assert!(line.rsplit(' ').next().is_some_and(|value| value.parse::<f64>().is_ok()), "{line}");
            }
        }
    }
}

//! The schemas of what goes over the wire. A test holds each against the type that it is of.

use serde_json::{Map, Value, json};

/// All schemas, by name.
pub(crate) fn all() -> Map<String, Value> {
    let mut all = Map::new();
    for (name, schema) in agents()
        .into_iter()
        .chain(messages())
        .chain(village())
        .chain(crate::records::schemas())
        .chain(crate::scale::schemas())
        .chain(crate::mesh::schemas())
        .chain(crate::models::schemas())
        .chain(crate::spaces::schemas())
        .chain(crate::votes::schemas())
    {
        all.insert(name.into(), schema);
    }
    all
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn number() -> Value {
    json!({ "type": "number" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn maybe(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn pairs() -> Value {
    list(json!({ "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 2 }))
}

/// An object; `required` are the first fields, the others may be left out.
fn object(required: usize, fields: Value) -> Value {
    let names: Vec<_> =
        fields.as_object().map(|fields| fields.keys().take(required).cloned().collect()).unwrap_or_default();
    json!({ "type": "object", "properties": fields, "required": names })
}

/// An object all of whose fields are there.
fn whole(fields: Value) -> Value {
    object(usize::MAX, fields)
}

/// An object of which these fields must be given, and no others than those that are known.
fn given(required: &[&str], fields: Value) -> Value {
    json!({ "type": "object", "properties": fields, "required": required, "additionalProperties": false })
}

fn agents() -> Vec<(&'static str, Value)> {
    vec![
        ("Component", json!({ "type": "string", "format": "binary", "description": "A component's bytes" })),
        ("Uploaded", whole(json!({ "digest": text(), "size": count() }))),
        (
            "NewAgent",
            given(
                &["digest"],
                json!({
                    "digest": text(),
                    "name": text(),
                    "manifest": of("ManifestText"),
                    "budget": of("Fields"),
                    "grants": list(text()),
                    "group": text(),
                }),
            ),
        ),
        ("ManifestText", given(&["text", "path"], json!({ "text": text(), "path": text() }))),
        (
            "Fields",
            json!({
                "type": "object",
                "additionalProperties": { "type": "string" },
                "description": "Fields of a budget, each as in a manifest: {\"cpu\": \"10%\"}",
            }),
        ),
        (
            "Used",
            whole(json!({
                "field": text(),
                "used": text(),
                "limit": text(),
                "used_units": count(),
                "limit_units": count(),
            })),
        ),
        ("Sends", whole(json!({ "answered": count(), "failed": count(), "broke": count(), "refused": count() }))),
        (
            "Details",
            whole(json!({
                "name": text(),
                "state": { "enum": ["awake", "asleep", "stopped", "failed"] },
                "health": { "enum": ["well", "broke", "failing"] },
                "faults": count(),
                "left_alone_ms": count(),
                "digest": text(),
                "group": maybe("string"),
                "grants": list(text()),
                "deployed": count(),
                "queue": count(),
                "sends": of("Sends"),
                "cpu_ms": number(),
                "gpu_ms": number(),
                "budget": list(of("Used")),
                "turns": pairs(),
                "replicas": of("Scale"),
                "problem": maybe("string"),
            })),
        ),
        ("Agents", whole(json!({ "agents": list(of("Details")), "next": maybe("string") }))),
        (
            "Skill",
            whole(json!({
                "name": text(),
                "description": text(),
                "input": {},
                "output": {},
                "tags": list(text()),
                "examples": list(json!({})),
            })),
        ),
        (
            "Card",
            whole(json!({
                "name": text(),
                "version": text(),
                "role": text(),
                "description": text(),
                "skills": list(of("Skill")),
                "tags": list(text()),
            })),
        ),
    ]
}

fn messages() -> Vec<(&'static str, Value)> {
    vec![
        (
            "Message",
            given(
                &[],
                json!({
                    "skill": text(),
                    "input": { "description": "Any JSON; or `text`, or `base64`" },
                    "text": text(),
                    "base64": text(),
                    "content-type": text(),
                    "from": text(),
                    "priority": { "enum": ["low", "normal", "high", "urgent"] },
                    "fast": { "type": "boolean", "default": false, "description": "Handled at most once, and not kept" },
                    "key": { "type": "string", "description": "A second message with the same key gets the first one's answer" },
                    "sequence": { "type": "integer", "minimum": 0, "description": "The sender's own number of it: one that is not above its last is refused as a `duplicate`" },
                    "after": { "type": "string", "description": "The agent has it after so long; 202 comes at once" },
                    "at": { "type": "integer", "minimum": 0, "description": "The same, at a time in Unix milliseconds" },
                    "wait": { "type": "boolean", "default": true },
                    "timeout": { "type": "string", "default": "60s" },
                }),
            ),
        ),
        ("Accepted", whole(json!({ "id": text() }))),
        (
            "Reply",
            whole(json!({
                "id": text(),
                "repeated": { "type": "boolean" },
                "reply": of("Body"),
                "usage": of("Usage"),
            })),
        ),
        (
            "Body",
            json!({
                "type": "object",
                "properties": { "content-type": text(), "body": {}, "body-base64": text() },
                "required": ["content-type"],
            }),
        ),
        (
            "Usage",
            whole(json!({
                "cpu_ms": number(),
                "gpu_ms": number(),
                "tokens": count(),
                "wall_ms": number(),
                "memory_peak_bytes": count(),
            })),
        ),
        ("Line", whole(json!({ "id": count(), "time": count(), "level": text(), "text": text() }))),
        ("Log", whole(json!({ "lost": count(), "lines": list(of("Line")) }))),
        ("Failure", whole(json!({ "error": of("Reason") }))),
        ("Reason", whole(json!({ "kind": text(), "message": text(), "details": {} }))),
    ]
}

fn village() -> Vec<(&'static str, Value)> {
    vec![
        (
            "Figures",
            whole(json!({
                "version": text(),
                "up_ms": count(),
                "stopping": { "type": "boolean" },
                "agents": list(json!({ "type": "array", "prefixItems": [text(), count()] })),
                "capacity": count(),
                "under_way": count(),
                "sends": of("Sends"),
                "swaps": of("Swaps"),
                "journal": count(),
                "dead_letters": of("GivenUp"),
                "talk": of("Talk"),
            })),
        ),
        ("GivenUp", whole(json!({ "kept": count(), "given_up": count() }))),
        (
            "Talk",
            whole(json!({ "asked": count(), "asks_refused": count(), "told": count(), "tells_refused": count() })),
        ),
        (
            "Swaps",
            whole(json!({
                "live": count(),
                "refused": count(),
                "back": count(),
                "last_pause_us": count(),
                "most_pause_us": count(),
            })),
        ),
        (
            "Group",
            whole(json!({
                "name": text(),
                "within": maybe("string"),
                "agents": count(),
                "limits": pairs(),
                "cpu_ms": number(),
                "memory": count(),
            })),
        ),
        ("Groups", whole(json!({ "groups": list(of("Group")) }))),
        (
            "NewVersion",
            given(
                &["digest"],
                json!({
                    "digest": text(),
                    "shadow": count(),
                    "canary": text(),
                    "window": count(),
                    "max-failures": text(),
                    "max-p99": text(),
                    "within": text(),
                    "memory": { "enum": ["carried", "carried-or-cold", "cold"] },
                    "fewer-skills": { "type": "boolean" },
                    "turns": of("TurnFields"),
                }),
            ),
        ),
        (
            "Version",
            whole(json!({
                "digest": text(),
                "place": { "enum": ["coming", "live", "before"] },
                "time": maybe("integer"),
            })),
        ),
        ("Versions", whole(json!({ "versions": list(of("Version")) }))),
        ("Cancelled", whole(json!({ "cancelled": { "type": "boolean" } }))),
        (
            "DeadLetter",
            whole(json!({
                "agent": text(),
                "id": text(),
                "from": text(),
                "skill": text(),
                "bytes": count(),
                "attempts": count(),
                "accepted": count(),
                "given_up": count(),
                "kind": text(),
                "reason": text(),
            })),
        ),
        ("DeadLetters", whole(json!({ "letters": list(of("DeadLetter")) }))),
        (
            "Entry",
            whole(json!({
                "seq": count(),
                "time": count(),
                "what": text(),
                "agent": text(),
                "by": text(),
                "details": {},
            })),
        ),
        ("Entries", whole(json!({ "entries": list(of("Entry")), "last": count(), "head": count() }))),
        (
            "Verified",
            whole(json!({
                "after": count(),
                "head": count(),
                "hash": text(),
                "erased": count(),
                "archives": count(),
                "archived_from": maybe("integer"),
            })),
        ),
        ("BackupTo", given(&["folder"], json!({ "folder": text() }))),
        ("Backup", whole(json!({ "folder": text(), "bytes": count(), "blobs": count(), "head": count() }))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;
    use hall::{Figures, GroupFigures, Health, Sends, Spoken, Stamped, State, Uploaded, Used};
    use serde::Serialize;
    use std::collections::BTreeSet;

    /// The schema has the fields that a value has, and those of types that fit.
    fn holds(name: &str, value: &impl Serialize) {
        let schema = all().remove(name).expect("there is such a schema");
        let value = serde_json::to_value(value).expect("JSON");
        let known: BTreeSet<_> = schema["properties"].as_object().expect("fields").keys().cloned().collect();
        let there: BTreeSet<_> = value.as_object().expect("an object").keys().cloned().collect();
        assert_eq!(known, there, "{name}");
        for (field, value) in value.as_object().expect("an object") {
            let kinds = &schema["properties"][field]["type"];
            let kind = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(number) if number.is_f64() => "number",
                Value::Number(_) => "integer",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            let fits = match kinds {
                Value::String(one) => one == kind || (one == "number" && kind == "integer"),
                Value::Array(some) => some.iter().any(|one| one == kind),
                _ => true,
            };
            assert!(fits, "{name}.{field}: {kinds} is no {kind}");
        }
    }

    #[test]
    fn every_schema_is_as_its_type() {
        let used = Used { field: "cpu".into(), used: "1%".into(), limit: "2%".into(), used_units: 1, limit_units: 2 };
        holds("Used", &used);
        holds("Sends", &Sends::default());
        let details = hall::Details {
            name: "a".into(),
            state: State::Awake,
            health: Health::Well,
            faults: 0,
            left_alone_ms: 0,
            digest: String::new(),
            group: Some("g".into()),
            grants: vec!["log".into()],
            deployed: 1,
            queue: 0,
            sends: Sends::default(),
            cpu_ms: 0.5,
            gpu_ms: 0.5,
            budget: vec![used],
            turns: vec![(String::new(), String::new())],
            replicas: hall::Scale { serving: 1, min: 1, max: 1 },
            problem: None,
        };
        holds("Details", &details);
        holds("Agents", &wire::Agents { agents: vec![details], next: Some("b".into()) });
        holds("Uploaded", &Uploaded { digest: String::new(), size: 1 });
        let manifest = wire::ManifestText { text: String::new(), path: String::new() };
        holds("ManifestText", &manifest);
        let (name, group) = (Some("a".into()), Some("g".into()));
        holds("NewAgent", &wire::NewAgent { name, group, manifest: Some(manifest), ..Default::default() });
        let word = || Some(String::new());
        let message = wire::Message {
            input: Some(json!(1)),
            text: word(),
            base64: word(),
            content_type: word(),
            priority: word(),
            key: word(),
            sequence: Some(1),
            after: word(),
            at: Some(1),
            wait: Some(true),
            timeout: word(),
            ..Default::default()
        };
        holds("Message", &message);
        holds("Accepted", &wire::Accepted { id: String::new() });
        let body = wire::Body { content_type: String::new(), body: Some(json!(1)), body_base64: word() };
        holds("Body", &body);
        let usage = wire::Usage { cpu_ms: 0.5, gpu_ms: 0.5, tokens: 1, wall_ms: 0.5, memory_peak_bytes: 1 };
        holds("Usage", &usage);
        holds("Reply", &wire::Reply { id: String::new(), repeated: false, reply: body, usage });
        let line = Stamped { id: 1, time: 1, what: Spoken { level: "info".into(), text: "x".into() } };
        holds("Line", &line);
        holds("Log", &wire::Log { lost: 0, lines: vec![line] });
        let reason = wire::Reason { kind: String::new(), message: String::new(), details: Value::Null };
        holds("Reason", &reason);
        holds("Failure", &wire::Failure { error: reason });
        let skill = wire::Skill {
            name: String::new(),
            description: String::new(),
            input: Value::Null,
            output: Value::Null,
            tags: Vec::new(),
            examples: Vec::new(),
        };
        holds("Skill", &skill);
        let card = wire::Card {
            name: String::new(),
            version: String::new(),
            role: String::new(),
            description: String::new(),
            skills: vec![skill],
            tags: Vec::new(),
        };
        holds("Card", &card);
        let figures = Figures {
            version: String::new(),
            up_ms: 1,
            stopping: false,
            agents: vec![(State::Awake, 1)],
            capacity: 1,
            under_way: 0,
            sends: Sends::default(),
            swaps: hall::Swaps::default(),
            journal: 1,
            dead_letters: hall::Dead::default(),
            talk: hall::Talk::default(),
        };
        holds("Figures", &figures);
        holds("GivenUp", &figures.dead_letters);
        holds("Talk", &figures.talk);
        holds("Swaps", &figures.swaps);
        let group = GroupFigures {
            name: String::new(),
            within: None,
            agents: 0,
            limits: vec![(String::new(), String::new())],
            cpu_ms: 0.5,
            memory: 0,
        };
        holds("Group", &group);
        holds("Groups", &wire::Groups { groups: vec![group] });
        holds("BackupTo", &wire::BackupTo { folder: String::new() });
        let backup = hall::Backup { folder: String::new(), bytes: 1, blobs: 1, head: 1 };
        holds("Backup", &backup);
        let entry = hall::Entry {
            seq: 1,
            time: 1,
            what: String::new(),
            agent: String::new(),
            by: String::new(),
            details: Value::Null,
        };
        holds("Entry", &entry);
        holds("Entries", &hall::Entries { entries: vec![entry], last: 1, head: 1 });
        holds(
            "Verified",
            &hall::Verified { after: 0, head: 1, hash: String::new(), erased: 0, archives: 1, archived_from: None },
        );
        let letter = hall::DeadLetter {
            agent: String::new(),
            id: String::new(),
            from: String::new(),
            skill: String::new(),
            bytes: 1,
            attempts: 1,
            accepted: 1,
            given_up: 1,
            kind: String::new(),
            reason: String::new(),
        };
        holds("DeadLetter", &letter);
        holds("DeadLetters", &wire::DeadLetters { letters: vec![letter] });
        let plan = wire::NewVersion {
            shadow: Some(1),
            canary: word(),
            window: Some(1),
            max_failures: word(),
            max_p99: word(),
            within: word(),
            memory: word(),
            ..Default::default()
        };
        holds("NewVersion", &plan);
        let version = hall::VersionFigures { digest: String::new(), place: String::new(), time: None };
        holds("Version", &version);
        holds("Versions", &wire::Versions { versions: vec![version] });
        holds("Cancelled", &wire::Cancelled { cancelled: true });
        holds("Scale", &hall::Scale { serving: 1, min: 1, max: 1 });
        holds("NewScale", &wire::NewScale { min: 1, max: Some(1) });
        let held = 37;
        let others = 2
            + crate::records::schemas().len()
            + crate::mesh::schemas().len()
            + crate::models::schemas().len()
            + crate::spaces::schemas().len()
            + crate::votes::schemas().len();
        assert_eq!(
            all().len(),
            held + others,
            "and `Component` and `Fields`, which are of no type: hold a new one too"
        );
    }
}

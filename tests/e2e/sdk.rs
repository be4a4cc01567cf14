//! What `sdk/` gives an author: the template's agent, built as it is, in the sandbox.

use std::sync::LazyLock;

use guest::{Agent, Version, grants_needed};
use tests::{Village, ask, budget, grants, host, root};

/// The template's component. Built when the first asks for it.
static TEMPLATE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = root().join("sdk/template");
    let built = toolchain::build(&folder, toolchain::Wanted::Workspace, toolchain::Progress::Kept);
    let built = built.unwrap_or_else(|error| panic!("the template can't be built: {error}"));
    assert_eq!(built.len(), 1, "it is one agent");
    std::fs::read(&built[0].path).expect("what was built can be read")
});

async fn load(host: &Village) -> Version {
    host.0.load(&TEMPLATE).await.expect("it is a sound component")
}

async fn agent(host: &Village, open: &[&str]) -> Agent {
    host.0.start(&load(host).await, budget("memory=16MiB"), grants(open), None).expect("there is room")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_card_has_skills_with_schemas_from_the_types() {
    let host = host();
    let card = agent(&host, &[]).await.describe().await.expect("it lives").expect("it says what it is");
    assert_eq!((card.name.as_str(), card.version.as_str(), card.role.as_str()), ("my-agent", "0.1.0", "example"));
    assert_eq!(card.description, "Greets people, and remembers how often.");
    assert_eq!(card.skills.len(), 1);
    let greet = &card.skills[0];
    assert_eq!((greet.name.as_str(), greet.examples.as_slice()), ("greet", &[r#"{"name": "Ada"}"#.to_owned()][..]));
    let input = r#"{"type":"object","properties":{"name":{"description":"Who is to be greeted.","type":"string"}},"required":["name"],"additionalProperties":false}"#;
    assert_eq!(greet.input, input);
    assert!(greet.output.contains(r#""required":["text","times"]"#), "{}", greet.output);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_counts_in_its_state_and_a_failed_turn_counts_nothing() {
    let host = host();
    let agent = agent(&host, &["state", "log"]).await;
    let ada = |times: u32| Ok(format!(r#"{{"text":"Hello, Ada!","times":{times}}}"#));
    assert_eq!(ask(&agent, "greet", r#"{"name": "Ada"}"#).await, ada(1));
    assert_eq!(ask(&agent, "greet", r#"{"name": "Ada"}"#).await, ada(2));
    let empty = ask(&agent, "greet", r#"{"name": ""}"#).await.expect_err("nobody has no name");
    assert_eq!((empty.kind, empty.text.contains("`name` is empty")), ("invalid", true), "{empty}");
    // Its memory is gone with the turn that failed; its state is not.
    assert_eq!(ask(&agent, "greet", r#"{"name": "\u0041da"}"#).await, ada(3));
    let (lines, _) = agent.log();
    assert!(lines.iter().any(|line| line.text == "Ada greeted, time 3"), "{} lines", lines.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_can_not_read_or_reach_is_said_in_words() {
    let host = host();
    let agent = agent(&host, &[]).await;
    for (skill, payload, kind, text) in [
        ("greet", r#"{"name": 5}"#, "invalid", "`name` is the number 5, and is to be a string"),
        ("greet", r#"{"nmae": "Ada"}"#, "invalid", "`nmae` is not known; did you mean `name`?"),
        ("greet", "{", "invalid", "is not JSON at line 1, column 2"),
        ("greet", "", "invalid", "the input is empty"),
        ("gret", "{}", "unsupported", "no skill `gret`; did you mean `greet`?"),
        ("greet", r#"{"name": "Ada"}"#, "refused", "`state`"),
    ] {
        let no = ask(&agent, skill, payload).await.expect_err(payload);
        assert_eq!(no.kind, kind, "{payload}: {no}");
        assert!(no.text.contains(text), "{payload}: {no}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_imports_what_it_uses_and_is_small() {
    let host = host();
    let version = load(&host).await;
    let needed = grants_needed(version.shape());
    assert!(needed.contains(&"log") && needed.contains(&"state"), "{needed:?}");
    for other in ["budget", "random", "clock", "files", "http", "kernels", "model"] {
        assert!(!needed.contains(&other), "{needed:?}");
    }
    // 159 KB when this was written, the names of its functions included.
    assert!(TEMPLATE.len() < 180_000, "{} bytes", TEMPLATE.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_on_the_sdk_asks_listens_tells_and_creates() {
    let host = host();
    let version = host.load("kin").await;
    let named = |name: &str, open: &[&str]| {
        let limits = budget("memory=16MiB,children=1,deadline=5s");
        host.0.start_as(name, &version, limits, grants(open), None).expect("there is room")
    };
    let kin = named("kin", &["agents=a", "agents=b", "spawn", "state"]);
    let _others = [named("a", &[]), named("b", &[])];
    let all = ask(&kin, "gather", r#"["a", "b"]"#).await.expect("both answer");
    assert_eq!(all, r#"["hello from Sender::Agent(\"kin\")","hello from Sender::Agent(\"kin\")"]"#);
    let denied = ask(&kin, "gather", r#"["a", "c"]"#).await.expect_err("one was not granted");
    assert!(denied.kind == "refused" && denied.text.contains("`c`"), "{denied}");
    assert_eq!(ask(&kin, "listen", "a").await.as_deref(), Ok("123=3"));
    assert_eq!(ask(&kin, "grow", "").await.as_deref(), Ok("kin/helper"));
    assert_eq!(ask(&kin, "ask-helper", "").await.as_deref(), Ok("7"), "it was told, and has state of its own");
    assert_eq!(ask(&kin, "noted", "").await.as_deref(), Ok("null"));
    let wider = ask(&kin, "overreach", "").await.expect_err("it has no clock to hand on");
    assert!(wider.kind == "refused" && wider.text.contains("clock"), "{wider}");
}

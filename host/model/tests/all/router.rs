//! Who is asked, what happens when it fails, and what may never happen.

use crate::fake::{self, Fake};
use crate::scripted::{Scripted, down, fails, says};
use crate::suite::soon;
use model::{
    Allowance, Answer, Backend, Error, Grant, Listed, OpenAi, Policy, Price, Prompt, Request, Role, Router, Routing,
    Terms, Turn, Verdict,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const PLENTY: Allowance = Allowance { tokens: 1_000_000, retry_after: None };

fn grant(text: &str) -> Grant {
    Grant::parse(text.split(' ')).expect("a grant")
}

fn costs(read: u64, quality: u32) -> Terms {
    Terms { prices: vec![("*".into(), Price { read, write: 5 * read })], quality: vec![("*".into(), quality)] }
}

fn router(backends: Vec<(Arc<Scripted>, Terms)>) -> Router {
    let backends = backends.into_iter().map(|(backend, terms)| (backend as Arc<dyn Backend>, terms)).collect();
    Router::new(backends, Routing::default(), 7)
}

async fn asked(router: &Router, prompt: &Prompt, grant: &Grant) -> Result<Answer, Error> {
    let request = Request { agent: "a", prompt, grant, policy: None, until: soon(), allowance: PLENTY };
    router.complete(request, &mut ()).await
}

/// A prompt that has another answer each time, so that none is given again.
fn warm(text: &str) -> Prompt {
    Prompt { temperature: 700, ..Prompt::ask(text, 50) }
}

#[tokio::test]
async fn what_is_not_granted_is_not_reached_whatever_is_asked_for() {
    let near = Scripted::new("near", &["small"], true, says("here"));
    let far = Scripted::new("far", &["claude-x", "embed-x"], false, says("there"));
    let router = router(vec![(near.clone(), Terms::default()), (far.clone(), Terms::default())]);
    for (model, answer) in [
        ("", Ok("local/small")),
        ("*", Ok("local/small")),
        ("local/*", Ok("local/small")),
        ("local/small", Ok("local/small")),
        ("cloud/*", Err("no grant opens `cloud/*`")),
        ("cloud/claude-x", Err("no grant opens `cloud/claude-x`")),
        ("cloud/nobody", Err("no grant opens `cloud/nobody`")),
        ("local/nobody", Err("there is no model `local/nobody`")),
        ("claude-x", Err("`model`: a model is named such as local/llama3.2 or cloud/claude-*, or * for all")),
    ] {
        let prompt = Prompt { model: model.into(), ..warm("hello") };
        let said = asked(&router, &prompt, &grant("local/*")).await.map(|answer| answer.completion.model);
        assert_eq!(said.map_err(|error| error.to_string()), answer.map(Into::into).map_err(Into::into), "{model}");
    }
    let denied = asked(&router, &warm("hello"), &Grant::default()).await;
    assert_eq!(denied, Err(Error::Denied { model: "any model".into() }));
    assert_eq!(far.calls(), 0);
    let names = |listed: Vec<Listed>| listed.into_iter().map(|listed| listed.name).collect::<Vec<_>>();
    assert_eq!(names(router.models(&grant("local/*"), soon()).await), ["local/small"]);
    assert_eq!(names(router.models(&grant("cloud/* local/s*"), soon()).await).len(), 3);
    let texts = ["x".to_owned()];
    let all = grant("*");
    let embedded = router.embed("", &texts, false, &all, soon()).await.expect("one makes vectors");
    assert_eq!(embedded.0, "cloud/embed-x");
    let denied = router.embed("", &texts, true, &all, soon()).await;
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
    let denied = router.embed("cloud/embed-x", &texts, false, &grant("local/*"), soon()).await;
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
    assert_eq!(router.count("local/small", "four", false, &all, soon()).await.map(|counted| counted.tokens), Ok(4));
}

#[tokio::test]
async fn what_is_private_never_leaves_and_the_socket_knows() {
    let server = Fake::new(fake::openai).await;
    let far = model::Remote { passes_on: true, ..server.remote("far") };
    let far: Arc<dyn Backend> = Arc::new(OpenAi::new(far, &Default::default()));
    let near = Scripted::new("near", &["small"], true, fails(down()));
    let router = Router::new(vec![(far, Terms::default()), (near.clone(), Terms::default())], Routing::default(), 1);
    let all = grant("*");
    let open =
        asked(&router, &Prompt { model: "cloud/echo".into(), ..warm("marked") }, &all).await.expect("it answers");
    assert_eq!(open.completion.text, "marked");
    let listed = server.seen.lock().expect("not poisoned").len();
    for model in ["", "*", "cloud/*", "cloud/echo"] {
        let prompt = Prompt { private: true, model: model.into(), ..warm("secret") };
        assert!(asked(&router, &prompt, &all).await.is_err());
        let request = Request {
            agent: "a",
            prompt: &warm("secret"),
            grant: &all,
            policy: Some(Policy::Privacy),
            until: soon(),
            allowance: PLENTY,
        };
        assert!(router.complete(request, &mut ()).await.is_err());
    }
    assert_eq!(server.seen.lock().expect("not poisoned").len(), listed, "nothing came");
    assert!(near.calls() > 0);
}

#[tokio::test]
async fn each_policy_has_its_favourite_and_says_why() {
    let dear = Scripted::new("dear", &["best"], false, says("x").after(5));
    let cheap = Scripted::new("cheap", &["good"], false, says("x").after(60));
    let weak = Scripted::new("weak", &["poor"], false, says("x"));
    let own = Scripted::new("own", &["own"], true, says("x").after(30));
    let all = [(dear, costs(9000, 95)), (cheap, costs(1000, 94)), (weak, costs(10, 20)), (own, costs(0, 70))];
    let router = router(all.to_vec());
    let everything = grant("*");
    // So that it is known how fast each is.
    for model in ["cloud/best", "cloud/good", "cloud/poor", "local/own"] {
        for _ in 0..3 {
            asked(&router, &Prompt { model: model.into(), ..warm("hello") }, &everything).await.expect("it answers");
        }
    }
    for (policy, first) in [
        (Policy::Cost, "cloud/good"),
        (Policy::Balanced, "cloud/good"),
        (Policy::Speed, "cloud/best"),
        (Policy::Quality, "cloud/best"),
        (Policy::Privacy, "local/own"),
    ] {
        let prompt = warm("hello");
        let request = |policy| Request {
            agent: "a",
            prompt: &prompt,
            grant: &everything,
            policy: Some(policy),
            until: soon(),
            allowance: PLENTY,
        };
        let explained = router.explain(request(policy)).await.expect("it is explained");
        assert_eq!((explained.models[0].model.as_str(), explained.models[0].verdict), (first, Verdict::Asked(1)));
        assert_eq!(
            router.complete(request(policy), &mut ()).await.expect("it answers").completion.model,
            first,
            "{policy}"
        );
        if policy == Policy::Privacy {
            assert_eq!(explained.models[1].verdict, Verdict::Leaves);
            assert!(explained.to_string().contains("local/own   asked first"), "{explained}");
        }
    }
    let long = Prompt { private: false, ..warm(&"word ".repeat(20_000)) };
    let error = asked(&router, &long, &everything).await.expect_err("it is too long");
    assert!(matches!(error, Error::TooLong { .. }), "{error}");
}

#[tokio::test]
async fn the_next_one_answers_when_the_first_is_down_and_it_is_left_alone() {
    let first = Scripted::new("first", &["m"], false, fails(down()));
    let second = Scripted::new("second", &["m"], false, says("fine"));
    let router = router(vec![(first.clone(), costs(1, 90)), (second.clone(), costs(10_000, 90))]);
    let all = grant("*");
    for _ in 0..10 {
        assert_eq!(asked(&router, &warm("hello"), &all).await.expect("it answers").completion.text, "fine");
    }
    assert_eq!((first.calls(), second.calls()), (3, 10), "after three failures it rests");
    first.usually(says("back"));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let answer = asked(&router, &warm("hello"), &all).await.expect("it answers");
    assert!(["back", "fine"].contains(&answer.completion.text.as_str()));
    let figures = router.figures();
    assert_eq!((figures[0].calls.min(4), figures[0].failures, figures[1].failures), (figures[0].calls, 3, 0));
    assert_eq!(router.totals().failovers, 3);
}

#[tokio::test]
async fn a_stream_that_breaks_midway_loses_nothing() {
    let first = Scripted::new("first", &["m"], false, says("one two").then(down()));
    let second = Scripted::new("second", &["n"], false, says(" three four"));
    let all = grant("*");
    let both = vec![(first.clone(), costs(1, 90)), (second.clone(), costs(100, 90))];
    let pair = router(both.clone());
    let prompt = warm("count");
    let mut told = String::new();
    let request = Request { agent: "a", prompt: &prompt, grant: &all, policy: None, until: soon(), allowance: PLENTY };
    let answer = pair.complete(request, &mut told).await.expect("it answers");
    assert_eq!(
        (answer.completion.text.as_str(), told.as_str(), answer.calls),
        ("one two three four", "one two three four", 2)
    );
    let (_, continued) = second.asked.lock().expect("not poisoned")[0].clone();
    assert_eq!(continued.turns[1], Turn::new(Role::Assistant, "one two"));
    // One that begins anew although it was asked to go on.
    second.usually(says("one two three four"));
    first.usually(says("one two").then(down()));
    let pair = router(both);
    let mut told = String::new();
    let answer = pair.complete(request, &mut told).await.expect("it answers");
    assert_eq!((answer.completion.text.as_str(), told.as_str()), ("one two three four", "one two three four"));
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_not() {
    let one = Scripted::new("one", &["m"], false, says("fine"));
    let router = router(vec![(one.clone(), Terms::default())]);
    let all = grant("*");
    one.next(fails(down()));
    one.next(fails(Error::Broken { backend: "one".into(), why: "it ended midway".into() }));
    let answer = asked(&router, &warm("hello"), &all).await.expect("it answers");
    assert_eq!((answer.completion.text.as_str(), one.calls()), ("fine", 3));
    let refused = Error::Refused { backend: "one".into(), why: "no".into() };
    one.next(fails(refused.clone()));
    assert_eq!(asked(&router, &warm("hello"), &all).await, Err(refused));
    let key = Error::Key { backend: "one".into(), why: "status 401".into() };
    one.next(fails(key.clone()));
    assert_eq!(asked(&router, &warm("hello"), &all).await, Err(key));
    let rests = asked(&router, &warm("hello"), &all).await.expect_err("it rests");
    assert!(
        matches!(&rests, Error::NoBackend { .. }) && rests.retry_after() > Some(Duration::from_secs(50)),
        "{rests:?}"
    );
    assert_eq!(one.calls(), 5);
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_if_there_is_time() {
    let busy = |millis| fails(Error::Busy { backend: "a".into(), retry_after: Some(Duration::from_millis(millis)) });
    let one = Scripted::new("one", &["m"], false, says("fine"));
    let first = router(vec![(one.clone(), Terms::default())]);
    let all = grant("*");
    one.next(busy(400));
    let began = Instant::now();
    assert_eq!(asked(&first, &warm("hello"), &all).await.expect("it answers").completion.text, "fine");
    assert!(began.elapsed() >= Duration::from_millis(400));
    one.next(busy(60_000));
    let second = router(vec![(one.clone(), Terms::default())]);
    let began = Instant::now();
    let error = asked(&second, &warm("hello"), &all).await.expect_err("that is too long");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert!(began.elapsed() < Duration::from_secs(1), "it is said at once");
}

#[tokio::test]
async fn a_slow_one_is_outrun_and_dropped() {
    let slow = Scripted::new("slow", &["m"], false, says("slow").after(5));
    let quick = Scripted::new("quick", &["n"], false, says("quick").after(5));
    let router = router(vec![(slow.clone(), costs(1, 90)), (quick.clone(), costs(1000, 90))]);
    let all = grant("*");
    for _ in 0..10 {
        asked(&router, &warm("hello"), &all).await.expect("it answers");
    }
    assert_eq!((slow.calls(), quick.calls()), (10, 0));
    slow.next(says("slow").after(10_000));
    let began = Instant::now();
    let answer = asked(&router, &warm("hello"), &all).await.expect("it answers");
    assert_eq!((answer.completion.text.as_str(), answer.calls), ("quick", 2));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!((*slow.dropped.lock().expect("not poisoned"), router.totals().hedged), (1, 1));
}

#[tokio::test]
async fn one_that_is_gone_is_found_out_before_it_would_be_late() {
    let one = Scripted::new("one", &["m"], false, says("one").after(400));
    let other = Scripted::new("other", &["n"], false, says("other").after(1));
    let router = router(vec![(one.clone(), costs(1, 90)), (other.clone(), costs(1000, 90))]);
    let all = grant("*");
    for _ in 0..8 {
        asked(&router, &warm("hello"), &all).await.expect("it answers");
    }
    // It is there, if slow for once: nobody else is paid before it is late.
    one.next(says("one").after(10_000));
    let began = Instant::now();
    let answer = asked(&router, &warm("hello"), &all).await.expect("it answers");
    assert_eq!((answer.completion.text.as_str(), answer.calls), ("other", 2));
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    // What was outrun is doubted until it answers.
    asked(&router, &warm("hello"), &grant("cloud/m")).await.expect("it answers");
    one.usually(says("one").after(10_000));
    one.gone.store(true, std::sync::atomic::Ordering::Relaxed);
    let began = Instant::now();
    let answer = asked(&router, &warm("hello"), &all).await.expect("it answers");
    let took = began.elapsed();
    assert_eq!((answer.completion.text.as_str(), answer.calls), ("other", 2));
    assert!(took >= Duration::from_millis(200) && took < Duration::from_millis(400), "{took:?}");
}

#[tokio::test]
async fn a_deadline_holds_and_an_allowance_too() {
    let never = Scripted::new("never", &["m"], false, says("x").after(60_000));
    let router = router(vec![(never.clone(), Terms::default())]);
    let (all, prompt) = (grant("*"), warm("hello"));
    let request = |until, tokens| {
        let allowance = Allowance { tokens, retry_after: Some(Duration::from_secs(9)) };
        Request { agent: "a", prompt: &prompt, grant: &all, policy: None, until, allowance }
    };
    let began = Instant::now();
    let late = router.complete(request(began + Duration::from_millis(150), 1000), &mut ()).await;
    assert_eq!(late, Err(Error::Timeout));
    assert!(began.elapsed() < Duration::from_millis(1000));
    let calls = never.calls();
    let poor = router.complete(request(soon(), 51), &mut ()).await;
    assert_eq!(poor, Err(Error::Budget { retry_after: Some(Duration::from_secs(9)) }));
    assert_eq!(never.calls(), calls, "nobody is asked for what can't be paid");
    // Whoever leaves no time does not bring it to its rest.
    for _ in 0..5 {
        let hasty = router.complete(request(Instant::now() + Duration::from_millis(5), 1000), &mut ()).await;
        assert_eq!(hasty, Err(Error::Timeout));
    }
    never.usually(says("fine"));
    assert!(asked(&router, &warm("hello"), &all).await.is_ok());
}

#[tokio::test]
async fn the_same_prompt_is_answered_again_to_the_same_agent_unless_it_did_not_do() {
    let one = Scripted::new("one", &["m"], false, says("fine"));
    let router = router(vec![(one.clone(), costs(1000, 90))]);
    let all = grant("*");
    let prompt = Prompt::ask("hello", 50);
    let first = asked(&router, &prompt, &all).await.expect("it answers");
    let mut told = String::new();
    let request =
        |agent| Request { agent, prompt: &prompt, grant: &all, policy: None, until: soon(), allowance: PLENTY };
    let again = router.complete(request("a"), &mut told).await.expect("it answers");
    assert_eq!((again.cached, again.cost, told.as_str(), one.calls()), (true, 0, "fine", 1));
    assert_eq!((first.completion, first.cached, first.cost), (again.completion, false, 15_000));
    assert!(!router.complete(request("b"), &mut ()).await.expect("it answers").cached, "what one asks is no other's");
    router.feedback("a", "cloud/m", 10).expect("it is heard");
    assert!(!router.complete(request("a"), &mut ()).await.expect("it answers").cached);
    assert_eq!((router.totals().cached, one.calls()), (1, 3));
    assert_eq!(router.feedback("a", "cloud/n", 10), Err(Error::Unknown { model: "cloud/n".into() }));
    assert_eq!(router.feedback("c", "cloud/m", 10), Err(Error::Unknown { model: "cloud/m".into() }));
    assert!(matches!(router.feedback("a", "cloud/m", 101), Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_its_schema_is_not_passed_on() {
    let schema = "{\"properties\": {\"a\": {\"type\": \"integer\"}}}";
    let all = grant("*");
    let prompt = Prompt { schema: Some(schema.into()), ..warm("hello") };
    let first = Scripted::new("first", &["m"], false, says("{\"a\": \"1\"}"));
    let second = Scripted::new("second", &["n"], false, says("{\"a\": 1}"));
    let router = router(vec![(first.clone(), costs(1, 90)), (second.clone(), costs(100, 90))]);
    let mut told = String::new();
    let request = Request { agent: "a", prompt: &prompt, grant: &all, policy: None, until: soon(), allowance: PLENTY };
    let answer = router.complete(request, &mut told).await.expect("it answers");
    assert_eq!((answer.completion.text.as_str(), told.as_str()), ("{\"a\": 1}", "{\"a\": 1}"));
    assert_eq!((first.calls(), second.calls()), (1, 1));
}

#[tokio::test]
async fn shadows_answer_beside_and_only_where_they_may() {
    let main = Scripted::new("main", &["m"], false, says("fine"));
    let shadow = Scripted::new("shadow", &["s"], false, says("fine "));
    let backends: Vec<(Arc<dyn Backend>, Terms)> =
        vec![(main.clone(), costs(1, 95)), (shadow.clone(), costs(9000, 10))];
    let routing = Routing {
        shadow: Some("cloud/s".parse().expect("a pattern")),
        shadow_part: base::Part::ALL,
        ..Routing::default()
    };
    let router = Router::new(backends, routing, 1);
    asked(&router, &warm("hello"), &grant("cloud/m")).await.expect("it answers");
    asked(&router, &warm("hello"), &grant("*")).await.expect("it answers");
    let until = Instant::now() + Duration::from_secs(5);
    while router.totals().shadows == 0 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((router.totals().shadows, router.totals().agreed, shadow.calls()), (1, 1, 1));
}

#[tokio::test]
async fn what_agents_say_decides_who_is_asked_and_outlives_the_router() {
    let dear = Scripted::new("dear", &["big"], false, says("x"));
    let cheap = Scripted::new("cheap", &["small"], false, says("x"));
    let backends = || vec![(dear.clone(), costs(9000, 90)), (cheap.clone(), costs(100, 70))];
    let first = router(backends());
    let all = grant("*");
    for round in 0..400 {
        // The small one does well for short prompts, and never for long ones.
        let long = round % 2 == 1;
        let prompt =
            warm(if long { "a long prompt that is of another kind altogether, and hard as well" } else { "short" });
        let model = asked(&first, &prompt, &all).await.expect("it answers").completion.model;
        let score = if long && model == "cloud/small" { 0 } else { 100 };
        first.feedback("a", &model, score).expect("it is heard");
    }
    let second = router(backends());
    assert!(second.learn(&first.learned()));
    for router in [&first, &second] {
        let mut small = [0, 0];
        for round in 0..40 {
            let long = round % 2 == 1;
            let prompt =
                warm(if long { "a long prompt that is of another kind altogether, and hard as well" } else { "short" });
            let model = asked(router, &prompt, &all).await.expect("it answers").completion.model;
            small[usize::from(long)] += usize::from(model == "cloud/small");
        }
        assert!(small[0] >= 17 && small[1] <= 2, "{small:?}");
    }
}

#[tokio::test]
async fn dropping_a_call_stops_the_model() {
    let one = Scripted::new("one", &["m"], false, says("x").after(60_000));
    let router = router(vec![(one.clone(), Terms::default())]);
    let (all, prompt) = (grant("*"), warm("hello"));
    let call = asked(&router, &prompt, &all);
    assert!(tokio::time::timeout(Duration::from_millis(100), call).await.is_err());
    assert_eq!(*one.dropped.lock().expect("not poisoned"), 1);
}

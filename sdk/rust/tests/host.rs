//! The imports on a host for tests: shut unless opened, in one transaction with the turn, and as the contract says.

use std::time::Duration;

use serde_json::json;
use village::agents::{self, Delivery, Pending, Request};
use village::budget::{self, Allowance, Unit};
use village::device::{self, Load, Profile};
use village::kernels::{self, Tensor, Weights};
use village::ledger::{self, Refusal};
use village::mesh::{self, Found};
use village::model::{self, Completion, Finish, Prompt, Role};
use village::tasks::{self, Child, Progress, Task};
use village::test::{self, Answer, Host};
use village::{
    Error, Failure, FailureKind, Message, Payload, Priority, agent, http, log, memory, state, supervision, workspace,
};

fn is_denied<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Denied(_)))
}

#[test]
fn everything_is_shut_that_was_not_opened() {
    let moment = Duration::from_secs(1);
    let all_shut = || {
        assert!(is_denied(log::write(log::Level::Info, "line")));
        assert!(is_denied(state::get::<u32>("key")));
        assert!(is_denied(state::set("key", &1)));
        assert!(is_denied(state::swap("key", None, &1)));
        assert!(is_denied(state::delete("key")));
        assert!(state::scan::<u32>("").next().is_some_and(is_denied));
        assert!(is_denied(workspace::read("a", 0, 1)) && is_denied(workspace::read_all("a")));
        assert!(is_denied(workspace::write("a", "b")) && is_denied(workspace::append("a", "b")));
        assert!(is_denied(workspace::write_at("a", 0, "b")) && is_denied(workspace::truncate("a", 0)));
        assert!(is_denied(workspace::rename("a", "b")) && is_denied(workspace::remove("a")));
        assert!(is_denied(workspace::stat("a")) && workspace::files("").next().is_some_and(is_denied));
        assert!(is_denied(workspace::keep("a", "b")) && is_denied(workspace::get("a")));
        assert!(is_denied(workspace::version("a", 1)) && workspace::versions("a").next().is_some_and(is_denied));
        assert!(is_denied(workspace::prune("a", 1)) && is_denied(workspace::delete("a")));
        assert!(workspace::objects("").next().is_some_and(is_denied));
        assert!(is_denied(budget::list()) && is_denied(budget::remaining()));
        assert!(is_denied(agents::ask::<_, ()>("other", "skill", "input")));
        assert!(is_denied(agents::tell("other", "skill", "input")));
        assert!(is_denied(agents::cancel("1")) && is_denied(agents::emit("chunk")));
        assert!(is_denied(mesh::publish("topic", "text")) && is_denied(mesh::subscribe("topic")));
        assert!(is_denied(mesh::unsubscribe("topic")) && is_denied(mesh::find("skill", 1)));
        assert!(is_denied(Prompt::new("hello").complete()) && is_denied(model::embed("", &["text"])));
        assert!(is_denied(model::count("", "text")) && is_denied(model::models()));
        assert!(is_denied(model::feedback("", 1)));
        assert!(is_denied(memory::search("space", "query", &[], 1)) && is_denied(memory::forget("space", "source")));
        assert!(is_denied(memory::ingest("space", "source", "text", &[])));
        assert!(is_denied(memory::compress("text", "task", "", 1)));
        assert!(is_denied(Weights::open("file")) && is_denied(Tensor::from_f32(&[1], &[1.0])));
        assert!(is_denied(Task::new("kind", "input", moment).submit()) && is_denied(tasks::status("1")));
        assert!(is_denied(tasks::report(1)) && is_denied(tasks::withdraw("1")));
        assert!(is_denied(Child::new("child", moment).spawn()) && is_denied(tasks::retire("child")));
        assert!(is_denied(tasks::team(&["skill"], 1, moment)));
        assert!(is_denied(supervision::monitor("other")) && is_denied(supervision::demonitor("other")));
        assert!(is_denied(supervision::link("other")) && is_denied(supervision::unlink("other")));
        assert!(is_denied(ledger::balance()) && is_denied(ledger::history(None, 1)));
        assert!(matches!(ledger::transfer("other", 1, ""), Err(Refusal::Error(Error::Denied(_)))));
        assert!(matches!(ledger::reserve(1), Err(Refusal::Error(Error::Denied(_)))));
        assert!(is_denied(device::about()) && is_denied(device::now()));
        assert!(is_denied(http::get("https://a.example/")));
    };
    // Without a host, too.
    all_shut();
    Host::new().enter(all_shut);
    // What is open opens nothing else.
    Host::new().with_log().enter(|| assert!(is_denied(state::set("key", &1))));
    Host::new().with_agent("one", |_| Payload::default()).enter(|| {
        assert!(is_denied(agents::tell("other", "skill", "input")));
        assert!(agents::tell("one", "skill", "input").is_ok());
    });
    Host::new().with_memory(&["one"]).enter(|| assert!(is_denied(memory::search("other", "query", &[], 1))));
}

#[derive(Default)]
struct Busy;

#[agent(name = "busy")]
impl Busy {
    #[skill]
    fn work(&mut self, well: bool) -> Result<u64, Failure> {
        state::set("key", &1)?;
        let kept = agents::tell("other", "later", &7)?;
        let taken_back = agents::tell("other", "never", &8)?;
        assert!(agents::cancel(&taken_back)? && !agents::cancel(&taken_back)?);
        assert_ne!(kept, taken_back);
        mesh::publish("news", "all is well")?;
        mesh::subscribe("weather")?;
        ledger::transfer("other", 30, "thanks")?;
        Task::new("kind", "input", Duration::from_secs(1)).submit()?;
        Child::new("child", Duration::from_secs(1)).spawn()?;
        memory::ingest("notes", "a", "one\n\ntwo", &[])?;
        agents::emit("working")?;
        if well { Ok(ledger::balance()?) } else { Err(Failure::internal("it broke")) }
    }
}

fn busy() -> Host {
    let host = Host::new().with_state().with_mesh([]).with_ledger(100).with_tasks().with_spawn(1);
    host.with_memory(&["notes"]).with_agent("other", |_| Payload::default())
}

#[test]
fn a_turn_takes_effect_all_together_or_not_at_all() {
    let host = busy();
    let mut agent = test::agent::<Busy>(host.clone());

    agent.call("work", false).expect_err("it is told to fail");
    assert!(host.keys().is_empty() && host.told().is_empty() && host.published().is_empty());
    assert!(host.topics().is_empty() && host.tasks().is_empty() && host.children().is_empty());
    assert_eq!(host.enter(ledger::balance), Ok(100));
    assert_eq!(host.emitted(), [b"working"], "pieces leave at once");

    assert_eq!(agent.call("work", true), Ok(json!(70)));
    assert_eq!(host.kept::<u32>("key"), Some(1));
    let told = host.told();
    assert_eq!((told.len(), told[0].what.skill.as_str(), told[0].what.read::<u32>()), (1, "later", 7));
    assert_eq!(host.published()[0].topic, "news");
    assert_eq!((host.topics(), host.children()), (vec!["weather".to_owned()], vec!["agent/child".to_owned()]));
    assert_eq!(host.tasks()[0].1, "kind");

    agent.call("work", true).expect_err("there may be one child");
    assert_eq!(host.enter(ledger::balance), Ok(70));
}

#[test]
fn a_scan_goes_on_over_pages_and_stops_at_its_prefix() {
    let host = Host::new().with_state();
    host.enter(|| {
        for number in 0..300 {
            state::set(&format!("a/{number:03}"), &number).expect("there is room");
        }
        state::set("b", &0).expect("there is room");
        let all: Vec<(String, u32)> = state::scan("a/").collect::<Result<_, _>>().expect("the state is open");
        assert_eq!(all.len(), 300);
        assert!(all.iter().zip(0..).all(|((key, value), number)| *value == number && *key == format!("a/{number:03}")));
        assert_eq!(state::scan::<u32>("c").count(), 0);

        // More than a page of a megabyte.
        for number in 0..5 {
            state::raw::set(&format!("large/{number}"), &vec![b'1'; 400 << 10]).expect("there is room");
        }
        assert_eq!(state::raw::scan("large/").filter(Result::is_ok).count(), 5);
        let unreadable = state::scan::<bool>("a/").next();
        assert!(matches!(unreadable, Some(Err(Error::Unreadable(why))) if why.contains("a/000")));
    });
}

#[test]
fn what_was_changed_meanwhile_is_changed_again_and_not_for_ever() {
    Host::new().with_state().enter(|| {
        let mut tries = 0;
        let sum = state::update("key", |old: Option<u32>| {
            tries += 1;
            if tries == 1 {
                state::set("key", &10).expect("there is room");
            }
            old.unwrap_or(0) + 1
        });
        assert_eq!((sum, tries), (Ok(11), 2));

        let never = state::update("key", |old: Option<u32>| {
            state::set("key", &0).expect("there is room");
            old.unwrap_or(0) + 1
        });
        assert!(matches!(never, Err(Error::Conflict(_))));
        let entry = state::entry::<u32>("key").expect("the state is open").expect("there is a value");
        assert!(matches!(state::swap("key", Some(entry.version + 1), &5), Err(Error::Conflict(_))));
        assert!(matches!(state::swap("key", None, &5), Err(Error::Conflict(_))));
        let version = state::swap("key", Some(entry.version), &5).expect("nobody changed it");
        assert_ne!(version, entry.version);
        assert_eq!((state::delete("key"), state::delete("key")), (Ok(true), Ok(false)));
        assert!(matches!(state::set(&"k".repeat(513), &1), Err(Error::Invalid(_))));
    });
}

#[test]
fn answers_come_in_their_time_and_those_that_take_too_long_do_not() {
    let host = Host::new()
        .with_agent("quick", |asked| Payload::json(&asked.read::<u32>()))
        .with_agent("slow", |_| Answer::from(Payload::json(&2)).after(Duration::from_secs(5)).after_chunks(["a", "b"]))
        .with_agent("broken", |_| Failure::invalid("what?"))
        .with_agent("odd", |_| Payload::text("no JSON"));
    host.enter(|| {
        let ask = |name: &str| agents::ask::<_, u32>(name, "skill", &1).expect("it can be asked");
        let answers = agents::all(vec![ask("slow"), ask("quick")]);
        assert_eq!(answers, [Ok(2), Ok(1)]);

        // Pieces that nobody takes do not keep the others from being waited for.
        let mut asked: Vec<Pending<u32>> = vec![ask("slow"), ask("broken"), ask("quick")];
        let mut places = Vec::new();
        while let Some((place, _)) = agents::first(&mut asked) {
            places.push(place);
        }
        assert_eq!(places, [1, 1, 0], "the places in what is left");

        let mut slow = ask("slow");
        assert_eq!(std::iter::from_fn(|| slow.chunk()).collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(slow.wait(), Ok(2));

        let late = Request::to("slow").timeout(Duration::from_secs(1)).ask().expect("it can be asked");
        assert!(matches!(late.wait(), Err(Error::Timeout(_))));
        assert!(matches!(ask("odd").wait(), Err(Error::Unreadable(_))));
        let broken = ask("broken").wait().expect_err("it is broken");
        assert_eq!(Failure::from(broken).kind, FailureKind::Internal);

        let request = Request::to("quick").skill("count").priority(Priority::Urgent).payload("bytes");
        request.clone().tell_after(Duration::from_secs(3)).expect("it can be told");
        request.tell_at(std::time::UNIX_EPOCH + Duration::from_millis(7)).expect("it can be told");
    });
    let told = host.told();
    assert!(matches!((&told[0].when, &told[1].when), (Delivery::After(3000), Delivery::At(7))));
    assert_eq!((told[0].what.priority, told[0].what.payload.as_text()), (Priority::Urgent, Some("bytes")));
    assert_eq!(host.asked().iter().filter(|asked| asked.to == "slow").count(), 4);
}

#[test]
fn a_prompt_says_what_was_said_and_a_completion_comes_in_pieces() {
    let host = Host::new().with_model(|prompt| {
        assert_eq!((prompt.max_tokens, prompt.temperature, prompt.seed), (9, 250, Some(4)));
        assert_eq!((prompt.stop.as_slice(), prompt.private), (&["END".to_owned()][..], true));
        assert_eq!((prompt.turns.len(), prompt.tools[0].name.as_str()), (3, "add"));
        assert!(prompt.tools[0].parameters.contains("integer"));
        let calls = vec![model::Call { id: "1".into(), name: "add".into(), arguments: "[1, 2]".into() }];
        Ok(Completion { calls, finish: Finish::Calls, ..Completion::from("a b c") })
    });
    host.enter(|| {
        let prompt = Prompt::new("hello").system("be brief").say(Role::Assistant, "hm").max_tokens(9).temperature(0.25);
        let prompt = prompt.seed(4).stop("END").private().tool::<(i64, i64)>("add", "adds");
        let completion = prompt.complete().expect("the model is open");
        assert_eq!((completion.calls[0].read::<(i64, i64)>(), completion.tokens_in), (Ok((1, 2)), 4));
        let mut writing = prompt.write().expect("the model is open");
        assert_eq!(std::iter::from_fn(|| writing.text()).collect::<Vec<_>>(), ["a ", "b ", "c"]);
        assert!(matches!(writing.finish(), Ok(completion) if completion.text == "a b c"));

        let vectors = model::embed("", &["red apple", "Apple red", "stone"]).expect("the model is open");
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        assert!(dot(&vectors[0], &vectors[1]) > 0.99 && dot(&vectors[0], &vectors[2]) < 0.5);
        let name = &model::models().expect("the model is open")[0].name;
        assert_eq!((model::feedback(name, 100), model::count(name, "a b")), (Ok(()), Ok(2)));
        assert!(matches!(model::feedback("other", 1), Err(Error::NotFound(_))));
    });
}

#[derive(serde::Deserialize, village::Schema)]
struct Verdict {
    spam: bool,
}

#[test]
fn who_answers_in_another_form_is_told_so_once() {
    for (answers, good) in [(["{\"spam\": 3}", "{\"spam\": true}"], true), (["spam!", "spam!!"], false)] {
        let asked = std::rc::Rc::new(std::cell::Cell::new(0));
        let count = asked.clone();
        let host = Host::new().with_model(move |prompt| {
            let last = prompt.turns.last().map(|turn| turn.content.clone()).unwrap_or_default();
            assert_eq!(last.contains("can't be read"), count.get() == 1, "{last}");
            count.set(count.get() + 1);
            Ok(answers[count.get() - 1].to_owned())
        });
        let verdict = host.enter(|| Prompt::new("Is this spam?").answer::<Verdict>());
        assert_eq!((verdict.is_ok_and(|verdict| verdict.spam), asked.get()), (good, 2));
    }
}

#[test]
fn memory_finds_what_has_words_in_common() {
    Host::new().with_memory(&["notes"]).enter(|| {
        let text = "Apples are red.\n\nThe sky is blue.";
        assert_eq!(memory::ingest("notes", "a", text, &["fruit"]), Ok(2));
        assert_eq!(memory::ingest("notes", "b", "", &[]), Ok(0));
        let found = memory::search("notes", "is the sky red", &[], 5).expect("the space is open");
        assert_eq!((found.len(), found[0].text.as_str(), found[0].start), (2, "The sky is blue.", 17));
        assert!(found[0].score > found[1].score);
        assert_eq!(memory::search("notes", "sky", &["stone"], 5).map(|found| found.len()), Ok(0));
        assert_eq!((memory::forget("notes", "a"), memory::forget("notes", "a")), (Ok(true), Ok(false)));
        assert_eq!(memory::search("notes", "sky", &[], 5).map(|found| found.len()), Ok(0));
        assert_eq!(memory::compress("a b c", "", "", 2).as_deref(), Ok("a b"));
    });
}

#[test]
fn tensors_are_made_read_merged_and_compared() {
    let host = Host::new().with_weights("model.gguf", &[("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])]);
    host.with_kernels().enter(|| {
        let weights = Weights::open("model.gguf").expect("it is there");
        assert!(matches!(Weights::open("other"), Err(Error::NotFound(_))));
        assert_eq!(weights.names(), ["w"]);
        let a = weights.tensor("w").expect("it is there");
        let b = Tensor::from_f32(&[2, 2], &[3.0, 2.0, 1.0, 0.0]).expect("it fits");
        assert!(matches!(Tensor::from_f32(&[3], &[1.0]), Err(Error::Invalid(_))));
        let merged = kernels::merge("linear", &[&a, &b], None, &json!({"weight": [3.0, 1.0]})).expect("it fits");
        let merged = merged.wait().expect("it is merged");
        assert_eq!((merged.numbers(), merged.shape()), (Ok(vec![1.5, 2.0, 2.5, 3.0]), vec![2, 2]));
        let means = kernels::all(vec![kernels::merge("linear", &[&a, &b], None, &()).expect("it fits")]);
        assert_eq!(means.into_iter().flatten().map(|mean| mean.numbers()).collect::<Vec<_>>(), [Ok(vec![2.0; 4])]);
        assert_eq!(kernels::norm(&a), Ok(30f64.sqrt()));
        assert_eq!(kernels::distance(&a, &b), Ok(24f64.sqrt()));
        assert_eq!(kernels::cosine(&a, &a).map(|cosine| (cosine * 1e9).round()), Ok(1e9));
        assert_eq!(kernels::top(&b, 2), Ok(vec![(0, 3.0), (1, 2.0)]));
        assert_eq!(a.read(4, 4), Ok(2f32.to_le_bytes().to_vec()));
    });
}

#[test]
fn tasks_teams_tokens_and_figures() {
    let gauge = Allowance { name: "memory".to_owned(), limit: 100, used: 130, unit: Unit::Bytes };
    let profile = Profile { os: "linux".into(), arch: "x86_64".into(), cpus: 2, mhz: 0, memory: 1, gpu: None };
    let load = Load { cpu: 5, memory_free: 1, battery: Some(50), plugged: false, temperature: None };
    let found = Found {
        address: "poet@hill".into(),
        name: "poet".into(),
        version: "1".into(),
        skills: vec!["rhyme".into()],
        age: 1,
        load: 0,
        latency: 0,
    };
    let host = Host::new()
        .with_budget([gauge], Duration::from_millis(3))
        .with_device(profile, load)
        .with_mesh([found])
        .with_tasks()
        .with_team(&[("a", &["x"]), ("b", &["x"]), ("c", &["y"])])
        .with_ledger(10);
    host.enter(|| {
        assert_eq!(budget::allowance("memory").ok().flatten().map(|gauge| gauge.left()), Some(0));
        assert_eq!(budget::remaining(), Ok(Duration::from_millis(3)));
        assert_eq!(device::now().map(|load| load.battery), Ok(Some(50)));
        assert_eq!(device::about().map(|profile| profile.cpus), Ok(2));
        assert_eq!(mesh::find("rhyme", 3).map(|found| found.len()), Ok(1));
        assert_eq!(mesh::find("dance", 3).map(|found| found.len()), Ok(0));
        let moment = Duration::from_secs(1);
        assert_eq!(tasks::team(&["x", "y"], 2, moment), Ok(vec!["a".to_owned(), "c".to_owned()]));
        assert!(matches!(tasks::team(&["z"], 2, moment), Err(Error::Unavailable(_))));
        assert!(matches!(Task::new("kind", "", Duration::ZERO).submit(), Err(Error::Invalid(_))));

        let hold = ledger::reserve(6).expect("there are ten");
        assert_eq!((hold.amount(), ledger::balance()), (6, Ok(4)));
        drop(hold);
        assert_eq!(ledger::balance(), Ok(10));
        assert!(matches!(ledger::transfer("other", 11, ""), Err(Refusal::Insufficient(10))));
        ledger::transfer("other", 3, "thanks").expect("there are ten");
        let entries = ledger::history(None, 5).expect("the ledger is open");
        assert_eq!((entries.len(), entries[0].reason.as_str(), entries[0].amount), (1, "thanks", 3));
    });
    let id = host.enter(|| Task::new("kind", "", Duration::from_secs(1)).submit()).expect("tasks are open");
    host.set_progress(&id, Progress::Completed("done".into()));
    let done = host.enter(|| tasks::status(&id));
    assert!(matches!(done, Ok(Progress::Completed(payload)) if payload.as_text() == Some("done")));
    assert_eq!(host.enter(|| tasks::withdraw(&id)), Ok(false));
}

#[test]
fn the_web_answers_what_the_test_says() {
    let host = Host::new().with_http(|request| match request.url() {
        "https://a.example/down" => Err(Error::Unavailable("down".to_owned())),
        _ => Ok(http::Response::new(201, [request.method_name().as_bytes(), b" ", request.sent()].concat())),
    });
    host.enter(|| {
        let answer = http::post("https://a.example/x", &json!({"a": 1})).expect("it answers");
        assert_eq!((answer.status, answer.text()), (201, Ok(r#"POST {"a":1}"#)));
        assert!(matches!(http::get("https://a.example/down"), Err(Error::Unavailable(_))));
        let long = http::Request::put("https://a.example/x").body("12345").longest(8).send();
        assert!(matches!(long, Err(Error::Limit(_))));
        assert!(matches!(http::get("a.example"), Err(Error::Invalid(_))));
    });
}

#[derive(Default)]
struct Archivist;

#[agent(name = "archivist")]
impl Archivist {
    #[skill]
    fn file(&mut self, text: String, message: &Message) -> Result<u64, Failure> {
        workspace::append("log/all", &text)?;
        let number = workspace::keep("page", &text)?;
        if message.payload.body.starts_with(b"x") {
            return Err(Failure::internal("it broke"));
        }
        Ok(number)
    }
}

#[test]
fn a_workspace_takes_part_in_the_turn() {
    let host = Host::new().with_workspace();
    let mut agent = test::agent::<Archivist>(host.clone());
    agent.send("file", "x lost").expect_err("it is told to fail");
    assert_eq!((host.file("log/all"), host.object("page")), (None, None));
    agent.handle(Message { accepted: 77, ..test::message("file", "kept") }).expect("it is open");
    assert_eq!((host.file("log/all"), host.object("page")), (Some(b"kept".to_vec()), Some(b"kept".to_vec())));
    host.enter(|| {
        assert_eq!(
            workspace::stat("log/all").expect("it is open").map(|file| (file.size, file.modified)),
            Some((4, 77))
        );
    });
}

#[test]
fn files_grow_are_cut_and_move() {
    let host = Host::new().with_file("a", "0123456789").with_storage(4000);
    host.enter(|| {
        workspace::write_at("a", 12, "xy").expect("there is room");
        assert_eq!(workspace::read_all("a").as_deref(), Ok(&b"0123456789\0\0xy"[..]));
        workspace::truncate("a", 3).expect("it is there");
        workspace::truncate("a", 5).expect("there is room");
        assert_eq!(workspace::read("a", 1, 9).as_deref(), Ok(&b"12\0\0"[..]));
        assert_eq!(workspace::read("a", 9, 9).as_deref(), Ok(&b""[..]));
        workspace::write("b/c", "other").expect("there is room");
        workspace::rename("a", "b/c").expect("it is there");
        assert!(matches!(workspace::read("a", 0, 1), Err(Error::NotFound(_))));
        assert_eq!(workspace::stat("b/c").expect("it is open").map(|file| file.size), Some(5));
        assert_eq!((workspace::remove("b/c"), workspace::remove("b/c")), (Ok(true), Ok(false)));
        for path in ["", "/a", "a/", "a//b", "./a", "a/..", "a\nb", &"x".repeat(256), &"x/".repeat(300)] {
            assert!(matches!(workspace::write(path, ""), Err(Error::Invalid(_))), "{path:?}");
        }
        let full = |result: Result<(), Error>| matches!(result, Err(Error::Limit(limit)) if limit.what == "storage");
        assert!(full(workspace::write("large", vec![0; 3900])));
        assert!(workspace::stat("large").expect("it is open").is_none());
        workspace::write("large", vec![0; 3800]).expect("there is room");
        assert!(full(workspace::truncate("large", 1 << 40)) && full(workspace::write_at("large", 1 << 39, "x")));
        assert!(full(workspace::rename("large", &format!("longer/{}", "x".repeat(200)))));
        assert!(matches!(workspace::truncate("large", 1 << 50), Err(Error::Invalid(_))));
    });
}

#[test]
fn lists_go_on_over_pages() {
    let host = Host::new().with_workspace();
    host.enter(|| {
        for number in 0..300 {
            workspace::write(&format!("a/{number:03}"), "").expect("there is room");
            workspace::keep("page", number.to_string()).expect("there is room");
            workspace::keep(&format!("o/{number:03}"), "x").expect("there is room");
        }
        let paths: Vec<_> = workspace::files("a").map(|file| file.expect("it is open").path).collect();
        assert!(paths.len() == 300 && paths.is_sorted());
        let versions: Vec<_> = workspace::versions("page").map(|version| version.expect("it is open").number).collect();
        assert!(versions.len() == 300 && versions.is_sorted());
        assert_eq!(workspace::version("page", versions[7]), Ok(Some(b"7".to_vec())));
        assert_eq!((workspace::objects("o/").count(), workspace::objects("").count()), (300, 301));
        assert_eq!((workspace::prune("page", 100), workspace::prune("page", 100)), (Ok(200), Ok(0)));
        assert_eq!(workspace::delete("page"), Ok(true));
        assert!(workspace::keep("page", "again").expect("there is room") > versions[299], "no number is given twice");
    });
}

//! Agents of several villages: what one tells another has its effects once, in order, whatever falls; and only what is open.

use agents::{ARRIVED, DEAD, MAIL, OUTBOX, REPLIES};
use std::collections::BTreeMap;
use std::time::Duration;
use tests::abroad::{Place, places, seed, until};
use tests::lasting::EAGER;
use tests::message;

fn order(to: &str, text: &str, fail: u32) -> String {
    format!(r#"{{"to":"{to}","text":"{text}","fail":{fail}}}"#)
}

/// An agent that runs `herald`, with these grants.
async fn herald(place: &Place, name: &str, open: &[&str]) {
    let village = place.village();
    let version = village.host.load(tests::guest("herald")).await.unwrap_or_else(|error| panic!("{error}"));
    village.enrol_with(name, version, EAGER, open);
    place.serve();
}

/// What a clerk or a herald has kept, once there are so many lines.
async fn lines(place: &Place, name: &str, count: usize) -> Vec<String> {
    place.village().lines_when(name, count).await
}

/// How many rows of what is on its way are left.
fn waiting(place: &Place) -> usize {
    place.village().books.store().read().scan(OUTBOX.all(), None, usize::MAX).expect("it can be read").len()
}

async fn no(place: &Place, name: &str, skill: &str, body: &str) -> String {
    place.village().post(name, skill, body).await.expect_err("it is refused").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_two_villages_tell_and_ask_each_other() {
    let all = places(2, seed()).await;
    let (here, there) = (&all[0], &all[1]);
    here.clerks(&["ada"]).await;
    there.clerks(&["bob"]).await;
    herald(there, "hermes", &["state", "public"]).await;
    herald(here, "iris", &["state", "agents=*@*"]).await;
    let (bob, hermes) = (there.address("bob"), there.address("hermes"));
    let village = here.village();

    assert_eq!(village.post("ada", "pass", &order(&bob, "one", 0)).await.expect("it is told"), "1");
    assert_eq!(lines(there, "bob", 1).await, ["one"]);
    let asked = village.post("ada", "ask", &order(&bob, "two", 0)).await.expect("it is answered");
    assert_eq!((asked.as_str(), lines(there, "bob", 2).await.len()), ("2", 2));
    assert_eq!(lines(here, "ada", 2).await, ["one", "two at 2"]);

    // Who asks is named with its village, whatever it says.
    let greeted = village.post("iris", "greet", &order(&hermes, "x", 0)).await.expect("it is answered");
    assert!(greeted.contains(&format!("iris@{}", here.peer())), "{greeted}");
    // A village is known by what only it begins with.
    let other = here.peer().to_base58();
    let peer = there.peer().to_base58();
    let shared = peer.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let short = format!("bob@{}", &peer[..=shared]);
    assert_eq!(village.post("ada", "pass", &order(&short, "three", 0)).await.expect("it is told"), "3");
    assert_eq!(lines(there, "bob", 3).await[2], "three");
    // A timer goes there too; and a village may be called as people are shown it.
    let shown = mesh::short(&peer);
    let later = format!(r#"{{"to":"bob@{shown}","text":"four","millis":30}}"#);
    village.post("ada", "later", &later).await.expect("it is told later");
    assert_eq!(lines(there, "bob", 4).await[3], "four");

    until("all is settled", || async { waiting(here) == 0 }).await;
    until("what is settled need not be known", || async {
        let read = there.village().books.store().read();
        let replies = read.scan(REPLIES.all(), None, 9).expect("it can be read");
        read.scan(ARRIVED.all(), None, 9).expect("it can be read").is_empty() && replies.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ask_that_is_tried_again_gets_the_recorded_reply() {
    let all = places(2, seed()).await;
    let (here, there) = (&all[0], &all[1]);
    here.clerks(&["ada"]).await;
    there.clerks(&["bob"]).await;
    let bob = there.address("bob");
    let answer = here.village().post("ada", "ask", &order(&bob, "once", 3)).await.expect("the fourth try ends well");
    assert_eq!(answer, "1");
    assert_eq!(lines(there, "bob", 1).await, ["once"], "it was handled once");
    assert_eq!(lines(here, "ada", 1).await, ["once at 1"]);
    // A turn that is not kept asks once, and what fails there is said.
    assert_eq!(here.village().fast("ada", "ask", &order(&bob, "fast", 0)).await.expect("it is answered"), "2");
    let failed = no(here, "ada", "relay", &order(&bob, "nobody", 0)).await;
    assert!(failed.contains("not-found") || failed.contains("nobody"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_granted_and_open_is_reached_in_another_village() {
    let all = places(2, seed()).await;
    let (here, there) = (&all[0], &all[1]);
    there.clerks(&["bob"]).await;
    herald(there, "shut", &["state", "agents=*@*"]).await;
    herald(here, "near", &["state", "agents=*", "mesh=*"]).await;
    herald(here, "far", &["state", "agents=*@*"]).await;
    herald(here, "one", &["state", &format!("agents=bob@{}", there.peer())]).await;
    let (bob, shut) = (there.address("bob"), there.address("shut"));

    // `*` is this village alone.
    let refused = no(here, "near", "greet", &order(&bob, "x", 0)).await;
    assert!(refused.contains(&format!("no grant `agents` covers `{bob}`")), "{refused}");
    let refused = no(here, "one", "greet", &order(&shut, "x", 0)).await;
    assert!(refused.contains("no grant `agents` covers"), "{refused}");
    // Whoever is not open says so, and so does a village that is not there.
    let refused = no(here, "far", "greet", &order(&shut, "x", 0)).await;
    assert!(refused.contains("no grant `public`"), "{refused}");
    let refused = no(here, "far", "greet", &order(&there.address("nobody"), "x", 0)).await;
    assert!(refused.contains("there is no agent `nobody`"), "{refused}");
    let stranger = mesh::PeerId::random();
    let refused = no(here, "far", "greet", &order(&format!("bob@{stranger}"), "x", 0)).await;
    assert!(refused.contains(&format!("no village `{stranger}`")), "{refused}");
    for (address, said) in [("bob@", "is no address"), ("b b@12D3", "is no address"), ("bob@zzz", "begins with `zzz`")]
    {
        let refused = no(here, "far", "greet", &order(address, "x", 0)).await;
        assert!(refused.contains(said), "{address}: {refused}");
    }
    let own = no(here, "far", "greet", &order(&here.address("near"), "x", 0)).await;
    assert!(own.contains("is in this village"), "{own}");
    // What runs without a mesh says that.
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let alone = tests::lasting::Lasting::open(folder.path()).await;
    alone.enrol_guest("far", "herald", "deadline=5s", &["state", "agents=*@*"]).await;
    let refused = alone.post("far", "greet", &order(&bob, "x", 0)).await.expect_err("nobody is there").to_string();
    assert!(refused.contains("no mesh"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_and_refused_for_good_is_a_dead_letter_of_its_sender() {
    let all = places(2, seed()).await;
    let (here, there) = (&all[0], &all[1]);
    here.clerks(&["ada"]).await;
    herald(there, "shut", &["state"]).await;
    let (shut, nobody) = (there.address("shut"), there.address("nobody"));
    for address in [&shut, &nobody] {
        here.village().post("ada", "pass", &order(address, "x", 0)).await.expect("it is on its way");
    }
    let dead = |address: &str| {
        let read = here.village().books.store().read();
        read.scan(DEAD.under(address), None, 9).expect("it can be read").into_iter().map(|(_, dead)| dead).next()
    };
    until("both came back", || async { dead(&shut).is_some() && dead(&nobody).is_some() }).await;
    let (first, second) = (dead(&shut).expect("it is there"), dead(&nobody).expect("it is there"));
    assert_eq!((first.kind.as_str(), second.kind.as_str()), ("denied", "unknown-agent"));
    assert!(first.reason.contains("no grant `public`") && first.mail.skill == "note", "{first:?}");
    assert_eq!(waiting(here), 0, "they are not tried any more");
    assert!(there.village().lines("shut").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_and_received_is_within_the_budget() {
    let all = places(2, seed()).await;
    let (here, there) = (&all[0], &all[1]);
    there.clerks(&["bob"]).await;
    here.serve();
    let limits = "deadline=5s,memory=12MiB,mesh=2KiB/s";
    here.village().enrol_guest("thrifty", "clerk", limits, &["state", "agents=*@*", "public"]).await;
    here.village()
        .enrol_guest("quiet", "clerk", "deadline=5s,memory=12MiB,messages=1/s", &["state", "agents=*@*"])
        .await;
    let bob = there.address("bob");
    let long = "x".repeat(1_200);
    here.village().fast("thrifty", "pass", &order(&bob, &long, 0)).await.expect("there is room for one");
    let refused =
        here.village().fast("thrifty", "pass", &order(&bob, &long, 0)).await.expect_err("and no more").to_string();
    assert!(refused.contains("mesh"), "{refused}");
    let used = tests::used(&here.village().agent("thrifty"), "mesh");
    assert!(used > 500, "it is read back: {used}");
    here.village().fast("quiet", "pass", &order(&bob, "x", 0)).await.expect("there is room for one");
    let refused =
        here.village().fast("quiet", "pass", &order(&bob, "x", 0)).await.expect_err("and no more").to_string();
    assert!(refused.contains("messages"), "{refused}");
    let huge = "x".repeat(1 << 20);
    let refused =
        here.village().fast("quiet", "pass", &order(&bob, &huge, 0)).await.expect_err("it is too large").to_string();
    assert!(refused.contains("at most"), "{refused}");

    // What comes from elsewhere counts as well: it waits at its sender, and nothing of it is lost.
    there
        .village()
        .enrol_guest("eve", "clerk", "deadline=5s,memory=12MiB,mesh=64KiB/s", &["state", "agents=*@*"])
        .await;
    let thrifty = here.address("thrifty");
    let begun = std::time::Instant::now();
    for n in 0..5 {
        let text = format!("{n}{long}");
        there.village().post("eve", "pass", &order(&thrifty, &text, 0)).await.expect("it is on its way");
    }
    until("all five are there", || async { here.village().lines("thrifty").await.len() == 1 + 5 }).await;
    assert!(begun.elapsed() > Duration::from_millis(1_500), "7 KiB at 2 KiB a second: {:?}", begun.elapsed());
    let order: Vec<_> = here.village().lines("thrifty").await[1..].iter().map(|line| line[..1].to_string()).collect();
    assert_eq!(order, ["0", "1", "2", "3", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_holds_messages_up_and_loses_none() {
    let seed = seed();
    let all = places(2, seed).await;
    let (here, there) = (&all[0], &all[1]);
    here.clerks(&["ada"]).await;
    there.clerks(&["bob"]).await;
    let bob = there.address("bob");
    for place in &all {
        place.weather.lose(0.1);
        place.weather.double(0.2);
        place.weather.delay(Duration::from_millis(30));
    }
    here.weather.cut([there.peer()]);
    there.weather.cut([here.peer()]);
    until("they are apart", || async { here.mesh().links().await.is_ok_and(|links| links.is_empty()) }).await;
    for n in 0..30 {
        here.village().post("ada", "pass", &order(&bob, &n.to_string(), 0)).await.expect("it is told");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(there.village().lines("bob").await.is_empty(), "there is no way");
    assert_eq!(waiting(here), 30);
    here.weather.cut([]);
    there.weather.cut([]);
    until("all are there", || async { there.village().lines("bob").await.len() >= 30 }).await;
    let wanted: Vec<_> = (0..30).map(|n| n.to_string()).collect();
    assert_eq!(there.village().lines("bob").await, wanted, "seed {seed}: each once, in order");
    until("all is settled", || async { waiting(here) == 0 }).await;
    assert_eq!(there.village().lines("bob").await, wanted, "seed {seed}: and nothing again");
}

/// How often each number is among a clerk's lines.
async fn counts(place: &Place, name: &str) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for line in place.village().lines(name).await {
        *counts.entry(line.split(' ').next().unwrap_or_default().to_string()).or_insert(0) += 1;
    }
    counts
}

async fn settled(all: &[Place]) {
    until("nothing is on its way, and nothing waits", || async {
        all.iter().all(|place| {
            let read = place.village().books.store().read();
            waiting(place) == 0 && read.scan(MAIL.all(), None, 1).is_ok_and(|rows| rows.is_empty())
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_between_villages_have_their_effects_once_whenever_either_falls() {
    let seed = seed();
    let mut chance = seed | 1;
    let mut below = move |most: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % most
    };
    let mut all = places(2, seed).await;
    let names = ["ada", "bob"];
    for (place, name) in all.iter().zip(names) {
        // Nobody who asks is asked: two that wait for each other would do so until their deadline.
        place.clerks(&[name, "eve"]).await;
        place.weather.lose(0.05);
        place.weather.double(0.1);
    }
    let addresses = all.iter().map(|place| place.address("eve")).collect::<Vec<_>>();
    let (mut accepted, mut number, mut cuts) = ([Vec::new(), Vec::new()], 0_u64, 0);
    for round in 0..16 {
        let victim = below(3) as usize;
        if victim < 2 {
            all[victim].disk.cut_power_after(3 + below(25));
        }
        let mut on_their_way = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let from = below(2) as usize;
            let text = format!("{number}");
            number += 1;
            let skill = if below(5) == 0 { "ask" } else { "pass" };
            let order = order(&addresses[1 - from], &text, u32::from(below(5) == 0));
            let agent = all[from].village().agent(names[from]);
            let sent = on_their_way.spawn(async move {
                let kept = agent.post(message(skill, &order)).await.is_ok();
                (from, text, kept)
            });
            drop(sent);
            if below(4) == 0 {
                tokio::time::sleep(Duration::from_millis(below(8))).await;
            }
        }
        let sending = async {
            while let Some(Ok((from, text, kept))) = on_their_way.join_next().await {
                if kept {
                    accepted[from].push(text);
                }
            }
        };
        // Whoever has no power answers nobody.
        let _ = tokio::time::timeout(Duration::from_secs(1), sending).await;
        drop(on_their_way);
        if victim < 2 {
            for _ in 0..40 {
                if all[victim].disk.is_dead() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            cuts += u32::from(all[victim].disk.is_dead());
            all[victim].fall().await;
            let disk = &all[victim].disk;
            let disk = if below(3) == 0 { disk.restart() } else { disk.power_cycle(below(u64::MAX)) };
            assert!(all[victim].rise(disk).await, "seed {seed}, round {round}: it does not open");
            all[victim].clerks(&[names[victim], "eve"]).await;
            for name in [names[victim], "eve"] {
                all[victim].village().agent(name);
            }
        }
    }
    assert!(cuts > 2, "seed {seed}: the power failed in the midst of it {cuts} times");
    settled(&all).await;
    for from in [0, 1] {
        let sent = counts(&all[from], names[from]).await;
        let came = counts(&all[1 - from], "eve").await;
        for text in &accepted[from] {
            assert_eq!((sent.get(text), came.get(text)), (Some(&1), Some(&1)), "seed {seed}: {text} of {number}");
        }
        assert_eq!(sent, came, "seed {seed}: what one did without the other");
        assert!(sent.values().all(|count| *count == 1), "seed {seed}: {sent:?}");
    }
    assert!(accepted.iter().map(Vec::len).sum::<usize>() > 60, "seed {seed}: most were accepted: {accepted:?}");
    for place in &all {
        place.village().books.store().read().verify().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_reaches_all_who_follow_and_only_when_the_turn_ends_well() {
    let all = places(3, seed()).await;
    for (place, name) in all.iter().zip(["ada", "bob", "eve"]) {
        herald(place, name, &["state", "mesh=topic/prices/*", "public"]).await;
    }
    herald(&all[0], "deaf", &["state"]).await;
    let (here, there) = (all[0].village(), all[1].village());
    let topic = "prices/tea";
    let refused = no(&all[0], "deaf", "publish", &order(topic, "x", 0)).await;
    assert!(refused.contains("no grant `mesh` covers `topic/prices/tea`"), "{refused}");
    let refused = no(&all[0], "ada", "follow", &order("news", "x", 0)).await;
    assert!(refused.contains("no grant `mesh` covers `topic/news`"), "{refused}");

    // The second try follows it, the first leaves nothing.
    there.post("bob", "follow", &order(topic, "", 1)).await.expect("it follows");
    all[2].village().post("eve", "follow", &order(topic, "", 0)).await.expect("it follows");
    here.post("ada", "follow", &order(topic, "", 0)).await.expect("it follows");
    // Who follows is known to others a moment later.
    tokio::time::sleep(Duration::from_millis(800)).await;
    here.post("ada", "publish", &order(topic, "5", 2)).await.expect("the third try ends well");
    here.post("ada", "publish", &order(topic, "6", 0)).await.expect("it is published");
    for (place, name) in all.iter().zip(["ada", "bob", "eve"]) {
        assert_eq!(lines(place, name, 2).await, ["prices/tea: 5", "prices/tea: 6"], "{name}");
    }
    assert_eq!(there.post("bob", "leave", &order(topic, "", 0)).await.expect("it leaves"), "true");
    assert_eq!(there.post("bob", "leave", &order(topic, "", 0)).await.expect("it has left"), "false");
    here.post("ada", "publish", &order(topic, "7", 0)).await.expect("it is published");
    assert_eq!(lines(&all[2], "eve", 3).await[2], "prices/tea: 7");
    assert_eq!(there.lines("bob").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_followed_after_a_restart_too_and_what_came_before_comes_once() {
    let mut all = places(2, seed()).await;
    for (place, name) in all.iter().zip(["ada", "bob"]) {
        herald(place, name, &["state", "mesh=*", "public"]).await;
    }
    all[1].village().post("bob", "follow", &order("news", "", 0)).await.expect("it follows");
    tokio::time::sleep(Duration::from_millis(800)).await;
    all[0].village().post("ada", "publish", &order("news", "one", 0)).await.expect("it is published");
    assert_eq!(lines(&all[1], "bob", 1).await, ["news: one"]);
    all[1].fall().await;
    let disk = all[1].disk.restart();
    assert!(all[1].rise(disk).await);
    herald(&all[1], "bob", &["state", "mesh=*", "public"]).await;
    until("they are linked", || async {
        all[0].mesh().links().await.is_ok_and(|links| links.iter().any(|link| link.peer == all[1].peer()))
    })
    .await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    all[0].village().post("ada", "publish", &order("news", "two", 0)).await.expect("it is published");
    assert_eq!(lines(&all[1], "bob", 2).await, ["news: one", "news: two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_skill_is_found_and_the_next_best_is_asked() {
    let all = places(3, seed()).await;
    herald(&all[0], "ada", &["state", "mesh=skill/whoami"]).await;
    herald(&all[0], "deaf", &["state", "mesh=skill/other", "agents=*@*"]).await;
    herald(&all[1], "bob", &["state", "public"]).await;
    let card = |agent: &str, load| mesh::Card {
        agent: agent.into(),
        version: "2.3.4".into(),
        skills: vec!["whoami".into(), "greet".into()],
        load,
    };
    // The one that would be best is not there.
    all[2].serve();
    all[2].mesh().advertise(vec![card("gone", 0)]).await.expect("it is said");
    all[1].mesh().advertise(vec![card("bob", 50)]).await.expect("it is said");
    let found = async || {
        let found = all[0].village().fast("ada", "find", "whoami").await.expect("it looks");
        serde_json::from_str::<Vec<String>>(&found).expect("a list")
    };
    until("both are found", || async { found().await.len() == 2 }).await;
    let (gone, bob) = (all[2].address("gone"), all[1].address("bob"));
    assert_eq!(found().await, [format!("{gone} 2.3.4 2"), format!("{bob} 2.3.4 2")]);
    // It asks the same at each try, so the one that answered first answers again, once.
    let answer = all[0].village().post("ada", "seek", &order("", "x", 2)).await.expect("it is answered");
    assert!(answer.contains(&format!("ada@{}", all[0].peer())), "{answer}");
    assert_eq!(lines(&all[1], "bob", 1).await.len(), 1, "it was handled once");
    let refused = no(&all[0], "deaf", "seek", &order("", "x", 0)).await;
    assert!(refused.contains("no grant `mesh` covers `skill/whoami`"), "{refused}");
    let read = all[0].village().books.store().read();
    assert!(
        read.scan(REPLIES.all(), None, 9).expect("it can be read").is_empty(),
        "what was chosen goes with the turn"
    );
}

use super::*;

const SECOND: u64 = 1_000_000_000;

fn fallen(kin: &Kin, name: &str) -> Vec<String> {
    kin.fall(name, "trap", SECOND).fallen.into_iter().map(|(name, _)| name).collect()
}

fn family(strategy: Strategy) -> Kin {
    let kin = Kin::default();
    kin.plan("p", Some(Supervision { strategy, restarts: 2, within: Duration::from_secs(10) }));
    // By place, not by name.
    for (place, member) in [(3, "p/a"), (1, "p/b"), (2, "p/c"), (4, "p/d")] {
        kin.join("p", member, place);
    }
    kin
}

#[test]
fn links_bind_both_ends_and_go_on_through_cycles_once() {
    let kin = Kin::default();
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("x", "y")] {
        kin.tie(&Tie::Link, from, to);
    }
    assert_eq!(fallen(&kin, "a"), ["b", "c", "d"]);
    assert_eq!(fallen(&kin, "d"), ["c", "a", "b"]);
    assert_eq!(fallen(&kin, "y"), ["x"]);
    kin.untie(&Tie::Link, "d", "c");
    assert_eq!(fallen(&kin, "d"), Vec::<String>::new());
    assert_eq!((kin.made("a"), kin.made("b"), kin.made("d")), (1, 1, 0));
    kin.forget("c");
    assert_eq!((fallen(&kin, "a"), kin.made("b")), (vec!["b".to_string()], 0));
}

#[test]
fn watchers_are_told_once_of_each_and_only_they() {
    let kin = Kin::default();
    kin.tie(&Tie::Monitor, "w", "a");
    kin.tie(&Tie::Monitor, "w", "a");
    kin.tie(&Tie::Monitor, "w", "b");
    kin.tie(&Tie::Link, "a", "b");
    let news: Vec<_> = kin.fall("a", "trap", 1).news.into_iter().map(|news| (news.to, news.agent, news.what)).collect();
    let w = || "w".to_string();
    assert_eq!(
        news,
        [(w(), "a".into(), What::Broke("trap".into())), (w(), "b".into(), What::Fell("a".into()))],
        "the one that is watched hears nothing"
    );
    kin.untie(&Tie::Monitor, "w", "a");
    assert_eq!(kin.news("a", &What::Stopped), []);
    assert_eq!(kin.news("b", &What::Removed).len(), 1);
    assert_eq!((kin.has(&Tie::Monitor, "w", "b"), kin.has(&Tie::Monitor, "b", "w")), (true, false));
}

#[test]
fn each_strategy_has_those_begin_anew_that_it_says() {
    assert_eq!(fallen(&family(Strategy::OneForOne), "p/c"), Vec::<String>::new());
    assert_eq!(fallen(&family(Strategy::OneForAll), "p/c"), ["p/b", "p/a", "p/d"]);
    assert_eq!(fallen(&family(Strategy::RestForOne), "p/c"), ["p/a", "p/d"]);
    let kin = family(Strategy::OneForAll);
    kin.plan("p", None);
    assert_eq!(fallen(&kin, "p/c"), Vec::<String>::new(), "nobody says how");
}

#[test]
fn a_family_that_breaks_too_often_is_left_alone_and_its_creator_has_failed() {
    let kin = family(Strategy::OneForOne);
    kin.tie(&Tie::Monitor, "w", "p");
    kin.tie(&Tie::Link, "p", "friend");
    for at in [1, 2] {
        assert_eq!(kin.fall("p/a", "trap", at * SECOND).given_up, []);
    }
    let fall = kin.fall("p/b", "trap", 3 * SECOND);
    let members: Vec<_> = ["p/b", "p/c", "p/a", "p/d"].map(String::from).to_vec();
    assert_eq!(fall.given_up, [("p".into(), members, Duration::from_secs(1))]);
    let (b, second) = ("p/b".to_string(), Duration::from_secs(1));
    let gave_up = News { to: "p".into(), agent: b.clone(), what: What::GaveUp(b, second) };
    let told = News { to: "w".into(), agent: "p".into(), what: What::Broke("family".into()) };
    assert_eq!(fall.news, [gave_up, told]);
    assert_eq!(fall.fallen, [("friend".into(), "p".into())], "and so on through its links");
    for at in [4, 5, 6] {
        let pause = kin.fall("p/a", "trap", at * SECOND).given_up.first().map(|(_, _, pause)| pause.as_secs());
        assert_eq!(pause, (at == 6).then_some(2), "twice as long the next time");
    }
}

#[test]
fn what_an_agent_created_is_found_below_it_and_nothing_else() {
    let kin = Kin::default();
    for member in ["p/a", "p/a/x", "p-1/a", "q/p/a"] {
        kin.join(member.rsplit_once('/').expect("a head").0, member, 1);
    }
    kin.tie(&Tie::Monitor, "p/w", "p/b");
    kin.tie(&Tie::Link, "p/l", "other");
    assert_eq!(kin.below("p"), ["p/a", "p/a/x", "p/b", "p/l", "p/w"]);
    assert_eq!(kin.below("p/a"), ["p/a/x"]);
}

#[test]
fn breaks_far_apart_are_borne() {
    let kin = family(Strategy::OneForOne);
    assert!((1..50).all(|at| kin.fall("p/a", "trap", at * 6 * SECOND).given_up.is_empty()));
}

#[test]
fn a_failure_goes_up_through_creators_and_ends_at_the_first() {
    let kin = Kin::default();
    let plan = Supervision { strategy: Strategy::OneForAll, restarts: 0, within: Duration::from_secs(1) };
    kin.plan("p", Some(plan));
    for (head, member) in [("p", "p/a"), ("p/a", "p/a/x"), ("p/a", "p/a/y")] {
        kin.join(head, member, 1);
    }
    let fall = kin.fall("p/a/x", "trap", SECOND);
    let heads: Vec<_> = fall.given_up.iter().map(|(head, ..)| head.as_str()).collect();
    assert_eq!(heads, ["p/a", "p"]);
    assert_eq!(fall.fallen, [("p/a/y".to_string(), "p/a/x".to_string())]);
}

#[test]
fn a_group_is_left_alone_and_has_nobody_to_tell() {
    let kin = Kin::default();
    let head = head_of_group("workers");
    let plan = Supervision { strategy: Strategy::OneForAll, restarts: 0, within: Duration::from_secs(1) };
    kin.plan(&head, Some(plan));
    kin.join(&head, "a", 1);
    kin.join(&head, "b", 2);
    let fall = kin.fall("a", "trap", SECOND);
    assert_eq!((fall.given_up.len(), fall.news.len(), fall.fallen.len()), (1, 0, 1));
    assert_eq!(kin.below("a"), Vec::<String>::new());
    kin.forget("b");
    assert_eq!(fallen(&kin, "a"), Vec::<String>::new());
}

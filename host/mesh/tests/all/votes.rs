//! Deciding together, in weather and among liars.

use crate::harness::{Peer, until, village};
use mesh::{Draft, Error, Event, Flaw, Key, State, THRESHOLD};
use std::collections::BTreeSet;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn electorate(all: &[Peer]) -> BTreeSet<Key> {
    all.iter().map(|peer| Key::of(&peer.id()).unwrap()).collect()
}

fn draft(all: &[Peer]) -> Draft {
    Draft { subject: "swap".into(), body: b"v2".to_vec(), electorate: electorate(all), threshold: THRESHOLD }
}

async fn state(peer: &Peer) -> Option<State> {
    peer.mesh.tallies().await.unwrap().first().map(|tally| tally.state)
}

async fn all_know(all: &[Peer]) {
    until("all know the proposal", || async {
        for each in all {
            if state(each).await.is_none() {
                return false;
            }
        }
        true
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_of_five_decide_though_much_is_lost_and_all_have_the_proof() {
    let all = village(5).await;
    for each in &all {
        each.weather.lose(0.3);
    }
    let matter = all[0].mesh.propose(draft(&all), LONG).await.unwrap();
    all_know(&all).await;
    all[4].mesh.vote(matter, false).await.unwrap();
    for each in &all[..3] {
        each.mesh.vote(matter, true).await.unwrap();
    }
    assert!(matches!(all[0].mesh.vote(matter, false).await, Err(Error::HasVoted { yes: true })));
    assert_eq!(all[0].mesh.certificate(matter).await.unwrap(), None);
    all[3].mesh.vote(matter, true).await.unwrap();
    until("all have accepted", || async {
        for each in &all {
            if state(each).await != Some(State::Accepted) {
                return false;
            }
        }
        true
    })
    .await;
    let village = all[0].mesh.village().await.unwrap();
    for each in &all {
        let proof = each.mesh.certificate(matter).await.unwrap().unwrap();
        assert_eq!(proof.verify(&village, &electorate(&all), THRESHOLD, &[]), Ok(()));
        assert_eq!(proof.verify(&village, &electorate(&all[1..]), THRESHOLD, &[]), Err(Flaw::Terms));
    }
}

#[tokio::test]
async fn two_of_five_stop_a_decision_and_without_votes_it_lapses() {
    let mut all = village(5).await;
    let matter = all[0].mesh.propose(draft(&all), LONG).await.unwrap();
    all_know(&all).await;
    for (n, each) in all.iter().enumerate() {
        each.mesh.vote(matter, n > 1).await.unwrap();
    }
    all[3].event(|event| *event == Event::Rejected { matter }).await;
    let short = Draft { subject: "soon".into(), ..draft(&all) };
    let matter = all[1].mesh.propose(short, Duration::from_millis(600)).await.unwrap();
    all[2].event(|event| *event == Event::Lapsed { matter }).await;
    assert!(all[1].mesh.vote(matter, true).await.is_err());

    let few = Draft { electorate: electorate(&all[..1]), ..draft(&all) };
    let matter = all[0].mesh.propose(few, LONG).await.unwrap();
    until("it is known", || async {
        all[1].mesh.tallies().await.unwrap().iter().any(|tally| tally.proposal.matter() == matter)
    })
    .await;
    assert!(matches!(all[1].mesh.vote(matter, true).await, Err(Error::NoVote)));
    assert!(matches!(all[1].mesh.vote([0; 32], true).await, Err(Error::NoProposal)));
    let half = Draft { threshold: 500, ..draft(&all) };
    assert!(matches!(all[0].mesh.propose(half, LONG).await, Err(Error::Setting { .. })));
}

#[tokio::test]
async fn a_vote_is_kept_across_a_restart_and_others_remember_what_is_forgotten() {
    let mut all = village(4).await;
    let matter = all[0].mesh.propose(draft(&all), LONG).await.unwrap();
    all_know(&all).await;
    let mut voter = all.pop().unwrap();
    let before = std::fs::read(voter.path().join("village")).unwrap();
    voter.mesh.vote(matter, true).await.unwrap();
    until("the vote is known", || async { all[1].mesh.tallies().await.unwrap()[0].yes.len() == 1 }).await;
    let no = async |voter: &Peer| {
        until("it knows the proposal, and its vote", || async {
            voter.mesh.tallies().await.unwrap().first().is_some_and(|tally| tally.yes.len() == 1)
        })
        .await;
        voter.mesh.vote(matter, false).await
    };
    voter = voter.restart().await;
    assert!(matches!(no(&voter).await, Err(Error::HasVoted { yes: true })));

    // What it has written down is put back: the others tell it, before it lies.
    voter.mesh.stop().await;
    std::fs::write(voter.path().join("village"), before).unwrap();
    voter = voter.restart().await;
    assert!(matches!(no(&voter).await, Err(Error::HasVoted { yes: true })));
    assert!(all[0].mesh.tallies().await.unwrap()[0].liars.is_empty());
}

#[tokio::test]
async fn who_votes_both_ways_in_two_parts_of_the_village_is_convicted_when_they_meet() {
    let mut all = village(4).await;
    let matter = all[0].mesh.propose(draft(&all), LONG).await.unwrap();
    all_know(&all).await;
    let mut voter = all.pop().unwrap();
    let before = std::fs::read(voter.path().join("village")).unwrap();
    let ids: Vec<_> = all.iter().map(Peer::id).collect();
    // Who has begun anew may remember nobody but those that it is apart from: it is the third that calls it.
    until("the third knows where it is", || async {
        let members = all[2].mesh.members().await.unwrap();
        members.iter().any(|each| each.pass.holder().peer() == Some(voter.id()) && !each.addresses.is_empty())
    })
    .await;
    // The first two are apart from the third.
    for each in &all[..2] {
        each.weather.cut([ids[2]]);
    }
    all[2].weather.cut([ids[0], ids[1], voter.id()]);
    until("it is apart", || async { all[2].links().await == 0 }).await;
    voter.mesh.vote(matter, true).await.unwrap();
    until("the vote is known", || async { all[1].mesh.tallies().await.unwrap()[0].yes.len() == 1 }).await;
    voter.mesh.stop().await;
    std::fs::write(voter.path().join("village"), before).unwrap();
    for each in &all[..2] {
        each.weather.cut([ids[2], voter.id()]);
    }
    all[2].weather.cut([ids[0], ids[1]]);
    voter = voter.restart().await;
    until("it knows the proposal again", || async { state(&voter).await.is_some() }).await;
    voter.mesh.vote(matter, false).await.unwrap();
    until("the other vote is known", || async { all[2].mesh.tallies().await.unwrap()[0].no.len() == 1 }).await;
    all.iter().for_each(|each| each.weather.cut([]));

    let Event::Lied { lie } = all[1].event(|event| matches!(event, Event::Lied { .. })).await else { unreachable!() };
    assert!(lie.is_proved());
    assert_eq!(lie.one.voter.peer(), Some(voter.id()));
    until("its votes count for nothing anywhere", || async {
        for each in &all {
            let tally = each.mesh.tallies().await.unwrap().remove(0);
            if tally.yes.len() + tally.no.len() != 0 || tally.liars.len() != 1 || !tally.lies[0].is_proved() {
                return false;
            }
        }
        true
    })
    .await;
}

#[tokio::test]
async fn what_is_voted_on_is_known_to_who_has_begun_anew_though_nobody_says_it_again() {
    // Two hellos are further apart than this test is long: what is not asked for is not known.
    let mut all = crate::harness::village_with(3, |settings| settings.pace.hello = LONG).await;
    let matter = all[0].mesh.propose(draft(&all), LONG).await.unwrap();
    all_know(&all).await;
    all[1].mesh.vote(matter, true).await.unwrap();
    until("the vote is known", || async { all[2].mesh.tallies().await.unwrap()[0].yes.len() == 1 }).await;
    let short = Draft { subject: "soon".into(), ..draft(&all) };
    let soon = all[0].mesh.propose(short, Duration::from_millis(300)).await.unwrap();
    all[0].event(|event| *event == Event::Lapsed { matter: soon }).await;
    let proposer = all.remove(0).restart().await;
    until("it knows its own proposal, and the vote", || async {
        let tallies = proposer.mesh.tallies().await.unwrap();
        tallies.first().is_some_and(|tally| tally.proposal.matter() == matter && tally.yes.len() == 1)
    })
    .await;
}

//! `village mesh` and `village fetch`: this village among others.

use super::follow::clock;
use super::votes;
use crate::arguments::{Fetch, Mesh, MeshAction, Reach};
use crate::problem::Problem;
use crate::{node, print};
use api::wire::NewInvitation;
use base::Size;
use hall::{Left, LinkFigures, MeshFigures, PeerFigures, Topology, short};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

/// The pause between two pings.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) fn mesh(options: &Mesh, json: bool) -> Result<ExitCode, Problem> {
    match &options.action {
        MeshAction::Invite { uses, life, reach } => invite(*uses, life, reach, json),
        MeshAction::Revoke { invitation, reach } => revoke(invitation, reach, json),
        MeshAction::Join { token, reach } => join(token, reach, json),
        MeshAction::Leave { reach } => leave(reach, json),
        MeshAction::Peers { reach } => peers(reach, json),
        MeshAction::Topology { reach } => topology(reach, json),
        MeshAction::Ping { peer, count, reach } => ping(peer, *count, reach, json),
        MeshAction::Block { peer, reach } => block(peer, true, reach, json),
        MeshAction::Unblock { peer, reach } => block(peer, false, reach, json),
        MeshAction::Propose(options) => votes::propose(options, json),
        MeshAction::Vote(options) => votes::vote(options, json),
        MeshAction::Votes(options) => votes::votes(options, json),
        MeshAction::Verify(options) => votes::verify(options, json),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn invite(uses: u32, life: &str, reach: &Reach, json: bool) -> Result<(), Problem> {
    base::span(life).map_err(|bad| Problem::usage(format!("--for: {bad}")))?;
    let client = reach.client()?;
    let invited = node::asking(async || Ok(client.invite(&NewInvitation { uses, life: life.into() }).await?))?;
    if json {
        print::json(&json!(invited));
        return Ok(());
    }
    // Alone on the standard output, so that it can be handed on.
    print::line(&invited.token);
    let many = if uses == 1 { "one village".into() } else { format!("{uses} villages") };
    print::err(&format!(
        "village: {many} can join with `village mesh join TOKEN`, for {life}; `village mesh revoke {}` takes it back",
        invited.id
    ));
    Ok(())
}

fn revoke(invitation: &str, reach: &Reach, json: bool) -> Result<(), Problem> {
    let client = reach.client()?;
    node::asking(async || Ok(client.revoke(invitation).await?))?;
    match json {
        true => print::json(&json!({ "revoked": true })),
        false => print::line("the invitation lets in nobody any more; who has joined with it stays"),
    }
    Ok(())
}

fn join(token: &str, reach: &Reach, json: bool) -> Result<(), Problem> {
    let client = reach.client()?;
    let token = match token {
        "-" => String::from_utf8_lossy(&crate::run::input(Some("-"))?.unwrap_or_default()).into_owned(),
        token => token.into(),
    };
    let joined = node::asking(async || Ok(client.join(token.trim()).await?))?;
    match json {
        true => print::json(&json!(joined)),
        false => print::line(&format!("joined: {} has let this village in", short(&joined.inviter))),
    }
    Ok(())
}

fn leave(reach: &Reach, json: bool) -> Result<(), Problem> {
    let client = reach.client()?;
    let left = node::asking(async || Ok(client.leave().await?))?;
    match json {
        true => print::json(&json!({ "left": true, "known": left.known, "told": left.told })),
        false => print::line(&left_text(&left)),
    }
    Ok(())
}

fn left_text(left: &Left) -> String {
    let heard = match (left.known, left.told) {
        (0, _) => "there were no others",
        (_, 0) => "none of the others could be told, and they take it for one that is away",
        (known, told) if told < known => "those with a link to it were told, and tell the rest",
        _ => "all others were told",
    };
    format!("left: this village is alone again; {heard}")
}

fn peers(reach: &Reach, json: bool) -> Result<(), Problem> {
    let client = reach.client()?;
    let (here, peers) = node::asking(async || Ok((client.mesh().await?, client.peers().await?.peers)))?;
    match json {
        true => print::json(&json!({ "here": here, "peers": peers })),
        false => print::out(table(&here, &peers).as_bytes()),
    }
    Ok(())
}

/// This village on a line, and below it the others.
fn table(here: &MeshFigures, peers: &[PeerFigures]) -> String {
    let places = if here.addresses.is_empty() { "no address yet".into() } else { here.addresses.join(", ") };
    let called = match here.reachable {
        Some(true) => "; others can call it",
        Some(false) => "; others can't call it: `through` in [mesh] names one that takes its calls",
        None => "",
    };
    let mut text = format!("this village is {}, at {places}{called}\n", short(&here.peer));
    if peers.is_empty() {
        return text
            + "it knows no others: `village mesh invite` there, and `village mesh join TOKEN` here, or the reverse\n";
    }
    let title = ["peer", "seen", "latency", "lost", "sent", "received", "address"].map(String::from).to_vec();
    let rows: Vec<_> = std::iter::once(title).chain(peers.iter().map(row)).collect();
    text.push_str(&print::columns(&rows));
    text
}

fn row(peer: &PeerFigures) -> Vec<String> {
    let seen = match (peer.blocked, &peer.link, peer.seen_ms) {
        (true, _, _) => "blocked".into(),
        (_, Some(link), _) => format!("linked since {}", clock(link.since)),
        (_, None, Some(ago)) => format!("{} ago", base::span_text(Duration::from_secs(ago / 1000))),
        (_, None, None) => "not lately".into(),
    };
    let of = |what: fn(&LinkFigures) -> String| peer.link.as_ref().map_or_else(|| "-".into(), what);
    let place = peer.link.as_ref().map(|link| &link.address).or(peer.addresses.first());
    vec![
        short(&peer.peer).into(),
        seen,
        of(|link| latency(link.latency_us)),
        of(|link| lost(link.loss)),
        of(|link| traffic(link.sent, link.sent_bytes)),
        of(|link| traffic(link.received, link.received_bytes)),
        place.map_or_else(|| "-".into(), |place| print::tame(place)),
    ]
}

fn latency(micros: Option<u64>) -> String {
    micros.map_or_else(|| "?".into(), |micros| format!("{:.1} ms", micros as f64 / 1e3))
}

fn lost(loss: f64) -> String {
    format!("{:.0}%", loss * 100.0)
}

fn traffic(messages: u64, bytes: u64) -> String {
    format!("{messages} ({})", Size::bytes(bytes))
}

fn topology(reach: &Reach, json: bool) -> Result<(), Problem> {
    let client = reach.client()?;
    let topology = node::asking(async || Ok(client.topology().await?))?;
    match json {
        true => print::json(&json!(topology)),
        false => print::out(drawing(&topology).as_bytes()),
    }
    Ok(())
}

/// Each village with those that it is linked with.
fn drawing(topology: &Topology) -> String {
    let mut links: BTreeMap<&str, Vec<(&str, String)>> = BTreeMap::new();
    for edge in &topology.links {
        let (one, other) = (edge.between.0.as_str(), edge.between.1.as_str());
        let way = format!("{}, {} lost", latency(edge.latency_us), lost(edge.loss));
        links.entry(one).or_default().push((other, way.clone()));
        links.entry(other).or_default().push((one, way));
    }
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (peers, links_there) = (counted(topology.peers.len(), "village"), counted(topology.links.len(), "link"));
    let mut text = format!("{peers}, {links_there}\n");
    for peer in &topology.peers {
        let name = short(peer);
        let note = match () {
            () if *peer == topology.here => " (this village)",
            () if topology.asked.contains(peer) => "",
            () => " (not asked: no link with it)",
        };
        text.push_str(&format!("{name}{note}\n"));
        let known = links.get(peer.as_str()).map_or(&[][..], Vec::as_slice);
        for (n, (other, way)) in known.iter().enumerate() {
            let branch = if n + 1 == known.len() { "└─" } else { "├─" };
            text.push_str(&format!("  {branch} {}  {way}\n", short(other)));
        }
    }
    text
}

fn ping(peer: &str, count: u32, reach: &Reach, json: bool) -> Result<(), Problem> {
    let client = reach.client()?;
    let (mut times, mut whole) = (Vec::new(), String::new());
    node::asking(async || {
        for n in 0..count {
            if n > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let pinged = client.ping(peer).await?;
            if !json {
                print::line(&format!("{}: {}", short(&pinged.peer), latency(Some(pinged.time_us))));
            }
            times.push(pinged.time_us);
            whole = pinged.peer;
        }
        Ok(())
    })?;
    let (least, most) = (times.iter().min().copied(), times.iter().max().copied());
    let mean = times.iter().sum::<u64>() / times.len().max(1) as u64;
    match json {
        true => print::json(&json!({ "peer": whole, "times_us": times, "mean_us": mean })),
        false => {
            print::line(&format!("least {}, mean {}, most {}", latency(least), latency(Some(mean)), latency(most)))
        }
    }
    Ok(())
}

fn block(peer: &str, blocked: bool, reach: &Reach, json: bool) -> Result<(), Problem> {
    let client = reach.client()?;
    let peer = node::asking(async || {
        Ok(match blocked {
            true => client.block(peer).await?.peer,
            false => client.unblock(peer).await?.peer,
        })
    })?;
    match (json, blocked) {
        (true, _) => print::json(&json!({ "peer": peer, "blocked": blocked })),
        (false, true) => print::line(&format!("{}: blocked", short(&peer))),
        (false, false) => print::line(&format!("{}: no longer blocked", short(&peer))),
    }
    Ok(())
}

pub(crate) fn fetch(options: &Fetch, json: bool) -> Result<ExitCode, Problem> {
    let digest: base::Digest =
        options.digest.parse().map_err(|bad: base::Bad| Problem::usage(format!("DIGEST: {bad}")))?;
    let wanted = api::wire::Fetch { digest: digest.to_string(), peer: options.from.clone() };
    let client = options.reach.client()?;
    let fetched = node::asking(async || Ok(client.fetch(&wanted).await?))?;
    if json {
        print::json(&json!(fetched));
        return Ok(ExitCode::SUCCESS);
    }
    let from: Vec<_> = fetched.from.iter().map(|peer| short(peer)).collect();
    let from = if from.is_empty() { "it was here".into() } else { format!("from {}", from.join(", ")) };
    print::line(&format!("{}: {}, {from}", fetched.digest, Size::bytes(fetched.size)));
    print::err(&format!(
        "village: kept for ten minutes: `village deploy {} --name …` makes an agent of it",
        fetched.digest
    ));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hall::Edge;

    fn link(peer: &str) -> LinkFigures {
        LinkFigures {
            peer: peer.into(),
            address: "/ip4/10.0.0.7/tcp/7421".into(),
            called: true,
            since: 3_723_004,
            latency_us: Some(1250),
            pings: 4,
            loss: 0.25,
            sent: 3,
            sent_bytes: 2048,
            received: 1,
            received_bytes: 10,
        }
    }

    #[test]
    fn a_peer_is_a_line_with_all_that_is_known_of_it() {
        let here = MeshFigures {
            peer: "12D3KooWown".into(),
            founder: "12D3KooWown".into(),
            addresses: Vec::new(),
            reachable: None,
            members: 2,
            links: Vec::new(),
            turned_away: Vec::new(),
            retries: 0,
            busy: 0,
            repeated: 0,
            untold: 0,
        };
        let peer = |link: Option<LinkFigures>, seen_ms, blocked| PeerFigures {
            peer: "12D3KooWabcdefghij".into(),
            addresses: vec!["/ip4/10.0.0.9/tcp/1".into()],
            inviter: None,
            seen_ms,
            link,
            agents: Vec::new(),
            blocked,
        };
        let all = [
            peer(Some(link("12D3KooWabcdefghij")), Some(0), false),
            peer(None, Some(5000), false),
            peer(None, None, true),
        ];
        let text = table(&here, &all);
        let linked = "abcdefgh  linked since 01:02:03.004  1.2 ms   25%   3 (2KiB)  1 (10B)   /ip4/10.0.0.7/tcp/7421";
        assert!(text.contains(linked), "{text}");
        assert!(text.contains("5s ago") && text.contains("blocked") && text.contains("/ip4/10.0.0.9/tcp/1"), "{text}");
        assert!(table(&here, &[]).contains("it knows no others"));
        for (reachable, said) in [
            (None, "at no address yet\n"),
            (Some(true), "yet; others can call it\n"),
            (Some(false), "yet; others can't call it: `through` in"),
        ] {
            let text = table(&MeshFigures { reachable, ..here.clone() }, &all);
            assert!(text.contains(said), "{text}");
        }
    }

    #[test]
    fn who_leaves_sees_whether_the_others_know() {
        for (known, told, said) in [
            (0, 0, "no others"),
            (3, 0, "none of the others could be told"),
            (3, 1, "tell the rest"),
            (3, 3, "all others were told"),
        ] {
            let text = left_text(&Left { known, told });
            assert!(text.contains(said), "{text}");
        }
    }

    #[test]
    fn the_topology_is_drawn_from_each_side() {
        let name = |n: u8| format!("12D3KooWpeer-{n}--rest");
        let edge = |one, other| Edge { between: (name(one), name(other)), latency_us: Some(1000), loss: 0.0 };
        let topology = Topology {
            here: name(1),
            peers: (1..=3).map(name).collect(),
            asked: vec![name(1), name(2)],
            links: vec![edge(1, 2), edge(2, 3)],
        };
        let text = drawing(&topology);
        let wanted = "3 villages, 2 links\npeer-1-- (this village)\n  └─ peer-2--  1.0 ms, 0% lost\npeer-2--\n  \
                      ├─ peer-1--  1.0 ms, 0% lost\n  └─ peer-3--  1.0 ms, 0% lost\npeer-3-- (not asked: no link with it)\n  \
                      └─ peer-2--  1.0 ms, 0% lost\n";
        assert_eq!(text, wanted);
    }
}

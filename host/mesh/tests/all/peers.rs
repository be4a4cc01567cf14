//! Who gets in, who does not, and how they find each other.

use crate::harness::{PATIENCE, pace, peer, peer_with, place, stays, until, village, village_with};
use crate::liar::{Liar, Said};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use mesh::{Error, Event, Invitation, Mesh, Message, Settings, Why};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_peer_keeps_its_identity_and_only_its_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let first = peer().await;
    let id = first.id();
    let file = first.path().join("identity");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let again = first.restart().await;
    assert_eq!(again.id(), id);
    again.mesh.stop().await;

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let exposed = Mesh::start(Settings::new(again.path())).await.map(|_| ()).unwrap_err();
    assert!(matches!(exposed, Error::Exposed { mode: 0o640, .. }), "{exposed}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&file, b"no key").unwrap();
    let damaged = Mesh::start(Settings::new(again.path())).await.map(|_| ()).unwrap_err();
    assert!(matches!(damaged, Error::Damaged { .. }), "{damaged}");
}

#[tokio::test]
async fn a_place_that_is_taken_is_said_to_be() {
    let first = peer_with(|settings| settings.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()]).await;
    let taken = first.mesh.addresses().await.unwrap().remove(0);
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { listen: vec![taken], ..Settings::new(folder.path()) };
    let refused = Mesh::start(settings).await.map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("in use"), "{refused}: {refused:?}");
}

#[tokio::test]
async fn a_port_is_not_shared_with_another_who_listens_there() {
    for place in ["/ip4/127.0.0.1/tcp/0", "/ip4/0.0.0.0/tcp/0", "/ip6/::1/tcp/0"] {
        let first = peer_with(|settings| settings.listen = vec![place.parse().unwrap()]).await;
        let taken = first.mesh.addresses().await.unwrap().remove(0);
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { listen: vec![taken.clone()], ..Settings::new(folder.path()) };
        let refused = Mesh::start(settings.clone()).await.map(|_| ()).unwrap_err();
        let said = refused.to_string();
        assert!(said.contains(&taken.to_string()) && said.contains("in use"), "{said}");
        // Who has gone leaves it to others at once, though there was a call to it.
        let guest = peer_with(|settings| settings.listen.clear()).await;
        guest.join(&first).await.unwrap();
        until("they are linked", || async { first.linked(&guest).await }).await;
        first.mesh.stop().await;
        Mesh::start(settings).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_is_invited_is_a_member_also_after_a_restart_of_both() {
    let (founder, guest) = (peer().await, peer().await);
    guest.join(&founder).await.unwrap();
    until("they are linked", || async { founder.linked(&guest).await && guest.linked(&founder).await }).await;
    assert_eq!(guest.mesh.village().await.unwrap(), founder.mesh.village().await.unwrap());

    let (founder, guest) = (founder.restart().await, guest.restart().await);
    until("they are linked again", || async { founder.linked(&guest).await && guest.linked(&founder).await }).await;
    assert_eq!(founder.mesh.members().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_guest_of_a_guest_is_known_to_all_and_speaks_with_them_directly() {
    let mut a = peer().await;
    let (b, c) = (peer().await, peer().await);
    a.echo();
    b.join(&a).await.unwrap();
    c.join(&b).await.unwrap();
    until("all know each other", || async {
        a.members().await == 2 && b.members().await == 2 && c.members().await == 2
    })
    .await;
    assert_eq!(c.mesh.ask(a.id(), Message::new("echo", "hello")).await.unwrap(), b"hello");
    assert!(c.linked(&a).await);
    let pass = a.mesh.members().await.unwrap().into_iter().find(|member| member.pass.holder().peer() == Some(c.id()));
    assert_eq!(pass.unwrap().pass.inviter().unwrap().peer(), Some(b.id()));
}

#[tokio::test]
async fn a_stranger_is_turned_away_counted_and_told_of() {
    let (mut home, stranger) = (peer().await, peer().await);
    let address = home.mesh.addresses().await.unwrap().remove(0);
    stranger.mesh.dial(address).await.unwrap();
    let id = stranger.id();
    home.event(|event| *event == Event::TurnedAway { peer: Some(id), why: Why::Stranger }).await;
    assert!(home.turned_away(Why::Stranger) >= 1);
    assert_eq!((home.links().await, stranger.links().await), (0, 0));
    let asked = stranger.mesh.ask(home.id(), Message::new("echo", "x")).await;
    assert!(matches!(asked, Err(Error::Stranger { .. })), "{asked:?}");
}

#[tokio::test]
async fn an_invitation_is_good_for_as_many_as_it_says_and_no_more() {
    let home = peer().await;
    let two = home.mesh.invite(2, MINUTE).await.unwrap();
    let (a, b, c) = (peer().await, peer().await, peer().await);
    a.mesh.join(&two).await.unwrap();
    b.mesh.join(&two).await.unwrap();
    let third = c.mesh.join(&two).await;
    assert!(matches!(third, Err(Error::TurnedAway { why: Why::Spent })), "{third:?}");
    assert_eq!(home.turned_away(Why::Spent), 1);

    let revoked = home.mesh.invite(1, MINUTE).await.unwrap();
    home.mesh.revoke(revoked.id()).await.unwrap();
    assert!(matches!(c.mesh.join(&revoked).await, Err(Error::TurnedAway { why: Why::Invitation })));

    let short = home.mesh.invite(1, Duration::from_millis(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(matches!(c.mesh.join(&short).await, Err(Error::TurnedAway { why: Why::Invitation })));
    // Its clock is behind, so it tries: the inviter's clock counts.
    c.weather.skew(-60_000);
    assert!(matches!(c.mesh.join(&short).await, Err(Error::TurnedAway { why: Why::Invitation })));
    c.weather.skew(0);

    c.join(&home).await.unwrap();
    assert!(matches!(c.join(&a).await, Err(Error::NotAlone { members }) if members >= 1));
    assert!(matches!(home.mesh.invite(0, MINUTE).await, Err(Error::Setting { .. })));
    assert!(matches!("village1-AAAA".parse::<Invitation>(), Err(Error::BadInvitation { .. })));
}

#[tokio::test]
async fn who_leaves_can_join_another_village() {
    let (a, b, c) = (peer().await, peer().await, peer().await);
    c.join(&a).await.unwrap();
    c.mesh.leave().await.unwrap();
    c.join(&b).await.unwrap();
    until("it is linked to the new village", || async { b.linked(&c).await }).await;
    assert_eq!(c.mesh.village().await.unwrap().peer(), Some(b.id()));
    assert!(!a.linked(&c).await);
}

#[tokio::test]
async fn a_blocked_member_is_cut_off_until_it_is_unblocked() {
    let mut all = village(3).await;
    all[0].echo();
    until("all are linked", || async { all[0].links().await == 2 && all[1].links().await == 2 }).await;
    let blocked = all[1].id();
    all[0].mesh.block(blocked).await.unwrap();
    until("the link is closed", || async { !all[0].linked(&all[1]).await }).await;
    assert!(matches!(all[0].mesh.ask(blocked, Message::new("x", "x")).await, Err(Error::Blocked { .. })));
    let asked = all[1].mesh.ask(all[0].id(), Message::new("echo", "x").lasting(Duration::from_millis(500))).await;
    assert!(matches!(asked, Err(Error::Expired { .. })), "{asked:?}");
    assert!(all[0].turned_away(Why::Blocked) > 0);
    // It keeps trying, and the third one still tells of it: it must not come back that way.
    stays("it stays out", Duration::from_millis(700), || async {
        !all[0].linked(&all[1]).await && all[0].members().await == 1
    })
    .await;
    all[0].mesh.unblock(blocked).await.unwrap();
    until("it is back", || async { all[0].linked(&all[1]).await }).await;
}

#[tokio::test]
async fn at_the_door_lies_are_seen_counted_and_end_the_connection() {
    let (home, other) = (peer().await, peer().await);
    other.join(&home).await.unwrap();
    let address = home.mesh.addresses().await.unwrap().remove(0);
    let id = home.id();
    let pass = |version: u8, shown: &[u8]| [&[version, 0], shown].concat();

    // Another member's pass is no secret; without its key it is worth nothing.
    let members = home.mesh.members().await.unwrap();
    let stolen = postcard::to_stdvec(&members[0].pass).unwrap();
    let lies: [(Said, Why); 4] = [
        (pass(1, &stolen).into(), Why::Forged),
        (pass(9, &stolen).into(), Why::Version),
        (pass(1, b"nonsense").into(), Why::Malformed),
        (Said { claimed: 1 << 30, bytes: vec![0; 100] }, Why::Oversized),
    ];
    for (lie, why) in lies {
        let mut liar = Liar::new(Keypair::generate_ed25519());
        assert!(liar.call(&address).await);
        tokio::time::timeout(PATIENCE, async {
            if liar.show(&id, lie).await.is_some() {
                liar.thrown_out().await;
            }
        })
        .await
        .expect("the liar is thrown out");
        assert_eq!(home.turned_away(why), 1, "{why}");
    }
    assert_eq!(home.links().await, 1);
}

#[tokio::test]
async fn who_says_nothing_is_thrown_out_and_no_more_than_a_few_may_stand_there() {
    let home = peer_with(|settings| settings.lobby = 2).await;
    let address = home.mesh.addresses().await.unwrap().remove(0);
    let mut liars: Vec<Liar> = (0..3).map(|_| Liar::new(Keypair::generate_ed25519())).collect();
    for liar in &mut liars {
        liar.call(&address).await;
    }
    for liar in &mut liars {
        tokio::time::timeout(PATIENCE, liar.thrown_out()).await.expect("it is thrown out");
    }
    until("two for being silent, one because two were there", || async {
        home.turned_away(Why::Stranger) == 2 && home.turned_away(Why::Full) == 1
    })
    .await;
}

#[tokio::test]
async fn another_key_behind_an_address_is_seen() {
    let (a, b, c) = (peer().await, peer().await, peer().await);
    c.join(&a).await.unwrap();
    let address = b.mesh.addresses().await.unwrap().remove(0);
    a.mesh.dial(address.with(Protocol::P2p(c.id()))).await.unwrap();
    until("it is counted", || async { a.turned_away(Why::WrongPeer) == 1 }).await;
    assert!(!a.linked(&b).await);
}

#[tokio::test]
async fn nobody_has_more_connections_than_it_may_and_still_all_are_reached() {
    let most = 4;
    let all = village_with(12, |settings| settings.connections = most).await;
    let mut topics = Vec::new();
    for each in &all {
        topics.push(each.mesh.subscribe("news").await.unwrap());
    }
    until("each has heard of each", || async {
        for each in &all {
            if each.mesh.present().await.unwrap().len() < 11 {
                return false;
            }
        }
        true
    })
    .await;
    all[5].mesh.publish(Message::new("news", "rain")).await.unwrap();
    for topic in &mut topics {
        let (heard, _) = tokio::time::timeout(PATIENCE, topic.next()).await.expect("it reaches all").unwrap();
        assert_eq!((heard.from, heard.frame.body.as_slice()), (all[5].id(), b"rain".as_slice()));
    }
    for each in &all {
        let links = each.links().await;
        assert!(links <= most, "{links} links");
    }
}

#[tokio::test]
async fn members_find_each_other_over_tcp_and_over_quic() {
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        let on = |settings: &mut Settings| settings.listen = vec![listen.parse().unwrap()];
        let (mut a, b, c) = (peer_with(on).await, peer_with(on).await, peer_with(on).await);
        a.echo();
        b.join(&a).await.unwrap();
        c.join(&a).await.unwrap();
        until("all are linked", || async { b.linked(&c).await && a.links().await == 2 }).await;
        let body = vec![7; mesh::BODY_LIMIT];
        assert_eq!(b.mesh.ask(a.id(), Message::new("echo", body.clone())).await.unwrap(), body);
        let links = b.mesh.links().await.unwrap();
        let kind = if listen.contains("quic") { "quic-v1" } else { "tcp" };
        assert!(links.iter().all(|link| link.address.to_string().contains(kind)), "{links:?}");
    }
}

#[tokio::test]
async fn a_member_that_listens_nowhere_is_reached_through_another() {
    let relay = peer_with(|settings| {
        settings.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        settings.relay.serve = true;
    })
    .await;
    let address = relay.mesh.addresses().await.unwrap().remove(0);
    // Both join first, so that the relay lets them in.
    let hidden = peer_with(|settings| settings.listen.clear()).await;
    let guest = peer_with(|settings| settings.listen.clear()).await;
    hidden.join(&relay).await.unwrap();
    guest.join(&relay).await.unwrap();
    until("all know each other", || async { guest.members().await == 2 && hidden.members().await == 2 }).await;
    hidden.mesh.stop().await;
    let mut settings = Settings::new(hidden.path());
    settings.pace = pace();
    settings.relay.through = vec![address.with(Protocol::P2p(relay.id()))];
    let (hidden_mesh, mut asks) = Mesh::start(settings).await.unwrap();
    tokio::spawn(async move {
        while let Some(ask) = asks.next().await {
            ask.answer("from behind").unwrap();
        }
    });
    let answer = guest.mesh.ask(hidden_mesh.peer(), Message::new("x", "x").lasting(PATIENCE)).await.unwrap();
    assert_eq!(answer, b"from behind");
    let links = guest.mesh.links().await.unwrap();
    let link = links.iter().find(|link| link.peer == hidden_mesh.peer()).unwrap();
    assert!(link.address.to_string().contains("p2p-circuit"), "{}", link.address);
    hidden_mesh.stop().await;
}

#[tokio::test]
async fn who_has_lost_all_others_finds_them_by_the_bootstrap_list() {
    let (first, second) = (place(), place());
    let at = first.clone();
    let founder = peer_with(|settings| settings.listen = vec![at]).await;
    let guest = peer().await;
    guest.join(&founder).await.unwrap();
    until("they are linked", || async { founder.linked(&guest).await }).await;
    founder.mesh.stop().await;
    guest.mesh.stop().await;
    // The founder moves, and nobody tells the guest but its settings.
    let start = |folder: &std::path::Path| {
        let mut settings = Settings::new(folder);
        settings.pace = pace();
        settings
    };
    let mut moved = start(founder.path());
    moved.listen = vec![second.clone()];
    let (moved, _asks) = Mesh::start(moved).await.unwrap();
    let mut seeking = start(guest.path());
    seeking.bootstrap = vec![second];
    let (seeking, _asks) = Mesh::start(seeking).await.unwrap();
    until("they are linked again", || async { !seeking.links().await.unwrap().is_empty() }).await;
    assert_eq!(seeking.links().await.unwrap()[0].peer, moved.peer());
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |change: fn(&mut Settings)| {
        let mut settings = Settings::new(folder.path());
        change(&mut settings);
        async move {
            match Mesh::start(settings).await {
                Err(Error::Setting { setting, .. }) => setting,
                Err(error) => panic!("{error}"),
                Ok(_) => panic!("it was taken"),
            }
        }
    };
    assert_eq!(refused(|settings| settings.connections = 0).await, "connections");
    assert_eq!(refused(|settings| settings.memory = 1000).await, "memory");
    assert_eq!(refused(|settings| settings.rate.bytes = 1).await, "rate.bytes");
    assert_eq!(refused(|settings| settings.pace.look = Duration::ZERO).await, "pace");
    assert_eq!(refused(|settings| settings.listen = vec!["/ip4/127.0.0.1/sctp/1".parse().unwrap()]).await, "listen");
}

/// Whether what this machine sends to the group of mDNS comes back to it, so that others on it can hear it.
fn has_multicast() -> bool {
    use std::net::{Ipv4Addr, UdpSocket};
    let group = Ipv4Addr::new(224, 0, 0, 250);
    let tried = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.send_to(b"heard?", (group, socket.local_addr()?.port()))?;
        let (_, from) = socket.recv_from(&mut [0; 16])?;
        // By way of the loopback nothing is found: mDNS leaves it out.
        Ok::<bool, std::io::Error>(!from.ip().is_loopback())
    };
    tried().unwrap_or(false)
}

#[tokio::test]
async fn members_that_have_moved_find_each_other_on_the_local_network() {
    if !has_multicast() {
        println!("skipped: this machine has no network on which it hears itself");
        return;
    }
    let on = |settings: &mut Settings| settings.listen = vec!["/ip4/0.0.0.0/tcp/0".parse().unwrap()];
    let (a, b) = (peer_with(on).await, peer_with(on).await);
    b.join(&a).await.unwrap();
    until("they are linked", || async { a.linked(&b).await }).await;
    a.mesh.stop().await;
    b.mesh.stop().await;
    // Each listens elsewhere now, and nobody has told the other.
    let mut moved = Vec::new();
    for each in [&a, &b] {
        let mut settings = Settings::new(each.path());
        on(&mut settings);
        settings.pace = pace();
        settings.mdns = true;
        moved.push(Mesh::start(settings).await.unwrap());
    }
    until("they have found each other", || async { !moved[0].0.links().await.unwrap().is_empty() }).await;
    for (mesh, _) in &moved {
        mesh.stop().await;
    }
}

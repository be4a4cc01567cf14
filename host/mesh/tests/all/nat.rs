//! Peers behind walls: each in a network of its own whose router lets calls out and none in, with a third one in the public network
//! between them. Network namespaces, and nftables in them; who may not make those skips this, as in `lan`.

use crate::cable::{Space, ip};
use crate::lan::{Machine, PATIENCE, answering};
use mesh::{Mesh, Message, PeerId, Settings};
use std::process::Command;
use std::time::{Duration, Instant};

/// The public network, and on both its ends a router with a machine behind it.
struct World {
    public: Machine,
    one: Machine,
    other: Machine,
    _routers: [Space; 2],
}

fn inside(namespace: &str, command: &str) -> Result<(), String> {
    let done = Command::new("ip").args(["netns", "exec", namespace, "sh", "-ec", command]).output();
    match done {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("ip: {error}")),
    }
}

/// What a home's router does: calls go out under its own address, answers to them come in, and nothing else.
fn set_up(name: &str, masquerade: &str, own: &str, gateway: &str, home: u8) -> Result<(), String> {
    let rules = format!(
        "add table ip wall
         add chain ip wall out {{ type nat hook postrouting priority 100; }}
         add rule ip wall out oifname wan {masquerade}
         add chain ip wall through {{ type filter hook forward priority 0; policy drop; }}
         add rule ip wall through ct state established,related accept
         add rule ip wall through iifname lan accept
         add chain ip wall in {{ type filter hook input priority 0; policy drop; }}
         add rule ip wall in ct state established,related accept
         add rule ip wall in iifname lan accept"
    );
    inside(
        name,
        &format!(
            "ip link set lo up; ip link set wan up; ip link set lan up
             ip address add {own}/25 dev wan; ip address add 10.{home}.0.1/24 dev lan
             ip route add default via {gateway}
             echo 1 > /proc/sys/net/ipv4/ip_forward
             nft -f - <<'END'\n{rules}\nEND"
        ),
    )
}

fn build(test: &str, masquerade: &str) -> Result<World, String> {
    let name = |what: &str| format!("vlg-{}-{test}-{what}", std::process::id());
    let machine = |what: &str| Machine::new(Space::new(name(what))?);
    let (public, one, other) = (machine("p")?, machine("a")?, machine("b")?);
    let mut routers = Vec::new();
    for (n, (machine, side)) in [(&one, "ra"), (&other, "rb")].into_iter().enumerate() {
        let made = Space::new(name(side))?;
        let (gateway, own, home) =
            (format!("203.0.113.{}", n * 128 + 1), format!("203.0.113.{}", n * 128 + 2), n as u8 + 1);
        ip(&format!("-n {} link add to{n} type veth peer name wan netns {}", public.space.name, made.name))?;
        ip(&format!("-n {} link add cable type veth peer name lan netns {}", machine.space.name, made.name))?;
        inside(
            &public.space.name,
            &format!("ip link set lo up; ip link set to{n} up; ip address add {gateway}/25 dev to{n}"),
        )?;
        set_up(&made.name, masquerade, &own, &gateway, home)?;
        routers.push(made);
        inside(
            &machine.space.name,
            &format!(
                "ip link set lo up; ip link set cable up; ip address add 10.{home}.0.2/24 dev cable
                 ip route add default via 10.{home}.0.1"
            ),
        )?;
    }
    inside(&public.space.name, "echo 1 > /proc/sys/net/ipv4/ip_forward")?;
    let routers = routers.try_into().map_err(|_| "two routers".to_string())?;
    Ok(World { public, one, other, _routers: routers })
}

/// The world, or nothing with a word where it can't be made and need not be.
fn world(test: &str, masquerade: &str) -> Option<World> {
    match build(test, masquerade) {
        Ok(world) => Some(world),
        Err(why) if std::env::var_os("CI").is_none() => {
            println!("skipped: no networks with walls between them can be made here: {why}");
            None
        }
        Err(why) => panic!("no networks with walls between them can be made here: {why}"),
    }
}

async fn way(mesh: &Mesh, to: PeerId) -> Option<String> {
    let links = mesh.links().await.unwrap();
    links.into_iter().find(|link| link.peer == to).map(|link| link.address.to_string())
}

async fn until(what: &str, patience: Duration, so: impl AsyncFn() -> bool) -> Option<Duration> {
    let began = Instant::now();
    while !so().await {
        if began.elapsed() > patience {
            println!("not so after {patience:?}: {what}");
            return None;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Some(began.elapsed())
}

/// Two behind walls meet through the third. Answers how long it took until the way between them was direct, if it ever was.
async fn meet(world: &World, place: &str, patience: Duration) -> Option<Duration> {
    let at = |address: &str| place.replace("{}", address);
    let serving = |settings: &mut Settings| settings.relay.serve = true;
    let (third, _third) = world.public.start_with(&at("203.0.113.1"), serving).await;
    let relay = format!("{}/p2p/{}", at("203.0.113.1"), third.peer());
    let hidden = |settings: &mut Settings| settings.relay.through = vec![relay.parse().unwrap()];
    let (a, asks) = world.one.start_with(&at("0.0.0.0"), hidden).await;
    let (b, _b) = world.other.start_with(&at("0.0.0.0"), hidden).await;
    let echo = answering(asks);
    let open = third.invite(2, Duration::from_secs(60)).await.unwrap();
    for mesh in [&a, &b] {
        mesh.join(&open).await.unwrap();
    }
    for mesh in [&a, &b] {
        let known = until("each knows both others", PATIENCE, async || mesh.members().await.unwrap().len() == 2);
        assert!(known.await.is_some());
    }
    let answer = b.ask(a.peer(), Message::new("echo", vec![7; 100_000]).lasting(PATIENCE)).await;
    assert_eq!(answer.unwrap(), vec![7; 100_000], "through the third one, if there is no other way");
    let direct = until("there is a direct way", patience, async || {
        way(&b, a.peer()).await.is_some_and(|address| !address.contains("p2p-circuit"))
            && way(&a, b.peer()).await.is_some_and(|address| !address.contains("p2p-circuit"))
    })
    .await;
    let answer = b.ask(a.peer(), Message::new("echo", vec![8; 100_000]).lasting(PATIENCE)).await;
    assert_eq!(answer.unwrap(), vec![8; 100_000], "whatever the way is now");
    for (mesh, wanted) in [(&third, true), (&a, false), (&b, false)] {
        let known = until("it knows whether it can be called", PATIENCE, async || {
            mesh.reachable().await.unwrap() == Some(wanted)
        });
        assert!(known.await.is_some(), "{wanted}: {:?}", mesh.reachable().await);
    }
    echo.abort();
    for mesh in [a, b, third] {
        mesh.stop().await;
    }
    direct
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_behind_walls_meet_through_a_third_and_then_directly_over_tcp() {
    let Some(world) = world("tcp", "masquerade") else { return };
    let direct = meet(&world, "/ip4/{}/tcp/7421", PATIENCE).await;
    println!("tcp: direct after {direct:?}");
    assert!(direct.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_behind_walls_meet_through_a_third_and_then_directly_over_quic() {
    let Some(world) = world("quic", "masquerade") else { return };
    let direct = meet(&world, "/ip4/{}/udp/7421/quic-v1", PATIENCE).await;
    println!("quic: direct after {direct:?}");
    assert!(direct.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_walls_change_the_port_of_each_call_the_way_leads_through_the_third() {
    let Some(world) = world("far", "masquerade fully-random") else { return };
    let direct = meet(&world, "/ip4/{}/tcp/7421", Duration::from_secs(3)).await;
    assert!(direct.is_none(), "each call has another port: {direct:?}");
}

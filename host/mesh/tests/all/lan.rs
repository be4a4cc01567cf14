//! Two machines on one local network, on each of which peers live.

use crate::cable::{Space, pair, skip};
use mesh::{Asks, Event, Mesh, Message, Settings};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

/// How often they have to find each other anew, and in what time 95 of 100 do.
const RUNS: usize = 20;
const BAR: Duration = Duration::from_secs(2);
/// How long one waits for a link that may never come.
const PATIENCE: Duration = Duration::from_secs(20);

type Started = (Mesh, Asks);

/// A machine: a namespace, and a thread in it on which peers live.
struct Machine {
    start: Option<mpsc::UnboundedSender<(Settings, oneshot::Sender<Started>)>>,
    thread: Option<JoinHandle<()>>,
    folder: TempDir,
    // Goes last: a thread is in it.
    space: Space,
}

impl Machine {
    fn new(space: Space) -> Result<Machine, String> {
        let file = File::open(format!("/run/netns/{}", space.name)).map_err(|error| error.to_string())?;
        let (start, mut wanted) = mpsc::unbounded_channel::<(Settings, oneshot::Sender<Started>)>();
        let (moved, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            // Of this thread alone, and of those that it starts.
            let inside = move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network));
            let _ = moved.send(inside.map_err(|error| error.to_string()));
            let io = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            io.block_on(async {
                while let Some((settings, done)) = wanted.recv().await {
                    let _ = done.send(Mesh::start(settings).await.unwrap());
                }
            });
        });
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { start: Some(start), thread: Some(thread), folder, space };
        told.recv().map_err(|error| error.to_string())??;
        Ok(machine)
    }

    async fn start(&self, listen: &str, mdns: bool) -> Started {
        let mut settings = Settings::new(self.folder.path());
        settings.listen = vec![listen.parse().unwrap()];
        settings.mdns = mdns;
        let (done, started) = oneshot::channel();
        self.start.as_ref().unwrap().send((settings, done)).unwrap();
        started.await.unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.start.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Two machines with a cable between them; nothing, with a word, where that can't be had and need not be.
fn lan(test: &str) -> Option<(Machine, Machine)> {
    let (a, b) = pair(test)?;
    let made = Machine::new(a).and_then(|a| Ok((a, Machine::new(b)?)));
    made.map_err(|why| skip(&why)).ok()
}

async fn linked(mesh: &Mesh, other: &Mesh) {
    let mut events = mesh.events();
    let wait = async {
        while !mesh.links().await.unwrap().iter().any(|link| link.peer == other.peer()) {
            let wanted = async { while !matches!(events.recv().await, Ok(Event::Linked { .. })) {} };
            let _ = tokio::time::timeout(Duration::from_millis(200), wanted).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("they find each other");
}

/// Answers with what was asked.
fn answering(mut asks: Asks) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(ask) = asks.next().await {
            let body = ask.frame.body.clone();
            ask.answer(body).unwrap();
        }
    })
}

#[tokio::test]
async fn members_find_each_other_on_a_local_network_though_both_have_moved() {
    let Some((one, other)) = lan("mdns") else { return };
    one.space.at("10.77.0.1");
    other.space.at("10.77.0.2");
    let anywhere = "/ip4/0.0.0.0/tcp/0";
    let ((a, _a), (b, _b)) = (one.start(anywhere, false).await, other.start(anywhere, false).await);
    b.join(&a.invite(1, Duration::from_secs(60)).await.unwrap()).await.unwrap();
    linked(&b, &a).await;
    a.stop().await;
    b.stop().await;
    let mut times = Vec::new();
    for run in 0..RUNS {
        // Where each was before, nobody is now: only what is called out on the network leads to it.
        one.space.at(&format!("10.77.0.{}", 10 + run));
        other.space.at(&format!("10.77.0.{}", 100 + run));
        let (a, _a) = one.start(anywhere, true).await;
        let began = Instant::now();
        let (b, _b) = other.start(anywhere, true).await;
        linked(&b, &a).await;
        times.push(began.elapsed());
        a.stop().await;
        b.stop().await;
    }
    times.sort();
    let (middle, late) = (times[RUNS / 2], times[(RUNS * 95).div_ceil(100) - 1]);
    println!("found on the local network: p50 {middle:?}, p95 {late:?}, most {:?}", times[RUNS - 1]);
    assert!(late <= BAR, "p95 {late:?}: {times:?}");
}

#[tokio::test]
async fn members_on_two_machines_talk_over_tcp_and_over_quic() {
    let Some((one, other)) = lan("talk") else { return };
    one.space.at("10.78.0.1");
    other.space.at("10.78.0.2");
    let mut joined = false;
    for (listen, word) in [("/ip4/10.78.0.{}/tcp/7421", "/tcp/7421"), ("/ip4/10.78.0.{}/udp/7421/quic-v1", "/quic-v1")]
    {
        let (a, asks) = one.start(&listen.replace("{}", "1"), false).await;
        let (b, _b) = other.start(&listen.replace("{}", "2"), false).await;
        let echo = answering(asks);
        if !std::mem::replace(&mut joined, true) {
            b.join(&a.invite(1, Duration::from_secs(60)).await.unwrap()).await.unwrap();
        } else {
            b.dial(listen.replace("{}", "1").parse().unwrap()).await.unwrap();
        }
        linked(&b, &a).await;
        let answer = b.ask(a.peer(), Message::new("echo", vec![7; 1024])).await.unwrap();
        assert_eq!(answer, vec![7; 1024]);
        let link = b.links().await.unwrap().remove(0);
        assert!(link.address.to_string().contains(word), "{link:?}");

        // The cable is pulled, and put back: the link heals by itself.
        one.space.inside("link set cable down");
        let lost = b.ask(a.peer(), Message::new("echo", vec![1]).lasting(Duration::from_secs(1))).await;
        assert!(lost.is_err(), "{lost:?}");
        one.space.inside("link set cable up");
        let began = Instant::now();
        let answer = b.ask(a.peer(), Message::new("echo", vec![2]).lasting(PATIENCE)).await;
        assert_eq!(answer.unwrap(), [2]);
        println!("{word}: an answer {:?} after the cable was put back", began.elapsed());
        echo.abort();
        a.stop().await;
        b.stop().await;
    }
}

//! The rest of the world: clock, chance, environment, standard streams, sockets, and every import of the contract.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use guests::bindings::village::agent::types::{Payload, Priority};
use guests::bindings::village::agent::{
    agents, budget, device, kernels, ledger, log, memory, mesh, model, state, supervision, tasks, workspace,
};
use guests::{Agent, Answer, Error, Failure, FailureKind, failure, number, shown, text, unsupported, word};
use wasip2::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::{instance_network, ip_name_lookup, tcp_create_socket, udp_create_socket};

struct World;

impl Agent for World {
    const NAME: &'static str = "world";
    const SKILLS: &'static [&'static str] = &[
        "now",
        "instant",
        "random",
        "insecure",
        "env",
        "args",
        "stdin",
        "print",
        "eprint",
        "print-flood",
        "write-flood",
        "stream-flood",
        "panic",
        "log-flood",
        "get",
        "set",
        "set-and",
        "swap",
        "delete",
        "scan",
        "state-flood",
        "socket",
        "denied",
    ];

    fn handle(skill: &str, body: Vec<u8>) -> Answer {
        let n = number(&body, u64::MAX);
        let request = text(body)?;
        let reply = match skill {
            "now" => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis()).to_string(),
            "instant" => format!("{:?}", Instant::now()),
            "random" => hex(&wasip2::random::random::get_random_bytes(n?)),
            "insecure" => hex(&wasip2::random::insecure::get_insecure_random_bytes(n?)),
            "env" => std::env::var(&request).unwrap_or_else(|error| format!("error: {error}")),
            "args" => std::env::args().collect::<Vec<_>>().join("\n"),
            "stdin" => {
                let mut input = String::new();
                said(io::stdin().read_to_string(&mut input).map(|_| input))
            }
            "print" => said(writeln!(io::stdout(), "{request}").map(|()| request)),
            "eprint" => said(writeln!(io::stderr(), "{request}").map(|()| request)),
            "print-flood" => print_flood(n?),
            "write-flood" => write_flood(n?),
            "stream-flood" => stream_flood(n?),
            "panic" => panic!("{request}"),
            "log-flood" => log_flood(n?),
            "get" => match state::get(&request) {
                Ok(Some(entry)) => line(&entry),
                Ok(None) => "none".to_owned(),
                Err(error) => format!("error: {}", word(&error)),
            },
            "set" => {
                let (key, value) = request.split_once(' ').unwrap_or((&request, ""));
                shown(state::set(key, value.as_bytes()))
            }
            "set-and" => {
                let mut parts = request.splitn(3, ' ');
                let mut part = || parts.next().unwrap_or_default();
                let (way, key, value) = (part(), part(), part());
                if let Err(error) = state::set(key, value.as_bytes()) {
                    return Ok(format!("error: {}", word(&error)).into_bytes());
                }
                return Err(break_off(way));
            }
            "swap" => swap(&request),
            "delete" => shown(state::delete(&request)),
            "scan" => scan(&request),
            "state-flood" => state_flood(n?),
            "socket" => socket(&request),
            "denied" => denied(),
            _ => return Err(unsupported(skill)),
        };
        Ok(reply.into_bytes())
    }
}

fn said(result: io::Result<String>) -> String {
    result.unwrap_or_else(|error| format!("error: {:?} {error}", error.kind()))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Prints lines of 64 bytes until `bytes` are out; answers how many were taken.
fn print_flood(bytes: u64) -> String {
    let line = [b'x'; 63];
    let mut out = io::stdout();
    let mut sum = 0;
    while sum < bytes {
        if let Err(error) = out.write_all(&line).and_then(|()| out.write_all(b"\n")) {
            return format!("{sum} error: {:?} {error}", error.kind());
        }
        sum += 64;
    }
    sum.to_string()
}

/// One write of `bytes` without having asked how many may be written, as no well-behaved guest does.
fn write_flood(bytes: u64) -> String {
    let flood = vec![b'x'; bytes as usize];
    match wasip2::cli::stdout::get_stdout().write(&flood) {
        Ok(()) => bytes.to_string(),
        Err(error) => format!("error: {error:?}"),
    }
}

/// Asks `streams` standard outputs what each may write, and only then writes it to each; answers the sum.
fn stream_flood(streams: u64) -> String {
    let permitted = |_| {
        let stream = wasip2::cli::stdout::get_stdout();
        let permit = stream.check_write().unwrap_or(0);
        (stream, permit)
    };
    let open: Vec<_> = (0..streams).map(permitted).collect();
    let mut sum = 0;
    for (stream, permit) in &open {
        match stream.write(&vec![b'x'; *permit as usize]) {
            Ok(()) => sum += permit,
            Err(error) => return format!("{sum} error: {error:?}"),
        }
    }
    sum.to_string()
}

/// Logs lines of a KiB until one is refused or `lines` are written; answers how many, and the error.
fn log_flood(lines: u64) -> String {
    let line = "x".repeat(1024);
    for count in 0..lines {
        if let Err(error) = log::write(log::Level::Warn, &line) {
            return format!("{count} error: {}", word(&error));
        }
    }
    lines.to_string()
}

/// Does not end the turn well.
fn break_off(way: &str) -> Failure {
    match way {
        "panic" => panic!("after it has written"),
        "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
        _ => {}
    }
    failure(FailureKind::Internal, "after it has written")
}

/// `KEY VERSION VALUE`; the version `none` expects that there is no value.
fn swap(request: &str) -> String {
    let mut parts = request.splitn(3, ' ');
    let mut part = || parts.next().unwrap_or_default();
    let (key, expected, value) = (part(), part(), part());
    shown(state::swap(key, expected.parse().ok(), value.as_bytes()))
}

/// `LIMIT AFTER PREFIX`, with `-` for no key to go on from.
fn scan(request: &str) -> String {
    let mut parts = request.splitn(3, ' ');
    let mut part = || parts.next().unwrap_or_default();
    let (limit, after, prefix) = (part().parse().unwrap_or(0), part(), part());
    let after = (after != "-").then_some(after);
    shown(
        state::scan(prefix, after, limit)
            .map(|entries| entries.iter().map(|entry| line(entry) + "\n").collect::<String>()),
    )
}

fn line(entry: &state::Entry) -> String {
    format!("{} {} {}", entry.key, entry.version, String::from_utf8_lossy(&entry.value))
}

/// Sets keys of a KiB each until one is refused or `keys` are set; answers how many, and the error.
fn state_flood(keys: u64) -> String {
    let value = [b'x'; 1024];
    for count in 0..keys {
        if let Err(error) = state::set(&format!("flood/{count:08}"), &value) {
            return format!("{count} error: {}", word(&error));
        }
    }
    keys.to_string()
}

/// Tries to reach `PORT` on this machine by TCP, to make a UDP socket, and to look a name up; one line each.
fn socket(port: &str) -> String {
    let network = instance_network::instance_network();
    let address =
        IpSocketAddress::Ipv4(Ipv4SocketAddress { port: port.parse().unwrap_or(80), address: (127, 0, 0, 1) });
    let tcp = tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4).and_then(|socket| {
        socket.start_connect(&network, address)?;
        socket.subscribe().block();
        socket.finish_connect().map(|_| ())
    });
    let udp = udp_create_socket::create_udp_socket(IpAddressFamily::Ipv4).and_then(|socket| {
        socket.start_bind(&network, IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (127, 0, 0, 1) }))?;
        socket.finish_bind()
    });
    let name = ip_name_lookup::resolve_addresses(&network, "localhost").and_then(|found| {
        found.subscribe().block();
        found.resolve_next_address().map(|_| ())
    });
    format!("tcp {}\nudp {}\nname {}\n", opened(tcp), opened(udp), opened(name))
}

fn opened(result: Result<(), ErrorCode>) -> String {
    match result {
        Ok(()) => "opened".to_owned(),
        Err(error) => format!("error: {}", error.name()),
    }
}

/// Calls one function of each import, and more where more than one grant is behind it; answers a line each.
fn denied() -> String {
    let mut lines = String::new();
    let mut call = |name: &str, result: Result<(), Error>| {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{name} {}", shown(result.map(|()| "ok")));
    };
    let nothing = || Payload { content_type: String::new(), body: Vec::new() };
    let request = || agents::Request { skill: String::new(), payload: nothing(), priority: Priority::Normal };

    call("log.write", log::write(log::Level::Info, "denied?"));
    call("state.get", state::get("key").map(drop));
    call("state.set", state::set("key", b"value").map(drop));
    call("workspace.write", workspace::write("path", b"content"));
    call("workspace.read", workspace::read("path", 0, 1).map(drop));
    call("workspace.append", workspace::append("path", b"content").map(drop));
    call("workspace.write-at", workspace::write_at("path", 0, b"content"));
    call("workspace.truncate", workspace::truncate("path", 0));
    call("workspace.rename", workspace::rename("path", "path"));
    call("workspace.stat", workspace::stat("path").map(drop));
    call("workspace.remove", workspace::remove("path").map(drop));
    call("workspace.files", workspace::files("", None, 1).map(drop));
    call("workspace.keep", workspace::keep("name", b"content").map(drop));
    call("workspace.get", workspace::get("name", None).map(drop));
    call("workspace.versions", workspace::versions("name", None, 1).map(drop));
    call("workspace.prune", workspace::prune("name", 1).map(drop));
    call("workspace.delete", workspace::delete("name").map(drop));
    call("workspace.objects", workspace::objects("", None, 1).map(drop));
    call("budget.list", budget::list().map(drop));
    call("agents.ask", agents::ask("echo", &request(), 10).map(drop));
    call("agents.tell", agents::tell("echo", &request(), agents::Delivery::Now).map(drop));
    call("agents.emit", agents::emit(b"chunk"));
    call("mesh.publish", mesh::publish("topic", &nothing()));
    call("mesh.find", mesh::find("skill", 1).map(drop));
    call("model.count", model::count("local/any", "text").map(drop));
    call("model.models", model::models().map(drop));
    call("memory.search", memory::search("space", "query", &[], 1).map(drop));
    call("memory.forget", memory::forget("space", "source").map(drop));
    let document = || memory::Document { source: "source".to_owned(), content: nothing(), tags: Vec::new() };
    call("memory.ingest", memory::ingest("space", &document()).map(drop));
    call("memory.compress", memory::compress("text", "task", "", 1).map(drop));
    call("kernels.make", kernels::make(&[1], "f32", &[0; 4]).map(drop));
    call("supervision.monitor", supervision::monitor("echo"));
    call("supervision.demonitor", supervision::demonitor("echo").map(drop));
    call("supervision.link", supervision::link("echo"));
    call("supervision.unlink", supervision::unlink("echo").map(drop));
    call("tasks.status", tasks::status("id").map(drop));
    call("tasks.team", tasks::team(&["skill".to_owned()], 1, 10).map(drop));
    call("ledger.balance", ledger::balance().map(drop));
    call(
        "ledger.reserve",
        ledger::reserve(1).map(drop).map_err(|refusal| match refusal {
            ledger::Refusal::Error(error) => error,
            ledger::Refusal::Insufficient(have) => Error::Invalid(format!("insufficient: {have}")),
        }),
    );
    call("device.about", device::about().map(drop));
    lines
}

guests::export!(World with_types_in guests::bindings);

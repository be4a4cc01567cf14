//! `[mesh]` of `village.toml`: how a village meets others. Without it a village is alone, and nothing listens.

use super::{Problem, fields, string, table, unknown};
use crate::share::Terms;
use base::{Budget, Size};
use mesh::{Multiaddr, Settings};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use toml::Spanned;
use toml::de::DeValue;

/// How a village meets others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshConfig {
    /// Where it listens.
    pub listen: Vec<Multiaddr>,
    /// Villages that are called when none of those that are known can be reached.
    pub peers: Vec<Multiaddr>,
    /// Whether it looks for others on the local network. Where nobody says, it does unless it listens on this machine only.
    pub mdns: Option<bool>,
    /// The most connections with members.
    pub connections: usize,
    /// Whether members may be reached through this one.
    pub relay: bool,
    /// Members through which this one can be reached.
    pub through: Vec<Multiaddr>,
    /// Messages that one member may send in a second, and their bytes.
    pub messages: u32,
    /// Bytes of these.
    pub bytes: u32,
    /// Bytes of blobs a second, given and fetched each.
    pub blob_bytes: u64,
    /// Whether members may have the components and budgets of agents here.
    pub share: bool,
    /// The most that an agent of another village may use here: fields over what one may use where nobody says.
    pub adopt: Vec<(String, String)>,
}

const KEYS: [&str; 11] =
    ["listen", "peers", "mdns", "connections", "relay", "through", "messages", "bytes", "blob-bytes", "share", "adopt"];

/// Where the mesh listens, unless it is said.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 7421);

/// The fewest bytes a second of one member, and of blobs: a message has up to 1 MiB.
const FEWEST_BYTES: u64 = 2 << 20;
const FEWEST_BLOB_BYTES: u64 = 1 << 20;

impl Default for MeshConfig {
    fn default() -> MeshConfig {
        let Settings { connections, rate, blob_rate, .. } = Settings::new("");
        MeshConfig {
            listen: both(LISTEN),
            peers: Vec::new(),
            mdns: None,
            connections,
            relay: false,
            through: Vec::new(),
            messages: rate.messages,
            bytes: rate.bytes,
            blob_bytes: blob_rate,
            share: true,
            adopt: Vec::new(),
        }
    }
}

impl MeshConfig {
    /// Where to listen, as it is written: a port of this machine or ADDRESS:PORT, for TCP and QUIC; or a multiaddr.
    pub fn listen(text: &str) -> Result<Vec<Multiaddr>, String> {
        if text.starts_with('/') {
            return Ok(vec![multiaddr(text)?]);
        }
        let port = text.parse::<u16>().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let address = port.or_else(|_| text.parse());
        let wrong = |_| {
            format!(
                "`{text}` is no address to listen at: write a port, ADDRESS:PORT such as {LISTEN}, or /ip4/…/tcp/{}",
                LISTEN.port()
            )
        };
        Ok(both(address.map_err(wrong)?))
    }

    /// The settings of the mesh.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new(Path::new(""));
        settings.listen = self.listen.clone();
        settings.bootstrap = self.peers.clone();
        settings.mdns = self.mdns.unwrap_or_else(|| !self.listen.iter().all(here));
        settings.connections = self.connections;
        settings.rate.messages = self.messages;
        settings.rate.bytes = self.bytes;
        settings.blob_rate = self.blob_bytes;
        settings.relay.serve = self.relay;
        settings.relay.through = self.through.clone();
        settings
    }

    /// What other villages may have of this one.
    pub fn terms(&self) -> Terms {
        Terms { share: self.share, adopt: self.adopt.clone() }
    }

    pub(super) fn read(value: &Spanned<DeValue<'_>>) -> Result<MeshConfig, Problem> {
        let mut config = MeshConfig::default();
        for (key, value) in table("mesh", value)? {
            match key.get_ref().as_ref() {
                "listen" => config.listen = each("listen", "0.0.0.0:7421", value, MeshConfig::listen)?,
                "peers" => config.peers = each("peers", "10.0.0.5:7421", value, peer)?,
                "through" => config.through = each("through", "/ip4/…/tcp/7421/p2p/…", value, through)?,
                "mdns" => config.mdns = Some(flag("mdns", value)?),
                "relay" => config.relay = flag("relay", value)?,
                "share" => config.share = flag("share", value)?,
                "adopt" => {
                    for (field, at, text) in fields("mesh.adopt", value)? {
                        Budget::default().set(&field, &text).map_err(|error| (at, error.to_string()))?;
                        config.adopt.push((field, text));
                    }
                }
                "connections" => config.connections = number("connections", value, 1000)? as usize,
                "messages" => config.messages = number("messages", value, 1 << 20)?,
                "bytes" => config.bytes = size("bytes", value, FEWEST_BYTES, u64::from(u32::MAX))? as u32,
                "blob-bytes" => config.blob_bytes = size("blob-bytes", value, FEWEST_BLOB_BYTES, 1 << 40)?,
                other => return Err((key.span().start, unknown("key of the mesh", other, &KEYS))),
            }
        }
        Ok(config)
    }
}

/// An address for each of the two ways of carrying.
fn both(address: SocketAddr) -> Vec<Multiaddr> {
    vec![tcp(address), quic(address)]
}

fn tcp(address: SocketAddr) -> Multiaddr {
    made(format!("{}/tcp/{}", host(address), address.port()))
}

fn quic(address: SocketAddr) -> Multiaddr {
    made(format!("{}/udp/{}/quic-v1", host(address), address.port()))
}

fn host(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => format!("/ip4/{ip}"),
        IpAddr::V6(ip) => format!("/ip6/{ip}"),
    }
}

fn made(text: String) -> Multiaddr {
    text.parse().expect("an address and a port make a multiaddr")
}

/// A multiaddr that can be used here: over TCP or QUIC, at an address in numbers.
fn multiaddr(text: &str) -> Result<Multiaddr, String> {
    let address: Multiaddr = text.parse().map_err(|error| format!("`{text}` is no multiaddr: {error}"))?;
    let words: Vec<_> = text.split('/').skip(1).collect();
    match words.as_slice() {
        ["ip4" | "ip6", _, "tcp", _] | ["ip4" | "ip6", _, "udp", _, "quic-v1"] => Ok(address),
        ["ip4" | "ip6", _, "tcp", _, "p2p", _] | ["ip4" | "ip6", _, "udp", _, "quic-v1", "p2p", _] => Ok(address),
        _ => Err(format!("`{text}`: write /ip4/ADDRESS/tcp/PORT or /ip4/ADDRESS/udp/PORT/quic-v1 (or ip6)")),
    }
}

/// A village that is called first.
fn peer(text: &str) -> Result<Vec<Multiaddr>, String> {
    if text.starts_with('/') {
        return Ok(vec![multiaddr(text)?]);
    }
    let wrong =
        |_| format!("`{text}` is no address of a village: write ADDRESS:PORT such as 10.0.0.5:7421, or a multiaddr");
    Ok(vec![tcp(text.parse().map_err(wrong)?)])
}

/// A village through which this one can be reached: it has to be said who it is.
fn through(text: &str) -> Result<Vec<Multiaddr>, String> {
    match multiaddr(text) {
        Ok(address) if text.contains("/p2p/") => Ok(vec![address]),
        _ => Err(format!("`{text}`: write the address of a member and who it is, /ip4/ADDRESS/tcp/PORT/p2p/PEER")),
    }
}

/// Whether only this machine can reach an address.
fn here(address: &Multiaddr) -> bool {
    let text = address.to_string();
    let ip = text.split('/').nth(2).and_then(|ip| ip.parse::<IpAddr>().ok());
    ip.is_some_and(|ip| ip.is_loopback())
}

fn each(
    key: &str,
    example: &str,
    value: &Spanned<DeValue<'_>>,
    read: impl Fn(&str) -> Result<Vec<Multiaddr>, String>,
) -> Result<Vec<Multiaddr>, Problem> {
    let DeValue::Array(list) = value.get_ref() else {
        return Err((value.span().start, format!("`{key}` is a list, such as [\"{example}\"]")));
    };
    let mut all = Vec::new();
    for item in list {
        let text = string(key, example, item)?;
        all.extend(read(&text).map_err(|bad| (item.span().start, format!("`{key}`: {bad}")))?);
    }
    Ok(all)
}

fn flag(key: &str, value: &Spanned<DeValue<'_>>) -> Result<bool, Problem> {
    match value.get_ref() {
        DeValue::Boolean(flag) => Ok(*flag),
        _ => Err((value.span().start, format!("`{key}` is either true or false"))),
    }
}

fn number(key: &str, value: &Spanned<DeValue<'_>>, most: u32) -> Result<u32, Problem> {
    let number = match value.get_ref() {
        DeValue::Integer(number) => number.to_string().parse().ok(),
        _ => None,
    };
    let wrong = || (value.span().start, format!("`{key}` is a number from 1 to {most}"));
    number.filter(|number| (1..=most).contains(number)).ok_or_else(wrong)
}

fn size(key: &str, value: &Spanned<DeValue<'_>>, least: u64, most: u64) -> Result<u64, Problem> {
    let at = value.span().start;
    let text = string(key, "64MiB", value)?;
    let size: Size = text.parse().map_err(|bad: base::Bad| (at, format!("`{key}`: {bad}")))?;
    let bytes = size.get();
    match (least..=most).contains(&bytes) {
        true => Ok(bytes),
        false => Err((at, format!("`{key}`: from {} to {} a second", Size::bytes(least), Size::bytes(most)))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("village.toml")).map_err(|error| error.to_string())
    }

    fn texts(all: &[Multiaddr]) -> Vec<String> {
        all.iter().map(Multiaddr::to_string).collect()
    }

    #[test]
    fn without_the_table_there_is_no_mesh_and_an_empty_one_turns_it_on() {
        assert_eq!(parse("").expect("it is good").mesh, None);
        let mesh = parse("[mesh]\n").expect("it is good").mesh.expect("it is on");
        assert_eq!(texts(&mesh.listen), ["/ip4/0.0.0.0/tcp/7421", "/ip4/0.0.0.0/udp/7421/quic-v1"]);
        let settings = mesh.settings();
        assert_eq!((settings.mdns, settings.connections, settings.relay.serve), (true, 10, false));
    }

    #[test]
    fn every_key_of_the_mesh_gets_into_its_settings() {
        let text = r#"
[mesh]
listen = ["7500", "[::1]:7501", "/ip4/127.0.0.1/udp/7502/quic-v1"]
peers = ["10.0.0.5:7421", "/ip4/10.0.0.6/udp/7421/quic-v1"]
connections = 7
relay = true
through = ["/ip4/10.0.0.7/tcp/7421/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"]
messages = 123
bytes = "3MiB"
blob-bytes = "5MiB"
share = false
adopt = { memory = "32MiB", messages = 7 }
"#;
        let mesh = parse(text).expect("it is good").mesh.expect("it is on");
        let adopt = [("memory", "32MiB"), ("messages", "7")].map(|(field, text)| (field.into(), text.into()));
        assert_eq!(mesh.terms(), Terms { share: false, adopt: adopt.into() });
        assert!(MeshConfig::default().terms().share);
        let settings = mesh.settings();
        let listen = [
            "/ip4/127.0.0.1/tcp/7500",
            "/ip4/127.0.0.1/udp/7500/quic-v1",
            "/ip6/::1/tcp/7501",
            "/ip6/::1/udp/7501/quic-v1",
            "/ip4/127.0.0.1/udp/7502/quic-v1",
        ];
        assert_eq!(texts(&settings.listen), listen);
        assert_eq!(texts(&settings.bootstrap), ["/ip4/10.0.0.5/tcp/7421", "/ip4/10.0.0.6/udp/7421/quic-v1"]);
        assert_eq!((settings.rate.messages, settings.rate.bytes, settings.blob_rate), (123, 3 << 20, 5 << 20));
        assert_eq!((settings.connections, settings.relay.serve, settings.relay.through.len()), (7, true, 1));
        // It listens on this machine only, so that nobody is there to be found.
        assert!(!settings.mdns);
        let said = parse("[mesh]\nlisten = [\"7500\"]\nmdns = true\n").expect("it is good");
        assert!(said.mesh.expect("it is on").settings().mdns);
    }

    #[test]
    fn what_is_wrong_with_the_mesh_is_said_with_its_line() {
        for (text, said) in [
            ("[mesh]\nlisen = []\n", ":2: unknown key of the mesh `lisen`, did you mean `listen`?"),
            ("mesh = true\n", ":1: `mesh` is a table"),
            ("[mesh]\nlisten = \"7421\"\n", ":2: `listen` is a list, such as [\"0.0.0.0:7421\"]"),
            ("[mesh]\nlisten = [7421]\n", ":2: `listen` must be text in quotes"),
            (
                "[mesh]\nlisten = [\"example.org:7421\"]\n",
                ":2: `listen`: `example.org:7421` is no address to listen at",
            ),
            ("[mesh]\nlisten = [\"/memory/5\"]\n", ":2: `listen`: `/memory/5`: write /ip4/ADDRESS/tcp/PORT"),
            ("[mesh]\nlisten = [\"/ip4/10.0.0.1/tpc/5\"]\n", ":2: `listen`: `/ip4/10.0.0.1/tpc/5` is no multiaddr"),
            ("[mesh]\npeers = [\"7421\"]\n", ":2: `peers`: `7421` is no address of a village"),
            (
                "[mesh]\nthrough = [\"/ip4/10.0.0.7/tcp/1\"]\n",
                ":2: `through`: `/ip4/10.0.0.7/tcp/1`: write the address",
            ),
            ("[mesh]\nmdns = \"yes\"\n", ":2: `mdns` is either true or false"),
            ("[mesh]\nshare = 1\n", ":2: `share` is either true or false"),
            ("[mesh]\nadopt = { memroy = \"1MiB\" }\n", ":2: unknown budget field `memroy`, did you mean `memory`?"),
            ("[mesh]\nconnections = 0\n", ":2: `connections` is a number from 1 to 1000"),
            ("[mesh]\nbytes = \"1MiB\"\n", ":2: `bytes`: from 2MiB to"),
            ("[mesh]\nblob-bytes = \"fast\"\n", ":2: `blob-bytes`: "),
        ] {
            let refused = parse(text).expect_err(text);
            assert!(refused.starts_with(&format!("village.toml{said}")), "{refused}");
        }
    }
}

//! Where a back end is, as it is written in the configuration.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Where a back end is. Not printed in errors: agents get to see those.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub(super) tls: bool,
    pub(super) host: Host,
    pub(super) port: u16,
    /// Begins with a slash, or is empty.
    pub(super) path: String,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// This machine, whatever a name server says.
    Localhost,
    Dns(String),
    Ip(IpAddr),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let bad =
            |why: &str| format!("{why}: an address is such as http://127.0.0.1:11434 or https://api.example.com/v1");
        let uri: http::Uri = text.parse().map_err(|_| bad("it can't be read"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad("it begins neither with https:// nor with http://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it holds a user or a key, which belongs elsewhere (`key = \"NAME\"`)"));
        }
        if uri.query().is_some() {
            return Err(bad("it has a query"));
        }
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        let host = match name.parse::<IpAddr>() {
            Ok(ip) => Host::Ip(ip),
            Err(_) if name.is_empty() => return Err(bad("it names no host")),
            Err(_) if name.eq_ignore_ascii_case("localhost") => Host::Localhost,
            Err(_) => Host::Dns(name.to_ascii_lowercase()),
        };
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Address { tls, host, port, path: uri.path().trim_end_matches('/').into() })
    }
}

impl Address {
    /// Whether it is this machine's own, so that nothing sent there leaves it.
    pub fn loopback(&self) -> bool {
        match &self.host {
            Host::Localhost => true,
            Host::Ip(ip) => ip.to_canonical().is_loopback(),
            // Who answers for a name can change at any time.
            Host::Dns(_) => false,
        }
    }

    /// Whether what is sent there can be read on the way.
    pub fn readable(&self) -> bool {
        !self.tls && !self.loopback()
    }

    /// Whether the host is this name, or under it.
    pub(crate) fn under(&self, name: &str) -> bool {
        match &self.host {
            Host::Dns(host) => host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            _ => false,
        }
    }

    /// The same, with `path` where none is written.
    pub(crate) fn or_path(mut self, path: &str) -> Address {
        if self.path.is_empty() {
            self.path = path.into();
        }
        self
    }

    /// As a request names it.
    pub(super) fn authority(&self) -> String {
        let host = match &self.host {
            Host::Localhost => "localhost".to_owned(),
            Host::Dns(name) => name.clone(),
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            Host::Ip(ip) => ip.to_string(),
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// The addresses to try, in order.
    pub(super) async fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        let at = |ip: IpAddr| SocketAddr::new(ip, self.port);
        match &self.host {
            Host::Localhost => Ok(vec![at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into())]),
            Host::Ip(ip) => Ok(vec![at(*ip)]),
            Host::Dns(name) => Ok(tokio::net::lookup_host((name.as_str(), self.port)).await?.take(8).collect()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_itself_counts_as_this_machine() {
        let loopback = |text: &str| text.parse::<Address>().expect("an address").loopback();
        for text in ["http://127.0.0.1:1", "http://localhost:11434", "http://[::1]:80/v1", "http://LOCALHOST"] {
            assert!(loopback(text), "{text}");
        }
        for text in ["http://localhost.example.com", "http://192.168.1.2", "http://0.0.0.0", "https://api.openai.com"] {
            assert!(!loopback(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, said) in [
            ("127.0.0.1:11434", "begins neither"),
            ("ftp://a", "begins neither"),
            ("http://user:secret@a", "belongs elsewhere"),
            ("http://a/v1?key=1", "query"),
            ("http://", "can't be read"),
        ] {
            let error = text.parse::<Address>().expect_err(text);
            assert!(error.contains(said) && !error.contains("secret@"), "{error}");
        }
    }
}

//! A part of the web that an agent may ask: origin, path, methods, and the secret that is put into its requests.
//!
//! Both sides, what is granted and what is asked for, are read by the same rules. What two programs could read in two
//! ways is refused instead of guessed: odd spellings of addresses, paths that change when they are decoded.

use http::{HeaderName, HeaderValue, Method, Uri};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A part of the web that an agent may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    tls: bool,
    host: Pattern,
    port: u16,
    /// Its segments, without a slash at the end. Empty is everything.
    path: String,
    methods: Vec<Method>,
    key: Option<Key>,
}

/// The secret that the host puts into a request, and where. Its value is nowhere here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The secret's name.
    pub secret: String,
    /// The header that carries it.
    pub header: HeaderName,
    /// What stands before it there, and after it.
    pub around: (String, String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    One(Name),
    /// Every name under this one, which is not itself among them.
    Under(String),
}

/// A host, spelt in the one way that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// In small letters.
    Dns(String),
    Ip(IpAddr),
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) tls: bool,
    pub(crate) host: Name,
    pub(crate) port: u16,
    pub(crate) method: Method,
    path: String,
}

/// The methods that can be granted.
const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS];

/// Headers that frame a message or name its receiver: no secret goes there.
const FRAMING: [&str; 12] = [
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "expect",
    "accept-encoding",
];

impl Site {
    /// Reads `[METHOD,…] URL [secret=NAME as=HEADER: TEXT {}]`. Without methods it is GET and HEAD.
    pub fn parse(text: &str) -> Result<Site, String> {
        let (what, key) = match text.split_once(" secret=") {
            Some((what, rest)) => {
                let (secret, place) = rest.split_once(" as=").unwrap_or((rest, AUTHORIZATION));
                (what, Some(Key::parse(secret.trim(), place.trim())?))
            }
            None => (text, None),
        };
        let (methods, url) = match what.trim().split_once(char::is_whitespace) {
            Some((methods, url)) => (methods.split(',').map(str::trim).collect(), url.trim()),
            None => (vec!["GET", "HEAD"], what.trim()),
        };
        let after = url.find("://").map_or(0, |at| at + 3);
        let path = url[after..].find(['/', '?', '#', '\\']).map_or(url.len(), |at| after + at);
        Site::new(&url[..path], &url[path..], &methods, key)
    }

    /// From its parts, as a table in `agent.toml` has them.
    pub fn new(origin: &str, path: &str, methods: &[&str], key: Option<Key>) -> Result<Site, String> {
        let Some((scheme, authority)) = origin.split_once("://") else {
            return Err(format!("`{origin}` is no origin: {FORM}"));
        };
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(format!("`{scheme}` is neither https nor http")),
        };
        let (host, port) = split(authority, tls)?;
        let host = match host.strip_prefix("*.") {
            Some(under) => match Name::parse(under)? {
                Name::Dns(name) if name.contains('.') => Pattern::Under(name),
                _ => return Err(format!("`{host}`: a star stands for names under a domain, as in *.example.com")),
            },
            None => Pattern::One(Name::parse(host)?),
        };
        if path.contains(['?', '#']) {
            return Err(format!("`{path}`: a grant is of a path, without ? or #"));
        }
        let path = if path.is_empty() { "/" } else { path };
        plain(path)?;
        let mut known: Vec<Method> = Vec::new();
        for name in methods {
            let method = METHODS.into_iter().find(|method| method.as_str() == *name);
            let method = method.ok_or_else(|| {
                let all: Vec<_> = METHODS.iter().map(Method::as_str).collect();
                format!("`{name}` is no method that can be granted; there are {}", all.join(", "))
            })?;
            if !known.contains(&method) {
                known.push(method);
            }
        }
        let site = Site { tls, host, port, path: path.trim_end_matches('/').into(), methods: known, key };
        if site.methods.is_empty() {
            return Err("no method is named: leave `methods` out for GET and HEAD".into());
        }
        if site.key.is_some() && !tls && !site.loopback() {
            return Err(format!("a secret goes over https, or stays on this machine: `{origin}` is neither"));
        }
        Ok(site)
    }

    /// The secret that is put into its requests.
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// Whether it lets this request pass.
    pub(crate) fn allows(&self, target: &Target) -> bool {
        let host = match (&self.host, &target.host) {
            (Pattern::One(one), name) => one == name,
            (Pattern::Under(domain), Name::Dns(name)) => below(name, domain),
            (Pattern::Under(_), Name::Ip(_)) => false,
        };
        host && (self.tls, self.port) == (target.tls, target.port)
            && self.methods.contains(&target.method)
            && inside(&target.path, &self.path)
    }

    /// Whether whoever has this may hand on `other`: everything that `other` allows, this allows too.
    ///
    /// The secret must be the same one in the same place, or none: without it, less is lent.
    pub fn covers(&self, other: &Site) -> bool {
        let host = match (&self.host, &other.host) {
            (Pattern::One(one), Pattern::One(two)) => one == two,
            (Pattern::Under(domain), Pattern::One(Name::Dns(name))) => below(name, domain),
            (Pattern::Under(domain), Pattern::Under(name)) => name == domain || below(name, domain),
            _ => false,
        };
        host && (self.tls, self.port) == (other.tls, other.port)
            && other.methods.iter().all(|method| self.methods.contains(method))
            && (self.path == other.path || inside(&other.path, &self.path))
            && (other.key.is_none() || other.key == self.key)
    }

    /// Whether it names this machine itself.
    fn loopback(&self) -> bool {
        match &self.host {
            Pattern::One(Name::Ip(ip)) => ip.is_loopback(),
            Pattern::One(Name::Dns(name)) => name == LOCALHOST,
            Pattern::Under(_) => false,
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<_> = self.methods.iter().map(Method::as_str).collect();
        let host = match &self.host {
            Pattern::One(name) => name.to_string(),
            Pattern::Under(name) => format!("*.{name}"),
        };
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{} {scheme}://{host}{}{}", methods.join(","), port_text(self.tls, self.port), self.path)?;
        if self.path.is_empty() {
            f.write_str("/")?;
        }
        match &self.key {
            Some(key) => write!(f, " secret={} as={}: {}{{}}{}", key.secret, key.header, key.around.0, key.around.1),
            None => Ok(()),
        }
    }
}

const FORM: &str = "write METHOD,… https://HOST[:PORT]/PATH, such as GET https://api.example.com/v1/";

/// Where a secret goes, unless it is said.
pub(crate) const AUTHORIZATION: &str = "authorization: Bearer {}";

pub(crate) const LOCALHOST: &str = "localhost";

impl Key {
    /// `secret` is a name; `place` is a header, and what stands around the value in it: `authorization: Bearer {}`.
    pub fn parse(secret: &str, place: &str) -> Result<Key, String> {
        crate::secrets::name(secret)?;
        // Neither text is repeated in what is said: it may hold the value by mistake.
        let form = format!("`as` is a header with {{}} for the secret, such as {AUTHORIZATION}");
        let (header, text) = place.split_once(':').ok_or_else(|| form.clone())?;
        let header = HeaderName::from_bytes(header.trim().as_bytes()).map_err(|_| form.clone())?;
        if FRAMING.contains(&header.as_str()) {
            return Err(format!("`{header}` belongs to the connection: no secret goes there"));
        }
        let (before, after) =
            text.trim().split_once("{}").ok_or_else(|| format!("{form}; the value itself is not written here"))?;
        let word = |text: &str| {
            text.len() <= 24 && text.bytes().all(|byte| byte.is_ascii_alphabetic() || b" -_=\":;,".contains(&byte))
        };
        match word(before) && word(after) {
            true => Ok(Key { secret: secret.into(), header, around: (before.into(), after.into()) }),
            false => Err(format!("{form}; around it there is room for a word or two of letters, and not for a value")),
        }
    }

    /// The header's value.
    pub(crate) fn fill(&self, value: &str) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("{}{value}{}", self.around.0, self.around.1)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Name {
    /// Reads a host in the one spelling that is accepted; large letters are made small.
    pub(crate) fn parse(text: &str) -> Result<Name, String> {
        let odd = |why: &str| format!("`{text}` is no host that is accepted here: {why}");
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let ip: Ipv6Addr = inner.parse().map_err(|_| odd("it is no IPv6 address"))?;
            return Ok(Name::Ip(IpAddr::V6(ip).to_canonical()));
        }
        if text.is_empty() || text.len() > 253 {
            return Err(odd("it is empty or too long"));
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !text.split('.').all(label) {
            return Err(odd("names are of ASCII letters, digits and hyphens, without a dot at the end"));
        }
        let last = text.rsplit('.').next().unwrap_or_default();
        let number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
        if number {
            // Programs read 127.1, 0x7f.1 and 2130706433 as addresses, and not all as the same one.
            let ip: Ipv4Addr = text.parse().map_err(|_| odd("an IPv4 address is four plain numbers"))?;
            return Ok(Name::Ip(ip.into()));
        }
        Ok(Name::Dns(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Dns(name) => f.write_str(name),
            Name::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Name::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

impl Target {
    /// Reads what a request asks for.
    pub(crate) fn of(method: &Method, uri: &Uri) -> Result<Target, String> {
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("neither https nor http".into()),
        };
        let authority = uri.authority().ok_or("no host is named")?.as_str();
        let (host, port) = split(authority, tls)?;
        let host = Name::parse(host)?;
        let path = if uri.path().is_empty() { "/" } else { uri.path() };
        plain(path)?;
        Ok(Target { tls, host, port, method: method.clone(), path: path.into() })
    }

    /// Host and port, as a `host` header has them.
    pub(crate) fn authority(&self) -> String {
        format!("{}{}", self.host, port_text(self.tls, self.port))
    }
}

fn port_text(tls: bool, port: u16) -> String {
    if port == default_port(tls) { String::new() } else { format!(":{port}") }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Host and port of an authority.
fn split(authority: &str, tls: bool) -> Result<(&str, u16), String> {
    if authority.contains('@') {
        return Err("a user has no place in an address: put it into a header".into());
    }
    let after = authority.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = authority[after..].find(':').map(|at| after + at) else {
        return Ok((authority, default_port(tls)));
    };
    let digits = &authority[colon + 1..];
    let plain = !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(port) if plain => Ok((&authority[..colon], port)),
        _ => Err(format!("`{digits}` is no port: a number from 1 to 65535, without zeros before it")),
    }
}

fn below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

/// Whether `path` is `root` or in it, by whole segments.
fn inside(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A path that means the same to whoever decodes it, once or twice or not at all.
fn plain(path: &str) -> Result<(), String> {
    let odd = |why: &str| Err(format!("a path that can be read in two ways: {why}"));
    let Some(rest) = path.strip_prefix('/') else { return odd("it does not begin with a slash") };
    if !path.is_ascii() || path.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\') {
        return odd("it has a backslash, or letters that must be encoded");
    }
    let count = rest.split('/').count();
    for (at, segment) in rest.split('/').enumerate() {
        if segment.is_empty() && at + 1 < count {
            return odd("it has an empty segment");
        }
        let mut text = segment.as_bytes().to_vec();
        for _ in 0..3 {
            // What stands after a semicolon is a parameter to some, and cut off.
            let name = text.split(|byte| *byte == b';').next().unwrap_or_default();
            if name == b"." || name == b".." || text.iter().any(|byte| b"/\\".contains(byte) || byte.is_ascii_control())
            {
                return odd("it has a dot segment or an encoded slash");
            }
            let Some(decoded) = decoded(&text) else { break };
            if decoded == text {
                break;
            }
            text = decoded;
        }
        if decoded(segment.as_bytes()).is_none() {
            return odd("it has a % without two digits");
        }
    }
    Ok(())
}

/// One pass of percent-decoding; none if a `%` is not followed by two digits.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        if *byte != b'%' {
            plain.push(*byte);
            rest = after;
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok())?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        plain.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(text: &str) -> Site {
        Site::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn asks(method: &str, uri: &str) -> Result<Target, String> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        Target::of(&method, &uri.parse().map_err(|_| "no URI")?)
    }

    /// Whether a grant lets a request pass.
    fn passes(grant: &str, method: &str, uri: &str) -> bool {
        asks(method, uri).is_ok_and(|target| site(grant).allows(&target))
    }

    const API: &str = "GET,POST https://api.example.com/v1/";

    #[test]
    fn what_is_granted_passes() {
        assert!(passes(API, "GET", "https://api.example.com/v1/items?all=1"));
        assert!(passes(API, "POST", "https://API.example.COM:443/v1/"));
        assert!(passes("https://api.example.com", "HEAD", "https://api.example.com/any/thing"));
        assert!(passes("http://127.0.0.1:8080/hooks", "GET", "http://127.0.0.1:8080/hooks"));
        assert!(passes("http://[::1]:8080/", "GET", "http://[0:0:0:0:0:0:0:1]:8080/"));
        assert!(passes("https://*.example.com/", "GET", "https://a.b.example.com/"));
        assert!(passes(API, "GET", "https://api.example.com/v1/100%25/file%20name.txt"));
    }

    #[test]
    fn its_neighbours_do_not() {
        for (method, uri) in [
            ("DELETE", "https://api.example.com/v1/"),
            ("HEAD", "https://api.example.com/v1/"),
            ("get", "https://api.example.com/v1/"),
            ("GET", "http://api.example.com/v1/"),
            ("GET", "http://api.example.com:443/v1/"),
            ("GET", "https://api.example.com:8443/v1/"),
            ("GET", "https://api.example.com/v1x"),
            ("GET", "https://api.example.com/v"),
            ("GET", "https://api.example.com/V1/"),
            ("GET", "https://api.example.com/"),
            ("GET", "https://api.example.com/v1/../admin"),
            ("GET", "https://api.example.com/v1/%2e%2e/admin"),
            ("GET", "https://api.example.com/v1/.%2E/admin"),
            ("GET", "https://api.example.com/v1/%252e%252e/admin"),
            ("GET", "https://api.example.com/v1/..;a=b/admin"),
            ("GET", "https://api.example.com/v1/..%2fadmin"),
            ("GET", "https://api.example.com/v1%2f..%2fadmin"),
            ("GET", "https://api.example.com/v1/..%5cadmin"),
            ("GET", "https://api.example.com/v1//admin"),
            ("GET", "https://api.example.com//v1/"),
            ("GET", "https://api.example.com/v1/%zz"),
            ("GET", "https://api.example.com/v1/%00"),
            ("GET", "https://api.example.com/v%31/"),
            ("GET", "https://example.com/v1/"),
            ("GET", "https://api.example.com.evil.org/v1/"),
            ("GET", "https://evilapi.example.com/v1/"),
            ("GET", "https://api.example.com@evil.org/v1/"),
            ("GET", "https://user:pw@api.example.com/v1/"),
            ("GET", "https://api.example.com./v1/"),
            ("GET", "https://api.example.com:/v1/"),
            ("GET", "https://api.example.com:0443/v1/"),
            ("GET", "https://api.example.com:0/v1/"),
            ("GET", "https://api.example.com:70000/v1/"),
        ] {
            assert!(!passes(API, method, uri), "{method} {uri}");
        }
        assert!(!passes("https://*.example.com/", "GET", "https://example.com/"), "a star is for names under it");
        assert!(!passes("https://*.example.com/", "GET", "https://notexample.com/"));
        assert!(!passes("http://127.0.0.1/", "GET", "http://localhost/"), "a name is not an address");
    }

    #[test]
    fn odd_spellings_of_an_address_are_refused() {
        for host in [
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "127.1",
            "0177.0.0.1",
            "127.0.0.1.",
            "127.0.0.01",
            "[::1%25lo]",
            "[127.0.0.1]",
            "a..b",
            "-a.b",
            "a b",
            "%6cocalhost",
            "löcalhost",
            "",
        ] {
            assert!(Name::parse(host).is_err(), "{host}");
        }
        let v4 = Name::Ip(Ipv4Addr::LOCALHOST.into());
        assert_eq!(Name::parse("[::ffff:127.0.0.1]"), Ok(v4.clone()), "an address in another's clothes is itself");
        assert_eq!(Name::parse("127.0.0.1"), Ok(v4));
        assert_eq!(Name::parse("xn--bcher-kva.Example"), Ok(Name::Dns("xn--bcher-kva.example".into())));
    }

    #[test]
    fn what_is_wrong_with_a_grant_is_said_and_no_value_repeated() {
        let refusal = |text: &str| Site::parse(text).expect_err("it is refused");
        assert!(refusal("api.example.com").contains("is no origin"));
        assert!(refusal("ftp://example.com/").contains("neither https nor http"));
        assert!(refusal("TRACE https://example.com/").contains("`TRACE` is no method"));
        assert!(refusal("https://*.com/").contains("star"));
        assert!(refusal("https://*/").contains("is no host"));
        assert!(refusal("https://example.com/v1/../").contains("two ways"));
        assert!(refusal("https://example.com/?a=b").contains("without ?"));
        assert!(refusal("http://example.com/ secret=API_KEY").contains("https"));
        let pasted = "sk-live-0123456789abcdef";
        for text in [
            format!("https://example.com/ secret={pasted}"),
            format!("https://example.com/ secret=API_KEY as=authorization: Bearer {pasted}"),
            format!("https://example.com/ secret=API_KEY as=authorization: {pasted} {{}}"),
        ] {
            let said = refusal(&text);
            assert!(!said.contains(pasted) && (said.contains("value") || said.contains("name")), "{said}");
        }
        assert!(refusal("https://example.com/ secret=API_KEY as=host: {}").contains("belongs to the connection"));
    }

    #[test]
    fn a_secret_goes_over_https_or_stays_here() {
        for text in ["https://example.com/", "http://127.0.0.1:1/", "http://[::1]/", "http://localhost:80/"] {
            let site = site(&format!("{text} secret=API_KEY as=x-key: {{}}"));
            assert_eq!(site.key().map(|key| (key.secret.as_str(), key.header.as_str())), Some(("API_KEY", "x-key")));
        }
        assert!(Site::parse("http://10.0.0.1/ secret=API_KEY").is_err());
    }

    #[test]
    fn a_grant_is_handed_on_only_narrower() {
        let covers = |whole: &str, part: &str| site(whole).covers(&site(part));
        for part in [API, "GET https://api.example.com/v1/items", "POST https://api.example.com/v1"] {
            assert!(covers(API, part), "{part}");
        }
        for part in [
            "GET https://api.example.com/",
            "GET https://api.example.com/v1x",
            "GET,DELETE https://api.example.com/v1/",
            "GET http://api.example.com/v1/",
            "GET https://api.example.com:8443/v1/",
            "GET https://other.example.com/v1/",
            "GET https://*.example.com/v1/",
            "GET https://api.example.com/v1/ secret=API_KEY",
        ] {
            assert!(!covers(API, part), "{part}");
        }
        assert!(covers("https://*.example.com/", "https://*.eu.example.com/"));
        assert!(covers("https://*.example.com/", "https://a.example.com/"));
        assert!(!covers("https://*.eu.example.com/", "https://*.example.com/"));
        let keyed = "https://a.example.com/ secret=ONE";
        assert!(covers(keyed, keyed) && covers(keyed, "https://a.example.com/b"));
        assert!(!covers(keyed, "https://a.example.com/ secret=TWO"));
        assert!(!covers(keyed, "https://a.example.com/ secret=ONE as=x-key: {}"));
    }

    #[test]
    fn a_grant_is_written_as_it_is_read() {
        for text in [API, "GET http://[::1]:8080/", "GET https://*.a.b/c secret=KEY as=x-key: v {}"] {
            let one = site(text);
            assert_eq!(site(&one.to_string()), one);
        }
    }
}

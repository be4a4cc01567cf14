//! Finding the village that is meant: where it listens, and its token.

use crate::arguments::Reach;
use crate::problem::Problem;
use api::Token;
use api::client::Client;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

/// Where a village that is up says that it listens, in its data folder.
const ADDRESS: &str = "address";

/// The data folder: as it is said, or the user's own.
pub(crate) fn data(said: Option<&Path>) -> Result<PathBuf, Problem> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    said.map(Into::into)
        .or_else(|| variable("VILLAGE_DATA"))
        .or_else(|| variable("XDG_DATA_HOME").map(|folder| folder.join("village")))
        .or_else(|| variable("LOCALAPPDATA").map(|folder| folder.join("village/data")))
        .or_else(|| variable("HOME").map(|folder| folder.join(".local/share/village")))
        .ok_or_else(|| Problem::usage("there is no folder for the village's data: name one with --data"))
}

/// Says where a village listens, for those who look for it.
pub(crate) fn announce(data: &Path, address: SocketAddr) -> Result<(), Problem> {
    let path = data.join(ADDRESS);
    std::fs::write(&path, format!("http://{address}\n"))
        .map_err(|error| Problem::file(&path, crate::source::reason(&error)))
}

/// Takes that back.
pub(crate) fn retract(data: &Path) {
    // It may be gone already; whoever finds it meets nobody there, and is told so.
    let _ = std::fs::remove_file(data.join(ADDRESS));
}

impl Reach {
    /// The village that is meant.
    pub(crate) fn client(&self) -> Result<Client, Problem> {
        let data = data(self.data.as_deref())?;
        let url = match (&self.url, std::env::var("VILLAGE_URL").ok().filter(|url| !url.is_empty())) {
            (Some(url), _) => url.clone(),
            // A data folder that was named goes before the environment.
            (None, Some(url)) if self.data.is_none() => url,
            _ => announced(&data)?,
        };
        let address = address(&url)?;
        let token = match std::env::var("VILLAGE_TOKEN").ok().filter(|token| !token.is_empty()) {
            Some(token) => token,
            None => match Token::read(&data)? {
                Some(token) => token.text().to_string(),
                None => {
                    return Err(Problem::new(
                        "no-village",
                        format!(
                            "{}: there is no token: --data names the village's data folder, or $VILLAGE_TOKEN has its token",
                            data.display()
                        ),
                    ));
                }
            },
        };
        Ok(Client::new(address, token))
    }
}

fn announced(data: &Path) -> Result<String, Problem> {
    std::fs::read_to_string(data.join(ADDRESS)).map(|text| text.trim().to_string()).map_err(|_| {
        let said = format!(
            "no village is up on the data in {}: `village up --data …` starts one, and --data says which is meant",
            data.display()
        );
        Problem::new("no-village", said)
    })
}

fn address(url: &str) -> Result<SocketAddr, Problem> {
    let wrong = || Problem::usage(format!("`{url}` is not where a village listens: write http://127.0.0.1:7420"));
    let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    rest.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(wrong)
}

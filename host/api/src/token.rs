//! The token that opens the API: made at the first start, kept in the data folder for its owner alone.

use crate::error::Error;
use base::Digest;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

/// What opens the API.
#[derive(Clone)]
pub struct Token {
    text: String,
    digest: Digest,
}

/// Its file in the data folder.
const FILE: &str = "token";

/// Bytes of chance in it.
const CHANCE: usize = 32;

impl Token {
    /// The token of a data folder, made now if there is none. Answers whether it is new.
    pub fn open(folder: &Path) -> Result<(Token, bool), Error> {
        match Token::read(folder) {
            Ok(Some(token)) => Ok((token, false)),
            Ok(None) => Ok((Token::make(folder)?, true)),
            Err(error) => Err(error),
        }
    }

    /// The token of a data folder; none if there is none.
    pub fn read(folder: &Path) -> Result<Option<Token>, Error> {
        let path = folder.join(FILE);
        let broken = |problem: String| Error::Server(format!("{}: {problem}", path.display()));
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(broken(error.to_string())),
        };
        own(&file).map_err(broken)?;
        let mut text = String::new();
        file.take(1024).read_to_string(&mut text).map_err(|error| broken(error.to_string()))?;
        match text.trim() {
            short if short.len() < CHANCE => Err(broken("it is no token: remove it, and a new one is made".into())),
            text => Ok(Some(Token::from(text))),
        }
    }

    fn make(folder: &Path) -> Result<Token, Error> {
        let path = folder.join(FILE);
        let broken = |problem: String| Error::Server(format!("{}: {problem}", path.display()));
        let mut chance = [0; CHANCE];
        getrandom::fill(&mut chance).map_err(|error| broken(format!("there is no chance to be had: {error}")))?;
        let mut text = String::with_capacity(2 * CHANCE);
        for byte in chance {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&path).and_then(|mut file| {
            file.write_all(format!("{text}\n").as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| broken(error.to_string()))?;
        Ok(Token::from(text.as_str()))
    }

    /// Its letters.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether these letters are the token. It takes as long whichever of them differ.
    pub(crate) fn is(&self, given: &str) -> bool {
        let given = Digest::of(given.as_bytes());
        let differ = self.digest.as_bytes().iter().zip(given.as_bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
        std::hint::black_box(differ) == 0
    }
}

impl From<&str> for Token {
    fn from(text: &str) -> Token {
        Token { text: text.into(), digest: Digest::of(text.as_bytes()) }
    }
}

/// Refuses a file that others can read.
#[cfg(unix)]
fn own(file: &std::fs::File) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata().map_err(|error| error.to_string())?.permissions().mode() & 0o777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(format!("others may read it (mode {mode:o}): remove it, and a new one is made")),
    }
}

#[cfg(not(unix))]
fn own(_: &std::fs::File) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (token, new) = Token::open(folder.path()).expect("it is made");
        assert!(new && token.text().len() == 64);
        let (again, new) = Token::open(folder.path()).expect("it is there");
        assert!(!new && again.text() == token.text());
        assert!(token.is(again.text()) && !token.is("") && !token.is(&token.text()[1..]));
        let other = Token::open(tempfile::tempdir().expect("a folder").path()).expect("it is made").0;
        assert_ne!(other.text(), token.text());
    }

    #[cfg(unix)]
    #[test]
    fn a_token_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        Token::open(folder.path()).expect("it is made");
        let path = folder.path().join(FILE);
        let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
        assert!(Token::open(folder.path()).is_err_and(|error| error.to_string().contains("others may read it")));
    }
}

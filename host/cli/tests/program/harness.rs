//! Calling the program, and the guests that it is called on.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use toolchain::{Progress, Wanted};

/// A test guest's component.
pub(crate) fn guest(name: &str) -> &'static str {
    static GUESTS: LazyLock<BTreeMap<String, PathBuf>> = LazyLock::new(|| {
        let folder = checkout().join("tests/guests");
        let built = toolchain::build(&folder, Wanted::Examples, Progress::Kept).expect("the guests can be built");
        built.into_iter().map(|guest| (guest.name, guest.path)).collect()
    });
    GUESTS[name].to_str().expect("a path of plain characters")
}

pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The one object on the standard output.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{self:?}");
        assert_eq!(self.err, "", "nothing but the object");
        serde_json::from_str(&self.out).expect("it is JSON")
    }

    /// The kind of the error in the object, with its message.
    pub(crate) fn error(&self) -> (String, String) {
        let object = self.json();
        let text = |field: &str| object["error"][field].as_str().expect("an error has both").to_string();
        (text("kind"), text("message"))
    }
}

/// Calls the program with a cache that all tests share.
pub(crate) fn village<A: AsRef<str>>(arguments: impl IntoIterator<Item = A>) -> Ran {
    given("", arguments)
}

/// The same, with this on the standard input.
pub(crate) fn given<A: AsRef<str>>(input: &str, arguments: impl IntoIterator<Item = A>) -> Ran {
    cached(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("native"), input, arguments)
}

/// The same, with a cache of its own.
pub(crate) fn cached<A: AsRef<str>>(cache: &Path, input: &str, arguments: impl IntoIterator<Item = A>) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_village"))
        .args(arguments.into_iter().map(|argument| argument.as_ref().to_string()))
        .env("VILLAGE_CACHE", cache)
        .env("VILLAGE_TEST", "a value")
        // Where a project is built is for the project to say.
        .env_remove("CARGO_TARGET_DIR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Whoever reads nothing closes it early.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the program ends");
    Ran {
        code: output.status.code().expect("it ends by itself"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

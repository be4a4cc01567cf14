//! Two machines on one local network: network namespaces with a cable between them. The tests of the program have them too.
//! Whoever may not make namespaces skips what needs them, and says so; where `CI` is set that is a failure.

use std::process::Command;

/// A network namespace, until it is dropped.
pub(crate) struct Space {
    pub(crate) name: String,
}

fn ip(arguments: &str) -> Result<(), String> {
    let done = Command::new("ip").args(arguments.split(' ')).output();
    match done {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("ip: {error}")),
    }
}

impl Space {
    fn new(name: String) -> Result<Space, String> {
        ip(&format!("netns add {name}"))?;
        Ok(Space { name })
    }

    pub(crate) fn inside(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.name)).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Gives its end of the cable this address, and no other.
    pub(crate) fn at(&self, address: &str) {
        self.inside("address flush dev cable");
        self.inside(&format!("address add {address}/24 dev cable"));
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = ip(&format!("netns delete {}", self.name));
    }
}

/// Two of them with a cable between them; nothing, with a word, where that can't be had and need not be.
pub(crate) fn pair(test: &str) -> Option<(Space, Space)> {
    let name = |side: &str| format!("vlg-{}-{test}-{side}", std::process::id());
    let made = Space::new(name("a")).and_then(|a| Ok((a, Space::new(name("b"))?))).and_then(|(a, b)| {
        ip(&format!("-n {} link add cable type veth peer name cable netns {}", a.name, b.name))?;
        Ok((a, b))
    });
    match made {
        Ok((a, b)) => {
            for space in [&a, &b] {
                space.inside("link set lo up");
                space.inside("link set cable up");
            }
            Some((a, b))
        }
        Err(why) => {
            skip(&why);
            None
        }
    }
}

/// Says why a test is skipped that needs them, unless it must not be.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "no network namespaces can be made here: {why}");
    println!("skipped: no network namespaces can be made here: {why}");
}

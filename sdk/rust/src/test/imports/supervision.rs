//! Ties to the agents that the test opened, and to this agent's helpers. Nobody breaks here.

use crate::test::world::open;
use crate::types::Error;

pub(crate) fn monitor(address: &str) -> Result<(), Error> {
    tie(false, address)
}

pub(crate) fn demonitor(address: &str) -> Result<bool, Error> {
    untie(false, address)
}

pub(crate) fn link(address: &str) -> Result<(), Error> {
    tie(true, address)
}

pub(crate) fn unlink(address: &str) -> Result<bool, Error> {
    untie(true, address)
}

fn tie(link: bool, address: &str) -> Result<(), Error> {
    covered(address)?;
    if address == "agent" {
        return Err(Error::Invalid("`address`: an agent has no ties to itself".to_owned()));
    }
    open("agents").or_else(|_| open("spawn"))?.borrow_mut().turn.ties.insert((link, address.to_owned()));
    Ok(())
}

fn untie(link: bool, address: &str) -> Result<bool, Error> {
    covered(address)?;
    Ok(open("agents").or_else(|_| open("spawn"))?.borrow_mut().turn.ties.remove(&(link, address.to_owned())))
}

fn covered(address: &str) -> Result<(), Error> {
    let world = open("agents").or_else(|shut| open("spawn").map_err(|_| shut))?;
    let world = world.borrow();
    match world.agents.contains_key(address) || world.turn.children.contains(address) {
        true => Ok(()),
        false => Err(Error::Denied(format!("no grant opens `agents` for `{address}`"))),
    }
}

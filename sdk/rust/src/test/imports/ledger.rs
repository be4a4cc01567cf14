//! A ledger of one account.

use crate::ledger::{Entry, Refusal};
use crate::test::world::{World, open};
use crate::types::Error;

/// Gives back what is left of it when it is dropped.
#[derive(Debug)]
pub(crate) struct Hold(u64);

impl Hold {
    pub(crate) fn amount(&self) -> u64 {
        self.0
    }

    pub(crate) fn commit(mut this: Hold, to: &str, used: u64) -> Result<(), Refusal> {
        let world = open("ledger")?;
        if used > this.0 {
            return Err(Refusal::Insufficient(this.0));
        }
        this.0 -= used;
        enter(&mut world.borrow_mut(), to, used, "hold");
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Ok(world) = open("ledger") {
            world.borrow_mut().turn.balance += self.0;
        }
    }
}

pub(crate) fn balance() -> Result<u64, Error> {
    Ok(open("ledger")?.borrow().turn.balance)
}

pub(crate) fn transfer(to: &str, amount: u64, reason: &str) -> Result<(), Refusal> {
    let world = open("ledger")?;
    let mut world = world.borrow_mut();
    if amount == 0 {
        return Err(Error::Invalid("amount".to_owned()).into());
    }
    take(&mut world, amount)?;
    enter(&mut world, to, amount, reason);
    Ok(())
}

pub(crate) fn reserve(amount: u64) -> Result<Hold, Refusal> {
    take(&mut open("ledger")?.borrow_mut(), amount)?;
    Ok(Hold(amount))
}

pub(crate) fn history(before: Option<&str>, limit: u32) -> Result<Vec<Entry>, Error> {
    let world = open("ledger")?;
    if limit == 0 {
        return Err(Error::Invalid("limit".to_owned()));
    }
    let world = world.borrow();
    let entries = &world.turn.entries;
    let end = before.and_then(|id| entries.iter().position(|entry| entry.id == id)).unwrap_or(entries.len());
    Ok(entries[..end].iter().rev().take(limit as usize).cloned().collect())
}

fn take(world: &mut World, amount: u64) -> Result<(), Refusal> {
    let there = world.turn.balance;
    world.turn.balance = there.checked_sub(amount).ok_or(Refusal::Insufficient(there))?;
    Ok(())
}

fn enter(world: &mut World, to: &str, amount: u64, reason: &str) {
    let (id, time) = (world.next().to_string(), world.now);
    let entry = Entry { id, time, from: "agent".to_owned(), to: to.to_owned(), amount, reason: reason.to_owned() };
    world.turn.entries.push(entry);
}

//! Other agents, who answer what the test says.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::poll::{Pollable, now};
use crate::agents::Delivery;
use crate::bindings::village::agent::agents::Request;
use crate::test::world::open;
use crate::test::{Asked, Told};
use crate::types::{Error, Payload};

pub(crate) struct Pending {
    at: u64,
    chunks: RefCell<VecDeque<Vec<u8>>>,
    answer: RefCell<Result<Payload, Error>>,
    given: Cell<bool>,
}

impl Pending {
    pub(crate) fn subscribe(&self) -> Pollable {
        let at = if self.chunks.borrow().is_empty() { self.at } else { 0 };
        Pollable { at }
    }

    pub(crate) fn chunk(&self) -> Option<Vec<u8>> {
        self.chunks.borrow_mut().pop_front()
    }

    pub(crate) fn answer(&self) -> Option<Result<Payload, Error>> {
        if now() < self.at {
            return None;
        }
        if self.given.replace(true) {
            return Some(Err(Error::Invalid("the answer was given already".to_owned())));
        }
        Some(self.answer.borrow().clone())
    }
}

pub(crate) fn ask(to: &str, request: &Request, timeout: u64) -> Result<Pending, Error> {
    let world = open("agents")?;
    let script = world.borrow().agents.get(to).cloned();
    let script = script.ok_or_else(|| shut(to))?;
    let asked = asked(to, request);
    world.borrow_mut().asked.push(asked.clone());
    let answer = (script.borrow_mut())(&asked);
    let after = answer.after.as_millis() as u64;
    let late = after > timeout;
    let result = if late { Err(Error::Timeout(to.to_owned())) } else { answer.result };
    Ok(Pending {
        at: world.borrow().now + after.min(timeout),
        chunks: RefCell::new(answer.chunks.into()),
        answer: RefCell::new(result),
        given: Cell::new(false),
    })
}

pub(crate) fn tell(to: &str, request: &Request, when: Delivery) -> Result<String, Error> {
    let world = open("agents")?;
    let mut world = world.borrow_mut();
    if !world.agents.contains_key(to) {
        return Err(shut(to));
    }
    let id = world.next().to_string();
    world.turn.told.push(Told { id: id.clone(), what: asked(to, request), when });
    Ok(id)
}

pub(crate) fn cancel(id: &str) -> Result<bool, Error> {
    let world = open("agents")?;
    let told = &mut world.borrow_mut().turn.told;
    let before = told.len();
    told.retain(|told| told.id != id);
    Ok(told.len() < before)
}

pub(crate) fn emit(chunk: &[u8]) -> Result<(), Error> {
    open("agents")?.borrow_mut().emitted.push(chunk.to_vec());
    Ok(())
}

fn asked(to: &str, request: &Request) -> Asked {
    let Request { skill, payload, priority } = request.clone();
    Asked { to: to.to_owned(), skill, payload, priority }
}

fn shut(to: &str) -> Error {
    Error::Denied(format!("no grant opens `agents` for `{to}`"))
}

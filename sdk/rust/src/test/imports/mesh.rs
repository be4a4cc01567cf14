//! A mesh on which the test says who is to be found.

use crate::mesh::Found;
use crate::test::Published;
use crate::test::world::open;
use crate::types::{Error, Payload};

pub(crate) fn publish(topic: &str, payload: &Payload) -> Result<(), Error> {
    let world = open("mesh")?;
    let published = Published { topic: topic.to_owned(), payload: payload.clone() };
    world.borrow_mut().turn.published.push(published);
    Ok(())
}

pub(crate) fn subscribe(topic: &str) -> Result<(), Error> {
    open("mesh")?.borrow_mut().turn.topics.insert(topic.to_owned());
    Ok(())
}

pub(crate) fn unsubscribe(topic: &str) -> Result<bool, Error> {
    Ok(open("mesh")?.borrow_mut().turn.topics.remove(topic))
}

pub(crate) fn find(skill: &str, limit: u32) -> Result<Vec<Found>, Error> {
    let world = open("mesh")?;
    if limit == 0 {
        return Err(Error::Invalid("limit".to_owned()));
    }
    let world = world.borrow();
    let able = world.found.iter().filter(|found| found.skills.iter().any(|known| known == skill));
    Ok(able.take(limit as usize).cloned().collect())
}

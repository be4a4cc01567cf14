//! Tasks that wait for the test to say how far they are.

use crate::bindings::village::agent::tasks::{Child, Spec};
use crate::tasks::Progress;
use crate::test::world::open;
use crate::types::{Error, Limit};

pub(crate) fn submit(spec: &Spec) -> Result<String, Error> {
    let world = open("tasks")?;
    let mut world = world.borrow_mut();
    if spec.deadline == 0 {
        return Err(Error::Invalid("deadline".to_owned()));
    }
    let id = world.next().to_string();
    world.turn.tasks.insert(id.clone(), (spec.clone(), Progress::Queued));
    Ok(id)
}

pub(crate) fn status(id: &str) -> Result<Progress, Error> {
    let world = open("tasks")?;
    let world = world.borrow();
    world.turn.tasks.get(id).map(|(_, progress)| progress.clone()).ok_or_else(|| Error::NotFound(id.to_owned()))
}

pub(crate) fn report(_percent: u32) -> Result<(), Error> {
    open("tasks")?;
    Err(Error::Invalid("this turn works on no task".to_owned()))
}

pub(crate) fn withdraw(id: &str) -> Result<bool, Error> {
    let world = open("tasks")?;
    let tasks = &mut world.borrow_mut().turn.tasks;
    let open = matches!(tasks.get(id), Some((_, Progress::Queued | Progress::Active(_))));
    if open {
        tasks.remove(id);
    }
    Ok(open)
}

pub(crate) fn spawn(child: &Child) -> Result<String, Error> {
    let world = open("spawn")?;
    let mut world = world.borrow_mut();
    if world.turn.children.len() >= world.children {
        return Err(Error::Limit(Limit { what: "children".to_owned(), retry_after: None }));
    }
    let address = format!("agent/{}", child.name);
    if !world.turn.children.insert(address.clone()) {
        return Err(Error::Conflict(address));
    }
    Ok(address)
}

pub(crate) fn retire(address: &str) -> Result<bool, Error> {
    Ok(open("spawn")?.borrow_mut().turn.children.remove(address))
}

/// The first agents that have a skill which is still missing.
pub(crate) fn team(skills: &[String], size: u32, _deadline: u64) -> Result<Vec<String>, Error> {
    let world = open("team")?;
    let world = world.borrow();
    let mut missing: Vec<_> = skills.iter().collect();
    let mut team = Vec::new();
    for (name, has) in &world.team {
        let before = missing.len();
        missing.retain(|skill| !has.contains(skill));
        if missing.len() < before && team.len() < size as usize {
            team.push(name.clone());
        }
    }
    if missing.is_empty() { Ok(team) } else { Err(Error::Unavailable(format!("nobody has {missing:?}"))) }
}

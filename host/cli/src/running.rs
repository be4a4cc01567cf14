//! A running village, and the commands that ask it.

mod audit;
mod deploy;
mod erase;
mod follow;
mod letters;
mod manage;
mod mesh;
mod models;
mod ps;
mod reach;
mod replay;
mod scale;
mod send;
pub(crate) mod signals;
pub(crate) mod swap;
mod top;
mod turns;
mod up;

pub(crate) use audit::{audit, backup, restore};
pub(crate) use deploy::deploy;
pub(crate) use erase::erase;
pub(crate) use follow::{events, logs};
pub(crate) use letters::dead_letters;
pub(crate) use manage::{budget, rm, start, stop};
pub(crate) use mesh::{fetch, mesh};
pub(crate) use models::models;
pub(crate) use ps::ps;
pub(crate) use replay::replay;
pub(crate) use scale::scale;
pub(crate) use send::send;
pub(crate) use swap::{rollback, swap, versions};
pub(crate) use top::top;
pub(crate) use turns::turns;
pub(crate) use up::up;

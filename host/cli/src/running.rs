//! A running village, and the commands that ask it.

mod deploy;
mod follow;
mod manage;
mod ps;
mod reach;
mod send;
mod signals;
mod top;
mod up;

pub(crate) use deploy::deploy;
pub(crate) use follow::{events, logs};
pub(crate) use manage::{budget, rm, start, stop};
pub(crate) use ps::ps;
pub(crate) use send::send;
pub(crate) use top::top;
pub(crate) use up::up;

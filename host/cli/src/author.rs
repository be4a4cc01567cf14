//! What an agent's author does: `village new`, `village build`, `village test`.

mod advice;
mod build;
mod cases;
mod check;
mod compare;
mod dev;
mod new;
mod project;
mod reader;
mod renew;
mod template;
mod test;

pub(crate) use advice::{misfit, uncompiled};
pub(crate) use build::build;
pub(crate) use dev::dev;
pub(crate) use new::new;
pub(crate) use project::{newer_source, to_build};
pub(crate) use test::test;

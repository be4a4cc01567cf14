//! The machine that the test describes.

use crate::device::{Load, Profile};
use crate::test::world::open;
use crate::types::Error;

pub(crate) fn about() -> Result<Profile, Error> {
    described().map(|(profile, _)| profile)
}

pub(crate) fn now() -> Result<Load, Error> {
    described().map(|(_, load)| load)
}

fn described() -> Result<(Profile, Load), Error> {
    let world = open("device")?;
    let described = world.borrow().device.clone();
    described.ok_or_else(|| Error::Unavailable("the test describes no machine".to_owned()))
}

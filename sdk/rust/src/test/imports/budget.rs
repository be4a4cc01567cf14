//! Shows the figures that the test gave.

use crate::budget::Allowance;
use crate::test::world::open;
use crate::types::Error;

pub(crate) fn list() -> Result<Vec<Allowance>, Error> {
    Ok(open("budget")?.borrow().allowances.clone())
}

pub(crate) fn remaining() -> Result<u64, Error> {
    Ok(open("budget")?.borrow().remaining.as_micros() as u64)
}

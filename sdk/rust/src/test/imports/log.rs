//! Keeps the lines.

use crate::log::Level;
use crate::test::Line;
use crate::test::world::open;
use crate::types::Error;

/// As in the contract: where a line is cut.
const LONGEST: usize = 16 << 10;

pub(crate) fn write(level: Level, message: &str) -> Result<(), Error> {
    let cut = (0..=message.len().min(LONGEST)).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    open("log")?.borrow_mut().lines.push(Line { level, message: message[..cut].to_owned() });
    Ok(())
}

//! Words that all rooms share: sizes, shares, spans, budgets, digests. No I/O, nothing asynchronous, no clock.

mod budget;
mod digest;
mod nearest;
mod part;
mod quantity;
pub mod schema;

pub use budget::{Budget, Error as BudgetError, FIELDS as BUDGET_FIELDS, Group};
pub use digest::Digest;
pub use nearest::nearest;
pub use part::Part;
pub use quantity::{Bad, Share, Size, span, span_text};

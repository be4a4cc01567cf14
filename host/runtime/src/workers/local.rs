//! What a worker keeps for itself: the task that it woke last.

use super::{Shared, Task};
use std::cell::RefCell;
use std::sync::Arc;

struct Local {
    /// The workers that this thread is one of, by address; 0 if it is none.
    shared: usize,
    next: Option<Arc<Task>>,
}

thread_local! {
    static LOCAL: RefCell<Local> = const { RefCell::new(Local { shared: 0, next: None }) };
}

/// This thread is a worker from now on.
pub(super) fn sit_down(shared: &Shared) {
    LOCAL.with_borrow_mut(|local| local.shared = address(shared));
}

/// Keeps a task to go next on this thread. Answers what can't be kept: the task itself if this is no worker's thread, or
/// the one that was kept before.
pub(super) fn keep(shared: &Shared, task: Arc<Task>) -> Option<Arc<Task>> {
    LOCAL.with_borrow_mut(|local| match local.shared == address(shared) {
        true => local.next.replace(task),
        false => Some(task),
    })
}

/// What was kept; it is kept no longer.
pub(super) fn take() -> Option<Arc<Task>> {
    LOCAL.with_borrow_mut(|local| local.next.take())
}

fn address(shared: &Shared) -> usize {
    std::ptr::from_ref(shared).addr()
}

//! Who does the work. The caller decides how many threads there are; nothing here exceeds it.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::{Error, Result};

/// Runs numbered jobs, on as many threads as its owner allows.
///
/// The host implements it where it meters or throttles: between two jobs it may wait as long as it likes.
pub trait Pool: Sync {
    /// How many jobs run at once, at most. Buffers are sized by it.
    fn width(&self) -> usize;

    /// Runs `job` for each number below `count`, in any order, and returns when all are done. Breaks off, with some not
    /// done, if the owner wants no more of it.
    fn each(&self, count: usize, job: &(dyn Fn(usize) + Sync)) -> ControlFlow<()>;
}

/// The caller's own thread and no other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

impl Pool for Inline {
    fn width(&self) -> usize {
        1
    }

    fn each(&self, count: usize, job: &(dyn Fn(usize) + Sync)) -> ControlFlow<()> {
        (0..count).for_each(job);
        ControlFlow::Continue(())
    }
}

/// At most this many threads, the caller's among them. They end with each call.
#[derive(Clone, Copy, Debug)]
pub struct Threads(pub NonZeroUsize);

impl Pool for Threads {
    fn width(&self) -> usize {
        self.0.get()
    }

    fn each(&self, count: usize, job: &(dyn Fn(usize) + Sync)) -> ControlFlow<()> {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return;
                }
                job(index);
            }
        };
        let helpers = self.0.get().min(count).saturating_sub(1);
        std::thread::scope(|scope| {
            for _ in 0..helpers {
                scope.spawn(work);
            }
            work();
        });
        ControlFlow::Continue(())
    }
}

/// Runs jobs that can fail. The error of the lowest number is returned; after a failure no further job begins. A pool
/// that breaks off is [`Error::Stopped`].
pub(crate) fn try_each(pool: &dyn Pool, count: usize, job: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let failed = AtomicBool::new(false);
    let first = Mutex::new(None::<(usize, crate::Error)>);
    let done = pool.each(count, &|index| {
        if failed.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = job(index) {
            failed.store(true, Ordering::Relaxed);
            let mut first = first.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if first.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                *first = Some((index, error));
            }
        }
    });
    match first.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None if done.is_break() => Err(Error::Stopped),
        None => Ok(()),
    }
}

/// Runs jobs that each make something; the results are in the jobs' order whoever made them.
pub(crate) fn map<T: Send>(pool: &dyn Pool, count: usize, job: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let made = Mutex::new(Vec::new());
    try_each(pool, count, |index| {
        let value = job(index)?;
        made.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, value));
        Ok(())
    })?;
    let mut made = made.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    made.sort_by_key(|(index, _)| *index);
    Ok(made.into_iter().map(|(_, value)| value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_on_many_threads() {
        let pool = Threads(NonZeroUsize::new(3).expect("not zero"));
        let made = map(&pool, 100, |i| Ok(i * i)).expect("no job fails");
        assert!(made.iter().enumerate().all(|(i, v)| *v == i * i));
    }

    #[test]
    fn never_more_threads_than_allowed() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let done = Threads(NonZeroUsize::new(3).expect("not zero")).each(50, &|_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
        });
        assert!(done.is_continue() && most.load(Ordering::SeqCst) <= 3);
    }

    #[test]
    fn a_pool_that_breaks_off_stops_the_work() {
        struct Half;
        impl Pool for Half {
            fn width(&self) -> usize {
                1
            }
            fn each(&self, count: usize, job: &(dyn Fn(usize) + Sync)) -> ControlFlow<()> {
                (0..count / 2).for_each(job);
                ControlFlow::Break(())
            }
        }
        assert!(matches!(map(&Half, 10, Ok), Err(Error::Stopped)));
        assert!(matches!(try_each(&Half, 10, |_| Err(Error::Gpu(String::new()))), Err(Error::Gpu(_))));
    }
}

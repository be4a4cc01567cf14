//! So many bytes a second: whoever is over it waits.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Shared by all whose bytes add up.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    rate: f64,
    /// When all that was taken so far will have been paid for.
    paid: Arc<Mutex<Instant>>,
}

/// What may be taken at once after a pause.
const AHEAD: Duration = Duration::from_millis(100);

impl Meter {
    pub(crate) fn new(rate: u64) -> Meter {
        Meter { rate: rate as f64, paid: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Waits until so many bytes more are within the rate.
    pub(crate) async fn take(&self, bytes: usize) {
        let wait = {
            let now = Instant::now();
            let mut paid = self.paid.lock();
            let earliest = now.checked_sub(AHEAD).unwrap_or(now);
            *paid = (*paid).max(earliest) + Duration::from_secs_f64(bytes as f64 / self.rate);
            paid.saturating_duration_since(now)
        };
        tokio::time::sleep(wait).await;
    }
}

//! How long table keys were held: what somebody who waits for one has to expect.
//!
//! Not here: what is shown of it (`model::QueueHolds`), and the root's lock, which is held as
//! long as a verb runs.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use lancekeeper_model::QueueHolds;

/// Significant digits of what is kept: an error of a thousandth, for some ten kilobytes.
const DIGITS: u8 = 3;
/// Whatever lasts longer than a day counts as a day: the memory taken grows with the longest.
const LONGEST: Duration = Duration::from_hours(24);

/// Times for which keys were held, of one run over one root. A handle: clones share.
#[derive(Clone)]
pub struct HoldTimes {
    /// In microseconds.
    times: Arc<Mutex<Histogram<u64>>>,
}

impl HoldTimes {
    /// Counts one key that was held for this long.
    pub(crate) fn record(&self, held: Duration) {
        let micros = u64::try_from(held.min(LONGEST).as_micros()).unwrap_or(u64::MAX);
        // One that grows by itself refuses nothing; and what it tells is not worth an error.
        let recorded = self.times().record(micros);
        debug_assert!(recorded.is_ok(), "{micros} is refused: {recorded:?}");
    }

    /// What was recorded so far. Keys that are still held are not among it.
    #[must_use]
    pub fn holds(&self) -> QueueHolds {
        let times = self.times();
        let at = |quantile: f64| millis(times.value_at_quantile(quantile));
        QueueHolds {
            count: times.len(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: millis(times.max()),
        }
    }

    /// One value more or less at a time: poison means nothing here.
    fn times(&self) -> MutexGuard<'_, Histogram<u64>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for HoldTimes {
    fn default() -> Self {
        let mut times = Histogram::new(DIGITS).expect("it has up to five significant digits");
        times.auto(true);
        Self { times: Arc::new(Mutex::new(times)) }
    }
}

impl fmt::Debug for HoldTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HoldTimes").field(&self.holds()).finish()
    }
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let times = HoldTimes::default();
        assert_eq!(times.holds(), QueueHolds::default());
        for millis in 1..=1_000 {
            times.record(Duration::from_millis(millis));
        }
        let holds = times.holds();
        assert_eq!(holds.count, 1_000);
        let found = [holds.p50_ms, holds.p99_ms, holds.p999_ms, holds.max_ms];
        for (found, expected) in found.into_iter().zip([500.0, 990.0, 999.0, 1_000.0]) {
            assert!((found / expected - 1.0_f64).abs() < 0.002, "{found} is not {expected}");
        }
    }

    #[test]
    fn what_lasts_longer_than_a_day_counts_as_a_day() {
        let times = HoldTimes::default();
        times.record(Duration::MAX);
        let holds = times.holds();
        assert_eq!(holds.count, 1);
        assert!((holds.max_ms / 86_400_000.0 - 1.0).abs() < 0.002, "{holds:?}");
    }
}

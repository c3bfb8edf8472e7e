//! How many tables are worked on at once.

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use lancekeeper_model::TABLES_AT_ONCE;

/// The variable scripts already set for the graph's own client.
const VARIABLE: &str = "OMNIGRAPH_MAINTENANCE_CONCURRENCY";

/// Tables at once: what the caller asks for, else the environment (unset, zero and
/// garbage are nothing), else 8; never more than
/// there are tables, never less than 1.
pub(super) fn tables_at_once(asked: Option<usize>, tables: usize) -> usize {
    let from_environment = std::env::var(VARIABLE).ok();
    pick(asked, from_environment.as_deref(), tables)
}

/// Runs futures, at most `at_once` at the same time; yields their results in order.
///
/// They come boxed and as a list: with a closure in the stream, and Lance's deeply nested
/// futures below it, the compiler could not tell that a verb is `Send`, and nobody could spawn
/// one.
pub(crate) fn in_order<'a, T: Send + 'a>(
    futures: Vec<BoxFuture<'a, T>>,
    at_once: usize,
) -> BoxStream<'a, T> {
    stream::iter(futures).buffered(at_once).boxed()
}

fn pick(asked: Option<usize>, variable: Option<&str>, tables: usize) -> usize {
    asked
        .filter(|n| *n > 0)
        .or_else(|| variable.and_then(|text| text.trim().parse().ok()).filter(|n| *n > 0))
        .unwrap_or(TABLES_AT_ONCE)
        .min(tables)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_beats_the_variable_and_garbage_means_the_default() {
        assert_eq!(pick(Some(3), Some("5"), 100), 3);
        assert_eq!(pick(None, Some("5"), 100), 5);
        for garbage in ["", "0", "-1", "many"] {
            assert_eq!(pick(None, Some(garbage), 100), TABLES_AT_ONCE);
        }
        assert_eq!(pick(None, None, 2), 2);
        assert_eq!(pick(Some(0), None, 0), 1);
    }
}

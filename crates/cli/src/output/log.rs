//! Logs on stderr. By default only warnings of our own targets: Lance and what it stands on
//! log nothing unless `RUST_LOG` asks for it.

use tracing_subscriber::EnvFilter;

use super::Messages;

/// The target under which is logged what caches did.
pub(crate) const CACHES: &str = "lancekeeper::caches";

/// Starts logging for this process. What caches did is logged with `caches` whatever the verbosity.
pub(crate) fn start(messages: &Messages, verbosity: u8, caches: bool) {
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let filter = match asked.as_deref().map(EnvFilter::try_new) {
        Some(Ok(filter)) => filter,
        Some(Err(error)) => {
            messages.warning(&format!("RUST_LOG is ignored: {error}"));
            EnvFilter::new(directive(verbosity, caches))
        }
        None => EnvFilter::new(directive(verbosity, caches)),
    };
    let writer = messages.clone();
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(messages.colour())
        .with_writer(move || writer.clone())
        .try_init();
    // Only an embedder that logs already makes this fail; its choice stands.
    drop(started);
}

/// A prefix of all our targets and crates, and of nobody else's.
fn directive(verbosity: u8, caches: bool) -> String {
    let level = match verbosity {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let caches = if caches && verbosity == 0 { format!(",{CACHES}=info") } else { String::new() };
    format!("lancekeeper={level}{caches}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_targets_are_on() {
        for (verbosity, expected) in [(0, "warn"), (1, "info"), (2, "debug"), (9, "debug")] {
            for caches in [false, true] {
                let directive = directive(verbosity, caches && verbosity > 0);
                assert_eq!(
                    EnvFilter::new(directive).to_string(),
                    format!("lancekeeper={expected}")
                );
            }
        }
        let filter = EnvFilter::new(directive(0, true)).to_string();
        assert!(filter.contains("lancekeeper=warn") && filter.contains("lancekeeper::caches=info"));
    }
}

//! Logs on stderr. By default only warnings of our own targets: Lance and what it stands on
//! log nothing unless `RUST_LOG` asks for it.

use tracing_subscriber::EnvFilter;

use super::Messages;

/// Starts logging for this process.
pub(crate) fn start(messages: &Messages, verbosity: u8) {
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let filter = match asked.as_deref().map(EnvFilter::try_new) {
        Some(Ok(filter)) => filter,
        Some(Err(error)) => {
            messages.warning(&format!("RUST_LOG is ignored: {error}"));
            EnvFilter::new(directive(verbosity))
        }
        None => EnvFilter::new(directive(verbosity)),
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
fn directive(verbosity: u8) -> &'static str {
    match verbosity {
        0 => "lancekeeper=warn",
        1 => "lancekeeper=info",
        _ => "lancekeeper=debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_targets_are_on() {
        for (verbosity, expected) in [(0, "warn"), (1, "info"), (2, "debug"), (9, "debug")] {
            let filter = EnvFilter::new(directive(verbosity));
            assert_eq!(filter.to_string(), format!("lancekeeper={expected}"));
        }
    }
}

//! A failpoint set from outside the process: `LANCEKEEPER_FAILPOINT=NAME=ACTION[:N]` acts at
//! the N-th crossing (the first unless told), where ACTION is `abort` or `pause`.
//!
//! `fail` can be told to pause by its own variable, but nobody outside the process could then
//! tell it to go on. A pause here creates the file `paused` in the directory
//! `LANCEKEEPER_FAILPOINT_DIR` and waits there for a file `resume`. Only test builds contain
//! this.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const ORDER: &str = "LANCEKEEPER_FAILPOINT";
const DIRECTORY: &str = "LANCEKEEPER_FAILPOINT_DIR";
/// A run that nobody lets go on ends here instead of hanging for ever.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

struct Order {
    name: String,
    action: Action,
    crossing: usize,
    seen: AtomicUsize,
}

enum Action {
    Abort,
    Pause(PathBuf),
}

/// Acts if the environment asks for it at this crossing.
pub(super) fn obey(name: &str) {
    static SET: OnceLock<Option<Order>> = OnceLock::new();
    let Some(order) = SET.get_or_init(read) else { return };
    if order.name != name || order.seen.fetch_add(1, Ordering::SeqCst) + 1 != order.crossing {
        return;
    }
    match &order.action {
        Action::Abort => std::process::abort(),
        Action::Pause(directory) => pause(directory),
    }
}

/// # Panics
///
/// On an order that is not understood: a test that asked for something else than it gets
/// would prove nothing.
fn read() -> Option<Order> {
    let text = std::env::var(ORDER).ok()?;
    let Some((name, rest)) = text.split_once('=') else { panic!("{ORDER}: no action: {text}") };
    assert!(super::ALL.contains(&name), "{ORDER}: no such failpoint: {name}");
    let (action, crossing) = rest.split_once(':').unwrap_or((rest, "1"));
    let Ok(crossing) = crossing.parse() else { panic!("{ORDER}: no number: {text}") };
    let action = match (action, std::env::var_os(DIRECTORY)) {
        ("abort", _) => Action::Abort,
        ("pause", Some(directory)) => Action::Pause(directory.into()),
        _ => panic!("{ORDER}: neither abort, nor pause with {DIRECTORY}: {text}"),
    };
    Some(Order { name: name.to_owned(), action, crossing, seen: AtomicUsize::new(0) })
}

fn pause(directory: &std::path::Path) {
    let paused = directory.join("paused");
    if let Err(error) = std::fs::write(&paused, []) {
        panic!("{DIRECTORY}: {}: {error}", paused.display());
    }
    let end = Instant::now() + LONGEST_PAUSE;
    while !directory.join("resume").exists() {
        assert!(Instant::now() < end, "nobody resumed {}", directory.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

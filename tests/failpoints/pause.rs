//! Doing something while a run waits at a failpoint.

use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fail::FailGuard;

/// A failpoint at which a run waits once. Dropped, the failpoint is off.
pub(crate) struct Pause {
    crossings: Arc<AtomicUsize>,
    _guard: FailGuard,
}

impl Pause {
    /// How often the failpoint was crossed so far.
    pub(crate) fn crossings(&self) -> usize {
        self.crossings.load(Ordering::SeqCst)
    }
}

/// Runs `action` at the first crossing of a failpoint; whoever crosses it waits for the end.
pub(crate) fn pause_at<F, A>(name: &'static str, action: A) -> Pause
where
    A: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()>,
{
    let crossings = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&crossings);
    let action = Mutex::new(Some(action));
    let guard = FailGuard::with_callback(name, move || {
        counter.fetch_add(1, Ordering::SeqCst);
        let Some(action) = action.lock().unwrap().take() else { return };
        // A thread of its own: some failpoints are crossed on a runtime's thread, where no
        // other runtime may be waited for.
        let done = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(action());
        });
        done.join().unwrap();
    });
    Pause { crossings, _guard: guard.unwrap() }
}

/// Counts the crossings of a failpoint.
pub(crate) fn count(name: &'static str) -> Pause {
    pause_at(name, || async {})
}

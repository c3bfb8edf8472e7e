//! A gate: a file that nobody else can open for a moment. Whoever tries waits for it, and hears of no error.
//!
//! It is what Linux calls a lease. It is for moments: a gate opens by itself after a while, and with the end of its
//! process. Who has the file open already is not stopped, nor is who takes another way to it, as another machine.
//!
//! Not here: which file others open first, and when they may be made to wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
use elsewhere::Lease;
#[cfg(target_os = "linux")]
use linux::Lease;

use super::{Files, FilesError, Place, blocking, check_is_below};

/// A file that nobody else can open until this is dropped, or until it has opened by itself.
#[derive(Debug)]
pub struct Gate {
    lease: Arc<Mutex<Option<Lease>>>,
    opens_by_itself: AbortHandle,
}

/// What came of closing a gate.
#[derive(Debug)]
pub enum Closing {
    /// Nobody else can open the file.
    Closed(Gate),
    /// Somebody has it open.
    Busy,
    /// The system, the disk or its owner does not let us.
    Impossible,
}

impl Files {
    /// Closes a gate at a file, for so long at most. Everybody who opens the file waits meanwhile, this process too.
    /// Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// When the name leads out of the directory.
    ///
    /// # Cancel safety
    ///
    /// The gate is open, or opens by itself as soon as it is closed.
    pub async fn close_gate(&self, name: &str, most: Duration) -> Result<Closing, FilesError> {
        let Place::Local(directory) = &self.place else { return Ok(Closing::Impossible) };
        check_is_below(name)?;
        let place = directory.join(name);
        let taken = blocking(move || Ok(Lease::take(&place))).await?;
        Ok(match taken {
            Ok(lease) => Closing::Closed(Gate::of(lease, most)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Closing::Busy,
            Err(error) => {
                tracing::debug!(target: "lancekeeper::files", name, %error, "nobody can be made to wait");
                Closing::Impossible
            }
        })
    }
}

impl Gate {
    fn of(lease: Lease, most: Duration) -> Self {
        let lease = Arc::new(Mutex::new(Some(lease)));
        let opening = Arc::clone(&lease);
        let opens_by_itself = tokio::spawn(async move {
            tokio::time::sleep(most).await;
            drop(locked(&opening).take());
        });
        Self { lease, opens_by_itself: opens_by_itself.abort_handle() }
    }

    /// Whether somebody waits for it to open.
    #[must_use]
    pub fn is_waited_for(&self) -> bool {
        locked(&self.lease).as_ref().is_some_and(Lease::is_waited_for)
    }

    /// Whether it has not opened by itself.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        locked(&self.lease).is_some()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.opens_by_itself.abort();
        drop(locked(&self.lease).take());
    }
}

fn locked(lease: &Mutex<Option<Lease>>) -> MutexGuard<'_, Option<Lease>> {
    // It is there or not: poison means nothing here.
    lease.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs;
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);
    const MOMENT: Duration = Duration::from_millis(100);

    fn closed(closing: Closing) -> Gate {
        match closing {
            Closing::Closed(gate) => gate,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn who_opens_the_file_waits_until_the_gate_is_open_and_reads_it_then() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::local(directory.path());
        files.put("a", "1").await.unwrap();
        let place = directory.path().join("a");
        for is_dropped in [true, false] {
            let most = if is_dropped { LONG } else { MOMENT * 5 };
            let gate = closed(files.close_gate("a", most).await.unwrap());
            assert!(gate.is_closed() && !gate.is_waited_for());
            let (place, began) = (place.clone(), Instant::now());
            let reader = std::thread::spawn(move || fs::read(place).unwrap());
            tokio::time::sleep(MOMENT).await;
            assert!(!reader.is_finished() && gate.is_waited_for());
            // What is beside it is not stopped.
            files.put("b", "2").await.unwrap();
            if is_dropped {
                drop(gate);
            } else {
                while gate.is_closed() {
                    assert!(began.elapsed() < LONG);
                    tokio::time::sleep(MOMENT).await;
                }
            }
            assert_eq!(reader.join().unwrap(), b"1");
        }
        // It may be closed again at once.
        drop(closed(files.close_gate("a", LONG).await.unwrap()));
    }

    #[tokio::test]
    async fn no_gate_is_closed_at_what_somebody_has_open_or_at_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::local(directory.path());
        files.put("a", "1").await.unwrap();
        let reader = fs::File::open(directory.path().join("a")).unwrap();
        assert!(matches!(files.close_gate("a", LONG).await.unwrap(), Closing::Busy));
        drop(reader);
        drop(closed(files.close_gate("a", LONG).await.unwrap()));
        assert!(matches!(files.close_gate("b", LONG).await.unwrap(), Closing::Impossible));
        assert!(files.close_gate("../a", LONG).await.is_err());
        let elsewhere = Files::in_memory().close_gate("a", LONG).await.unwrap();
        assert!(matches!(elsewhere, Closing::Impossible));
    }
}

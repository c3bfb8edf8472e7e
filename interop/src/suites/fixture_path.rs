//! The one place where a graph with branches is what its writer left.
//!
//! Lance writes absolute base paths into branch manifests, so these fixtures are only faithful where they
//! were written. The tests use the same place under the same lock.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xtask::archive;

const PLACE: &str = "/tmp/lancekeeper";
const LOCK: &str = "/tmp/lancekeeper.lock";

pub(super) struct FixturePath {
    /// Held until we are dropped.
    _lock: File,
}

impl FixturePath {
    /// Waits until nobody else uses the place, and empties it.
    pub(super) fn take() -> Result<Self> {
        let lock = File::options().create(true).truncate(false).write(true).open(LOCK);
        let lock = lock.with_context(|| format!("failed to open {LOCK}"))?;
        lock.lock().with_context(|| format!("failed to lock {LOCK}"))?;
        archive::remove(Path::new(PLACE))?;
        Ok(Self { _lock: lock })
    }

    pub(super) fn unpack(&self, fixtures: &Path, name: &str) -> Result<()> {
        archive::unpack(fixtures, name, Path::new(PLACE))
    }

    pub(super) fn graph(&self) -> PathBuf {
        Path::new(PLACE).join("graph")
    }
}

impl Drop for FixturePath {
    fn drop(&mut self) {
        // What is left behind is removed by whoever takes the place next.
        archive::remove(Path::new(PLACE)).ok();
    }
}

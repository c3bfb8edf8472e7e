//! Fixtures written by real clients, unpacked.
//!
//! Archives with branches are only faithful at the absolute path they were written at; they
//! are unpacked there one at a time, across processes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use tempfile::TempDir;

/// Where the graph fixtures were written.
pub const FIXTURE_PATH: &str = "/tmp/lancekeeper/graph";
const FIXTURE_LOCK: &str = "/tmp/lancekeeper.lock";

/// A fixture in a directory of its own.
#[derive(Debug)]
pub struct Fixture {
    directory: TempDir,
}

impl Fixture {
    /// Unpacks `tests/fixtures/NAME.tar.gz`.
    ///
    /// # Errors
    ///
    /// When there is no such fixture.
    pub fn unpack(name: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        unpack_into(name, directory.path())?;
        Ok(Self { directory })
    }

    /// A directory inside it: `graph`, `lancedb`, `lancedb-music`.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        self.directory.path().join(inside)
    }

    /// The same as a URI.
    #[must_use]
    pub fn uri(&self, inside: &str) -> String {
        self.path(inside).to_string_lossy().into_owned()
    }
}

/// A graph fixture at the path it was written at, alone there until dropped.
#[derive(Debug)]
pub struct FixturePath {
    _lock: File,
}

impl FixturePath {
    /// Waits for the path, then unpacks a graph fixture there.
    ///
    /// # Errors
    ///
    /// When there is no such fixture, or the path cannot be used.
    pub fn unpack(name: &str) -> Result<Self> {
        let lock = File::create(FIXTURE_LOCK).context(FIXTURE_LOCK)?;
        lock.lock()?;
        let fixture = Self { _lock: lock };
        fixture.reset(name)?;
        Ok(fixture)
    }

    /// Unpacks again, from the start.
    ///
    /// # Errors
    ///
    /// As [`FixturePath::unpack`].
    pub fn reset(&self, name: &str) -> Result<()> {
        clear()?;
        let parent = Path::new(FIXTURE_PATH).parent().context("the fixture path has a parent")?;
        fs::create_dir_all(parent)?;
        unpack_into(name, parent)
    }

    /// The graph.
    #[must_use]
    pub fn uri(&self) -> String {
        FIXTURE_PATH.to_owned()
    }
}

impl Drop for FixturePath {
    fn drop(&mut self) {
        // Left over, it would only be replaced by the next one.
        let _ = clear();
    }
}

fn clear() -> Result<()> {
    match fs::remove_dir_all(FIXTURE_PATH) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(FIXTURE_PATH)
        }
        _ => Ok(()),
    }
}

fn unpack_into(name: &str, directory: &Path) -> Result<()> {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(format!("{name}.tar.gz"));
    let file = File::open(&archive).with_context(|| archive.display().to_string())?;
    tar::Archive::new(GzDecoder::new(file)).unpack(directory)?;
    Ok(())
}

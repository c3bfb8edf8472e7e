//! The databases that a table lies in. A run over a database works on the table too, and neither
//! would see the other's lock: a cleanup of the one would take the staged files of the other for
//! litter. So whoever works on a table has a share of the locks of the databases around it.

use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use lancekeeper_model::RootKind;
use lancekeeper_queue::{LockError, LockHolder, SharedRootLock, live_runs};
use lancekeeper_store::Root;
use lancekeeper_store::root::{MANIFEST_DIR, recognise};

use super::error::OpenRootError;

/// How far above a table a database is looked for that names it in its list of tables.
const LEVELS_MAX: usize = 16;

/// Takes a share of the lock of every database that a table lies in, the outermost first.
///
/// # Errors
///
/// When another keeper works on one of them, or has a run under way there.
///
/// # Cancel safety
///
/// Shares that were taken are given back. Lock files may have been created.
pub(super) async fn lock_outer(
    root: &Root,
    holder: &LockHolder,
) -> Result<Vec<SharedRootLock>, OpenRootError> {
    if root.kind != RootKind::Table {
        return Ok(Vec::new());
    }
    let (directory, holder) = (root.directory.clone(), holder.clone());
    let shares = move || {
        let mut shares = Vec::new();
        for database in databases_around(&directory).into_iter().rev() {
            match SharedRootLock::try_acquire(&database, &holder) {
                // As long as the share is held, none can begin there.
                Ok(share) => match live_runs(&database)?.first() {
                    None => shares.push(share),
                    Some(run) => return Err(run.refusal()),
                },
                // Who may not write there cannot run a keeper there either.
                Err(LockError::Io { source, .. })
                    if matches!(
                        source.kind(),
                        IoKind::PermissionDenied | IoKind::ReadOnlyFilesystem
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(shares)
    };
    Ok(tokio::task::spawn_blocking(shares).await??)
}

/// The databases above a directory, the innermost first: the one it lies in, and those further up
/// that keep a list of tables, which may name what lies deeper.
pub(super) fn databases_around(directory: &Path) -> Vec<PathBuf> {
    let above = directory.ancestors().skip(1).take(LEVELS_MAX).enumerate();
    let candidates =
        above.filter(|(level, place)| *level == 0 || place.join(MANIFEST_DIR).is_dir());
    let is_database = |place: &&Path| {
        recognise(&place.to_string_lossy()).is_ok_and(|root| root.kind == RootKind::Database)
    };
    candidates.map(|(_, place)| place).filter(is_database).map(Path::to_owned).collect()
}

//! Which file is to blame: what Lance says about unreadable data rarely names the file.
//!
//! Looks at sizes and magic numbers only. Damage inside a file that Lance does not notice is
//! not found here either.

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use lance::Dataset;
use lance_table::format::Fragment;
use lancekeeper_store::failure::hint_of;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

/// The last bytes of every Lance file.
const MAGIC: &[u8] = b"LANC";
/// Files looked at at the same time.
const LOOKS_AT_ONCE: usize = 16;

/// The error of an operation that read these fragments, naming the first of their files that
/// is damaged. An error for which the machine is to blame stays as it is.
pub(crate) async fn blame(
    table: &Dataset,
    fragments: &[Fragment],
    error: lance::Error,
) -> lance::Error {
    if hint_of(&error).is_some() {
        return error;
    }
    damaged(table, fragments).await.unwrap_or(error)
}

/// The first of the fragments' files that is damaged, as an error; `None` when none is, or when
/// that could not be found out.
pub(crate) async fn damaged(table: &Dataset, fragments: &[Fragment]) -> Option<lance::Error> {
    let (file, why) = find(table, fragments).await.ok().flatten()?;
    Some(lance::Error::corrupt_file_named(&file, format!("{why}; restore it from a backup")))
}

/// The first damaged data file, relative to the table, and what is wrong with it. Files of
/// other tables, which a clone refers to, are not looked at.
async fn find(table: &Dataset, fragments: &[Fragment]) -> lance::Result<Option<(String, String)>> {
    let store = table.object_store(None).await?;
    let directory = table.data_dir();
    let own = fragments.iter().flat_map(|f| &f.files).filter(|file| file.base_id.is_none());
    let looks: Vec<BoxFuture<'_, _>> = own
        .map(|file| {
            let path = directory.clone().join(file.path.as_str());
            let recorded = file.file_size_bytes.get().map(std::num::NonZero::get);
            let store = store.inner.as_ref();
            async move { (&file.path, look(store, &path, recorded).await) }.boxed()
        })
        .collect();
    let mut looked = futures::stream::iter(looks).buffered(LOOKS_AT_ONCE);
    while let Some((file, found)) = looked.next().await {
        if let Some(why) = found? {
            return Ok(Some((format!("data/{file}"), why)));
        }
    }
    Ok(None)
}

/// What is wrong with a data file, if anything.
async fn look(
    store: &dyn ObjectStore,
    path: &Path,
    recorded: Option<u64>,
) -> object_store::Result<Option<String>> {
    let size = match store.head(path).await {
        Ok(found) => found.size,
        Err(object_store::Error::NotFound { .. }) => return Ok(Some("it is missing".to_owned())),
        Err(error) => return Err(error),
    };
    if let Some(recorded) = recorded.filter(|recorded| *recorded != size) {
        return Ok(Some(format!("it has {size} bytes instead of {recorded}")));
    }
    let from = size.saturating_sub(MAGIC.len() as u64);
    let end = store.get_range(path, from..size).await?;
    Ok((end != MAGIC).then(|| "it does not end like a Lance file".to_owned()))
}

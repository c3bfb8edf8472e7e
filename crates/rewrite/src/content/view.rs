//! A handle on fragments that no version has yet, as if they were all of their table: so they are
//! read by the same code as any other, blobs included, whose files Lance finds by the fragment that
//! an address names.
//!
//! Nothing is written: the manifest of the handle exists in memory only.

use std::sync::Arc;

use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::session::Session;
use lance_table::feature_flags::FLAG_MIXED_DATA_FILE_VERSIONS;
use lance_table::format::{DataFile, Fragment, pb};
use prost::Message;

/// What is kept of footers while new files are read once.
const CACHE_BYTES: usize = 16 << 20;

/// A handle on staged fragments. They are given ids that no fragment of the table has. The session
/// is its own: what is remembered of these ids must not answer for the fragments that get them.
pub(super) async fn of(table: &Dataset, staged: &[Fragment]) -> lance::Result<Dataset> {
    let mut manifest = table.manifest().clone();
    let first = manifest.max_fragment_id.map_or(0, |id| u64::from(id) + 1);
    let own = manifest.data_storage_format.lance_file_format();
    let mut files = staged.iter().flat_map(Fragment::referenced_lance_files);
    let is_other = |file: &DataFile| file.file_version().is_ok_and(|version| version != own);
    let mixed = if files.any(is_other) { FLAG_MIXED_DATA_FILE_VERSIONS } else { 0 };
    let fragments = staged.iter().zip(first..).map(|(of, id)| Fragment { id, ..of.clone() });
    manifest.fragments = Arc::new(fragments.collect());
    manifest.index_section = None;
    // Files of another version than the table's: the commit that brings them sets these.
    manifest.reader_feature_flags |= mixed;
    manifest.writer_feature_flags |= mixed;
    let message = pb::Manifest::from(&manifest).encode_to_vec();
    let session = Session::new(CACHE_BYTES, CACHE_BYTES, table.session().store_registry());
    DatasetBuilder::from_uri(table.uri())
        .with_session(Arc::new(session))
        .with_serialized_manifest(&message)?
        .load()
        .await
}

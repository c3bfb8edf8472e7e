//! How large the pages of fragments are: read from the footers of their data files, of which nothing else is read.
//!
//! Not here: how large they should be (`planner`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lance::Dataset;
use lance_encoding::decoder::{ColumnInfo, PageInfo};
use lance_file::reader::FileReader;
use lance_io::scheduler::{ScanScheduler, SchedulerConfig};
use lance_table::format::Fragment;
use lancekeeper_model::PageFacts;
use lancekeeper_store::failure::guarded;

use crate::recipe::lineage::is_known;
use crate::recipe::paged::can_be_paged;

/// Where Lance puts data files, below a table's branch directory.
const DATA: &str = "data";

/// Footers that are read at the same time.
const FOOTERS_AT_ONCE: usize = 8;

/// The pages of the widest column of each of these fragments. None of those whose pages cannot be made anew here:
/// of tables with blobs or of the oldest format, of files that lie in other places, and of rows whose lineage is not in
/// the manifest.
///
/// # Errors
///
/// When a footer cannot be read.
pub async fn pages(table: &Dataset, fragments: &[u64]) -> lance::Result<BTreeMap<u64, PageFacts>> {
    if !can_be_paged(table) {
        return Ok(BTreeMap::new());
    }
    let store = table.object_store(None).await?;
    let scheduler = ScanScheduler::new(Arc::clone(&store), SchedulerConfig::max_bandwidth(&store));
    let directory = table.branch_location().path.join(DATA);
    let wanted: BTreeSet<u64> = fragments.iter().copied().collect();
    let is_wanted = |found: &&Fragment| wanted.contains(&found.id) && is_known(table, found);
    let wanted: Vec<Fragment> = table.fragments().iter().filter(is_wanted).cloned().collect();
    let looks =
        wanted.into_iter().map(|fragment| {
            let (scheduler, directory) = (Arc::clone(&scheduler), directory.clone());
            async move {
                let mut widest = PageFacts::default();
                for file in &fragment.files {
                    if file.base_id.is_some() {
                        return Ok(None);
                    }
                    let path = directory.clone().join(file.path.as_str());
                    let opened = scheduler.open_file(&path, &file.file_size_bytes).await?;
                    let metadata = FileReader::read_all_metadata(&opened).await?;
                    let columns = metadata.column_infos.iter().map(|column| facts(column));
                    widest = columns.fold(widest, |widest, column| {
                        if column.bytes > widest.bytes { column } else { widest }
                    });
                }
                Ok(Some((fragment.id, widest)))
            }
            .boxed()
        });
    let found = stream::iter(looks.collect::<Vec<_>>()).buffered(FOOTERS_AT_ONCE);
    let found = guarded(table.uri(), found.try_collect::<Vec<_>>().boxed()).await?;
    Ok(found.into_iter().flatten().collect())
}

fn facts(column: &ColumnInfo) -> PageFacts {
    let bytes =
        |page: &PageInfo| page.buffer_offsets_and_sizes.iter().map(|(_, size)| *size).sum::<u64>();
    PageFacts {
        pages: column.page_infos.len() as u64,
        bytes: column.page_infos.iter().map(bytes).sum(),
    }
}

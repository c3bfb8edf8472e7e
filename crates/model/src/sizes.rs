//! What the files of a table take, by kind. The fields are those of `--json`.

use serde::Serialize;

/// Bytes of the files that one version of a table refers to, wherever they lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TableBytes {
    /// Data files.
    pub data_bytes: u64,
    /// Files beside them that hold blobs. Of managed blobs these are all that lie in the table:
    /// which version refers to which stands in its rows alone.
    pub blob_bytes: u64,
    /// Index files.
    pub index_bytes: u64,
    /// Deletion files.
    pub deletion_bytes: u64,
}

impl TableBytes {
    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.data_bytes
            .saturating_add(self.blob_bytes)
            .saturating_add(self.index_bytes)
            .saturating_add(self.deletion_bytes)
    }

    /// What stays when this many bytes of rows go: blobs lose as much as the data they lie
    /// beside, for all that is known without reading them.
    #[must_use]
    pub fn without_rows(self, bytes: u64) -> Self {
        let rows = u128::from(self.data_bytes) + u128::from(self.blob_bytes);
        let of_blobs = u128::from(bytes) * u128::from(self.blob_bytes) / rows.max(1);
        let of_blobs = u64::try_from(of_blobs).unwrap_or(u64::MAX).min(bytes);
        Self {
            data_bytes: self.data_bytes.saturating_sub(bytes - of_blobs),
            blob_bytes: self.blob_bytes.saturating_sub(of_blobs),
            ..self
        }
    }

    /// Adds those of another table.
    pub fn add(&mut self, other: &Self) {
        self.data_bytes = self.data_bytes.saturating_add(other.data_bytes);
        self.blob_bytes = self.blob_bytes.saturating_add(other.blob_bytes);
        self.index_bytes = self.index_bytes.saturating_add(other.index_bytes);
        self.deletion_bytes = self.deletion_bytes.saturating_add(other.deletion_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_large_as_all_its_files() {
        let one =
            TableBytes { data_bytes: 1, blob_bytes: 20, index_bytes: 300, deletion_bytes: 4000 };
        assert_eq!(one.total(), 4321);
        let mut sum = one;
        sum.add(&one);
        assert_eq!(sum.total(), 8642);
        sum.add(&TableBytes { blob_bytes: u64::MAX, ..one });
        assert_eq!(sum.total(), u64::MAX);
    }

    #[test]
    fn rows_that_go_take_their_share_of_the_blobs_with_them() {
        let table =
            TableBytes { data_bytes: 10, blob_bytes: 90, index_bytes: 5, deletion_bytes: 1 };
        let left = table.without_rows(20);
        assert_eq!((left.data_bytes, left.blob_bytes, left.total()), (8, 72, 86));
        assert_eq!(TableBytes::default().without_rows(7), TableBytes::default());
        let all = table.without_rows(u64::MAX);
        assert_eq!((all.data_bytes, all.blob_bytes), (0, 0));
    }
}

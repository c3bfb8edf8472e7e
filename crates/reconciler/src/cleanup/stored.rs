//! A manifest as its file has it, as far as a cleanup asks: which files the version refers to.
//!
//! Lance's own reading makes values of every fragment of every version. A table of many
//! versions has the same fragments in nearly all of them, so here fragments stay bytes, and
//! equal bytes are decoded once, by Lance's own code. That this reads what Lance reads is
//! guarded by a test over manifests of real clients.

use chrono::{DateTime, Utc};
use lance_table::feature_flags::FLAG_MANAGED_BLOBS;
use lance_table::format::{IndexMetadata, pb};
use prost::Message;
use prost::bytes::Bytes;
use thiserror::Error;

/// Position of the manifest, two numbers for the format's version, four bytes that say it is one.
const FOOTER: usize = 16;
const MAGIC: &[u8] = b"LANC";
/// In front of every message stands its length.
const PREFIX: usize = 4;

/// A manifest that is not as Lance writes it.
#[derive(Debug, Error)]
pub enum StoredError {
    /// It does not end as a manifest does.
    #[error("it does not end like a manifest")]
    Footer,
    /// A part of it lies outside of the file.
    #[error("{what} lies outside of the file")]
    Outside {
        /// Which part.
        what: &'static str,
    },
    /// A part of it cannot be decoded.
    #[error("{what} cannot be decoded: {source}")]
    Decode {
        /// Which part.
        what: &'static str,
        /// What is wrong.
        #[source]
        source: prost::DecodeError,
    },
    /// Lance does not know a part of it.
    #[error("{what} cannot be understood: {source}")]
    Understand {
        /// Which part.
        what: &'static str,
        /// What Lance said.
        #[source]
        source: lance::Error,
    },
}

/// The fields of Lance's manifest message that matter here, under its own numbers.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Stored {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(super) fields: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) fragments: Vec<Bytes>,
    #[prost(uint64, tag = "3")]
    pub(super) version: u64,
    #[prost(uint64, optional, tag = "6")]
    index_section: Option<u64>,
    #[prost(message, optional, tag = "7")]
    timestamp: Option<Timestamp>,
    #[prost(uint64, tag = "9")]
    pub(super) reader_feature_flags: u64,
    #[prost(uint64, tag = "10")]
    pub(super) writer_feature_flags: u64,
    #[prost(string, tag = "12")]
    pub(super) transaction_file: String,
    #[prost(message, repeated, tag = "18")]
    pub(crate) base_paths: Vec<pb::BasePath>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl Stored {
    /// Whether blob descriptors may name files by themselves.
    pub(super) fn has_managed_blobs(&self) -> bool {
        // One without the other is nothing that Lance writes, and must not hide any.
        (self.reader_feature_flags | self.writer_feature_flags) & FLAG_MANAGED_BLOBS != 0
    }

    /// When the version was committed.
    pub(super) fn committed_at(&self) -> DateTime<Utc> {
        let Timestamp { seconds, nanos } = self.timestamp.unwrap_or_default();
        let nanos = u32::try_from(nanos).unwrap_or(0);
        DateTime::from_timestamp(seconds, nanos).unwrap_or_default()
    }
}

/// Decodes a file: its manifest, and the indexes it names.
pub(crate) fn decode(content: &Bytes) -> Result<(Stored, Vec<IndexMetadata>), StoredError> {
    let manifest = manifest_range(content)?;
    let stored: Stored = decoded(content.slice(manifest), "the manifest")?;
    let indexes = match stored.index_section {
        None => Vec::new(),
        Some(position) => {
            let what = "the list of indexes";
            let section = content.slice(message(content, position, what)?);
            let section: pb::IndexSection = decoded(section, what)?;
            let understood: Result<_, _> =
                section.indices.into_iter().map(IndexMetadata::try_from).collect();
            understood.map_err(|source| StoredError::Understand { what, source })?
        }
    };
    Ok((stored, indexes))
}

/// Where the message of a manifest lies in its file: up to the footer, without its length in front.
pub(crate) fn manifest_range(content: &Bytes) -> Result<std::ops::Range<usize>, StoredError> {
    let end = content.len().checked_sub(FOOTER).ok_or(StoredError::Footer)?;
    if !content.ends_with(MAGIC) {
        return Err(StoredError::Footer);
    }
    let mut position = [0; 8];
    position.copy_from_slice(&content[end..end + 8]);
    let manifest = message(content, u64::from_le_bytes(position), "the manifest")?;
    if manifest.end != end {
        return Err(StoredError::Outside { what: "the manifest" });
    }
    Ok(manifest)
}

/// Where a message lies that begins, with its length, at a position.
fn message(
    content: &Bytes,
    position: u64,
    what: &'static str,
) -> Result<std::ops::Range<usize>, StoredError> {
    let outside = || StoredError::Outside { what };
    let start = usize::try_from(position).map_err(|_| outside())?;
    let from = start.checked_add(PREFIX).ok_or_else(outside)?;
    let mut length = [0; PREFIX];
    length.copy_from_slice(content.get(start..from).ok_or_else(outside)?);
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(|_| outside())?;
    let to = from.checked_add(length).filter(|to| *to <= content.len()).ok_or_else(outside)?;
    Ok(from..to)
}

pub(crate) fn decoded<M: Message + Default>(
    content: Bytes,
    what: &'static str,
) -> Result<M, StoredError> {
    M::decode(content).map_err(|source| StoredError::Decode { what, source })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file that begins with an empty list of indexes.
    pub(in crate::cleanup) fn file(manifest: &[u8]) -> Bytes {
        let mut content = vec![0; PREFIX];
        let position = content.len() as u64;
        content.extend(u32::try_from(manifest.len()).unwrap().to_le_bytes());
        content.extend(manifest);
        content.extend(position.to_le_bytes());
        content.extend([0, 0, 2, 0]);
        content.extend(MAGIC);
        content.into()
    }

    #[test]
    fn a_manifest_is_found_by_its_footer_and_its_fragments_stay_bytes() {
        let stored = Stored {
            fragments: vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")],
            version: 7,
            ..Stored::default()
        };
        let (read, indexes) = decode(&file(&stored.encode_to_vec())).unwrap();
        assert_eq!((read, indexes.len()), (stored, 0));
    }

    #[test]
    fn whatever_is_cut_or_points_elsewhere_is_an_error_and_no_panic() {
        let whole = file(
            &Stored { version: 7, index_section: Some(0), ..Stored::default() }.encode_to_vec(),
        );
        assert_eq!(decode(&whole).unwrap().0.version, 7);
        for length in 0..whole.len() {
            assert!(decode(&whole.slice(..length)).is_err(), "{length}");
            assert!(decode(&whole.slice(length + 1..)).is_err(), "{length}");
        }
        for at in 0..whole.len() {
            let mut broken = whole.to_vec();
            broken[at] ^= 0xff;
            // Whether it can be decoded or not: it ends.
            let _ = decode(&broken.into());
        }
    }
}

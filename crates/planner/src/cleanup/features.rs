//! Feature bits of tables: of which it is known where the files lie that they mean.
//!
//! That Lance can read and write a table is not enough to delete files of it. A bit that is not
//! on this list stops every deletion in its table, whichever Lance we are built with.

/// A bit, and what it means for files.
pub const KNOWN_FEATURES: [(u32, &str); 14] = [
    (0, "deletion files: named by fragments"),
    (1, "stable row ids: in the manifest"),
    (2, "the second format of data files: no others"),
    (3, "a configuration: in the manifest"),
    (4, "bases: files of others, named with the number of their base"),
    (5, "no transaction files"),
    (6, "values over those of data files: data files named by fragments"),
    (7, "columns carried by indexes: in the indexes' own files"),
    (8, "several formats of data files in one table: no others"),
    (9, "fragment reuse with stable row ids: an index, and row maps that are left alone"),
    (10, "tagged fragment reuse: an index, and row maps that are left alone"),
    (11, "row lineage in columns of data files: no others"),
    (14, "managed blobs: named by descriptors in data files"),
    (15, "field ids that are never used again: in the manifest"),
];

/// Says which of a version's feature bits are not known; `None` when all are.
#[must_use]
pub fn unknown_features(reader: u64, writer: u64) -> Option<String> {
    let known: u64 = KNOWN_FEATURES.iter().map(|(bit, _)| 1 << bit).sum();
    let of = |name: &str, bits: u64| {
        let unknown = (0..u64::BITS).filter(|bit| bits & !known & 1 << bit != 0);
        let unknown: Vec<String> = unknown.map(|bit| bit.to_string()).collect();
        (!unknown.is_empty()).then(|| format!("{name} feature {}", unknown.join(", ")))
    };
    let all: Vec<String> =
        [of("reader", reader), of("writer", writer)].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(" and "))
}

/// The kinds of indexes of which it is known that all their files lie in the directories of
/// their segments, or in places that are left alone.
pub const KNOWN_INDEXES: [&str; 14] = [
    "BTree",
    "Bitmap",
    "BloomFilter",
    "FM",
    "FragmentReuse",
    "Inverted",
    "Json",
    "LabelList",
    "MemWal",
    "MinHashLsh",
    "NGram",
    "RTree",
    "Vector",
    "ZoneMap",
];

/// The kind of an index by the type of its details, if it is not one of those known. Indexes of
/// old writers say nothing about themselves and are vectors' or B-trees.
#[must_use]
pub fn unknown_index(details_type: &str) -> Option<&str> {
    let name = details_type.rsplit(['.', '/']).next().unwrap_or(details_type);
    let kind = name.strip_suffix("IndexDetails");
    if kind.is_some_and(|kind| KNOWN_INDEXES.contains(&kind)) { None } else { Some(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_that_is_not_on_the_list_is_named_in_whichever_word_it_stands() {
        let known: u64 = KNOWN_FEATURES.iter().map(|(bit, _)| 1 << bit).sum();
        assert_eq!(unknown_features(known, known), None);
        assert_eq!(unknown_features(0, 0), None);
        let said = unknown_features(known | 1 << 12, 1 << 17 | 1 << 63);
        assert_eq!(said.as_deref(), Some("reader feature 12 and writer feature 17, 63"));
    }

    #[test]
    fn an_index_of_an_unknown_kind_is_named() {
        assert_eq!(unknown_index("/lance.index.pb.BTreeIndexDetails"), None);
        assert_eq!(unknown_index("/lance.table.FragmentReuseIndexDetails"), None);
        let of = unknown_index("/lance.index.pb.MysteryIndexDetails");
        assert_eq!(of, Some("MysteryIndexDetails"));
        assert_eq!(unknown_index("/lance.index.pb.BTree"), Some("BTree"));
    }
}

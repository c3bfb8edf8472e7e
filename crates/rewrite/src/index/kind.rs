//! What is known of an index by its entry in the manifest: its kind, and what a rewrite does
//! to it. Opens nothing.

use lance_index::pb::JsonIndexDetails;
use lance_table::format::IndexMetadata;
use lancekeeper_model::{CarryOver, IndexKind};
use prost::Message;

/// The only file of a vector index in Lance's first format; later ones have a second.
const FIRST_VECTOR_FILE: &str = "index.idx";
/// From this version on a B-tree stores addresses on tables with stable row ids too.
const BTREE_OVER_ADDRESSES: i32 = 1;

/// The kind of an index as far as upkeep tells kinds apart.
#[must_use]
pub fn kind_of_index(index: &IndexMetadata) -> IndexKind {
    match name_of_details(index).as_str() {
        "btree" => IndexKind::BTree,
        "inverted" => IndexKind::FullText,
        "vector" => IndexKind::Vector,
        "zonemap" => IndexKind::ZoneMap,
        _ => IndexKind::Other,
    }
}

/// What becomes of a segment when fragments that it covers are rewritten.
#[must_use]
pub fn carry_over(index: &IndexMetadata, has_stable_row_ids: bool) -> CarryOver {
    let is_plain = index.covering_fields.is_empty() && index.fields.len() == 1;
    let over = |kind: &str| match (kind, has_stable_row_ids) {
        ("zonemap" | "bloomfilter" | "fm", _) | ("rtree", false) => CarryOver::ByRefresh,
        ("btree", true) if index.index_version >= BTREE_OVER_ADDRESSES => CarryOver::ByRemap,
        ("btree" | "bitmap" | "labellist" | "ngram" | "inverted" | "minhashlsh" | "vector", false)
        // Made before Lance wrote down of which kind an index is; it finds out by its files.
        | ("", false) => CarryOver::ByRemap,
        (
            "btree" | "bitmap" | "labellist" | "ngram" | "inverted" | "minhashlsh" | "vector"
            | "rtree" | "",
            true,
        ) => CarryOver::ByRowIds,
        _ => CarryOver::Not,
    };
    let carry_over = match name_of_details(index).as_str() {
        "json" => json_target(index).map_or(CarryOver::Not, |target| match over(&target) {
            // It says that it stores row ids, whatever its target stores.
            CarryOver::ByRefresh if has_stable_row_ids => CarryOver::Not,
            _ if has_stable_row_ids => CarryOver::ByRowIds,
            carry_over => carry_over,
        }),
        kind => over(kind),
    };
    match carry_over {
        CarryOver::ByRowIds => carry_over,
        // A segment that is written anew lies here, but would be looked for in its base; and
        // Lance writes none anew that carries other columns along.
        _ if index.base_id.is_some() || !is_plain => CarryOver::Not,
        _ => carry_over,
    }
}

/// Whether rows can be added to an index as a segment of their own. Of the other kinds Lance
/// can search several segments too, but is not known to be asked to.
#[must_use]
pub fn can_append(index: &IndexMetadata) -> bool {
    let kind = name_of_details(index);
    let is_plain = index.base_id.is_none() && index.fields.len() == 1;
    is_plain && matches!(kind.as_str(), "btree" | "bitmap" | "ngram" | "inverted" | "vector")
}

/// Whether a segment is a B-tree whose rows are known by their addresses, on a table with
/// stable row ids.
#[must_use]
pub fn is_btree_over_addresses(index: &IndexMetadata) -> bool {
    kind_of_index(index) == IndexKind::BTree && index.index_version >= BTREE_OVER_ADDRESSES
}

/// Why a segment can be neither refreshed nor made anew, as far as its entry tells.
#[must_use]
pub fn known_obstacle(index: &IndexMetadata) -> Option<&'static str> {
    let files = index.files.as_deref().unwrap_or_default();
    let is_first = matches!(files, [only] if only.path == FIRST_VECTOR_FILE);
    (kind_of_index(index) == IndexKind::Vector && is_first).then_some(
        "it is in Lance's first vector format, which this Lance can only read: \
         drop it and create it again",
    )
}

/// The kind that a segment's details name, in lower case; empty without details.
#[must_use]
pub fn name_of_details(index: &IndexMetadata) -> String {
    index.index_details.as_ref().map_or_else(String::new, |details| short_name(&details.type_url))
}

/// `btree` of `/lance.table.BTreeIndexDetails`.
fn short_name(type_url: &str) -> String {
    let last = type_url.rsplit(['/', '.']).next().unwrap_or_default().to_ascii_lowercase();
    last.strip_suffix("indexdetails").map_or_else(|| last.clone(), ToOwned::to_owned)
}

/// The kind of the index over the values that a JSON index takes out.
fn json_target(index: &IndexMetadata) -> Option<String> {
    let details = index.index_details.as_ref()?;
    let details = JsonIndexDetails::decode(details.value.as_slice()).ok()?;
    Some(short_name(&details.target_details?.type_url))
}

#[cfg(test)]
mod tests {
    use super::short_name;

    #[test]
    fn kinds_are_known_by_the_last_part_of_the_type_of_their_details() {
        assert_eq!(short_name("/lance.table.BTreeIndexDetails"), "btree");
        assert_eq!(short_name("type.googleapis.com/lance.index.pb.FMIndexDetails"), "fm");
        assert_eq!(short_name("/lance.index.pb.MinHashLshIndexDetails"), "minhashlsh");
        assert_eq!(short_name("somebody.elses"), "elses");
    }
}

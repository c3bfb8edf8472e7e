//! Blob descriptors as they come out of a scan: which of them name a file of their own. Pure.

use std::collections::BTreeSet;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt8Type, UInt32Type};
use arrow_array::{Array, StructArray};
use arrow_schema::DataType;
use lance::datatypes::Field;
use thiserror::Error;

use crate::cleanup::references::is_plain;

/// In the data file itself, packed or alone beside it, or somebody else's: nothing of the table
/// is named by itself.
const NAMES_NOTHING: std::ops::RangeInclusive<u8> = 0..=3;
/// Names a file below the base of the data file.
const MANAGED: u8 = 4;
/// Names a file below the base with the number that the descriptor gives.
const MANAGED_WITH_BASE: u8 = 5;

/// A file that a descriptor names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owned {
    /// The field the descriptor is of.
    pub(super) field: i32,
    /// The number of the base, where it gives one.
    pub(super) base: Option<u32>,
    /// Below that base.
    pub(super) path: String,
}

/// A descriptor that could name a file, in a way that is not known.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum NotUnderstood {
    /// The column is not there.
    #[error("column {0} was not read")]
    Column(String),
    /// It has another shape.
    #[error("column {0} holds no blob descriptors of a known form")]
    Form(String),
    /// A kind of blob that Lance 14 does not have.
    #[error("a blob is of the unknown kind {0}")]
    Kind(u8),
    /// A path that is not plainly below its base.
    #[error("a blob has the path {0:?}, which is no plain path below a table")]
    Path(String),
    /// No data file of the fragment has the field.
    #[error("a blob is in no data file of its fragment")]
    File,
}

/// Whether a field is one of blobs, or has such below it.
pub(super) fn holds_blobs(field: &Field) -> bool {
    field.is_blob_v2() || field.children.iter().any(holds_blobs)
}

/// Adds what the descriptors in a column name.
///
/// # Errors
///
/// When one of them cannot be understood.
pub(super) fn collect(
    field: &Field,
    column: &dyn Array,
    into: &mut BTreeSet<Owned>,
) -> Result<(), NotUnderstood> {
    (0..column.len()).try_for_each(|row| visit(field, column, row, into))
}

fn visit(
    field: &Field,
    column: &dyn Array,
    row: usize,
    into: &mut BTreeSet<Owned>,
) -> Result<(), NotUnderstood> {
    let form = || NotUnderstood::Form(field.name.clone());
    if column.is_null(row) {
        return Ok(());
    }
    if field.is_blob_v2() {
        let named = Descriptors::of(column.as_struct_opt().ok_or_else(form)?).ok_or_else(form)?;
        into.extend(named.named(field.id, row)?);
        return Ok(());
    }
    let items = |from: usize, to: usize, values: &dyn Array, into: &mut BTreeSet<Owned>| {
        let item = field.children.first().ok_or_else(form)?;
        (from..to).try_for_each(|at| visit(item, values, at, into))
    };
    match column.data_type() {
        DataType::Struct(_) => {
            let values = column.as_struct();
            for child in field.children.iter().filter(|child| holds_blobs(child)) {
                let below = values.column_by_name(&child.name).ok_or_else(form)?;
                visit(child, below.as_ref(), row, into)?;
            }
            Ok(())
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let offsets = list.value_offsets();
            let (from, to) = (offsets[row].unsigned_abs(), offsets[row + 1].unsigned_abs());
            items(from as usize, to as usize, list.values().as_ref(), into)
        }
        DataType::LargeList(_) => {
            let list = column.as_list::<i64>();
            let offsets = list.value_offsets();
            let at = |place: i64| usize::try_from(place).map_err(|_| form());
            items(at(offsets[row])?, at(offsets[row + 1])?, list.values().as_ref(), into)
        }
        _ => Err(form()),
    }
}

/// The columns of descriptors that matter.
struct Descriptors<'a> {
    kinds: &'a arrow_array::PrimitiveArray<UInt8Type>,
    bases: &'a arrow_array::PrimitiveArray<UInt32Type>,
    paths: &'a arrow_array::StringArray,
}

impl<'a> Descriptors<'a> {
    fn of(values: &'a StructArray) -> Option<Self> {
        Some(Self {
            kinds: values.column_by_name("kind")?.as_primitive_opt()?,
            bases: values.column_by_name("blob_id")?.as_primitive_opt()?,
            paths: values.column_by_name("blob_uri")?.as_string_opt()?,
        })
    }

    fn named(&self, field: i32, row: usize) -> Result<Option<Owned>, NotUnderstood> {
        // A null blob has a null kind where its struct has no nulls of its own.
        if self.kinds.is_null(row) {
            return Ok(None);
        }
        let base = match self.kinds.value(row) {
            kind if NAMES_NOTHING.contains(&kind) => return Ok(None),
            MANAGED => None,
            MANAGED_WITH_BASE => Some(self.bases.value(row)),
            kind => return Err(NotUnderstood::Kind(kind)),
        };
        let path = self.paths.value(row);
        if !is_plain(path) {
            return Err(NotUnderstood::Path(path.to_owned()));
        }
        Ok(Some(Owned { field, base, path: path.to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow_array::types::Int32Type;
    use arrow_array::{ArrayRef, ListArray, StringArray, UInt8Array, UInt32Array, UInt64Array};
    use arrow_schema::Field as ArrowField;
    use lance::datatypes::Schema;

    fn descriptors(rows: &[(Option<u8>, u32, &str)]) -> ArrayRef {
        let numbers = || Arc::new(UInt64Array::from_iter_values(rows.iter().map(|_| 1)));
        let column = |name: &str, values: ArrayRef| {
            let field = ArrowField::new(name, values.data_type().clone(), name == "kind");
            (Arc::new(field), values)
        };
        Arc::new(StructArray::from(vec![
            column("kind", Arc::new(rows.iter().map(|row| row.0).collect::<UInt8Array>())),
            column("position", numbers()),
            column("size", numbers()),
            column("blob_id", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|r| r.1)))),
            column("blob_uri", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.2)))),
        ]))
    }

    fn blob(name: &str, column: &ArrayRef) -> ArrowField {
        let name_of_type = ("ARROW:extension:name".to_owned(), "lance.blob.v2".to_owned());
        let field = ArrowField::new(name, column.data_type().clone(), true);
        field.with_metadata([name_of_type].into())
    }

    fn named(field: ArrowField, column: &ArrayRef) -> Result<Vec<String>, NotUnderstood> {
        let schema = arrow_schema::Schema::new(vec![field]);
        let schema = Schema::try_from(&schema).unwrap();
        let mut found = BTreeSet::new();
        collect(&schema.fields[0], column.as_ref(), &mut found)?;
        Ok(found.into_iter().map(|owned| format!("{:?} {}", owned.base, owned.path)).collect())
    }

    #[test]
    fn only_managed_descriptors_name_files_and_a_file_is_named_once() {
        let column = descriptors(&[
            (Some(0), 0, ""),
            (Some(1), 7, ""),
            (Some(2), 7, ""),
            (Some(3), 0, "s3://elsewhere/x"),
            (Some(4), 9, "data/a/1.blob"),
            (Some(4), 0, "data/a/1.blob"),
            (Some(5), 0, "_blobs/b.blob"),
            (None, 9, "never/read"),
        ]);
        let found = named(blob("b", &column), &column).unwrap();
        assert_eq!(found, ["None data/a/1.blob", "Some(0) _blobs/b.blob"]);
    }

    #[test]
    fn blobs_in_structs_and_lists_are_found_and_null_rows_name_nothing() {
        let below = descriptors(&[(Some(4), 0, "a"), (Some(4), 0, "b"), (Some(4), 0, "c")]);
        let item = Arc::new(blob("item", &below));
        let one_each = [0, 1, 2].map(|n| Some(vec![Some(n)]));
        let offsets = ListArray::from_iter_primitive::<Int32Type, _, _>(one_each).offsets().clone();
        let nulls = Some(vec![true, false, true].into());
        let list: ArrayRef = Arc::new(ListArray::new(Arc::clone(&item), offsets, below, nulls));
        let inner = Arc::new(ArrowField::new("l", list.data_type().clone(), true));
        let column: ArrayRef = Arc::new(StructArray::from(vec![(inner, list)]));
        let field = ArrowField::new("s", column.data_type().clone(), true);
        assert_eq!(named(field, &column).unwrap(), ["None a", "None c"]);
    }

    #[test]
    fn what_is_not_understood_is_an_error_and_never_nothing() {
        let of = |row| {
            let column = descriptors(&[row]);
            named(blob("b", &column), &column).unwrap_err()
        };
        assert_eq!(of((Some(6), 0, "a")), NotUnderstood::Kind(6));
        for path in ["", "/a", "a/", "a//b", "../a", "a/./b", "s3://a", "a\\b", "a%2Fb", "ü"] {
            assert_eq!(of((Some(4), 0, path)), NotUnderstood::Path(path.to_owned()));
        }
        let plain: ArrayRef = Arc::new(UInt8Array::from(vec![1]));
        let error = named(blob("b", &plain), &plain).unwrap_err();
        assert_eq!(error, NotUnderstood::Form("b".to_owned()));
    }
}

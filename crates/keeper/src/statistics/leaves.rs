//! The leaves of a table's columns: which there are, and their values in a batch. A field of a struct that is
//! null is null; the items of lists that are null are no values.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, OffsetSizeTrait};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType, Field, FieldRef};
use arrow_select::filter::filter;

/// A leaf of a column.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) path: String,
    pub(super) data_type: DataType,
    /// Whether its values have an order that means something.
    pub(super) has_order: bool,
}

/// The leaves of a column in the order in which [`visit`] shows them. A list is one, and so are its items.
pub(super) fn leaves_of(field: &Field) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    gather(field, None, &mut leaves);
    leaves
}

fn gather(field: &Field, outer: Option<&str>, leaves: &mut Vec<Leaf>) {
    let path =
        outer.map_or_else(|| field.name().clone(), |outer| format!("{outer}.{}", field.name()));
    if let DataType::Struct(fields) = field.data_type() {
        fields.iter().for_each(|field| gather(field, Some(&path), leaves));
        return;
    }
    let data_type = field.data_type().clone();
    // Of what only another library understands the order of the bytes means nothing.
    let is_plain = !field.metadata().contains_key("ARROW:extension:name");
    let has_order = is_plain && lancekeeper_layout::check_orderable(&data_type).is_ok();
    leaves.push(Leaf { path: path.clone(), data_type, has_order });
    if let Some(item) = item_of(field.data_type()) {
        gather(item, Some(&path), leaves);
    }
}

fn item_of(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => Some(item),
        _ => None,
    }
}

/// Takes the values of a leaf, with what is null in them.
pub(super) type Show<'a> = dyn FnMut(&ArrayRef, Option<&NullBuffer>) -> Result<(), ArrowError> + 'a;

/// Shows the values of each leaf of a column.
pub(super) fn visit(
    values: &ArrayRef,
    outer: Option<&NullBuffer>,
    show: &mut Show<'_>,
) -> Result<(), ArrowError> {
    let nulls = NullBuffer::union(values.logical_nulls().as_ref(), outer);
    if let DataType::Struct(_) = values.data_type() {
        return values
            .as_struct()
            .columns()
            .iter()
            .try_for_each(|column| visit(column, nulls.as_ref(), show));
    }
    show(values, nulls.as_ref())?;
    match values.data_type() {
        DataType::List(_) => visit(&items::<i32>(values, nulls.as_ref())?, None, show),
        DataType::LargeList(_) => visit(&items::<i64>(values, nulls.as_ref())?, None, show),
        _ => Ok(()),
    }
}

/// The items of the lists that are not null. Behind a null there may be some all the same.
fn items<O: OffsetSizeTrait>(
    lists: &ArrayRef,
    nulls: Option<&NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let lists = lists.as_list::<O>();
    let offsets = lists.value_offsets();
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else {
        return Ok(lists.values().slice(0, 0));
    };
    let (first, last) = (first.as_usize(), last.as_usize());
    let all = lists.values().slice(first, last - first);
    let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else { return Ok(all) };
    let mut kept = Vec::with_capacity(all.len());
    for (row, ends) in offsets.windows(2).enumerate() {
        let length = ends[1].as_usize() - ends[0].as_usize();
        kept.extend(std::iter::repeat_n(nulls.is_valid(row), length));
    }
    if kept.iter().all(|kept| *kept) {
        return Ok(all);
    }
    filter(&all, &BooleanArray::from(kept))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int64Type;
    use arrow_array::{Int64Array, ListArray, StructArray};
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::Fields;

    use super::*;

    fn shown(values: &ArrayRef) -> Vec<(usize, usize)> {
        let mut shown = Vec::new();
        visit(values, None, &mut |values, nulls| {
            shown.push((values.len(), nulls.map_or(0, NullBuffer::null_count)));
            Ok(())
        })
        .unwrap();
        shown
    }

    #[test]
    fn leaves_and_what_is_shown_of_them_are_the_same_in_number_and_order() {
        let item = Arc::new(Field::new("item", DataType::Int64, true));
        let fields = Fields::from(vec![
            Field::new("x", DataType::Int64, true),
            Field::new("tags", DataType::List(item), true),
        ]);
        let x = Int64Array::from(vec![Some(1), None, Some(3)]);
        let tags = ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some(vec![Some(1), Some(2)]),
            None,
            Some(vec![Some(3), None]),
        ]);
        // The last struct is null, and so is all that lies in it.
        let nulls = NullBuffer::from(vec![true, true, false]);
        let columns: Vec<ArrayRef> = vec![Arc::new(x), Arc::new(tags)];
        let values: ArrayRef = Arc::new(StructArray::new(fields.clone(), columns, Some(nulls)));
        let leaves = leaves_of(&Field::new("s", DataType::Struct(fields), true));
        let paths: Vec<&str> = leaves.iter().map(|leaf| leaf.path.as_str()).collect();
        assert_eq!(paths, ["s.x", "s.tags", "s.tags.item"]);
        assert_eq!(shown(&values), [(3, 2), (3, 2), (2, 0)]);
        assert_eq!(shown(&values.slice(1, 1)), [(1, 1), (1, 1), (0, 0)]);
    }

    #[test]
    fn items_behind_a_null_are_no_values() {
        let item = Arc::new(Field::new("item", DataType::Int64, true));
        let offsets = OffsetBuffer::new(vec![0, 2, 4].into());
        let nulls = Some(NullBuffer::from(vec![false, true]));
        let values = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        let lists: ArrayRef = Arc::new(ListArray::new(item, offsets, values, nulls));
        assert_eq!(shown(&lists), [(2, 1), (2, 0)]);
    }
}

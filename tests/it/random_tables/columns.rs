//! The columns a random table may have, and their values: a function of id and salt, so that a
//! history means the same rows every time.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field, Fields, Schema};

use super::steps::{Roll, Rows};

/// Those that a table may have besides its id.
pub(crate) const OPTIONAL: [&str; 7] =
    ["count", "label", "words", "tags", "vector", "point", "deep"];
pub(super) const DIMENSION: i32 = 8;

/// The columns that a table begins with.
pub(crate) fn schema(optional: &[&str]) -> Schema {
    let columns = optional.iter().map(|name| field(name));
    Schema::new(
        [Field::new("id", DataType::Int64, false)].into_iter().chain(columns).collect::<Vec<_>>(),
    )
}

fn field(name: &str) -> Field {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let number = |name| Field::new(name, DataType::Int64, true);
    match name {
        "count" => number("count"),
        "label" | "words" => text(name),
        "tags" => Field::new("tags", DataType::List(Arc::new(text("item"))), true),
        "vector" => {
            let item = Arc::new(Field::new("item", DataType::Float32, true));
            Field::new("vector", DataType::FixedSizeList(item, DIMENSION), true)
        }
        "point" => {
            let at = |name| Field::new(name, DataType::Float64, true);
            let mut marks = HashMap::new();
            marks.insert("ARROW:extension:name".to_owned(), "geoarrow.point".to_owned());
            marks.insert("ARROW:extension:metadata".to_owned(), "{}".to_owned());
            let parts = Fields::from(vec![at("x"), at("y")]);
            Field::new("point", DataType::Struct(parts), true).with_metadata(marks)
        }
        // The leaf `x` three times in a table with points.
        "deep" => {
            let inner = DataType::Struct(Fields::from(vec![number("x"), text("note")]));
            let parts = vec![number("x"), Field::new("inner", inner, true)];
            Field::new("deep", DataType::Struct(Fields::from(parts)), true)
        }
        other => unreachable!("no column {other}"),
    }
}

/// Rows for whatever columns a table has by now.
pub(crate) fn batch(columns: &Schema, ids: &[i64], rows: Rows) -> RecordBatch {
    let values = |field: &Arc<Field>| column(field, "", ids, rows);
    let arrays = columns.fields().iter().map(values).collect();
    RecordBatch::try_new(Arc::new(columns.clone()), arrays).unwrap()
}

fn column(field: &Field, above: &str, ids: &[i64], rows: Rows) -> ArrayRef {
    let path = format!("{above}{}", field.name());
    match field.data_type() {
        DataType::Int64 => {
            let number = |id| number_of(&path, id, rows).filter(|_| path == "id" || !rows.is_blank);
            Arc::new(ids.iter().map(|id| number(*id)).collect::<Int64Array>())
        }
        DataType::Utf8 => {
            let text = |id| text_of(&path, id, rows.salt).filter(|_| !rows.is_blank);
            Arc::new(ids.iter().map(|id| text(*id)).collect::<StringArray>())
        }
        DataType::Float64 => {
            let side = if path.ends_with('x') { 10 } else { 5 };
            let at = |id: &i64| (!rows.is_blank).then_some(((id + salt(rows)) % side) as f64);
            Arc::new(ids.iter().map(at).collect::<Float64Array>())
        }
        DataType::Struct(parts) => {
            let below = format!("{path}.");
            let leaves = parts.iter().map(|part| (part.clone(), column(part, &below, ids, rows)));
            Arc::new(StructArray::from(leaves.collect::<Vec<_>>()))
        }
        DataType::List(_) => lists(ids, rows),
        DataType::FixedSizeList(..) => vectors(ids, rows),
        other => unreachable!("no values of {other}"),
    }
}

fn salt(rows: Rows) -> i64 {
    i64::from(rows.salt)
}

fn number_of(path: &str, id: i64, rows: Rows) -> Option<i64> {
    match path {
        "id" => Some(id),
        "count" => (id % 5 != 4).then(|| (id * 7 + salt(rows)) % 50),
        "deep.x" => (id % 7 != 3).then_some((id + salt(rows)) % 20),
        "deep.inner.x" => Some(-(id % 20)),
        _ => Some(id * 2),
    }
}

fn text_of(path: &str, id: i64, salt: Roll) -> Option<String> {
    match path {
        "label" => (id % 6 != 5).then(|| format!("l{}", (id + i64::from(salt)) % 7)),
        "words" => (id % 9 != 8)
            .then(|| format!("alpha{} beta{} gamma{id}", id % 5, (id + i64::from(salt)) % 7)),
        _ => Some(format!("note{}", id % 4)),
    }
}

fn lists(ids: &[i64], rows: Rows) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for id in ids {
        if rows.is_blank || id % 8 == 7 {
            lists.append_null();
            continue;
        }
        for n in 0..id % 3 {
            lists.values().append_value(format!("t{}", (id + n + salt(rows)) % 6));
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

fn vectors(ids: &[i64], rows: Rows) -> ArrayRef {
    let mut vectors = FixedSizeListBuilder::new(Float32Builder::new(), DIMENSION);
    for id in ids {
        let is_null = rows.is_blank || id % 10 == 9;
        for place in 0..DIMENSION {
            let value = coordinate(*id, i64::from(rows.salt), i64::from(place));
            vectors.values().append_option((!is_null).then_some(value));
        }
        vectors.append(!is_null);
    }
    Arc::new(vectors.finish())
}

/// Some number from -1 to 1; no two vectors are equally far from a third.
fn coordinate(id: i64, salt: i64, place: i64) -> f32 {
    let mut mixed = (id * 1_000_003 + salt * 8_191 + place) as u64;
    for _ in 0..2 {
        mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    (mixed >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
}

//! What an index over values is asked, and which rows a question is about: once as an expression
//! for Lance, and once by looking at a value, by which the rows of one scan are told apart.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use lance::datatypes::{Field, Schema};
use lance::deps::datafusion::common::{Column, ScalarValue};
use lance::deps::datafusion::functions::core::expr_fn::get_field;
use lance::deps::datafusion::logical_expr::Expr;
use lance::deps::datafusion::prelude::{array_has, contains, lit};
use roaring::RoaringTreemap;

/// Letters of a text that are searched for: more than an index of three letters each looks up at once.
const PART_CHARS: usize = 8;
/// The least that such an index can look up.
const PART_CHARS_MIN: usize = 3;

/// How an index is asked about values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Which rows have this value, and which have none.
    Values,
    /// Which rows have this value in their list.
    Items,
    /// Which rows have these letters in their text.
    Parts,
}

/// Which rows are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Question {
    Is(ScalarValue),
    IsNull,
    Has(ScalarValue),
    Contains(String),
}

impl Question {
    /// The same for Lance.
    pub(super) fn expression(&self, column: &Expr) -> Expr {
        match self {
            Self::Is(value) => column.clone().eq(lit(value.clone())),
            Self::IsNull => column.clone().is_null(),
            Self::Has(value) => array_has(column.clone(), lit(value.clone())),
            Self::Contains(part) => contains(column.clone(), lit(part.as_str())),
        }
    }

    /// The same for people.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Is(value) => format!("the value {value}"),
            Self::IsNull => "nulls".to_owned(),
            Self::Has(value) => format!("lists with {value}"),
            Self::Contains(part) => format!("texts with {part:?}"),
        }
    }
}

/// The column of a field as an expression; `None` for one that is not reached by structs alone.
pub(super) fn column_of(schema: &Schema, field: i32) -> Option<Expr> {
    let path = schema.field_ancestry_by_id(field)?;
    let (first, below) = path.split_first()?;
    let (last, above) = path.split_last()?;
    let is_struct = |field: &&Field| matches!(field.data_type(), DataType::Struct(_));
    if !above.iter().all(is_struct) || last.id != field {
        return None;
    }
    let base = Expr::Column(Column::from_name(&first.name));
    Some(below.iter().fold(base, |outer, field| get_field(outer, field.name.as_str())))
}

/// At most so many questions about the values of a sample.
///
/// # Errors
///
/// When a value cannot be taken out of its column.
pub(super) fn questions(
    sample: &[ArrayRef],
    manner: Manner,
    most: usize,
) -> lance::Result<Vec<Question>> {
    let mut questions = Vec::new();
    let mut add = |question: Option<Question>| {
        if let Some(question) = question.filter(|question| !questions.contains(question))
            && questions.len() < most
        {
            questions.push(question);
        }
    };
    for values in sample {
        for row in 0..values.len() {
            match manner {
                Manner::Values => add(value(values, row)?.map(Question::Is)),
                Manner::Items => {
                    for item in items(values, row)? {
                        add(Some(Question::Has(item)));
                    }
                }
                Manner::Parts => {
                    let part = text(values, row).and_then(part_of);
                    add(part.map(Question::Contains));
                }
            }
        }
    }
    if manner == Manner::Values && !questions.is_empty() {
        questions.push(Question::IsNull);
    }
    Ok(questions)
}

/// Rows by the question they answer.
pub(super) struct Sorted {
    manner: Manner,
    known: HashMap<ScalarValue, usize>,
    parts: Vec<(String, usize)>,
    null: Option<usize>,
    pub(super) rows: Vec<RoaringTreemap>,
}

impl Sorted {
    pub(super) fn by(questions: &[Question], manner: Manner) -> Self {
        let rows = vec![RoaringTreemap::new(); questions.len()];
        let (known, parts, null) = (HashMap::new(), Vec::new(), None);
        let mut sorted = Self { manner, known, parts, null, rows };
        for (at, question) in questions.iter().enumerate() {
            match question {
                Question::Is(value) | Question::Has(value) => {
                    sorted.known.insert(value.clone(), at);
                }
                Question::Contains(part) => sorted.parts.push((part.clone(), at)),
                Question::IsNull => sorted.null = Some(at),
            }
        }
        sorted
    }

    /// Sorts in the rows of a batch.
    ///
    /// # Errors
    ///
    /// As [`questions`].
    pub(super) fn add(
        &mut self,
        values: &ArrayRef,
        ids: impl Iterator<Item = u64>,
    ) -> lance::Result<()> {
        for (row, id) in ids.enumerate() {
            if values.is_null(row) {
                if let Some(at) = self.null {
                    self.rows[at].insert(id);
                }
                continue;
            }
            match self.manner {
                Manner::Values => {
                    let value = value(values, row)?;
                    if let Some(at) = value.and_then(|value| self.known.get(&value)) {
                        self.rows[*at].insert(id);
                    }
                }
                Manner::Items => {
                    for item in items(values, row)? {
                        if let Some(at) = self.known.get(&item) {
                            self.rows[*at].insert(id);
                        }
                    }
                }
                Manner::Parts => {
                    let text = text(values, row).unwrap_or_default();
                    for (part, at) in &self.parts {
                        if text.contains(part.as_str()) {
                            self.rows[*at].insert(id);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// The value of a row, if it is one to ask for. NaNs and zeros are not: whether they equal each other
/// is answered in two ways, and neither is wrong.
fn value(values: &ArrayRef, row: usize) -> lance::Result<Option<ScalarValue>> {
    if values.is_null(row) {
        return Ok(None);
    }
    let value = plain(ScalarValue::try_from_array(values, row)?);
    let is_plain = match &value {
        ScalarValue::Float16(Some(number)) => f32::from(*number) != 0.0 && !number.is_nan(),
        ScalarValue::Float32(Some(number)) => *number != 0.0 && !number.is_nan(),
        ScalarValue::Float64(Some(number)) => *number != 0.0 && !number.is_nan(),
        value => !value.is_null(),
    };
    Ok(is_plain.then_some(value))
}

/// The value that an entry of a dictionary stands for.
fn plain(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Dictionary(_, value) => *value,
        value => value,
    }
}

/// The values in the list of a row.
fn items(values: &ArrayRef, row: usize) -> lance::Result<Vec<ScalarValue>> {
    if values.is_null(row) {
        return Ok(Vec::new());
    }
    let list = if let Some(list) = values.as_list_opt::<i32>() {
        list.value(row)
    } else if let Some(list) = values.as_list_opt::<i64>() {
        list.value(row)
    } else {
        return Ok(Vec::new());
    };
    let mut items = Vec::new();
    for at in 0..list.len() {
        items.extend(value(&list, at)?);
    }
    Ok(items)
}

/// The text of a row.
fn text(values: &ArrayRef, row: usize) -> Option<&str> {
    if values.is_null(row) {
        return None;
    }
    match values.data_type() {
        DataType::Utf8 => Some(values.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(values.as_string::<i64>().value(row)),
        DataType::Utf8View => Some(values.as_string_view().value(row)),
        _ => None,
    }
}

/// The last letters of the longest word of a text: what lies between words is not looked up by every
/// kind of index, and so would show nothing.
fn part_of(text: &str) -> Option<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    let length = |word: &str| word.chars().count();
    let longest = words.rev().max_by_key(|word| length(word))?;
    let part = longest.chars().skip(length(longest).saturating_sub(PART_CHARS));
    (length(longest) >= PART_CHARS_MIN).then(|| part.collect())
}

/// All texts of a row: its own, or those in its list. `None` for columns that hold none.
pub(super) fn texts(values: &ArrayRef, row: usize) -> Option<Vec<String>> {
    if values.is_null(row) {
        return Some(Vec::new());
    }
    if let Some(text) = text(values, row) {
        return Some(vec![text.to_owned()]);
    }
    let list = match values.data_type() {
        DataType::List(_) => values.as_list::<i32>().value(row),
        DataType::LargeList(_) => values.as_list::<i64>().value(row),
        _ => return None,
    };
    let list = &list;
    if !matches!(list.data_type(), DataType::Utf8 | DataType::LargeUtf8) {
        return None;
    }
    Some((0..list.len()).filter_map(|at| text(list, at).map(ToOwned::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{ListBuilder, StringBuilder};
    use arrow_array::{Float64Array, StringArray};
    use std::sync::Arc;

    use super::*;

    fn sorted(values: &ArrayRef, manner: Manner, most: usize) -> (Vec<String>, Vec<Vec<u64>>) {
        let questions = questions(std::slice::from_ref(values), manner, most).unwrap();
        let mut sorted = Sorted::by(&questions, manner);
        sorted.add(values, 0..values.len() as u64).unwrap();
        let rows = sorted.rows.iter().map(|rows| rows.iter().collect()).collect();
        (questions.iter().map(Question::words).collect(), rows)
    }

    #[test]
    fn rows_are_sorted_by_what_they_answer() {
        let floats = [Some(1.5), None, Some(f64::NAN), Some(0.0), Some(2.5), Some(1.5), Some(3.5)];
        let floats: ArrayRef = Arc::new(Float64Array::from(floats.to_vec()));
        let (asked, rows) = sorted(&floats, Manner::Values, 2);
        assert_eq!(asked, ["the value 1.5", "the value 2.5", "nulls"]);
        assert_eq!(rows, [vec![0, 5], vec![4], vec![1]]);

        let texts = ["a long way home", "home", "no", "along", "a long way home"];
        let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let (asked, rows) = sorted(&texts, Manner::Parts, 9);
        assert_eq!(asked, ["texts with \"long\"", "texts with \"home\"", "texts with \"along\""]);
        assert_eq!(rows, [vec![0, 3, 4], vec![0, 1, 4], vec![3]]);

        let mut lists = ListBuilder::new(StringBuilder::new());
        for list in
            [Some(vec![Some("a"), Some("b")]), None, Some(vec![None]), Some(vec![Some("b")])]
        {
            lists.append_option(list);
        }
        let lists: ArrayRef = Arc::new(lists.finish());
        let (asked, rows) = sorted(&lists, Manner::Items, 9);
        assert_eq!(asked, ["lists with a", "lists with b"]);
        assert_eq!(rows, [vec![0], vec![0, 3]]);
        assert_eq!(super::texts(&lists, 0), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(super::texts(&floats, 0), None);
    }
}

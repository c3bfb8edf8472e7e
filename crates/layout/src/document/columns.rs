//! The boundaries of a column, as they are written.

use serde::{Deserialize, Serialize};

use crate::space::{Axis, BOUNDARIES_MAX, ColumnSpace, Marks, Numbers, Text};

#[derive(Serialize, Deserialize)]
pub(super) struct ColumnV1 {
    name: String,
    meaning: String,
    sampled: u64,
    nulls: u64,
    /// The first row of each boundary, after the first of the one before.
    rows: Vec<u64>,
    /// How many rows besides have the same value.
    repeats: Vec<u64>,
    boundaries: BoundariesV1,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BoundariesV1 {
    /// Each key after the one before.
    Whole(Vec<u64>),
    /// Each key after the one before.
    Float(Vec<u64>),
    /// What all begin with; and each as what it shares with the one before and the rest in hexadecimal digits.
    Bytes { common: String, rests: Vec<(usize, String)> },
}

impl ColumnV1 {
    pub(super) fn of(column: &ColumnSpace) -> Self {
        let (marks, boundaries) = match &column.axis {
            Axis::Numbers(numbers) => {
                let steps = steps(&numbers.keys);
                let float = numbers.is_float();
                let form = if float { BoundariesV1::Float } else { BoundariesV1::Whole };
                (&numbers.marks, form(steps))
            }
            Axis::Text(text) => {
                let rests = front_coded(&text.rests);
                (&text.marks, BoundariesV1::Bytes { common: hex(&text.common), rests })
            }
        };
        let repeats = marks.firsts.iter().zip(&marks.lasts).map(|(first, last)| last - first);
        Self {
            name: column.name.clone(),
            meaning: column.meaning.clone(),
            sampled: marks.sampled,
            nulls: marks.nulls,
            rows: steps(&marks.firsts),
            repeats: repeats.collect(),
            boundaries,
        }
    }

    pub(super) fn into_column(self) -> Result<ColumnSpace, String> {
        let column = self.name.clone();
        let (name, meaning) = (self.name.clone(), self.meaning.clone());
        let marks = self.marks().ok_or_else(|| format!("the rows of column {column}"))?;
        let axis = axis(self.boundaries, marks);
        let axis = axis.ok_or_else(|| format!("the boundaries of column {column}"))?;
        Ok(ColumnSpace { name, meaning, axis })
    }

    /// The marks, if they ascend within the sample.
    fn marks(&self) -> Option<Marks> {
        let firsts = sums(&self.rows)?;
        let pairs = firsts.iter().zip(&self.repeats);
        let lasts: Vec<_> =
            pairs.map(|(first, more)| first.checked_add(*more)).collect::<Option<_>>()?;
        let same = firsts.len() == self.repeats.len() && firsts.len() <= BOUNDARIES_MAX;
        let above_nulls = firsts.first().is_none_or(|first| *first >= self.nulls);
        let ascending = firsts.iter().skip(1).zip(&lasts).all(|(next, last)| last < next);
        let within = lasts.last().is_none_or(|last| *last < self.sampled);
        let fine = same && above_nulls && ascending && within && self.nulls <= self.sampled;
        fine.then(|| Marks::new(self.sampled, self.nulls, firsts, lasts))
    }
}

/// The boundaries, if they ascend and are as many as the marks.
fn axis(boundaries: BoundariesV1, marks: Marks) -> Option<Axis> {
    let count = marks.firsts.len();
    match boundaries {
        BoundariesV1::Whole(steps) => numbers(&steps, marks, false),
        BoundariesV1::Float(steps) => numbers(&steps, marks, true),
        BoundariesV1::Bytes { common, rests } => {
            let rests = front_decoded(&rests)?;
            let ascending = rests.is_sorted_by(|one, next| one < next);
            let common = bytes(&common)?;
            (rests.len() == count && ascending).then(|| Axis::Text(Text::new(common, rests, marks)))
        }
    }
}

fn numbers(steps: &[u64], marks: Marks, float: bool) -> Option<Axis> {
    let keys = sums(steps)?;
    let fine = keys.len() == marks.firsts.len() && keys.is_sorted_by(|one, next| one < next);
    fine.then(|| Axis::Numbers(Numbers::new(keys, marks, float)))
}

/// Each number less the one before.
fn steps(ascending: &[u64]) -> Vec<u64> {
    let before = std::iter::once(&0).chain(ascending);
    ascending.iter().zip(before).map(|(number, before)| number - before).collect()
}

/// The numbers of which these are the steps, unless there is no such number.
fn sums(steps: &[u64]) -> Option<Vec<u64>> {
    let sum = |sum: &mut u64, step: &u64| {
        *sum = sum.checked_add(*step)?;
        Some(*sum)
    };
    let sums: Vec<_> = steps.iter().scan(0, sum).collect();
    (sums.len() == steps.len()).then_some(sums)
}

fn front_coded(rests: &[Vec<u8>]) -> Vec<(usize, String)> {
    let before = std::iter::once([].as_slice()).chain(rests.iter().map(Vec::as_slice));
    let coded = rests.iter().zip(before).map(|(rest, before)| {
        let shared = rest.iter().zip(before).take_while(|(one, other)| one == other).count();
        (shared, hex(&rest[shared..]))
    });
    coded.collect()
}

fn front_decoded(coded: &[(usize, String)]) -> Option<Vec<Vec<u8>>> {
    let mut rests: Vec<Vec<u8>> = Vec::with_capacity(coded.len());
    for (shared, rest) in coded {
        let before = rests.last().map_or([].as_slice(), Vec::as_slice);
        rests.push([before.get(..*shared)?, &bytes(rest)?].concat());
    }
    Some(rests)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let pairs = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    };
    pairs.map(byte).collect()
}

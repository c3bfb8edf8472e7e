//! What is kept of a table's layout between two runs, as JSON: the layout, its space and its runs.
//!
//! Two documents, because they live in different places. The **layout** is a line that people chose
//! and that goes into the table's metadata. The **state** is what belongs to it: some kilobytes per column. It names
//! the layout it was made for, so that a state of an earlier layout is never taken for this one's.
//!
//! FORMAT: each document begins with its version. A version this program does not know is refused, and not
//! overwritten by anything less than a new `--layout`. The serde structs are private to `document`; numbers
//! are written as differences, because sorted ones are short that way.

mod columns;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::boxes::RankBox;
use crate::runs::{Run, Runs};
use crate::space::{DRIFT_MAX, Space};
use columns::ColumnV1;
use lancekeeper_model::{DocumentError as Unusable, DocumentKind, ErrorKind, Layout};

/// The version that is written.
const VERSION: u32 = DocumentKind::Layout.version();

/// What belongs to the layout of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct LayoutState {
    /// The layout it was made for.
    pub layout: Layout,
    /// The space that keys are made in.
    pub space: Space,
    /// Which fragments were clustered together.
    pub runs: Runs,
    /// What is known of the fragments of the runs, by id.
    pub members: BTreeMap<u64, Member>,
    /// The rows of the table when it was last asked whether the space still fits them.
    pub sampled_rows: u64,
    /// The rows that were laid out since then and were of no run before. A table whose old rows go as new ones come
    /// never grows, and has other rows in the end.
    pub new_rows: u64,
}

/// A fragment of a run, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Tells its files of the layout's columns from any others. A fragment of the same id with other
    /// ones has other values there, or is of another table of the same name: it is of no run.
    pub witness: u64,
    /// Its rows.
    pub rows: u64,
    /// Where they lie in the space.
    pub ranks: RankBox,
}

impl LayoutState {
    /// The state of a table of so many rows, of which nothing is clustered yet.
    #[must_use]
    pub fn new(layout: Layout, space: Space, rows: u64) -> Self {
        let (runs, members) = (Runs::default(), BTreeMap::new());
        Self { layout, space, runs, members, sampled_rows: rows, new_rows: 0 }
    }

    /// The state without the fragments that are not as they were written, given what tells their files now.
    pub fn keep(&mut self, witness_of: impl Fn(u64) -> Option<u64>) {
        self.members.retain(|id, member| witness_of(*id) == Some(member.witness));
        let members = &self.members;
        self.runs = self.runs.retain(|id| members.contains_key(&id));
    }

    /// Whether so many rows came since the table was last asked, of the rows that it has now, that its space may fit it
    /// no longer: by what was laid out since, and by what is in fragments of no run.
    #[must_use]
    pub fn may_have_drifted(&self, rows: u64, of_no_run: u64) -> bool {
        let grown = rows.saturating_sub(self.sampled_rows);
        let come = self.new_rows.saturating_add(of_no_run).max(grown);
        come as f64 > DRIFT_MAX * rows as f64
    }

    /// The state once a rewrite is committed as well as before: its sources are still there as long as it is not.
    #[must_use]
    pub fn with_run(&self, new: BTreeMap<u64, Member>) -> Self {
        let boxes: Vec<_> = new.iter().map(|(id, member)| (*id, member.ranks.clone())).collect();
        let runs = self.runs.after_rewrite(&[], &boxes, self.space.generation());
        let mut next = Self { runs, ..self.clone() };
        next.members.extend(new);
        next
    }

    /// The state with the fragments of some runs written anew in the same order, each with its rows and its
    /// new id and witness.
    #[must_use]
    pub fn with_copies(&self, copies: &[(u64, u64, Member)]) -> Self {
        let mut next = self.clone();
        for (from, to, member) in copies {
            next.runs = next.runs.with_twin(*from, *to);
            next.members.insert(*to, member.clone());
        }
        next
    }
}

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Not JSON, or not these fields.
    #[error("the document of the layout cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// Written by a later program.
    #[error(
        "the document of the layout has the version {0}, and this program knows {VERSION}: upgrade lancekeeper first"
    )]
    Version(u64),
    /// Readable, but it contradicts itself.
    #[error("the document of the layout is damaged: {0}")]
    Damaged(String),
}

impl DocumentError {
    /// Documents lie on disk: what is wrong with them is damage, or a program that is too old.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Version(_) => ErrorKind::Invalid,
            Self::Unreadable(_) | Self::Damaged(_) => ErrorKind::Corrupt,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct LayoutV1 {
    version: u32,
    layout: String,
}

#[derive(Serialize, Deserialize)]
struct StateV1 {
    version: u32,
    layout: String,
    generation: u32,
    columns: Vec<ColumnV1>,
    runs: Vec<RunV1>,
    members: Vec<MemberV1>,
    sampled_rows: u64,
    /// Not in documents that were written before it was counted.
    #[serde(default)]
    new_rows: u64,
}

#[derive(Serialize, Deserialize)]
struct MemberV1 {
    id: u64,
    /// In hexadecimal digits: readers of JSON may take larger numbers for floating-point ones.
    witness: String,
    rows: u64,
    sides: Vec<(u32, u32)>,
}

#[derive(Serialize, Deserialize)]
struct RunV1 {
    /// First and last id of each range.
    fragments: Vec<(u64, u64)>,
    worst_depth: f64,
    generation: u32,
}

/// The layout as it is remembered.
#[must_use]
pub fn layout_to_json(layout: &Layout) -> String {
    written(&LayoutV1 { version: VERSION, layout: layout.to_string() })
}

/// The layout that is remembered.
///
/// # Errors
///
/// If the document is damaged or of a later version.
pub fn layout_from_json(text: &str) -> Result<Layout, DocumentError> {
    let document: LayoutV1 = read(text)?;
    parsed(&document.layout)
}

impl LayoutState {
    /// As it is kept.
    #[must_use]
    pub fn to_json(&self) -> String {
        written(&StateV1 {
            version: VERSION,
            layout: self.layout.to_string(),
            generation: self.space.generation(),
            columns: self.space.columns().iter().map(ColumnV1::of).collect(),
            runs: self.runs.runs.iter().map(RunV1::of).collect(),
            members: self.members.iter().map(MemberV1::of).collect(),
            sampled_rows: self.sampled_rows,
            new_rows: self.new_rows,
        })
    }

    /// What was kept.
    ///
    /// # Errors
    ///
    /// If the document is damaged or of a later version.
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        let document: StateV1 = read(text)?;
        let columns = document.columns.into_iter().map(ColumnV1::into_column);
        let columns: Vec<_> = columns.collect::<Result<_, _>>().map_err(DocumentError::Damaged)?;
        let members = document.members.into_iter().map(|member| member.into_member(columns.len()));
        let members = members.collect::<Result<_, _>>()?;
        let runs = document.runs.into_iter().map(RunV1::into_run);
        let runs = runs.collect::<Result<_, _>>().map_err(DocumentError::Damaged)?;
        Ok(Self {
            layout: parsed(&document.layout)?,
            space: Space::from_columns(document.generation, columns),
            runs: Runs { runs },
            members,
            sampled_rows: document.sampled_rows,
            new_rows: document.new_rows,
        })
    }
}

impl MemberV1 {
    fn of((id, member): (&u64, &Member)) -> Self {
        Self {
            id: *id,
            witness: format!("{:x}", member.witness),
            rows: member.rows,
            sides: member.ranks.sides().to_vec(),
        }
    }

    fn into_member(self, columns: usize) -> Result<(u64, Member), DocumentError> {
        let damaged = || DocumentError::Damaged(format!("what it says of fragment {}", self.id));
        let is_a_box = self.sides.len() == columns && self.sides.iter().all(|(a, b)| a <= b);
        let witness = u64::from_str_radix(&self.witness, 16).ok().filter(|_| is_a_box);
        let witness = witness.ok_or_else(damaged)?;
        Ok((self.id, Member { witness, rows: self.rows, ranks: RankBox::new(self.sides) }))
    }
}

impl RunV1 {
    fn of(run: &Run) -> Self {
        Self {
            fragments: run.fragments.iter().map(|range| (*range.start(), *range.end())).collect(),
            worst_depth: run.worst_depth,
            generation: run.generation,
        }
    }

    fn into_run(self) -> Result<Run, String> {
        let ordered = self.fragments.iter().all(|(first, last)| first <= last)
            && self.fragments.windows(2).all(|pair| pair[0].1 < pair[1].0);
        if !ordered || !self.worst_depth.is_finite() {
            return Err(format!("the fragments of a run are {:?}", self.fragments));
        }
        Ok(Run {
            fragments: self.fragments.into_iter().map(|(first, last)| first..=last).collect(),
            worst_depth: self.worst_depth,
            generation: self.generation,
        })
    }
}

fn written(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("plain data with text as keys can be written")
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, DocumentError> {
    DocumentKind::Layout.read(text.as_bytes()).map_err(|error| match error {
        Unusable::Newer { found, .. } => DocumentError::Version(found),
        Unusable::Damaged(error) => DocumentError::Unreadable(error),
    })
}

fn parsed(layout: &str) -> Result<Layout, DocumentError> {
    layout.parse().map_err(|error| DocumentError::Damaged(format!("{layout:?}: {error}")))
}

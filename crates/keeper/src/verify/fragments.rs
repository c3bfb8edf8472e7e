//! The fragments of a version: their files, and their rows from first to last. A fragment that is the
//! same in several versions is looked at in the first of them, whatever its id is in the others.

use std::collections::HashMap;
use std::fmt::Write;

use lance::Dataset;
use lance_table::format::Fragment;
use lancekeeper_model::{ErrorKind, Finding, FindingKind, TableVerification};
use lancekeeper_planner::optimize::{Group, GroupReason, Recipe};
use lancekeeper_rewrite::StageError;
use lancekeeper_rewrite::content::{self, Reading};
use lancekeeper_store::failure::{guarded, kind_of, text_with_hint};
use lancekeeper_store::presence::{Fault, Looked, Referenced, files_of};
use thiserror::Error;

use super::ledger::{At, Entry, Ledger, unreadable};
use super::run::Run;
use futures::FutureExt;

const RESTORE: &str =
    "restore the file from a backup; older versions and branches may have the rows";

/// The fragments that were looked at.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    states: Vec<State>,
    /// Which state a fragment is in, by everything that decides what is read of it.
    known: HashMap<String, usize>,
    /// The fragments of the version that was looked at last, by id: most are the same in the next.
    last: HashMap<u64, (Fragment, usize)>,
    /// The fields that it had.
    fields: Vec<i32>,
    files: Files,
}

/// What is known of a fragment.
#[derive(Debug, Default)]
struct State {
    findings: Vec<Entry>,
    /// Live rows; `None` if they cannot be told.
    rows: Option<u64>,
}

/// What was seen of a version.
pub(super) struct Seen {
    /// Live rows, if all fragments tell.
    pub(super) rows: Option<u64>,
    /// The fragments with which nothing is wrong.
    pub(super) healthy: Vec<Fragment>,
}

/// Files that were looked at, by their places.
#[derive(Debug, Default)]
pub(super) struct Files {
    known: HashMap<String, Looked>,
}

impl Files {
    /// Looks at a file once.
    pub(super) async fn look(
        &mut self,
        file: &Referenced,
        row: &mut TableVerification,
    ) -> lance::Result<Looked> {
        if let Some(looked) = self.known.get(file.place()) {
            return Ok(looked.clone());
        }
        row.files += 1;
        let looked = file.look().await?;
        self.known.insert(file.place().to_owned(), looked.clone());
        Ok(looked)
    }
}

/// What is wrong with a file, as a finding.
pub(super) fn faulty(at: &At, file: &Referenced, fault: &Fault) -> Finding {
    let name = file.name();
    let (what, message) = match fault {
        Fault::Missing => (FindingKind::FileMissing, format!("{name} is missing")),
        Fault::Size { found, recorded } => {
            (FindingKind::FileSize, format!("{name} has {found} bytes instead of {recorded}"))
        }
        Fault::End => (FindingKind::FileDamaged, format!("{name} does not end like a Lance file")),
    };
    let mut finding = Finding::new(&at.table, what, message);
    (finding.file, finding.hint) = (Some(name), Some(RESTORE.to_owned()));
    finding
}

/// Rows could not be read.
#[derive(Debug, Error)]
enum ReadError {
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Lance(#[from] lance::Error),
}

impl ReadError {
    fn what(&self) -> FindingKind {
        let kind = match self {
            Self::Stage(error) => error.kind(),
            Self::Lance(error) => kind_of(error),
        };
        match kind {
            ErrorKind::Corrupt => FindingKind::FileDamaged,
            _ => FindingKind::DataUnreadable,
        }
    }
}

impl Fragments {
    /// What follows is of another branch, with other ids for other fragments.
    pub(super) fn next_branch(&mut self) {
        self.last.clear();
    }

    /// Looks at the fragments of a version that are not known yet.
    pub(super) async fn check(
        &mut self,
        run: Run<'_>,
        table: &Dataset,
        at: &At,
        ledger: &mut Ledger,
        row: &mut TableVerification,
    ) -> Seen {
        let fields: Vec<i32> = table.schema().fields_pre_order().map(|field| field.id).collect();
        if fields != self.fields {
            self.last.clear();
            self.fields = fields;
        }
        let mut seen = Seen { rows: Some(0), healthy: Vec::new() };
        let mut last = HashMap::with_capacity(table.fragments().len());
        for fragment in table.fragments().iter() {
            let same = self.last.get(&fragment.id).filter(|(known, _)| known == fragment);
            let known = match same {
                Some((_, state)) => Some(*state),
                None => self.known_state(table, fragment).await,
            };
            let state = match known {
                Some(state) => {
                    ledger.also(&self.states[state].findings);
                    state
                }
                None => self.look(run, (table, fragment), at, ledger, row).await,
            };
            let found = &self.states[state];
            seen.rows = seen.rows.zip(found.rows).map(|(sum, rows)| sum + rows);
            if found.findings.is_empty() {
                seen.healthy.push(fragment.clone());
            }
            last.insert(fragment.id, (fragment.clone(), state));
        }
        self.last = last;
        seen
    }

    async fn known_state(&self, table: &Dataset, fragment: &Fragment) -> Option<usize> {
        let files = files_of(table, fragment).await.ok()?;
        self.known.get(&self.key(fragment, &files)).copied()
    }

    /// Everything that decides what is read of a fragment.
    fn key(&self, fragment: &Fragment, files: &[Referenced]) -> String {
        let mut key = format!("{:?} {:?}", fragment.physical_rows, self.fields);
        for (file, data) in
            files.iter().zip(fragment.referenced_lance_files().map(Some).chain([None]))
        {
            // Writing to a string does not fail.
            let _ = write!(key, " {} {:?}", file.place(), data.map(|data| &data.fields));
        }
        key
    }

    async fn look(
        &mut self,
        run: Run<'_>,
        (table, fragment): (&Dataset, &Fragment),
        at: &At,
        ledger: &mut Ledger,
        row: &mut TableVerification,
    ) -> usize {
        row.fragments += 1;
        let mut state = State::default();
        let files = match files_of(table, fragment).await {
            Ok(files) => files,
            Err(error) => {
                let finding = unreadable(at, FindingKind::DataUnreadable, &error, RESTORE);
                state.findings.push(ledger.found(at, of(fragment, finding)));
                return self.add(state, None);
            }
        };
        let key = self.key(fragment, &files);
        let mut bytes = 0;
        for file in &files {
            match self.files.look(file, row).await {
                Err(error) => ledger.unchecked(at, file.name(), text_with_hint(&error)),
                Ok(Looked { fault: None, bytes: more }) => bytes += more,
                Ok(Looked { fault: Some(fault), .. }) => {
                    let finding = faulty(at, file, &fault);
                    state.findings.push(ledger.found(at, of(fragment, finding)));
                }
            }
        }
        state.rows = fragment.num_rows().map(|rows| rows as u64);
        if state.findings.is_empty() && !run.options.quick {
            let before = state.rows;
            match rows_of(run, (table, fragment), at, bytes).await {
                Ok(Rows { expected, found }) => {
                    row.rows += found;
                    state.rows = Some(found);
                    let declared = before.unwrap_or(expected);
                    if found != declared {
                        let message = format!("a scan gives {found} rows instead of {declared}");
                        let finding = Finding::new(&at.table, FindingKind::RowCount, message);
                        state.findings.push(ledger.found(at, of(fragment, finding)));
                    }
                }
                Err(error) => {
                    let mut finding = unreadable(at, error.what(), &error, RESTORE);
                    if let [only] = &files[..] {
                        finding.file = Some(only.name());
                    }
                    state.findings.push(ledger.found(at, of(fragment, finding)));
                }
            }
        }
        self.add(state, Some(key))
    }

    fn add(&mut self, state: State, key: Option<String>) -> usize {
        self.states.push(state);
        let at = self.states.len() - 1;
        if let Some(key) = key {
            self.known.insert(key, at);
        }
        at
    }
}

fn of(fragment: &Fragment, mut finding: Finding) -> Finding {
    finding.message = format!("fragment {}: {}", fragment.id, finding.message);
    finding.fragment = Some(fragment.id);
    finding
}

/// Live rows, by the files themselves and by a scan.
struct Rows {
    expected: u64,
    found: u64,
}

/// Compares the files of a fragment with what its manifest says of them, and reads every live row.
async fn rows_of(
    run: Run<'_>,
    (table, fragment): (&Dataset, &Fragment),
    at: &At,
    bytes: u64,
) -> Result<Rows, ReadError> {
    let id = usize::try_from(fragment.id).unwrap_or(usize::MAX);
    let missing = || lance::Error::internal(format!("fragment {} is not there", fragment.id));
    let file = table.get_fragment(id).ok_or_else(missing)?;
    // Rows of each data file, deleted rows and their places.
    guarded(table.uri(), async { file.validate().await }.boxed()).await?;
    let counts = async {
        let (rows, deleted) = (file.physical_rows().await?, file.count_deletions().await?);
        Ok(rows.saturating_sub(deleted) as u64)
    };
    let expected = guarded(table.uri(), counts.boxed()).await?;
    if expected == 0 {
        return Ok(Rows { expected, found: 0 });
    }
    let group = Group {
        fragments: vec![fragment.id],
        outputs: vec![expected],
        bytes,
        recipe: Recipe::CopyPages,
        why: GroupReason::PurgeDeletions,
    };
    let reading = Reading::of(table, &at.table, &group).await?;
    let (group, largest) = (&reading.group, reading.largest_batch);
    let _admitted = run.context.admission.admit(group, largest, 0).await;
    let found = content::count(table, vec![fragment.clone()], &reading).await?;
    Ok(Rows { expected, found })
}

//! Steps with tables of databases, and with single tables: what each table has, names of manifests, row ids that
//! stay, and the word that compaction is to write data files of another version.
//!
//! # Protocol
//!
//! The root is opened for writing, which takes its lock and is refused while another run is at work, and every
//! table is looked at and planned before the first is changed. What is refused for one table is said in its row,
//! and the others go on.
//!
//! # Crash consistency
//!
//! Every commit is whole or not there. Names are changed one by one, newest first; a table of which some are
//! changed is opened by nobody until a second run has changed the rest (`names`).
//!
//! Not here: the rewriting of data files, which is an optimize (`api`).

mod error;
mod inventory;
mod names;

use std::collections::BTreeSet;

use lance::Dataset;
use lance::dataset::transaction::{Operation, UpdateMap, UpdateMapEntry};
use lancekeeper_model::{
    ErrorKind, MigrateGoal, MigrateOptions, MigratedTable, OperationId, RootKind,
    RootMigrateReport, StorageVersion, TableKey, TableRef, TableStep,
};
use lancekeeper_planner::migrate::tables::{COMPACTION_STORAGE_KEY, plan_row_ids, plan_storage};
use lancekeeper_rewrite::check::same_rows;
use lancekeeper_store::failure::full_text;
use lancekeeper_store::row_ids::give_stable_row_ids;
use lancekeeper_store::strict::{Signature, commit};
use lancekeeper_store::tables::version_of;

use super::PURPOSE;
use crate::root::{Opening, ReadRoot, WriteRoot, check_writable, look, read_root, write_root};
use crate::run::ended::{Ended, EndsRoot};
use crate::run::stop::Interrupted;
use crate::run::{Context, new_operation};
use error::{TableError, TablesError};
use inventory::{Found, inventory};

/// What can be done with tables of databases, for whoever asked for nothing.
const AVAILABLE: [&str; 3] = [
    "--storage-version 2.0|2.1|2.2: data files of that version, by compaction",
    "--manifest-paths v2: manifests named so that the newest is listed first; needs to be alone",
    "--stable-row-ids: row ids that stay when rows are moved, for tables without indexes",
];

/// What is to be done with the tables of a root.
struct Job<'a> {
    context: &'a Context,
    read: &'a ReadRoot,
    operation: &'a OperationId,
    /// `None`: nothing, they are only looked at.
    step: Option<TableStep>,
    acts: bool,
}

/// Says what the tables of a database have, or what a step would do with them. Writes nothing.
pub(super) async fn preview(
    context: &Context,
    uri: &str,
    options: &MigrateOptions,
    report: &mut RootMigrateReport,
) -> Result<(), Ended> {
    let root = look(uri).await?;
    let step = step_of(uri, root.kind, options)?;
    let read = read_root(root, &context.tables).await?;
    if step.is_some() {
        check_writable(&read, PURPOSE, context.now()).await?;
    }
    if let Some(TableStep::ManifestPaths { assume_alone: false }) = step {
        report.warnings.push(names::ALONE.to_owned());
    }
    let operation = &new_operation();
    let job = Job { context, read: &read, operation, step, acts: false };
    job.tables(options, report).await
}

/// Takes the tables of a database a step further. A step that rewrites data files is only begun here.
///
/// # Cancel safety
///
/// Some tables are done. Of one whose manifests get other names some may have them: nobody opens it until this is
/// done again.
pub(super) async fn run(
    context: &Context,
    uri: &str,
    options: &MigrateOptions,
    report: &mut RootMigrateReport,
) -> Result<(), Ended> {
    let root = look(uri).await?;
    let Some(step) = step_of(uri, root.kind, options)? else {
        return preview(context, uri, options, report).await;
    };
    let now = context.now();
    let read = read_root(root, &context.tables).await?;
    check_writable(&read, PURPOSE, now).await?;
    let operation = &new_operation();
    {
        // What is refused leaves the root as it was, the lock included.
        let job = Job { context, read: &read, operation, step: Some(step), acts: false };
        let mut planned = RootMigrateReport::of(uri);
        let outcome = job.tables(options, &mut planned).await;
        let is_alone = !matches!(step, TableStep::ManifestPaths { assume_alone: false });
        if !is_alone && planned.tables.iter().any(|table| table.changed) {
            report.body.tables = planned.body.tables;
            report.body.tables.iter_mut().for_each(|table| table.changed = false);
            return Err(TablesError::NotAlone { uri: uri.to_owned() }.into());
        }
        if !planned.tables.iter().any(|table| table.changed) {
            report.body.tables = planned.body.tables;
            return outcome;
        }
    }
    let observer = context.observer();
    let opening = Opening { purpose: PURPOSE, operation, now, observer };
    let write: WriteRoot = write_root(read, context, &opening).await?;
    report.recovery.clone_from(&write.recovery);
    report.warnings.extend(write.warnings.iter().cloned());
    let job = Job { context, read: &write.read, operation, step: Some(step), acts: true };
    let outcome = job.tables(options, report).await;
    context.tables.forget();
    outcome
}

/// The step that is asked for, if it makes sense for a root of this kind.
pub(super) fn step_of(
    uri: &str,
    kind: RootKind,
    options: &MigrateOptions,
) -> Result<Option<TableStep>, TablesError> {
    let uri = || uri.to_owned();
    match options.goal {
        MigrateGoal::Writable => Ok(None),
        MigrateGoal::Tables(_) if kind == RootKind::Graph => Err(TablesError::Graph { uri: uri() }),
        MigrateGoal::Tables(step) => Ok(Some(step)),
        _ if kind == RootKind::Graph => Ok(None),
        MigrateGoal::V3
        | MigrateGoal::Newest { .. }
        | MigrateGoal::Abort
        | MigrateGoal::Restamp(_) => Err(TablesError::NotAGraph { uri: uri(), kind }),
    }
}

impl Job<'_> {
    /// Looks at every table that was asked for, plans it, and does it if that is wanted.
    async fn tables(
        &self,
        options: &MigrateOptions,
        report: &mut RootMigrateReport,
    ) -> Result<(), Ended> {
        let members = self.read.members.clone();
        let known: BTreeSet<&str> = members.tables().map(|(key, _)| key.as_str()).collect();
        if let Some(name) = options.tables.iter().find(|name| !known.contains(name.as_str())) {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(TablesError::Unknown { name: name.clone(), known }.into());
        }
        let is_wanted = |key: &TableKey| {
            options.tables.is_empty() || options.tables.iter().any(|name| name == key.as_str())
        };
        for (key, location) in members.tables().filter(|(key, _)| is_wanted(key)) {
            if self.context.stop.is_requested() {
                return Err(Interrupted.into());
            }
            let table = TableRef::on_main(key.clone());
            match Box::pin(inventory(self.read, &table, location)).await {
                Ok(found) => Box::pin(self.table(&table, location, found, report)).await,
                Err(error) => {
                    let mut row = MigratedTable::of(&table);
                    set_error(&mut row, &error);
                    report.body.tables.push(row);
                }
            }
        }
        if self.step.is_none() {
            report.available = AVAILABLE.map(ToOwned::to_owned).to_vec();
            return Ok(());
        }
        let mut kinds = report.tables.iter().filter_map(|table| table.error_kind).peekable();
        let is_refused = kinds.peek().is_some() && kinds.all(|kind| kind == ErrorKind::Refused);
        if is_refused && !report.tables.iter().any(|table| table.changed) {
            return Err(TablesError::NothingAllowed { uri: self.read.root.given.clone() }.into());
        }
        Ok(())
    }

    /// One table, with a row for each of its branches.
    async fn table(
        &self,
        table: &TableRef,
        location: &str,
        found: Vec<Found>,
        report: &mut RootMigrateReport,
    ) {
        let mut rows: Vec<MigratedTable> = found.iter().map(Found::row).collect();
        match self.step {
            None => {
                // That names are mixed is more than that Lance does not open it.
                for (row, found) in rows.iter_mut().zip(&found) {
                    if let Some(error) = &found.unreadable {
                        set_error(row, error);
                    }
                }
            }
            Some(TableStep::ManifestPaths { .. }) => {
                self.names(location, &found, &mut rows, report).await;
            }
            Some(step) => {
                for (row, found) in rows.iter_mut().zip(&found) {
                    if !found.table.branch.is_main() {
                        "branches stay as they are".clone_into(&mut row.reason);
                        continue;
                    }
                    let done = self.commit(step, table, found, row).await;
                    if let Err(error) = done {
                        set_error(row, &error);
                    }
                }
            }
        }
        report.body.tables.extend(rows);
    }

    /// Gives the manifests of a table and its branches new names: branches first, and main, by which the others are
    /// found, last.
    async fn names(
        &self,
        location: &str,
        found: &[Found],
        rows: &mut [MigratedTable],
        report: &mut RootMigrateReport,
    ) {
        let files = self.read.root.files().below(location);
        for (row, found) in rows.iter_mut().zip(found).rev() {
            let renames = found.names.renames().len();
            row.changed = renames > 0;
            row.reason = match renames {
                0 => "every manifest has a V2 name".to_owned(),
                1 => "give 1 manifest its V2 name".to_owned(),
                n => format!("give {n} manifests their V2 names"),
            };
            if !self.acts || renames == 0 {
                continue;
            }
            match names::rename(&files, found, &mut report.body.warnings).await {
                Ok(()) => row.manifest_paths = Some(lancekeeper_model::ManifestPaths::V2),
                Err(error) => set_error(row, &error),
            }
        }
        if !self.acts {
            return;
        }
        // Only now can Lance open all of them.
        self.context.tables.forget();
        for (row, found) in rows.iter_mut().zip(found).filter(|(row, _)| row.error.is_none()) {
            let uri = self.read.root.address_of(location);
            if let Err(error) = names::check(&self.read.tables, &uri, &files, found).await {
                set_error(row, &error);
            }
        }
    }

    /// A step that is one commit on main.
    async fn commit(
        &self,
        step: TableStep,
        table: &TableRef,
        found: &Found,
        row: &mut MigratedTable,
    ) -> Result<(), TableError> {
        let (head, facts) = found.opened()?;
        match step {
            TableStep::StableRowIds => {
                row.changed = plan_row_ids(table, facts)?;
                "row ids stay already".clone_into(&mut row.reason);
                if row.changed {
                    "give every row an id that stays, in one commit".clone_into(&mut row.reason);
                }
                if self.acts && row.changed {
                    row.changed = false;
                    let given = Box::pin(give_stable_row_ids(head, table)).await?;
                    (row.changed, row.stable_row_ids) = (true, Some(true));
                    row.versions += 1;
                    Box::pin(same_rows(table, head, &given)).await?;
                }
                Ok(())
            }
            TableStep::StorageVersion(wanted) => {
                let plan = plan_storage(table, facts, wanted)?;
                (row.changed, row.bytes) = (!plan.is_nothing(), plan.bytes);
                row.reason = inventory::storage_words(&plan, &facts.storage_version, wanted);
                if self.acts && plan.tells {
                    row.changed = false;
                    self.tell(head, table, wanted).await?;
                    row.changed = true;
                    row.versions += 1;
                }
                Ok(())
            }
            // Not a commit.
            TableStep::ManifestPaths { .. } => Ok(()),
        }
    }

    /// Tells a table that compaction writes data files of this version.
    async fn tell(
        &self,
        head: &Dataset,
        table: &TableRef,
        wanted: StorageVersion,
    ) -> Result<(), TableError> {
        let entry = UpdateMapEntry {
            key: COMPACTION_STORAGE_KEY.to_owned(),
            value: Some(wanted.as_str().to_owned()),
        };
        let operation = Operation::UpdateConfig {
            config_updates: Some(UpdateMap { update_entries: vec![entry], replace: false }),
            table_metadata_updates: None,
            schema_metadata_updates: None,
            field_metadata_updates: std::collections::HashMap::new(),
        };
        let signature = Signature {
            operation: self.operation.clone(),
            table: table.clone(),
            step: format!("storage-version-{wanted}-{}", version_of(head)),
        };
        Box::pin(commit(head, operation, &signature)).await?;
        Ok(())
    }
}

/// Takes note of why nothing came of a table.
fn set_error(row: &mut MigratedTable, error: &TableError) {
    row.error = Some(full_text(error));
    row.error_kind = Some(error.kind());
}

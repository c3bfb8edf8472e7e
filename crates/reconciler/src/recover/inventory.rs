//! The facts of foreign sidecars. Writes nothing.

use std::collections::BTreeMap;

use lance::Dataset;
use lance::dataset::transaction::Operation;
use lancekeeper_manifest::{FoundSidecar, Graph, Sidecar, SidecarTable};
use lancekeeper_model::{Branch, ErrorKind, Snapshot, TableKey, TableRef, Version};
use lancekeeper_planner::recover::{
    AddedTable, AheadVersion, DroppedTable, ForeignContent, ForeignFacts, ForeignTable,
    SchemaFacts, Unread, WriterKind,
};
use lancekeeper_planner::sweep::SIDECAR_SCHEMA_MAX;
use lancekeeper_store::Tables;
use lancekeeper_store::failure::{hint_of, text_with_hint};
use lancekeeper_store::root::MANIFEST_DIR;
use lancekeeper_store::strict::{OPERATION_PROPERTY, STEP_PROPERTY};
use lancekeeper_store::tables::version_of;

use crate::cleanup::{Lists, lost_branches};

use super::execute::restore_step;
use super::place::{misplaced, misplaced_new};
use super::report::RecoverError;
use super::schema::{self, Wanted};

/// Versions of one table that are looked at: more than an operation makes, however large.
const VERSIONS_MAX: u64 = 1_000;

/// Looks at every foreign sidecar, and at those that cannot be understood.
///
/// A table or branch that cannot be read is no error: it is said in the facts of the sidecars that point to it, about
/// which nothing may be decided then.
///
/// # Errors
///
/// When branches cannot be listed.
pub async fn inventory(
    graph: &Graph,
    tables: &Tables,
    found: &[FoundSidecar],
) -> Result<Vec<ForeignFacts>, RecoverError> {
    let branches = graph.branches().await?;
    let lost = lost(graph, &branches, found).await?;
    let mut look = Look { graph, tables, branches, lost, known: BTreeMap::new() };
    let mut facts = Vec::new();
    for file in found.iter().filter(|file| file.our_operation().is_none()) {
        let content = match &file.content {
            Err(why) => Err(why.clone()),
            Ok(sidecar) if sidecar.schema_version > SIDECAR_SCHEMA_MAX => Err(format!(
                "its schema version {} is newer than {SIDECAR_SCHEMA_MAX}, the newest known",
                sidecar.schema_version
            )),
            Ok(sidecar) => Ok(look.content(sidecar, &file.file).await),
        };
        let operation = file.file.strip_suffix(".json").unwrap_or(&file.file).to_owned();
        facts.push(ForeignFacts { file: file.path(), operation, content });
    }
    Ok(facts)
}

/// Branches whose files were lost, if a sidecar is about a branch that is none. Not those that a deletion of ours had begun
/// to take away.
async fn lost(
    graph: &Graph,
    branches: &[Branch],
    found: &[FoundSidecar],
) -> Result<Vec<Branch>, RecoverError> {
    let of = |sidecar: &Sidecar| Branch::from(sidecar.branch.clone());
    let mut about = found.iter().filter_map(|found| found.content.as_ref().ok()).map(of);
    if about.all(|branch| branch.is_main() || branches.contains(&branch)) {
        return Ok(Vec::new());
    }
    // A list that cannot be read explains nothing.
    let pending = Lists::of(&graph.root().files()).pending().await.unwrap_or_default();
    let lost = lost_branches(graph, &pending.explained(MANIFEST_DIR)).await?;
    Ok(lost.into_iter().map(|of| of.branch).collect())
}

struct Look<'a> {
    graph: &'a Graph,
    tables: &'a Tables,
    branches: Vec<Branch>,
    lost: Vec<Branch>,
    /// Branches that were read, each with the place of every table it ever had.
    known: BTreeMap<Branch, (Snapshot, BTreeMap<TableKey, String>)>,
}

impl Look<'_> {
    async fn content(&mut self, sidecar: &Sidecar, file: &str) -> ForeignContent {
        let branch = Branch::from(sidecar.branch.clone());
        let branch_exists = branch.is_main() || self.branches.contains(&branch);
        let branch_is_lost = !branch_exists && self.lost.contains(&branch);
        let mut content = ForeignContent {
            schema_version: sidecar.schema_version,
            kind: WriterKind::named(&sidecar.writer_kind),
            kind_text: sidecar.writer_kind.clone(),
            started_at: sidecar.began(),
            tables: sidecar.tables.iter().map(named).collect(),
            added: Vec::new(),
            dropped: Vec::new(),
            schema: SchemaFacts::default(),
            unread: None,
            branch,
            branch_exists,
            branch_is_lost,
        };
        if branch_exists && let Err(error) = self.point(&mut content, sidecar, file).await {
            content.unread = Some(unread(&error));
        }
        content
    }

    /// Looks where a sidecar points. Every table of it that can be read is, whatever is wrong with another: what is
    /// known of it also says what others may not do.
    async fn point(
        &mut self,
        content: &mut ForeignContent,
        sidecar: &Sidecar,
        file: &str,
    ) -> Result<(), RecoverError> {
        let (snapshot, places) = self.branch(&content.branch).await?;
        let mut first = Ok(());
        for (table, said) in content.tables.iter_mut().zip(&sidecar.tables) {
            let filled = self.fill(table, &said.table_path, &snapshot, &places, file).await;
            first = first.and(filled);
        }
        first?;
        for added in &sidecar.additional_registrations {
            let key = TableKey::new(&added.table_key);
            let misplaced = misplaced_new(&key, &added.table_path);
            let location = added.table_path.clone();
            let head = match &misplaced {
                None => self.head(&location, &Branch::main()).await?,
                Some(_) => None,
            };
            let is_registered = snapshot.pin(&key).is_some();
            content.added.push(AddedTable { key, location, misplaced, is_registered, head });
        }
        content.dropped = sidecar
            .tombstones
            .iter()
            .map(|tombstone| {
                let key = TableKey::new(&tombstone.table_key);
                let pin = snapshot.pin(&key).map(|pin| pin.version);
                DroppedTable { key, tombstone: Version(tombstone.tombstone_version), pin }
            })
            .collect();
        if content.kind == Some(WriterKind::SchemaApply) {
            let ForeignContent { tables, added, dropped, .. } = &*content;
            let wanted = Wanted { tables, added, dropped };
            content.schema = schema::facts(self.graph, self.tables, &snapshot, &wanted).await?.0;
        }
        Ok(())
    }

    async fn branch(
        &mut self,
        branch: &Branch,
    ) -> Result<(Snapshot, BTreeMap<TableKey, String>), RecoverError> {
        if let Some(known) = self.known.get(branch) {
            return Ok(known.clone());
        }
        let snapshot = self.graph.snapshot(branch).await?;
        let places = self.graph.places(branch).await?;
        self.known.insert(branch.clone(), (snapshot.clone(), places.clone()));
        Ok((snapshot, places))
    }

    /// Looks at a table where the graph says that it lies.
    async fn fill(
        &self,
        table: &mut ForeignTable,
        path: &str,
        snapshot: &Snapshot,
        places: &BTreeMap<TableKey, String>,
        file: &str,
    ) -> Result<(), RecoverError> {
        let key = &table.table.key;
        let Some(location) = places.get(key) else {
            table.misplaced = Some(format!("the graph has no table {key}"));
            return Ok(());
        };
        table.misplaced = misplaced(self.graph.root(), key, path, location).await?;
        let Some(pin) = snapshot.pin(key).filter(|_| table.misplaced.is_none()) else {
            return Ok(());
        };
        table.pin = Some(pin.version);
        let uri = self.graph.root().address_of(location);
        let head = match self.tables.open(&uri, &table.table.branch).await {
            Ok(head) => head,
            // Before the first write of its branch there is no fork, and nothing was committed.
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    && pin.table_branch != table.table.branch =>
            {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        table.head = Some(version_of(&head));
        if version_of(&head) > pin.version {
            table.lacks_pin = self.lacks(&uri, &table.table.branch, pin.version).await?;
        }
        table.ahead = ahead(&head, pin.version).await;
        if pin.version > table.expected && pin.table_branch == table.table.branch {
            table.was_taken_back = taken_back(&head, table.expected, pin.version, file).await;
        }
        Ok(())
    }

    /// Whether a version of a table is not there any more, or is damaged: then nothing goes back to it.
    async fn lacks(
        &self,
        uri: &str,
        branch: &Branch,
        version: Version,
    ) -> Result<bool, RecoverError> {
        match self.tables.open_at(uri, branch, version).await {
            Ok(_) => Ok(false),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) => {
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The newest version of a table that may not be there.
    async fn head(&self, location: &str, branch: &Branch) -> Result<Option<Version>, RecoverError> {
        match self.tables.open(&self.graph.root().address_of(location), branch).await {
            Ok(table) => Ok(Some(version_of(&table))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why nothing may be decided. Unless the machine is to blame, what cannot be read is damaged.
fn unread(error: &RecoverError) -> Unread {
    let why = format!("what it points to cannot be read: {}", text_with_hint(error));
    Unread { why, may_pass: hint_of(error).is_some() }
}

fn named(table: &SidecarTable) -> ForeignTable {
    ForeignTable {
        table: TableRef {
            key: TableKey::new(&table.table_key),
            branch: Branch::from(table.table_branch.clone()),
        },
        misplaced: None,
        expected: Version(table.expected_version),
        post_commit_pin: Version(table.post_commit_pin),
        confirmed: table.confirmed_version.map(Version),
        pin: None,
        was_taken_back: false,
        head: None,
        lacks_pin: false,
        ahead: Vec::new(),
    }
}

/// The versions after a pin, up to HEAD; cut where there are more than an operation makes.
async fn ahead(head: &Dataset, pin: Version) -> Vec<AheadVersion> {
    let newest = version_of(head).0.min(pin.0.saturating_add(VERSIONS_MAX));
    let mut ahead = Vec::new();
    for number in pin.0 + 1..=newest {
        let unreadable = AheadVersion {
            version: Version(number),
            committed_at: None,
            operation: None,
            restores: None,
            is_ours: false,
        };
        ahead.push(version(head, Version(number)).await.unwrap_or(unreadable));
    }
    ahead
}

/// Whether what the writer of a sidecar, this file, committed from a pin on was taken back before another pin. The pin
/// may be the restore itself; or others have published on top of it, and then it is told by what it restores, or by
/// whose it is.
async fn taken_back(head: &Dataset, expected: Version, pin: Version, file: &str) -> bool {
    let last = pin.0.min(expected.0.saturating_add(VERSIONS_MAX));
    for number in (expected.0 + 1..=last).chain((last < pin.0).then_some(pin.0)) {
        let found = head.read_version_transaction(number).await.ok();
        let Some(made) = found.and_then(|found| found.transaction) else { continue };
        let Operation::Restore { version } = made.operation else { continue };
        let properties = made.transaction_properties.as_ref();
        let step = properties.and_then(|of| of.get(STEP_PROPERTY));
        let is_its = step.is_some_and(|step| *step == restore_step(file));
        if number == pin.0 || version <= expected.0 || is_its {
            return true;
        }
    }
    false
}

/// What is known of a version; `None` when it cannot be read.
async fn version(head: &Dataset, version: Version) -> Option<AheadVersion> {
    let found = head.read_version_transaction(version.0).await.ok()?;
    let transaction = found.transaction?;
    let properties = transaction.transaction_properties.as_ref();
    Some(AheadVersion {
        version,
        committed_at: Some(found.timestamp),
        restores: match transaction.operation {
            Operation::Restore { version } => Some(Version(version)),
            _ => None,
        },
        is_ours: properties.is_some_and(|of| of.contains_key(OPERATION_PROPERTY)),
        operation: Some(transaction.operation.name().to_owned()),
    })
}

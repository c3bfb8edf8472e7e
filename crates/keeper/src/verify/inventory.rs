//! Which versions of which tables there are to look at, and who names them.
//!
//! Of a graph: whatever any version of `__manifest` pins, on each of its branches, and every version of
//! the tables that a graph keeps for itself. Of databases and tables: every version that is there, on
//! every branch, and what tags name.

use std::collections::BTreeSet;

use lancekeeper_manifest::{Graph, GraphError, OldSnapshots};
use lancekeeper_model::{
    Branch, BranchSelection, FindingKind, OptimizeOptions, RootKind, TableKey, TableRef,
    VerifyOptions, Version,
};
use lancekeeper_planner::verify::{Named, Namer, TableToCheck, plan_versions};
use lancekeeper_store::failure::text_with_hint;
use lancekeeper_store::root::MANIFEST_DIR;
use lancekeeper_store::{FilesError, Root, Tables};

use super::ledger::{At, Ledger, unreadable};
use super::listing::{branches, files_of, versions};
use crate::root::{OpenRootError, ReadRoot, TargetError, read_root, targets};
use crate::run::Context;
use crate::run::ended::Ended;

const RESTORE: &str = "restore the file from a backup";

/// What there is to look at.
pub(super) struct Inventory {
    /// The root, under the address its tables are opened by.
    pub(super) root: Root,
    pub(super) tables: Vec<TableToCheck>,
    /// What was found on the way.
    pub(super) ledger: Ledger,
}

pub(super) async fn inventory(
    context: &Context,
    root: Root,
    options: &VerifyOptions,
) -> Result<Inventory, Ended> {
    let mut found = Found { options, named: Vec::new(), ledger: Ledger::default() };
    let (root, graph) = match read_root(root.clone(), &context.tables).await {
        Ok(read) => {
            let graph = read.graph.as_ref().map(|graph| graph.graph.clone());
            if graph.is_none() {
                found.plain(&read).await?;
            }
            (read.root, graph)
        }
        // What readers of main see cannot be told; other branches and older versions may be whole.
        Err(error) => (root.clone(), Some(damaged(&context.tables, &root, error).await?)),
    };
    if let Some(graph) = &graph {
        found.graph(&root, graph).await?;
    }
    let Found { named, ledger, .. } = found;
    Ok(Inventory { root, tables: plan_versions(named), ledger })
}

/// A graph whose main cannot be read; the error that says so, if not even its table of pins opens.
async fn damaged(tables: &Tables, root: &Root, error: OpenRootError) -> Result<Graph, Ended> {
    if root.kind == RootKind::Graph
        && let Ok(graph) = Graph::open(tables, root).await
    {
        return Ok(graph);
    }
    Err(error.into())
}

/// What was found so far.
struct Found<'a> {
    options: &'a VerifyOptions,
    named: Vec<Named>,
    ledger: Ledger,
}

impl Found<'_> {
    /// The tables of a database, or the one table.
    async fn plain(&mut self, read: &ReadRoot) -> Result<(), TargetError> {
        let only = OptimizeOptions { tables: self.options.tables.clone(), ..Default::default() };
        let mut known = BTreeSet::new();
        for target in targets(read, None, &only).await? {
            let at = At { table: target.table.clone(), version: None };
            if let Some((_, why)) = target.left_alone {
                self.ledger.unchecked(&at, "the table", why);
                continue;
            }
            let (key, location) = (&target.table.key, &target.location);
            known.extend(self.chains(&read.root, key, location).await);
            self.tags(&read.tables, &read.root, key, location).await;
        }
        match self.missing(&known) {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// The tables of a graph.
    async fn graph(&mut self, root: &Root, graph: &Graph) -> Result<(), TargetError> {
        let all = graph.branches().await?;
        if let Some(error) = self.missing(&all.iter().cloned().collect()) {
            return Err(error);
        }
        let wanted: Vec<Branch> = std::iter::once(Branch::main())
            .chain(all)
            .filter(|branch| self.wants(branch))
            .collect();
        for branch in &wanted {
            self.pins(root, graph, branch).await;
        }
        for key in graph.internal_tables() {
            let location = key.as_str().to_owned();
            self.chains(root, &key, &location).await;
        }
        let names = &self.options.tables;
        let known: BTreeSet<&str> = self.named.iter().map(|named| named.key.as_str()).collect();
        if let Some(name) = names.iter().find(|name| !known.contains(name.as_str())) {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(TargetError::Unknown { name: name.clone(), known });
        }
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        self.named.retain(|named| names.is_empty() || names.contains(named.key.as_str()));
        Ok(())
    }

    /// What every version of `__manifest` on a branch pins.
    async fn pins(&mut self, root: &Root, graph: &Graph, branch: &Branch) {
        let key = TableKey::new(MANIFEST_DIR);
        let at = At { table: TableRef { key, branch: branch.clone() }, version: None };
        let listed = async { versions(&files_of(root, MANIFEST_DIR).await?, branch).await };
        let listed = match listed.await {
            Ok(listed) => listed,
            Err(error) => return self.unlisted(&at, &error),
        };
        let mut old = OldSnapshots::of(graph);
        for version in listed.into_iter().rev() {
            let at = At { version: Some(version), ..at.clone() };
            match old.at(branch, version).await {
                Ok(snapshot) => {
                    self.named.extend(snapshot.pins.into_iter().map(|pin| Named {
                        key: pin.key,
                        location: pin.location,
                        branch: pin.table_branch,
                        version: pin.version,
                        by: Namer::Pin { branch: branch.clone(), version, rows: pin.rows },
                    }));
                }
                Err(error) => self.unread(root, &at, &error).await,
            }
        }
    }

    /// A version of `__manifest` whose pins cannot be told, if it is still there.
    async fn unread(&mut self, root: &Root, at: &At, error: &GraphError) {
        let branch = &at.table.branch;
        let now = async { versions(&files_of(root, MANIFEST_DIR).await?, branch).await };
        if now.await.is_ok_and(|now| at.version.is_none_or(|version| !now.contains(&version))) {
            self.ledger.unchecked(at, "the version", "it was deleted meanwhile");
            return;
        }
        self.ledger.unchecked(at, "what it pins", "it cannot be read");
        self.ledger.found(at, unreadable(at, FindingKind::VersionUnreadable, error, RESTORE));
    }

    /// Every version of a table on every branch of it; the branches that there are.
    async fn chains(&mut self, root: &Root, key: &TableKey, location: &str) -> Vec<Branch> {
        let at = At { table: TableRef::on_main(key.clone()), version: None };
        let listed = async {
            let files = files_of(root, location).await?;
            let branches = branches(&files).await?;
            Ok::<_, FilesError>((files, branches))
        };
        let (files, all) = match listed.await {
            Ok(listed) => listed,
            Err(error) => {
                self.unlisted(&at, &error);
                return Vec::new();
            }
        };
        let wanted: Vec<Branch> = std::iter::once(Branch::main())
            .chain(all.iter().cloned())
            .filter(|branch| self.wants(branch))
            .collect();
        for branch in &wanted {
            let table = TableRef { key: key.clone(), branch: branch.clone() };
            match versions(&files, branch).await {
                Err(error) => self.unlisted(&At { table, version: None }, &error),
                Ok(listed) => self.named.extend(listed.into_iter().map(|version| Named {
                    key: key.clone(),
                    location: location.to_owned(),
                    branch: branch.clone(),
                    version,
                    by: Namer::Listing,
                })),
            }
        }
        all
    }

    /// What the tags of a table name.
    async fn tags(&mut self, tables: &Tables, root: &Root, key: &TableKey, location: &str) {
        let at = At { table: TableRef::on_main(key.clone()), version: None };
        // A table that cannot be opened is found to be so when its versions are.
        let Ok(main) = tables.open(&root.address_of(location), &Branch::main()).await else {
            return self.ledger.unchecked(&at, "its tags", "the newest version cannot be opened");
        };
        match main.tags().list().await {
            Err(error) => {
                self.ledger.unchecked(&at, "its tags", text_with_hint(&error));
            }
            Ok(tags) => {
                for (name, tag) in tags {
                    let branch = Branch::from(tag.branch);
                    if !self.wants(&branch) {
                        continue;
                    }
                    self.named.push(Named {
                        key: key.clone(),
                        location: location.to_owned(),
                        branch,
                        version: Version(tag.version),
                        by: Namer::Tag(name),
                    });
                }
            }
        }
    }

    fn unlisted(&mut self, at: &At, error: &FilesError) {
        let finding = unreadable(at, FindingKind::BranchUnreadable, error, RESTORE);
        self.ledger.found(at, finding);
    }

    fn wants(&self, branch: &Branch) -> bool {
        match &self.options.branches {
            BranchSelection::All => true,
            BranchSelection::Main => branch.is_main(),
            BranchSelection::Named(names) => names.iter().any(|name| name == branch.label()),
        }
    }

    /// The first branch that was asked for and is not there.
    fn missing(&self, known: &BTreeSet<Branch>) -> Option<TargetError> {
        let BranchSelection::Named(names) = &self.options.branches else { return None };
        let is_known = |name: &String| {
            let branch = Branch::named(name);
            branch.is_main() || known.contains(&branch)
        };
        let name = names.iter().find(|name| !is_known(name))?.clone();
        let known: Vec<&str> = known.iter().map(Branch::label).collect();
        Some(TargetError::NoBranch { name, known: known.join(", ") })
    }
}

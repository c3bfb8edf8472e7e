//! The facts of a whole root. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use lancekeeper_manifest::Graph;
use lancekeeper_model::{Branch, InternalSchema, RootKind, TableKey};
use lancekeeper_planner::cleanup::{Authority, FileClass, Role, Running};
use lancekeeper_reconciler::cleanup::{
    AuthorityRead, CleanupError, DatasetInventory, DatasetPlace, Lists, PendingList, ReadsBeside,
    Stamp, hold_across, list_dataset, read_authority, reads_beside, stamp,
};
use lancekeeper_store::Root;
use lancekeeper_store::members::{Member, MemberState, has_table, members};
use lancekeeper_store::root::MANIFEST_DIR;

use crate::cleanup::{Cleaning, CleanupRootError, LOOKS_MAX};
use crate::root::{OpenRootError, running};
use crate::run::concurrency::in_order;

/// Where v3 keeps its commits, and every graph what was recovered.
const COMMIT_TABLES: [&str; 3] = ["_graph_commits.lance", "_graph_commit_actors.lance", RECOVERIES];
/// Where clients of v4 still write.
const RECOVERIES: &str = "_graph_commit_recoveries.lance";

/// What reports call the files of a root that lie in no dataset.
const BESIDE: &str = "(root)";

/// Everything a plan needs.
pub(crate) struct Gathered {
    /// What a graph's branches need; empty for databases and tables.
    pub(crate) read: AuthorityRead,
    /// Datasets that could be looked at; `__manifest` first.
    pub(crate) datasets: Vec<DatasetInventory>,
    /// Those that could not.
    pub(crate) failed: Vec<(DatasetPlace, CleanupError)>,
    /// Tables that are not cleaned up themselves and may read files of those that are: taken off
    /// the list of tables, in another one's directory, without a name.
    readers: Vec<DatasetInventory>,
    /// Of tables of a database that could not: what they may read of the others.
    doubts: Vec<(DatasetPlace, ReadsBeside)>,
    /// What runs of other keepers need that are under way. They neither begin nor commit while the root is
    /// locked.
    pub(super) running: Running,
    /// Lists of cleanups that died, by dataset.
    pub(crate) pending: BTreeMap<String, Vec<PendingList>>,
    /// What should be such a list and cannot be understood: file and reason.
    pub(crate) torn: Vec<(String, String)>,
    /// Datasets that were listed before the branches were last read, by their place: what a
    /// branch reads now may be newer than what is known of them.
    stale: BTreeSet<usize>,
    /// Forks that could not be deleted in this run, by the place of their dataset.
    stuck: BTreeMap<usize, BTreeSet<Branch>>,
}

/// Looks at everything.
pub(crate) async fn gather(
    cleaning: &Cleaning<'_>,
    lists: &Lists,
) -> Result<Gathered, CleanupRootError> {
    let mut pending: BTreeMap<String, Vec<PendingList>> = BTreeMap::new();
    let found = lists.pending().await?;
    for list in found.lists {
        pending.entry(list.location.clone()).or_default().push(list);
    }
    let running = running(&cleaning.read.root).await?;
    let graph = cleaning.read.graph.as_ref().map(|graph| &graph.graph);
    let read = match graph {
        Some(graph) => read_authority(graph, &explained_by(&pending, MANIFEST_DIR)).await?,
        None => AuthorityRead {
            authority: Authority::default(),
            tables: plain(cleaning).await?.0,
            failures: Vec::new(),
            lost: Vec::new(),
            stamp: Stamp::default(),
        },
    };
    let mut gathered = Gathered {
        read,
        datasets: Vec::new(),
        failed: Vec::new(),
        readers: Vec::new(),
        doubts: Vec::new(),
        running,
        pending,
        torn: found.torn,
        stale: BTreeSet::new(),
        stuck: BTreeMap::new(),
    };
    let mut places = if graph.is_some() { internal(cleaning).await } else { Vec::new() };
    places.extend(gathered.read.tables.iter().cloned());
    if cleaning.read.root.kind != RootKind::Table {
        let (table, location) = (TableKey::new(BESIDE), String::new());
        places.push(DatasetPlace { table, location, role: Role::Root });
    }
    let at_once = cleaning.context.tables_at_once(cleaning.concurrency, places.len());
    let explained: Vec<BTreeSet<String>> =
        places.iter().map(|place| gathered.explained(&place.location)).collect();
    let looks = places
        .iter()
        .zip(&explained)
        .map(|(place, explained)| {
            list_dataset(&cleaning.context.tables, &cleaning.read.root, place, explained).boxed()
        })
        .collect();
    let looked: Vec<_> = in_order(looks, at_once).collect().await;
    for (place, looked) in places.iter().zip(looked) {
        match looked {
            // Beside datasets there is hardly ever anything to do.
            Ok(dataset) if place.role == Role::Root && !has_litter(&dataset) => {}
            Ok(dataset) => gathered.add(place, dataset),
            Err(error) if place.role == Role::Manifest => return Err(error.into()),
            Err(_) if is_no_table_any_more(cleaning, place).await => {}
            Err(error) => gathered.add_failed(cleaning, place, error).await,
        }
    }
    if graph.is_none() {
        for place in plain(cleaning).await?.1 {
            gathered.look_at_reader(cleaning, &place).await;
        }
    }
    gathered.link_readers(&cleaning.read.root);
    gathered.read_commits(graph).await?;
    Ok(gathered)
}

/// Looks at everything, and again if a branch moved meanwhile: what was read of branches and what
/// was listed of tables would contradict each other. Writers may never rest, so the last look
/// counts as it is.
pub(super) async fn gather_at_rest(
    cleaning: &Cleaning<'_>,
    lists: &Lists,
) -> Result<Gathered, CleanupRootError> {
    for _ in 1..LOOKS_MAX {
        let gathered = gather(cleaning, lists).await?;
        let Some(graph) = &cleaning.read.graph else { return Ok(gathered) };
        if stamp(&graph.graph).await.map_err(CleanupError::from)? == gathered.read.stamp {
            return Ok(gathered);
        }
    }
    gather(cleaning, lists).await
}

impl Gathered {
    /// Reads the branches again, because they changed.
    pub(crate) async fn read_branches_again(
        &mut self,
        cleaning: &Cleaning<'_>,
        graph: &Graph,
    ) -> Result<(), CleanupRootError> {
        let mut read = read_authority(graph, &self.explained(MANIFEST_DIR)).await?;
        read.adopt_commits(&self.read);
        self.read = read;
        self.stale = (0..self.datasets.len()).collect();
        // Commits made since are versions that were not listed.
        let manifest =
            self.datasets.iter().position(|dataset| dataset.facts.role == Role::Manifest);
        if let Some(manifest) = manifest {
            self.list_again(cleaning, manifest).await?;
        }
        self.read_commits(Some(graph)).await
    }

    /// Whether a dataset must be listed again before anything is decided about it.
    pub(crate) fn is_stale(&self, at: usize) -> bool {
        self.stale.contains(&at)
    }

    /// Lists one dataset again, because its branches or tags changed.
    pub(crate) async fn list_again(
        &mut self,
        cleaning: &Cleaning<'_>,
        at: usize,
    ) -> Result<(), CleanupRootError> {
        let facts = &self.datasets[at].facts;
        // A table may have come back, or gone, since the branches were first read.
        let known = self.read.tables.iter().find(|place| place.location == facts.location);
        let role = known.map_or(facts.role, |place| place.role);
        let place =
            DatasetPlace { table: facts.table.clone(), location: facts.location.clone(), role };
        let explained = self.explained(&place.location);
        let (tables, root) = (&cleaning.context.tables, &cleaning.read.root);
        self.datasets[at] = list_dataset(tables, root, &place, &explained).await?;
        self.datasets[at].facts.stuck = self.stuck.get(&at).cloned().unwrap_or_default();
        self.stale.remove(&at);
        self.link_readers(&cleaning.read.root);
        Ok(())
    }

    /// Leaves forks of a dataset alone, because one of them could not be deleted, and lists it again.
    pub(crate) async fn leave_forks(
        &mut self,
        cleaning: &Cleaning<'_>,
        at: usize,
        forks: &[Branch],
    ) -> Result<(), CleanupRootError> {
        self.stuck.entry(at).or_default().extend(forks.iter().cloned());
        self.list_again(cleaning, at).await
    }

    /// Looks at tables of a database that were not there before: one may be a clone of a version that is about
    /// to go. Returns whether there were any.
    pub(crate) async fn look_for_new_tables(
        &mut self,
        cleaning: &Cleaning<'_>,
    ) -> Result<bool, CleanupRootError> {
        if cleaning.read.root.kind != RootKind::Database {
            return Ok(false);
        }
        let known = self.asked();
        let (mut places, mut readers) = plain(cleaning).await?;
        places.retain(|place| !known.contains(&place.location));
        readers.retain(|place| !known.contains(&place.location));
        let mut is_new = false;
        for place in &readers {
            is_new |= self.look_at_reader(cleaning, place).await;
        }
        for place in &places {
            let (tables, root) = (&cleaning.context.tables, &cleaning.read.root);
            match list_dataset(tables, root, place, &BTreeSet::new()).await {
                Ok(dataset) => self.add(place, dataset),
                // It is just being made, or was never a table.
                Err(_) if reads_beside(root, place).await == ReadsBeside::Nothing => continue,
                Err(error) => self.add_failed(cleaning, place, error).await,
            }
            is_new = true;
        }
        if is_new {
            self.link_readers(&cleaning.read.root);
        }
        Ok(is_new)
    }

    /// Where the tables lie of which it was learned what they read of others, as far as it can be.
    fn asked(&self) -> BTreeSet<String> {
        let same = self.failed.iter().filter(|(_, e)| matches!(e, CleanupError::SamePlace { .. }));
        let doubted = self.doubts.iter().filter(|(_, reads)| *reads != ReadsBeside::Nothing);
        let places = same.map(|(place, _)| place).chain(doubted.map(|(place, _)| place));
        let listed = self.datasets.iter().chain(&self.readers);
        let listed = listed.map(|dataset| &dataset.facts.location);
        listed.chain(places.map(|place| &place.location)).cloned().collect()
    }

    /// Learns what a table reads that is not cleaned up itself. One that cannot be looked at may
    /// read anything that its manifests do not deny. Returns whether it has any.
    async fn look_at_reader(&mut self, cleaning: &Cleaning<'_>, place: &DatasetPlace) -> bool {
        let (tables, root) = (&cleaning.context.tables, &cleaning.read.root);
        match list_dataset(tables, root, place, &BTreeSet::new()).await {
            Ok(dataset) => self.readers.push(dataset),
            Err(_) => match reads_beside(root, place).await {
                ReadsBeside::Nothing => return false,
                reads => self.doubts.push((place.clone(), reads)),
            },
        }
        true
    }

    /// Adds a dataset, unless it is there under another name: what one of the two let go, the other would
    /// have kept.
    fn add(&mut self, place: &DatasetPlace, dataset: DatasetInventory) {
        let same = |other: &&DatasetInventory| {
            other.files.identity() == dataset.files.identity() && dataset.facts.role != Role::Root
        };
        self.failed.retain(|(failed, _)| failed != place);
        self.doubts.retain(|(doubted, _)| doubted != place);
        match self.datasets.iter().find(same) {
            None => self.datasets.push(dataset),
            Some(other) => {
                let (location, other) = (place.location.clone(), other.facts.table.clone());
                self.failed.push((place.clone(), CleanupError::SamePlace { location, other }));
            }
        }
    }

    async fn add_failed(
        &mut self,
        cleaning: &Cleaning<'_>,
        place: &DatasetPlace,
        error: CleanupError,
    ) {
        self.failed.retain(|(failed, _)| failed != place);
        self.doubts.retain(|(doubted, _)| doubted != place);
        // Clients of graphs clone no tables.
        if place.role == Role::Plain {
            let reads = reads_beside(&cleaning.read.root, place).await;
            self.doubts.push((place.clone(), reads));
        }
        self.failed.push((place.clone(), error));
    }

    /// Marks what datasets read of each other, or may read.
    fn link_readers(&mut self, root: &Root) {
        hold_across(root, &mut self.datasets, &self.readers);
        let asked = Arc::new(self.asked());
        for dataset in &mut self.datasets {
            dataset.tables = Arc::clone(&asked);
            let is_table = dataset.facts.role == Role::Plain;
            let mut doubts = self.doubts.iter().filter(|_| is_table);
            let doubt = doubts.find(|(_, reads)| reads.may_read(root, dataset));
            let named_twice = self.failed.iter().find(|(place, error)| {
                // What a branch reads under the one name is not known to be read under the other.
                place.role != Role::Plain
                    && matches!(error, CleanupError::SamePlace { other, .. } if *other == dataset.facts.table)
            });
            let doubt = doubt.map(|(place, _)| {
                let table = &place.table;
                format!(
                    "table {table} beside it cannot be looked at, and may be a clone that reads it"
                )
            });
            let named_twice =
                named_twice.map(|(place, _)| format!("{} is another name of it", place.location));
            dataset.facts.unsure = doubt.or(named_twice);
        }
    }

    async fn read_commits(&mut self, graph: Option<&Graph>) -> Result<(), CleanupRootError> {
        let manifest = self.datasets.iter().find(|dataset| dataset.facts.role == Role::Manifest);
        if let (Some(graph), Some(manifest)) = (graph, manifest) {
            self.read.read_commits(graph, manifest).await?;
        }
        Ok(())
    }

    fn explained(&self, location: &str) -> BTreeSet<String> {
        explained_by(&self.pending, location)
    }
}

/// What earlier cleanups had decided to delete of a dataset.
fn explained_by(pending: &BTreeMap<String, Vec<PendingList>>, location: &str) -> BTreeSet<String> {
    let lists = pending.get(location).into_iter().flatten();
    lists.flat_map(|list| list.paths.iter().cloned()).collect()
}

fn has_litter(dataset: &DatasetInventory) -> bool {
    dataset.facts.files.iter().any(|file| file.class == FileClass::Litter)
}

/// The tables of a database, or the one table; and those that are left alone and may read them.
async fn plain(
    cleaning: &Cleaning<'_>,
) -> Result<(Vec<DatasetPlace>, Vec<DatasetPlace>), CleanupRootError> {
    debug_assert!(cleaning.read.root.kind != RootKind::Graph);
    let members = members(&cleaning.read.root).await.map_err(OpenRootError::from)?;
    let (mut tables, mut readers) = (Vec::new(), Vec::new());
    for member in members.all {
        let Member { key: table, location, state } = member;
        let place = DatasetPlace { table, location, role: Role::Plain };
        match state {
            MemberState::Table => tables.push(place),
            MemberState::Deregistered | MemberState::Aside => readers.push(place),
            MemberState::Declared | MemberState::Empty | MemberState::Young => {}
        }
    }
    Ok((tables, readers))
}

/// Whether a table of a database was dropped, or is just being made anew, since the tables were
/// named.
async fn is_no_table_any_more(cleaning: &Cleaning<'_>, place: &DatasetPlace) -> bool {
    let root = &cleaning.read.root;
    root.kind == RootKind::Database
        && place.role == Role::Plain
        && has_table(root, &place.location).await.is_ok_and(|has_table| !has_table)
}

/// The tables a graph keeps for itself, as far as it has them. `__manifest` is first.
async fn internal(cleaning: &Cleaning<'_>) -> Vec<DatasetPlace> {
    let place = |name: &str, role| DatasetPlace {
        table: TableKey::new(name),
        location: name.to_owned(),
        role,
    };
    let files = cleaning.read.root.files();
    let mut places = vec![place(MANIFEST_DIR, Role::Manifest)];
    let is_old = |name| cleaning.takes_old_history && name != RECOVERIES && is_v4(cleaning);
    for name in COMMIT_TABLES {
        if files.has_directory(&format!("{name}/_versions")).await {
            let role = if is_old(name) { Role::Dropped } else { Role::Commits };
            places.push(place(name, role));
        }
    }
    places
}

/// Whether the commits of a graph are in `__manifest`, on every branch: whoever writes has seen to that.
fn is_v4(cleaning: &Cleaning<'_>) -> bool {
    cleaning.read.graph.as_ref().is_some_and(|read| read.graph.schema() == InternalSchema::V4)
}

/// The branches whose keys are taken for a dataset: all its chains.
pub(crate) fn branches_of(dataset: &DatasetInventory) -> Vec<Branch> {
    dataset.facts.chains.iter().map(|chain| chain.branch.clone()).collect()
}

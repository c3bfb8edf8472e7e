//! The tables of a database, and what else lies where tables lie: names that are only declared
//! or were taken back, directories without a version, files. Writes nothing.
//!
//! A database is a directory of `NAME.lance`. LanceDB may keep a list of tables beside them, its
//! namespace manifest `__manifest`, which also names tables of child namespaces and where those
//! lie; in it `$` stands between the names, `team$users`. A graph has its own authority and no
//! members here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use futures::TryStreamExt;
use lancekeeper_model::{Branch, RootKind, TableKey};

use crate::failure::LanceFailure;
use crate::root::{MANIFEST_DIR, Root, RootError};
use crate::tables::Tables;

/// What a directory is that may be a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberState {
    /// A table; or what is left of one, and opening it says what is wrong.
    Table,
    /// A name that was declared and has no version yet.
    Declared,
    /// A table that was taken off the list of tables. Its files stay until somebody drops it.
    Deregistered,
    /// A directory in which no writer has left anything.
    Empty,
    /// A directory in which a writer has left files just now, and no version yet: a table that may be
    /// just being made.
    Young,
    /// A table that no list names: it may read files of the others.
    Aside,
}

impl MemberState {
    /// Whether there is a version, which may read files of other tables.
    #[must_use]
    pub fn has_versions(self) -> bool {
        !matches!(self, Self::Declared | Self::Empty | Self::Young)
    }
}

/// One of the tables of a root, or what stands in the place of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub key: TableKey,
    /// Relative to the root; empty for a root that is a table.
    pub location: String,
    /// What it is.
    pub state: MemberState,
}

/// The members of a root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// In the order of their names.
    pub all: Vec<Member>,
    /// What is there besides and is worth knowing.
    pub warnings: Vec<String>,
}

impl Members {
    /// Those that are tables: name and location.
    pub fn tables(&self) -> impl Iterator<Item = (&TableKey, &str)> {
        let tables = self.all.iter().filter(|member| member.state == MemberState::Table);
        tables.map(|member| (&member.key, member.location.as_str()))
    }
}

/// LanceDB's word for a name that has no data yet.
const RESERVED: &str = ".lance-reserved";
/// LanceDB's word for a table that is no longer on the list.
const DEREGISTERED: &str = ".lance-deregistered";
/// Where writers leave something before there is a version.
const WRITTEN: [&str; 4] = ["data", "_indices", "_deletions", "_transactions"];
/// How long a writer that has not yet made its first version may have written nothing. Whoever
/// takes longer is presumed dead, and what it left is a damaged table.
const YOUNG: Duration = Duration::from_secs(15 * 60);

/// The members of a database or table root; none of a graph, whose tables `__manifest` pins.
///
/// # Errors
///
/// When the directory cannot be listed, or a namespace manifest cannot be read: tables that
/// nobody sees cannot be kept.
pub async fn members(root: &Root) -> Result<Members, RootError> {
    if root.kind == RootKind::Graph {
        return Ok(Members::default());
    }
    let named = if root.has_namespaces { named_tables(root).await? } else { Named::default() };
    let root = root.clone();
    let looked = tokio::task::spawn_blocking(move || match root.kind {
        RootKind::Database => database(&root, named),
        _ => table(&root),
    });
    looked.await.unwrap_or_else(|error| Err(RootError::Task { why: error.to_string() }))
}

/// Whether a table lies at `location` of a root now. Beside clients that create and drop all the
/// time, a table that was listed and cannot be opened may just not be one any more.
///
/// # Errors
///
/// As of [`members`].
pub async fn has_table(root: &Root, location: &str) -> Result<bool, RootError> {
    let members = members(root).await?;
    let is_it =
        |member: &Member| member.location == location && matches!(member.state, MemberState::Table);
    Ok(members.all.iter().any(is_it))
}

/// Tables by location, as a namespace manifest names them, and what it names in vain.
#[derive(Debug, Default)]
struct Named {
    by_location: BTreeMap<String, String>,
    warnings: Vec<String>,
}

impl Named {
    fn add(&mut self, name: &str, location: &str) {
        let location = location.trim_end_matches('/');
        if !is_inside(location) {
            self.warnings.push(format!(
                "table {name} lies outside of the root, at {location}, and is left alone"
            ));
        } else if let Some(known) = self.by_location.get(location) {
            self.warnings.push(format!("table {name} is another name of {known}"));
        } else {
            self.by_location.insert(location.to_owned(), name.to_owned());
        }
    }
}

/// Whether a location leads to something below the root, as LanceDB demands.
fn is_inside(location: &str) -> bool {
    !location.is_empty()
        && !location.contains("://")
        && Path::new(location).components().all(|part| matches!(part, Component::Normal(_)))
}

/// The rows of a namespace manifest that name tables. With a session of its own: nothing that
/// was read before answers for it.
async fn named_tables(root: &Root) -> Result<Named, RootError> {
    let failed = |source| RootError::Namespaces {
        uri: root.given.clone(),
        source: LanceFailure::new(format!("failed to read {MANIFEST_DIR}"), source),
    };
    let address = root.address_of(MANIFEST_DIR);
    let opened = Tables::new().open(&address, &Branch::main()).await;
    let list = opened.map_err(|error| failed(error.source))?;
    let mut scan = list.scan();
    scan.project(&["object_id", "object_type", "location"]).map_err(failed)?;
    let stream = Box::pin(scan.try_into_stream()).await.map_err(failed)?;
    let batches: Vec<RecordBatch> = stream.try_collect().await.map_err(failed)?;
    let mut rows = BTreeSet::new();
    for batch in &batches {
        let column = |at: usize| batch.column(at).as_string_opt::<i32>();
        let (Some(names), Some(types), Some(locations)) = (column(0), column(1), column(2)) else {
            let why = "its columns are no text".to_owned();
            return Err(RootError::Catalog { uri: root.given.clone(), why });
        };
        for at in (0..batch.num_rows()).filter(|at| locations.is_valid(*at)) {
            if types.value(at) == "table" {
                rows.insert((names.value(at).to_owned(), locations.value(at).to_owned()));
            }
        }
    }
    let mut named = Named::default();
    for (name, location) in rows {
        named.add(&name, &location);
    }
    Ok(named)
}

fn database(root: &Root, named: Named) -> Result<Members, RootError> {
    let Named { by_location, warnings } = named;
    let mut found = Members { all: Vec::new(), warnings };
    let mut add = |key: &str, location: &str, state| {
        let (key, location) = (TableKey::new(key), location.to_owned());
        found.all.push(Member { key, location, state });
    };
    for (location, name) in &by_location {
        let state = state_of(&root.directory.join(location));
        add(name, location, state.unwrap_or(MemberState::Declared));
    }
    let mut others = Vec::new();
    for (name, is_directory) in children(root)? {
        if by_location.contains_key(&name) {
            continue;
        }
        match name.strip_suffix(".lance") {
            Some(key) if is_directory => {
                // The list of tables has the first word about a name.
                let is_taken = by_location.values().any(|taken| taken == key);
                let state = state_of(&root.directory.join(&name)).unwrap_or(MemberState::Empty);
                add(if is_taken { &name } else { key }, &name, state);
            }
            Some(_) => others.push(format!("{name} is a file and no table")),
            None if name == MANIFEST_DIR && root.has_namespaces => {
                add(MANIFEST_DIR, MANIFEST_DIR, MemberState::Table);
            }
            None if is_directory && has_version(&root.directory.join(&name)) => {
                others.push(format!("{name} is a table that no name leads to; it is left alone"));
                add(&name, &name, MemberState::Aside);
            }
            None => {}
        }
    }
    found.warnings.extend(others);
    found.all.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

/// A root that is a table, and tables that somebody put into its directory. Those are their own:
/// no version of this one refers to them.
fn table(root: &Root) -> Result<Members, RootError> {
    let name = root.directory.file_name().map_or_else(
        || "table".to_owned(),
        |name| name.to_string_lossy().trim_end_matches(".lance").to_owned(),
    );
    let (key, location) = (TableKey::new(name), String::new());
    let mut found = Members::default();
    found.all.push(Member { key, location, state: MemberState::Table });
    for (name, is_directory) in children(root)? {
        if is_directory && has_version(&root.directory.join(&name)) {
            found.warnings.push(format!(
                "another table lies in its directory, {name}, which is no part of it: name it as a root of its own"
            ));
            let (key, location) = (TableKey::new(&*name), name);
            found.all.push(Member { key, location, state: MemberState::Aside });
        }
    }
    Ok(found)
}

/// What a directory is; `None` when there is none. A directory in which a writer left files long
/// ago and no version is a damaged table: opening it says so.
fn state_of(directory: &Path) -> Option<MemberState> {
    if !directory.is_dir() {
        return None;
    }
    let has_version = has_version(directory);
    let written: Vec<PathBuf> =
        WRITTEN.iter().flat_map(|name| entries(&directory.join(name))).collect();
    Some(if !has_version && written.iter().any(|path| is_young(path)) {
        MemberState::Young
    } else if has_version || !written.is_empty() {
        match directory.join(DEREGISTERED).exists() {
            true => MemberState::Deregistered,
            false => MemberState::Table,
        }
    } else if directory.join(RESERVED).exists() {
        MemberState::Declared
    } else if directory.join(DEREGISTERED).exists() {
        MemberState::Deregistered
    } else {
        MemberState::Empty
    })
}

fn has_version(directory: &Path) -> bool {
    entries(&directory.join("_versions"))
        .iter()
        .any(|path| path.extension().is_some_and(|extension| extension == "manifest"))
}

/// Whether something was written a moment ago; or, by a clock ahead of ours, just now.
fn is_young(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| at.elapsed().map_or(true, |age| age < YOUNG))
}

/// What is in a directory. One that cannot be looked into is as good as full: whoever opens the
/// table meets the reason and says it.
fn entries(directory: &Path) -> Vec<PathBuf> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(error) if is_absent(&error) => Vec::new(),
        Err(_) => vec![directory.join("unknown.manifest")],
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// The names in a root and whether each is a directory, also through a symlink: databases are
/// often assembled from them.
fn children(root: &Root) -> Result<Vec<(String, bool)>, RootError> {
    let failed = |source| RootError::Io { uri: root.given.clone(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(&root.directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        names.push((entry.file_name().to_string_lossy().into_owned(), entry.path().is_dir()));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests;

//! The facts of a migration: stamps and keys of every branch, branches of runs, the note. Writes
//! nothing.

use chrono::{DateTime, Utc};
use lance::Dataset;
use lance::dataset::refs::BranchContents;
use lancekeeper_model::{Branch, ErrorKind, InternalSchema, Stamp, Version};
use lancekeeper_planner::migrate::{BranchFacts, Facts, Key, NewestCommits, RunBranch};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failure::full_text;

use super::MigrateError;
use super::journal::Note;
use crate::graph::{Graph, GraphError, RUN_PREFIX, stamp_of};
use crate::lineage::COMMITS;
use crate::row::GRAPH_COMMIT;

/// How closely a graph is looked at. What nobody asks for is not read: every verb that writes looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// Whether it may be written as it is, or after a migration that needs no word.
    ToWrite,
    /// Also at the note of a migration that may be over.
    ToMigrate,
    /// Also at the rows, which say of which version it is whatever the stamps are.
    AtContent,
}

impl Graph {
    /// What is known of the graph before it is migrated.
    ///
    /// # Errors
    ///
    /// When main or the list of branches cannot be read, or the note of a migration is of a newer version.
    pub async fn migration_facts(&self, look: Look) -> Result<Facts, MigrateError> {
        let main = self.open_manifest(&Branch::main()).await?;
        let listed = main
            .list_branches()
            .await
            .map_err(|source| LanceFailure::new("failed to list the graph's branches", source))?;
        let mut listed: Vec<(String, BranchContents)> = listed.into_iter().collect();
        listed.sort_by(|a, b| a.0.cmp(&b.0));
        let mut facts = Facts::default();
        facts.branches.push(self.branch_facts(&Branch::main(), &main, look).await?);
        for (name, contents) in listed {
            let branch = Branch::named(&name);
            if name.starts_with(RUN_PREFIX) {
                facts.runs.push(self.run(branch, &contents).await);
            } else if !branch.is_internal() {
                let of = async {
                    let manifest = self.open_manifest(&branch).await?;
                    self.branch_facts(&branch, &manifest, look).await
                };
                match Box::pin(of).await {
                    Ok(of) => facts.branches.push(of),
                    Err(error) => facts.unread.push((branch, full_text(&error))),
                }
            }
        }
        let files = self.root.files();
        let has_v3_stamp =
            facts.branches.iter().any(|b| b.stamp.known() < Some(InternalSchema::V4));
        if has_v3_stamp || look > Look::ToWrite {
            facts.has_commits = files.has_directory(&format!("{COMMITS}/_versions")).await;
        }
        let is_migrating = facts.branches.iter().any(|b| b.stamp == Stamp::Migrating);
        if is_migrating || look > Look::ToWrite {
            match Note::read(&files).await {
                Ok(note) => facts.journal = note.map(|note| note.phase()),
                // Whoever writes stamps anew can do without; others are refused by the plan.
                Err(MigrateError::Note { why }) => facts.damaged_note = Some(why),
                Err(error) => return Err(error),
            }
        }
        Ok(facts)
    }

    async fn branch_facts(
        &self,
        branch: &Branch,
        manifest: &Dataset,
        look: Look,
    ) -> Result<BranchFacts, GraphError> {
        let newest = match look {
            Look::AtContent => Some(self.newest_commits(branch, manifest).await?),
            Look::ToWrite | Look::ToMigrate => None,
        };
        Ok(BranchFacts {
            branch: branch.clone(),
            stamp: stamp_of(manifest),
            key: key_of(manifest),
            newest,
        })
    }

    async fn newest_commits(
        &self,
        branch: &Branch,
        manifest: &Dataset,
    ) -> Result<NewestCommits, GraphError> {
        let rows = self.rows(manifest).await?;
        let rows = rows.iter().filter(|row| row.object_type == GRAPH_COMMIT);
        let rows = rows.filter_map(|row| row.table_version).max().map(Version);
        let apart = match self.v3_commits(branch).await {
            Ok(commits) => commits.iter().map(|commit| commit.manifest_version).max(),
            // One that is there and cannot be read may have anything.
            Err(GraphError::Open(error)) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(NewestCommits { rows, apart })
    }

    /// When the branch of a run was last used. One that cannot be opened counts as used when it was made; but of one
    /// of which a fork cannot be read it cannot be said that it is old.
    pub(super) async fn run(&self, branch: Branch, contents: &BranchContents) -> RunBranch {
        let made = i64::try_from(contents.create_at).ok();
        let made = made.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let newest = self.open_manifest(&branch).await.ok();
        let written = newest.map(|manifest| manifest.version().timestamp);
        // A load commits to its forks for as long as it takes, and to its branch only at the end.
        let forked = self.forks_written(&branch).await;
        // Of one about which nothing is known it cannot be said that it is old.
        let last_used = match forked {
            Ok(forked) => made.into_iter().chain(written).chain(forked).max(),
            Err(_) => None,
        };
        RunBranch { branch, last_used: last_used.unwrap_or(DateTime::<Utc>::MAX_UTC) }
    }

    /// When the newest commit was made to a fork of a table that has the name of a branch.
    async fn forks_written(&self, branch: &Branch) -> Result<Option<DateTime<Utc>>, GraphError> {
        let mut places = self.places(&Branch::main()).await?;
        // Tables that are new there; a branch that cannot be read says of none.
        places.extend(self.places(branch).await.unwrap_or_default());
        let mut newest = None;
        for location in places.into_values() {
            let fork = match self.tables.open(&self.root.address_of(&location), branch).await {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened.map_err(GraphError::Open)?,
            };
            newest = newest.max(Some(fork.version().timestamp));
        }
        Ok(newest)
    }
}

fn key_of(manifest: &Dataset) -> Key {
    let fields = manifest.schema().unenforced_primary_key();
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    match names.as_slice() {
        [] => Key::Absent,
        ["object_id"] => Key::ObjectId,
        others => Key::Other(others.join(", ")),
    }
}

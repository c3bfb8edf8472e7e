//! What a branch left in the graph's own tables that is none any more: versions below a branch's
//! directory without the branch file that makes it one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lance::dataset::transaction::Operation;
use lancekeeper_model::Branch;
use lancekeeper_store::root::MANIFEST_DIR;

use crate::graph::{Graph, GraphError};
use crate::lineage::{COMMITS, newest_publish};

/// Where branches of a dataset have their versions, relative to it.
const TREE: &str = "tree";

/// Something of a branch that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchRemains {
    /// The branch.
    pub branch: Branch,
    /// The table that has something of it.
    pub location: &'static str,
    /// When the newest version of it was written.
    pub newest: DateTime<Utc>,
    /// The manifests of its versions, relative to that table.
    pub manifests: Vec<String>,
    /// How many of its versions were published there, as far as they are still there: none only where the newest
    /// one is what making the branch wrote, because a cleanup may have taken those before it.
    pub published: u64,
}

impl BranchRemains {
    /// Whether they are what readers of a branch saw, and what was published there: then the file that made
    /// it a branch may have been lost, and nobody but a person can tell.
    #[must_use]
    pub fn hold_publishes(&self) -> bool {
        self.location == MANIFEST_DIR && self.published > 0 && !self.branch.is_internal()
    }
}

impl Graph {
    /// What there is of branches that are none, in `__manifest` and on v3 in the commit history.
    ///
    /// # Errors
    ///
    /// When branches or directories cannot be listed.
    pub async fn branch_remains(&self) -> Result<Vec<BranchRemains>, GraphError> {
        let commits = self.keeps_commits_apart().then_some(COMMITS);
        let mut remains = Vec::new();
        for location in std::iter::once(MANIFEST_DIR).chain(commits) {
            let files = self.root.files().below(location).list(TREE).await?;
            let mut found: BTreeMap<Branch, (DateTime<Utc>, Vec<String>)> = BTreeMap::new();
            for file in files {
                let Some(branch) = branch_of(&file.path) else { continue };
                let (newest, manifests) = found.entry(branch).or_insert((file.modified, vec![]));
                *newest = (*newest).max(file.modified);
                manifests.push(file.path);
            }
            let of = |(branch, (newest, manifests)): (_, (_, Vec<String>))| {
                let published = if location == MANIFEST_DIR { manifests.len() as u64 } else { 0 };
                BranchRemains { branch, location, newest, manifests, published }
            };
            remains.extend(found.into_iter().map(of));
        }
        // Most graphs have no branches at all: those are not asked for them.
        if !remains.is_empty() {
            let live = self.live_branches().await?;
            remains.retain(|remains| live.iter().all(|live| live.branch != remains.branch));
        }
        for of in remains.iter_mut().filter(|of| of.location == MANIFEST_DIR) {
            of.published = match self.is_as_cut(&of.branch).await {
                true => 0,
                // The first of them is what making it wrote, unless that was collected.
                false => of.published.saturating_sub(1).max(1),
            };
        }
        Ok(remains)
    }

    /// Whether nothing was published to a branch of `__manifest` since it was cut, by what its newest version says.
    /// Where that cannot be read, it may have been.
    async fn is_as_cut(&self, branch: &Branch) -> bool {
        // By its directory: without its branch file it is no branch to Lance.
        let place = format!("{MANIFEST_DIR}/{TREE}/{}", branch.label());
        let opened = self.tables.open(&self.root.address_of(&place), &Branch::main()).await;
        let Ok(manifest) = opened else { return false };
        let newest = newest_publish(&manifest).await;
        let found = manifest.read_version_transaction(newest.0).await;
        let made = found.ok().and_then(|found| found.transaction);
        made.is_some_and(|made| matches!(made.operation, Operation::Clone { .. }))
    }
}

/// The branch of a manifest file.
fn branch_of(path: &str) -> Option<Branch> {
    let (branch, file) = path.strip_prefix("tree/")?.split_once("/_versions/")?;
    file.ends_with(".manifest").then(|| Branch::named(branch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_below_a_branch_s_directory_names_the_branch() {
        for (path, expected) in [
            ("tree/feat/_versions/1.manifest", Some("feat")),
            ("tree/team/feat/_versions/1.manifest", Some("team/feat")),
            ("tree/feat/_versions/latest_version_hint.json", None),
            ("tree/feat/data/x.lance", None),
            ("_versions/1.manifest", None),
        ] {
            assert_eq!(branch_of(path), expected.map(Branch::named), "{path}");
        }
    }
}

//! What a branch left in the graph's own tables that is none any more: versions below a branch's
//! directory without the branch file that makes it one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lance::dataset::transaction::Operation;
use lancekeeper_model::Branch;
use lancekeeper_store::root::MANIFEST_DIR;

use crate::graph::{Graph, GraphError};
use crate::lineage::COMMITS;

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
    /// How many of these versions were published there: all but the one that making the branch wrote.
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
            remains.extend(found.into_iter().map(|(branch, (newest, manifests))| BranchRemains {
                branch,
                location,
                newest,
                published: manifests.len() as u64 - 1,
                manifests,
            }));
        }
        // Most graphs have no branches at all: those are not asked for them.
        if !remains.is_empty() {
            let live = self.live_branches().await?;
            remains.retain(|remains| live.iter().all(|live| live.branch != remains.branch));
        }
        // A cleanup may have left one version of a branch that was published to a hundred times.
        let single = |of: &&mut BranchRemains| of.location == MANIFEST_DIR && of.published == 0;
        for remains in remains.iter_mut().filter(single) {
            remains.published = u64::from(!self.is_as_cut(&remains.branch).await);
        }
        Ok(remains)
    }

    /// Whether the newest version of a branch's `__manifest` is the one that making it wrote. One that cannot
    /// be read may be any.
    async fn is_as_cut(&self, branch: &Branch) -> bool {
        let Ok(manifest) = self.open_manifest(branch).await else { return false };
        let version = manifest.manifest().version;
        let Ok(found) = manifest.read_version_transaction(version).await else { return false };
        found.transaction.is_some_and(|made| matches!(made.operation, Operation::Clone { .. }))
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

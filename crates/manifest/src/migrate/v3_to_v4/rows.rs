//! The rows of a history in `__manifest`, as clients of v4 write them.

use lancekeeper_model::Branch;

use super::history::Commit;
use crate::row::{CommitMetadata, GRAPH_COMMIT, GRAPH_HEAD, HeadMetadata, Row};

/// The rows of a branch: one per commit, and the one that names its head.
pub(super) fn rows_of(branch: &Branch, commits: &[Commit]) -> Result<Vec<Row>, serde_json::Error> {
    let mut rows = commits.iter().map(commit_row).collect::<Result<Vec<_>, _>>()?;
    if let Some(head) = head_of(commits) {
        rows.push(head_row(branch, head)?);
    }
    Ok(rows)
}

/// The commit that the clients take for the head.
pub(super) fn head_of(commits: &[Commit]) -> Option<&Commit> {
    commits.iter().max_by(|a, b| a.rank().cmp(&b.rank()))
}

fn commit_row(commit: &Commit) -> Result<Row, serde_json::Error> {
    let metadata = CommitMetadata {
        parent_commit_id: commit.parent.clone(),
        merged_parent_commit_id: commit.merged_parent.clone(),
        actor_id: commit.actor.clone(),
        created_at: commit.created_at,
    };
    Ok(Row {
        table_version: Some(commit.version),
        table_branch: commit.branch.name().map(ToOwned::to_owned),
        ..row(commit.id.clone(), GRAPH_COMMIT, serde_json::to_string(&metadata)?)
    })
}

fn head_row(branch: &Branch, head: &Commit) -> Result<Row, serde_json::Error> {
    let metadata =
        HeadMetadata { head_commit_id: head.id.clone(), parent_commit_id: head.parent.clone() };
    let id = format!("graph_head:{}", branch.label());
    Ok(row(id, GRAPH_HEAD, serde_json::to_string(&metadata)?))
}

fn row(object_id: String, object_type: &str, metadata: String) -> Row {
    Row {
        object_id,
        object_type: object_type.to_owned(),
        location: None,
        metadata: Some(metadata),
        table_key: String::new(),
        table_version: None,
        table_branch: None,
        row_count: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(id: &str, version: u64, actor: Option<&str>) -> Commit {
        Commit {
            id: id.to_owned(),
            branch: Branch::named("work"),
            version,
            parent: Some("P".to_owned()),
            merged_parent: None,
            actor: actor.map(ToOwned::to_owned),
            created_at: 1_795_172_497_100_997,
            is_rebuilt: false,
        }
    }

    #[test]
    fn rows_are_those_of_the_client_of_v4() {
        let commits = [commit("A", 13, Some("ann")), commit("B", 14, None)];
        let rows = rows_of(&Branch::named("work"), &commits).unwrap();
        let texts: Vec<_> = rows.iter().map(|row| row.metadata.as_deref().unwrap()).collect();
        assert_eq!(
            texts,
            [
                "{\"parent_commit_id\":\"P\",\"actor_id\":\"ann\",\"created_at\":1795172497100997}",
                "{\"parent_commit_id\":\"P\",\"created_at\":1795172497100997}",
                "{\"head_commit_id\":\"B\",\"parent_commit_id\":\"P\"}",
            ]
        );
        let last = &rows[2];
        assert_eq!((last.object_id.as_str(), last.table_version), ("graph_head:work", None));
        let first = &rows[0];
        assert_eq!((first.table_key.as_str(), first.table_version), ("", Some(13)));
        assert_eq!(first.table_branch.as_deref(), Some("work"));
    }
}

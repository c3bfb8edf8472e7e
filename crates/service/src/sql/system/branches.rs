//! `system.branches`: the branches of a graph, or those of each table.

use chrono::DateTime;
use futures::FutureExt;
use futures::future::BoxFuture;
use lance::Dataset;
use lancekeeper::SeenTable;
use lancekeeper_model::{BranchRow, BranchSelection, ErrorKind, RootKind};

use super::column::{count, flag, text, time};
use super::per_table::{Answers, each};
use super::{Asked, Rows, SystemTable};
use crate::sql::SqlSession;
use crate::sql::answer::Cell;
use crate::sql::error::SqlRunError;

pub(super) const TABLE: SystemTable = SystemTable {
    name: "branches",
    about: "A branch: of a graph as a whole, else of a table.",
    columns: &[
        text("table", "the table; null of a graph, whose branches are those of all its tables"),
        text("branch", "its name"),
        text("parent", "the branch it was cut from; null of main"),
        count(
            "parent_version",
            "the version it was cut at: of the table, or of a graph's `__manifest`",
        ),
        time("created_at", "when it was made; null of graphs and of main"),
        time("changed_at", "when its newest commit was made; null but of graphs"),
        flag("internal", "whether it is none of the users', but of some operation"),
    ],
    fill,
};

fn fill<'a>(session: &'a SqlSession, asked: &'a Asked) -> BoxFuture<'a, Result<Rows, SqlRunError>> {
    async move {
        let seen = session.keeper.see(&session.root, &BranchSelection::Main).await?;
        if seen.kind() != RootKind::Graph {
            return each(session, asked, ask).await;
        }
        let mut all = Rows::default();
        for root in session.keeper.list_branches([&session.root], true).await.roots {
            if let Some(message) = root.error {
                let kind = root.error_kind.unwrap_or(ErrorKind::Internal);
                return Err(SqlRunError::Root { message, hint: root.hint, kind });
            }
            for branch in &root.body.branches {
                all.notes.extend(
                    branch.error.iter().map(|why| format!("branch {}: {why}", branch.name)),
                );
                all.rows.push(of_graph(branch));
            }
        }
        Ok(all)
    }
    .boxed()
}

fn of_graph(branch: &BranchRow) -> Vec<Cell> {
    vec![
        Cell::Null,
        Cell::text(branch.name.label()),
        Cell::maybe(branch.parent.as_ref(), |parent| Cell::text(parent.label())),
        Cell::maybe(branch.parent_version, |version| Cell::count(version.0)),
        Cell::Null,
        Cell::maybe(branch.head_commit_at, Cell::Time),
        Cell::Flag(branch.internal),
    ]
}

/// The branches of a table, told once: from main.
fn ask<'a>(table: &'a SeenTable, dataset: &'a Dataset) -> Answers<'a> {
    async move {
        if !table.branch.is_main() {
            return Ok(Vec::new());
        }
        let name = || Cell::text(table.key().as_str());
        let main = vec![
            name(),
            Cell::text("main"),
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Flag(false),
        ];
        let mut branches: Vec<_> = dataset.list_branches().await?.into_iter().collect();
        branches.sort_by(|(a, _), (b, _)| a.cmp(b));
        let rows = branches.into_iter().map(|(branch, content)| {
            let created = i64::try_from(content.create_at).ok();
            vec![
                name(),
                Cell::text(&branch),
                Cell::text(content.parent_branch.as_deref().unwrap_or("main")),
                Cell::count(content.parent_version),
                Cell::maybe(created.and_then(|at| DateTime::from_timestamp(at, 0)), Cell::Time),
                Cell::Null,
                Cell::Flag(branch.starts_with("__")),
            ]
        });
        Ok(std::iter::once(main).chain(rows).collect())
    }
    .boxed()
}

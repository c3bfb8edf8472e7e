//! The commands that are stopped: what each does, on which fixture, and to whom.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::suites::graph::{BRANCHES, Fixture, Graph, MAIN_ONLY, new_rows};

pub(super) const MARK: &str = "late";
/// A branch that is merged.
pub(super) const FEATURE: &str = "feature";
const PROPERTY: &str = "nickname";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    Load(&'static str),
    Update,
    Delete,
    Branch,
    Merge,
    Schema,
}

impl Late {
    pub(super) const ALL: [Self; 8] = [
        Self::Load("main"),
        Self::Load("work"),
        Self::Load("lazy"),
        Self::Update,
        Self::Delete,
        Self::Branch,
        Self::Merge,
        Self::Schema,
    ];

    pub(super) fn name(self) -> String {
        match self {
            Self::Load(branch) => format!("a load on {branch}"),
            Self::Update => "an update".to_owned(),
            Self::Delete => "a deletion".to_owned(),
            Self::Branch => "the creation of a branch".to_owned(),
            Self::Merge => "a merge".to_owned(),
            Self::Schema => "a change of the schema".to_owned(),
        }
    }

    /// The client refuses a change of the schema where there are other branches.
    pub(super) fn fixture(self) -> Fixture {
        match self {
            Self::Load("main") | Self::Update | Self::Delete | Self::Schema => MAIN_ONLY,
            Self::Load(_) | Self::Branch | Self::Merge => BRANCHES,
        }
    }

    /// Whether it arms a sidecar.
    pub(super) fn arms(self) -> bool {
        matches!(self, Self::Load(_) | Self::Update)
    }

    pub(super) fn prepare(self, graph: &Graph<'_>) -> Result<()> {
        if self == Self::Merge {
            graph.client.create_branch(&graph.path(), FEATURE, "main")?;
            graph.client.load(&graph.path(), FEATURE, &new_rows(MARK).0)?;
        }
        Ok(())
    }

    /// Where its rows go.
    pub(super) fn branch(self) -> &'static str {
        match self {
            Self::Load(branch) => branch,
            Self::Branch => MARK,
            Self::Update | Self::Delete | Self::Merge | Self::Schema => "main",
        }
    }

    pub(super) fn command(
        self,
        graph: &Graph<'_>,
        persons: &Persons,
        file: &Path,
    ) -> Result<Command> {
        let (client, path) = (graph.client, graph.path());
        let mutate = |query: &str, name: &str| {
            let mut command = client.command("mutate");
            command.arg("--store").arg(&path).args(["-e", query, "--params"]);
            command.arg(json!({ "n": name }).to_string());
            command
        };
        let branch = |arguments: &[&str], name: &str| {
            let mut command = client.command("branch");
            command.args(arguments).arg("--uri").arg(&path).arg(name);
            command
        };
        Ok(match self {
            Self::Load(on) => {
                std::fs::write(file, new_rows(MARK).0)?;
                client.load_command(&path, on, file)
            }
            Self::Update => mutate(
                "query q($n: String) { update Person set { age: 99 } where name = $n }",
                &persons.updated,
            ),
            Self::Delete => mutate(DELETE, &persons.deleted),
            Self::Branch => branch(&["create", "--from", "main"], MARK),
            Self::Merge => branch(&["merge", "--into", "main"], FEATURE),
            Self::Schema => {
                let person = "node Person {\n";
                let schema = client.schema(&path)?;
                ensure!(schema.contains(person), "the schema has no Person: {schema}");
                let with = format!("{person}    {PROPERTY}: String?\n");
                std::fs::write(file, schema.replacen(person, &with, 1))?;
                client.apply_command(&path, file)
            }
        })
    }
}

pub(super) const DELETE: &str = "query q($n: String) { delete Person where name = $n }";

/// Whom the commands are about, all of them in main from the beginning.
pub(super) struct Persons {
    pub(super) updated: String,
    pub(super) deleted: String,
    /// Whom another client deletes while the command is stopped.
    pub(super) deleted_meanwhile: String,
}

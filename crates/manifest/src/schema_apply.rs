//! What a schema apply leaves in the root when it dies: three staging files beside the schema
//! files, and the branch of `__manifest` that keeps everybody out. What becomes of them is decided
//! in `planner::recover`.
//!
//! # Crash consistency
//!
//! Staged files are renamed in the order in which clients do it (source, compiled form, state), and
//! deleted the other way round, so that what a crash leaves of them is what clients leave, too,
//! and no beginning of the one looks like an end of the other.

use chrono::{DateTime, Utc};
use lance::dataset::refs::BranchIdentifier;
use lancekeeper_model::Branch;
use lancekeeper_planner::recover::Staging;
use lancekeeper_store::failpoint;
use lancekeeper_store::root::MANIFEST_DIR;
use lancekeeper_store::{Files, LanceFailure};

use crate::catalog::{SchemaTables, tables_of};
use crate::graph::{Graph, GraphError, SCHEMA_APPLY_LOCK};
use crate::lineage::COMMITS;
use crate::schema_files::{COMPILED, SOURCE, STATE, SchemaFilesError, compact_hash, hash_of_state};
use crate::schema_source::difference;

/// The files of a schema, in the order in which they are written and renamed.
const FILES: [&str; 3] = [SOURCE, COMPILED, STATE];

/// The schema that counts and the staged one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StagedSchema {
    /// What there is of the staging files.
    pub staging: Staging,
    /// When the newest of them was written.
    pub written_at: Option<DateTime<Utc>>,
    /// The tables of the schema that counts; `None` when it cannot be read.
    pub live: Option<SchemaTables>,
    /// Those of the staged one, where there is one.
    pub staged: Option<SchemaTables>,
}

fn staging(name: &str) -> String {
    format!("{name}.staging")
}

/// Looks at the schema files of a graph and at those that are staged. Writes nothing.
///
/// # Errors
///
/// When a file is there and cannot be read. What is in it is no error: it is said in the result.
pub async fn read_schemas(graph: &Files) -> Result<StagedSchema, SchemaFilesError> {
    let (mut live, mut staged) = (Vec::new(), Vec::new());
    for name in FILES {
        live.push(graph.read(name).await?.map(|text| text.to_vec()));
        staged.push(graph.read(&staging(name)).await?.map(|text| text.to_vec()));
    }
    let written_at = match staged.iter().any(Option::is_some) {
        false => None,
        true => {
            let listed = graph.list_directly().await?;
            let own =
                listed.iter().filter(|file| FILES.iter().any(|name| file.path == staging(name)));
            own.map(|file| file.modified).max()
        }
    };
    let found = what_is_staged(&live, &staged);
    // What was renamed already is the new one.
    let compiled = staged[1].as_ref().or(live[1].as_ref());
    Ok(StagedSchema {
        written_at,
        live: live[1].as_ref().and_then(|text| tables_of(text)),
        staged: match &found {
            Staging::Whole | Staging::Rest => compiled.and_then(|text| tables_of(text)),
            _ => None,
        },
        staging: found,
    })
}

/// What there is of the staging files, given source, compiled form and state of both schemas.
fn what_is_staged(live: &[Option<Vec<u8>>], staged: &[Option<Vec<u8>>]) -> Staging {
    let [source, compiled, state] = staged else { return Staging::None };
    match (source, compiled, state) {
        (None, None, None) => Staging::None,
        (Some(source), Some(compiled), Some(state)) => match agree(source, compiled, state) {
            Ok(()) => Staging::Whole,
            Err(why) => {
                Staging::Odd(format!("the staged schema files contradict each other: {why}"))
            }
        },
        (Some(_), _, None) => Staging::Torn,
        (None, compiled, Some(state)) => rest(live, compiled.as_deref(), state),
        _ => Staging::Odd("staging files of a schema apply are missing in the middle".to_owned()),
    }
}

/// The source is not staged: it was renamed, or somebody was about to delete all three.
fn rest(live: &[Option<Vec<u8>>], compiled: Option<&[u8]>, state: &[u8]) -> Staging {
    let [Some(live_source), Some(live_compiled), live_state] = live else {
        return Staging::Odd("schema files are missing beside those that are staged".to_owned());
    };
    let is_new = agree(live_source, compiled.unwrap_or(live_compiled), state).is_ok();
    let is_old =
        live_state.as_ref().is_some_and(|state| agree(live_source, live_compiled, state).is_ok());
    match (is_new, is_old) {
        (true, false) => Staging::Rest,
        (false, true) => Staging::Torn,
        (true, true) => Staging::Either,
        (false, false) => Staging::Odd(
            "the schema files are neither of the staged schema nor of one before".to_owned(),
        ),
    }
}

/// Whether three files are of one schema.
fn agree(source: &[u8], compiled: &[u8], state: &[u8]) -> Result<(), String> {
    let text = |error: serde_json::Error| error.to_string();
    let (found, recorded) =
        (compact_hash(compiled).map_err(text)?, hash_of_state(state).map_err(text)?);
    if found != recorded {
        return Err(format!("{COMPILED} has hash {found}, but {STATE} records {recorded}"));
    }
    match difference(&String::from_utf8_lossy(source), compiled).map_err(text)? {
        Some(why) => Err(why),
        None => Ok(()),
    }
}

/// Makes what is staged the schema that counts.
///
/// # Errors
///
/// When a file cannot be renamed; those before it are.
///
/// # Cancel safety
///
/// Some are renamed; what is left is a rest that can be promoted, too.
pub async fn promote_schema(graph: &Files) -> Result<(), SchemaFilesError> {
    for name in FILES {
        if graph.size(&staging(name)).await?.is_some() {
            graph.rename(&staging(name), name).await?;
            failpoint::cross_async(failpoint::RECOVER_PROMOTING).await?;
        }
    }
    Ok(())
}

/// Deletes what is staged.
///
/// # Errors
///
/// When a file cannot be deleted; those before it are.
///
/// # Cancel safety
///
/// Some are gone; what is left was not staged to the end.
pub async fn unstage_schema(graph: &Files) -> Result<(), SchemaFilesError> {
    for name in FILES.iter().rev() {
        graph.delete(&staging(name)).await?;
        failpoint::cross_async(failpoint::RECOVER_UNSTAGING).await?;
    }
    Ok(())
}

/// The branch that keeps everybody out while a schema is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaApplyLock {
    /// When it was made, to the second.
    pub created_at: DateTime<Utc>,
    /// What tells it from another one of its name. Branches that old versions of Lance made have nothing of the kind.
    identifier: BranchIdentifier,
}

impl Graph {
    /// The branch that keeps everybody out while a schema is applied; `None` when there is none.
    ///
    /// # Errors
    ///
    /// When the branches cannot be listed.
    pub async fn schema_apply_lock(&self) -> Result<Option<SchemaApplyLock>, GraphError> {
        let main = self.open_manifest(&Branch::main()).await?;
        let listed = main
            .list_branches()
            .await
            .map_err(|source| LanceFailure::new("failed to list the graph's branches", source))?;
        let lock = listed.get(SCHEMA_APPLY_LOCK);
        Ok(lock.map(|lock| {
            let seconds = i64::try_from(lock.create_at).unwrap_or(i64::MAX);
            let created_at = DateTime::from_timestamp(seconds, 0);
            SchemaApplyLock {
                created_at: created_at.unwrap_or(DateTime::<Utc>::MAX_UTC),
                identifier: lock.identifier.clone(),
            }
        }))
    }

    /// Takes that branch away, in the order in which clients do it: first where it keeps
    /// everybody out, then what v3 has of it besides. With `None`, what is left of one that is none any more.
    ///
    /// # Errors
    ///
    /// [`GraphError::LockRenewed`] when it is not the one that was looked at: then it stays. When it cannot be deleted.
    ///
    /// # Cancel safety
    ///
    /// It is there or not. Files of it may stay, which clients overwrite.
    pub async fn remove_schema_apply_lock(
        &self,
        looked_at: Option<&SchemaApplyLock>,
    ) -> Result<(), GraphError> {
        // It is deleted by force below, so nothing but this look protects that of a client that has begun since.
        if self.schema_apply_lock().await?.as_ref() != looked_at {
            return Err(GraphError::LockRenewed);
        }
        self.delete_lock_of(MANIFEST_DIR).await?;
        if self.keeps_commits_apart() {
            self.delete_lock_of(COMMITS).await?;
        }
        Ok(())
    }

    async fn delete_lock_of(&self, location: &str) -> Result<(), GraphError> {
        let uri = self.root.address_of(location);
        let mut main = self.tables.open(&uri, &Branch::main()).await.map_err(GraphError::Open)?;
        // By force: the branch file may be gone and the rest still there.
        Box::pin(main.force_delete_branch(SCHEMA_APPLY_LOCK)).await.map_err(|source| {
            LanceFailure::new(format!("failed to delete {SCHEMA_APPLY_LOCK} of {location}"), source)
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lancekeeper_model::TableKey;

    use super::*;

    const OLD: &str = "node P { a: String }";
    const NEW: &str = "node P { a: String }\nnode Q { b: String }";

    fn compiled(source: &str) -> String {
        let q = if source.contains('Q') { r#",{"name":"Q","properties":[@b]}"# } else { "" };
        let text = format!(r#"{{"nodes":[{{"name":"P","properties":[@a]}}{q}],"edges":[]}}"#);
        let property = |name| format!(r#"{{"name":"{name}","prop_type":{{"scalar":"String"}}}}"#);
        text.replace("@a", &property('a')).replace("@b", &property('b'))
    }

    fn state(compiled: &str) -> String {
        let hash = compact_hash(compiled.as_bytes()).unwrap();
        format!(r#"{{"format_version":1,"schema_ir_hash":"{hash}","schema_identity_version":1}}"#)
    }

    /// Writes the files of a schema, those of the three that have a letter: `s`, `c`, `t`.
    async fn write(graph: &Files, source: &str, suffix: &str, letters: &str) {
        let compiled = compiled(source);
        let texts = [source.to_owned(), compiled.clone(), state(&compiled)];
        for ((name, letter), text) in FILES.iter().zip("sct".chars()).zip(texts) {
            if letters.contains(letter) {
                graph.put(&format!("{name}{suffix}"), text).await.unwrap();
            }
        }
    }

    async fn found(live: [(&str, &str); 2], staged: (&str, &str)) -> StagedSchema {
        let graph = Files::in_memory();
        for (source, letters) in live {
            write(&graph, source, "", letters).await;
        }
        write(&graph, staged.0, ".staging", staged.1).await;
        read_schemas(&graph).await.unwrap()
    }

    #[tokio::test]
    async fn what_a_crash_left_of_staging_files_is_told_apart() {
        let old = [(OLD, "sct"), (OLD, "")];
        for (live, staged, expected) in [
            (old, (NEW, ""), Staging::None),
            // Being written.
            (old, (NEW, "s"), Staging::Torn),
            (old, (NEW, "sc"), Staging::Torn),
            (old, (NEW, "sct"), Staging::Whole),
            // Being renamed.
            ([(OLD, "ct"), (NEW, "s")], (NEW, "ct"), Staging::Rest),
            ([(OLD, "t"), (NEW, "sc")], (NEW, "t"), Staging::Rest),
            // Being deleted by a client, from the source on.
            (old, (NEW, "ct"), Staging::Torn),
            (old, (NEW, "t"), Staging::Torn),
        ] {
            let found = found(live, staged).await;
            assert_eq!(found.staging, expected, "{live:?} {staged:?}");
            assert_eq!(found.written_at.is_some(), !staged.1.is_empty());
            let has_q = |tables: &Option<SchemaTables>| {
                tables.as_ref().map(|tables| tables.contains_key(&TableKey::new("node:Q")))
            };
            let staged_new = matches!(expected, Staging::Whole | Staging::Rest).then_some(true);
            assert_eq!(has_q(&found.staged), staged_new, "{live:?} {staged:?}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_told_apart_is_said() {
        let old = [(OLD, "sct"), (OLD, "")];
        for (live, staged) in [
            // The same schema with another annotation: which source it is cannot be seen.
            (old, (OLD, "ct")),
            (old, (NEW, "c")),
            ([(OLD, "s"), (OLD, "")], (NEW, "ct")),
            ([(OLD, "ct"), (NEW, "s")], (OLD, "t")),
        ] {
            let found = found(live, staged).await;
            assert!(found.staging.refusal().is_some(), "{live:?} {staged:?}: {found:?}");
        }
        let graph = Files::in_memory();
        write(&graph, OLD, "", "sct").await;
        write(&graph, NEW, ".staging", "sc").await;
        write(&graph, OLD, ".staging", "t").await;
        let found = read_schemas(&graph).await.unwrap();
        let Staging::Odd(why) = found.staging else { panic!("{found:?}") };
        assert!(why.contains("contradict each other"), "{why}");
    }

    #[tokio::test]
    async fn staged_files_are_taken_over_or_deleted_as_a_whole() {
        let graph = Files::in_memory();
        write(&graph, OLD, "", "sct").await;
        write(&graph, NEW, ".staging", "sct").await;
        promote_schema(&graph).await.unwrap();
        assert_eq!(graph.names(".staging").await.unwrap(), Vec::<String>::new());
        assert_eq!(&graph.read(SOURCE).await.unwrap().unwrap()[..], NEW.as_bytes());
        write(&graph, OLD, ".staging", "sct").await;
        unstage_schema(&graph).await.unwrap();
        unstage_schema(&graph).await.unwrap();
        assert_eq!(graph.names(".staging").await.unwrap(), Vec::<String>::new());
        assert_eq!(&graph.read(SOURCE).await.unwrap().unwrap()[..], NEW.as_bytes());
    }
}

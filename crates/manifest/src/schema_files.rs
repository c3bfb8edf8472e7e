//! The schema files beside `__manifest`: whether they agree with each other, and whether a
//! schema apply left its staging files behind.
//!
//! `_schema.pg` itself is not compiled here: that is the client's language. Its compiled form
//! and the hash recorded for it are compared, and what source and compiled form name.

use lancekeeper_model::ErrorKind;
use lancekeeper_store::failpoint::Injected;
use lancekeeper_store::{Files, FilesError};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::schema_source::difference;

pub(crate) const SOURCE: &str = "_schema.pg";
pub(crate) const COMPILED: &str = "_schema.ir.json";
pub(crate) const STATE: &str = "__schema_state.json";
const STAGING: &[&str] =
    &["_schema.pg.staging", "_schema.ir.json.staging", "__schema_state.json.staging"];

/// The schema files of a graph are not in order.
#[derive(Debug, Error)]
pub enum SchemaFilesError {
    /// A file is missing.
    #[error("{file} is missing")]
    Missing {
        /// The file.
        file: String,
    },
    /// A staging file of a schema apply that did not finish.
    #[error("{file} is left over from a schema apply that did not finish")]
    Staging {
        /// The file.
        file: String,
    },
    /// A file could not be read.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A failpoint.
    #[error(transparent)]
    Injected(#[from] Injected),
    /// A file is not the JSON it should be.
    #[error("{file} is not valid: {source}")]
    Json {
        /// The file.
        file: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// The state file is of a version we do not know.
    #[error("{file}: format version {found} is not known")]
    Version {
        /// The file.
        file: String,
        /// Its version.
        found: u64,
    },
    /// The compiled schema is not the one whose hash was recorded.
    #[error("{file} has hash {found}, but {STATE} records {recorded}")]
    Hash {
        /// The file.
        file: String,
        /// The hash of what is there.
        found: String,
        /// The hash that was recorded.
        recorded: String,
    },
    /// The source is not that of the compiled schema.
    #[error("{file} is not the source of {COMPILED}: {why}")]
    Source {
        /// The file.
        file: String,
        /// The first difference.
        why: String,
    },
}

impl SchemaFilesError {
    pub(crate) fn json(graph: &Files, name: &str) -> impl FnOnce(serde_json::Error) -> Self {
        let file = graph.place_of(name);
        move |source| Self::Json { file, source }
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Staging { .. } => ErrorKind::RecoveryNeeded,
            Self::Files(error) => error.kind(),
            Self::Injected(_) => ErrorKind::Internal,
            _ => ErrorKind::Corrupt,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Staging { .. } => {
                "`lancekeeper recover ROOT` shows whether it would finish the schema apply or take it back; --confirm does it, once its writer is presumed dead"
            }
            Self::Files(_) => "check the permissions of the file",
            // An older schema applied again would drop what it does not have.
            _ => {
                "nothing was changed; restore the file from a backup made after the last schema apply"
            }
        }
    }
}

#[derive(Deserialize)]
struct State {
    format_version: u64,
    schema_ir_hash: String,
}

/// Checks the schema files among the files of a graph. Writes nothing. A graph that never had the
/// two JSON files is in order if it has no branches.
///
/// # Errors
///
/// [`SchemaFilesError`], naming the file.
pub async fn check_schema_files(graph: &Files, has_branches: bool) -> Result<(), SchemaFilesError> {
    let missing = |name| SchemaFilesError::Missing { file: graph.place_of(name) };
    // By the listing: one that may not be read is left over all the same.
    let found = graph.names(".staging").await?;
    if let Some(name) = found.iter().find(|name| STAGING.contains(&name.as_str())) {
        return Err(SchemaFilesError::Staging { file: graph.place_of(name) });
    }
    let source = graph.read(SOURCE).await?.ok_or_else(|| missing(SOURCE))?;
    let (compiled, state) = match (graph.read(COMPILED).await?, graph.read(STATE).await?) {
        (Some(compiled), Some(state)) => (compiled, state),
        (None, None) if !has_branches => return Ok(()),
        (None, _) => return Err(missing(COMPILED)),
        (_, None) => return Err(missing(STATE)),
    };
    let state: State =
        serde_json::from_slice(&state).map_err(SchemaFilesError::json(graph, STATE))?;
    if state.format_version != 1 {
        let (file, found) = (graph.place_of(STATE), state.format_version);
        return Err(SchemaFilesError::Version { file, found });
    }
    let found = compact_hash(&compiled).map_err(SchemaFilesError::json(graph, COMPILED))?;
    if found != state.schema_ir_hash {
        let (file, recorded) = (graph.place_of(COMPILED), state.schema_ir_hash);
        return Err(SchemaFilesError::Hash { file, found, recorded });
    }
    let difference = difference(&String::from_utf8_lossy(&source), &compiled)
        .map_err(SchemaFilesError::json(graph, COMPILED))?;
    match difference {
        Some(why) => Err(SchemaFilesError::Source { file: graph.place_of(SOURCE), why }),
        None => Ok(()),
    }
}

/// The hash that a state file records.
pub(crate) fn hash_of_state(state: &[u8]) -> Result<String, serde_json::Error> {
    Ok(serde_json::from_slice::<State>(state)?.schema_ir_hash)
}

/// The hash of the compact form: same keys in the same order, no white space between them.
pub(crate) fn compact_hash(json: &[u8]) -> Result<String, serde_json::Error> {
    let mut compact = Vec::with_capacity(json.len());
    let mut reader = serde_json::Deserializer::from_slice(json);
    let mut writer = serde_json::Serializer::new(&mut compact);
    serde_transcode::transcode(&mut reader, &mut writer)?;
    reader.end()?;
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(&compact) {
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn graph(compiled: &str, state: &str) -> Files {
        let graph = Files::in_memory();
        graph.put(SOURCE, "").await.unwrap();
        graph.put(COMPILED, compiled.to_owned()).await.unwrap();
        graph.put(STATE, state.to_owned()).await.unwrap();
        graph
    }

    fn state(hash: &str) -> String {
        format!(
            "{{\"format_version\":1,\"schema_ir_hash\":\"{hash}\",\"schema_identity_version\":1}}"
        )
    }

    const COMPILED_TEXT: &str = "{ \"b\": 1,\n \"a\": [1, 2] }";

    #[tokio::test]
    async fn the_hash_is_of_the_compact_form_in_the_order_written() {
        let hash = compact_hash(COMPILED_TEXT.as_bytes()).unwrap();
        assert_eq!(hash, compact_hash(b"{\"b\":1,\"a\":[1,2]}").unwrap());
        assert_ne!(hash, compact_hash(b"{\"a\":[1,2],\"b\":1}").unwrap());
        let graph = graph(COMPILED_TEXT, &state(&hash)).await;
        check_schema_files(&graph, true).await.unwrap();
    }

    #[tokio::test]
    async fn a_changed_schema_a_staging_file_and_a_missing_file_are_named() {
        let hash = compact_hash(COMPILED_TEXT.as_bytes()).unwrap();
        let changed = graph("{\"b\":2}", &state(&hash)).await;
        let error = check_schema_files(&changed, false).await.unwrap_err();
        assert!(error.to_string().contains(COMPILED), "{error}");
        assert_eq!(error.kind(), ErrorKind::Corrupt);

        let graph = graph(COMPILED_TEXT, &state(&hash)).await;
        graph.put(SOURCE, "node A { }").await.unwrap();
        let error = check_schema_files(&graph, false).await.unwrap_err();
        assert!(error.to_string().contains("only the source has node A"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        graph.put(SOURCE, "").await.unwrap();

        for staging in STAGING {
            graph.put(staging, "").await.unwrap();
            let error = check_schema_files(&graph, false).await.unwrap_err();
            assert!(error.to_string().contains(staging), "{error}");
            assert_eq!(error.kind(), ErrorKind::RecoveryNeeded);
            graph.delete(staging).await.unwrap();
        }

        graph.put(STATE, "{\"format_version\":2,\"schema_ir_hash\":\"\"}").await.unwrap();
        let error = check_schema_files(&graph, false).await.unwrap_err();
        assert!(matches!(error, SchemaFilesError::Version { found: 2, .. }), "{error}");

        graph.delete(STATE).await.unwrap();
        let error = check_schema_files(&graph, false).await.unwrap_err();
        assert!(matches!(error, SchemaFilesError::Missing { .. }), "{error}");
        graph.delete(COMPILED).await.unwrap();
        check_schema_files(&graph, false).await.unwrap();
        assert!(check_schema_files(&graph, true).await.is_err());
        graph.delete(SOURCE).await.unwrap();
        let error = check_schema_files(&graph, false).await.unwrap_err();
        assert!(error.to_string().contains(SOURCE), "{error}");
    }
}

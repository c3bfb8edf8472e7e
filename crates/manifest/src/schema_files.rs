//! The schema files beside `__manifest`: whether they agree with each other, and whether a
//! schema apply left its staging files behind.
//!
//! `_schema.pg` itself is not compiled here: that is the client's language. Its compiled form
//! and the hash recorded for it are compared, and what source and compiled form name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lancekeeper_model::ErrorKind;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::schema_source::difference;

const SOURCE: &str = "_schema.pg";
pub(crate) const COMPILED: &str = "_schema.ir.json";
const STATE: &str = "__schema_state.json";
const STAGING: &[&str] =
    &["_schema.pg.staging", "_schema.ir.json.staging", "__schema_state.json.staging"];

/// The schema files of a graph are not in order.
#[derive(Debug, Error)]
pub enum SchemaFilesError {
    /// A file is missing.
    #[error("{} is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A staging file of a schema apply that did not finish.
    #[error("{} is left over from a schema apply that did not finish", path.display())]
    Staging {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("failed to read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("{} is not valid: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// The state file is of a version we do not know.
    #[error("{}: format version {found} is not known", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// The compiled schema is not the one whose hash was recorded.
    #[error("{} has hash {found}, but {STATE} records {recorded}", path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// The hash of what is there.
        found: String,
        /// The hash that was recorded.
        recorded: String,
    },
    /// The source is not that of the compiled schema.
    #[error("{} is not the source of {COMPILED}: {why}", path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// The first difference.
        why: String,
    },
}

impl SchemaFilesError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Staging { .. } => ErrorKind::RecoveryNeeded,
            Self::Io { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::Corrupt,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Staging { .. } => {
                "finish the schema apply: open the graph for writing with the client that started it"
            }
            Self::Io { .. } => "check the permissions of the file",
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

/// Checks the schema files of the graph in `directory`. Blocks on the file system; writes
/// nothing. A graph that never had the two JSON files is in order if it has no branches.
///
/// # Errors
///
/// [`SchemaFilesError`], naming the file.
pub fn check_schema_files(directory: &Path, has_branches: bool) -> Result<(), SchemaFilesError> {
    for name in STAGING {
        let path = directory.join(name);
        if path.exists() {
            return Err(SchemaFilesError::Staging { path });
        }
    }
    let source_path = directory.join(SOURCE);
    let source =
        read(&source_path)?.ok_or(SchemaFilesError::Missing { path: source_path.clone() })?;
    let (compiled_path, state_path) = (directory.join(COMPILED), directory.join(STATE));
    let (compiled, state) = match (read(&compiled_path)?, read(&state_path)?) {
        (Some(compiled), Some(state)) => (compiled, state),
        (None, None) if !has_branches => return Ok(()),
        (None, _) => return Err(SchemaFilesError::Missing { path: compiled_path }),
        (_, None) => return Err(SchemaFilesError::Missing { path: state_path }),
    };
    let state: State = serde_json::from_slice(&state)
        .map_err(|source| SchemaFilesError::Json { path: state_path.clone(), source })?;
    if state.format_version != 1 {
        return Err(SchemaFilesError::Version { path: state_path, found: state.format_version });
    }
    let found = compact_hash(&compiled)
        .map_err(|source| SchemaFilesError::Json { path: compiled_path.clone(), source })?;
    if found != state.schema_ir_hash {
        return Err(SchemaFilesError::Hash {
            path: compiled_path,
            found,
            recorded: state.schema_ir_hash,
        });
    }
    let difference = difference(&String::from_utf8_lossy(&source), &compiled)
        .map_err(|source| SchemaFilesError::Json { path: compiled_path, source })?;
    match difference {
        Some(why) => Err(SchemaFilesError::Source { path: source_path, why }),
        None => Ok(()),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, SchemaFilesError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SchemaFilesError::Io { path: path.to_owned(), source }),
    }
}

/// The hash of the compact form: same keys in the same order, no white space between them.
fn compact_hash(json: &[u8]) -> Result<String, serde_json::Error> {
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

    fn graph(compiled: &str, state: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(SOURCE), "").unwrap();
        fs::write(dir.path().join(COMPILED), compiled).unwrap();
        fs::write(dir.path().join(STATE), state).unwrap();
        dir
    }

    fn state(hash: &str) -> String {
        format!(
            "{{\"format_version\":1,\"schema_ir_hash\":\"{hash}\",\"schema_identity_version\":1}}"
        )
    }

    const COMPILED_TEXT: &str = "{ \"b\": 1,\n \"a\": [1, 2] }";

    #[test]
    fn the_hash_is_of_the_compact_form_in_the_order_written() {
        let hash = compact_hash(COMPILED_TEXT.as_bytes()).unwrap();
        assert_eq!(hash, compact_hash(b"{\"b\":1,\"a\":[1,2]}").unwrap());
        assert_ne!(hash, compact_hash(b"{\"a\":[1,2],\"b\":1}").unwrap());
        let dir = graph(COMPILED_TEXT, &state(&hash));
        check_schema_files(dir.path(), true).unwrap();
    }

    #[test]
    fn a_changed_schema_a_staging_file_and_a_missing_file_are_named() {
        let hash = compact_hash(COMPILED_TEXT.as_bytes()).unwrap();
        let dir = graph("{\"b\":2}", &state(&hash));
        let error = check_schema_files(dir.path(), false).unwrap_err();
        assert!(error.to_string().contains(COMPILED), "{error}");
        assert_eq!(error.kind(), ErrorKind::Corrupt);

        let dir = graph(COMPILED_TEXT, &state(&hash));
        fs::write(dir.path().join(SOURCE), "node A { }").unwrap();
        let error = check_schema_files(dir.path(), false).unwrap_err();
        assert!(error.to_string().contains("only the source has node A"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Corrupt);

        let dir = graph(COMPILED_TEXT, &state(&hash));
        fs::write(dir.path().join(STAGING[1]), "").unwrap();
        let error = check_schema_files(dir.path(), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RecoveryNeeded);

        let dir = graph(COMPILED_TEXT, &state(&hash));
        fs::remove_file(dir.path().join(STATE)).unwrap();
        let error = check_schema_files(dir.path(), false).unwrap_err();
        assert!(matches!(error, SchemaFilesError::Missing { .. }), "{error}");
        fs::remove_file(dir.path().join(COMPILED)).unwrap();
        check_schema_files(dir.path(), false).unwrap();
        assert!(check_schema_files(dir.path(), true).is_err());
    }
}

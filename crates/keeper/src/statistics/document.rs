//! The document of a table's statistics: its place, how it is written, and what is said of one that cannot be
//! understood.

use lancekeeper_model::{
    DocumentError, DocumentKind, ErrorKind, STATISTICS_FORMAT, TableRef, TableStatistics,
    file_name_of,
};
use lancekeeper_store::{Files, FilesError};
use thiserror::Error;

/// Where the documents lie, relative to the root.
const DIRECTORY: &str = "__maintenance/statistics";

/// Bytes of a document that is read. A leaf takes a few hundred, and no table has a hundred thousand of them.
const BYTES_MAX: u64 = 64 << 20;

/// A document could not be read or written.
#[derive(Debug, Error)]
pub(crate) enum StatisticsError {
    /// The store failed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// It could not be encoded.
    #[error("failed to encode the statistics of {table}")]
    Encode {
        /// Of which table.
        table: TableRef,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It is no such document any more.
    #[error("{file} is damaged ({why}): optimize --recompute-statistics writes it anew")]
    Damaged {
        /// The document.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// A newer keeper wrote it.
    #[error(
        "{file} has format {found}; this version of lancekeeper knows {STATISTICS_FORMAT}: upgrade lancekeeper first"
    )]
    Newer {
        /// The document.
        file: String,
        /// Its format.
        found: u64,
    },
}

impl StatisticsError {
    /// What a caller can do about it.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Files(error) => error.kind(),
            Self::Encode { .. } => ErrorKind::Internal,
            Self::Damaged { .. } => ErrorKind::Corrupt,
            Self::Newer { .. } => ErrorKind::Refused,
        }
    }
}

/// The document of a table on a branch, relative to the root.
pub(crate) fn file_of(table: &TableRef) -> String {
    format!("{DIRECTORY}/{}", name_of(table))
}

fn name_of(table: &TableRef) -> String {
    let key = file_name_of(table.key.as_str());
    match table.branch.name() {
        Some(branch) => format!("{key}@{}.json", file_name_of(branch)),
        None => format!("{key}.json"),
    }
}

/// Writes the document of a table, in the place of the one that was there.
///
/// # Errors
///
/// When it cannot be written; the one that was there then stays.
///
/// # Cancel safety
///
/// The document is the new one as a whole, or what it was.
pub(crate) async fn write(
    root: &Files,
    table: &TableRef,
    statistics: &TableStatistics,
) -> Result<(), StatisticsError> {
    let encoded = serde_json::to_vec_pretty(statistics)
        .map_err(|source| StatisticsError::Encode { table: table.clone(), source })?;
    Ok(root.below(DIRECTORY).put(&name_of(table), encoded).await?)
}

/// The document of a table; `None` if there is none.
///
/// # Errors
///
/// When it cannot be read or understood.
pub(crate) async fn read(
    root: &Files,
    table: &TableRef,
) -> Result<Option<TableStatistics>, StatisticsError> {
    let (files, name) = (root.below(DIRECTORY), name_of(table));
    let damaged = |why: String| StatisticsError::Damaged { file: file_of(table), why };
    match files.size(&name).await? {
        None => return Ok(None),
        Some(bytes) if bytes > BYTES_MAX => return Err(damaged(format!("{bytes} bytes"))),
        Some(_) => {}
    }
    let Some(content) = files.read(&name).await? else { return Ok(None) };
    let read = DocumentKind::Statistics.read(&content).map_err(|error| match error {
        DocumentError::Newer { found, .. } => {
            StatisticsError::Newer { file: file_of(table), found }
        }
        DocumentError::Damaged(error) => damaged(error.to_string()),
    });
    let known: TableStatistics = read?;
    if known.table != table.key.as_str() || known.branch.as_deref() != table.branch.name() {
        return Err(damaged(format!("it is about table {}", known.table)));
    }
    Ok(Some(known))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use lancekeeper_model::{BoundValue, Branch, ColumnStatistics, TableKey};

    use super::*;

    fn table(key: &str, branch: &str) -> TableRef {
        TableRef { key: TableKey::new(key), branch: Branch::named(branch) }
    }

    fn statistics() -> TableStatistics {
        let bound = |value: &str| Some(BoundValue { value: value.to_owned(), truncated: false });
        TableStatistics {
            format: STATISTICS_FORMAT,
            table: "node:Person".to_owned(),
            branch: None,
            version: 7,
            computed_at: DateTime::UNIX_EPOCH,
            rows: 3,
            columns: vec![ColumnStatistics {
                path: "a.b".to_owned(),
                data_type: "Utf8".to_owned(),
                values: 3,
                nulls: Some(1),
                min: bound("x"),
                max: bound("y"),
                distinct: Some(2),
                mean_width: Some(1.5),
                ..ColumnStatistics::default()
            }],
        }
    }

    #[tokio::test]
    async fn what_is_written_is_read_again() {
        let (files, person) = (Files::in_memory(), table("node:Person", "main"));
        assert_eq!(read(&files, &person).await.unwrap(), None);
        write(&files, &person, &statistics()).await.unwrap();
        assert_eq!(read(&files, &person).await.unwrap(), Some(statistics()));
        assert_eq!(read(&files, &table("node:Person", "a/b")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_cannot_be_understood_is_said_and_is_no_crash() {
        let (files, person) = (Files::in_memory(), table("node:Person", "main"));
        let below = files.below(DIRECTORY);
        let whole = serde_json::to_string(&statistics()).unwrap();
        let cases = [
            ("", "is damaged (EOF"),
            ("{\"format\": 1}", "is damaged (missing field"),
            (&whole[..whole.len() / 2], "is damaged (EOF"),
            ("{\"format\": 2, \"else\": 3}", "has format 2; this version of lancekeeper knows 1"),
            ("[1]", "is damaged (invalid"),
        ];
        for (content, expected) in cases {
            below.put("node%3APerson.json", content.to_owned()).await.unwrap();
            let said = read(&files, &person).await.unwrap_err().to_string();
            assert!(said.contains(expected) && said.contains("node%3APerson.json"), "{said}");
        }
        let other = TableStatistics { table: "node:Company".to_owned(), ..statistics() };
        write(&files, &person, &other).await.unwrap();
        let said = read(&files, &person).await.unwrap_err().to_string();
        assert!(said.contains("it is about table node:Company"), "{said}");
    }

    #[test]
    fn no_two_tables_share_a_document_and_none_leads_out_of_the_directory() {
        let tables =
            [("a@b", "main"), ("a", "b"), ("a%40b", "main"), ("..", "main"), ("a/b", "x#1")];
        let files: Vec<String> = tables.map(|(key, branch)| file_of(&table(key, branch))).to_vec();
        insta::assert_snapshot!(files.join("\n"), @r"
        __maintenance/statistics/a%40b.json
        __maintenance/statistics/a@b.json
        __maintenance/statistics/a%2540b.json
        __maintenance/statistics/...json
        __maintenance/statistics/a%2Fb@x%231.json
        ");
    }
}

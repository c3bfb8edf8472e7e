//! Looking names up: the tables of a root, and the columns of a table.

use lance::Dataset;
use lancekeeper::{SeenRoot, SeenTable};
use lancekeeper_model::{BranchSelection, RootFailure};
use lancekeeper_sql::{Name, ORDERED_BY, SqlError};
use lancekeeper_store::OpenError;
use lancekeeper_store::failure::{full_text, hint_of};

use super::SqlSession;
use super::error::SqlRunError;

impl SqlSession {
    /// The tables of main.
    pub(super) async fn see(&self) -> Result<SeenRoot, SqlRunError> {
        Ok(self.keeper.see(&self.root, &BranchSelection::Main).await?)
    }
}

/// The names of the tables that a root has.
pub(super) fn table_names(seen: &SeenRoot) -> Vec<String> {
    seen.tables().iter().map(|table| table.key().as_str().to_owned()).collect()
}

/// The table that a name means.
pub(super) fn table<'s>(seen: &'s SeenRoot, name: &Name) -> Result<&'s SeenTable, SqlError> {
    let known = table_names(seen);
    let key = name.find("table", &known)?;
    let found = seen.tables().iter().find(|table| table.key().as_str() == key);
    found.ok_or_else(|| name.unknown("table", &known))
}

/// Opens a table.
pub(super) async fn open(seen: &SeenRoot, table: &SeenTable) -> Result<Dataset, SqlRunError> {
    seen.open(table).await.map_err(|error| open_failure(&error).into())
}

pub(super) fn open_failure(error: &OpenError) -> RootFailure {
    RootFailure {
        message: full_text(error),
        hint: hint_of(error).map(ToOwned::to_owned),
        kind: error.kind(),
        cause: None,
    }
}

/// The names of the columns of a table.
pub(super) fn column_names(table: &Dataset) -> Vec<String> {
    table.schema().fields.iter().map(|field| field.name.clone()).collect()
}

/// The column of a table that a name means, which is no field within one.
pub(super) fn own_column(table: &Dataset, name: &Name) -> Result<String, SqlError> {
    let known = column_names(table);
    let is_field = !known.contains(&name.text) && table.schema().field(&name.text).is_some();
    match is_field {
        true => {
            Err(SqlError::new(format!("{} is a field, and {ORDERED_BY}", name.text), name.span))
        }
        false => name.find("column", &known).map(ToOwned::to_owned),
    }
}

//! Whether a schema is that of the tables, by their columns and what those hold.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lance::Dataset;
use lancekeeper_manifest::{
    ColumnType, Graph, SchemaTables, StagedSchema, column_type, read_schemas, same_tables,
};
use lancekeeper_model::{Branch, Snapshot};
use lancekeeper_planner::recover::{
    AddedTable, DroppedTable, Fit, ForeignTable, SchemaFacts, Staging,
};
use lancekeeper_store::Tables;

use super::report::RecoverError;

/// What a schema apply wanted of the tables.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    pub(super) tables: &'a [ForeignTable],
    pub(super) added: &'a [AddedTable],
    pub(super) dropped: &'a [DroppedTable],
}

/// Compares the schema that counts and the staged one with the tables of main as they are. With
/// them comes when the newest staging file was written.
///
/// # Errors
///
/// When a schema file or a table cannot be read.
pub async fn schema_facts(
    graph: &Graph,
    tables: &Tables,
) -> Result<(SchemaFacts, Option<DateTime<Utc>>), RecoverError> {
    if read_schemas(&graph.root().files()).await?.staging == Staging::None {
        return Ok((SchemaFacts::default(), None));
    }
    let snapshot = graph.snapshot(&Branch::main()).await?;
    let (facts, schemas) = facts(graph, tables, &snapshot, &Wanted::default()).await?;
    Ok((facts, schemas.written_at))
}

/// Compares the schema that counts and the staged one with the tables of main.
pub(super) async fn facts(
    graph: &Graph,
    tables: &Tables,
    snapshot: &Snapshot,
    wanted: &Wanted<'_>,
) -> Result<(SchemaFacts, StagedSchema), RecoverError> {
    let schemas = read_schemas(&graph.root().files()).await?;
    let (now, then) = columns(graph, tables, snapshot, wanted).await?;
    let fit = |schema: &Option<SchemaTables>| match schema {
        Some(schema) => Fit { now: same_tables(schema, &now), then: same_tables(schema, &then) },
        None => Fit::default(),
    };
    let facts = SchemaFacts {
        staging: schemas.staging.clone(),
        live: fit(&schemas.live),
        staged: fit(&schemas.staged),
    };
    Ok((facts, schemas))
}

/// The columns of all tables as readers see them, and as they would see them then.
async fn columns(
    graph: &Graph,
    tables: &Tables,
    snapshot: &Snapshot,
    wanted: &Wanted<'_>,
) -> Result<(SchemaTables, SchemaTables), RecoverError> {
    let mut now = SchemaTables::new();
    for pin in &snapshot.pins {
        let uri = graph.root().address_of(&pin.location);
        let table = tables.open_at(&uri, &pin.table_branch, pin.version).await?;
        now.insert(pin.key.clone(), columns_of(&table));
    }
    let mut then = now.clone();
    for table in wanted.tables {
        let (Some(pin), Some(head)) = (snapshot.pin(&table.table.key), table.head) else {
            continue;
        };
        let uri = graph.root().address_of(&pin.location);
        let table_at_head = tables.open_at(&uri, &table.table.branch, head).await?;
        then.insert(table.table.key.clone(), columns_of(&table_at_head));
    }
    for added in wanted.added.iter().filter(|added| !added.is_registered) {
        let (Some(head), None) = (added.head, &added.misplaced) else { continue };
        let uri = graph.root().address_of(&added.location);
        let table = tables.open_at(&uri, &Branch::main(), head).await?;
        then.insert(added.key.clone(), columns_of(&table));
    }
    for dropped in wanted.dropped {
        then.remove(&dropped.key);
    }
    Ok((now, then))
}

fn columns_of(table: &Dataset) -> BTreeMap<String, ColumnType> {
    let fields = table.schema().fields.iter();
    fields.map(|field| (field.name.clone(), column_type(&field.data_type()))).collect()
}

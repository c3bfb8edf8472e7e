//! Queries: the tables that one names are put before DataFusion, system tables only if they are named, and its
//! answer is collected within bounds.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::TableReference;
use datafusion::sql::parser::Statement as PlannedStatement;
use futures::TryStreamExt;
use lance::datafusion::LanceTableProvider;
use lancekeeper::SeenRoot;
use lancekeeper_sql::{Name, Query, Relation, SqlError};

use super::SqlSession;
use super::answer::Answer;
use super::cells;
use super::error::SqlRunError;
use super::names::{open, table, table_names};
use super::plan_error::{is_of_values, pointed};
use super::system::{self, Asked, SystemTable};

/// The schema of the tables about the tables.
const SYSTEM: &str = "system";

/// Names of catalogue and schema that nobody has to write.
const CATALOG: &str = "root";
const SCHEMA: &str = "tables";

/// Rows that an answer holds: more is no answer for people, and a program asks the tables themselves.
const ROWS_MAX: usize = 1_000_000;

/// Bytes that an answer holds.
const BYTES_MAX: usize = 256 << 20;

/// What stands before DataFusion for one query.
struct Stage {
    context: SessionContext,
    /// The columns of all tables that the query names.
    columns: Vec<String>,
    notes: Vec<String>,
}

/// Answers a query.
pub(super) async fn run(session: &SqlSession, query: &Query) -> Result<Answer, SqlRunError> {
    let mut query = query.clone();
    let mut stage = stage(session, &mut query).await?;
    query.spell_columns(&stage.columns);
    let (schema, batches) = answered(&stage.context, &query).await?;
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut answer = Answer::of("SELECT", &names, Vec::new());
    for batch in &batches {
        let failed = |error| SqlRunError::Query { source: DataFusionError::from(error) };
        answer.rows.extend(cells::rows(batch).map_err(failed)?);
    }
    answer.notes.append(&mut stage.notes);
    Ok(answer)
}

/// Finds every table that a query names, and puts it before DataFusion under the name that it then has in the query.
async fn stage(session: &SqlSession, query: &mut Query) -> Result<Stage, SqlRunError> {
    let context = context(session).map_err(|source| SqlRunError::Query { source })?;
    let mut stage = Stage { context, columns: Vec::new(), notes: Vec::new() };
    let seen = session.see().await?;
    let system = Arc::new(MemorySchemaProvider::new());
    let asked = Asked::of(query.tables_asked_about());
    for Relation { schema, name } in query.relations.clone() {
        if let Some(schema) = &schema {
            schema.find("schema", &[SYSTEM.to_owned()])?;
            let found = system_table(&name)?;
            if !system.table_exist(found.name) {
                let provider = filled(session, found, &asked, &mut stage).await?;
                let registered = system.register_table(found.name.to_owned(), provider);
                registered.map_err(|source| SqlRunError::Query { source })?;
            }
            continue;
        }
        own_table(&seen, &name, query, &mut stage).await?;
    }
    if let Some(catalog) = stage.context.catalog(CATALOG) {
        let registered = catalog.register_schema(SYSTEM, system);
        registered.map_err(|source| SqlRunError::Query { source })?;
    }
    Ok(stage)
}

fn context(session: &SqlSession) -> Result<SessionContext, DataFusionError> {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(true)
        .with_information_schema(false);
    // Else an unknown column has no place to point at.
    config.options_mut().sql_parser.collect_spans = true;
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_limit(session.options.memory_bytes, 1.0)
        .build_arc()?;
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

/// One of the tables of the root itself.
async fn own_table(
    seen: &SeenRoot,
    name: &Name,
    query: &mut Query,
    stage: &mut Stage,
) -> Result<(), SqlRunError> {
    let found = table(seen, name).map_err(|error| or_system(error, seen, name))?;
    let key = found.key().as_str();
    // DataFusion looks a name without quotes up in small letters, and so do the columns that name it.
    let mut looked_up =
        if name.quoted { name.text.clone() } else { name.text.to_ascii_lowercase() };
    if looked_up != key && table_names(seen).contains(&looked_up) {
        query.spell_relation(name.span, key);
        key.clone_into(&mut looked_up);
    }
    let reference = TableReference::bare(looked_up);
    if stage.context.table_exist(reference.clone()).unwrap_or(false) {
        return Ok(());
    }
    let dataset = open(seen, found).await?;
    let provider = Arc::new(LanceTableProvider::new(Arc::new(dataset), false, false));
    note_columns(&provider.schema(), stage);
    let registered = stage.context.register_table(reference, provider);
    registered.map(|_| ()).map_err(|source| SqlRunError::Query { source })
}

/// A table that is not there may be one of the system's, named without its schema.
fn or_system(error: SqlError, seen: &SeenRoot, name: &Name) -> SqlError {
    match system_table(name) {
        Ok(found) if !table_names(seen).contains(&name.text) => {
            SqlError::new(format!("unknown table {}", name.text), name.span)
                .suggesting(Some(format!("{SYSTEM}.{}", found.name)))
        }
        _ => error,
    }
}

fn system_table(name: &Name) -> Result<&'static SystemTable, SqlError> {
    let known: Vec<String> = system::TABLES.iter().map(|table| table.name.to_owned()).collect();
    let found = name.find("table", &known)?;
    let found = system::TABLES.iter().find(|table| table.name == found);
    found.ok_or_else(|| name.unknown("table", &known))
}

/// A system table with its rows of this moment.
async fn filled(
    session: &SqlSession,
    table: &'static SystemTable,
    asked: &Asked,
    stage: &mut Stage,
) -> Result<Arc<dyn TableProvider>, SqlRunError> {
    let system::Filled { batch, notes } = system::fill(session, table, asked).await?;
    stage.notes.extend(notes);
    note_columns(&batch.schema(), stage);
    let provider = MemTable::try_new(batch.schema(), vec![vec![batch]]);
    Ok(Arc::new(provider.map_err(|source| SqlRunError::Query { source })?))
}

fn note_columns(schema: &SchemaRef, stage: &mut Stage) {
    stage.columns.extend(schema.fields().iter().map(|field| field.name().clone()));
}

/// Plans and runs a query. What is wrong before it runs is an error at its place.
async fn answered(
    context: &SessionContext,
    query: &Query,
) -> Result<(SchemaRef, Vec<RecordBatch>), SqlRunError> {
    let plan = plan(context, query).await.map_err(|error| match is_of_values(&error) {
        true => SqlRunError::Query { source: error },
        false => pointed(error, query).into(),
    })?;
    let schema = plan.schema();
    let failed = |source| SqlRunError::Query { source };
    let mut stream = execute_stream(plan, context.task_ctx()).map_err(failed)?;
    let (mut batches, mut rows, mut bytes) = (Vec::new(), 0, 0);
    while let Some(batch) = stream.try_next().await.map_err(failed)? {
        rows += batch.num_rows();
        bytes += batch.get_array_memory_size();
        if rows > ROWS_MAX || bytes > BYTES_MAX {
            let limit = format!("{ROWS_MAX} rows or {} MiB", BYTES_MAX >> 20);
            return Err(SqlRunError::TooLarge { limit });
        }
        batches.push(batch);
    }
    Ok((schema, batches))
}

async fn plan(
    context: &SessionContext,
    query: &Query,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let state = context.state();
    let statement = PlannedStatement::Statement(query.statement.clone());
    let plan = state.statement_to_plan(statement).await?;
    // The grammar lets nothing through that writes; this is for a plan that does so all the same.
    let reads_only =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reads_only.verify_plan(&plan)?;
    state.create_physical_plan(&plan).await
}

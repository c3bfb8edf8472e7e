//! Clients of the database: they append, update and delete as Lance lets them, several at a time, each its own
//! rows.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use arrow_array::RecordBatchIterator;
use lance::Dataset;
use lance::dataset::WriteParams;
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper_testkit::writer::{append, node_batch};

use super::dice::Dice;
use super::ledger::{Ledger, Reading, Rows};
use super::rows::{delete, is_conflict, rows_of, some_of, update};
use super::world::{WINDOW, World};

/// In the ledger.
const DATABASE: &str = "the database";
/// Row ids of the first are stable; the second has an index over addresses.
pub(super) const TABLES: [&str; 2] = ["stable", "indexed"];
const FIRST_ROWS: usize = 6;

/// The database.
#[derive(Debug)]
pub(super) struct Database {
    uri: String,
}

impl Database {
    pub(super) async fn new(uri: &str) -> Result<Self> {
        let database = Self { uri: uri.to_owned() };
        for table in TABLES {
            let params =
                WriteParams { enable_stable_row_ids: table == "stable", ..WriteParams::default() };
            let batch = node_batch(&[])?;
            let schema = batch.schema();
            let batches = RecordBatchIterator::new([Ok(batch)], schema);
            Dataset::write(batches, &database.uri_of(table), Some(params)).await?;
        }
        Ok(database)
    }

    fn uri_of(&self, table: &str) -> String {
        format!("{}/{table}.lance", self.uri)
    }

    async fn open(&self, table: &str) -> Result<Dataset> {
        Ok(Dataset::open(&self.uri_of(table)).await?)
    }

    pub(super) async fn write_first_rows(&self, world: &World) -> Result<()> {
        for table in TABLES {
            for number in 0..FIRST_ROWS {
                let row = (format!("first{number}"), "first".to_owned());
                self.append(world, table, &[row]).await?;
            }
        }
        let mut indexed = self.open("indexed").await?;
        let params = ScalarIndexParams::default();
        indexed.create_index(&["id"], IndexType::BTree, None, &params, true).await?;
        Ok(())
    }

    /// Writes until the world is over.
    pub(super) async fn write_some(
        self: Arc<Self>,
        world: Arc<World>,
        who: u64,
        mut dice: Dice,
    ) -> Result<()> {
        for number in 0.. {
            if world.is_over() {
                break;
            }
            let began = Instant::now();
            let table = *dice.pick(&TABLES).context("there are some")?;
            let name = format!("d{who}x{number}");
            let own = format!("d{who}x");
            let wrote = self.write(&world, table, &own, &name, &mut dice);
            let what = match Box::pin(wrote).await {
                Ok(()) => "written",
                Err(error) if is_conflict(&error) => "conflicted",
                Err(error) => return Err(error.context(format!("{name} of {table}"))),
            };
            world.did(&format!("database write {what}"), &format!("{name} of {table}"));
            if !world.was_in_time(began) {
                break;
            }
            tokio::time::sleep(dice.millis(50, 400)).await;
        }
        Ok(())
    }

    async fn write(
        &self,
        world: &World,
        table: &str,
        own: &str,
        name: &str,
        dice: &mut Dice,
    ) -> Result<()> {
        let place = (DATABASE.to_owned(), table.to_owned());
        let mut certain: Rows = world.ledger(|ledger| ledger.certain(&place));
        certain.retain(|id, _| id.starts_with(own));
        let note = format!("by {name}");
        match some_of(&certain, dice) {
            Some(ids) if dice.chance(30) => {
                let mut at = self.open(table).await?;
                let rows = ids.iter().map(|id| (place.clone(), id.clone(), Some(note.clone())));
                let ticket = world.ledger(|ledger| ledger.begin(rows.collect()));
                update(&mut at, &ids, &note).await?;
                world.ledger(|ledger| ledger.acknowledge(ticket));
            }
            Some(ids) if dice.chance(30) => {
                let mut at = self.open(table).await?;
                let rows = ids.iter().map(|id| (place.clone(), id.clone(), None));
                let ticket = world.ledger(|ledger| ledger.begin(rows.collect()));
                delete(&mut at, &ids).await?;
                world.ledger(|ledger| ledger.acknowledge(ticket));
            }
            _ => {
                let row = |n: u64| (format!("{name}r{n}"), note.clone());
                let rows: Vec<_> = (0..=dice.roll(3)).map(row).collect();
                self.append(world, table, &rows).await?;
            }
        }
        Ok(())
    }

    async fn append(&self, world: &World, table: &str, rows: &[(String, String)]) -> Result<()> {
        let mut at = self.open(table).await?;
        let place = (DATABASE.to_owned(), table.to_owned());
        let new = rows.iter().map(|(id, note)| (place.clone(), id.clone(), Some(note.clone())));
        let ticket = world.ledger(|ledger| ledger.begin(new.collect()));
        append(&mut at, rows).await?;
        world.ledger(|ledger| ledger.acknowledge(ticket));
        Ok(())
    }

    /// Reads a table, and checks what was read.
    pub(super) async fn look(&self, world: &World, table: &str) -> Result<()> {
        let began = Instant::now();
        let begun = world.ledger(Ledger::tick);
        let rows = match rows_of(&self.open(table).await?).await {
            Err(_) if began.elapsed() > WINDOW => return Ok(()),
            rows => rows.with_context(|| table.to_owned())?,
        };
        let ended = world.ledger(Ledger::tick);
        let place = (DATABASE.to_owned(), table.to_owned());
        let reading = Reading { begun, ended, rows: [(place, rows)].into() };
        world.ledger(|ledger| ledger.check(&reading))
    }
}

//! A graph of v3 that lies elsewhere than it was made: only after a relocation anybody may write to it, and only a migration
//! makes it one of v4. Then it is moved again, or another one takes its place. No client writes to it; its rows never change.
//!
//! Verbs that work on it share it, whoever moves it has it alone.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use lancekeeper::{
    BranchSelection, Keeper, MigrateGoal, MigrateOptions, NoProgress, OptimizeOptions,
    VerifyOptions,
};
use lancekeeper_testkit::{Fixture, GraphRows, graph_rows};
use tokio::sync::{RwLock, RwLockReadGuard};

use super::client::MAIN;
use super::dice::Dice;
use super::verdict::ECHO;
use super::world::World;

const FIXTURE: &str = "omnigraph-0.7.0-main-only";
/// What a migration to v4 that is half-way leaves. Such a graph must be migrated or taken back where it is.
const NOTE: &str = "__maintenance/migration.json";
/// The newest version.
const V4: u32 = 4;

/// The graph.
#[derive(Debug)]
pub(super) struct Old {
    place: RwLock<Place>,
    /// What main reads, by table.
    rows: GraphRows,
}

/// Where it is.
#[derive(Debug)]
struct Place {
    fixture: Fixture,
    uri: String,
    moves: u64,
}

impl Place {
    fn new() -> Result<Self> {
        let fixture = Fixture::unpack(FIXTURE)?;
        let uri = fixture.uri("graph");
        Ok(Self { fixture, uri, moves: 0 })
    }
}

impl Old {
    pub(super) async fn new() -> Result<Self> {
        let place = Place::new()?;
        let rows = graph_rows(&place.uri).await?;
        Ok(Self { place: RwLock::new(place), rows })
    }

    /// Where it is, for as long as somebody works on it there.
    pub(super) async fn stays(&self) -> Stays<'_> {
        Stays(self.place.read().await)
    }

    /// Moves it, unless it is between two formats; a few times it is one of v3 again. Waits for those who work on it.
    pub(super) async fn moves(&self, world: &World, dice: &mut Dice) -> Result<()> {
        let mut place = self.place.write().await;
        // What a panic left to the runtime would go on at the old path.
        tokio::time::sleep(ECHO).await;
        if Path::new(&place.uri).join(NOTE).exists() {
            return Ok(());
        }
        if is_v4(&place.uri).await && dice.chance(60) {
            self.check(&place.uri).await.context("before another one takes its place")?;
            *place = Place::new()?;
            world.did("old graph renewed", "");
            return Ok(());
        }
        let moves = place.moves + 1;
        let to = place.fixture.path(&format!("graph{moves}"));
        fs::rename(&place.uri, &to)?;
        (place.uri, place.moves) = (to.to_string_lossy().into_owned(), moves);
        world.did("old graph moved", &place.uri);
        Ok(())
    }

    /// Every branch reads what it always read.
    async fn check(&self, uri: &str) -> Result<()> {
        let main = |key: &str| self.rows.get(&(MAIN.to_owned(), key.to_owned()));
        let found = graph_rows(uri).await?;
        ensure!(found.len() >= self.rows.len(), "tables are gone: {:?}", found.keys());
        for ((branch, key), rows) in &found {
            ensure!(main(key) == Some(rows), "{key} on {branch}: {} rows", rows.len());
        }
        Ok(())
    }

    /// With nobody about it becomes whole where it is, and a graph of v4; then there is nothing more to do.
    pub(super) async fn judge(&self) -> Result<()> {
        let place = self.place.read().await;
        let (keeper, uri) = (Keeper::new(), &place.uri);
        self.check(uri).await.context("with all that dead runs left")?;
        let goal = MigrateGoal::Newest { rebuild: false };
        let migrate = MigrateOptions { goal, ..MigrateOptions::default() };
        if !Path::new(uri).join(NOTE).exists() {
            let relocated = keeper.relocate([uri], true).await;
            ensure!(relocated.exit_code().number() == 0, "relocation: {relocated:#?}");
        }
        let migrated = keeper.migrate([uri], &migrate).await;
        ensure!(migrated.exit_code().number() == 0, "migration: {migrated:#?}");
        ensure!(is_v4(uri).await, "it is not of v4");
        self.check(uri).await.context("after the migration at the end")?;
        let again = keeper.relocate([uri], true).await;
        let idle = (again.exit_code().number(), again.roots[0].changed);
        ensure!(idle == (0, 0), "the second relocation: {again:#?}");
        let again = keeper.migrate([uri], &migrate).await;
        let idle = (again.exit_code().number(), again.roots[0].steps.len());
        ensure!(idle == (0, 0), "the second migration: {again:#?}");
        let options =
            OptimizeOptions { branches: BranchSelection::All, ..OptimizeOptions::default() };
        let optimized = keeper.optimize([uri], &options, Arc::new(NoProgress)).await;
        ensure!(optimized.exit_code().number() == 0, "optimize: {optimized:#?}");
        let checked = keeper.verify([uri], &VerifyOptions::default()).await;
        ensure!(checked.totals.findings == 0, "verify: {checked:#?}");
        self.check(uri).await.context("after the optimize at the end")
    }
}

/// The graph at a place where it stays.
pub(super) struct Stays<'a>(RwLockReadGuard<'a, Place>);

impl Stays<'_> {
    pub(super) fn uri(&self) -> String {
        self.0.uri.clone()
    }
}

/// Not if a failpoint keeps it from being known.
async fn is_v4(uri: &str) -> bool {
    let status = Keeper::new().status([uri]).await;
    status.roots[0].internal_schema == Some(V4)
}

//! A database in a directory, what a client does to it, and what was written: the rows of every
//! version, written down when the client made it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::{RecordBatch, RecordBatchIterator};
use arrow_schema::Schema;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::{
    MergeInsertBuilder, NewColumnTransform, UpdateBuilder, WhenMatched, WhenNotMatched, WriteMode,
    WriteParams,
};
use lance::index::DatasetIndexExt;
use lance_index::optimize::OptimizeOptions as LanceOptimizeOptions;
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::table_rows;
use tempfile::TempDir;

use super::questions::{self, KINDS};
use super::steps::{Plan, Roll, Rows, Step};
use super::verdict;
use super::{Counts, columns};

/// A table by the name of its directory, and a branch of it.
pub(super) type Chain = (String, Option<String>);

/// A cloned table reads its origin's files, so a few say as much as many.
const MOST_CHAINS: usize = 5;
/// Files that no tool knows, relative to the database.
const UNKNOWN: [&str; 3] = ["notes.txt", "t0.lance/README", "t0.lance/data/kept.md"];

/// A database and what is known about it.
pub(super) struct World {
    directory: TempDir,
    /// Tables and branches, oldest first.
    pub(super) chains: Vec<Chain>,
    /// The rows of versions a client made or we made.
    pub(super) written: BTreeMap<(Chain, u64), Vec<String>>,
    /// What must not go whatever a rule says: tags, and what branches were cut from.
    pub(super) held: BTreeSet<(Chain, u64)>,
    /// Tag names, each with the table and what it reads.
    pub(super) tags: BTreeMap<(String, String), (Chain, u64)>,
    /// Files that nothing refers to, of a kind that Lance writes.
    pub(super) litter: Vec<PathBuf>,
    next_id: i64,
    pub(super) counts: Counts,
    /// What happened so far, for whoever reads a failure.
    pub(super) log: Vec<String>,
}

/// Counted round.
fn pick<T>(list: &[T], roll: Roll) -> &T {
    &list[usize::from(roll) % list.len()]
}

/// What a step came to: Lance may refuse what makes no sense on this table.
type Did = Result<(), String>;

/// A refusal of Lance's, in short.
fn refused(error: impl std::fmt::Display) -> String {
    error.to_string().chars().take(100).collect()
}

impl World {
    /// A database with one table.
    pub(super) async fn new(plan: &Plan) -> Result<Self> {
        let mut world = Self {
            directory: tempfile::tempdir()?,
            chains: Vec::new(),
            written: BTreeMap::new(),
            held: BTreeSet::new(),
            tags: BTreeMap::new(),
            litter: Vec::new(),
            next_id: 0,
            counts: Counts::new(),
            log: Vec::new(),
        };
        let columns = columns::schema(&plan.shape.columns);
        let chain = ("t0.lance".to_owned(), None);
        let params = WriteParams {
            enable_stable_row_ids: plan.shape.stable_row_ids,
            data_storage_version: plan.shape.storage_version.map(str::parse).transpose()?,
            ..WriteParams::default()
        };
        let batch = world.new_rows(&columns, plan.shape.first_rows);
        Dataset::write(stream(batch), &world.uri("t0.lance"), Some(params)).await?;
        world.chains.push(chain.clone());
        for file in UNKNOWN {
            std::fs::write(world.root().join(file), "somebody's own")?;
        }
        world.write_down(&chain).await?;
        Ok(world)
    }

    /// Does every step.
    pub(super) async fn run(&mut self, steps: &[Step]) -> Result<()> {
        for step in steps {
            self.log.push(format!("{step:?}"));
            match step {
                Step::Optimize { index, prunes, order } => {
                    verdict::optimize(self, *index, *prunes, *order).await?;
                }
                Step::Cleanup { keep, is_strict } => {
                    verdict::cleanup(self, *keep, *is_strict).await?;
                }
                change => match Box::pin(self.change(change)).await {
                    Ok(()) => self.count("changes", 1),
                    Err(why) => {
                        self.log.push(format!("  Lance refuses: {why}"));
                        self.count("refused by Lance", 1);
                    }
                },
            }
        }
        Ok(())
    }

    pub(super) fn count(&mut self, kind: &'static str, number: u64) {
        *self.counts.entry(kind).or_default() += number;
    }

    pub(super) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// The address of a table, and of the database for "".
    pub(super) fn uri(&self, table: &str) -> String {
        self.root().join(table).to_string_lossy().into_owned()
    }

    /// A branch's newest version, in a session that has seen nothing.
    pub(super) async fn open(&self, (table, branch): &Chain) -> Result<Dataset> {
        let builder = DatasetBuilder::from_uri(self.uri(table));
        let builder = match branch {
            Some(branch) => builder.with_branch(branch, None),
            None => builder,
        };
        builder.load().await.with_context(|| format!("{table} on {branch:?} cannot be opened"))
    }

    /// Writes down what the newest version of a chain reads.
    pub(super) async fn write_down(&mut self, chain: &Chain) -> Result<()> {
        let head = self.open(chain).await?;
        let version = head.manifest().version;
        self.written.insert((chain.clone(), version), table_rows(&head).await?);
        Ok(())
    }

    /// What nobody but its owner may delete.
    pub(super) fn unknown(&self) -> Vec<PathBuf> {
        UNKNOWN.iter().map(|file| self.root().join(file)).collect()
    }

    fn chain(&self, roll: Roll) -> Chain {
        pick(&self.chains, roll).clone()
    }

    fn new_rows(&mut self, columns: &Schema, rows: Rows) -> RecordBatch {
        let first = self.next_id;
        self.next_id += rows.count as i64;
        columns::batch(columns, &Vec::from_iter(first..self.next_id), rows)
    }

    async fn change(&mut self, step: &Step) -> Did {
        let chain = match step {
            Step::Tag { chain, version } => return self.tag(&self.chain(*chain), *version).await,
            Step::Branch { chain, version } | Step::Clone { chain, version } => {
                let origin = self.chain(*chain);
                if self.chains.len() >= MOST_CHAINS {
                    return Err("enough tables".to_owned());
                }
                let cuts = matches!(step, Step::Branch { .. });
                self.cut(&origin, *version, cuts).await?
            }
            Step::Litter { chain } => return self.leave_litter(&self.chain(*chain)),
            Step::Append { chain, .. }
            | Step::Update { chain, .. }
            | Step::Upsert { chain, .. }
            | Step::Delete { chain, .. }
            | Step::DeleteAll { chain }
            | Step::AddColumn { chain }
            | Step::DropColumn { chain, .. }
            | Step::Index { chain, .. }
            | Step::Segment { chain }
            | Step::Restore { chain, .. } => {
                let chain = self.chain(*chain);
                let head = self.open(&chain).await.map_err(refused)?;
                self.write(head, &chain, step).await?;
                chain
            }
            Step::Optimize { .. } | Step::Cleanup { .. } => unreachable!("ours"),
        };
        self.write_down(&chain).await.map_err(refused)
    }

    /// What makes a new version of a chain.
    async fn write(&mut self, mut head: Dataset, chain: &Chain, step: &Step) -> Did {
        let columns = Schema::from(head.schema());
        match step {
            Step::Append { rows, .. } => {
                let batch = self.new_rows(&columns, *rows);
                head.append(stream(batch), Some(appending())).await.map_err(refused)
            }
            Step::Upsert { from, rows, .. } => {
                let first = i64::from(*from) % self.next_id.max(1);
                let ids = Vec::from_iter(first..first + rows.count as i64);
                self.next_id = self.next_id.max(first + rows.count as i64);
                upsert(head, columns::batch(&columns, &ids, *rows)).await
            }
            Step::Update { which, .. } => update(head, *which).await,
            Step::Delete { which, .. } => {
                let modulus = 2 + i64::from(which % 9);
                let filter = format!("id % {modulus} = {}", i64::from(*which) % modulus);
                head.delete(&filter).await.map(drop).map_err(refused)
            }
            Step::DeleteAll { .. } => head.delete("true").await.map(drop).map_err(refused),
            Step::AddColumn { .. } => {
                let name = format!("extra{}", columns.fields().len());
                let added = NewColumnTransform::SqlExpressions(vec![(name, "id * 2".to_owned())]);
                head.add_columns(added, None, None).await.map_err(refused)
            }
            Step::DropColumn { which, .. } => {
                let names: Vec<_> = columns.fields().iter().map(|field| field.name()).collect();
                match names.iter().filter(|name| **name != "id").collect::<Vec<_>>().as_slice() {
                    [] => Err("the id alone".to_owned()),
                    names => head.drop_columns(&[*pick(names, *which)]).await.map_err(refused),
                }
            }
            Step::Index { kind, .. } => self.index(head, *kind).await,
            Step::Segment { .. } => {
                let options = LanceOptimizeOptions::append();
                head.optimize_indices(&options).await.map_err(refused)
            }
            Step::Restore { version, .. } => {
                let versions = self.versions(chain).await.map_err(refused)?;
                let version = *pick(&versions, *version);
                let branch = chain.1.as_deref();
                let old = head.checkout_version((branch, Some(version))).await;
                old.map_err(refused)?.restore().await.map_err(refused)
            }
            other => unreachable!("{other:?} makes no version"),
        }
    }

    async fn index(&mut self, mut head: Dataset, kind: Roll) -> Did {
        let columns = head.schema();
        let suits = |(path, _): &&(&str, _)| columns.field(path).is_some();
        let kinds: Vec<_> = KINDS.iter().filter(suits).collect();
        let (path, of) = **pick(&kinds, kind);
        let name = format!("{path} {of}");
        self.log.push(format!("  {name}"));
        if questions::create(&mut head, &name, (path, of)).await {
            self.count("indexes", 1);
            Ok(())
        } else {
            Err(format!("no {name}"))
        }
    }

    /// Versions of a chain that exist, oldest first.
    pub(super) async fn versions(&self, chain: &Chain) -> Result<Vec<u64>> {
        let found = self.open(chain).await?.version_refs().await?;
        let mut versions: Vec<u64> = found.iter().map(|version| version.version).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    async fn tag(&mut self, chain: &Chain, roll: Roll) -> Did {
        let versions = self.versions(chain).await.map_err(refused)?;
        let version = *pick(&versions, roll);
        let tag = format!("tag{}", self.tags.len());
        let table = self.open(chain).await.map_err(refused)?;
        let at = (chain.1.as_deref(), Some(version));
        table.tags().create(&tag, at).await.map_err(refused)?;
        self.held.insert((chain.clone(), version));
        self.tags.insert((chain.0.clone(), tag), (chain.clone(), version));
        Ok(())
    }

    /// A branch or a clone of a version.
    async fn cut(&mut self, origin: &Chain, roll: Roll, is_branch: bool) -> Result<Chain, String> {
        let versions = self.versions(origin).await.map_err(refused)?;
        let version = *pick(&versions, roll);
        let mut table = self.open(origin).await.map_err(refused)?;
        let name = format!("t{}", self.chains.len());
        let at = (origin.1.as_deref(), Some(version));
        let chain = if is_branch {
            table.create_branch(&name, at, None).await.map_err(refused)?;
            self.held.insert((origin.clone(), version));
            (origin.0.clone(), Some(name))
        } else {
            let directory = format!("{name}.lance");
            table.shallow_clone(&self.uri(&directory), at, None).await.map_err(refused)?;
            (directory, None)
        };
        self.chains.push(chain.clone());
        Ok(chain)
    }

    fn leave_litter(&mut self, chain: &Chain) -> Did {
        let name = format!("data/{:032x}.lance", 0xABCD + self.litter.len());
        let file = self.root().join(&chain.0).join(name);
        std::fs::create_dir_all(file.parent().unwrap()).map_err(refused)?;
        std::fs::write(&file, "half a data file").map_err(refused)?;
        self.litter.push(file);
        Ok(())
    }

    /// Data files and index segments that are there, in whatever table.
    pub(super) fn stored(&self) -> Result<BTreeSet<String>> {
        let mut stored = BTreeSet::new();
        let tables: BTreeSet<_> = self.chains.iter().map(|chain| &chain.0).collect();
        for table in tables {
            let table = self.root().join(table);
            let forks =
                names(&table.join("tree"))?.into_iter().map(|fork| table.join("tree").join(fork));
            for place in [table.clone()].into_iter().chain(forks) {
                stored.extend(names(&place.join("data"))?);
                stored.extend(names(&place.join("_indices"))?);
            }
        }
        Ok(stored)
    }
}

fn appending() -> WriteParams {
    WriteParams { mode: WriteMode::Append, ..WriteParams::default() }
}

fn stream(batch: RecordBatch) -> impl arrow_array::RecordBatchReader + Send + 'static {
    let schema = batch.schema();
    RecordBatchIterator::new([Ok(batch)], schema)
}

async fn upsert(head: Dataset, batch: RecordBatch) -> Did {
    let mut builder =
        MergeInsertBuilder::try_new(Arc::new(head), vec!["id".to_owned()]).map_err(refused)?;
    builder.when_matched(WhenMatched::UpdateAll).when_not_matched(WhenNotMatched::InsertAll);
    let job = builder.try_build().map_err(refused)?;
    job.execute_reader(Box::new(stream(batch)) as Box<dyn arrow_array::RecordBatchReader + Send>)
        .await
        .map(drop)
        .map_err(refused)
}

/// One column of some rows; the id itself where there is nothing else to change.
async fn update(head: Dataset, which: Roll) -> Did {
    let modulus = 2 + i64::from(which % 7);
    let filter = format!("id % {modulus} = {}", i64::from(which) % modulus);
    let values = [("count", "count + 1"), ("label", "'l3'"), ("words", "concat(words, ' beta5')")];
    let there = values.iter().filter(|(column, _)| head.schema().field(column).is_some());
    let there: Vec<_> = there.collect();
    let (column, value) = if there.is_empty() { ("id", "id") } else { **pick(&there, which) };
    let update = UpdateBuilder::new(Arc::new(head)).update_where(&filter).map_err(refused)?;
    let update = update.set(column, value).map_err(refused)?.build().map_err(refused)?;
    update.execute().await.map(drop).map_err(refused)
}

//! A graph with blobs, made by the client itself: it reads the same bytes after we compacted.
//!
//! The clients' own optimize leaves such tables alone, so nobody but us has compacted them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::Lab;
use super::omnigraph::Omnigraph;
use super::random::Random;
use super::report::{Report, Scenario};

const SCHEMA: &str = "node Document {\n    slug: String @key\n    body: Blob?\n}\n\
                      edge Cites: Document -> Document\n";
const TABLE: &str = "node:Document";

/// In the table's own file, packed with others into a file, and in a file of its own.
const SIZES: [usize; 3] = [100, 70_000, 1_300_000];
const LOADS: usize = 5;

pub(super) fn run(report: &mut Report, lab: &Lab) -> Result<()> {
    for client in &lab.clients.omnigraph {
        let temp = tempfile::tempdir()?;
        let mut graph =
            Graph { lab, client, temp, bodies: BTreeMap::new(), random: Random::new(1) };
        let mut scenario = report.scenario(&client.title(), "blobs");
        // What failed is in the report.
        let _: Option<()> = graph.check(&mut scenario);
    }
    Ok(())
}

struct Graph<'a> {
    lab: &'a Lab,
    client: &'a Omnigraph,
    temp: TempDir,
    /// What the client was given, by slug, as it was given.
    bodies: BTreeMap<String, String>,
    random: Random,
}

impl Graph<'_> {
    fn check(&mut self, scenario: &mut Scenario<'_>) -> Option<()> {
        scenario.check("the client makes a graph with blobs", || self.make())?;
        self.check_bytes(scenario, "it reads what it was given")?;
        scenario.check("lancekeeper optimize compacts the blobs", || self.optimize())?;
        self.check_bytes(scenario, "the client reads the same bytes")?;
        // The first documents anew, so that rows are deleted as well.
        scenario.check("the client loads more", || self.load(0))?;
        self.check_bytes(scenario, "it reads old and new bytes")?;
        scenario.check("lancekeeper optimize again", || self.optimize())?;
        self.check_bytes(scenario, "the same bytes again")?;
        scenario
            .check("the client collects the old versions", || self.client.cleanup(&self.path()))?;
        self.check_bytes(scenario, "the same bytes without the old files")?;
        scenario.check("the client finds no drift", || self.client.expect_no_drift(&self.path()))
    }

    fn check_bytes(&self, scenario: &mut Scenario<'_>, check: &str) -> Option<()> {
        scenario.check(check, || {
            let lines = self.client.export(&self.path(), "main")?;
            let rows: Vec<Value> =
                lines.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
            let mut found = BTreeMap::new();
            for row in rows.iter().filter(|row| row["type"] == "Document") {
                let text = |field: &str| row["data"][field].as_str().map(str::to_owned);
                let slug = text("slug").context("a document without a slug")?;
                ensure!(found.insert(slug.clone(), text("body")).is_none(), "{slug} twice");
            }
            let slugs: Vec<_> = found.keys().collect();
            ensure!(slugs.iter().copied().eq(self.bodies.keys()), "the documents are {slugs:?}");
            for (slug, body) in &self.bodies {
                // Not the bodies themselves: they are large.
                ensure!(found[slug].as_ref() == Some(body), "{slug} has another body");
            }
            Ok(())
        })
    }

    fn optimize(&self) -> Result<()> {
        let report = self.lab.keeper.optimize_all(&self.path())?;
        report.expect_packed("main")?;
        report.expect_merged(TABLE)
    }

    fn make(&mut self) -> Result<()> {
        let schema = self.temp.path().join("schema.pg");
        std::fs::write(&schema, SCHEMA)?;
        self.client.init(&self.path(), &schema)?;
        (0..LOADS).try_for_each(|number| self.load(number))
    }

    /// One document of each size; the same number brings the same documents with other bytes.
    fn load(&mut self, number: usize) -> Result<()> {
        let mut rows = String::new();
        for size in SIZES {
            let slug = format!("document{number}of{size}");
            let body = format!("base64:{}", self.random.base64(size));
            writeln!(rows, r#"{{"type":"Document","data":{{"slug":"{slug}","body":"{body}"}}}}"#)?;
            self.bodies.insert(slug, body);
        }
        self.client.load(&self.path(), "main", &rows)
    }

    fn path(&self) -> PathBuf {
        Path::new(self.temp.path()).join("graph")
    }
}

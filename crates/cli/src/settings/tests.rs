//! Where files lie, which places are looked at, and what is refused.

use lancekeeper_model::{Report, RootReport};
use tempfile::TempDir;

use super::*;
use crate::output::{Format, Screen, Terminal, show};

/// Directories with roots in them; nothing that can be opened.
struct World {
    directory: TempDir,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for below in ["db/x.lance/_versions", "db/y.lance/_versions", "graph/__manifest/_versions"]
        {
            fs::create_dir_all(directory.path().join(below)).unwrap();
        }
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        Self { directory }
    }

    fn at(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// A text without where the world lies, as it was named or resolved.
    fn short(&self, text: &str) -> String {
        let resolved = self.directory.path().canonicalize().unwrap();
        text.replace(&format!("{}/", resolved.display()), "").replace(&self.at(""), "")
    }

    fn settle(
        &self,
        work: Work,
        roots: &[&str],
        args: &SettingArgs,
    ) -> Result<Settled, Vec<Refusal>> {
        let roots: Vec<String> = roots.iter().map(|root| self.at(root)).collect();
        settle(work, Places { roots: &roots, variables: Vec::new(), args, flags: Vec::new() })
    }

    /// Values and places of the settings that are not as they are by default.
    fn said(&self, roots: &[&str], args: &SettingArgs) -> String {
        let settled = self.settle(Work::Nothing, roots, args).unwrap();
        let rows = settled.of_roots.iter().flat_map(|root| ConfigBody::of(root).settings);
        let rows = rows.filter(|row| row.source != "default" && row.source != "setting");
        rows.map(|row| format!("{} {} {}\n", row.name, row.text, self.short(&row.from))).collect()
    }

    /// Messages and hints, without where the world lies.
    fn refused(&self, work: Work, roots: &[&str], args: &SettingArgs) -> String {
        let refusals = self.settle(work, roots, args).unwrap_err();
        let lines = refusals.into_iter().map(|Refusal { message, hint }| {
            format!("{message}\n  hint: {}\n", hint.unwrap_or_default())
        });
        self.short(&lines.collect::<String>())
    }
}

fn named(file: &str, assignments: &[&str]) -> SettingArgs {
    let config_file = (!file.is_empty()).then(|| PathBuf::from(file));
    SettingArgs {
        config_file,
        assignments: assignments.iter().map(|text| (*text).to_owned()).collect(),
    }
}

const SIZES: &str = "[bulk]\nindex_cache_mb = 32\n";

#[test]
fn the_file_lies_in_a_graph_or_database_and_beside_a_table() {
    let world = World::new(&[
        ("db/lancekeeper.toml", SIZES),
        ("graph/lancekeeper.toml", "[query]\nconcurrency = 2\n"),
        // Not looked at: what lies in a table is Lance's.
        ("db/x.lance/lancekeeper.toml", "nonsense"),
    ]);
    let none = SettingArgs::default();
    let of_database = "bulk.index_cache_mb 32 db/lancekeeper.toml:2\n";
    assert_eq!(world.said(&["db"], &none), of_database);
    assert_eq!(world.said(&["db/x.lance"], &none), of_database);
    assert_eq!(world.said(&["db/x.lance", "db/y.lance"], &none), of_database.repeat(2));
    assert_eq!(world.said(&["graph"], &none), "query.concurrency 2 graph/lancekeeper.toml:2\n");
    assert_eq!(world.said(&[], &none) + &world.said(&["absent"], &none), "");
    assert_eq!(beside("s3://bucket/db"), None);
    assert_eq!(beside(&format!("file://{}", world.at("db"))), beside(&world.at("db")));
}

#[test]
fn a_named_file_takes_the_place_of_all_others_and_must_be_there() {
    let world =
        World::new(&[("db/lancekeeper.toml", SIZES), ("all.toml", "[query]\nconcurrency = 5\n")]);
    let said = world.said(&["db", "graph"], &named(&world.at("all.toml"), &[]));
    assert_eq!(said, "query.concurrency 5 all.toml:2\n".repeat(2));
    let refused = world.refused(Work::Query, &["db"], &named(&world.at("absent.toml"), &[]));
    assert_eq!(refused, "there is no file absent.toml\n  hint: check what --config names\n");
}

#[test]
fn assignments_beat_the_file_and_wrong_ones_are_all_told() {
    let world = World::new(&[("db/lancekeeper.toml", SIZES)]);
    let said = world.said(&["db"], &named("", &["bulk.index_cache_mb=64", "bulk.concurrency=2"]));
    assert_eq!(said, "bulk.index_cache_mb 64 --set\nbulk.concurrency 2 --set\n");
    let refused = world.refused(Work::Query, &["db"], &named("", &["bulk", "bulk.memory_limt=1"]));
    insta::assert_snapshot!(refused, @r#"
    --set: expected SECTION.NAME=VALUE, found "bulk"
      hint: an example: --set database.index_cache_mb=512
    --set: unknown setting bulk.memory_limt
      hint: did you mean bulk.memory_limit?
    "#);
}

#[test]
fn roots_that_want_different_things_are_refused_with_both_places() {
    let world = World::new(&[
        ("db/lancekeeper.toml", SIZES),
        ("graph/lancekeeper.toml", "[bulk]\n\nindex_cache_mb = 64\n"),
    ]);
    let none = SettingArgs::default();
    insta::assert_snapshot!(world.refused(Work::Bulk, &["db", "graph"], &none), @"
    bulk.index_cache_mb is 32 (db/lancekeeper.toml:2) for db and 64 (graph/lancekeeper.toml:3) for graph: one run has one value
      hint: work on these roots one after the other, or say it once for all: --set bulk.index_cache_mb=VALUE, or --config FILE
    ");
    assert!(world.settle(Work::Query, &["db", "graph"], &none).is_ok());
    let agreed = named("", &["bulk.index_cache_mb=8"]);
    let settled = world.settle(Work::Bulk, &["db", "graph"], &agreed).unwrap();
    assert_eq!(settled.settings.for_work(Work::Bulk).index_cache_bytes, 8 << 20);
}

#[test]
fn what_cannot_be_read_as_a_file_of_settings_is_refused_by_name() {
    let world = World::new(&[("graph/lancekeeper.toml", "")]);
    fs::create_dir(world.directory.path().join("db/lancekeeper.toml")).unwrap();
    fs::write(world.directory.path().join("graph/lancekeeper.toml"), b"# \xff\n").unwrap();
    let none = SettingArgs::default();
    let refused = ["db", "graph"].map(|root| world.refused(Work::Query, &[root], &none));
    insta::assert_snapshot!(refused.concat(), @"
    cannot read settings from db/lancekeeper.toml: it is no regular file
      hint: make it a readable text file, or take it away to have the defaults
    cannot read settings from graph/lancekeeper.toml: it is not UTF-8
      hint: make it a readable text file, or take it away to have the defaults
    ");
}

#[test]
fn every_setting_is_shown_with_who_says_so() {
    let world = World::new(&[("db/lancekeeper.toml", SIZES)]);
    let roots = [world.at("db")];
    let variables = vec![("LANCEKEEPER_QUERY_CONCURRENCY".to_owned(), "3".to_owned())];
    let args = named("", &["optimize.max_time=90m"]);
    let places = Places { roots: &roots, variables, args: &args, flags: Vec::new() };
    let settled = settle(Work::Nothing, places).unwrap();
    let mut report = RootReport::<ConfigBody>::of("db");
    report.body = ConfigBody::of(&settled.of_roots[0]);
    let report = Report::new(false, vec![report], 0);
    let (mut terminal, said) = Terminal::captured(Screen::plain(Some(80)));
    show("config", &report, Format::Human, &mut terminal).unwrap();
    insta::assert_snapshot!(world.short(&said.out()), @"
    settings of db · file db/lancekeeper.toml
      database.index_cache_mb      256          default
      database.metadata_cache_mb   64           default
      database.log_cache_stats     false        default
      bulk.index_cache_mb          32           db/lancekeeper.toml:2
      bulk.metadata_cache_mb       64           as database.metadata_cache_mb
      bulk.memory_limit            1GiB         default
      bulk.concurrency             8            default
      bulk.nice                    15           default
      query.index_cache_mb         256          as database.index_cache_mb
      query.metadata_cache_mb      64           as database.metadata_cache_mb
      query.concurrency            3            LANCEKEEPER_QUERY_CONCURRENCY
      optimize.target_rows         1048576      default
      optimize.target_bytes        512MiB       default
      optimize.deletion_threshold  0.1          default
      optimize.min_fragments       every table  default
      optimize.max_bytes           no limit     default
      optimize.max_time            1h30m        --set
    ");
    let (mut terminal, said) = Terminal::captured(Screen::plain(None));
    show("config", &report, Format::Json, &mut terminal).unwrap();
    let found: serde_json::Value = serde_json::from_str(&said.out()).unwrap();
    let rows = found["roots"][0]["settings"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    let bulk = row("bulk.index_cache_mb");
    assert_eq!((&bulk["value"], &bulk["source"]), (&32.into(), &"file".into()));
    assert!(bulk["from"].as_str().unwrap().ends_with("db/lancekeeper.toml:2"));
    assert_eq!(bulk["variable"], "LANCEKEEPER_BULK_INDEX_CACHE_MB");
    assert_eq!(row("optimize.max_time")["value"], 5400);
    assert!(row("optimize.max_bytes")["value"].is_null());
    assert_eq!(row("bulk.memory_limit")["flag"], "--memory-limit");
}

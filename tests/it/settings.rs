//! Settings of the built binary: who decides, what is refused, and that a file beside data stays.

use std::fs;

use lancekeeper_testkit::tables;
use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{Ran, lancekeeper, run};

/// A database of one table of six fragments with ten rows each.
async fn database(settings: &str) -> TempDir {
    let directory = TempDir::new().unwrap();
    let table = format!("{}/events.lance", directory.path().display());
    tables::create(&table, 6, 10, false).await.unwrap();
    fs::write(directory.path().join("lancekeeper.toml"), settings).unwrap();
    directory
}

fn uri(directory: &TempDir) -> String {
    directory.path().display().to_string()
}

/// Runs a line of words.
fn ran(words: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = lancekeeper(words);
    run(command.envs(variables.iter().copied()))
}

/// Fragments that the table has after a preview.
fn fragments_after(document: &Value) -> u64 {
    document["roots"][0]["tables"][0]["fragments_after"].as_u64().unwrap()
}

#[tokio::test]
async fn the_file_beside_a_root_the_environment_and_the_command_line_decide_in_this_order() {
    let directory = database("[optimize]\ntarget_rows = 30\n").await;
    let (root, table) = (uri(&directory), format!("{}/events.lance", uri(&directory)));
    let variable = [("LANCEKEEPER_OPTIMIZE_TARGET_ROWS", "20")];
    let other = directory.path().join("other.toml").display().to_string();
    fs::write(&other, "").unwrap();
    for (more, variables, fragments) in [
        (&[][..], &[][..], 2),
        (&[][..], &variable[..], 3),
        (&["--set", "optimize.target_rows=60"][..], &variable[..], 1),
        (&["--target-rows", "10", "--set", "optimize.target_rows=60"][..], &variable[..], 6),
        (&["--config", &other][..], &[][..], 1),
    ] {
        for root in [&root, &table] {
            let words = [&["optimize", "--dry-run", "--json", root][..], more].concat();
            let ran = ran(&words, variables);
            assert_eq!(
                (ran.code, fragments_after(&ran.document())),
                (Some(0), fragments),
                "{words:?}"
            );
        }
    }
}

#[tokio::test]
async fn caches_are_told_to_whoever_asked_and_no_cleanup_takes_the_file() {
    let settings = "[database]\nindex_cache_mb = 16\nlog_cache_stats = true\n";
    let directory = database(settings).await;
    let root = uri(&directory);
    let optimized = ran(&["optimize", &root, "--json"], &[]);
    let caches = &optimized.document()["caches"];
    assert!(caches["metadata"]["misses"].as_u64().unwrap() > 0, "{optimized:#?}");
    assert!(optimized.stderr.contains("cache=\"index\" hits="), "{optimized:#?}");
    let silent = [("LANCEKEEPER_DATABASE_LOG_CACHE_STATS", "false")];
    let quiet = ran(&["status", &root, "--json"], &silent);
    assert!(
        quiet.document().get("caches").is_none() && !quiet.stderr.contains("cache="),
        "{quiet:#?}"
    );
    let ages = ["--keep", "1", "--writer-window", "0", "--min-age", "0", "--min-fork-age", "0"];
    let cleaned = ran(&[&["cleanup", &root, "--confirm", "--json"][..], &ages].concat(), &[]);
    assert_eq!(cleaned.code, Some(0), "{cleaned:#?}");
    let rows = &cleaned.document()["roots"][0]["tables"];
    assert!(rows[0]["old_versions_removed"].as_u64().unwrap() > 0, "{cleaned:#?}");
    let kept = fs::read_to_string(directory.path().join("lancekeeper.toml")).unwrap();
    assert_eq!(kept, settings);
}

#[tokio::test]
async fn a_file_that_makes_no_sense_ends_a_run_before_anything_is_looked_at() {
    let text = "[database]\nindex_cache_mb = 0\nlog_cach_stats = true\n[cleanup]\nkeep = 1\n";
    let directory = database(text).await;
    let file = directory.path().join("lancekeeper.toml").display().to_string();
    for verb in ["optimize", "cleanup", "status", "count-rows", "config"] {
        let refused = ran(&[verb, &uri(&directory)], &[]);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{refused:#?}");
        for said in [
            &format!("error: {file}:2: database.index_cache_mb: 0 would switch the cache off"),
            &format!("error: {file}:3: unknown setting database.log_cach_stats"),
            "hint: did you mean database.log_cache_stats?",
            &format!("error: {file}:5: unknown setting cleanup.keep"),
        ] {
            assert!(refused.stderr.contains(said), "{said}: {refused:#?}");
        }
    }
    assert!(!directory.path().join("__maintenance").exists());
}

#[tokio::test]
async fn roots_that_want_different_things_are_not_worked_on_together() {
    let (one, other) = (database("[optimize]\ntarget_rows = 30\n").await, database("").await);
    let roots = [uri(&one), uri(&other)];
    let words = ["optimize", "--dry-run", "--json", &roots[0], &roots[1]];
    let refused = ran(&words, &[]);
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    let said = format!("optimize.target_rows is 30 ({}/lancekeeper.toml:2) for", roots[0]);
    assert!(
        refused.stderr.contains(&said) && refused.stderr.contains("1048576 (default) for"),
        "{refused:#?}"
    );
    let agreed = ran(&words, &[("LANCEKEEPER_OPTIMIZE_TARGET_ROWS", "20")]);
    assert_eq!((agreed.code, fragments_after(&agreed.document())), (Some(0), 3));
    assert_eq!(ran(&["count-rows", &roots[0], &roots[1]], &[]).code, Some(0));
}

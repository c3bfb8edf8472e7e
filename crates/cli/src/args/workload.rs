//! The file of `--workload`: one predicate a line; empty lines and what begins with `#` are none.

use std::fs;

/// A file above this size is no list of predicates. 16 MiB.
const BYTES_MAX: u64 = 16 << 20;

/// What is in the file.
#[derive(Debug, Clone)]
pub(super) struct Workload(Vec<String>);

impl Workload {
    pub(super) fn predicates(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// Reads the file. What is wrong with it is wrong with the command line.
pub(super) fn read(path: &str) -> Result<Workload, String> {
    let found = fs::metadata(path).map_err(|error| error.to_string())?;
    if !found.is_file() || found.len() > BYTES_MAX {
        return Err("it is no regular file of at most 16 MiB".to_owned());
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let lines = text.lines().map(str::trim).enumerate();
    let mut predicates = Vec::new();
    for (at, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        check(line).map_err(|why| format!("line {}, `{line}`: {why}", at + 1))?;
        predicates.push(line.to_owned());
    }
    if predicates.is_empty() {
        return Err("there is no predicate in it".to_owned());
    }
    Ok(Workload(predicates))
}

/// Whether it is a predicate at all. Which columns there are is known of each table only; but what no table can
/// understand would be counted for none, and nobody would hear of it.
fn check(predicate: &str) -> Result<(), String> {
    let statement = format!("COMPACT TABLE t WHERE {predicate}");
    lancekeeper_sql::parse_one(&statement).map(drop).map_err(|error| error.message().to_owned())
}

//! Policies as people see them: what holds of each table, and what policies would have done.
//!
//! Not here: the documents (`policies`), replaying (`planner::schedule::simulate`), and a table's past (`history`).

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lancekeeper::Keeper;
use lancekeeper_model::{
    EffectivePolicy, ErrorKind, Policy, PolicyOption, PolicyRow, RootFailure, RootPolicies,
    SimulatedRow, SourcedPolicy, StatusOptions, nearest,
};
use lancekeeper_planner::schedule::{Arrival, simulate};
use lancekeeper_settings::{PolicyFile, notices, values};
use lancekeeper_store::root::recognise;
use lancekeeper_store::{Files, Tables};

use crate::history::arrivals;
use crate::policies::{Policies, about_gone};
use crate::text_file::read_text;

/// Commits of a pattern, at most: replaying a million takes seconds.
const COMMITS_MOST: u64 = 1_000_000;

/// The options that a file sets, section by section, and what of it has no effect.
#[must_use]
pub fn file_rows(file: &PolicyFile) -> (Vec<PolicyRow>, Vec<String>) {
    let mut rows = rows_of("[defaults]", &file.defaults);
    let mut warnings = about("[defaults]", file.defaults.policy());
    for (name, section) in &file.tables {
        let merged = section.clone().over(&file.defaults);
        rows.extend(rows_of(name, section));
        warnings.extend(about(name, merged.policy()));
    }
    (rows, warnings)
}

fn about(table: &str, policy: &Policy) -> Vec<String> {
    notices(policy).into_iter().map(|notice| format!("{table}: {notice}")).collect()
}

fn rows_of(table: &str, policy: &SourcedPolicy) -> Vec<PolicyRow> {
    let row = |(option, value): (PolicyOption, lancekeeper_model::PolicyValue)| PolicyRow {
        table: table.to_owned(),
        option: option.to_string(),
        value: value.to_string(),
        source: policy.source(option).to_string(),
    };
    policy.policy().set_options().map(row).collect()
}

/// Which options hold of the named tables of a root, of each for no name, and who says so. Writes nothing, but that a
/// damaged document is moved aside.
pub async fn show_policies(
    keeper: &Keeper,
    uri: &str,
    file: &PolicyFile,
    named: &[String],
) -> RootPolicies {
    let mut report = RootPolicies::of(uri);
    let tables = tables_of(keeper, uri, file, &mut report).await;
    match tables.and_then(|tables| selected(uri, tables, named)) {
        Ok(tables) => {
            for (name, policy) in tables {
                report.body.warnings.extend(about(&name, policy.policy()));
                report.body.options.extend(rows_of(&name, &policy));
            }
        }
        Err(failure) => report.fail(failure),
    }
    report
}

/// The tables that were named, or all of them. A name that no table has is a mistake.
fn selected(
    uri: &str,
    mut tables: Vec<(String, SourcedPolicy)>,
    named: &[String],
) -> Result<Vec<(String, SourcedPolicy)>, RootFailure> {
    let known: Vec<&str> = tables.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(name) = named.iter().find(|name| !known.contains(&name.as_str())) {
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("there are {}", known.join(", ")),
        };
        let message = format!("there is no table {name:?} in {uri}");
        let kind = ErrorKind::Invalid;
        return Err(RootFailure { message, hint: Some(hint), kind, cause: None });
    }
    tables.retain(|(name, _)| named.is_empty() || named.contains(name));
    Ok(tables)
}

/// What to tell of a section of a file that is about no table here: that may be another root's.
fn about_section(name: &str, known: &[String]) -> String {
    let near = nearest(name, known.iter().map(String::as_str));
    let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
    format!("[table.{name:?}] of the file is about no table of this root{near}")
}

/// Replays the appends of each table of a root, as far as its versions tell of them, against its own policy and others.
pub async fn simulate_root(keeper: &Keeper, uri: &str, file: &PolicyFile) -> RootPolicies {
    let mut report = RootPolicies::of(uri);
    let tables = match tables_of(keeper, uri, file, &mut report).await {
        Ok(tables) => tables,
        Err(failure) => {
            report.fail(failure);
            return report;
        }
    };
    let opener = Tables::new();
    for (name, policy) in tables {
        match arrivals(&opener, uri, &name).await {
            Ok((start, arrivals)) => {
                let rows = replay(&arrivals, &policy, start);
                report.body.simulated.extend(
                    rows.into_iter().map(|row| SimulatedRow { table: name.clone(), ..row }),
                );
            }
            Err(why) => report.body.warnings.push(format!("{name}: {why}")),
        }
    }
    report
}

/// Replays a pattern against the defaults of a file and other policies.
#[must_use]
pub fn simulate_pattern(
    path: &Path,
    pattern: &[Arrival],
    file: &PolicyFile,
    now: DateTime<Utc>,
) -> RootPolicies {
    let mut report = RootPolicies::of(&path.display().to_string());
    report.body.simulated = replay(pattern, &file.defaults, now);
    report
}

fn replay(arrivals: &[Arrival], own: &SourcedPolicy, start: DateTime<Utc>) -> Vec<SimulatedRow> {
    let auto = |files| {
        EffectivePolicy::of(&Policy {
            auto_compact: Some(true),
            compact_threshold_files: files,
            ..Policy::default()
        })
    };
    let mut policies = vec![("off".to_owned(), EffectivePolicy::default())];
    if !own.policy().is_empty() {
        policies.push(("as set".to_owned(), EffectivePolicy::of(own.policy())));
    }
    policies.push(("auto_compact".to_owned(), auto(None)));
    for files in [10, 50] {
        policies.push((format!("{files} files"), auto(Some(files))));
    }
    let row = |simulated: lancekeeper_planner::schedule::Simulated| SimulatedRow {
        table: String::new(),
        commits: arrivals.len() as u64,
        runs: simulated.runs,
        appended_bytes: simulated.appended_bytes,
        rewritten_bytes: simulated.rewritten_bytes,
        amplification: simulated.amplification(),
        replaced_bytes: simulated.replaced_bytes,
        purged_rows: simulated.purged_rows,
        fragments_most: simulated.fragments_most,
        fragments_end: simulated.fragments_end,
        policy: simulated.policy,
    };
    simulate(arrivals, &policies, start).into_iter().map(row).collect()
}

/// The tables of a root, each with what holds of it.
async fn tables_of(
    keeper: &Keeper,
    uri: &str,
    file: &PolicyFile,
    report: &mut RootPolicies,
) -> Result<Vec<(String, SourcedPolicy)>, RootFailure> {
    let options = StatusOptions { quick: true, ..StatusOptions::default() };
    let status = keeper.status_of([uri], options).await;
    let Some(root) = status.roots.into_iter().next() else { return Ok(Vec::new()) };
    if let Some(failure) = root.failure() {
        return Err(failure);
    }
    report.kind = root.kind;
    let files = files_of(uri).await?;
    let list = Policies::of(&files).list().await.map_err(|error| RootFailure {
        message: error.to_string(),
        hint: error.hint(),
        kind: error.kind(),
        cause: None,
    })?;
    report.body.warnings.extend(list.warnings.iter().cloned());
    let known: Vec<String> =
        root.body.tables.iter().map(|row| row.table_key.as_str().to_owned()).collect();
    let sections = file.tables.keys().filter(|name| !known.contains(name));
    report.body.warnings.extend(sections.map(|name| about_section(name, &known)));
    let gone = list.of_no_table(&known);
    report.body.warnings.extend(gone.iter().map(|name| about_gone(name)));
    let tables = root.body.tables.iter().map(|row| {
        let name = row.table_key.as_str().to_owned();
        let policy = file.of_table(&name, list.policies.get(&row.table_key));
        (name, policy)
    });
    Ok(tables.collect())
}

async fn files_of(uri: &str) -> Result<Files, RootFailure> {
    let uri = uri.to_owned();
    let failure = |message: String, kind| RootFailure { message, hint: None, kind, cause: None };
    match tokio::task::spawn_blocking(move || recognise(&uri)).await {
        Ok(Ok(root)) => Ok(root.files()),
        Ok(Err(error)) => Err(failure(error.to_string(), error.kind())),
        Err(error) => Err(failure(error.to_string(), ErrorKind::Internal)),
    }
}

/// Reads a pattern: lines of `COUNT SECONDS SIZE ROWS [DELETED]`. What follows a `#` is left out. Blocks on the file
/// system.
///
/// # Errors
///
/// What is wrong with it, with the line.
pub fn read_pattern(path: &Path) -> Result<Vec<Arrival>, String> {
    let name = path.display();
    let text = read_text(path).map_err(|error| format!("{name}: {error}"))?;
    let mut arrivals = Vec::new();
    let mut at = 0.0;
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        commits_of(line, &mut at, &mut arrivals)
            .map_err(|why| format!("{name}:{}: {why}", number + 1))?;
    }
    Ok(arrivals)
}

fn commits_of(line: &str, at: &mut f64, arrivals: &mut Vec<Arrival>) -> Result<(), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (count, seconds, size, rows, deleted) = match words[..] {
        [count, seconds, size, rows] => (count, seconds, size, rows, None),
        [count, seconds, size, rows, deleted] => (count, seconds, size, rows, Some(deleted)),
        _ => return Err(format!("expected COUNT SECONDS SIZE ROWS [DELETED], found \"{line}\"")),
    };
    let number = |what: &str, text: &str| {
        text.replace('_', "")
            .parse::<u64>()
            .map_err(|_| format!("{what} is no whole number: {text}"))
    };
    let count = number("COUNT", count)?;
    let apart: f64 = seconds.parse().map_err(|_| format!("SECONDS is no number: {seconds}"))?;
    if !(0.0..=1e9).contains(&apart) {
        return Err(format!("SECONDS must be from 0 to a thousand million, not {seconds}"));
    }
    if count > COMMITS_MOST - (arrivals.len() as u64).min(COMMITS_MOST) {
        return Err(format!("more than {COMMITS_MOST} commits"));
    }
    let bytes = if size == "0" { 0 } else { values::size(size)? };
    let (rows, deleted_rows) =
        (number("ROWS", rows)?, deleted.map_or(Ok(0), |text| number("DELETED", text))?);
    for _ in 0..count {
        *at += apart;
        let when = Duration::try_from_secs_f64(*at).map_err(|error| error.to_string())?;
        arrivals.push(Arrival { at: when, bytes, rows, deleted_rows });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_table_has_is_refused_with_the_nearest_one() {
        let tables = || {
            let of = |name: &str| (name.to_owned(), SourcedPolicy::default());
            vec![of("node:Person"), of("edge:Knows")]
        };
        let asked = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            selected("g", tables(), &names)
        };
        assert_eq!(asked(&[]).unwrap().len(), 2);
        assert_eq!(asked(&["edge:Knows"]).unwrap()[0].0, "edge:Knows");
        let refused = asked(&["edge:Knows", "node:Persn"]).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Invalid);
        assert!(refused.message.contains("\"node:Persn\""), "{}", refused.message);
        assert_eq!(refused.hint.as_deref(), Some("did you mean node:Person?"));
        let far = asked(&["colours"]).unwrap_err();
        assert_eq!(far.hint.as_deref(), Some("there are node:Person, edge:Knows"));
    }

    #[test]
    fn a_section_that_is_about_no_table_here_is_told() {
        let known = ["events".to_owned()];
        assert_eq!(
            about_section("evnts", &known),
            "[table.\"evnts\"] of the file is about no table of this root; did you mean events?"
        );
    }
}

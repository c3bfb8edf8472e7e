//! Rows of `recover`.

use lancekeeper_manifest::FoundSidecar;
use lancekeeper_model::{
    LeftBehind, RecoverAction, RecoverRow, RecoverTable, TableRef, shell_word, without_secrets,
};
use lancekeeper_planner::recover::{Decision, ForeignFacts, RecoverStep, Unread};
use lancekeeper_planner::sweep::{SidecarDecision, SweepStep};

/// The row of a foreign sidecar.
pub(super) fn sidecar(
    facts: &ForeignFacts,
    step: &RecoverStep,
    found: &[FoundSidecar],
    uri: &str,
) -> RecoverRow {
    let mut row = RecoverRow::of(LeftBehind::Sidecar, &step.file);
    row.action = step.decision.action();
    row.why.clone_from(&step.why);
    row.branch = step.branch.clone();
    if let Decision::Wait { until } = &step.decision {
        row.waits_until = *until;
    }
    row.hint = hint(facts, step, uri);
    let file = found.iter().find(|found| found.path() == step.file);
    let said = file.and_then(|file| file.content.as_ref().ok());
    row.actor = said.and_then(|said| said.actor_id.clone());
    let Ok(content) = &facts.content else { return row };
    row.writer_kind = Some(content.kind_text.clone());
    row.started_at = content.started_at;
    row.tables = content
        .tables
        .iter()
        .enumerate()
        .map(|(at, table)| {
            let class = step.classes.get(at).map_or("", |class| class.name());
            let (key, branch) = (table.table.key.clone(), table.table.branch.clone());
            let mut row = RecoverTable::of(key, branch, class);
            (row.pin, row.head) = (table.pin, table.head);
            row
        })
        .collect();
    row
}

/// What is to be done about it. Its lines can be pasted into a shell, whatever names there are in them.
fn hint(facts: &ForeignFacts, step: &RecoverStep, uri: &str) -> Option<String> {
    let aside = || moves_aside(uri, &step.file);
    if let (Decision::Refuse, Some(unread)) = (&step.decision, unread(facts)) {
        return Some(unread_hint(unread, uri, &step.file));
    }
    match &step.decision {
        Decision::Stop => Some(format!(
            "open the graph with the client that wrote it, if it can be told; else {}",
            aside()
        )),
        Decision::Refuse => Some(format!(
            "open the graph with the client that wrote it, which may know more; else look at the tables, and {}",
            aside()
        )),
        // Another one's, or one of which the age cannot be told.
        Decision::Wait { until: None } if is_dated(facts) => None,
        Decision::Wait { .. } => {
            let operation = shell_word(&facts.operation);
            Some(format!("if its writer is known to be dead: --assume-dead {operation}"))
        }
        _ => None,
    }
}

/// What is to be done about a sidecar of ours, if it is not just ended.
pub(super) fn own_hint(step: &SweepStep, unread: Option<&Unread>, uri: &str) -> Option<String> {
    match (&step.decision, unread) {
        (SidecarDecision::Refuse, Some(unread)) => Some(unread_hint(unread, uri, &step.file)),
        (SidecarDecision::Refuse | SidecarDecision::Stop, _) => {
            Some(format!("look at the tables, and {}", moves_aside(uri, &step.file)))
        }
        _ => None,
    }
}

fn unread_hint(unread: &Unread, uri: &str, file: &str) -> String {
    if unread.may_pass {
        return "recover again once it can be read".to_owned();
    }
    format!(
        "restore what cannot be read, or the whole graph from one backup; if its client cannot read it either, {}",
        moves_aside(uri, file)
    )
}

fn moves_aside(uri: &str, file: &str) -> String {
    let (uri, file) = (without_secrets(uri), shell_word(file));
    let uri = shell_word(&uri);
    format!("`lancekeeper recover {uri} --quarantine {file} --confirm` moves it aside")
}

/// What it points to and could not be read, if so.
pub(super) fn unread(facts: &ForeignFacts) -> Option<&Unread> {
    facts.content.as_ref().ok()?.unread.as_ref()
}

fn is_dated(facts: &ForeignFacts) -> bool {
    facts.content.as_ref().is_ok_and(|content| content.started_at.is_some())
}

/// The row of a file that is moved aside. `forks` are those of the tables it names that no branch reads.
pub(super) fn aside(found: &FoundSidecar, forks: &[TableRef]) -> RecoverRow {
    let mut row = RecoverRow::of(LeftBehind::Sidecar, found.path());
    row.action = RecoverAction::Quarantine;
    row.why = match &found.content {
        Err(why) => format!("it cannot be understood: {why}"),
        Ok(_) => "nothing can be decided about it".to_owned(),
    };
    row.writer_kind = found.content.as_ref().ok().map(|content| content.writer_kind.clone());
    let tables = found.tables();
    let read: Vec<&TableRef> = tables.iter().filter(|table| !forks.contains(table)).collect();
    let mut hints = Vec::new();
    if tables.is_empty() {
        hints.push("what it covered is not known: tables that are ahead of their pins then show as drift, for `repair`, and forks that no branch reads are named by `status` and `repair`".to_owned());
    }
    if !read.is_empty() {
        hints.push(format!(
            "tables that are ahead of their pins then show as drift, for `repair`: {}",
            names(read)
        ));
    }
    if !forks.is_empty() {
        hints.push(format!(
            "a fork that no branch reads is no drift, and is left alone while the file is kept: {}",
            names(forks)
        ));
    }
    row.hint = Some(hints.join("; "));
    row
}

fn names<'a>(tables: impl IntoIterator<Item = &'a TableRef>) -> String {
    tables.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

//! Progress on stderr, driven by events: a bar with rate and time left for people, a JSON
//! line per event for machines. Nothing here slows a run down or makes it fail.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use lancekeeper_model::{NoProgress, Progress, ProgressEvent};

use super::Messages;
use super::units::duration;
use crate::target::without_secrets;

/// Fast enough to look alive, slow enough to cost nothing.
const TICK: Duration = Duration::from_millis(120);

/// Where events go while a verb runs; dropping it takes the bar away.
pub(crate) struct ProgressView {
    progress: Arc<dyn Progress>,
    bar: Option<ProgressBar>,
}

impl ProgressView {
    /// A bar if stderr is a terminal; else a word only where a run stands still on purpose.
    pub(crate) fn bar(messages: &Messages) -> Self {
        if messages.bars().is_hidden() {
            let notices = Notices { messages: messages.clone(), waiting: Mutex::default() };
            return Self { progress: Arc::new(notices), bar: None };
        }
        let bar = messages.bars().add(ProgressBar::no_length());
        bar.set_style(style("{spinner} {elapsed:>4} {msg}"));
        bar.set_message("looking");
        bar.enable_steady_tick(TICK);
        Self { progress: Arc::new(Bar { bar: bar.clone() }), bar: Some(bar) }
    }

    /// One JSON line per event.
    pub(crate) fn json(messages: &Messages) -> Self {
        Self { progress: Arc::new(Lines { messages: messages.clone() }), bar: None }
    }

    /// Nothing.
    pub(crate) fn none() -> Self {
        Self { progress: Arc::new(NoProgress), bar: None }
    }

    /// The receiver of events.
    pub(crate) fn progress(&self) -> Arc<dyn Progress> {
        Arc::clone(&self.progress)
    }
}

impl Drop for ProgressView {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

struct Lines {
    messages: Messages,
}

impl Progress for Lines {
    fn on_event(&self, event: ProgressEvent) {
        // A line of plain fields always serialises.
        if let Ok(line) = serde_json::to_string(&event.to_line()) {
            self.messages.raw(&format!("{line}\n"));
        }
    }
}

/// Says once per root that it waits: whoever reads a log would think it hangs.
struct Notices {
    messages: Messages,
    waiting: Mutex<HashSet<String>>,
}

impl Progress for Notices {
    fn on_event(&self, event: ProgressEvent) {
        if let ProgressEvent::PruneDelayed { uri, seconds_left } = event {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.insert(uri.clone()) {
                let time = duration(seconds_left.saturating_mul(1_000));
                let place = without_secrets(&uri);
                self.messages.line(&format!(
                    "{place}: pruning in {time}, for other writers' sake (--no-wait leaves it to the next run)"
                ));
            }
        }
    }
}

struct Bar {
    bar: ProgressBar,
}

impl Progress for Bar {
    fn on_event(&self, event: ProgressEvent) {
        match event {
            ProgressEvent::TablePlanned { bytes, .. }
            | ProgressEvent::DeletionsPlanned { bytes, .. }
                if bytes > 0 =>
            {
                if self.bar.length().is_none() {
                    self.bar.set_style(style(
                        "{spinner} {percent:>3}% [{bar:12}] {binary_bytes}/{binary_total_bytes} \
                         {binary_bytes_per_sec} {eta} left {msg:.40}",
                    ));
                    self.bar.set_length(0);
                    // What came before was planning: it says nothing about the rate.
                    self.bar.reset_eta();
                }
                self.bar.inc_length(bytes);
            }
            ProgressEvent::GroupStaged { table, bytes }
            | ProgressEvent::FilesDeleted { table, bytes, .. } => {
                self.bar.set_message(table.to_string());
                self.bar.inc(bytes);
            }
            ProgressEvent::PruneDelayed { seconds_left, .. } => {
                // There is nothing left to count.
                self.bar.set_style(style("{spinner} {elapsed:>4} {msg}"));
                self.bar.set_message(format!(
                    "pruning in {}",
                    duration(seconds_left.saturating_mul(1_000))
                ));
            }
            _ => {}
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use lancekeeper_model::{RootKind, TableKey, TableRef, Version};

    use super::*;
    use crate::output::{Screen, Terminal};

    #[test]
    fn every_event_is_one_json_line() {
        let (terminal, said) = Terminal::captured(Screen::plain(None));
        let view = ProgressView::json(&terminal.messages());
        let table = TableRef::on_main(TableKey::new("node:Person"));
        let progress = view.progress();
        progress.on_event(ProgressEvent::RootOpened { uri: "/g".into(), kind: RootKind::Graph });
        progress.on_event(ProgressEvent::TablePlanned {
            table: table.clone(),
            groups: 2,
            bytes: 9,
        });
        progress.on_event(ProgressEvent::GroupStaged { table: table.clone(), bytes: 4 });
        progress.on_event(ProgressEvent::TablePublished {
            table: table.clone(),
            from: Version(3),
            to: Version(5),
        });
        let (files, bytes) = (3, 12);
        progress.on_event(ProgressEvent::DeletionsPlanned { table: table.clone(), files, bytes });
        progress.on_event(ProgressEvent::FilesDeleted { table: table.clone(), files, bytes });
        progress.on_event(ProgressEvent::TableFinished { table, failed: false });
        progress.on_event(ProgressEvent::PruneDelayed { uri: "/g".into(), seconds_left: 120 });
        insta::assert_snapshot!(said.err(), @r#"
        {"event":"root_opened","uri":"/g","kind":"graph"}
        {"event":"table_planned","table":"node:Person","groups":2,"bytes":9}
        {"event":"group_staged","table":"node:Person","bytes":4}
        {"event":"table_published","table":"node:Person","from":3,"to":5}
        {"event":"deletions_planned","table":"node:Person","files":3,"bytes":12}
        {"event":"files_deleted","table":"node:Person","files":3,"bytes":12}
        {"event":"table_finished","table":"node:Person","failed":false}
        {"event":"prune_delayed","uri":"/g","seconds_left":120}
        "#);
        assert_eq!(said.out(), "");
    }

    #[test]
    fn the_bar_counts_planned_and_staged_bytes() {
        let bar = Bar { bar: ProgressBar::hidden() };
        bar.bar.unset_length();
        let table = TableRef::on_main(TableKey::new("events"));
        for bytes in [0, 10, 20] {
            let table = table.clone();
            bar.on_event(ProgressEvent::TablePlanned { table, groups: 1, bytes });
        }
        bar.on_event(ProgressEvent::GroupStaged { table, bytes: 10 });
        assert_eq!(bar.bar.length(), Some(30));
        assert_eq!(bar.bar.position(), 10);
        assert_eq!(bar.bar.message(), "events");
        bar.on_event(ProgressEvent::PruneDelayed { uri: "/db".into(), seconds_left: 75 });
        assert_eq!(bar.bar.message(), "pruning in 1 min 15 s");
    }

    #[test]
    fn no_bar_where_none_can_be_drawn() {
        let (terminal, said) = Terminal::captured(Screen::plain(None));
        let view = ProgressView::bar(&terminal.messages());
        assert!(view.bar.is_none());
        assert_eq!(said.err(), "");
        for seconds_left in [2, 1] {
            let uri = "/db".to_owned();
            view.progress().on_event(ProgressEvent::PruneDelayed { uri, seconds_left });
        }
        let said = said.err();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("/db: pruning in 2.0 s"), "{said}");
    }
}

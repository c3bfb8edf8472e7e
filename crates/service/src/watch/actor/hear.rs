//! What is heard from tasks: roots that were opened, looks, and runs that ended.

use lancekeeper_model::{ErrorKind, TableKey};
use lancekeeper_planner::schedule::{Outcome, Work};
use tokio::task::{Id, JoinError};

use super::super::event::WatchEventKind;
use super::super::look::{LookError, Looked, next_look};
use super::super::open::{OpenError, Opened};
use super::super::run::Ran;
use super::super::standing::{OpenRoot, State, retry_after};
use super::{Actor, Doing, Message, SETTLED_MOST};

type Ended = Result<(Id, Message), JoinError>;

impl Actor {
    /// Takes the message of a task.
    pub(super) fn hear(&mut self, ended: Ended) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(doing) = self.doing.remove(&id) else { return };
        match (doing, ended) {
            (Doing::Opening(root), Ok((_, Message::Opened(opened)))) => self.opened(root, opened),
            (Doing::Opening(root), Err(error)) => self.opened(root, Err(OpenError::Task(error))),
            (Doing::Looking(root), Ok((_, Message::Looked(looked)))) => self.looked(root, looked),
            (Doing::Looking(root), Err(error)) => {
                let error = LookError::Status(error.to_string(), ErrorKind::Internal);
                self.looked(root, Err(error));
            }
            (Doing::Running { root, table, work, .. }, Ok((_, Message::Ran(ran)))) => {
                self.ran(root, &table, work, &ran);
            }
            (Doing::Running { root, table, work, version }, Err(error)) => {
                self.ran(root, &table, work, &Ran::broken(&error.to_string(), version));
            }
            // Tasks end with the message of their kind.
            _ => {}
        }
    }

    /// The same at the end, when nothing is begun any more.
    pub(super) fn hear_the_end(&mut self, ended: Ended) {
        self.is_paused = true;
        self.hear(ended);
    }

    fn opened(&mut self, index: usize, opened: Result<Opened, OpenError>) {
        let at = self.at();
        let State::Opening { failures } = self.roots[index].state else { return };
        let uri = self.roots[index].uri.clone();
        match opened {
            Ok(opened) => {
                let stood_by = self.roots[index].told.as_ref().map(|(_, kind)| *kind);
                let text = match failures {
                    0 => "looks begin",
                    _ if stood_by == Some(ErrorKind::Busy) => "takes over from the other watcher",
                    _ => "looks begin again",
                };
                self.roots[index].state = State::Open(Box::new(OpenRoot::of(opened, at)));
                self.roots[index].told = None;
                self.tell(WatchEventKind::Watches, &uri, None, text);
            }
            Err(error) if error.is_taken() => {
                let text =
                    format!("another watcher has it ({error}); this one takes over when that ends");
                let root = &mut self.roots[index];
                // Not a failure: asked again at the same pace.
                root.close(at, 1);
                if root.is_news(&text, ErrorKind::Busy) {
                    self.tell(WatchEventKind::StandsBy, &uri, None, &text);
                }
            }
            Err(error) => self.lose(index, failures, &error.to_string(), error.kind()),
        }
    }

    fn looked(&mut self, index: usize, looked: Result<Box<Looked>, LookError>) {
        let at = self.at();
        let interval = self.options.interval;
        let uri = self.roots[index].uri.clone();
        self.roots[index].counts.looks += 1;
        let Some(open) = self.roots[index].open_mut() else { return };
        open.is_looking = false;
        let looked = match looked {
            Ok(looked) => *looked,
            Err(error @ LookError::Gone) => {
                return self.lose(index, 0, &error.to_string(), error.kind());
            }
            Err(error) => {
                open.failures = open.failures.saturating_add(1);
                open.fail_look(at, retry_after(open.failures));
                // What is known may be wrong by now.
                open.tables.values_mut().for_each(super::super::standing::Table::forget);
                let text = error.to_string();
                if self.roots[index].is_news(&text, error.kind()) {
                    self.tell(WatchEventKind::Warning, &uri, None, &text);
                }
                return;
            }
        };
        open.failures = 0;
        open.was_looked_at = true;
        let mut news: Vec<(Option<TableKey>, String)> =
            looked.warnings.iter().map(|warning| (None, warning.clone())).collect();
        let documents = open.documents.0.clone();
        let unreadable = open.take(&uri, looked, at);
        news.extend(unreadable.into_iter().map(|(table, why)| (Some(table), why)));
        let is_other = documents != open.documents.0;
        let known = open.tables.len();
        open.end_look(at, next_look(at.saturating_sub(open.last_change), interval));
        self.roots[index].told = None;
        for (table, text) in news {
            self.tell(WatchEventKind::Warning, &uri, table, &text);
        }
        if is_other {
            let text = match known {
                1 => "1 table is watched".to_owned(),
                known => format!("{known} tables are watched"),
            };
            self.tell(WatchEventKind::Policies, &uri, None, &text);
        }
        self.decide();
    }

    fn ran(&mut self, index: usize, table: &TableKey, work: Work, ran: &Ran) {
        let at = if self.options.once { self.at() + SETTLED_MOST } else { self.at() };
        let uri = self.roots[index].uri.clone();
        let kind = match ran.outcome {
            Outcome::Done => WatchEventKind::Done,
            Outcome::NoOp => WatchEventKind::NoOp,
            Outcome::Failed => WatchEventKind::Failed,
        };
        self.tell(kind, &uri, Some(table.clone()), &format!("{work}: {}", ran.text));
        let root = &mut self.roots[index];
        match ran.outcome {
            Outcome::Done => root.counts.runs += 1,
            Outcome::Failed => root.counts.failures += 1,
            Outcome::NoOp => {
                root.counts.no_ops += 1;
                let noop = root.noops.entry(table.clone()).or_default();
                *noop = (noop.0 + 1, format!("{work}: {}", ran.text));
            }
        }
        let now = self.at();
        if let Some(open) = self.roots[index].open_mut() {
            if let Some(table) = open.tables.get_mut(table) {
                table.memory.ended(at, ran.outcome, ran.version);
                table.forget();
            }
            open.next_look = now;
            open.last_change = now;
        }
        self.decide();
    }
}

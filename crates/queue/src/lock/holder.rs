//! Who holds a lock, as text in the lock file.
//!
//! FORMAT: lines of plain text, `schema 2` first, then a word and a value each. A holder's
//! text is read by people only; just the first line decides anything.

use std::fs;
use std::process;

use lancekeeper_model::{DocumentKind, OperationId};

/// The newest schema of lock files known here. Since 2 a run gives the lock back while it stages, and
/// says in a record what it needs (`run_record`): a keeper that does not know that would delete it.
pub(super) const SCHEMA: u32 = DocumentKind::Lock.version();

/// The first line of every lock file, with its end.
pub(super) const FIRST_LINE: &str = "schema 2\n";

/// What the holder of a lock tells those who come too late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    pid: u32,
    host: Option<String>,
    operation: OperationId,
    verb: String,
    started_at: String,
}

impl LockHolder {
    /// This process, running `verb` as `operation` since `started_at` (RFC 3339, by the
    /// caller's clock). The host is named if the system tells.
    #[must_use]
    pub fn this_process(operation: OperationId, verb: &str, started_at: &str) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
        Self {
            pid: process::id(),
            host: host.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()),
            operation,
            verb: verb.to_owned(),
            started_at: started_at.to_owned(),
        }
    }

    /// The operation that holds it.
    pub(crate) fn operation(&self) -> &OperationId {
        &self.operation
    }

    pub(crate) fn render(&self) -> String {
        let pid = self.pid.to_string();
        let lines = [
            ("pid", Some(pid.as_str())),
            ("host", self.host.as_deref()),
            ("operation", Some(self.operation.as_str())),
            ("verb", Some(&self.verb)),
            ("started-at", Some(&self.started_at)),
        ];
        let mut text = FIRST_LINE.to_owned();
        for (word, value) in lines {
            if let Some(value) = value {
                text.push_str(&format!("{word} {}\n", printable(value)));
            }
        }
        text
    }
}

/// What a lock file says.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) enum Description {
    /// Nothing: it is new, its holder is gone or just writing, or it is not ours.
    #[default]
    None,
    /// Who holds it, in one line.
    Holder(String),
    /// It states a schema that is not known here.
    Newer(String),
}

impl Description {
    /// Reads a lock file's text, which may be cut off anywhere. What is no number is newer:
    /// refusing is the safe mistake.
    pub(crate) fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let Some(schema) = lines.next().and_then(|line| line.strip_prefix("schema ")) else {
            return Self::None;
        };
        let schema = schema.trim();
        match schema.parse::<u64>() {
            _ if schema.is_empty() => return Self::None,
            Ok(found) if !DocumentKind::Lock.is_newer(found) => {}
            Ok(_) | Err(_) => return Self::Newer(printable(schema)),
        }
        let holder: Vec<_> = lines.map(printable).filter(|line| !line.is_empty()).collect();
        if holder.is_empty() { Self::None } else { Self::Holder(holder.join(", ")) }
    }
}

/// The operation in what a holder says of itself, in one line.
pub(super) fn operation_in(text: &str) -> Option<OperationId> {
    let operation = text.split(", ").find_map(|part| part.strip_prefix("operation "));
    operation.filter(|id| !id.is_empty()).map(OperationId::new)
}

/// One line, and nothing that moves the cursor of the terminal it ends up on.
fn printable(value: &str) -> String {
    value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().into()
}

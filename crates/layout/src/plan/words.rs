//! How plans read. Decides nothing.

use std::fmt;

use super::{ClusterGroup, ClusterPlan};

impl fmt::Display for ClusterPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rewrite(group) => group.fmt(f),
            Self::Nothing { reason } => write!(f, "nothing: {reason}"),
        }
    }
}

impl fmt::Display for ClusterGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said: Vec<_> = [
            counted(self.appended, "appended fragment", "appended fragments"),
            counted(self.crowded, "fragment that overlaps others", "fragments that overlap others"),
            counted(self.merged_runs, "earlier run", "earlier runs"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let rows: u64 = self.outputs.iter().sum();
        let sources = self.fragments.len();
        write!(f, "cluster {}: {rows} rows, {} bytes, ", said.join(" and "), self.bytes)?;
        write!(f, "{sources} fragments become {}", self.outputs.len())
    }
}

/// Why there is no work, where so many runs remain.
pub(super) fn why_nothing(runs: usize) -> String {
    match runs {
        0 => "the table has no fragments".to_owned(),
        1 => "nothing was appended, and nothing overlaps more than it must".to_owned(),
        _ => format!(
            "nothing was appended, nothing overlaps more than it must, and the {runs} runs are left as they are"
        ),
    }
}

fn counted(count: usize, one: &str, many: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{count} {many}")),
    }
}

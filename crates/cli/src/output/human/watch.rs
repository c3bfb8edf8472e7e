//! What a watcher did, for people.

use lancekeeper_model::{RootWatch, WatchBody};

use super::root_label;
use crate::output::style::{Tone, dotted, paint};
use crate::output::terminal::Screen;
use crate::output::units::{count, counted};
use crate::output::view::View;

impl View for WatchBody {
    fn is_shown(root: &RootWatch) -> bool {
        root.error.is_none() || root.runs + root.no_ops + root.failures > 0
    }

    fn root_text(root: &RootWatch, _dry_run: bool, screen: Screen) -> String {
        let heading = paint(&root_label(root.kind, &root.uri), Tone::Strong, screen.colour);
        let mut parts = vec![counted(root.runs, "run")];
        if root.no_ops > 0 {
            parts.push(format!("{} with nothing to do", count(root.no_ops)));
        }
        if root.failures > 0 {
            parts.push(format!("{} failed", count(root.failures)));
        }
        format!("{heading}\n  {}\n", dotted(&parts, screen.width))
    }
}

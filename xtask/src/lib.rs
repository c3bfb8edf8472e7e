//! What the project's own programs share: calls of cargo, the fixtures, the root of the workspace.
//!
//! A library, so that the package `interop` has it too and it is not written twice. The commands
//! themselves are in `main.rs` and in `interop`.
#![expect(
    clippy::print_stderr,
    reason = "a developer's tool speaks to the terminal it was started from"
)]

pub mod archive;
pub mod cargo;

use std::path::{Path, PathBuf};

/// The directory of the workspace.
pub fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask lies in the workspace").to_owned()
}

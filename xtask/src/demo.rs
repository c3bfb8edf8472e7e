//! A graph written by a real client, optimized in front of the reader.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use xtask::{archive, cargo};

const FIXTURE: &str = "omnigraph-0.8.0-main-only";

pub(crate) fn run(root: &Path) -> Result<()> {
    let binary = cargo::build_lancekeeper(root)?;
    let dir = cargo::target_directory(root)?.join("demo");
    archive::unpack(&root.join(archive::FIXTURES), FIXTURE, &dir)?;

    let graph = dir.join("graph");
    // Run from the root, so that what is echoed can be pasted.
    let graph = graph.strip_prefix(root).unwrap_or(&graph);
    for verb in ["status", "optimize", "status"] {
        let mut command = Command::new(&binary);
        command.current_dir(root).arg(verb).arg(graph);
        println!("\n$ {}", cargo::command_line(&command));
        cargo::run(&mut command).with_context(|| format!("the demo ended at {verb}"))?;
    }
    Ok(())
}

//! Calls of cargo, all with the same protoc and the same features.
//!
//! Lance takes many minutes to build. Whatever changes its fingerprint (another feature set, another
//! `PROTOC`, the variables that `cargo run` sets for us) builds it again, so every call of cargo is
//! made here.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Error, Result, bail, ensure};

/// Where the protoc of the crates lies, for `.cargo/protoc`.
const VENDORED_PROTOC: &str = "PROTOC_OF_XTASK";

/// What is tested and linted. Only `fail` and the crates that use it differ from a plain build.
pub const WITH_FAILPOINTS: [&str; 3] =
    ["--workspace", "--features", "lancekeeper-tests/failpoints"];

/// Builds the workspace.
pub fn build(root: &Path, args: &[String]) -> Result<()> {
    run(cargo(root)?.args(["build", "--workspace"]).args(args))
}

/// Builds the binary as it is shipped, with the versions it was tested with, and installs it.
pub fn install(root: &Path, args: &[String]) -> Result<()> {
    run(cargo(root)?.args(["install", "--locked", "--path", "crates/cli"]).args(args))
}

/// Runs every test, those of the failpoints too.
pub fn test(root: &Path, args: &[String]) -> Result<()> {
    // Tests run the binary as a person does, and nextest builds only what it runs itself.
    run(cargo(root)?.arg("build").args(WITH_FAILPOINTS))?;
    run(tests(root)?.args(args))
}

/// Builds everything with clippy and rustdoc in the compiler's place. A warning of either is an error.
pub fn lint_and_build(root: &Path) -> Result<()> {
    run(linting(cargo(root)?.arg("build").args(WITH_FAILPOINTS).arg("--all-targets"), root))
}

/// Runs every test of what [`lint_and_build`] has built.
pub fn test_linted(root: &Path) -> Result<()> {
    run(linting(&mut tests(root)?, root))
}

/// Artifacts made with another compiler are others: what is built with it is also run with it.
fn linting<'a>(command: &'a mut Command, root: &Path) -> &'a mut Command {
    command.env("RUSTC_WORKSPACE_WRAPPER", root.join(".cargo/lint"))
}

fn tests(root: &Path) -> Result<Command> {
    let mut command = cargo(root)?;
    if !nextest_is_installed(root)? {
        eprintln!("cargo-nextest is not installed: falling back to cargo test");
        // There are no doctests, so only the rest is named: looking for them takes a while per crate.
        command.arg("test").args(WITH_FAILPOINTS).args(["--lib", "--bins", "--tests"]);
        return Ok(command);
    }
    command.args(["nextest", "run"]).args(WITH_FAILPOINTS);
    if env::var_os("CI").is_some() {
        command.args(["--profile", "ci"]);
    }
    Ok(command)
}

/// Builds the workspace and returns the path of the binary.
pub fn build_lancekeeper(root: &Path) -> Result<PathBuf> {
    build(root, &[])?;
    let name = format!("lancekeeper{}", env::consts::EXE_SUFFIX);
    Ok(target_directory(root)?.join("debug").join(name))
}

/// Builds the binary as it is shipped and returns its path.
pub fn build_released(root: &Path) -> Result<PathBuf> {
    build(root, &["--release".to_owned()])?;
    let name = format!("lancekeeper{}", env::consts::EXE_SUFFIX);
    Ok(target_directory(root)?.join("release").join(name))
}

/// Where cargo puts what it builds.
pub fn target_directory(root: &Path) -> Result<PathBuf> {
    let metadata = cargo_metadata::MetadataCommand::new().current_dir(root).no_deps().exec()?;
    Ok(metadata.target_directory.into_std_path_buf())
}

/// A cargo that works in a directory, to be given its arguments.
pub fn cargo(dir: &Path) -> Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(dir);
    // Read by `.cargo/protoc`, which is what PROTOC is unless somebody sets another.
    if let Ok(path) = protoc_bin_vendored::protoc_bin_path() {
        command.env(VENDORED_PROTOC, path);
    }
    for (name, _) in env::vars_os().filter(|(name, _)| is_set_by_cargo_run(name)) {
        command.env_remove(name);
    }
    Ok(command)
}

/// Runs a command on our terminal; anything but success is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let line = command_line(command);
    let status = command.status().with_context(|| format!("failed to start {line}"))?;
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(())
}

/// Lets a command take our place: what it says and how it ends is all there is to say. Returns only if
/// it cannot be started.
pub fn hand_over(command: &mut Command) -> Error {
    let line = command_line(command);
    Error::new(command.exec()).context(format!("failed to start {line}"))
}

/// What a command printed, or what it said when it failed.
pub fn output(command: &mut Command) -> Result<String> {
    let line = command_line(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("failed to start {line}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line}: {}: {}", output.status, said.trim());
    String::from_utf8(output.stdout).with_context(|| format!("{line}: the output is not UTF-8"))
}

/// A command as a person would type it, the program by its name alone.
pub fn command_line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn nextest_is_installed(root: &Path) -> Result<bool> {
    let mut command = cargo(root)?;
    command.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.status()?.success())
}

/// Some build scripts run again when these change, and a cargo started by hand does not have them.
fn is_set_by_cargo_run(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_gets_a_protoc_and_nothing_of_the_outer_cargo() {
        let command = cargo(Path::new(".")).unwrap();
        let set =
            |name: &str| command.get_envs().any(|(key, value)| key == name && value.is_some());
        assert!(set(VENDORED_PROTOC));
        assert!(is_set_by_cargo_run("CARGO_PKG_NAME".as_ref()));
        assert!(!is_set_by_cargo_run("CARGO_HOME".as_ref()));
        assert!(!set("CARGO_PKG_NAME"));
    }

    #[test]
    fn a_failing_command_is_named_in_the_error() {
        let error = run(cargo(Path::new(".")).unwrap().arg("--no-such-flag").stderr(Stdio::null()));
        assert!(error.unwrap_err().to_string().starts_with("cargo --no-such-flag: exit status"));
    }
}

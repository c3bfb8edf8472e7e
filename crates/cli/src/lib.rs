//! The command line of Lancekeeper: arguments in, one report out, an exit code.
//!
//! Nothing here knows how tables are kept: verbs are calls of `lancekeeper`, and what they
//! report are values of `lancekeeper_model`. stdout holds only the result of a verb;
//! everything said on the way goes to stderr.

mod args;
mod caches;
mod drawings;
mod output;
mod priority;
mod roots;
mod run;
mod scratch;
mod settings;
mod signals;
mod target;
mod verbs;

use std::process::ExitCode;

/// Runs the binary: reads the arguments of this process, ends with its exit code.
///
/// Usage errors, `--help` and `--version` end the process here, with code 2 or 0.
#[must_use]
pub fn main() -> ExitCode {
    // Before anything else, so that whoever asks for the end in the first moments is heard.
    let listening = signals::listen();
    let cli = args::Cli::read(std::env::args_os()).unwrap_or_else(|refusal| refusal.exit());
    let mut terminal = output::Terminal::of_process();
    ExitCode::from(run::run(&cli, &mut terminal, listening))
}

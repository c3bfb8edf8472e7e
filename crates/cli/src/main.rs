//! The binary. Everything, the exit code included, is decided in the library.

fn main() -> std::process::ExitCode {
    lancekeeper_cli::main()
}

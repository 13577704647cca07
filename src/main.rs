//! The `kscen` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    kscen::cli::main().into()
}

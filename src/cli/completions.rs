//! `kscen completions`

use super::{Cli, Exit};
use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;

/// Prints completions for a shell.
#[derive(ClapArgs)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Exit {
    clap_complete::generate(args.shell, &mut Cli::command(), "kscen", &mut std::io::stdout());
    Exit::Pass
}

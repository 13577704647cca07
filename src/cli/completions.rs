//! `kscen completions`

use super::{Cli, Exit, Output};
use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;

/// Prints completions for a shell.
#[derive(ClapArgs)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    // The generator gives up on whom it cannot write to: it writes to memory.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "kscen", &mut text);
    output.data(String::from_utf8_lossy(&text).trim_end());
    Exit::Pass
}

//! `kscen man`

use super::{Cli, Exit, Output};
use clap::{Args as ClapArgs, CommandFactory};
use std::path::PathBuf;

/// Writes the manual pages, one for each command, into a folder: `kscen man ~/.local/share/man/man1`.
#[derive(ClapArgs)]
pub struct Args {
    /// The folder; it is made where it is missing.
    folder: PathBuf,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let written = std::fs::create_dir_all(&args.folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command().name("kscen"), &args.folder));
    match written {
        Ok(()) => Exit::Pass,
        Err(error) => {
            output.line(&format!("the pages cannot be written to {}: {error}", args.folder.display()));
            Exit::Broken
        }
    }
}

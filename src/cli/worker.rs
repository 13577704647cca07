//! `kscen worker`, which runs start for themselves.

use super::{Exit, Output};
use crate::worker::{WorkerError, serve};
use clap::Args as ClapArgs;
use std::io::Read;

/// Sends and reads for a run in another process, which speaks over the standard streams.
#[derive(ClapArgs)]
pub struct Args {
    /// Says nothing before it has heard a line: who attaches to a container hears only what comes after.
    #[arg(long, hide = true)]
    on_word: bool,
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    if args.on_word {
        match std::io::stdin().read_exact(&mut [0]) {
            Ok(()) => {}
            Err(_) => return Exit::Broken,
        }
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.line(&format!("cannot start: {error}"));
            return Exit::Broken;
        }
    };
    let served = serve(std::io::stdin(), std::io::stdout(), runtime.handle(), || {
        // Its clients send no more once the process has ended.
        std::process::exit(i32::from(Exit::Broken.code()))
    });
    // Clients that wait for a dead broker end with the process.
    runtime.shutdown_background();
    match served {
        Ok(()) => Exit::Pass,
        // The run ended without a word, and so does this.
        Err(WorkerError::Gone) => Exit::Broken,
        Err(error) => {
            output.line(&format!("this worker cannot go on: {error}"));
            Exit::Broken
        }
    }
}

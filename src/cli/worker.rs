//! `kscen worker`, which runs start for themselves.

use super::{Exit, Output};
use crate::worker::{WorkerError, serve};
use clap::Args as ClapArgs;

/// Sends and reads for a run in another process, which speaks over the standard streams.
#[derive(ClapArgs)]
pub struct Args {}

pub(super) fn run(_: &Args, output: &Output) -> Exit {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.line(&format!("cannot start: {error}"));
            return Exit::Broken;
        }
    };
    let served = serve(std::io::stdin(), std::io::stdout(), runtime.handle());
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

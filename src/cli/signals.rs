//! Ctrl-C and SIGTERM.

use super::Output;
use crate::execute::interrupt::{Interrupt, interrupter};
use tokio::signal::unix::{SignalKind, signal};

/// Listens for signals: once ends the load and heals, twice only undoes, three times leaves.
///
/// # Errors
/// Where the handlers cannot be installed.
pub fn listen(output: Output) -> std::io::Result<Interrupt> {
    let (interrupter, interrupt) = interrupter();
    for (kind, code) in [(SignalKind::interrupt(), 130), (SignalKind::terminate(), 143)] {
        let mut stream = signal(kind)?;
        let interrupter = interrupter.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                match interrupter.ask(code) {
                    1 => output.line(
                        "stopping: the load ends, faults are undone, `finally` runs; again: only faults are undone",
                    ),
                    2 => output.line("stopping: only faults are undone; again: leaves at once"),
                    // Somebody insists. Children end with this process; what is left in force stands in the undo journal.
                    _ => std::process::exit(code),
                }
            }
        });
    }
    Ok(interrupt)
}

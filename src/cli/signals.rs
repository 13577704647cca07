//! Ctrl-C and SIGTERM.

use super::Output;
use crate::execute::interrupt::{Interrupt, Interrupter, interrupter};
use tokio::signal::unix::{SignalKind, signal};

/// Listens for signals: once ends the load and heals, twice only undoes, three times leaves.
///
/// # Errors
/// Where the handlers cannot be installed.
pub fn listen(output: Output) -> std::io::Result<Interrupt> {
    let (interrupter, interrupt) = interrupter();
    for (kind, code) in [(SignalKind::interrupt(), 130), (SignalKind::terminate(), 143)] {
        let mut stream = signal(kind)?;
        let interrupter: Interrupter = interrupter.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                match interrupter.ask(code) {
                    1 => output.line("stopping: the load ends, faults are undone, `finally` runs; again to skip `finally`, a third time to leave at once"),
                    2 => output.line("stopping: only faults are undone; once more to leave at once"),
                    // Somebody insists. Children die with this process; the undo journal keeps the rest for `kscen undo`.
                    _ => std::process::exit(code),
                }
            }
        });
    }
    Ok(interrupt)
}

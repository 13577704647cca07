//! Ctrl-C, SIGTERM, and the hang-up of a terminal that is closed.

use super::Output;
use crate::backup::{BackupStop, BackupStopper};
use crate::execute::interrupt::{HeardBy, Interrupt, interrupter};
use tokio::signal::unix::{SignalKind, signal};

/// What is said where steps end that go on until somebody asks.
const SOAK_ENDS: &str =
    "the soak ends: what comes after it goes on, up to the verdict; press Ctrl-C again to interrupt the run";

/// Listens for signals: once ends the load and heals, twice only undoes, three times leaves.
///
/// # Errors
/// Where the handlers cannot be installed.
pub fn listen(output: Output) -> std::io::Result<Interrupt> {
    // Whoever insists leaves: children end with this process; what is left in force stands in the undo journal.
    listen_saying(
        output,
        &[
            "stopping: the load ends, faults are undone, `finally` runs; press Ctrl-C again to undo faults only",
            "stopping: only faults are undone; press Ctrl-C again to leave at once",
        ],
    )
}

/// Listens for signals: each of the first ones says its words, and the next one leaves.
///
/// # Errors
/// Where the handlers cannot be installed.
pub fn listen_saying(output: Output, words: &'static [&'static str]) -> std::io::Result<Interrupt> {
    let (interrupter, interrupt) = interrupter();
    let signals = [(SignalKind::interrupt(), 130), (SignalKind::terminate(), 143), (SignalKind::hangup(), 129)];
    for (kind, code) in signals {
        // Who starts kscen with `nohup` wants it to outlive the terminal.
        if kind == SignalKind::hangup() && is_ignored(kind) {
            continue;
        }
        let mut stream = signal(kind)?;
        let interrupter = interrupter.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                let said = match interrupter.ask(code) {
                    HeardBy::Soaks => Some(&SOAK_ENDS),
                    HeardBy::Runs(times) => words.get(usize::from(times) - 1),
                };
                match said {
                    Some(words) => output.line(words),
                    None => std::process::exit(code),
                }
            }
        });
    }
    Ok(interrupt)
}

/// Listens for signals: the first one says the words and asks to stop, and the next one leaves.
///
/// # Errors
/// Where the handlers cannot be installed.
pub fn stop_saying(output: Output, words: &'static [&'static str; 1]) -> std::io::Result<(Interrupt, BackupStop)> {
    let interrupt = listen_saying(output, words)?;
    let (stopper, stop) = BackupStopper::new();
    let mut asked = interrupt.clone();
    tokio::spawn(async move {
        asked.at_least(1).await;
        stopper.stop();
    });
    Ok((interrupt, stop))
}

/// Whether whoever started this process has told the kernel to ignore a signal.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (kind.as_raw_value() - 1) & 1 == 1
}

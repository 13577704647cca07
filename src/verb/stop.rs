//! Why a step is asked to end.

use tokio::sync::watch;

/// Why a step is asked to end, in order of urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// `steps` are over: drain, then end.
    RunEnd,
    /// Its time is up: end with what there is.
    Timeout,
    /// Another step failed for good, or somebody interrupted the run: end soon.
    Now,
}

/// Asks a step to end.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<Option<Stop>>);

/// Hears that a step is asked to end.
#[derive(Clone, Debug)]
pub struct StopSignal(watch::Receiver<Option<Stop>>);

/// A stopper and its signal.
pub fn stopper() -> (Stopper, StopSignal) {
    let (sender, receiver) = watch::channel(None);
    (Stopper(sender), StopSignal(receiver))
}

impl Stopper {
    /// Asks; a more urgent reason replaces a less urgent one.
    pub fn stop(&self, reason: Stop) {
        self.0.send_if_modified(|current| {
            let urgent = current.is_none_or(|current| reason > current);
            if urgent {
                *current = Some(reason);
            }
            urgent
        });
    }
}

impl StopSignal {
    /// Whether it was asked, and why.
    pub fn reason(&self) -> Option<Stop> {
        *self.0.borrow()
    }

    /// Waits until the step is asked to end for at least this reason.
    pub async fn at_least(&mut self, reason: Stop) -> Stop {
        loop {
            if let Some(current) = self.reason()
                && current >= reason
            {
                return current;
            }
            if self.0.changed().await.is_err() {
                // Whoever could ask is gone, and nobody will.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until the step is asked to end, whatever the reason.
    pub async fn asked(&mut self) -> Stop {
        self.at_least(Stop::RunEnd).await
    }
}

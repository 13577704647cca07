//! Being asked to stop at work.

use tokio::sync::watch;

/// Why work has to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopWhy {
    /// Somebody has cancelled it.
    Cancelled,
    /// The service ends, and goes on with it when it is started again.
    Ending,
}

/// Asks one job to stop.
#[derive(Clone, Debug)]
pub struct WorkStopper(watch::Sender<Option<StopWhy>>);

/// Hears it.
#[derive(Clone, Debug)]
pub struct WorkStop(watch::Receiver<Option<StopWhy>>);

impl WorkStopper {
    /// One, and what hears it.
    pub fn new() -> (Self, WorkStop) {
        let (sender, receiver) = watch::channel(None);
        (Self(sender), WorkStop(receiver))
    }

    /// Asks. The first reason stays.
    pub fn stop(&self, why: StopWhy) {
        self.0.send_if_modified(|asked| {
            let first = asked.is_none();
            asked.get_or_insert(why);
            first
        });
    }
}

impl WorkStop {
    /// Why it was asked, where it was.
    pub fn why(&self) -> Option<StopWhy> {
        *self.0.borrow()
    }

    /// Waits until it is.
    pub async fn asked(&self) {
        if self.0.clone().wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

//! Being asked to stop.

use tokio::sync::watch;

/// Asks backups to stop in good order.
#[derive(Clone, Debug)]
pub struct BackupStopper(watch::Sender<bool>);

/// Hears it.
#[derive(Clone, Debug)]
pub struct BackupStop(Option<watch::Receiver<bool>>);

impl BackupStopper {
    /// One, and what hears it.
    pub fn new() -> (Self, BackupStop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), BackupStop(Some(receiver)))
    }

    /// Asks.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl BackupStop {
    /// Nobody ever asks.
    pub fn never() -> Self {
        Self(None)
    }

    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        self.0.as_ref().is_some_and(|receiver| *receiver.borrow())
    }

    /// Waits until it is.
    pub async fn asked(&self) {
        if let Some(receiver) = &self.0
            && receiver.clone().wait_for(|asked| *asked).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

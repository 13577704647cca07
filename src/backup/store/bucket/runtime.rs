//! Threads for requests: the store is used by plain threads and by those that run tasks, and none of them may run a request itself.

use std::io;
use std::sync::mpsc::sync_channel;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Threads that end with it, whoever drops it.
pub(super) struct BucketRuntime(Option<Runtime>);

impl BucketRuntime {
    /// Two threads.
    ///
    /// # Errors
    /// The system has none.
    pub(super) fn new() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("kscen-store").enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Begins a task.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        self.0.as_ref().map(|runtime| runtime.spawn(work))
    }

    /// Does it and waits for it.
    ///
    /// # Errors
    /// Its own; that its threads ended before it did.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let (sender, receiver) = sync_channel(1);
        self.spawn(async move {
            // Who waits cannot have gone: it holds the other end until this is here.
            let _ = sender.send(work.await);
        });
        receiver.recv().unwrap_or_else(|_| Err(io::Error::other("the request was given up")))
    }
}

impl Drop for BucketRuntime {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed in a thread that runs tasks.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

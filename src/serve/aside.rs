//! What waits for a disk, or computes for long, beside the threads that run tasks.

/// Does it in a thread of its own. A panic goes on here.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that ends gives it up, and then nobody waits any more.
            Err(_) => std::future::pending().await,
        },
    }
}

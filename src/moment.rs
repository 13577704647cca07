//! What time it is for the control plane.
//!
//! Timers are tokio's. Times that are compared with them come from here, so that a test that pauses tokio's time pauses all
//! of it, and a run of an hour takes microseconds.

use std::future::Future;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Now, on tokio's clock: the monotonic one, unless a test has paused it.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time since a moment that [`now`] gave.
pub fn since(moment: Instant) -> Duration {
    now().saturating_duration_since(moment)
}

/// Looks at once and then `every` so often, until a look breaks off with an answer; what the last look saw where `limit` was over
/// before.
///
/// # Errors
/// The first that a look fails with.
pub async fn poll<T, S, E, F: Future<Output = Result<ControlFlow<T, S>, E>>>(
    every: Duration,
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> Result<ControlFlow<T, S>, E> {
    let started = now();
    loop {
        let seen = look().await?;
        if seen.is_break() || since(started) >= limit {
            return Ok(seen);
        }
        tokio::time::sleep(every).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ControlFlow::{Break, Continue};

    #[tokio::test(start_paused = true)]
    async fn a_poll_ends_with_an_answer_an_error_or_its_time() {
        let every = Duration::from_secs(1);
        let counted = |answer: u32, fails: u32| {
            let mut looks = 0;
            move || {
                looks += 1;
                let looks = looks;
                async move {
                    if looks == fails {
                        return Err(looks);
                    }
                    Ok(if looks == answer { Break(looks) } else { Continue(looks) })
                }
            }
        };
        let started = now();
        assert_eq!(poll(every, Duration::from_secs(5), counted(3, 0)).await, Ok(Break(3)));
        assert_eq!(since(started), Duration::from_secs(2));
        assert_eq!(
            poll(every, Duration::from_secs(5), counted(9, 0)).await,
            Ok(Continue(6)),
            "the first look is at once"
        );
        assert_eq!(poll(every, Duration::ZERO, counted(9, 0)).await, Ok(Continue(1)), "there is one look at least");
        assert_eq!(poll(every, Duration::from_secs(5), counted(9, 2)).await, Err(2));
    }
}

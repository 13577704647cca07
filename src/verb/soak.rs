//! Steps that go on until somebody asks them to end.

use tokio::sync::watch;

/// Which steps of all runs go on until somebody asks: they hear it before the runs do.
#[derive(Clone, Debug)]
pub struct Soaks(watch::Sender<Asking>);

/// How often steps were asked to end, and how many go on that have not been.
#[derive(Clone, Copy, Debug, Default)]
struct Asking {
    round: u64,
    going: usize,
}

/// A step that goes on until somebody asks. It is over with this value.
#[derive(Debug)]
pub struct Soak {
    soaks: watch::Sender<Asking>,
    heard: watch::Receiver<Asking>,
    /// What was asked before it began was not asked of it.
    round: u64,
}

impl Default for Soaks {
    fn default() -> Self {
        Self(watch::channel(Asking::default()).0)
    }
}

impl Soaks {
    /// A step begins to go on.
    pub fn begin(&self) -> Soak {
        let mut round = 0;
        self.0.send_modify(|asking| {
            asking.going += 1;
            round = asking.round;
        });
        Soak { soaks: self.0.clone(), heard: self.0.subscribe(), round }
    }

    /// Asks all of them to end; false where none goes on that was not asked before.
    pub fn end(&self) -> bool {
        self.0.send_if_modified(|asking| {
            let any = asking.going > 0;
            if any {
                *asking = Asking { round: asking.round + 1, going: 0 };
            }
            any
        })
    }
}

impl Soak {
    /// Waits until somebody asks it to end.
    pub async fn asked(&mut self) {
        let round = self.round;
        // It holds a sender itself: nobody else can close this.
        let _ = self.heard.wait_for(|asking| asking.round > round).await;
    }
}

impl Drop for Soak {
    fn drop(&mut self) {
        self.soaks.send_modify(|asking| {
            if asking.round == self.round {
                asking.going = asking.going.saturating_sub(1);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn who_goes_on_hears_it_and_nobody_else_does() {
        let soaks = Soaks::default();
        assert!(!soaks.end(), "nobody goes on");
        let (mut first, ended) = (soaks.begin(), soaks.begin());
        drop(ended);
        assert!(first.asked().now_or_never().is_none());
        assert!(soaks.clone().end());
        assert!(first.asked().now_or_never().is_some());
        assert!(!soaks.end(), "it was asked already");
        let mut later = soaks.begin();
        assert!(later.asked().now_or_never().is_none(), "what was asked before was not asked of it");
        drop(first);
        assert!(soaks.end(), "the end of the first is not that of the later one");
        assert!(later.asked().now_or_never().is_some());
        drop(later);
        let over = soaks.begin();
        drop(over);
        assert!(!soaks.end(), "nobody goes on any more");
    }
}

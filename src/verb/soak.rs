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

/// How many parts of one run, whose rest is not run, ask the steps that go on until somebody asks to end.
#[derive(Debug)]
pub(super) struct RunSoaks(watch::Sender<usize>);

/// A step that goes on until somebody asks. It is over with this value.
#[derive(Debug)]
pub struct Soak {
    soaks: watch::Sender<Asking>,
    heard: watch::Receiver<Asking>,
    /// What was asked before it began was not asked of it.
    round: u64,
    /// What its own run asks.
    run: Option<watch::Receiver<usize>>,
}

impl Default for RunSoaks {
    fn default() -> Self {
        Self(watch::channel(0).0)
    }
}

impl RunSoaks {
    /// A step of this run.
    pub(super) fn begin(&self, soaks: &Soaks) -> Soak {
        let mut soak = soaks.begin();
        soak.run = Some(self.0.subscribe());
        soak
    }

    /// Asks those of this run to end, also those that are about to begin; or takes back what was asked once, so that others may begin.
    pub(super) fn end(&self, ends: bool) {
        self.0.send_modify(|asking| *asking = if ends { *asking + 1 } else { asking.saturating_sub(1) });
    }
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
        Soak { soaks: self.0.clone(), heard: self.0.subscribe(), round, run: None }
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
        let Self { heard, round, run, .. } = self;
        let by_somebody = async {
            // It holds a sender itself: nobody else can close this.
            let _ = heard.wait_for(|asking| asking.round > *round).await;
        };
        let by_its_run = async {
            match run {
                Some(ending) => {
                    if ending.wait_for(|asking| *asking > 0).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = by_somebody => {}
            () = by_its_run => {}
        }
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

    #[test]
    fn a_run_ends_its_own_and_no_others() {
        let (soaks, own, others) = (Soaks::default(), RunSoaks::default(), RunSoaks::default());
        let (mut one, mut other) = (own.begin(&soaks), others.begin(&soaks));
        own.end(true);
        assert!(one.asked().now_or_never().is_some());
        assert!(other.asked().now_or_never().is_none());
        assert!(own.begin(&soaks).asked().now_or_never().is_some(), "it was about to begin");
        own.end(false);
        assert!(own.begin(&soaks).asked().now_or_never().is_none(), "it is of another part of the run");
        own.end(true);
        own.end(true);
        own.end(false);
        assert!(own.begin(&soaks).asked().now_or_never().is_some(), "the other part still asks");
        own.end(false);
        drop(one);
        assert!(soaks.end(), "the other one goes on");
        assert!(other.asked().now_or_never().is_some());
    }
}

//! Ctrl-C, SIGTERM and SIGHUP: once ends the load and heals, twice only undoes, three times leaves. What goes on until somebody asks
//! hears it first: that ends it, and interrupts nothing.

use crate::verb::Soaks;
use tokio::sync::watch;

/// How often, and by which signal, the run was asked to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// How often.
    pub times: u8,
    /// 128 + the first signal: 129, 130 or 143.
    pub code: i32,
}

/// Asks runs to end; one for the whole program.
#[derive(Clone, Debug)]
pub struct Interrupter(watch::Sender<Asked>, Soaks);

/// Who has heard that somebody asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeardBy {
    /// Steps that go on until then: they end in good order, and their runs go on.
    Soaks,
    /// The runs, which were asked so often by now.
    Runs(u8),
}

/// Hears it.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<Asked>, Soaks);

/// An interrupter and what hears it.
pub fn interrupter() -> (Interrupter, Interrupt) {
    let (sender, receiver) = watch::channel(Asked::default());
    let soaks = Soaks::default();
    (Interrupter(sender, soaks.clone()), Interrupt(receiver, soaks))
}

impl Interrupter {
    /// Somebody asks, by a signal with that exit code.
    pub fn ask(&self, code: i32) -> HeardBy {
        if self.1.end() {
            return HeardBy::Soaks;
        }
        let mut times = 0;
        self.0.send_modify(|asked| {
            asked.times = asked.times.saturating_add(1);
            if asked.times == 1 {
                asked.code = code;
            }
            times = asked.times;
        });
        HeardBy::Runs(times)
    }
}

impl Interrupt {
    /// The steps that hear it before the runs do.
    pub fn soaks(&self) -> Soaks {
        self.1.clone()
    }

    /// How often so far.
    pub fn asked(&self) -> Asked {
        *self.0.borrow()
    }

    /// Waits until it was asked at least so often.
    pub async fn at_least(&mut self, times: u8) -> Asked {
        loop {
            let asked = self.asked();
            if asked.times >= times {
                return asked;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

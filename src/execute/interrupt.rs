//! Ctrl-C, SIGTERM and SIGHUP: once ends the load and heals, twice only undoes, three times leaves.

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
pub struct Interrupter(watch::Sender<Asked>);

/// Hears it.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<Asked>);

/// An interrupter and what hears it.
pub fn interrupter() -> (Interrupter, Interrupt) {
    let (sender, receiver) = watch::channel(Asked::default());
    (Interrupter(sender), Interrupt(receiver))
}

impl Interrupter {
    /// Somebody asks, by a signal with that exit code. Returns how often that was.
    pub fn ask(&self, code: i32) -> u8 {
        let mut times = 0;
        self.0.send_modify(|asked| {
            asked.times = asked.times.saturating_add(1);
            if asked.times == 1 {
                asked.code = code;
            }
            times = asked.times;
        });
        times
    }
}

impl Interrupt {
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

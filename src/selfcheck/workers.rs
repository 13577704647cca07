//! What workers do in a round: each of them sends, beside what is injected, and some of them read all of it.

use super::round::SelfcheckError;
use crate::accounting::{KeySpec, RunIdentity, Schedule, SenderAccount};
use crate::kafka::LogSink;
use crate::load::afar::Afar;
use crate::load::payload::Sizes;
use crate::load::produce::Acks;
use crate::load::{PayloadSpec, ProduceJob, ProduceSpec};
use crate::record::{Detail, RunClock};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Messages that all of them send in a round.
pub(super) const SENT: u64 = 1000;
/// How many a second.
const RATE: f64 = 2000.0;
/// Readers at most: each is given every message, and so are its accounts.
const READERS: u32 = 3;

/// The workers of a self-check.
pub struct Workers {
    /// Whoever runs what runs in them.
    pub afar: Arc<dyn Afar>,
    /// Their clock.
    pub clock: RunClock,
    /// How many there are.
    pub count: u32,
}

impl Workers {
    /// How many of them read.
    pub(super) fn readers(&self) -> u32 {
        self.count.clamp(1, READERS)
    }

    /// Sends from each of them; the accounts of all senders. Blocks.
    pub(super) fn send(
        &self,
        connection: &BTreeMap<String, String>,
        topic: &str,
        run: &Arc<RunIdentity>,
    ) -> Result<Vec<SenderAccount>, SelfcheckError> {
        let mut load = ProduceJob::prepare(ProduceSpec {
            name: "selfcheck-load".to_owned(),
            topic: topic.to_owned(),
            schedule: Schedule::constant(RATE, SENT),
            producers: self.count as usize,
            payload: PayloadSpec::Random { size: Sizes::Fixed(200), compressibility: 0.5 },
            key: KeySpec::Uniform(100),
            headers: Vec::new(),
            identity: None,
            acks: Acks::All,
            // Each producer would wait for its id first.
            idempotent: false,
            transaction: None,
            connection: connection.clone(),
            config: BTreeMap::new(),
            run: Arc::clone(run),
            seed: 1,
            logs: LogSink::default(),
            detail: Detail::default(),
            afar: Some(Arc::clone(&self.afar)),
        })?;
        load.start(self.clock)?;
        let (report, senders) = load.join();
        match report.fatal {
            Some(fatal) => Err(SelfcheckError::NotSent(fatal)),
            None if report.acked < SENT => {
                Err(SelfcheckError::NotSent(format!("{} of {SENT} messages were acknowledged", report.acked)))
            }
            None => Ok(senders),
        }
    }
}

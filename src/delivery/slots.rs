//! Looks at the replication slots of the run's connectors: how much of the database's log, and which changes, they have not confirmed.

use super::connectors::KnownConnector;
use crate::accounting::changes::oldest_unconfirmed;
use crate::database::{DatabaseError, DatabaseResult, ReplicationSlot, Session};
use crate::moment;
use crate::record::SlotSample;
use crate::verb::{ChangesSoFar, SharedRun};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long the database may take to answer: what is not seen now is seen in a second.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the rules of connectors are taken to be what they were.
const FRESH: Duration = Duration::from_secs(20);

/// Looks at slots again and again.
#[derive(Default)]
pub struct SlotWatch {
    session: Option<Session>,
    known: Vec<KnownConnector>,
    /// The connectors whose rules are known, and since when.
    since: Option<(Vec<String>, Instant)>,
}

/// A slot as it was seen.
pub struct SeenSlot {
    /// Its connector.
    pub connector: String,
    /// Its name.
    pub slot: String,
    /// What it was like.
    pub sample: SlotSample,
}

impl SlotWatch {
    /// Looks at the slot of each connector of the run; nothing where the database does not answer.
    pub async fn look(&mut self, run: &SharedRun) -> Vec<SeenSlot> {
        let captures = run.changes.captures();
        if captures.is_empty() {
            return Vec::new();
        }
        let names: Vec<String> = captures.keys().cloned().collect();
        if self.since.as_ref().is_none_or(|(known, since)| *known != names || since.elapsed() > FRESH) {
            self.known = KnownConnector::of(run).await;
            self.since = Some((names, moment::now()));
        }
        match tokio::time::timeout(PATIENCE, self.seen(run)).await {
            Ok(Some(seen)) => seen,
            // A connection on which a question is open is not asked again.
            Ok(None) | Err(_) => {
                self.session = None;
                Vec::new()
            }
        }
    }

    async fn seen(&mut self, run: &SharedRun) -> Option<Vec<SeenSlot>> {
        let (slots, now_us) = self.slots(run).await.ok()?;
        let captures = run.changes.captures();
        let of = |name: &str| slots.iter().find(|slot| slot.name == name);
        // What was committed is read behind the slots: a change that is not known of by now was not there when they were looked at.
        let look = |seen: ChangesSoFar<'_>| {
            let oldest = captures.iter().filter_map(|(connector, capture)| {
                let confirmed = of(&capture.slot)?.confirmed_flush_lsn?;
                let mut known = self.known.iter().filter(|known| known.rules.connector == *connector).peekable();
                known.peek()?;
                let waits = |known: &KnownConnector| {
                    oldest_unconfirmed(seen.settled, seen.transactions, &known.connector(), confirmed)
                };
                Some((connector.clone(), known.filter_map(waits).min()))
            });
            oldest.collect::<BTreeMap<String, Option<i64>>>()
        };
        let oldest = run.changes.read(look).await.ok()?.unwrap_or_default();
        let seconds = |since_us: i64| (now_us - since_us).max(0) as f64 / 1e6;
        let seen = captures.into_iter().map(|(connector, capture)| {
            let slot = of(&capture.slot);
            let bytes = |of: fn(&ReplicationSlot) -> Option<i64>| u64::try_from(of(slot?)?).ok();
            let sample = SlotSample {
                at: run.clock.now(),
                active: slot.is_some_and(|slot| slot.active),
                status: slot.map_or_else(|| "absent".to_owned(), |slot| slot.wal_status.clone().unwrap_or_default()),
                lag: bytes(|slot| slot.lag_bytes),
                retained: bytes(|slot| slot.retained_bytes),
                lag_time: oldest.get(&connector).map(|oldest| oldest.map_or(0.0, seconds)),
            };
            SeenSlot { connector, slot: capture.slot, sample }
        });
        Some(seen.collect())
    }

    /// The slots of the server, and its clock then.
    async fn slots(&mut self, run: &SharedRun) -> DatabaseResult<(Vec<ReplicationSlot>, i64)> {
        if self.session.is_none() {
            let database = run.database().map_err(|error| DatabaseError::Misuse { message: error.message })?;
            self.session = Some(database.connect().await?);
        }
        let Some(session) = &self.session else { return Ok((Vec::new(), 0)) };
        Ok((session.slots().await?, session.clock_us().await?))
    }
}

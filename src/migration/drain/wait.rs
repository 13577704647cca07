//! Waiting until a group has read everything.

use super::lag::{self, QueueLook};
use super::progress::QueueProgress;
use crate::backup::BackupStop;
use crate::migration::migration_error::MigrationError;
use crate::moment;
use crate::wire::WireCluster;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What is waited for.
#[derive(Clone, Debug)]
pub struct DrainOptions {
    /// The group.
    pub group: String,
    /// Only its messages in this topic; `None` for all topics that it has committed something for, or that its members read.
    pub topic: Option<String>,
    /// At most so many messages may be left, over all partitions.
    pub lag: u64,
    /// How long it may take.
    pub within: Duration,
    /// The time between two looks.
    pub interval: Duration,
    /// Ends it early.
    pub stop: BackupStop,
}

impl DrainOptions {
    /// Until a group has read everything, for five minutes.
    pub fn new(group: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            topic: None,
            lag: 0,
            within: Duration::from_secs(300),
            interval: Duration::from_secs(1),
            stop: BackupStop::never(),
        }
    }
}

/// What happens meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum DrainEvent {
    /// The group was looked at.
    Lag {
        /// Messages before it, up to the last stable offset, over all partitions.
        lag: u64,
        /// By how many messages a second the queue became shorter in the last half minute; below zero where it became longer.
        rate: Option<f64>,
        /// How many seconds it takes at that rate, where it becomes shorter.
        estimate: Option<f64>,
        /// How many members the group has.
        members: usize,
    },
    /// The cluster did not answer; it is asked again.
    Away {
        /// What happened.
        reason: String,
    },
    /// Something that the user should know.
    Remark {
        /// What it is.
        reason: String,
    },
}

/// Who is told.
#[derive(Clone)]
pub struct DrainListener(Arc<dyn Fn(DrainEvent) + Send + Sync>);

impl DrainListener {
    /// Calls this function.
    pub fn new(tell: impl Fn(DrainEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(super) fn tell(&self, event: DrainEvent) {
        (self.0)(event);
    }
}

impl fmt::Debug for DrainListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DrainListener")
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Drained {
    /// Messages before the group at the first look.
    pub before: u64,
    /// The same at the last.
    pub after: u64,
    /// By how many messages a second the queue became shorter; `None` where the first look was the last.
    pub rate: Option<f64>,
}

/// Waits until a group has at most so many messages before it, counted up to the last stable offset of each partition.
///
/// ACL: DESCRIBE on the Group and on the Topics; READ on the Topics to count messages instead of offsets.
///
/// # Errors
/// [`MigrationError::NotDrained`] where the time is over; there is no such group, it has no offsets, or something may not be seen.
pub async fn drain(
    cluster: &WireCluster,
    options: &DrainOptions,
    listener: &DrainListener,
) -> Result<Drained, MigrationError> {
    let begun = moment::now();
    let mut progress = QueueProgress::default();
    let mut told = false;
    loop {
        let looked = moment::now();
        match lag::look(cluster, &options.group, options.topic.as_deref()).await {
            Ok(look) => {
                if look.unseen && !std::mem::replace(&mut told, true) {
                    let reason = "topics that the principal may not see are not counted".to_owned();
                    listener.tell(DrainEvent::Remark { reason });
                }
                let (lag, members) = (look.lag(), look.members.len());
                let drained = is_drained(&look, options);
                progress.see(moment::since(begun), look);
                let estimate = progress.estimate(options.lag).map(|estimate| estimate.as_secs_f64());
                listener.tell(DrainEvent::Lag { lag, rate: progress.rate(), estimate, members });
                if drained? {
                    let before = progress.first().unwrap_or(lag);
                    return Ok(Drained { before, after: lag, rate: progress.rate_of_all() });
                }
            }
            Err(MigrationError::Cluster { source, .. })
                if source.is_passing() && moment::since(begun) < options.within =>
            {
                listener.tell(DrainEvent::Away { reason: source.in_full() });
            }
            Err(error) => return Err(error),
        }
        if moment::since(begun) >= options.within {
            let found = progress.not_drained(&options.group, options.lag, options.within);
            return Err(match found {
                Some(found) => MigrationError::NotDrained(Box::new(found)),
                None => MigrationError::refused("the cluster has not answered in time", "look at its brokers"),
            });
        }
        let left = options.within.saturating_sub(moment::since(begun));
        let pause = options.interval.saturating_sub(moment::since(looked)).min(left);
        tokio::select! {
            biased;
            () = options.stop.asked() => return Err(MigrationError::Stopped),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Whether no more is left than may be.
///
/// # Errors
/// Of what can be seen that holds, and there may be more.
fn is_drained(look: &QueueLook, options: &DrainOptions) -> Result<bool, MigrationError> {
    if look.lag() > options.lag {
        return Ok(false);
    }
    if look.unseen {
        return Err(MigrationError::refused(
            format!(
                "of what can be seen, group `{}` has {} messages before it; topics that the principal may not see may hold more of them",
                options.group,
                look.lag()
            ),
            "grant it DESCRIBE on Topic `*`, or name the topic that is waited for",
        ));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::super::lag::QueuePartition;
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_queue_of_which_a_part_is_hidden_is_not_drained() {
        let options = DrainOptions { lag: 5, ..DrainOptions::new("workers") };
        let look = |left, unseen| QueueLook {
            partitions: BTreeMap::from([(("q".to_owned(), 0), QueuePartition { committed: Some(9), left })]),
            members: Vec::new(),
            unseen,
        };
        assert!(is_drained(&look(5, false), &options).is_ok_and(|drained| drained));
        // However much is hidden, this much is too much.
        assert!(
            [false, true].iter().all(|unseen| is_drained(&look(6, *unseen), &options).is_ok_and(|drained| !drained))
        );
        let refused = is_drained(&look(0, true), &options).expect_err("there may be more");
        assert!(refused.remedy().is_some_and(|remedy| remedy.contains("DESCRIBE on Topic `*`")), "{refused}");
    }
}

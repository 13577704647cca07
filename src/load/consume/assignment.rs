//! Waiting for a group's assignment.

use super::job::ConsumeJob;
use crate::kafka::KafkaFailure;
use crate::load::LoadError;
use std::time::{Duration, Instant};

/// How long members of this run are waited for before the group itself is asked who else is in it.
const PATIENCE: Duration = Duration::from_secs(10);

impl ConsumeJob {
    /// Waits until the group has given every running member its part, and every partition to somebody.
    pub(super) fn await_assignment(&self, limit: Duration) -> Result<(), LoadError> {
        let begun = Instant::now();
        let deadline = begun + limit;
        let live = &self.shared.live;
        let mut complete = false;
        while !complete && !live.is_failed() && Instant::now() < deadline {
            let turn = deadline.min(Instant::now() + Duration::from_secs(2));
            complete = live.wait_until(turn, || live.is_failed() || self.is_assigned());
            if !complete && begun.elapsed() > PATIENCE && self.has_joined() {
                complete = self.shares_with_strangers();
            }
        }
        let books = self.shared.books();
        match (&books.fatal, complete) {
            (Some(fatal), _) => Err(LoadError::Spec(format!("the reader could not join its group: {fatal}"))),
            (None, true) => Ok(()),
            (None, false) => Err(LoadError::Kafka(KafkaFailure::Request {
                action: "join the group".into(),
                code: "_TIMED_OUT".into(),
                detail: format!("not every partition was assigned within {} s", limit.as_secs()),
            })),
        }
    }

    /// Whether every running member has its part, and the group's members, those of other steps included, hold every
    /// partition together.
    pub fn is_assigned(&self) -> bool {
        let Some(group) = &self.shared.spec.group else { return true };
        let held = self.shared.spec.run.held_by(group, &self.shared.spec.topic);
        self.has_joined() && self.shared.partitions().iter().all(|partition| held.contains(partition))
    }

    /// Whether each running member was assigned its share, which may be empty, in its present life.
    pub(crate) fn has_joined(&self) -> bool {
        let Some(group) = &self.shared.spec.group else { return true };
        let running: Vec<usize> =
            self.shared.books().lives.iter().filter(|life| life.end.is_none()).map(|life| life.member).collect();
        let spec = &self.shared.spec;
        running.into_iter().all(|member| spec.run.is_member(group, &spec.topic, &spec.name, member))
    }

    /// Whether the group is stable with more members than this reader has: the others hold the rest.
    fn shares_with_strangers(&self) -> bool {
        let Some(group) = &self.shared.spec.group else { return false };
        let members = self.offsets.group_members(group, Duration::from_secs(5));
        members.is_some_and(|members| members as u64 > self.shared.live.alive())
    }
}

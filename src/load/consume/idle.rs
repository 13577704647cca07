//! A member for which its group has nothing, and whose client does not say so.

use super::member::{ReadProgress, ReaderMember};
use crate::load::afar::MemberEvent;
use std::time::{Duration, Instant};

/// Between two looks at the group.
const AGAIN: Duration = Duration::from_secs(1);

impl ReaderMember {
    /// In the protocol of Kafka 4 a client tells what changes, and nothing changes for a member that is given nothing. In the old
    /// one every member is told what it has, even if that is nothing.
    pub(super) fn note_idleness(&self, progress: &mut ReadProgress) {
        let Some(look) = self.shared.group_look.as_ref().filter(|_| !progress.told) else { return };
        if progress.looked.is_some_and(|looked| looked.elapsed() < AGAIN) {
            return;
        }
        progress.looked = Some(Instant::now());
        let spec = &self.shared.spec;
        let (Some(group), Some(name)) = (&spec.group, self.consumer.member_id()) else { return };
        let Some(others) = look.others_hold(&name, &spec.topic) else { return };
        self.shared.tell(self.seat(), MemberEvent::OthersHold(others));
        // Who knows all members of the run has decided.
        if spec.run.is_member(group, &spec.topic, &spec.name, self.number) {
            (progress.renamed, progress.told) = (true, true);
        }
    }
}

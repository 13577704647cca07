//! How much of what happened is told at once: after a while in which nothing could be told, it is more than a frame holds.

use super::code::AT_ONCE;
use crate::load::afar::{FarEvent, JournalEntry, MemberEvent, ProducerEvent};

/// Messages that are told of at once. Each takes some tens of bytes at most, before it is packed.
const MESSAGES: usize = 1 << 20;

/// How many entries are told at once, from the first one on: one at least, where there is one.
pub(super) fn portion(entries: &[JournalEntry]) -> usize {
    within(entries, MESSAGES)
}

fn within(entries: &[JournalEntry], most: usize) -> usize {
    let mut messages = 0;
    let fits = entries.iter().take(AT_ONCE).take_while(|entry| {
        messages += told_of(&entry.event);
        messages <= most
    });
    fits.count().max(1).min(entries.len())
}

/// How many messages an event tells of.
fn told_of(event: &FarEvent) -> usize {
    match event {
        FarEvent::Producer(ProducerEvent::Handed { messages, .. }) => messages.len(),
        FarEvent::Producer(ProducerEvent::Outcomes { outcomes, .. }) => outcomes.len(),
        FarEvent::Producer(ProducerEvent::GivenUp { planned, in_flight, .. }) => planned.len() + in_flight.len(),
        FarEvent::Member(MemberEvent::Read { messages, .. }) => messages.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::SendOutcome;
    use crate::load::afar::MessageOutcome;

    #[test]
    fn what_is_told_at_once_is_bounded_by_messages_and_not_by_what_has_waited() {
        let entry = |messages: u64| {
            let outcome = |sequence| MessageOutcome { sequence, outcome: SendOutcome::Acked, partition: 0, offset: -1 };
            let event = ProducerEvent::Outcomes { now_us: 0, outcomes: (0..messages).map(outcome).collect() };
            JournalEntry { stamp_ns: 0, unit: 0, event: FarEvent::Producer(event) }
        };
        let entries = [4, 0, 6, 1, 20, 3].map(entry);
        assert_eq!(within(&entries, 10), 3, "exactly so many");
        assert_eq!(within(&entries[3..], 10), 1);
        assert_eq!(within(&entries[4..], 10), 1, "one at least, however large");
        assert_eq!((within(&[], 10), portion(&entries)), (0, 6));
        let many: Vec<JournalEntry> = (0..AT_ONCE as u64 + 5).map(|_| entry(0)).collect();
        assert_eq!(portion(&many), AT_ONCE);
    }
}

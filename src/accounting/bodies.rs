//! What the bodies of a producer's latest messages were, so that a copy can be held against its original.

/// So many messages are remembered: four megabytes. Retries repeat what was sent a moment ago.
const WINDOW: u64 = 1 << 20;

/// The checksums of the bodies of the last million messages of a producer.
#[derive(Debug, Clone, Default)]
pub(super) struct Bodies {
    ring: Vec<u32>,
    /// One more than the highest sequence.
    next: u64,
}

impl Bodies {
    /// Notes the body of a message.
    pub(super) fn note(&mut self, sequence: u64, crc: u32) {
        let slot = (sequence % WINDOW) as usize;
        if slot >= self.ring.len() {
            self.ring.resize((slot + 1).next_power_of_two(), 0);
        }
        self.next = self.next.max(sequence + 1);
        // A straggler must not overwrite the note of a later message.
        if self.is_remembered(sequence) {
            self.ring[slot] = crc;
        }
    }

    /// Whether a message that was seen before had another body than this one. False where that is not remembered any more.
    pub(super) fn differs(&self, sequence: u64, crc: u32) -> bool {
        self.is_remembered(sequence) && self.ring.get((sequence % WINDOW) as usize).is_some_and(|known| *known != crc)
    }

    fn is_remembered(&self, sequence: u64) -> bool {
        sequence + WINDOW >= self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_held_against_its_original() {
        let mut bodies = Bodies::default();
        (0..100).for_each(|sequence| bodies.note(sequence, sequence as u32));
        assert!(!bodies.differs(7, 7) && bodies.differs(7, 8));
        bodies.note(7 + WINDOW, 1);
        assert!(!bodies.differs(6, 9), "forgotten: nothing can be said");
        assert!(!bodies.differs(7 + WINDOW, 1) && bodies.differs(7 + WINDOW, 7));
        bodies.note(6, 6);
        assert!(!bodies.differs(6, 9), "a straggler is not remembered either");
    }
}

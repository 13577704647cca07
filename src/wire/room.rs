//! The memory that answers are read into.

use bytes::BytesMut;
use std::collections::VecDeque;

/// Room for an answer that is made before its bytes arrive.
const AT_ONCE: usize = 8 << 20;
/// The longest answer whose memory is kept.
const KEPT_LENGTH: usize = 2 << 20;
/// Of answers that are worked on while the next one arrives, so many share the same memory in turn.
const KEPT: usize = 2;

/// Buffers that answers were read into and that are used again once nobody has the answers any more: new memory for each would cost its
/// page faults, and stay with the allocator for a while.
#[derive(Debug, Default)]
pub(super) struct AnswerRoom(VecDeque<BytesMut>);

impl AnswerRoom {
    /// Room for an answer of this length, empty. More than a few megabytes come as bytes arrive, not as they are announced.
    pub(super) fn take(&mut self, length: usize) -> BytesMut {
        let mut room = if self.0.len() >= KEPT { self.0.pop_front().unwrap_or_default() } else { BytesMut::new() };
        room.reserve(length.min(AT_ONCE));
        room
    }

    /// Keeps what is left of it after its answer was split off, unless it is large.
    pub(super) fn give_back(&mut self, rest: BytesMut, length: usize) {
        if length <= KEPT_LENGTH {
            self.0.push_back(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an answer and hands it out; where its bytes are.
    fn answer(room: &mut AnswerRoom, length: usize) -> (bytes::Bytes, *const u8) {
        let mut buffer = room.take(length);
        assert!(buffer.is_empty() && buffer.capacity() >= length);
        buffer.resize(length, 7);
        let answer = buffer.split().freeze();
        room.give_back(buffer, length);
        let place = answer.as_ptr();
        (answer, place)
    }

    #[test]
    fn memory_is_used_again_once_its_answer_is_gone_and_never_before() {
        let mut room = AnswerRoom::default();
        let (first, place) = answer(&mut room, 1 << 20);
        let (second, _) = answer(&mut room, 1 << 20);
        drop(first);
        let (third, again) = answer(&mut room, 1 << 20);
        assert_eq!(place, again);
        // Nobody has let the second one go.
        let (fourth, other) = answer(&mut room, 1 << 20);
        assert_ne!(second.as_ptr(), other);
        assert!([&second, &third, &fourth].iter().all(|answer| answer.iter().all(|byte| *byte == 7)));
    }

    #[test]
    fn what_is_large_is_not_kept() {
        let mut room = AnswerRoom::default();
        for _ in 0..3 {
            drop(answer(&mut room, KEPT_LENGTH + 1));
        }
        assert!(room.0.is_empty());
    }
}

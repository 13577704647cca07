//! Making messages ready to be handed over.

use super::tally::Flight;
use super::worker::{BATCH, Worker};
use crate::accounting::{IDENTITY_BYTES, IDENTITY_HEX, Identity, Schedule, around};
use crate::load::afar::ProducerEvent;
use crate::load::payload::{Carrier, Number, Rendered};
use std::ops::Range;

/// A message that is ready to be handed over.
pub(super) struct ReadyMessage {
    pub(super) slot: u32,
    pub(super) partition: i32,
    pub(super) key: Option<Range<usize>>,
    pub(super) way: Way,
    pub(super) flight: Flight,
}

/// How a message is handed over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the slab, without copying.
    Slab,
    /// From this scratch buffer, copied.
    Copy(usize),
    /// From this scratch buffer, with headers, its identity among them if it has no place in the body. Without a body it is
    /// a tombstone.
    Headers { scratch: usize, carries_identity: bool, tombstone: bool },
}

/// A message that does not lie in the slab.
pub(super) struct ScratchMessage {
    pub(super) body: Vec<u8>,
    pub(super) identity: [u8; IDENTITY_BYTES],
}

impl ScratchMessage {
    pub(super) const EMPTY: Self = Self { body: Vec::new(), identity: [0; IDENTITY_BYTES] };
}

/// Fewer messages at once are left to the client.
const LARGE: usize = 32;
/// How long acknowledgements may stay away before the client chooses partitions again.
const HESITATION_US: u64 = 100_000;

impl Worker {
    /// Makes messages ready: all that are due, up to a batch.
    pub(super) fn fill(&mut self) {
        if !self.planned.is_empty() {
            return;
        }
        let room = match &mut self.transactions {
            None => u64::MAX,
            Some(transactions) => match transactions.ensure_open(&self.producer, self.next) {
                Ok(()) => transactions.room(self.next),
                Err(failure) => {
                    self.fatal = Some(failure.to_string());
                    return;
                }
            },
        };
        self.key_bytes.clear();
        let now_ns = self.clock.now_ns();
        let paced = matches!(self.spec.schedule, Schedule::Paced(_));
        for _ in 0..room.min(self.room()).min(BATCH as u64) {
            let index = self.index();
            let due_ns = match &self.spec.schedule {
                Schedule::Paced(_) => match self.spec.schedule.due_ns(index) {
                    Some(due) if due + self.start_ns <= now_ns => due + self.start_ns,
                    _ => break,
                },
                Schedule::Unlimited { count, .. } if count.is_some_and(|count| index >= count) => {
                    break;
                }
                Schedule::Unlimited { .. } => now_ns,
            };
            self.plan(index, due_ns / 1000, paced);
        }
        if self.ticket.raised() != self.next {
            self.ticket.raise(self.next);
            // Before any of them can be read.
            self.write_down(|| ProducerEvent::Raised(self.next));
        }
        self.keep_together(now_ns / 1000);
    }

    /// How many more messages may be on their way. With a schedule nothing holds them back: it has to go on.
    pub(super) fn room(&self) -> u64 {
        match &self.spec.schedule {
            Schedule::Paced(_) => u64::MAX,
            Schedule::Unlimited { .. } => self.window.room(self.in_flight).min(self.free.len() as u64),
        }
    }

    /// Gives the messages without key of a large batch one partition, as the client would: a random one, for as long as
    /// it keeps to one. Left to the client, each message costs the choice again, and two looks at the clock.
    fn keep_together(&mut self, now_us: u64) {
        let Some(sticky) = &mut self.sticky else { return };
        // The client knows which partitions have no leader: where the broker hesitates, the choice is the client's.
        let hesitates = self.in_flight > 0 && now_us.saturating_sub(self.live.last_ack_us()) > HESITATION_US;
        if self.planned.len() < LARGE || hesitates {
            return;
        }
        let partition = sticky.at(now_us, self.partitions);
        let unkeyed = self.planned.iter_mut().filter(|planned| planned.partition < 0 && planned.key.is_none());
        unkeyed.for_each(|planned| planned.partition = partition);
    }

    pub(super) fn plan(&mut self, index: u64, due_us: u64, paced: bool) {
        let number = Number {
            producer: self.ticket.producer,
            sequence: self.next,
            index,
            due_us: self.clock.to_epoch_us(due_us),
        };
        let key_start = self.key_bytes.len();
        let slot = self.free.pop();
        let (rendered, in_slab) = self.render(slot, number);
        let mut has_key = self.key_bytes.len() > key_start;
        let extras = self.payload.extras(index);
        has_key |= extras.is_some_and(|extras| extras.has_key);
        let partition = extras.and_then(|extras| extras.partition).unwrap_or(-1);
        if !self.keys.is_from_payload() {
            self.key_bytes.truncate(key_start);
            has_key = self.keys.append(index, &mut self.key_bytes);
        }
        let key = has_key.then_some(key_start..self.key_bytes.len());
        let identity = Identity {
            nonce: self.spec.run.nonce(),
            producer: number.producer,
            sequence: number.sequence,
            due_us: number.due_us,
            body_crc: rendered.body_crc,
            around: self.around(key.clone()),
            warmup: paced && self.spec.schedule.is_warmup(index),
        };
        let (bytes, way) = self.sign(slot.filter(|_| in_slab), &identity, &rendered);
        let slot = match (slot, way) {
            (Some(slot), Way::Slab) => slot,
            (unused, _) => {
                self.free.extend(unused);
                self.free_copies.pop().unwrap_or_else(|| {
                    self.flights.push(Flight::default());
                    self.flights.len() as u32 - 1
                })
            }
        };
        self.planned.push(ReadyMessage {
            slot,
            partition,
            key,
            way,
            flight: Flight { sequence: self.next, due_us, handed_us: 0, bytes, warmup: identity.warmup },
        });
        self.next += 1;
    }

    /// Writes the payload: into the slab where that is possible, and whether it was. A message with headers cannot use it; a slot is then
    /// only its number.
    fn render(&mut self, slot: Option<u32>, number: Number) -> (Rendered, bool) {
        match slot {
            Some(slot) if !self.has_headers() => match self.prepared[slot as usize] {
                Some(rendered) => (rendered, true),
                None => {
                    let buffer = self.producer.buffer(slot).expect("a free slot is not in flight");
                    buffer.clear();
                    (self.payload.render(number, buffer, &mut self.key_bytes), true)
                }
            },
            _ => {
                let buffer = &mut self.scratch[self.planned.len()].body;
                buffer.clear();
                (self.payload.render(number, buffer, &mut self.key_bytes), false)
            }
        }
    }

    /// The sum of a message's key and headers. What is made for each message at its hand-over is not compared.
    fn around(&self, key: Option<Range<usize>>) -> u16 {
        if self.payload.has_extras() || self.headers.iter().any(|(_, text)| text.fixed().is_none()) {
            return 0;
        }
        let headers = self.headers.iter().map(|(name, text)| (name.to_bytes(), text.fixed()));
        around(key.map(|key| &self.key_bytes[key]), headers)
    }

    /// Whether messages have headers, or may have, besides that of the identity.
    fn has_headers(&self) -> bool {
        !self.headers.is_empty() || self.payload.has_extras()
    }

    /// Puts the identity where the payload has its place for it: in the slot of the slab, or in the scratch of the message. The bytes of
    /// the payload, and how it goes to the client.
    fn sign(&mut self, slab: Option<u32>, identity: &Identity, rendered: &Rendered) -> (u32, Way) {
        let position = self.planned.len();
        let in_header = rendered.carrier == Carrier::Header;
        let with_headers = in_header || rendered.tombstone || self.has_headers();
        let buffer = match slab {
            Some(slot) => self.producer.buffer(slot).expect("a free slot is not in flight"),
            None => &mut self.scratch[position].body,
        };
        match rendered.carrier {
            Carrier::Prefix => buffer[..IDENTITY_BYTES].copy_from_slice(&identity.encode()),
            Carrier::Field(start) => identity.write_hex(&mut buffer[start..start + IDENTITY_HEX]),
            Carrier::Header | Carrier::Nowhere => {}
        }
        let bytes = buffer.len() as u32;
        if with_headers && slab.is_some() {
            let body = std::mem::take(buffer);
            self.scratch[position].body = body;
        }
        let way = if with_headers {
            if in_header {
                self.scratch[position].identity = identity.encode();
            }
            Way::Headers { scratch: position, carries_identity: in_header, tombstone: rendered.tombstone }
        } else if slab.is_some() {
            Way::Slab
        } else {
            Way::Copy(position)
        };
        (bytes, way)
    }
}

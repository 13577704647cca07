//! Handing messages over to the client.

use super::arrival::{Handed, enter_full_queue};
use super::collect::handed_of;
use super::plan::{ReadyMessage, ScratchMessage, Way};
use super::worker::{FATAL, QUEUE_FULL, Worker};
use crate::accounting::Schedule;
use crate::ground::lock;
use crate::kafka::{DeliveryReport, SendOutcome, Submission};
use crate::load::afar::ProducerEvent;
use crate::load::payload::Number;
use std::ffi::CStr;
use std::sync::Arc;

/// Later than this behind the schedule's end is late.
pub(super) const GRACE_US: u64 = 100_000;

impl Worker {
    /// Hands over what is planned, in order, until the client's queue is full.
    pub(super) fn submit(&mut self) {
        if self.planned.is_empty() {
            return;
        }
        let now_us = self.clock.now_us();
        let mut refused: Vec<(usize, i32)> = Vec::new();
        let mut done = 0;
        let offer = std::mem::take(&mut self.planned);
        while done < offer.len() && refused.last().is_none_or(|last| last.1 != QUEUE_FULL) {
            let kind = std::mem::discriminant(&offer[done].way);
            let rest = &offer[done..];
            let run =
                rest.iter().position(|planned| std::mem::discriminant(&planned.way) != kind).unwrap_or(rest.len());
            let run = &rest[..run];
            if let Way::Headers { .. } = run[0].way {
                self.submit_with_headers(run, done, &mut refused);
            } else {
                let (scratch, keys) = (&self.scratch, &self.key_bytes);
                let batch = run.iter().map(|planned| Submission {
                    slot: planned.slot,
                    partition: planned.partition,
                    key: planned.key.clone().map(|key| &keys[key]),
                    body: if let Way::Copy(position) = planned.way { Some(&scratch[position].body) } else { None },
                });
                self.producer.submit(batch, |index, code| refused.push((done + index, code)));
            }
            done += run.len();
        }
        self.planned = offer;
        self.account_for(done, &refused, now_us);
    }

    /// Hands over messages with headers, one by one; enters what was refused, counted from `done`.
    fn submit_with_headers(&mut self, run: &[ReadyMessage], done: usize, refused: &mut Vec<(usize, i32)>) {
        for (index, planned) in run.iter().enumerate() {
            let Err(code) = self.submit_one(planned) else { continue };
            refused.push((done + index, code));
            if code == QUEUE_FULL {
                refused.extend((index + 1..run.len()).map(|rest| (done + rest, QUEUE_FULL)));
                break;
            }
        }
    }

    fn submit_one(&mut self, planned: &ReadyMessage) -> Result<(), i32> {
        let Way::Headers { scratch, carries_identity, tombstone } = planned.way else { return Ok(()) };
        let sequence = planned.flight.sequence;
        let index = self.index_of(sequence);
        let number = Number {
            producer: self.ticket.producer,
            sequence,
            index,
            due_us: self.clock.to_epoch_us(planned.flight.due_us),
        };
        let mut texts = Vec::with_capacity(self.headers.len());
        for (_, template) in &mut self.headers {
            let mut text = Vec::new();
            template.write(number, &mut text);
            texts.push(text);
        }
        let ScratchMessage { body, identity } = &self.scratch[scratch];
        let extras = self.payload.extras(index);
        let own = extras.into_iter().flat_map(|extras| &extras.headers);
        let mut headers: Vec<(&CStr, Option<&[u8]>)> =
            own.map(|(name, value)| (name.as_c_str(), value.as_deref())).collect();
        headers
            .extend(self.headers.iter().zip(&texts).map(|((name, _), text)| (name.as_c_str(), Some(text.as_slice()))));
        if carries_identity {
            headers.push((self.identity_header.as_c_str(), Some(identity.as_slice())));
        }
        self.producer.submit_with_headers(
            (planned.slot, planned.partition),
            planned.key.clone().map(|key| &self.key_bytes[key]),
            (!tombstone).then_some(body.as_slice()),
            &headers,
            extras.and_then(|extras| extras.timestamp_ms),
        )
    }

    /// Enters what was handed over; keeps what the full queue did not take.
    pub(super) fn account_for(&mut self, offered: usize, refused: &[(usize, i32)], now_us: u64) {
        let paced = matches!(self.spec.schedule, Schedule::Paced(_));
        let mut refused = refused.iter().peekable();
        let mut kept = Vec::new();
        let mut handed = Handed { now_us, in_time: now_us <= self.in_time_until_us(), ..Handed::default() };
        let mut told = self.journal.as_ref().map(|_| Vec::with_capacity(self.planned.len()));
        let mut offer = std::mem::take(&mut self.planned);
        let shared = Arc::clone(&self.tally);
        let mut tally = lock(&shared);
        for (index, mut planned) in offer.drain(..).enumerate() {
            let code = refused.next_if(|refused| refused.0 == index).map(|refused| refused.1);
            if index >= offered || code == Some(QUEUE_FULL) {
                kept.push(planned);
                continue;
            }
            planned.flight.handed_us = now_us;
            tally.handed(&planned.flight, paced);
            self.flights[planned.slot as usize] = planned.flight;
            handed.sent += 1;
            handed.bytes += u64::from(planned.flight.bytes);
            if let Some(told) = &mut told {
                told.push(handed_of(&planned.flight, code));
            }
            if let Some(code) = code {
                tally.outcome(&mut self.books.account(), &planned.flight, &refusal(code), now_us);
                self.release(planned.slot);
                handed.failed += 1;
                if code == FATAL {
                    self.note_fatal();
                }
            } else {
                self.in_flight += 1;
            }
        }
        handed.in_flight = self.in_flight;
        handed.enter(&mut tally);
        drop(tally);
        if let Some(messages) = told.filter(|told| !told.is_empty()) {
            self.write_down(|| ProducerEvent::Handed { now_us, messages });
        }
        let is_full = !kept.is_empty();
        // The emptied one keeps its memory for the next batch.
        self.planned = if is_full { kept } else { offer };
        self.watch_queue(is_full, now_us);
        handed.show(&self.live);
    }

    /// Enters for how long the client's queue has been full.
    fn watch_queue(&mut self, is_full: bool, now_us: u64) {
        let Some(since) = self.full_since_us else {
            self.full_since_us = is_full.then_some(now_us);
            return;
        };
        let held_up_us = self.held_up_us(since, now_us);
        let for_us = now_us - since;
        enter_full_queue(&mut self.tally(), &self.live, now_us, (for_us, held_up_us));
        self.write_down(|| ProducerEvent::QueueFull { now_us, for_us, held_up_us });
        self.full_since_us = is_full.then_some(now_us);
    }

    /// What is handed over later than this, in µs of the run, is late.
    fn in_time_until_us(&self) -> u64 {
        in_time_until_us(&self.spec.schedule, self.start_ns)
    }

    /// For how long the system held this producer up while its messages were due: what it waits for once the schedule has ended
    /// kept nothing from being offered in time.
    pub(super) fn held_up_us(&self, since_us: u64, now_us: u64) -> u64 {
        now_us.min(self.in_time_until_us()).saturating_sub(since_us)
    }
}

/// What is handed over later than this, in µs of the run, is late by a schedule that began at `start_ns`.
pub(super) fn in_time_until_us(schedule: &Schedule, start_ns: u64) -> u64 {
    schedule.length().map_or(u64::MAX, |length| start_ns / 1000 + length.as_micros() as u64 + GRACE_US)
}

/// The client did not take a message.
pub(super) fn refusal(code: i32) -> DeliveryReport {
    DeliveryReport { slot: 0, outcome: SendOutcome::Failed(code), partition: -1, offset: -1 }
}

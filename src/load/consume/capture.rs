//! What a reader keeps of change events, and of messages that break their schema.

use super::Tapped;
use crate::debezium::{EnvelopeSchema, EventDecoder, ReadEvent, Violation};
use crate::ground::lock;
use crate::record::{ChangeFlow, RunClock};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Samples kept of each kind of problem.
const SAMPLES: usize = 20;

/// What a reader's messages are, beyond the account.
pub struct ReaderCapture {
    topic: Arc<str>,
    clock: RunClock,
    decode: bool,
    schema: Option<Arc<EnvelopeSchema>>,
    kept: Mutex<Kept>,
    /// Messages that were held against the schema.
    looked: AtomicU64,
    violations: AtomicU64,
}

#[derive(Default)]
struct Kept {
    decoder: EventDecoder,
    events: Vec<ReadEvent>,
    violation_samples: Vec<String>,
    /// How its changes came to it, as it was last looked at.
    flow: Option<ChangeFlow>,
}

impl ReaderCapture {
    /// Decodes messages of `topic`, holds them against a schema, or both.
    pub fn new(topic: &str, clock: RunClock, decode: bool, schema: Option<Arc<EnvelopeSchema>>) -> Self {
        let (looked, violations) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { topic: topic.into(), clock, decode, schema, kept: Mutex::default(), looked, violations }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }

    /// Takes a message.
    pub fn take(&self, message: &Tapped<'_>) {
        let read_us = self.clock.to_epoch_us(self.clock.now_us());
        if let Some(schema) = &self.schema {
            let found = schema.check(message.payload);
            // Heartbeats and the like are no envelopes, and need not be.
            let exempt = !found.is_empty()
                && message.payload.is_some_and(|payload| self.decode && EnvelopeSchema::is_exempt(payload));
            // A tombstone has nothing that a schema is about.
            self.looked.fetch_add(u64::from(message.payload.is_some() && !exempt), Ordering::Relaxed);
            if !found.is_empty() && !exempt {
                self.violations.fetch_add(1, Ordering::Relaxed);
                self.note_violation(message, &found);
            }
        }
        if !self.decode {
            return;
        }
        let mut kept = self.kept();
        let kind = kept.decoder.decode(message.key, message.payload);
        let topic = Arc::clone(&self.topic);
        kept.events.push(ReadEvent { topic, partition: message.partition, offset: message.offset, read_us, kind });
    }

    fn note_violation(&self, message: &Tapped<'_>, found: &[Violation]) {
        let mut kept = self.kept();
        if kept.violation_samples.len() < SAMPLES {
            let all: Vec<String> = found.iter().map(|found| format!("{} {}", found.path, found.message)).collect();
            kept.violation_samples.push(format!("{}: {}", self.place(message), all.join("; ")));
        }
    }

    fn place(&self, message: &Tapped<'_>) -> String {
        format!("record {}-{}@{}", self.topic, message.partition, message.offset)
    }

    /// Whether it decodes.
    pub fn decodes(&self) -> bool {
        self.decode
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Looks at the events so far, in the order of reading.
    pub fn events<R>(&self, look: impl FnOnce(&[ReadEvent]) -> R) -> R {
        look(&self.kept().events)
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.kept().events.len()
    }

    /// Takes events out: `settle` sees them all, in the order of reading, and leaves those that stay. What is read meanwhile comes behind
    /// them.
    pub fn settle<R>(&self, settle: impl FnOnce(&mut Vec<ReadEvent>) -> R) -> R {
        let mut events = std::mem::take(&mut self.kept().events);
        let result = settle(&mut events);
        let mut kept = self.kept();
        events.append(&mut kept.events);
        kept.events = events;
        result
    }

    /// How its changes came to it so far; `None`: that is not known now.
    pub fn flows(&self, flow: Option<ChangeFlow>) {
        self.kept().flow = flow;
    }

    /// How its changes came to it, as it was last looked at.
    pub fn flow(&self) -> Option<ChangeFlow> {
        self.kept().flow.clone()
    }

    /// Messages that broke the schema, with the first of them; `None` where no message was held against one.
    pub fn violations(&self) -> Option<(u64, Vec<String>)> {
        self.schema.as_ref().filter(|_| self.looked.load(Ordering::Relaxed) > 0)?;
        Some((self.violations.load(Ordering::Relaxed), self.kept().violation_samples.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_schema_is_about_is_not_held_against_one() {
        let schema = EnvelopeSchema::of_text(r#"{ "type": "object", "required": ["op"] }"#).unwrap();
        let capture = ReaderCapture::new("t", RunClock::start(), true, Some(schema));
        let take = |payload: Option<&'static [u8]>| {
            let headers = Vec::new();
            let (partition, offset, timestamp_ms, key, identity) = (0, 0, None, None, None);
            capture.take(&Tapped { partition, offset, timestamp_ms, key, payload, headers, identity });
            capture.violations().map(|(count, _)| count)
        };
        assert_eq!(take(None), None, "a tombstone");
        assert_eq!(take(Some(br#"{ "ts_ms": 1 }"#)), None, "a heartbeat");
        assert_eq!(take(Some(br#"{ "op": "c" }"#)), Some(0));
        assert_eq!(take(Some(b"{")), Some(1));
    }
}

//! What a reader keeps of change events, and of messages that break their schema.

use crate::debezium::{EnvelopeSchema, EventDecoder, ReadEvent, Violation};
use crate::load::RunClock;
use crate::load::consume::Tapped;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Samples kept of each kind of problem.
const SAMPLES: usize = 20;

/// What a reader's messages are, beyond the account.
pub struct Capture {
    topic: Arc<str>,
    clock: RunClock,
    decode: bool,
    schema: Option<EnvelopeSchema>,
    kept: Mutex<Kept>,
    violations: AtomicU64,
}

#[derive(Default)]
struct Kept {
    decoder: EventDecoder,
    events: Vec<ReadEvent>,
    undecodable: u64,
    undecodable_samples: Vec<String>,
    violation_samples: Vec<String>,
}

/// What was read, as events.
#[derive(Clone, Copy)]
pub struct Events<'a> {
    /// In the order of reading.
    pub events: &'a [ReadEvent],
    /// Messages that are no change events.
    pub undecodable: u64,
    /// The first of them, with place and reason.
    pub undecodable_samples: &'a [String],
}

impl Capture {
    /// Decodes messages of `topic`, holds them against a schema, or both.
    pub fn new(topic: &str, clock: RunClock, decode: bool, schema: Option<EnvelopeSchema>) -> Self {
        Self { topic: topic.into(), clock, decode, schema, kept: Mutex::default(), violations: AtomicU64::new(0) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message.
    pub fn take(&self, message: &Tapped<'_>) {
        let read_us = self.clock.to_epoch_us(self.clock.now_us());
        if let Some(schema) = &self.schema {
            let found = schema.check(message.payload);
            // Heartbeats and the like are no envelopes, and need not be.
            let exempt = || message.payload.is_some_and(|payload| self.decode && EnvelopeSchema::is_exempt(payload));
            if !found.is_empty() && !exempt() {
                self.violations.fetch_add(1, Ordering::Relaxed);
                self.note_violation(message, &found);
            }
        }
        if !self.decode {
            return;
        }
        let mut kept = self.kept();
        match kept.decoder.decode(message.key, message.payload) {
            Ok(kind) => {
                let topic = Arc::clone(&self.topic);
                kept.events.push(ReadEvent { topic, partition: message.partition, offset: message.offset, read_us, kind });
            }
            Err(error) => {
                kept.undecodable += 1;
                if kept.undecodable_samples.len() < SAMPLES {
                    kept.undecodable_samples.push(format!("{}: {error}", self.place(message)));
                }
            }
        }
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

    /// Looks at the events so far.
    pub fn events<R>(&self, look: impl FnOnce(Events<'_>) -> R) -> R {
        let kept = self.kept();
        look(Events {
            events: &kept.events,
            undecodable: kept.undecodable,
            undecodable_samples: &kept.undecodable_samples,
        })
    }

    /// Messages that broke the schema, with the first of them; `None` where there is no schema.
    pub fn violations(&self) -> Option<(u64, Vec<String>)> {
        self.schema.as_ref()?;
        Some((self.violations.load(Ordering::Relaxed), self.kept().violation_samples.clone()))
    }
}

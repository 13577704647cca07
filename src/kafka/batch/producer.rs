//! Sending batches without copying them.
#![allow(unsafe_code)]

use super::native::{error_name, text};
use super::queue::Queue;
use crate::kafka::{ClientState, KafkaFailure};
use rdkafka::bindings::*;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::types::RDKafkaRespErr as Code;
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::{null, null_mut};
use std::time::Duration;

const OK: Code = Code::RD_KAFKA_RESP_ERR_NO_ERROR;
/// Messages taken from librdkafka with one call.
const BATCH: usize = 1024;

/// A message to hand over. Its body is the buffer of `slot`.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// Returned by the delivery report. Below [`BatchProducer::slots`] it also names the buffer.
    pub slot: u32,
    /// The partition, or -1 to have the client's partitioner choose it.
    pub partition: i32,
    /// The key; copied by the call.
    pub key: Option<&'a [u8]>,
    /// The body where `slot` has no buffer; copied by the call.
    pub body: Option<&'a [u8]>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SendOutcome {
    /// Written and acknowledged as `acks` demands.
    Acked,
    /// Not written, with librdkafka's error code.
    Failed(i32),
    /// Possibly written, with librdkafka's error code.
    Unknown(i32),
}

/// A delivery report.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryReport {
    /// The slot that the message was sent from; its buffer is free again.
    pub slot: u32,
    /// What became of it.
    pub outcome: SendOutcome,
    /// Where it was written.
    pub partition: i32,
    /// Where it was written; negative where the broker did not say.
    pub offset: i64,
}

/// A producer that sends from a slab of its own buffers without copying them.
pub struct BatchProducer {
    // Declared first and dropped first: when it is gone, librdkafka holds no pointer into `slab`.
    producer: Option<BaseProducer<ClientState>>,
    topic: *mut rd_kafka_topic_t,
    queue: Option<Queue>,
    slab: Vec<Vec<u8>>,
    in_flight: Vec<bool>,
    messages: Vec<rd_kafka_message_t>,
    reports: Vec<*const rd_kafka_message_t>,
}

// SAFETY: librdkafka's handles may be used from any thread; the pointers in the scratch vectors
// are dead between calls.
unsafe impl Send for BatchProducer {}

impl BatchProducer {
    /// Prepares `slots` buffers for sending to `topic`.
    pub fn new(producer: BaseProducer<ClientState>, topic: &str, slots: u32) -> Result<Self, KafkaFailure> {
        let name = CString::new(topic).map_err(|_| KafkaFailure::no_client("a topic's name holds no zero byte"))?;
        let rk = producer.client().native_ptr();
        // SAFETY: the producer's handle is valid; both results are references of our own.
        let (topic, queue) =
            unsafe { (rd_kafka_topic_new(rk, name.as_ptr(), null_mut()), Queue::new(rd_kafka_queue_get_main(rk))) };
        if topic.is_null() {
            return Err(KafkaFailure::no_client(&format!("`{}` is not a valid topic name", name.to_string_lossy())));
        }
        Ok(Self {
            producer: Some(producer),
            topic,
            queue: Some(queue.map_err(|error| KafkaFailure::no_client(&error.to_string()))?),
            slab: vec![Vec::new(); slots as usize],
            in_flight: vec![false; slots as usize],
            messages: Vec::with_capacity(BATCH),
            reports: vec![null(); BATCH],
        })
    }

    /// The client itself: transactions, metadata, fatal errors.
    pub fn client(&self) -> &BaseProducer<ClientState> {
        self.producer.as_ref().expect("present until drop")
    }

    /// How many slots have a buffer of their own.
    pub fn slots(&self) -> u32 {
        self.slab.len() as u32
    }

    /// The buffer of a slot, unless it is on its way.
    pub fn buffer(&mut self, slot: u32) -> Option<&mut Vec<u8>> {
        match self.in_flight.get(slot as usize) {
            Some(false) => self.slab.get_mut(slot as usize),
            _ => None,
        }
    }

    /// Hands messages over. `refused` is told the index and error code of each that was not taken;
    /// there is no delivery report for those. Either all slots of a batch have buffers or none has.
    pub fn submit<'a>(
        &mut self,
        batch: impl IntoIterator<Item = Submission<'a>>,
        mut refused: impl FnMut(usize, i32),
    ) -> usize {
        let mut batch = batch.into_iter().peekable();
        let copied = batch.peek().is_some_and(|first| first.slot >= self.slots());
        let flags = RD_KAFKA_MSG_F_PARTITION | if copied { RD_KAFKA_MSG_F_COPY } else { 0 };
        self.messages.clear();
        for message in batch {
            assert_eq!(message.slot >= self.slots(), copied, "a batch mixes slots with and without buffer");
            let body = match copied {
                true => message.body.unwrap_or_default(),
                false => {
                    let in_flight = &mut self.in_flight[message.slot as usize];
                    assert!(!std::mem::replace(in_flight, true), "the slot is on its way already");
                    &self.slab[message.slot as usize]
                }
            };
            let key = message.key.map_or((null_mut(), 0), |key| (key.as_ptr().cast_mut().cast(), key.len()));
            self.messages.push(rd_kafka_message_t {
                err: OK,
                rkt: null_mut(),
                partition: message.partition,
                payload: body.as_ptr().cast_mut().cast(),
                len: body.len(),
                key: key.0,
                key_len: key.1,
                offset: 0,
                _private: opaque(message.slot),
            });
        }
        let count = self.messages.len() as c_int;
        // SAFETY: without F_COPY librdkafka reads the body until the delivery report: it lies in
        // `slab`, whose vector is neither changed nor dropped while `in_flight`, and which outlives
        // the client. Keys and copied bodies live across the call. librdkafka does not write to them.
        let taken = unsafe { rd_kafka_produce_batch(self.topic, -1, flags, self.messages.as_mut_ptr(), count) };
        if taken < count {
            for (index, message) in self.messages.iter().enumerate().filter(|(_, message)| message.err != OK) {
                if let Some(in_flight) = self.in_flight.get_mut(slot_of(message) as usize) {
                    *in_flight = false;
                }
                refused(index, message.err as i32);
            }
        }
        taken as usize
    }

    /// Hands over one message with headers, copied. Without a `body` it is a tombstone; a header without a value is null; without a time
    /// stamp, in ms since the epoch, it gets that of its hand-over.
    pub fn submit_with_headers(
        &mut self,
        (slot, partition): (u32, i32),
        key: Option<&[u8]>,
        body: Option<&[u8]>,
        headers: &[(&CStr, Option<&[u8]>)],
        timestamp_ms: Option<i64>,
    ) -> Result<(), i32> {
        let part =
            |bytes: Option<&[u8]>| bytes.map_or((null_mut::<c_void>(), 0), |b| (b.as_ptr().cast_mut().cast(), b.len()));
        let ((body, body_len), (key, key_len)) = (part(body), part(key));
        // SAFETY: the list of arguments has the types that each tag documents and is ended by END;
        // F_COPY copies the body, the call copies the key; headers belong to librdkafka only if
        // the call succeeds.
        let code = unsafe {
            let list = rd_kafka_headers_new(headers.len());
            for (name, value) in headers {
                let (value, length) = value.map_or((null(), 0), |value| (value.as_ptr().cast(), value.len() as isize));
                rd_kafka_header_add(list, name.as_ptr(), -1, value, length);
            }
            use rd_kafka_vtype_t::*;
            let code = rd_kafka_producev(
                self.client().client().native_ptr(),
                RD_KAFKA_VTYPE_RKT,
                self.topic,
                RD_KAFKA_VTYPE_PARTITION,
                partition,
                RD_KAFKA_VTYPE_MSGFLAGS,
                RD_KAFKA_MSG_F_COPY,
                RD_KAFKA_VTYPE_VALUE,
                body,
                body_len,
                RD_KAFKA_VTYPE_KEY,
                key,
                key_len,
                RD_KAFKA_VTYPE_TIMESTAMP,
                timestamp_ms.unwrap_or(0), // 0 is now
                RD_KAFKA_VTYPE_OPAQUE,
                opaque(slot),
                RD_KAFKA_VTYPE_HEADERS,
                list,
                RD_KAFKA_VTYPE_END,
            );
            if code != OK {
                rd_kafka_headers_destroy(list);
            }
            code
        };
        if code == OK { Ok(()) } else { Err(code as i32) }
    }

    /// Waits until there may be reports, at most `timeout` (nanoseconds are honoured).
    pub fn wait(&self, timeout: Duration) {
        if let Some(queue) = &self.queue {
            queue.wait(timeout);
        }
    }

    /// Passes every report that has arrived to `sink`, a batch at a time. Returns their number.
    pub fn reports(&mut self, mut sink: impl FnMut(&[DeliveryReport])) -> usize {
        let Some(queue) = self.queue.as_ref().map(|queue| queue.queue) else {
            return 0;
        };
        let (mut total, mut batch) = (0, Vec::with_capacity(BATCH));
        loop {
            // SAFETY: the queue is ours. The event, and with it every message and string that it
            // lends, lives until `rd_kafka_event_destroy` at the end of the round.
            unsafe {
                let event = rd_kafka_queue_poll(queue, 0);
                if event.is_null() {
                    return total;
                }
                match rd_kafka_event_type(event) {
                    RD_KAFKA_EVENT_DR => loop {
                        let count = rd_kafka_event_message_array(event, self.reports.as_mut_ptr(), self.reports.len());
                        if count == 0 {
                            break;
                        }
                        batch.clear();
                        batch.extend(self.reports[..count].iter().map(|message| report(*message)));
                        for report in &batch {
                            if let Some(in_flight) = self.in_flight.get_mut(report.slot as usize) {
                                *in_flight = false;
                            }
                        }
                        total += count;
                        sink(&batch);
                    },
                    RD_KAFKA_EVENT_LOG => {
                        let (mut facility, mut line, mut level) = (null(), null(), 0);
                        if rd_kafka_event_log(event, &mut facility, &mut line, &mut level) == 0 {
                            self.client().context().log_line(level as u8, &text(facility), &text(line));
                        }
                    }
                    RD_KAFKA_EVENT_ERROR => {
                        let name = error_name(rd_kafka_event_error(event) as i32);
                        let reason = text(rd_kafka_event_error_string(event));
                        self.client().context().note_error(format!("{name}: {reason}"));
                    }
                    RD_KAFKA_EVENT_STATS => {
                        let json = CStr::from_ptr(rd_kafka_event_stats(event));
                        self.client().context().statistics(json.to_bytes());
                    }
                    _ => {}
                }
                rd_kafka_event_destroy(event);
            }
        }
    }
}

impl Drop for BatchProducer {
    fn drop(&mut self) {
        self.queue = None;
        // SAFETY: our own reference, given back once, before the client is destroyed.
        unsafe { rd_kafka_topic_destroy(self.topic) };
        self.producer = None;
    }
}

/// SAFETY: `message` must be a delivery report that is still owned by its event.
unsafe fn report(message: *const rd_kafka_message_t) -> DeliveryReport {
    // SAFETY: by the caller's promise.
    let (message, status) = unsafe { (&*message, || rd_kafka_message_status(message)) };
    let outcome = match message.err {
        OK => SendOutcome::Acked,
        code if status() == rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED => {
            SendOutcome::Failed(code as i32)
        }
        code => SendOutcome::Unknown(code as i32),
    };
    DeliveryReport { slot: slot_of(message), outcome, partition: message.partition, offset: message.offset }
}

/// What librdkafka carries for us: the slot, and never null.
fn opaque(slot: u32) -> *mut c_void {
    (slot as usize + 1) as *mut c_void
}

fn slot_of(message: &rd_kafka_message_t) -> u32 {
    (message._private as usize).wrapping_sub(1) as u32
}

//! Reading batches.
#![allow(unsafe_code)]

use super::callbacks::{error_callback, log_callback, rebalance_callback, statistics_callback};
use super::native::{error_name, text};
use super::queue::Queue;
use crate::kafka::{ClientState, KafkaFailure};
use rdkafka::bindings::*;
use rdkafka::client::Client;
use rdkafka::config::ClientConfig;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaRespErr as Code, RDKafkaType};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::{null, null_mut};
use std::time::Duration;

const OK: Code = Code::RD_KAFKA_RESP_ERR_NO_ERROR;
/// Messages taken from librdkafka with one call.
const BATCH: usize = 1000;
/// How long the client's own threads may take to go to another offset; nothing is asked of the cluster for it.
const SEEK_MS: c_int = 1000;

/// A message as it was fetched; it lives as long as the batch.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The message's key.
    pub key: Option<&'a [u8]>,
    /// The payload; none in a tombstone.
    pub payload: Option<&'a [u8]>,
    native: &'a rd_kafka_message_t,
}

impl<'a> Incoming<'a> {
    /// The timestamp in ms since the epoch, whichever kind the topic keeps.
    pub fn timestamp_ms(&self) -> Option<i64> {
        let mut kind = rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive for 'a.
        let timestamp = unsafe { rd_kafka_message_timestamp(self.native, &mut kind) };
        (timestamp >= 0).then_some(timestamp)
    }

    /// The leader epoch in which it was written, where its format tells.
    pub fn leader_epoch(&self) -> Option<i32> {
        // SAFETY: the message is alive for 'a.
        let epoch = unsafe { rd_kafka_message_leader_epoch(self.native) };
        (epoch >= 0).then_some(epoch)
    }

    /// All headers, in order.
    pub fn headers(&self) -> Vec<(&'a CStr, Option<&'a [u8]>)> {
        let mut found = Vec::new();
        // SAFETY: the headers and what they point to belong to the message, which is alive for 'a.
        unsafe {
            let mut headers = null_mut();
            if rd_kafka_message_headers(self.native, &mut headers) != OK {
                return found;
            }
            let (mut name, mut value, mut size) = (null(), null(), 0);
            while rd_kafka_header_get_all(headers, found.len(), &mut name, &mut value, &mut size) == OK {
                found.push((CStr::from_ptr(name), bytes(value, size)));
            }
        }
        found
    }
}

/// A problem that the client reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientProblem {
    /// Kafka's name of the error.
    pub name: String,
    /// What it says about it.
    pub reason: String,
    /// Whether the client cannot go on.
    pub fatal: bool,
}

/// A consumer that reads in batches.
pub struct BatchConsumer {
    client: ManuallyDrop<Client<ClientState>>,
    queue: Option<Queue>,
    messages: Vec<*mut rd_kafka_message_t>,
}

// SAFETY: librdkafka's handles may be used from any thread; the scratch vector is empty between calls.
unsafe impl Send for BatchConsumer {}

impl BatchConsumer {
    /// A consumer that is neither assigned nor subscribed.
    ///
    /// `enable.partition.eof` must be off: the batch call takes the end of a partition for a message
    /// and moves the client's position one too far, so that the next message can be skipped.
    pub fn new(config: &ClientConfig, state: ClientState) -> Result<Self, KafkaFailure> {
        let failed = |error| KafkaFailure::request("create the consumer", &error);
        let native = config.create_native_config().map_err(failed)?;
        // SAFETY: the callbacks find the client's state as the opaque pointer that `Client::new`
        // sets; the state is owned by the client and outlives every callback.
        unsafe {
            rd_kafka_conf_set_log_cb(native.ptr(), Some(log_callback));
            rd_kafka_conf_set_error_cb(native.ptr(), Some(error_callback));
            rd_kafka_conf_set_stats_cb(native.ptr(), Some(statistics_callback));
            rd_kafka_conf_set_rebalance_cb(native.ptr(), Some(rebalance_callback));
        }
        let client = Client::new(config, native, RDKafkaType::RD_KAFKA_CONSUMER, state).map_err(failed)?;
        // SAFETY: the handle is valid; the queue is a reference of our own.
        let queue = unsafe {
            rd_kafka_poll_set_consumer(client.native_ptr());
            match rd_kafka_queue_get_consumer(client.native_ptr()) {
                queue if queue.is_null() => return Err(KafkaFailure::no_client("a consumer needs a group.id")),
                queue => Queue::new(queue).map_err(|error| KafkaFailure::no_client(&error.to_string()))?,
            }
        };
        Ok(Self { client: ManuallyDrop::new(client), queue: Some(queue), messages: Vec::with_capacity(BATCH) })
    }

    /// The client itself: metadata, watermarks, state.
    pub fn client(&self) -> &Client<ClientState> {
        &self.client
    }

    fn rk(&self) -> *mut rd_kafka_t {
        self.client.native_ptr()
    }

    /// Joins its group for `topic`.
    pub fn subscribe(&self, topic: &str) -> Result<(), KafkaFailure> {
        let mut list = TopicPartitionList::new();
        list.add_topic_unassigned(topic);
        // SAFETY: handle and list are valid; the list is copied.
        check("subscribe", unsafe { rd_kafka_subscribe(self.rk(), list.ptr()) })
    }

    /// Reads exactly these partitions from these offsets, without a group.
    pub fn assign(&self, topic: &str, positions: &BTreeMap<i32, i64>) -> Result<(), KafkaFailure> {
        let list = list_of(topic, positions)?;
        // SAFETY: handle and list are valid; the list is copied.
        check("assign partitions", unsafe { rd_kafka_assign(self.rk(), list.ptr()) })
    }

    /// Reads these partitions as well, from these offsets, without a group.
    pub fn assign_also(&self, topic: &str, positions: &BTreeMap<i32, i64>) -> Result<(), KafkaFailure> {
        let list = list_of(topic, positions)?;
        // SAFETY: handle and list are valid; the list is copied; the error, if any, is destroyed once.
        unsafe {
            let error = rd_kafka_incremental_assign(self.rk(), list.ptr());
            if error.is_null() {
                return Ok(());
            }
            let code = rd_kafka_error_code(error);
            rd_kafka_error_destroy(error);
            check("assign more partitions", code)
        }
    }

    /// Goes on at these offsets of partitions that are its own. It tells no position there before it has one again, where otherwise
    /// it tells the furthest one that it ever had, even after the log was cut off and it was sent back.
    pub fn seek(&self, topic: &str, positions: &BTreeMap<i32, i64>) -> Result<(), KafkaFailure> {
        let list = list_of(topic, positions)?;
        // SAFETY: handle and list are valid; the list is copied, and only told of errors; the error, if any, is destroyed once.
        let code = unsafe {
            let error = rd_kafka_seek_partitions(self.rk(), list.ptr(), SEEK_MS);
            if error.is_null() {
                OK
            } else {
                let code = rd_kafka_error_code(error);
                rd_kafka_error_destroy(error);
                code
            }
        };
        check("seek", code)?;
        let failed = list.elements().into_iter().find_map(|element| element.error().err());
        failed.map_or(Ok(()), |error| Err(KafkaFailure::request("seek", &error)))
    }

    /// The offset that is read next, by partition; partitions without one yet are absent.
    pub fn positions(&self, topic: &str, partitions: impl Iterator<Item = i32>) -> BTreeMap<i32, i64> {
        let mut list = TopicPartitionList::new();
        partitions.for_each(|partition| _ = list.add_partition(topic, partition));
        // SAFETY: handle and list are valid; the call fills in offsets.
        unsafe { rd_kafka_position(self.rk(), list.ptr()) };
        offsets_in(&list)
    }

    /// The name by which its group knows it; `None` before it has one.
    pub fn member_id(&self) -> Option<String> {
        // SAFETY: the handle is valid; the string is copied and given back once.
        unsafe {
            let name = rd_kafka_memberid(self.rk());
            if name.is_null() {
                return None;
            }
            let copy = text(name);
            rd_kafka_mem_free(self.rk(), name.cast());
            Some(copy).filter(|name| !name.is_empty())
        }
    }

    /// Kafka's name of the error after which the client cannot go on; `None` while it can.
    pub fn fatal_error(&self) -> Option<String> {
        // SAFETY: the handle is valid; no text is asked for.
        let code = unsafe { rd_kafka_fatal_error(self.rk(), null_mut(), 0) };
        (code != OK).then(|| error_name(code as i32))
    }

    /// Commits these offsets. `wait` for the group's answer, or leave it to the background.
    pub fn commit(&self, topic: &str, offsets: &BTreeMap<i32, i64>, wait: bool) -> Result<(), KafkaFailure> {
        if offsets.is_empty() {
            return Ok(());
        }
        let list = list_of(topic, offsets)?;
        // SAFETY: handle and list are valid; the list is copied.
        check("commit offsets", unsafe { rd_kafka_commit(self.rk(), list.ptr(), c_int::from(!wait)) })
    }

    /// Reads what there is, waiting for the first message at most `timeout`. `sink` gets up to a
    /// thousand messages at a time. Rebalances are served in here. Returns the number of messages.
    pub fn read(
        &mut self,
        timeout: Duration,
        mut sink: impl FnMut(&[Incoming<'_>]),
        mut problem: impl FnMut(ClientProblem),
    ) -> usize {
        let mut count = self.fetch();
        if count == 0 && !timeout.is_zero() {
            if let Some(queue) = &self.queue {
                queue.wait(timeout);
            }
            count = self.fetch();
        }
        let mut batch = Vec::with_capacity(count);
        for message in &self.messages {
            // SAFETY: librdkafka gave `count` valid messages, which live until they are destroyed below;
            // key and payload are `len` bytes inside the message.
            unsafe {
                let native = &**message;
                if native.err == OK {
                    ask_for(native);
                    batch.push(Incoming {
                        partition: native.partition,
                        offset: native.offset,
                        key: bytes(native.key, native.key_len),
                        payload: bytes(native.payload, native.len),
                        native,
                    });
                } else {
                    problem(ClientProblem {
                        name: error_name(native.err as i32),
                        reason: text(rd_kafka_message_errstr(native)),
                        fatal: native.err == Code::RD_KAFKA_RESP_ERR__FATAL,
                    });
                }
            }
        }
        let count = batch.len();
        if count > 0 {
            sink(&batch);
        }
        drop(batch);
        self.release();
        count
    }

    fn release(&mut self) {
        for message in self.messages.drain(..) {
            // SAFETY: each is destroyed once, and nothing borrows from it any more.
            unsafe { rd_kafka_message_destroy(message) };
        }
    }

    fn fetch(&mut self) -> usize {
        let Some(queue) = &self.queue else { return 0 };
        // SAFETY: the vector has room for BATCH pointers; as many as returned have been written.
        // Timeout zero takes what is there.
        unsafe {
            let count = rd_kafka_consume_batch_queue(queue.queue, 0, self.messages.as_mut_ptr(), BATCH);
            self.messages.set_len(usize::try_from(count).unwrap_or(0));
        }
        self.messages.len()
    }

    /// Leaves the group, committing first where the client was told to, and ends.
    pub fn close(self) -> Result<(), KafkaFailure> {
        // SAFETY: the handle is valid; callbacks run inside of the call.
        check("leave the group", unsafe { rd_kafka_consumer_close(self.rk()) })
    }

    /// Ends as a crash would: nothing is committed, the group is not told.
    pub fn abandon(mut self) {
        self.queue = None;
        // SAFETY: the handle is destroyed here and nowhere else, since the client is forgotten
        // together with its state, which therefore outlives every callback.
        unsafe { rd_kafka_destroy_flags(self.rk(), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) };
        std::mem::forget(self);
    }
}

impl Drop for BatchConsumer {
    fn drop(&mut self) {
        // Whoever was given them may have panicked; the client waits for all of them.
        self.release();
        self.queue = None;
        // SAFETY: dropped once, here; queue and messages are gone.
        unsafe { ManuallyDrop::drop(&mut self.client) };
    }
}

fn check(action: &str, code: Code) -> Result<(), KafkaFailure> {
    if code == OK || code == Code::RD_KAFKA_RESP_ERR__NO_OFFSET {
        Ok(())
    } else {
        Err(KafkaFailure::code(action, code))
    }
}

fn list_of(topic: &str, offsets: &BTreeMap<i32, i64>) -> Result<TopicPartitionList, KafkaFailure> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
            .map_err(|error| KafkaFailure::request("name an offset", &error))?;
    }
    Ok(list)
}

fn offsets_in(list: &TopicPartitionList) -> BTreeMap<i32, i64> {
    let elements = list.elements();
    let offsets = elements.iter().map(|element| (element.partition(), element.offset()));
    offsets.filter_map(|(partition, offset)| Some((partition, offset.to_raw().filter(|raw| *raw >= 0)?))).collect()
}

/// Asks the processor for what is looked at next of a message, since another one has written it: the payload, and what librdkafka keeps
/// behind the public part. All of a batch at once is quicker than one after the other when each is waited for.
fn ask_for(message: &rd_kafka_message_t) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let private = std::ptr::from_ref(message).cast::<i8>().wrapping_byte_add(128);
        // SAFETY: a hint reads nothing, whatever the address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(message.payload.cast::<i8>());
            _mm_prefetch::<_MM_HINT_T0>(private);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = message;
}

/// SAFETY: `data` must be null or point to `size` bytes that live for 'a.
unsafe fn bytes<'a>(data: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: by the caller's promise.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast(), size) })
}

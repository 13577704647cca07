//! What librdkafka calls back for.
#![allow(unsafe_code)]

use super::native::{error_name, text};
use crate::kafka::{ClientState, StartAt};
use rdkafka::bindings::*;
use rdkafka::types::RDKafkaRespErr as Code;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::null;

const OK: Code = Code::RD_KAFKA_RESP_ERR_NO_ERROR;
/// How long questions inside a rebalance may take before the assignment goes on without an answer.
const REBALANCE_QUERY_MS: c_int = 5000;
/// "No offset" in a list of partitions: nothing is committed for it.
const NO_OFFSET: i64 = -1001;
/// The answer where nobody was asked.
const NOBODY: Code = Code::RD_KAFKA_RESP_ERR__TIMED_OUT;

pub(super) unsafe extern "C" fn log_callback(
    rk: *const rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    // SAFETY: librdkafka passes its own handle and two strings; the opaque pointer is null while the
    // client is being created and the client's state afterwards.
    unsafe {
        if let Some(state) = rd_kafka_opaque(rk).cast::<ClientState>().as_ref() {
            state.log_line(level as u8, &text(facility), &text(line));
        }
    }
}

pub(super) unsafe extern "C" fn error_callback(
    _: *mut rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: `opaque` is the client's state, which outlives the client.
    if let Some(state) = unsafe { opaque.cast::<ClientState>().as_ref() } {
        // SAFETY: the reason is a string that lives for the call.
        state.note_error(format!("{}: {}", error_name(code), unsafe { text(reason) }));
    }
}

pub(super) unsafe extern "C" fn statistics_callback(
    _: *mut rd_kafka_t,
    json: *mut c_char,
    size: usize,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: `opaque` is the client's state, which outlives the client; `json` holds `size` bytes for the call.
    unsafe {
        if let Some(state) = opaque.cast::<ClientState>().as_ref() {
            state.statistics(std::slice::from_raw_parts(json.cast::<u8>(), size));
        }
    }
    0 // librdkafka frees it
}

/// Serves a rebalance: positions are made explicit before partitions are taken over, and committed
/// before they are given away, so that both are known.
pub(super) unsafe extern "C" fn rebalance_callback(
    rk: *mut rd_kafka_t,
    code: Code,
    list: *mut rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: `opaque` is the client's state; `list` is valid for the call and holds `cnt` elements.
    unsafe {
        let Some(state) = opaque.cast::<ClientState>().as_ref() else {
            return;
        };
        let elements = match (*list).cnt {
            // An empty list has no array at all.
            0 => &mut [],
            count => std::slice::from_raw_parts_mut((*list).elems, count as usize),
        };
        // A group that is about to be gone leaves questions unanswered, and whoever asks waits for ever.
        let (cooperative, closing) = (state.cooperative, state.is_closing());
        if code == Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // Who leaves reads nothing of it, wherever that would begin.
            let told = if closing { NOBODY } else { rd_kafka_committed(rk, list, REBALANCE_QUERY_MS) };
            for element in elements.iter_mut().filter(|element| is_uncommitted(told, element)) {
                let (mut low, mut high) = (-1, -1);
                let (topic, partition) = (element.topic, element.partition);
                let answer =
                    rd_kafka_query_watermark_offsets(rk, topic, partition, &mut low, &mut high, REBALANCE_QUERY_MS);
                if answer == OK {
                    element.offset = if state.start_at == StartAt::Start { low } else { high };
                }
            }
            match cooperative {
                true => drop_error(rd_kafka_incremental_assign(rk, list)),
                false => _ = rd_kafka_assign(rk, list),
            }
            state.assigned(elements.iter().map(|element| (element.partition, element.offset)).collect());
        } else {
            let lost = rd_kafka_assignment_lost(rk) == 1;
            if state.commit_on_revoke && !lost && !closing {
                for element in elements.iter_mut() {
                    element.offset = state.processed_up_to(element.partition).unwrap_or(NO_OFFSET);
                }
                rd_kafka_commit(rk, list, 0);
            }
            match cooperative {
                true => drop_error(rd_kafka_incremental_unassign(rk, list)),
                false => _ = rd_kafka_assign(rk, null()),
            }
            state.revoked(elements.iter().map(|element| element.partition).collect(), lost);
        }
    }
}

/// Whether the group has answered that nothing is committed for a partition. Where it has not answered, its member may not begin at the
/// start or the end of the log: the client asks on by itself.
fn is_uncommitted(answer: Code, partition: &rd_kafka_topic_partition_t) -> bool {
    answer == OK && partition.err == OK && partition.offset < 0
}

/// SAFETY: `error` must be null or owned by the caller.
unsafe fn drop_error(error: *mut rd_kafka_error_t) {
    if !error.is_null() {
        // SAFETY: by the caller's promise.
        unsafe { rd_kafka_error_destroy(error) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{AssignmentChange, BatchConsumer, ClientRole, ClientSettings, LogSink};
    use rdkafka::topic_partition_list::TopicPartitionList;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    #[test]
    fn what_a_coordinator_has_not_said_is_not_taken_for_nothing_committed() {
        let mut list = TopicPartitionList::new();
        list.add_partition("t", 0);
        // SAFETY: the list holds one partition and lives to the end of the test.
        let partition = unsafe { &mut *(*list.ptr()).elems };
        partition.offset = NO_OFFSET;
        assert!(is_uncommitted(OK, partition));
        for failure in [Code::RD_KAFKA_RESP_ERR__TIMED_OUT, Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR] {
            assert!(!is_uncommitted(failure, partition), "nobody knows: {failure:?}");
        }
        partition.err = Code::RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT;
        assert!(!is_uncommitted(OK, partition), "of this one nobody knows");
        (partition.err, partition.offset) = (OK, 7);
        assert!(!is_uncommitted(OK, partition), "it goes on there");
    }

    #[test]
    fn who_leaves_agrees_to_a_rebalance_and_asks_nothing() {
        let mut settings = ClientSettings::new(ClientRole::Consumer).expect("settings");
        settings.set("bootstrap.servers", "127.0.0.1:1").expect("a property");
        settings.set("group.id", "g").expect("a property");
        let state = ClientState::new("member", LogSink::default()).for_group(StartAt::Start, true).cooperating(true);
        let consumer = BatchConsumer::new(&settings.build().expect("settings").0, state).expect("a client");
        let state = Arc::clone(consumer.client().context());
        state.processed(&BTreeMap::from([(0, 7)]));
        state.closes();
        let mut list = TopicPartitionList::new();
        list.add_partition("t", 0);
        let began = Instant::now();
        for code in [Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, Code::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS] {
            let opaque = Arc::as_ptr(&state).cast_mut().cast();
            // SAFETY: client, list and state live for the call.
            unsafe { rebalance_callback(consumer.client().native_ptr(), code, list.ptr(), opaque) };
        }
        assert!(began.elapsed() < Duration::from_millis(REBALANCE_QUERY_MS as u64), "nobody was asked");
        let assigned = AssignmentChange::Assigned(BTreeMap::from([(0, NO_OFFSET)]));
        assert_eq!(state.take_rebalances(), [assigned, AssignmentChange::Revoked(vec![0])]);
        consumer.abandon();
    }
}

//! Small questions to librdkafka that its Rust wrapper does not ask.
#![allow(unsafe_code)]

use crate::kafka::ClientState;
use rdkafka::bindings::*;
use rdkafka::client::Client;
use rdkafka::config::NativeClientConfig;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int};
use std::ptr::null;
use std::time::Duration;

/// Kafka's own name of an error code, such as `UNKNOWN_TOPIC_OR_PART`; client-side ones begin with `_`.
pub fn error_name(code: i32) -> String {
    let (mut list, mut count): (*const rd_kafka_err_desc, usize) = (null(), 0);
    // SAFETY: librdkafka stores a pointer to its static table of `count` entries, whose codes are
    // read as plain integers and whose names are static strings or null.
    unsafe {
        rd_kafka_get_err_descs(&mut list, &mut count);
        for entry in std::slice::from_raw_parts(list, count) {
            if entry.code as i32 == code && !entry.name.is_null() {
                return text(entry.name);
            }
        }
    }
    format!("ERROR_{code}")
}

/// Every error that the client library knows: its code and its name.
pub fn error_names() -> Vec<(i32, String)> {
    let (mut list, mut count): (*const rd_kafka_err_desc, usize) = (null(), 0);
    // SAFETY: as in `error_name`.
    unsafe {
        rd_kafka_get_err_descs(&mut list, &mut count);
        let entries = std::slice::from_raw_parts(list, count).iter();
        entries.filter(|entry| !entry.name.is_null()).map(|entry| (entry.code as i32, text(entry.name))).collect()
    }
}

/// Every property that the client knows, with its value in `config`; lists of lists excepted.
pub(crate) fn dump(config: &NativeClientConfig) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    // SAFETY: both dumps return `count` strings, alternating name and value, owned by the caller
    // until `rd_kafka_conf_dump_free`; the default topic configuration belongs to `config`.
    unsafe {
        let topic = rd_kafka_conf_get_default_topic_conf(config.ptr());
        for global in [true, false] {
            let mut count = 0;
            let pairs = match global {
                true => rd_kafka_conf_dump(config.ptr(), &mut count),
                false if topic.is_null() => continue,
                false => rd_kafka_topic_conf_dump(topic, &mut count),
            };
            for pair in std::slice::from_raw_parts(pairs, count).chunks_exact(2) {
                properties.insert(text(pair[0]), text(pair[1]));
            }
            rd_kafka_conf_dump_free(pairs, count);
        }
    }
    properties
}

/// The id of the cluster's controller, if a broker told it within the time.
pub fn controller_id<C: rdkafka::ClientContext>(client: &Client<C>, timeout: Duration) -> Option<i32> {
    // SAFETY: the handle is valid for as long as the client is borrowed.
    let id = unsafe { rd_kafka_controllerid(client.native_ptr(), timeout.as_millis() as c_int) };
    (id >= 0).then_some(id)
}

/// Gives a client its bootstrap servers again.
///
/// librdkafka (2.10 to 2.13) forgets every broker that a metadata response does not list. A broker that has just started may
/// list none for a moment, not even itself; the client then knows nobody and asks nobody for good, whereas Java's
/// client would go back to its bootstrap servers (librdkafka's issue 5301). For a client that knows brokers it does nothing
/// that the next metadata response does not take back.
pub(crate) fn revive<C: rdkafka::ClientContext>(client: &Client<C>) {
    let mut servers = [0 as c_char; 4096];
    let mut size = servers.len();
    // SAFETY: the handle and its configuration are valid for as long as the client is borrowed; `size` is the buffer's, and
    // what was written ends with a zero byte.
    unsafe {
        let config = rd_kafka_conf(client.native_ptr());
        let got = rd_kafka_conf_get(config, c"bootstrap.servers".as_ptr(), servers.as_mut_ptr(), &mut size);
        if got == rd_kafka_conf_res_t::RD_KAFKA_CONF_OK && size <= servers.len() {
            rd_kafka_brokers_add(client.native_ptr(), servers.as_ptr());
        }
    }
}

/// Revives a client that has no broker left to ask, according to its last statistics.
pub fn keep_connected(client: &Client<ClientState>) {
    if client.context().is_stranded() {
        revive(client);
        client.context().revived();
    }
}

/// SAFETY: `string` must be null or end with a zero byte.
pub(super) unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: by the caller's promise.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().trim().to_owned()
}

//! The properties of topics.

use crate::text::{Problem, did_you_mean, escape};
use crate::verb::CheckContext;
use serde_json::Value;
use std::collections::BTreeMap;

/// Those of Kafka 2.8 to 4. Others have more, and so will later versions.
const KNOWN: &[&str] = &[
    "cleanup.policy",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.downconversion.enable",
    "message.format.version",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.difference.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];

/// Letters by which a misspelt name differs at most: what differs by more may be a name of its own.
const SLIPS: usize = 2;

/// Refuses names that are misspelt, values that are none, and replicas in sync that there cannot be.
pub(super) fn check(config: &BTreeMap<String, Value>, replication: Option<u64>, cx: &mut CheckContext<'_>) {
    for (key, value) in config {
        let pointer = format!("/config/{}", escape(key));
        if value.is_array() || value.is_object() || value.is_null() {
            cx.report(&pointer, Problem::new("bad-value", format!("`{key}` needs a single value")));
        }
        // What resembles nothing may be another vendor's, or of a later version: the broker knows.
        if !KNOWN.contains(&key.as_str())
            && let Some(similar) = did_you_mean(key, KNOWN.iter().copied())
            && strsim::damerau_levenshtein(key, similar) <= SLIPS
        {
            let problem = Problem::new("topic-property", format!("topics have no property `{key}`"));
            cx.report(&pointer, problem.help(format!("did you mean `{similar}`?")));
        }
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let least = config.get("min.insync.replicas").and_then(|value| text(value).parse::<u64>().ok());
    if let (Some(least), Some(replicas)) = (least, replication)
        && least > replicas
    {
        let problem = format!(
            "{least} replicas can never be in sync where there are {replicas}: nothing could be written with `acks: all`"
        );
        cx.report(
            "/config/min.insync.replicas",
            Problem::new("too-few-replicas", problem).help("raise `replication`, or lower `min.insync.replicas`"),
        );
    }
}

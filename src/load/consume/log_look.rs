//! What the cluster says of the logs that a reader reads: which topic it is, and where leader epochs end.

use crate::accounting::TopicIdBytes;
use crate::wire::{WireCluster, WireError, epochs, topics};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::runtime::Handle;

/// How long one look may take.
const ANSWER: Duration = Duration::from_secs(2);

/// Looks at the logs of one topic, from a plain thread.
pub(super) struct LogLook {
    cluster: WireCluster,
    runtime: Handle,
    topic: String,
}

impl LogLook {
    /// `None` outside of a runtime, or where kscen's own connections do not know a property of the client's: then only what is
    /// read tells logs apart.
    pub(super) fn new(connection: &BTreeMap<String, String>, topic: &str) -> Option<Self> {
        let cluster = WireCluster::new(connection, ANSWER).ok()?;
        Some(Self { cluster, runtime: Handle::try_current().ok()?, topic: topic.to_owned() })
    }

    /// The topic's id; `None` where the brokers have no ids, or do not show the topic.
    ///
    /// # Errors
    /// Nobody answers.
    pub(super) fn id(&self) -> Result<Option<TopicIdBytes>, WireError> {
        let mut found = self.runtime.block_on(topics::describe(&self.cluster, &[&self.topic]))?;
        let topic = found.remove(&self.topic).and_then(Result::ok);
        Ok(topic.and_then(|topic| topic.id).map(topics::TopicId::bytes))
    }

    /// Of partitions with the offset behind what was read, and the leader epoch of that: those whose logs were cut off below.
    pub(super) fn cut(&self, read: &BTreeMap<i32, (i64, i32)>) -> Vec<i32> {
        let asked: BTreeMap<i32, i32> = read.iter().map(|(partition, (_, epoch))| (*partition, *epoch)).collect();
        if asked.is_empty() {
            return Vec::new();
        }
        let ends = self.runtime.block_on(epochs::ends(&self.cluster, &self.topic, &asked));
        let is_cut = |partition: &i32, end: Option<epochs::EpochEnd>| {
            // A leader that knows no epoch as old says nothing; another topic shows by its id.
            read.get(partition).is_some_and(|(position, _)| end.is_some_and(|end| end.offset < *position))
        };
        let answered = ends.into_iter().filter_map(|(partition, end)| Some((partition, end.ok()?)));
        answered.filter(|(partition, end)| is_cut(partition, *end)).map(|(partition, _)| partition).collect()
    }
}

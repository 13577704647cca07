//! A topic in an archive.

use super::KeptPartition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A topic. One that was deleted and created again is another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptTopic {
    /// Its name.
    pub name: String,
    /// Its id as Kafka prints it, where the brokers have ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The folder of its segments: `topics/NAME@ID`.
    pub folder: String,
    /// How many replicas each partition had.
    pub replication: usize,
    /// Its configuration: every setting that is not Kafka's default. `None` where it may not be seen.
    pub config: Option<BTreeMap<String, Setting>>,
    /// The ACLs on it. `None` where they may not be seen, or the cluster has no authorizer.
    pub acls: Option<Vec<Acl>>,
    /// Whether they may not be seen. An earlier version did not tell that from a cluster without an authorizer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acls_unseen: bool,
    /// Whether its last backup was told to leave groups out: then not all are known that have committed something for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub groups_left_out: bool,
    /// Its partitions, ascending.
    pub partitions: Vec<KeptPartition>,
}

impl KeptTopic {
    /// A partition by its number.
    pub fn partition(&self, number: i32) -> Option<&KeptPartition> {
        self.partitions.iter().find(|partition| partition.partition == number)
    }
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// The value; absent where Kafka hides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where it was set: `topic`, or `broker` where it comes from the brokers' configuration and is not a part of the topic.
    pub source: String,
}

/// An ACL on a topic, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Acl {
    /// `LITERAL` or `PREFIXED`.
    pub pattern: String,
    /// The topic, a prefix, or `*`.
    pub resource: String,
    /// Such as `User:alice`.
    pub principal: String,
    /// An address, or `*`.
    pub host: String,
    /// Such as `READ`.
    pub operation: String,
    /// `ALLOW` or `DENY`.
    pub permission: String,
}

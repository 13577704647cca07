//! What two jobs may not write at the same time.

use std::fmt;

/// Something that a job writes, and that no other may write meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobClaim {
    /// An archive.
    Archive(String),
    /// A topic of a cluster.
    Topic {
        /// The cluster.
        cluster: String,
        /// The topic.
        topic: String,
    },
    /// A group of a cluster.
    Group {
        /// The cluster.
        cluster: String,
        /// The group.
        group: String,
    },
}

impl JobClaim {
    /// Whether it is this topic, of whatever cluster.
    pub fn is_topic(&self, name: &str) -> bool {
        matches!(self, Self::Topic { topic, .. } if topic == name)
    }
}

impl fmt::Display for JobClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(name) => write!(f, "archive `{name}`"),
            Self::Topic { cluster, topic } => write!(f, "topic `{topic}` of `{cluster}`"),
            Self::Group { cluster, group } => write!(f, "group `{group}` of `{cluster}`"),
        }
    }
}

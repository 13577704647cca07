//! Error codes in answers, and the right that is missing.

use kafka_protocol::ResponseError;
use std::error::Error;
use std::fmt;

/// What an ACL allows, in Kafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Create.
    Create,
    /// Delete.
    Delete,
    /// Alter.
    Alter,
    /// Describe.
    Describe,
    /// What brokers do among themselves.
    ClusterAction,
    /// Describe configurations.
    DescribeConfigs,
    /// Alter configurations.
    AlterConfigs,
    /// Write with an idempotent producer.
    IdempotentWrite,
}

impl Operation {
    /// All of them, with Kafka's name and the code that is also the bit in a set of authorised operations.
    const ALL: [(Self, &'static str, u32); 10] = [
        (Self::Read, "READ", 3),
        (Self::Write, "WRITE", 4),
        (Self::Create, "CREATE", 5),
        (Self::Delete, "DELETE", 6),
        (Self::Alter, "ALTER", 7),
        (Self::Describe, "DESCRIBE", 8),
        (Self::ClusterAction, "CLUSTER_ACTION", 9),
        (Self::DescribeConfigs, "DESCRIBE_CONFIGS", 10),
        (Self::AlterConfigs, "ALTER_CONFIGS", 11),
        (Self::IdempotentWrite, "IDEMPOTENT_WRITE", 12),
    ];
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(operation, ..)| operation == self).map_or("", |(_, name, _)| name);
        f.write_str(name)
    }
}

/// The operations that Kafka says the principal may do on a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorised(u32);

impl Authorised {
    /// Reads the set in an answer: `None` where the broker does not tell, which it does with a bit of its own or, for a
    /// principal who may not describe the resource, with an empty set.
    pub(crate) fn read(bits: i32) -> Option<Self> {
        (bits > 0).then_some(Self(bits.cast_unsigned()))
    }

    /// Whether the principal may do this.
    pub fn allows(&self, operation: Operation) -> bool {
        Operation::ALL.iter().any(|(found, _, bit)| *found == operation && self.0 & (1 << bit) != 0)
    }
}

/// What a right is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RightSubject {
    /// The cluster as a whole.
    Cluster,
    /// A topic.
    Topic(String),
    /// A consumer group.
    Group(String),
    /// Something about one partition; the right is the topic's.
    Partition(String, i32),
    /// The configuration of a broker; the right is the cluster's.
    Broker(i32),
    /// A transactional id.
    Transaction(String),
}

impl RightSubject {
    /// The resource as ACLs name it: its type and its name.
    fn resource(&self) -> (&'static str, &str) {
        match self {
            Self::Cluster | Self::Broker(_) => ("Cluster", "kafka-cluster"),
            Self::Topic(name) | Self::Partition(name, _) => ("Topic", name),
            Self::Group(name) => ("Group", name),
            Self::Transaction(id) => ("TransactionalId", id),
        }
    }
}

impl fmt::Display for RightSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("the cluster"),
            Self::Topic(name) => write!(f, "topic `{name}`"),
            Self::Group(name) => write!(f, "group `{name}`"),
            Self::Partition(topic, partition) => write!(f, "partition {topic}/{partition}"),
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::Transaction(id) => write!(f, "transactional id `{id}`"),
        }
    }
}

/// An error code that an answer gave for one thing that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRight {
    /// What was attempted, as in "cannot …": `describe`, `list the offsets of`.
    pub action: &'static str,
    /// The thing.
    pub subject: RightSubject,
    /// The right that the request needs on it.
    pub operation: Operation,
    /// The broker's words, where it has some.
    pub message: Option<String>,
    code: i16,
}

impl MissingRight {
    /// Reads an error code: an error unless it is 0.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn check(
        code: i16,
        message: Option<&str>,
        action: &'static str,
        operation: Operation,
        subject: RightSubject,
    ) -> Result<(), Self> {
        if code == 0 {
            return Ok(());
        }
        let message = message.filter(|message| !message.is_empty()).map(str::to_owned);
        Err(Self { action, subject, operation, message, code })
    }

    /// Kafka's number of the error.
    pub fn code(&self) -> i16 {
        self.code
    }

    /// Kafka's name of the error, such as `GROUP_AUTHORIZATION_FAILED`.
    pub fn name(&self) -> String {
        match ResponseError::try_from_code(self.code) {
            Some(ResponseError::Unknown(code)) => format!("error {code}"),
            Some(known) => upper_snake(&format!("{known:?}")),
            None => "NONE".to_owned(),
        }
    }

    fn kind(&self) -> Option<ResponseError> {
        ResponseError::try_from_code(self.code)
    }

    /// Whether the principal lacks a right.
    pub fn is_denied(&self) -> bool {
        use ResponseError as E;
        matches!(
            self.kind(),
            Some(
                E::TopicAuthorizationFailed
                    | E::GroupAuthorizationFailed
                    | E::ClusterAuthorizationFailed
                    | E::TransactionalIdAuthorizationFailed
            )
        )
    }

    /// Whether the thing does not exist.
    pub fn is_absent(&self) -> bool {
        use ResponseError as E;
        matches!(
            self.kind(),
            Some(E::UnknownTopicOrPartition | E::GroupIdNotFound | E::UnknownTopicId | E::NoReassignmentInProgress)
        )
    }

    /// Whether it is a matter of time: an election, a move of a coordinator.
    pub(crate) fn is_passing(&self) -> bool {
        use ResponseError as E;
        matches!(
            self.kind(),
            Some(
                E::LeaderNotAvailable
                    | E::NotLeaderOrFollower
                    | E::RequestTimedOut
                    | E::NetworkException
                    | E::CoordinatorLoadInProgress
                    | E::CoordinatorNotAvailable
                    | E::NotCoordinator
                    | E::NotController
                    | E::KafkaStorageError
                    | E::ListenerNotFound
                    | E::FencedLeaderEpoch
                    | E::UnknownLeaderEpoch
                    | E::OffsetNotAvailable
                    | E::UnstableOffsetCommit
                    | E::ThrottlingQuotaExceeded
            )
        )
    }
}

impl fmt::Display for MissingRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_denied() {
            // A request on a group can be refused for a topic that its members read.
            let (kind, name) = match (self.kind(), &self.subject) {
                (Some(ResponseError::TopicAuthorizationFailed), RightSubject::Group(_)) => {
                    return write!(
                        f,
                        "not authorised to {} {}: the principal needs {} on each topic that its members subscribe to",
                        self.action, self.subject, self.operation
                    );
                }
                (Some(ResponseError::ClusterAuthorizationFailed), _) => ("Cluster", "kafka-cluster"),
                _ => self.subject.resource(),
            };
            return write!(
                f,
                "not authorised to {} {}: the principal needs {} on {kind} `{name}`",
                self.action, self.subject, self.operation
            );
        }
        write!(f, "cannot {} {}: {}", self.action, self.subject, self.name())?;
        match &self.message {
            Some(message) => write!(f, " ({message})"),
            None => Ok(()),
        }
    }
}

impl Error for MissingRight {}

/// `NotLeaderOrFollower` as `NOT_LEADER_OR_FOLLOWER`.
pub(super) fn upper_snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    for (index, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: i16, subject: RightSubject) -> MissingRight {
        MissingRight::check(code, None, "describe", Operation::Describe, subject).expect_err("a code is an error")
    }

    #[test]
    fn a_missing_right_is_named_with_its_resource() {
        let group = RightSubject::Group("billing".to_owned());
        let denied = refused(30, group.clone());
        assert!(denied.is_denied() && !denied.is_passing());
        assert_eq!(
            denied.to_string(),
            "not authorised to describe group `billing`: the principal needs DESCRIBE on Group `billing`"
        );
        let of_topics = refused(29, group).to_string();
        assert!(of_topics.ends_with("DESCRIBE on each topic that its members subscribe to"), "{of_topics}");
        let cluster = refused(31, RightSubject::Broker(2)).to_string();
        assert!(cluster.ends_with("DESCRIBE on Cluster `kafka-cluster`"), "{cluster}");
        let other = refused(6, RightSubject::Partition("orders".to_owned(), 3));
        assert_eq!(other.to_string(), "cannot describe partition orders/3: NOT_LEADER_OR_FOLLOWER");
        assert!(other.is_passing());
        assert_eq!(refused(1234, RightSubject::Cluster).name(), "error 1234");
    }

    #[test]
    fn authorised_operations_that_are_not_told_are_not_an_empty_set() {
        assert_eq!(Authorised::read(i32::MIN), None);
        assert_eq!(Authorised::read(0), None);
        let some = Authorised::read(1 << 8 | 1 << 3).expect("told");
        assert!(some.allows(Operation::Describe) && some.allows(Operation::Read) && !some.allows(Operation::Alter));
    }
}

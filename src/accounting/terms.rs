//! What a scenario declares about messages that may go.

use super::sender::SentWithin;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A way for acknowledged messages to go that a check allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    /// By retention, or by a deletion of records.
    Expired,
    /// By compaction, in favour of a later message of the same key.
    Superseded,
}

/// What the scenario's own `topic` step says about how long messages stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// `cleanup.policy` names compaction.
    pub compacts: bool,
    /// `retention.ms`, where old messages may go.
    pub retention_ms: Option<u64>,
    /// `retention.bytes` of a partition, where old messages may go.
    pub retention_bytes: Option<u64>,
}

impl Policy {
    /// Whether this `cleanup.policy` names compaction.
    pub fn is_compacting(cleanup: &str) -> bool {
        cleanup.split(',').any(|word| word.trim() == "compact")
    }

    /// Reads a topic's configuration.
    pub fn of(config: &BTreeMap<String, String>) -> Self {
        let value = |name: &str| config.get(name).map(String::as_str);
        let cleanup = value("cleanup.policy").unwrap_or("delete");
        let deletes = cleanup.split(',').any(|word| word.trim() == "delete");
        let limit = |name: &str| value(name).and_then(|text| text.parse().ok()).filter(|_| deletes);
        Self {
            compacts: Self::is_compacting(cleanup),
            retention_ms: limit("retention.ms"),
            retention_bytes: limit("retention.bytes"),
        }
    }
}

/// The policies of topics as they stand: of several steps that made a topic of one name, the one that ended last has made the topic that
/// there is. When each ended comes first, in seconds.
pub fn standing_policies(made: impl IntoIterator<Item = (f64, String, Policy)>) -> BTreeMap<String, Policy> {
    let mut made: Vec<_> = made.into_iter().collect();
    made.sort_by(|one, other| one.0.total_cmp(&other.0));
    made.into_iter().map(|(_, topic, policy)| (topic, policy)).collect()
}

/// What may happen to messages between senders and readers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// What the check allows.
    pub allow: BTreeSet<Allowed>,
    /// What the scenario declares, by topic.
    pub policies: BTreeMap<String, Policy>,
    /// Whether the cluster says that a topic is compacted, where it was asked and has answered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub compacts: BTreeMap<String, bool>,
    /// The topics whose logs were to be searched for what nobody had read, and could not be.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unsearched: BTreeSet<String>,
    /// When it is settled, in µs since the epoch.
    pub now_us: i64,
}

/// Whether a later message of the same key may have taken the place of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Supersession {
    /// The topic is compacted, and the check allows that or the scenario declares it.
    Allowed,
    /// The check allows it, and whether the topic is compacted is not known.
    Unknown,
    /// Nothing allows it, or the topic is not compacted.
    Never,
}

impl Terms {
    /// Whether a later message of the same key may have taken a message's place. Allowing it makes no topic a compacted one.
    pub(super) fn supersedes(&self, topic: &str) -> Supersession {
        let declared = self.policies.get(topic).map(|policy| policy.compacts);
        if declared == Some(true) {
            return Supersession::Allowed;
        }
        if !self.allow.contains(&Allowed::Superseded) {
            return Supersession::Never;
        }
        match self.compacts.get(topic).copied().or(declared) {
            Some(true) => Supersession::Allowed,
            Some(false) => Supersession::Never,
            None => Supersession::Unknown,
        }
    }

    /// Whether a message below the start of its log may have expired. `bytes` were written to the topic in all.
    pub(super) fn expires(&self, topic: &str, sent: SentWithin, bytes: u64) -> Expiry {
        if self.allow.contains(&Allowed::Expired) {
            return Expiry::Explained;
        }
        let Some(policy) = self.policies.get(topic) else { return Expiry::Unexplained };
        // Retention keeps at least this much of each partition: with less in all of them nothing goes.
        if policy.retention_bytes.is_some_and(|limit| bytes > limit) {
            return Expiry::Explained;
        }
        let Some(limit_ms) = policy.retention_ms else { return Expiry::Unexplained };
        let is_over = |sent_us: i64| {
            u64::try_from(self.now_us.saturating_sub(sent_us)).is_ok_and(|age_us| age_us / 1000 >= limit_ms)
        };
        match (sent.earliest_us.map(is_over), sent.latest_us.map(is_over)) {
            (_, Some(true)) => Expiry::Explained,
            (Some(true), _) => Expiry::Unknown,
            (Some(false) | None, _) => Expiry::Unexplained,
        }
    }
}

/// Whether what a scenario declares explains that a message is below the start of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// It does.
    Explained,
    /// Nothing does.
    Unexplained,
    /// `retention.ms` does for a part of its load, and when this message was sent is not known.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_policy_explains_expires() {
        let config = |pairs: &[(&str, &str)]| {
            Policy::of(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        let terms = |policy| Terms {
            policies: BTreeMap::from([("t".to_owned(), policy)]),
            now_us: 10_000_000,
            ..Terms::default()
        };
        let at = |us: Option<i64>| SentWithin { earliest_us: us, latest_us: us };
        let within = |earliest_us: i64, latest_us| SentWithin { earliest_us: Some(earliest_us), latest_us };
        let explains = |terms: &Terms, sent, bytes| terms.expires("t", sent, bytes) == Expiry::Explained;
        let hour = terms(config(&[("retention.ms", "3600000")]));
        assert!(!explains(&hour, at(Some(0)), u64::MAX), "ten seconds are no hour");
        assert_eq!(hour.expires("t", within(0, None), 0), Expiry::Unexplained, "none of its load is older");
        let second = terms(config(&[("retention.ms", "1000")]));
        assert!(explains(&second, at(Some(0)), 0) && !explains(&second, at(Some(9_500_000)), 0));
        // Of a load without a rate it is known when it began and when it was over.
        assert!(explains(&second, within(0, Some(8_000_000)), 0), "all of its load is older");
        assert_eq!(second.expires("t", within(0, Some(9_500_000)), 0), Expiry::Unknown, "some of it may be older");
        assert_eq!(second.expires("t", within(0, None), 0), Expiry::Unknown);
        assert_eq!(second.expires("t", within(9_500_000, Some(9_900_000)), 0), Expiry::Unexplained);
        assert!(!explains(&second, at(None), 0), "the age is not known");
        assert_eq!(second.expires("u", at(Some(0)), 0), Expiry::Unexplained, "another topic");
        assert!(!explains(&terms(config(&[("retention.ms", "-1")])), at(Some(0)), 0));
        let compact = config(&[("cleanup.policy", "compact"), ("retention.ms", "1")]);
        assert!(compact.compacts && !explains(&terms(compact.clone()), at(Some(0)), 0));
        assert_eq!(terms(compact).supersedes("t"), Supersession::Allowed);
        let bytes = terms(config(&[("retention.bytes", "1000")]));
        assert!(explains(&bytes, at(None), 1001) && !explains(&bytes, at(None), 1000));
        let allowed = Terms { allow: BTreeSet::from([Allowed::Expired]), ..Terms::default() };
        assert!(explains(&allowed, at(None), 0));
    }

    #[test]
    fn of_several_topics_of_one_name_the_last_one_stands() {
        let [short, long] = [1_000, 1_000_000].map(|ms| Policy { retention_ms: Some(ms), ..Policy::default() });
        // By the names of their steps: `again`, `other`, `z-first`.
        let made = [
            (7.0, "t".to_owned(), long.clone()),
            (1.0, "u".to_owned(), short.clone()),
            (2.0, "t".to_owned(), short.clone()),
        ];
        assert_eq!(standing_policies(made), BTreeMap::from([("t".to_owned(), long), ("u".to_owned(), short)]));
    }

    #[test]
    fn allowing_it_makes_no_topic_a_compacted_one() {
        let allow = BTreeSet::from([Allowed::Superseded]);
        let told = |compacts: &[bool]| compacts.iter().map(|compacts| ("t".to_owned(), *compacts)).collect();
        let plain = BTreeMap::from([("t".to_owned(), Policy::default())]);
        let terms = |policies: &BTreeMap<_, _>, compacts: &[bool]| Terms {
            allow: allow.clone(),
            policies: policies.clone(),
            compacts: told(compacts),
            ..Terms::default()
        };
        let none = BTreeMap::new();
        assert_eq!(terms(&plain, &[]).supersedes("t"), Supersession::Never);
        assert_eq!(terms(&none, &[false]).supersedes("t"), Supersession::Never);
        assert_eq!(terms(&none, &[]).supersedes("t"), Supersession::Unknown, "nobody says what it is");
        // Altered by something else, or a default of the cluster.
        assert_eq!(terms(&plain, &[true]).supersedes("t"), Supersession::Allowed);
        assert_eq!(Terms { compacts: told(&[true]), ..Terms::default() }.supersedes("t"), Supersession::Never);
    }
}

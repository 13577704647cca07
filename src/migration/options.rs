//! What a migration is asked for.

use crate::backup::restore::Offsets;
use crate::backup::{BackupStop, KeptGroups, OnGap};
use crate::text::Redactor;
use std::path::PathBuf;
use std::time::Duration;

/// How topics are migrated.
#[derive(Clone, Debug)]
pub struct MigrateOptions {
    /// Which topics.
    pub topics: Vec<MovedTopic>,
    /// When it ends.
    pub until: MigrateUntil,
    /// So long no partition may have got a record before the source counts as drained.
    pub settle: Duration,
    /// The time from the beginning of one round to that of the next.
    pub interval: Duration,
    /// Which offsets records get.
    pub offsets: Offsets,
    /// Which groups go on in the target.
    pub groups: KeptGroups,
    /// Whether the target gets the ACLs that name a topic.
    pub acls: bool,
    /// What is to be done where the source has lost records before they could be read.
    pub on_gap: OnGap,
    /// Bytes per second, of reading and of writing each; `None` for no limit.
    pub rate: Option<u64>,
    /// How many partitions are read, and written, at the same time.
    pub parallel: usize,
    /// How many replicas a topic gets; `None` for as many as it had, or as the target has brokers.
    pub replication: Option<i16>,
    /// Whether retention stays off in the target afterwards.
    pub hold_retention: bool,
    /// So long the source may be out of reach, and so long a transaction may stay open that nothing but the end waits for.
    pub patience: Duration,
    /// The folder below which each migration has its staging folder.
    pub staging: PathBuf,
    /// Ends it early, in good order.
    pub stop: BackupStop,
    /// What the staging folder may not hold: a broker may repeat in its answer what it was sent.
    pub redactor: Redactor,
}

impl MigrateOptions {
    /// The usual ones for these topics.
    pub fn new(topics: Vec<MovedTopic>, staging: PathBuf) -> Self {
        Self {
            topics,
            until: MigrateUntil::Drained,
            settle: Duration::from_secs(10),
            interval: Duration::from_secs(5),
            offsets: Offsets::Translated,
            groups: KeptGroups::All,
            acls: true,
            on_gap: OnGap::Stop,
            rate: None,
            parallel: 4,
            replication: None,
            hold_retention: false,
            patience: Duration::from_secs(16 * 60),
            staging,
            stop: BackupStop::never(),
            redactor: Redactor::default(),
        }
    }

    /// What a topic of the source is called in the target.
    pub(super) fn target_name(&self, name: &str) -> String {
        let renamed = self.topics.iter().find(|topic| topic.name == name).and_then(|topic| topic.to.clone());
        renamed.unwrap_or_else(|| name.to_owned())
    }
}

/// A topic that is migrated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedTopic {
    /// Its name in the source, or a pattern of names with `*` for any characters.
    pub name: String,
    /// Its name in the target, where that is another. A pattern has none.
    pub to: Option<String>,
}

impl MovedTopic {
    /// From `NAME` or `NAME=NEW`.
    ///
    /// # Errors
    /// In words: a pattern gets another name, or a part is empty.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, to) = match text.split_once('=') {
            Some((name, to)) => (name, Some(to)),
            None => (text, None),
        };
        if name.is_empty() || to.is_some_and(str::is_empty) {
            return Err(format!("`{text}` is neither a topic nor `TOPIC=NEW`"));
        }
        if name.contains('*') && to.is_some() {
            return Err(format!(
                "`{name}` stands for several topics, which cannot all be called `{}`",
                to.unwrap_or("")
            ));
        }
        Ok(Self { name: name.to_owned(), to: to.map(str::to_owned) })
    }
}

/// When a migration ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrateUntil {
    /// When everything is in the target that was in the source when it began.
    End,
    /// When everything is in the target, and the source has got no record for a while: see [`MigrateOptions::settle`].
    Drained,
    /// Only when it is asked to stop. It is then continued, by a later one with another end.
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_may_get_another_name_and_a_pattern_may_not() {
        let parsed = |text| MovedTopic::parse(text).map(|topic| (topic.name, topic.to));
        assert_eq!(parsed("a"), Ok(("a".to_owned(), None)));
        assert_eq!(parsed("a=b"), Ok(("a".to_owned(), Some("b".to_owned()))));
        assert_eq!(parsed("a*"), Ok(("a*".to_owned(), None)));
        for wrong in ["", "=b", "a=", "a*=b"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}

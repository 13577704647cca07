//! What is to be restored, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

/// A restore.
#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// Which topics.
    pub topics: Vec<Renamed>,
    /// Which moment of them.
    pub until: RestorePoint,
    /// Which offsets the records get.
    pub offsets: Offsets,
    /// Which records.
    pub isolation: Keep,
    /// Which groups get their offsets.
    pub groups: RestoredGroups,
    /// Whether ACLs that name a topic literally come back.
    pub acls: bool,
    /// Bytes per second over all partitions; `None` for no limit.
    pub rate: Option<u64>,
    /// Whether a topic that exists may be written into.
    pub append: bool,
    /// Whether retention stays off afterwards, so that old times are not deleted at once.
    pub hold_retention: bool,
    /// How many replicas a topic gets; `None` for as many as it had, or as the target has brokers.
    pub replication: Option<i16>,
    /// How many partitions are written at the same time.
    pub parallel: usize,
    /// The most empty transactions that exact offsets may take in one partition.
    pub most_transactions: u64,
    /// Whether more is to come: topics stay configured as for the time of a restore, and neither groups nor ACLs are touched. Only
    /// with [`RestorePoint::Stable`].
    pub more: bool,
    /// Whether nothing is written, and only what would be is told.
    pub dry_run: bool,
    /// The folder for checkpoints and tables of offsets.
    pub state: PathBuf,
}

impl RestoreRequest {
    /// Everything of these topics, under their own names, with offsets of their own.
    pub fn new(topics: Vec<Renamed>, state: PathBuf) -> Self {
        Self {
            topics,
            until: RestorePoint::End,
            offsets: Offsets::Translated,
            isolation: Keep::Committed,
            groups: RestoredGroups::None,
            acls: false,
            rate: None,
            append: false,
            hold_retention: false,
            replication: None,
            // Each waits for its acknowledgements most of the time.
            parallel: 8,
            most_transactions: 100_000,
            more: false,
            dry_run: false,
            state,
        }
    }
}

/// A topic, and what it is called in the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// Its name in the archive.
    pub from: String,
    /// Its name in the target.
    pub to: String,
    /// Which partitions get records; `None` for all. Others stay empty.
    pub partitions: Option<BTreeSet<i32>>,
}

impl Renamed {
    /// Under the name that it has.
    pub fn same(name: &str) -> Self {
        Self { from: name.to_owned(), to: name.to_owned(), partitions: None }
    }
}

/// Which moment of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestorePoint {
    /// Everything that the archive has.
    End,
    /// Each partition as it was before its first record with a later time stamp than this, in ms since the epoch.
    Time(i64),
    /// Each partition before this offset of the source.
    Offset(i64),
    /// What the archive had when this backup into it was complete.
    Generation(u32),
    /// Each partition before its first record of an open transaction. What is restored stays right whatever is added to the
    /// archive later, so that a restore up to here goes on with the newest manifest.
    Stable,
}

impl FromStr for RestorePoint {
    type Err = String;

    /// `offset:N`, `generation:N`, or a moment with its time zone, such as `2026-11-28T20:00:00Z`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(number) = text.strip_prefix("offset:") {
            return number.parse().map(Self::Offset).map_err(|_| format!("`{number}` is not an offset"));
        }
        if let Some(number) = text.strip_prefix("generation:") {
            let wrong = |_| format!("`{number}` is not the number of a generation");
            return number.parse().map(Self::Generation).map_err(wrong);
        }
        let time: Result<jiff::Timestamp, _> = text.parse();
        let wrong = |error| format!("it is neither `offset:N` nor `generation:N` nor a time with a time zone: {error}");
        time.map(|time| Self::Time(time.as_millisecond())).map_err(wrong)
    }
}

/// Which offsets records get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Offsets {
    /// One after the other; a table tells where each one went.
    Translated,
    /// Those that they had.
    Exact,
}

/// Which records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Those that a reader of committed data sees.
    Committed,
    /// Those of aborted and open transactions, too, as if they had been sent without a transaction.
    Everything,
}

/// Which groups get their offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoredGroups {
    /// None.
    None,
    /// All that had committed offsets for the topics.
    All,
    /// These.
    Named(Vec<String>),
}

impl RestoredGroups {
    /// Whether this group gets its offsets.
    pub fn wants(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Named(names) => names.iter().any(|wanted| wanted == name),
        }
    }
}

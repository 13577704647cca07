//! The metrics: one registry that drives schema, expectations, thresholds, reports, comparison and `${steps.X.metric}`.

use super::unit::Unit;

/// Which direction of change is an improvement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
    /// Neither.
    Neutral,
}

/// How a metric is shaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricShape {
    /// One number.
    Single,
    /// A distribution, of which a statistic has to be named: see [`STATISTICS`].
    Distribution,
}

/// A metric of a step.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name in scenarios and results.
    pub name: &'static str,
    /// Unit.
    pub unit: Unit,
    /// One number or a distribution.
    pub shape: MetricShape,
    /// What a verb does that has it; empty for a metric of every verb.
    pub work: &'static [Work],
    /// Which way is better.
    pub better: Better,
    /// What it is.
    pub doc: &'static str,
}

/// The statistics of a distribution.
pub const STATISTICS: &[(&str, &str)] = &[
    ("mean", "arithmetic mean"),
    ("p50", "median"),
    ("p90", "90th percentile"),
    ("p95", "95th percentile"),
    ("p99", "99th percentile"),
    ("p99.9", "99.9th percentile"),
    ("max", "largest value"),
];

/// What the steps of a verb do, as far as others have to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Sends messages.
    Sends,
    /// Reads messages.
    Reads,
    /// Changes rows of a database.
    ChangesRows,
    /// Runs a program under test.
    Runs,
    /// Has a connector read the log of a database.
    Captures,
    /// Disturbs a service, a connection or a step, or ends such a disturbance.
    Disturbs,
    /// Judges what happened.
    Judges,
    /// Waits for the end of another step.
    Joins,
    /// Looks for what a system can take.
    Searches,
    /// Waits until a queue is empty, or empties it into another topic.
    Drains,
    /// Copies topics into another cluster.
    Migrates,
    /// Takes topics into an archive, or writes them from one.
    Archives,
    /// Anything else.
    Other,
}

impl Work {
    /// What such a step does, as words that follow "to".
    pub fn does(self) -> &'static str {
        match self {
            Self::Sends => "send messages",
            Self::Reads => "read messages",
            Self::ChangesRows => "change rows of a database",
            Self::Runs => "run a program under test",
            Self::Captures => "capture changes",
            Self::Disturbs => "disturb anything",
            Self::Judges => "judge anything",
            Self::Joins => "wait for a step",
            Self::Searches => "search for a rate",
            Self::Drains => "drain a queue",
            Self::Migrates => "copy topics into another cluster",
            Self::Archives => "take topics into an archive or out of one",
            Self::Other => "do that",
        }
    }
}

const PRODUCE: &[Work] = &[Work::Sends];
const CONSUME: &[Work] = &[Work::Reads];
const LOADS: &[Work] = &[Work::Sends, Work::Reads];
const FAULTS: &[Work] = &[Work::Disturbs];
const SQL: &[Work] = &[Work::ChangesRows];
const SENDS: &[Work] = &[Work::Sends, Work::ChangesRows];
const ANSWERED: &[Work] = &[Work::Sends, Work::Reads, Work::ChangesRows];
const CONNECTOR: &[Work] = &[Work::Captures];
const SEARCHES: &[Work] = &[Work::Searches];
const DRAINS: &[Work] = &[Work::Drains];
const MOVES: &[Work] = &[Work::Drains, Work::Migrates];
const MIGRATES: &[Work] = &[Work::Migrates];
const ARCHIVES: &[Work] = &[Work::Archives];

const fn single(name: &'static str, unit: Unit, work: &'static [Work], better: Better, doc: &'static str) -> Metric {
    Metric { name, unit, shape: MetricShape::Single, work, better, doc }
}

const fn distribution(name: &'static str, work: &'static [Work], doc: &'static str) -> Metric {
    Metric { name, unit: Unit::Duration, shape: MetricShape::Distribution, work, better: Better::Lower, doc }
}

/// Every metric.
pub const METRICS: &[Metric] = &[
    single(
        "offered_rate",
        Unit::Rate,
        PRODUCE,
        Better::Neutral,
        "messages handed to the client per second of the schedule",
    ),
    single(
        "ack_rate",
        Unit::Rate,
        PRODUCE,
        Better::Higher,
        "acknowledgements per second, first send to last acknowledgement",
    ),
    single("read_rate", Unit::Rate, CONSUME, Better::Higher, "messages read per second, first to last message"),
    single("sent", Unit::Count, PRODUCE, Better::Neutral, "messages handed to the client"),
    single(
        "acked",
        Unit::Count,
        PRODUCE,
        Better::Higher,
        "messages acknowledged by the broker (with acks=0: written to the socket)",
    ),
    single(
        "failed",
        Unit::Count,
        SENDS,
        Better::Lower,
        "messages that were definitely not written; of `sql` that repeats statements, transactions without effect",
    ),
    single(
        "unknown",
        Unit::Count,
        SENDS,
        Better::Lower,
        "messages that may or may not have been written (timed out or errored after they were sent); of `sql` that repeats statements, \
         transactions whose commit was not confirmed",
    ),
    single(
        "committed",
        Unit::Count,
        SQL,
        Better::Higher,
        "transactions whose commit was confirmed, of a step that repeats statements",
    ),
    single(
        "commit_rate",
        Unit::Rate,
        SQL,
        Better::Higher,
        "transactions committed per second, from the schedule's start to the last commit",
    ),
    single("read", Unit::Count, CONSUME, Better::Higher, "messages read"),
    single("bytes", Unit::Bytes, LOADS, Better::Neutral, "bytes of the values acknowledged or read"),
    distribution("schedule_delay", PRODUCE, "from the time a message was due until it was handed to the client"),
    distribution("ack_latency", PRODUCE, "from handing over a message until its acknowledgement"),
    distribution("response_latency", PRODUCE, "from the time a message was due until its acknowledgement"),
    distribution(
        "cdc_latency",
        CONSUME,
        "with `decode: debezium`: from a change's commit, by the database's clock, until the reader had its event",
    ),
    distribution(
        "capture_latency",
        CONSUME,
        "with `decode: debezium`: from a change's commit until the connector processed it, by the clocks of both",
    ),
    distribution(
        "publish_latency",
        CONSUME,
        "with `decode: debezium`: from when the connector processed a change, by its clock, until the reader had its event",
    ),
    distribution("end_to_end_latency", CONSUME, "from the time a message was due until the reader saw it"),
    single(
        "queue_full_time",
        Unit::Duration,
        PRODUCE,
        Better::Lower,
        "time in which a client's queue was full, on average over the producers of the load: back-pressure",
    ),
    single(
        "unavailability",
        Unit::Duration,
        ANSWERED,
        Better::Lower,
        "longest gap between acknowledgements while messages were due; of `sql` that repeats statements, between commits while \
         transactions were due; of a reader with `decode: debezium`, between arrivals of changes while changes were committed",
    ),
    single(
        "slot_lag",
        Unit::Bytes,
        CONNECTOR,
        Better::Lower,
        "most bytes of the database's log behind what the connector had confirmed, looked at once a second",
    ),
    single(
        "slot_lag_time",
        Unit::Duration,
        CONNECTOR,
        Better::Lower,
        "longest time for which a committed change that the connector has to deliver was not confirmed, looked at once a second",
    ),
    single(
        "slot_retained",
        Unit::Bytes,
        CONNECTOR,
        Better::Lower,
        "most bytes of log that the database kept for the connector, looked at once a second",
    ),
    single(
        "slot_idle_time",
        Unit::Duration,
        CONNECTOR,
        Better::Lower,
        "time in which nobody read the connector's slot, as far as it was looked at",
    ),
    single(
        "max_lag",
        Unit::Count,
        CONSUME,
        Better::Lower,
        "largest distance to the log's end seen at one of the samples, one a second",
    ),
    single(
        "rebalances",
        Unit::Count,
        CONSUME,
        Better::Lower,
        "rebalances the group went through after the first assignment",
    ),
    single(
        "schema_violations",
        Unit::Count,
        CONSUME,
        Better::Lower,
        "messages that did not validate against the step's schema",
    ),
    single(
        "effect_after",
        Unit::Duration,
        FAULTS,
        Better::Neutral,
        "from asking for the fault until its effect was proved",
    ),
    single(
        "ready_after",
        Unit::Duration,
        FAULTS,
        Better::Lower,
        "from the start of what comes up again until it answered as ready",
    ),
    single(
        "recovery_time",
        Unit::Duration,
        FAULTS,
        Better::Lower,
        "from undoing the fault until the first acknowledgement or read, worst over the loads and readers that it hit",
    ),
    single(
        "lag_recovery_time",
        Unit::Duration,
        FAULTS,
        Better::Lower,
        "from undoing the fault until the readers' lag was back to its level before, worst over the readers",
    ),
    single(
        "sustainable_rate",
        Unit::Rate,
        SEARCHES,
        Better::Higher,
        "the highest rate at which all bounds held, twice",
    ),
    single(
        "lag_before",
        Unit::Count,
        DRAINS,
        Better::Neutral,
        "of a drain that waits: messages before the group at the first look",
    ),
    single(
        "lag_after",
        Unit::Count,
        DRAINS,
        Better::Lower,
        "of a drain that waits: messages before the group at the last look",
    ),
    single(
        "drain_rate",
        Unit::Rate,
        DRAINS,
        Better::Higher,
        "of a drain that waits: messages by which the queue became shorter per second, first look to last",
    ),
    single("moved", Unit::Count, MOVES, Better::Neutral, "records that were written into another topic or cluster"),
    single(
        "rounds",
        Unit::Count,
        MIGRATES,
        Better::Neutral,
        "how often a migration has taken what was new in its source",
    ),
    single("records", Unit::Count, ARCHIVES, Better::Neutral, "records that a backup took, or that a restore wrote"),
    single(
        "data",
        Unit::Bytes,
        ARCHIVES,
        Better::Neutral,
        "bytes of the record batches that a backup took or that a restore read, uncompressed as far as that is known: batches that are kept \
         as they are count with their length",
    ),
    single("data_rate", Unit::Bytes, ARCHIVES, Better::Higher, "the same for each second that it took"),
    single(
        "saved",
        Unit::Share,
        ARCHIVES,
        Better::Higher,
        "how many bytes the files that a backup wrote are smaller than these batches uncompressed",
    ),
    single(
        "memory",
        Unit::Bytes,
        ARCHIVES,
        Better::Lower,
        "most anonymous memory of kscen meanwhile, looked at 20 times a second; what other steps of the run hold is in it",
    ),
    single(
        "cpu",
        Unit::Share,
        ARCHIVES,
        Better::Lower,
        "processor time of kscen meanwhile, as a share of all processors that it may use; that of other steps of the run is in it",
    ),
    single("rows", Unit::Count, SQL, Better::Neutral, "rows that the statements changed or returned"),
    single("statements", Unit::Count, SQL, Better::Neutral, "statements that were executed"),
    distribution("statement_latency", SQL, "from the time a statement was due until its commit"),
    single("duration", Unit::Duration, &[], Better::Neutral, "from the step's start to its end; every step has it"),
];

impl Metric {
    /// Whether the steps of a verb that does this have it.
    pub fn is_of(&self, work: Work) -> bool {
        self.work.is_empty() || self.work.contains(&work)
    }
}

/// Metrics of the verbs that do this, in the order of the list.
pub fn of(work: Work) -> impl Iterator<Item = &'static Metric> {
    METRICS.iter().filter(move |metric| metric.is_of(work))
}

/// The metric of that name.
pub fn named(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// Whether a statistic of that name exists.
pub fn is_statistic(name: &str) -> bool {
    STATISTICS.iter().any(|(known, _)| *known == name)
}

#[cfg(test)]
mod tests;

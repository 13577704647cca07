//! Events: the interface between execution and everyone who watches it.

use super::accounts_fate::AccountsFate;
use super::check::CheckRecord;
use super::delivery::DeliveryRecord;
use super::fault::FaultRecord;
use super::incident::{Incident, Unwatched};
use super::live_figures::LiveFigures;
use super::run_record::{LogExcerpt, Machine, RunInfo};
use super::service::ServiceSample;
use super::slot::SlotSample;
use super::step::{Failure, Section, StepRecord};
use super::strain::MachineSample;
use super::verdict::Verdict;
use super::worker::WorkerRecord;
use crate::environment::EnvironmentInfo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the event stream.
pub const VERSION: u32 = 1;

/// One event of a run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Version of the stream: see [`VERSION`].
    pub v: u32,
    /// The run.
    pub run: String,
    /// Seconds since the run's start.
    pub at: f64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// The run begins; nothing was started yet.
    RunStarted {
        /// Which run.
        info: Box<RunInfo>,
        /// On which machine.
        machine: Machine,
        /// Number of steps, nested ones included.
        steps: usize,
    },
    /// Something worth a line that is no step, such as the environment's start.
    Note {
        /// What happened.
        text: String,
    },
    /// Something suspicious.
    Warning {
        /// What.
        text: String,
    },
    /// The environment is up.
    EnvironmentReady {
        /// What it is.
        info: Box<EnvironmentInfo>,
        /// Seconds it took.
        took: f64,
    },
    /// Effective broker properties.
    BrokerConfig {
        /// Broker.
        service: String,
        /// Properties.
        config: BTreeMap<String, String>,
    },
    /// A step begins.
    StepStarted {
        /// Its id.
        id: String,
        /// Its verb.
        verb: String,
        /// Which part of the scenario.
        section: Section,
        /// One line that says what it does.
        title: String,
        /// Whether it runs beside the following steps.
        background: bool,
        /// Seconds that the scenario fixes for it, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        planned: Option<f64>,
    },
    /// A step is prepared: what comes next may rely on it.
    StepPrepared {
        /// Its id.
        id: String,
    },
    /// A step that failed is tried again: what its checks said so far does not count.
    StepRetried {
        /// Its id.
        id: String,
        /// Number of the attempt that follows, from 2.
        attempt: u64,
        /// Why the one before failed.
        reason: String,
    },
    /// Live figures of a running step.
    Progress {
        /// Its id.
        id: String,
        /// The figures.
        figures: Progress,
    },
    /// A step ended.
    StepEnded {
        /// Its record.
        record: Box<StepRecord>,
    },
    /// A fault changed: applied, undone or ready. The last event of a step and target stands.
    Fault {
        /// Its record so far.
        record: FaultRecord,
    },
    /// A service did something unasked.
    Incident {
        /// What.
        incident: Incident,
    },
    /// A service could not be looked at any more when the run ended.
    Unwatched {
        /// Which, and since when.
        unwatched: Unwatched,
    },
    /// Resources of services.
    Sample {
        /// By service.
        services: BTreeMap<String, ServiceSample>,
    },
    /// The replication slot of a connector.
    Slot {
        /// The connector.
        connector: String,
        /// The slot.
        slot: String,
        /// What it was like.
        sample: Box<SlotSample>,
    },
    /// A process in which producers and readers are, as far as it is known. The last event of each stands.
    Worker {
        /// What it is, and what it did so far.
        record: Box<WorkerRecord>,
    },
    /// How available the machine was.
    Strain {
        /// About a second of it.
        sample: Box<MachineSample>,
    },
    /// Messages were accounted for.
    Delivery {
        /// The account.
        record: Box<DeliveryRecord>,
    },
    /// The accounts were stored, or were not.
    Accounts {
        /// What became of them.
        fate: AccountsFate,
    },
    /// A check was decided.
    Check {
        /// The check.
        record: Box<CheckRecord>,
    },
    /// A moment worth a line in a chart.
    Mark {
        /// What kind of thing.
        kind: String,
        /// What happened.
        text: String,
    },
    /// Log lines were kept.
    Log {
        /// The lines.
        excerpt: LogExcerpt,
    },
    /// Something could not be cleaned up.
    Leftover {
        /// What, and why.
        text: String,
    },
    /// The run could not start or go on, for a reason that is no step's.
    RunFailed {
        /// Why.
        failure: Failure,
    },
    /// Somebody asked the run to end.
    Interrupted {
        /// The exit code of the signal: 129, 130 or 143.
        code: i32,
    },
    /// The run is over.
    RunEnded {
        /// The verdict.
        verdict: Verdict,
        /// Seconds from start to end.
        duration: f64,
    },
}

/// Live figures of a running step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Messages, rows or seconds done.
    pub done: u64,
    /// Of how many, where that is known.
    pub total: Option<u64>,
    /// What is counted, such as `acknowledged` or `read`.
    pub what: String,
    /// Per second, over the last second.
    pub rate: Option<f64>,
    /// 99th percentile of the latency so far, in seconds.
    pub p99: Option<f64>,
    /// Messages not yet read, or in flight.
    pub backlog: Option<u64>,
    /// Messages that failed.
    pub failed: u64,
    /// What whoever watches from within this process is shown as well.
    #[serde(skip)]
    pub live: Box<LiveFigures>,
}

//! What a step did, as it goes into the record.

use crate::record::latency::LatencySeries;
use crate::record::{ConsumeReport, ProduceReport, Quantity, WriteReport};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a step did.
#[derive(Clone, Debug, Default)]
pub struct StepOutcome {
    /// Single figures by metric name; what follows from the reports below is derived, not repeated here.
    pub metrics: BTreeMap<String, Quantity>,
    /// Latencies by metric name.
    pub latencies: BTreeMap<String, LatencySeries>,
    /// What a load measured.
    pub produced: Option<Box<ProduceReport>>,
    /// What a reader measured.
    pub consumed: Option<Box<ConsumeReport>>,
    /// What a load of a database measured.
    pub written: Option<Box<WriteReport>>,
    /// The connector that it made or changed, where its replication slot is looked at.
    pub captures: Option<String>,
    /// Whether it held what it saw against what the scenario states.
    pub judged: bool,
    /// Whatever else there is to report.
    pub details: Value,
}

impl StepOutcome {
    /// Adds a figure.
    #[must_use]
    pub fn metric(mut self, name: &str, quantity: Quantity) -> Self {
        self.metrics.insert(name.to_owned(), quantity);
        self
    }

    /// Says whether it held what it saw against what the scenario states.
    #[must_use]
    pub fn judged(mut self, judged: bool) -> Self {
        self.judged = judged;
        self
    }

    /// Sets the details.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}

impl StepOutcome {
    /// As a step's record, for measuring before the step has ended.
    pub fn as_step(&self, id: &str) -> crate::record::StepRecord {
        crate::record::StepRecord {
            id: id.to_owned(),
            verb: String::new(),
            section: crate::record::Section::Steps,
            title: String::new(),
            asked: Default::default(),
            at: crate::text::Location { file: String::new(), line: 0, column: 0 },
            background: false,
            status: crate::record::StepStatus::Done,
            started: 0.0,
            prepared: None,
            ended: 0.0,
            failure: None,
            metrics: self.metrics.clone(),
            latencies: self.latencies.clone(),
            produced: self.produced.clone(),
            consumed: self.consumed.clone(),
            written: self.written.clone(),
            captures: self.captures.clone(),
            runs: false,
            judged: self.judged,
            details: Value::Null,
        }
    }
}

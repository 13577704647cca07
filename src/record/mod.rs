//! What happened, as data: events, and the record they fold into.

pub mod check;
pub mod delivery;
pub mod event;
pub mod fault;
mod fold;
pub mod latency;
pub mod metric;
pub mod run;
pub mod series;
pub mod service;
pub mod step;
pub mod unit;
pub mod verdict;

pub use check::{CheckOutcome, CheckRecord, Demand, Location, Observed};
pub use delivery::DeliveryRecord;
pub use event::{Event, EventKind, Progress};
pub use fault::FaultRecord;
pub use fold::Folder;
pub use run::{LogExcerpt, Machine, Mark, Record, RunInfo};
pub use service::{ServiceRecord, ServiceSample};
pub use step::{Failure, Section, StepRecord, StepStatus};
pub use unit::{Quantity, Unit};
pub use verdict::{Outcome, Verdict};

//! Brings the accounts of senders and readers together: waits for the ones, drains the others, searches the log, settles, judges.

mod accounts;
mod changes;
mod connectors;
mod covered;
mod flow;
mod implied;
mod judged;
mod matched;
mod order;
mod owing;
mod partners;
mod samples;
mod scan;
mod settle;
mod settler;
mod sinks;
mod slots;
mod tables;
mod told_sinks;

pub use accounts::write_accounts;
pub use changes::arrive;
pub(crate) use changes::settle as settle_changes;
pub use flow::{look_at_flows, measure_flow};
pub use implied::{implied_deliveries, judged_anything};
pub use judged::Settled;
pub(crate) use order::is_ordered;
use samples::samples;
pub use scan::scan;
pub use settle::{WantedDelivery, settle};
pub use settler::Settler;
pub use slots::SlotWatch;
pub use tables::WantedTable;
pub(crate) use tables::settle_table;

use std::time::Duration;

/// How long senders and readers are waited for, where `within` says nothing.
pub const PATIENCE: Duration = Duration::from_secs(30);

//! Figures for Prometheus: its text format, and what runs show of themselves while they last.

mod endpoint;
mod page;
mod run_figures;
mod shown_runs;
mod step_figures;

pub use endpoint::MetricsEndpoint;
pub use page::MetricsPage;

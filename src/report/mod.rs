//! Reports from stored records alone: a typed view of a run or of many, templates that only format it, and bytes.

pub mod advice;
mod baseline;
mod bounds;
pub mod chart;
mod command;
mod html;
pub mod judged;
mod junit;
mod markdown;
mod output;
mod rebuilt;
mod reporter;
mod score;
mod stored;
mod suite;
mod suite_record;
mod summary;
mod svg;
mod templates;
mod timeline;
mod totals;
mod trend;
pub mod view;
mod worth;

pub use baseline::{BACKUP, DELIVERY, Declared, PERFORMANCE, baseline};
pub use command::command;
pub use junit::junit;
pub use markdown::escape as escape_markdown;
pub use output::OutputFile;
pub use reporter::{Reporter, RunReports};
pub use stored::{Collection, EVENTS, RESULT, StoredResult, Unusable, former_suites, load, load_each};
pub use suite_record::{NotRun, SUITE, SUITE_ENDING, SuiteRecord};
pub use trend::figures;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;

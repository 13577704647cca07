//! The snapshots of tables that readers saw.

use crate::record::{Quantity, Record};
use serde::Serialize;

/// The snapshot of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotRow {
    /// The reader.
    pub reader: String,
    /// The table.
    pub table: String,
    /// `initial` or `incremental`.
    pub kind: &'static str,
    /// Rows that it saw.
    pub rows: String,
    /// When it saw the first, in seconds of the run.
    pub from: String,
    /// How long until it saw the last.
    pub took: String,
    /// Rows per second between the two.
    pub rate: String,
    /// Whether the last of them said that it was the last.
    pub end: &'static str,
}

pub(super) fn rows(record: &Record) -> Vec<SnapshotRow> {
    let readers = record.steps.iter().filter_map(|step| Some((step, step.consumed.as_ref()?.changes.as_ref()?)));
    let all = readers.flat_map(|(step, flow)| flow.snapshots.iter().map(move |shown| (step, shown)));
    all.map(|(step, shown)| {
        let seconds = shown.last_us.saturating_sub(shown.first_us) as f64 / 1e6;
        let rate = (seconds > 0.0).then(|| format!("{:.0}/s", shown.rows as f64 / seconds));
        SnapshotRow {
            reader: step.id.clone(),
            table: shown.table.to_string(),
            kind: if shown.incremental { "incremental" } else { "initial" },
            rows: Quantity::count(shown.rows).to_string(),
            from: format!("{:.2}s", shown.first_us as f64 / 1e6),
            took: Quantity::seconds(seconds).to_string(),
            rate: rate.unwrap_or_else(|| "–".to_owned()),
            end: match (shown.complete, shown.incremental) {
                (true, _) => "seen",
                (false, true) => "not told by incremental snapshots",
                (false, false) => "not seen",
            },
        }
    })
    .collect()
}

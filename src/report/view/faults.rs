//! The faults and their times.

use crate::judge::recovery::{Recovered, hit};
use crate::record::{Quantity, Record};
use serde::Serialize;

/// One fault; times are seconds of the run.
#[derive(Clone, Debug, Serialize)]
pub struct FaultRow {
    /// What was done to what.
    pub what: String,
    /// When it was asked for.
    pub requested: String,
    /// When its effect was proved.
    pub effective: String,
    /// When it was undone.
    pub undone: String,
    /// When the service answered again.
    pub ready: String,
    /// When each load was answered again.
    pub recovered: String,
    /// How the effect is known.
    pub proof: String,
}

pub(super) fn rows(record: &Record) -> Vec<FaultRow> {
    let at = |time: Option<f64>| time.map_or_else(|| "–".to_owned(), |time| format!("{time:.2}s"));
    record
        .faults
        .iter()
        .map(|fault| {
            let loads: Vec<String> = hit(record, fault)
                .into_iter()
                .map(|(load, recovered)| match recovered {
                    Recovered::At(time) => {
                        let after = time - fault.undone.unwrap_or(time);
                        format!("{} at {time:.2}s (+{})", load.id, Quantity::seconds(after))
                    }
                    Recovered::Never(_) => format!("{} never", load.id),
                    Recovered::NotYet(_) => format!("{} not yet", load.id),
                    Recovered::Untold(why) => format!("{}: {why}", load.id),
                    Recovered::NotConcerned => load.id.clone(),
                })
                .collect();
            FaultRow {
                what: format!("{} {}", fault.action, fault.target),
                requested: at(Some(fault.requested)),
                effective: at(fault.effective),
                undone: at(fault.undone),
                ready: at(fault.ready),
                recovered: if loads.is_empty() { "–".to_owned() } else { loads.join(", ") },
                proof: fault.proof.clone(),
            }
        })
        .collect()
}

//! What a scenario that states nothing is held to.

use crate::record::{CheckRecord, Demand, Evidence, Observed, ProduceReport, Quantity, Record, Unit};

/// A scenario that sends messages and states nothing is held to one thing: that each of them was acknowledged. Empty where
/// anything was stated; a load that was judged by itself, by `expect_failure`, is held to nothing else.
pub fn implied(record: &Record) -> Vec<CheckRecord> {
    if !record.checks.is_empty() || record.run.guarantee.is_some() {
        return Vec::new();
    }
    let unjudged = record.steps.iter().filter(|step| !step.judged);
    unjudged
        .filter_map(|step| Some((step, step.produced.as_ref()?)))
        .map(|(step, report)| {
            let sent = report.sent as f64;
            let demand = Demand::Number { unit: Unit::Count, min: Some(sent), max: None, equals: None, not: None };
            let observed = acknowledged(report);
            CheckRecord {
                step: String::new(),
                subject: format!("{}: each message is acknowledged", step.id),
                outcome: super::decide(&demand, &observed),
                demand,
                observed,
                at: Some(step.at.clone()),
                samples: Vec::new(),
            }
        })
        .collect()
}

fn acknowledged(report: &ProduceReport) -> Observed {
    let evidence = match report.acks() {
        Some("0") => Evidence::open("with acks=0 the broker acknowledges nothing"),
        _ => Evidence::closed(),
    };
    match report.sent {
        0 => Observed::nothing("no message was sent"),
        _ => evidence.settled(Observed::Number(Quantity::count(report.acked))),
    }
}

//! What follows from the scenario's guarantee for deliveries that no `expect` was about.

use super::{PATIENCE, Settled, WantedDelivery, changes, partners, settle};
use crate::moment;
use crate::record::metric::Work;
use crate::record::{
    CheckOutcome, CheckRecord, DeliveryRecord, Demand, EventKind, Failure, Observed, StepRecord, Unit,
};
use crate::scenario::Guarantee;
use crate::verb::{SharedRun, StepError};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Settles and judges, by the scenario's guarantee, every pair of a sender and a reader (or group) of the same topic that no
/// `expect` was about.
pub async fn implied_deliveries(run: &Arc<SharedRun>) {
    let Some(guarantee) = run.guarantee() else { return };
    let settled = deliveries(run);
    let senders = steps(run, Work::Sends);
    let mut seen: BTreeSet<Vec<String>> = BTreeSet::new();
    for (reader, topic) in steps(run, Work::Reads) {
        let mut unit = partners::of_group(run, std::slice::from_ref(&reader));
        unit.sort();
        if !seen.insert(unit.clone()) {
            continue;
        }
        let known = |sender: &String| {
            settled.iter().any(|known| known.from.contains(sender) && known.to.iter().any(|to| unit.contains(to)))
        };
        let from: Vec<String> = senders
            .iter()
            .filter(|(sender, written)| *written == topic && !known(sender) && !came_later(run, sender, &unit))
            .map(|(sender, _)| sender.clone())
            .collect();
        if from.is_empty() {
            continue;
        }
        let wanted = WantedDelivery { from: from.clone(), to: unit.clone(), ..WantedDelivery::default() };
        let result = settle(run, wanted, moment::now() + PATIENCE).await;
        conclude(run, guarantee, &from, &unit, result);
    }
    implied_changes(run, guarantee, &settled).await;
}

async fn implied_changes(run: &Arc<SharedRun>, guarantee: Guarantee, settled: &[DeliveryRecord]) {
    let scope = &run.scenario.scope;
    let decodes = |id: &String| scope.step(id).and_then(|step| step.facts.as_ref()).is_some_and(|facts| facts.captures);
    let writers = scope.steps().filter(|(id, step)| step.work == Work::ChangesRows && run.live.get(id).is_some());
    let writers: Vec<String> = writers.map(|(id, _)| id.clone()).collect();
    for (reader, _) in steps(run, Work::Reads).into_iter().filter(|(id, _)| decodes(id)) {
        if writers.is_empty() || settled.iter().any(|delivery| delivery.to.contains(&reader)) {
            continue;
        }
        let to = vec![reader.clone()];
        let result = changes::settle(run, writers.clone(), to.clone(), moment::now() + PATIENCE).await;
        conclude(run, guarantee, &writers, &to, result);
    }
}

/// Says that the guarantee judged nothing, where that is so: a promise about nothing is not kept.
pub fn judged_anything(run: &SharedRun) {
    let Some(guarantee) = run.guarantee() else { return };
    if deliveries(run).iter().any(|delivery| delivery.guarantee.is_some()) {
        return;
    }
    let reason = "it judged nothing: no step reads what another one sends".to_owned();
    unknown(run, format!("{guarantee}: deliveries that were judged"), reason);
}

fn deliveries(run: &SharedRun) -> Vec<DeliveryRecord> {
    run.snapshot().map(|record| record.deliveries).unwrap_or_default()
}

/// Steps that do so and have begun, with their topic.
fn steps(run: &SharedRun, work: Work) -> Vec<(String, String)> {
    let begun = run.scenario.scope.steps();
    begun
        .filter(|(id, step)| step.work == work && run.live.get(id).is_some())
        .filter_map(|(id, step)| Some((id.clone(), step.facts.as_ref()?.topic.clone()?)))
        .collect()
}

/// Whether a sender began only when all these readers were over: its messages are not theirs to read.
fn came_later(run: &SharedRun, sender: &str, readers: &[String]) -> bool {
    let ended: Option<Vec<f64>> = readers.iter().map(|id| run.live.record(id).map(|record| record.ended)).collect();
    let begun = run.live.record(sender).map(|record: StepRecord| record.prepared.unwrap_or(record.started));
    match (ended, begun) {
        (Some(ended), Some(begun)) => ended.into_iter().all(|ended| ended <= begun),
        _ => false,
    }
}

fn conclude(run: &SharedRun, guarantee: Guarantee, from: &[String], to: &[String], result: Result<Settled, StepError>) {
    match result {
        Ok(settled) => settled.imply(run, guarantee),
        Err(error) if error.code == "unbalanced-account" => {
            let StepError { message, help, .. } = error;
            let failure = Failure { code: "unbalanced-account".to_owned(), message, help, at: None, log: Vec::new() };
            run.recorder.emit(EventKind::RunFailed { failure });
        }
        Err(error) => {
            let subject = format!("{guarantee} from {} to {}", from.join(", "), to.join(", "));
            unknown(run, subject, format!("the delivery cannot be settled: {}", error.message));
        }
    }
}

/// A check of the guarantee for which evidence is missing.
fn unknown(run: &SharedRun, subject: String, reason: String) {
    let demand = Demand::Number { unit: Unit::Count, min: Some(1.0), max: None, equals: None, not: None };
    let check = CheckRecord {
        step: String::new(),
        subject,
        demand,
        observed: Observed::Unknown { reason },
        outcome: CheckOutcome::Unknown,
        at: run.scenario.guarantee_at.clone(),
        samples: Vec::new(),
    };
    run.recorder.emit(EventKind::Check { record: Box::new(check) });
}

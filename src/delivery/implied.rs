//! What follows from a guarantee for deliveries that no `expect` was about, or whose readers have read on since.

use super::covered::{Covered, Promised, ReadOn, ReaderNow};
use super::{PATIENCE, Settled, WantedDelivery, changes, owing, partners, settle};
use crate::accounting::Allowed;
use crate::moment;
use crate::record::metric::Work;
use crate::record::{
    CheckOutcome, CheckRecord, DeliveryRecord, Demand, EventKind, Failure, Observed, Section, StepRecord, Unit,
};
use crate::scenario::Guarantee;
use crate::verb::{SharedRun, StepError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Settles and judges, by the scenario's guarantee, every pair of a sender and a reader (or group) of the same topic that no
/// `expect` was about, or that has read on since; and by its own, each other delivery that was judged by one and has read on.
pub async fn implied_deliveries(run: &Arc<SharedRun>) {
    let (promises, readers) = (run.promises.all(), readers(run));
    let covered = Covered { promises: &promises, readers: &readers };
    if let Some(guarantee) = run.guarantee() {
        implied_pairs(run, guarantee, &covered).await;
        implied_changes(run, guarantee, &covered).await;
    }
    for ReadOn { promise, guarantee, unit } in covered.read_on(run.guarantee().is_some(), |to| unit_of(run, to)) {
        let (from, allow, matching) = (promise.from.clone(), promise.allow.clone(), promise.matching.clone());
        let wanted = WantedDelivery { from: from.clone(), to: unit.clone(), matching, allow };
        let result = settle(run, wanted, moment::now() + PATIENCE).await;
        conclude(run, guarantee, &from, &unit, result);
    }
}

/// All that read as one with these readers now.
fn unit_of(run: &SharedRun, readers: &[String]) -> Vec<String> {
    let mut unit = partners::of_group(run, readers);
    unit.sort();
    unit
}

/// The pairs of senders and readers of messages, by the scenario's guarantee.
async fn implied_pairs(run: &Arc<SharedRun>, guarantee: Guarantee, covered: &Covered<'_>) {
    let senders = steps(run, Work::Sends);
    let mut seen: BTreeSet<Vec<String>> = BTreeSet::new();
    for (reader, topic) in steps(run, Work::Reads) {
        let unit = unit_of(run, std::slice::from_ref(&reader));
        if !seen.insert(unit.clone()) {
            continue;
        }
        let senders = senders.iter().filter(|(sender, written)| *written == topic && !came_later(run, sender, &unit));
        let senders = senders.map(|(sender, _)| sender);
        for Promised { from, guarantee, allow } in covered.still_promised(senders, &unit, guarantee) {
            let is_refused = |id: &String| run.live.record(id).is_some_and(|record| owing::is_refused(&record));
            let (refused, from): (Vec<String>, Vec<String>) = from.into_iter().partition(is_refused);
            apart(run, guarantee, from, &unit, &allow).await;
            // A load that was to be refused, and was, is judged. What was read of it all the same must not be there.
            if !refused.is_empty() {
                let result = of_messages(run, &refused, &unit, &allow).await;
                if !result.as_ref().is_ok_and(|settled| owing::is_of_nothing(&settled.record)) {
                    conclude(run, guarantee, &refused, &unit, result);
                }
            }
        }
    }
}

/// Settles and judges the messages of these senders. Those of which nothing is owed to the readers say nothing about the others, and
/// are judged for themselves.
async fn apart(
    run: &Arc<SharedRun>,
    guarantee: Guarantee,
    from: Vec<String>,
    unit: &[String],
    allow: &BTreeSet<Allowed>,
) {
    if from.is_empty() {
        return;
    }
    let result = of_messages(run, &from, unit, allow).await;
    let idle = result.as_ref().map(|settled| owing::idle(&settled.record)).unwrap_or_default();
    let (idle, owing): (Vec<String>, Vec<String>) = from.iter().cloned().partition(|id| idle.contains(id));
    if idle.is_empty() || owing.is_empty() {
        return conclude(run, guarantee, &from, unit, result);
    }
    for from in [owing, idle] {
        let result = of_messages(run, &from, unit, allow).await;
        conclude(run, guarantee, &from, unit, result);
    }
}

async fn of_messages(
    run: &Arc<SharedRun>,
    from: &[String],
    unit: &[String],
    allow: &BTreeSet<Allowed>,
) -> Result<Settled, StepError> {
    let (from, to, allow) = (from.to_vec(), unit.to_vec(), allow.clone());
    let wanted = WantedDelivery { from, to, allow, ..WantedDelivery::default() };
    settle(run, wanted, moment::now() + PATIENCE).await
}

/// The same of the changes that `sql` steps made.
async fn implied_changes(run: &Arc<SharedRun>, guarantee: Guarantee, covered: &Covered<'_>) {
    let scope = &run.scenario.scope;
    let decodes = |id: &String| scope.step(id).and_then(|step| step.facts.as_ref()).is_some_and(|facts| facts.captures);
    let writers = scope.steps().filter(|(id, step)| step.work == Work::ChangesRows && run.live.get(id).is_some());
    let writers: Vec<&String> = writers.map(|(id, _)| id).collect();
    let mut seen: BTreeSet<Vec<String>> = BTreeSet::new();
    for (reader, _) in steps(run, Work::Reads).into_iter().filter(|(id, _)| decodes(id)) {
        let mut unit = partners::of_group(run, std::slice::from_ref(&reader));
        unit.retain(decodes);
        unit.sort();
        if !seen.insert(unit.clone()) {
            continue;
        }
        let named = covered.has_changes(&unit);
        let writers = writers.iter().copied().filter(|writer| !came_later(run, writer, &unit));
        // Where an `expect` named some of them, what had prepared the tables is looked at for itself.
        let (prepared, others): (Vec<&String>, Vec<&String>) =
            writers.partition(|writer| named && is_of_setup(run, writer));
        for (writers, is_prepared) in [(others, false), (prepared, true)] {
            for Promised { from, guarantee, .. } in covered.still_promised(writers, &unit, guarantee) {
                let result = changes::settle(run, from.clone(), unit.clone(), moment::now() + PATIENCE).await;
                let says_nothing = |settled: &Settled| {
                    settled.is_of_no_change() || is_prepared && settled.is_without_fault_where_judged()
                };
                if !(named && result.as_ref().is_ok_and(says_nothing)) {
                    conclude(run, guarantee, &from, &unit, result);
                }
            }
        }
    }
}

/// Whether a step is one of `setup`.
fn is_of_setup(run: &SharedRun, id: &str) -> bool {
    run.live.record(id).is_some_and(|record| record.section == Section::Setup)
}

/// The readers that have begun, as they are now.
fn readers(run: &SharedRun) -> BTreeMap<String, ReaderNow> {
    let now = |(id, topic): (String, String)| {
        let given = run.live.reader(&id).and_then(|reader| reader.given());
        (id, ReaderNow { topic, given })
    };
    steps(run, Work::Reads).into_iter().map(now).collect()
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

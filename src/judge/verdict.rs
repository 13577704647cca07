//! The verdict on a run.

use crate::record::{
    CheckOutcome, EXPECTATION, Outcome, Record, Section, StepRecord, StepStatus, Verdict, WorkerRecord,
};

/// Judges a record.
pub fn verdict(record: &Record) -> Verdict {
    let count = |outcome| record.checks.iter().filter(|check| check.outcome == outcome).count();
    let lost: Vec<String> = record.workers.iter().filter_map(WorkerRecord::loss).collect();
    let (passed, failed, unknown) = (
        count(CheckOutcome::Pass) + judging(record, StepStatus::Done),
        count(CheckOutcome::Fail) + judging(record, StepStatus::Failed),
        count(CheckOutcome::Unknown) + lost.len() + record.unwatched.len(),
    );
    let mut reasons = Vec::new();
    if let Some(failure) = &record.failure {
        reasons.push(failure.message.clone());
    }
    reasons.extend(lost.iter().cloned());
    for step in &record.steps {
        // An `expect` that failed is told by its checks.
        if let (StepStatus::Error | StepStatus::Failed, Some(failure)) = (step.status, &step.failure)
            && failure.code != EXPECTATION
        {
            reasons.push(format!("{}: {}", step.id, failure.message));
        }
    }
    for fault in &record.faults {
        // A step that was still holding it has failed by itself.
        if let (Some(why), false) = (&fault.ended_early, failed_by_itself(record, &fault.step)) {
            reasons.push(format!(
                "{}: {} of {} was not in force to its end: {why}",
                fault.step, fault.action, fault.target
            ));
        }
    }
    let unasked = || record.incidents.iter().filter(|incident| !incident.expected);
    reasons.extend(unasked().map(ToString::to_string));
    reasons.extend(record.unwatched.iter().map(ToString::to_string));
    for check in &record.checks {
        if check.outcome != CheckOutcome::Pass {
            let place = check.at.as_ref().map(|at| format!(" ({at})")).unwrap_or_default();
            reasons.push(format!("{}: expected {}, observed {}{place}", check.subject, check.demand, check.observed));
        }
    }
    let unjudged = unjudged(record);
    reasons.extend(unjudged.clone());
    reasons.extend(record.leftovers.iter().cloned());
    let any = |status| record.steps.iter().any(|step| step.status == status);
    let early = record.faults.iter().any(|fault| fault.ended_early.is_some());
    let outcome = if record.interrupted.is_some() {
        Outcome::Interrupted
    } else if !lost.is_empty() {
        // What it sent and read is not all known: whatever was seen of the rest says nothing certain.
        Outcome::Unknown
    } else if record.failure.is_some() || any(StepStatus::Error) || early {
        Outcome::Error
    } else if failed > 0 || any(StepStatus::Failed) || unasked().next().is_some() {
        Outcome::Fail
    } else if unknown > 0 || unjudged.is_some() {
        Outcome::Unknown
    } else if !record.leftovers.is_empty() {
        Outcome::Unclean
    } else {
        Outcome::Pass
    };
    Verdict { outcome, passed, failed, unknown, reasons }
}

/// Steps that themselves held what they saw against what the scenario states, and ended so. What `setup` waits for is no check.
fn judging(record: &Record, status: StepStatus) -> usize {
    record.steps.iter().filter(|step| step.judged && step.section != Section::Setup && step.status == status).count()
}

/// Why a run that broke nothing is no pass all the same: nothing was checked and the scenario does not say that this is meant, or a
/// guarantee was given and no delivery was there to judge it by. What senders are held to where nothing is stated, see
/// [`super::implied()`].
fn unjudged(record: &Record) -> Option<String> {
    if let Some(guarantee) = &record.run.guarantee {
        let why = match record.interrupted {
            Some(_) => "the run was interrupted before its deliveries were settled",
            None => "no sender and reader of the same topic both ran",
        };
        let none = record.deliveries.is_empty();
        return none.then(|| format!("guarantee {guarantee}: nothing was judged by it, because {why}"));
    }
    let failed = |step: &StepRecord| matches!(step.status, StepStatus::Error | StepStatus::Failed);
    let told = record.failure.is_some() || record.steps.iter().any(failed);
    let checked = !record.checks.is_empty() || judging(record, StepStatus::Done) > 0;
    if record.run.checks.is_some() || checked || told {
        return None;
    }
    let loads = record.steps.iter().filter(|step| step.produced.is_some() || step.consumed.is_some());
    let loads: Vec<&str> = loads.map(|step| step.id.as_str()).collect();
    let what = if loads.is_empty() {
        "nothing was checked".to_owned()
    } else {
        format!("nothing was judged of what {} did", loads.join(", "))
    };
    Some(format!(
        "{what}: add an `expect`, `thresholds` or a `guarantee`, or say with `checks: none` that this is meant"
    ))
}

fn failed_by_itself(record: &Record, step: &str) -> bool {
    record.step(step).is_some_and(|step| step.failure.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::WorkerDeath;
    use crate::scenario::{Checks, Guarantee};

    fn record(produced: bool, consumed: bool) -> Record {
        let mut record: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        record.checks.clear();
        record.faults.clear();
        record.incidents.clear();
        record.deliveries.clear();
        record.leftovers.clear();
        record.run.guarantee = None;
        record.steps.retain(|step| {
            let fine = matches!(step.status, StepStatus::Done);
            fine && (produced || step.produced.is_none()) && (consumed || step.consumed.is_none())
        });
        record
    }

    #[test]
    fn a_run_that_judged_nothing_is_no_pass() {
        let mut idle = record(false, false);
        let judged = verdict(&idle);
        assert_eq!((judged.outcome, judged.passed), (Outcome::Unknown, 0), "it checked nothing");
        assert!(judged.reasons[0].contains("nothing was checked") && judged.reasons[0].contains("`checks: none`"));
        idle.run.checks = Some(Checks::None);
        assert_eq!(verdict(&idle).outcome, Outcome::Pass, "that is meant");
        assert_eq!(verdict(&record(false, true)).outcome, Outcome::Unknown, "it read, and nothing was stated");
        let mut guaranteed = record(true, false);
        guaranteed.run.guarantee = Some(Guarantee::AtLeastOnce);
        assert_eq!(verdict(&guaranteed).outcome, Outcome::Unknown, "there was no delivery to judge");
        assert!(super::super::implied(&guaranteed).is_empty());
    }

    #[test]
    fn a_step_that_judges_by_itself_is_a_check() {
        let mut record = record(false, false);
        let step = record.steps.iter_mut().find(|step| step.section != Section::Setup).expect("a step");
        step.judged = true;
        let judged = verdict(&record);
        assert_eq!((judged.outcome, judged.passed), (Outcome::Pass, 1));
        let step = record.steps.iter_mut().find(|step| step.judged).expect("that step");
        step.status = StepStatus::Failed;
        let judged = verdict(&record);
        assert_eq!((judged.outcome, judged.failed, judged.reasons), (Outcome::Fail, 1, Vec::new()));
        let step = record.steps.iter_mut().find(|step| step.judged).expect("that step");
        (step.section, step.status) = (Section::Setup, StepStatus::Done);
        assert_eq!(
            verdict(&record).outcome,
            Outcome::Unknown,
            "what is waited for before the scenario is no check of it"
        );
    }

    #[test]
    fn a_worker_that_died_leaves_nothing_certain() {
        let mut record = record(true, true);
        let died = WorkerDeath {
            at: 12.34,
            known: 12.2,
            why: "it was killed by signal 9".to_owned(),
            unaccounted: vec!["of producer 1 nothing is known from sequence 7 on".to_owned()],
        };
        let worker = WorkerRecord { number: 2, pid: 4711, host: "h".to_owned(), ..WorkerRecord::default() };
        record.workers = vec![WorkerRecord { died: Some(died), ..worker }];
        let load = record.steps.iter_mut().find(|step| step.produced.is_some()).expect("a load");
        load.status = StepStatus::Error;
        let judged = verdict(&record);
        assert_eq!((judged.outcome, judged.unknown), (Outcome::Unknown, 1));
        assert_eq!(
            judged.reasons[0],
            "worker 2 (pid 4711 on h) died at 12.3 s (it was killed by signal 9); what it did is known up to 12.2 s; of producer 1 \
             nothing is known from sequence 7 on"
        );
        record.interrupted = Some(130);
        assert_eq!(verdict(&record).outcome, Outcome::Interrupted);
    }

    #[test]
    fn a_sender_of_which_nothing_is_stated_is_held_to_its_acknowledgements() {
        let mut quiet = record(true, false);
        let judged = |record: &Record| {
            let mut record = record.clone();
            record.checks = super::super::implied(&record);
            verdict(&record).outcome
        };
        let load = quiet.steps.iter_mut().find_map(|step| step.produced.as_mut()).expect("a load");
        (load.sent, load.acked) = (100, 100);
        assert_eq!(judged(&quiet), Outcome::Pass);
        let load = quiet.steps.iter_mut().find_map(|step| step.produced.as_mut()).expect("a load");
        (load.sent, load.acked) = (100, 0);
        assert_eq!(judged(&quiet), Outcome::Fail, "every message was refused");
    }
}

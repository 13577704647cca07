//! Folds events into a record.

use super::accounts_fate::AccountsFate;
use super::check::CheckRecord;
use super::event::{Event, EventKind};
use super::fault::FaultRecord;
use super::incident::Incident;
use super::run_record::{FORMAT, Mark, Record};
use super::service::ServiceRecord;
use super::slot::{SlotRecord, SlotSample};

/// Folds the events of one run into its [`Record`].
#[derive(Default)]
pub struct RecordFold {
    record: Option<Record>,
}

impl RecordFold {
    /// Takes one event. Events before `run-started` are dropped: there is nothing they belong to.
    pub fn take(&mut self, event: &Event) {
        if let EventKind::RunStarted { info, machine, .. } = &event.kind {
            self.record = Some(Record {
                format: FORMAT,
                run: (**info).clone(),
                environment: None,
                machine: machine.clone(),
                broker_config: Default::default(),
                steps: Vec::new(),
                faults: Vec::new(),
                incidents: Vec::new(),
                unwatched: Vec::new(),
                deliveries: Vec::new(),
                services: Vec::new(),
                workers: Vec::new(),
                slots: Vec::new(),
                checks: Vec::new(),
                strain: Vec::new(),
                marks: Vec::new(),
                logs: Vec::new(),
                failure: None,
                accounts: None,
                leftovers: Vec::new(),
                interrupted: None,
                verdict: None,
            });
        }
        if let Some(record) = &mut self.record {
            record.run.duration = record.run.duration.max(event.at);
            apply(record, event);
        }
    }

    /// The record so far.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// The record, for the judge to add its verdict.
    pub fn into_record(self) -> Option<Record> {
        self.record
    }
}

/// Marks that are kept; all of them are in the events.
const MARKS: usize = 10_000;
/// Seconds before and after a fault whose samples of services stay as they are.
const AROUND: f64 = 30.0;

fn mark(record: &mut Record, at: f64, kind: &str, text: &str) {
    let mark = match record.marks.len() {
        MARKS => ("warning", "further marks are in the events only"),
        kept if kept < MARKS => (kind, text),
        _ => return,
    };
    record.marks.push(Mark { at, kind: mark.0.to_owned(), text: mark.1.to_owned() });
}

/// Whether a time is so near to a fault that its samples stay as they are.
fn near(fault: &FaultRecord, at: f64) -> bool {
    let end = fault.ready.or(fault.undone).or(fault.effective).unwrap_or(fault.requested);
    (fault.requested - AROUND..end + AROUND).contains(&at)
}

/// Enters what is known of a fault now: each of its events tells all of it.
fn enter_fault(record: &mut Record, fault: &FaultRecord) {
    let is_same = |known: &FaultRecord| {
        known.step == fault.step && known.target == fault.target && known.requested == fault.requested
    };
    match record.faults.iter_mut().rev().find(|known| is_same(known)) {
        Some(known) => known.clone_from(fault),
        None => record.faults.push(fault.clone()),
    }
}

fn enter_slot(record: &mut Record, (connector, slot): (&str, &str), sample: &SlotSample) {
    let faults = &record.faults;
    let keep = |at: f64| faults.iter().any(|fault| near(fault, at));
    match record.slots.iter_mut().find(|known| known.connector == connector && known.slot == slot) {
        Some(known) => known.push(sample.clone(), keep),
        None => record.slots.push(SlotRecord {
            connector: connector.to_owned(),
            slot: slot.to_owned(),
            samples: vec![sample.clone()],
            unseen: Vec::new(),
        }),
    }
}

fn apply(record: &mut Record, event: &Event) {
    match &event.kind {
        EventKind::EnvironmentReady { info, .. } => record.environment = Some((**info).clone()),
        EventKind::BrokerConfig { service, config } => {
            record.broker_config.insert(service.clone(), config.clone());
        }
        EventKind::StepEnded { record: step } => record.steps.push((**step).clone()),
        EventKind::Fault { record: fault } => enter_fault(record, fault),
        EventKind::Sample { services } => {
            for (name, sample) in services {
                match record.services.iter_mut().find(|service| service.name == *name) {
                    Some(service) => service.push(*sample, |at| record.faults.iter().any(|fault| near(fault, at))),
                    None => {
                        record.services.push(ServiceRecord { name: name.clone(), samples: vec![*sample] });
                    }
                }
            }
        }
        EventKind::Slot { connector, slot, sample } => enter_slot(record, (connector, slot), sample),
        EventKind::Delivery { record: delivery } => {
            match record.deliveries.iter_mut().find(|known| known.from == delivery.from && known.to == delivery.to) {
                Some(known) => known.clone_from(delivery),
                None => record.deliveries.push((**delivery).clone()),
            }
        }
        EventKind::Accounts { fate } => {
            // What was settled was meant to be stored.
            record.deliveries.iter_mut().for_each(|delivery| delivery.stored &= *fate == AccountsFate::Written);
            record.accounts = Some(fate.clone());
        }
        EventKind::StepRetried { id, .. } => record.checks.retain(|check| check.step != *id),
        EventKind::Check { record: check } => {
            let faults = &record.faults;
            record
                .incidents
                .iter_mut()
                .for_each(|incident| incident.expected |= incident.is_expected_by(check, faults));
            record.checks.push((**check).clone());
        }
        EventKind::Incident { incident } => {
            let mut incident = incident.clone();
            incident.expected |= was_seen_by_a_check(record, &incident);
            record.incidents.push(incident.clone());
            mark(record, event.at, "unasked", &incident.to_string());
        }
        EventKind::Unwatched { unwatched } => record.unwatched.push(unwatched.clone()),
        EventKind::Worker { record: worker } => {
            match record.workers.iter_mut().find(|known| known.number == worker.number) {
                Some(known) => known.clone_from(worker),
                None => record.workers.push((**worker).clone()),
            }
        }
        EventKind::Strain { sample } => super::strain::keep(&mut record.strain, (**sample).clone()),
        EventKind::Mark { kind, text } => mark(record, event.at, kind, text),
        EventKind::Warning { text } => mark(record, event.at, "warning", text),
        EventKind::Log { excerpt } => record.logs.push(excerpt.clone()),
        EventKind::Leftover { text } => record.leftovers.push(text.clone()),
        EventKind::RunFailed { failure } => record.failure = Some(failure.clone()),
        EventKind::Interrupted { code } => record.interrupted = Some(*code),
        EventKind::RunEnded { verdict, duration } => {
            record.verdict = Some(verdict.clone());
            record.run.duration = *duration;
        }
        EventKind::RunStarted { .. }
        | EventKind::Note { .. }
        | EventKind::StepStarted { .. }
        | EventKind::StepPrepared { .. }
        | EventKind::Progress { .. } => {}
    }
}

/// Whether a check that expects it has seen it before whoever watches the services did.
fn was_seen_by_a_check(record: &Record, incident: &Incident) -> bool {
    /// Seconds from a look by a check to the next one at all services, where the environment does not tell when it happened.
    const LATER: f64 = 1.0;
    let is_after = |check: &CheckRecord| {
        let step = record.steps.iter().find(|step| step.id == check.step);
        step.is_none_or(|step| step.ended + LATER >= incident.at)
    };
    record.checks.iter().any(|check| is_after(check) && incident.is_expected_by(check, &record.faults))
}

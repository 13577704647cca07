//! Folds events into a record.

use super::event::{Event, EventKind};
use super::run::{FORMAT, Mark, Record};
use super::service::ServiceRecord;

/// Folds the events of one run into its [`Record`].
#[derive(Default)]
pub struct Folder {
    record: Option<Record>,
}

impl Folder {
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
                deliveries: Vec::new(),
                services: Vec::new(),
                checks: Vec::new(),
                marks: Vec::new(),
                logs: Vec::new(),
                failure: None,
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

fn apply(record: &mut Record, event: &Event) {
    match &event.kind {
        EventKind::EnvironmentReady { info, .. } => record.environment = Some((**info).clone()),
        EventKind::BrokerConfig { service, config } => {
            record.broker_config.insert(service.clone(), config.clone());
        }
        EventKind::StepEnded { record: step } => record.steps.push((**step).clone()),
        EventKind::Fault { record: fault } => {
            match record.faults.iter_mut().rev().find(|known| {
                known.step == fault.step && known.target == fault.target && known.requested == fault.requested
            }) {
                Some(known) => known.clone_from(fault),
                None => record.faults.push(fault.clone()),
            }
        }
        EventKind::Sample { services } => {
            for (name, sample) in services {
                match record.services.iter_mut().find(|service| service.name == *name) {
                    Some(service) => service.samples.push(*sample),
                    None => {
                        record.services.push(ServiceRecord { name: name.clone(), samples: vec![*sample] });
                    }
                }
            }
        }
        EventKind::Delivery { record: delivery } => {
            match record.deliveries.iter_mut().find(|known| known.from == delivery.from && known.to == delivery.to) {
                Some(known) => known.clone_from(delivery),
                None => record.deliveries.push((**delivery).clone()),
            }
        }
        EventKind::Check { record: check } => record.checks.push((**check).clone()),
        EventKind::Mark { kind, text } => {
            record.marks.push(Mark { at: event.at, kind: kind.clone(), text: text.clone() });
        }
        EventKind::Warning { text } => {
            record.marks.push(Mark { at: event.at, kind: "warning".to_owned(), text: text.clone() });
        }
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

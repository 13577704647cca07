//! `expect: service`.

use super::Checked;
use super::drift::Drift;
use super::step::measured;
use super::unseen::out_of_sight;
use crate::environment::{Capability, LogQuery, Needs};
use crate::record::{Demand, Observed, Quantity, Record, StepStatus, Unit, demand};
use crate::scenario::predicate::Predicate;
use crate::scenario::units::{Bytes, Count, Share};
use crate::text::Problem;
use crate::verb::{CheckContext, StepContext, StepError};
use crate::verbs::target::ServiceTarget;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::ops::Range;

/// A line that must, or must not, be in a log.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogCheck {
    /// A text that some line has to contain.
    #[serde(default)]
    contains: Option<String>,
    /// A text that no line may contain.
    #[serde(default)]
    lacks: Option<String>,
}

/// A service: what it does, what it used so far, what it wrote to its log.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceSubject {
    /// Its name or role.
    pub name: ServiceTarget,
    /// running, paused, stopped or exited.
    #[serde(default)]
    state: Option<String>,
    /// Most anonymous memory at any sample of the run.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Bytes>>")]
    memory: Option<Value>,
    /// CPU as a share of what it may use, averaged over the run so far.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Share>>")]
    cpu: Option<Value>,
    /// Bytes of its data on disk at the last sample.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Bytes>>")]
    disk: Option<Value>,
    /// How often it was started again since the run began.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    restarts: Option<Value>,
    /// What its log must or must not hold.
    #[serde(default)]
    log: Option<LogCheck>,
    /// Change of `memory` or `cpu` between the first and the last part of the run so far, or of the step in `during`.
    #[serde(default)]
    drift: Option<Drift>,
    /// The step whose first and last part `drift` compares; the whole run where absent.
    #[serde(default)]
    during: Option<String>,
}

impl ServiceSubject {
    pub fn needs(&self) -> Needs {
        let mut needs = self.name.needs();
        if self.log.is_some() {
            needs = needs.with(Capability::Logs);
        }
        if self.drift.is_some() || self.memory.is_some() || self.cpu.is_some() || self.disk.is_some() {
            needs = needs.with(Capability::Usage);
        }
        needs
    }

    fn numbers(&self) -> [(&'static str, Unit, &Option<Value>); 4] {
        [
            ("memory", Unit::Bytes, &self.memory),
            ("cpu", Unit::Share, &self.cpu),
            ("disk", Unit::Bytes, &self.disk),
            ("restarts", Unit::Count, &self.restarts),
        ]
    }

    pub fn check(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        self.name.check(&format!("{pointer}/name"), cx);
        if self.state.is_none()
            && self.log.is_none()
            && self.drift.is_none()
            && self.numbers().iter().all(|(_, _, value)| value.is_none())
        {
            cx.report(pointer, Problem::new("nothing-expected", format!("`service: {}` states no check", self.name)));
        }
        for (field, unit, value) in self.numbers() {
            if let Some(value) = value
                && let Err(error) = demand(unit, value)
            {
                cx.report(&format!("{pointer}/{field}"), Problem::new("bad-value", error));
            }
        }
        if let Some(drift) = &self.drift
            && drift.of != "memory"
            && drift.of != "cpu"
        {
            let problem = Problem::new("unknown-metric", format!("`{}` is not a figure of a service", drift.of));
            cx.report(&format!("{pointer}/drift/of"), problem.help("the figures are memory and cpu"));
        }
        if let Some(during) = &self.during {
            cx.step(&format!("{pointer}/during"), during, &[]);
            if self.drift.is_none() {
                let problem = Problem::new("does-not-apply", "`during` is of `drift`, and there is none");
                cx.report(&format!("{pointer}/during"), problem.help("add `drift`, or leave `during` out"));
            }
        }
        if let Some(state) = &self.state
            && !["running", "paused", "stopped", "exited"].contains(&state.as_str())
        {
            cx.report(
                &format!("{pointer}/state"),
                Problem::new("unknown-word", format!("`{state}` is not a state of a service"))
                    .help("the states are running, paused, stopped and exited"),
            );
        }
    }

    pub async fn look(&self, pointer: &str, cx: &mut StepContext) -> Result<Vec<Checked>, StepError> {
        let service = self.name.resolve(cx).await.map_err(|error| error.at(format!("{pointer}/name")))?;
        let mut checked = Vec::new();
        let state = cx.run.environment.state(&service).await;
        if let Some(wanted) = &self.state {
            let observed = match &state {
                Ok(state) => Observed::Text(state.lifecycle.to_string()),
                Err(error) => out_of_sight(error),
            };
            let subject = format!("service {service} state");
            checked.push(Checked::new(subject, Demand::Text(wanted.clone()), observed, format!("{pointer}/state")));
        }
        let record = cx.run.snapshot();
        for (field, unit, value) in self.numbers() {
            let Some(value) = value else { continue };
            let observed = match (field, &record) {
                ("restarts", _) => match &state {
                    Ok(state) => cx.run.restarts.in_this_run(&service, state.restarts),
                    Err(error) => out_of_sight(error),
                },
                (_, Some(record)) => used(record, &service, field),
                (_, None) => Observed::Nothing { reason: "there is no record yet".to_owned() },
            };
            let demand = demand(unit, value).map_err(|error| StepError::broken("bad-value", error))?;
            checked.push(Checked::new(
                format!("service {service} {field}"),
                demand,
                observed,
                format!("{pointer}/{field}"),
            ));
        }
        if let (Some(drift), Some(record)) = (&self.drift, &record) {
            checked.push(self.drifted(drift, record, &service, pointer, cx));
        }
        if let Some(log) = &self.log {
            checked.extend(self.look_at_log(log, &service, pointer, cx).await?);
        }
        Ok(checked)
    }

    fn drifted(&self, drift: &Drift, record: &Record, service: &str, pointer: &str, cx: &StepContext) -> Checked {
        let (whole, of_step) = match &self.during {
            None => (Some(0.0..record.run.duration), String::new()),
            Some(id) => {
                let step = record.steps.iter().find(|step| step.id == cx.full_id(id));
                (step.filter(|step| step.status != StepStatus::Skipped).map(measured), format!(" during {id}"))
            }
        };
        let observed = match whole {
            Some(whole) => drift.observe(&whole, |span| mean(record, service, &drift.of, &span)),
            None => Observed::Nothing { reason: "this step has not ended, or did not run".to_owned() },
        };
        let subject = format!("service {service} drift of {}{of_step}", drift.of);
        Checked::new(subject, drift.demand(), observed, format!("{pointer}/drift"))
    }

    async fn look_at_log(
        &self,
        log: &LogCheck,
        service: &str,
        pointer: &str,
        cx: &StepContext,
    ) -> Result<Vec<Checked>, StepError> {
        let began = cx.run.clock.wall(0.0);
        let query = LogQuery { since: Some(began), ..LogQuery::default() };
        let lines = cx.run.environment.logs(service, query).await?;
        let gap = cx.run.environment.log_gap(service, began);
        Ok([("contains", &log.contains, true), ("lacks", &log.lacks, false)]
            .into_iter()
            .filter_map(|(field, text, wanted)| {
                let text = text.as_ref()?;
                let found = lines.iter().find(|line| line.text.contains(text.as_str()));
                // What is not in the rest of it may be in what is gone.
                let observed = match &gap {
                    Some(why) if found.is_none() => Observed::unknown(format!("a part of the log is gone: {why}")),
                    _ => Observed::Flag(found.is_some()),
                };
                let mut check = Checked::new(
                    format!("log of {service} has `{text}`"),
                    Demand::Flag(wanted),
                    observed,
                    format!("{pointer}/log/{field}"),
                );
                check.samples.extend(found.filter(|_| !wanted).map(|line| line.text.clone()));
                Some(check)
            })
            .collect())
    }
}

/// The mean of a figure over a part of the run.
fn mean(record: &Record, service: &str, figure: &str, span: &Range<f64>) -> Observed {
    let nothing = |reason: &str| Observed::Nothing { reason: reason.to_owned() };
    let Some(service) = record.services.iter().find(|known| known.name == service) else {
        return nothing("the service was never sampled");
    };
    let (mean, unit) = match figure {
        "cpu" => (service.mean_cpu(span.start, span.end), Unit::Share),
        _ => (service.mean_memory(span.start, span.end), Unit::Bytes),
    };
    mean.map_or_else(|| nothing("there are no samples"), |mean| Observed::Number(Quantity::new(mean, unit)))
}

/// What a service used, from the samples of the run.
fn used(record: &Record, service: &str, field: &str) -> Observed {
    let nothing = |reason: &str| Observed::Nothing { reason: reason.to_owned() };
    let Some(service) = record.services.iter().find(|known| known.name == service) else {
        return nothing("the service was never sampled");
    };
    let usages = || service.samples.iter().filter_map(|sample| sample.usage);
    // Sizes are far below what an f64 holds exactly.
    let bytes = |value: Option<u64>| match value {
        Some(value) => Observed::Number(Quantity::new(value as f64, Unit::Bytes)),
        None => nothing("this environment does not report it"),
    };
    match field {
        "memory" => bytes(usages().map(|usage| usage.memory).max()),
        "disk" => bytes(usages().filter_map(|usage| usage.disk).next_back()),
        "cpu" => match service.mean_cpu(0.0, f64::MAX) {
            Some(mean) => Observed::Number(Quantity::new(mean, Unit::Share)),
            None => nothing("there are fewer than two samples"),
        },
        other => nothing(&format!("`{other}` is not measured")),
    }
}

//! The verb `search`.

mod hunt;

use super::metrics::{MetricChecks, worst};
use super::produce::Produce;
use crate::environment::{Grant, Needs};
use crate::judge;
use crate::record::latency::LatencySeries;
use crate::record::{CheckOutcome, Demand, LoadValidity, Observed, ProduceReport, Quantity, Unit};
use crate::scenario::units::{Length, Rate, Share};
use crate::text::Problem;
use crate::verb::{CheckContext, ErrorKind, Facts, Step, StepContext, StepError, StepOutcome, Work};
use hunt::Hunt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

/// Finds the highest rate at which a load holds all bounds: nothing fails, the backlog does not grow, and `bounds` are met. Each rate is a load
/// of its own, of which the first third only warms up; rates double until one does not hold, are halved in between, and the best one has
/// to hold twice. A rate that cannot be judged, as where the machine was busy with something else, is tried twice more; what is found below
/// it is then *at least* that. The topic is best one of its own. A search that was interrupted keeps what it tried: `kscen run --resume RESULT`
/// begins at the best rate of it that held, and measures everything that counts itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The load, without `rate`, `count`, `for` and `stages`.
    produce: Box<Produce>,
    /// The lowest rate that is tried.
    from: Rate,
    /// The highest rate that is tried.
    to: Rate,
    /// How long each rate is held; 15s by default. A quota of Kafka averages over eleven seconds: it is not felt in less.
    #[serde(default)]
    hold: Option<Length>,
    /// How close the best rate and the next one that does not hold have to be; 5 % by default.
    #[serde(default)]
    precision: Option<Share>,
    /// What has to hold of the load, beyond that nothing fails and no backlog grows.
    #[serde(default)]
    #[schemars(schema_with = "MetricChecks::schema_of::<Produce>")]
    bounds: MetricChecks,
}

/// A rate that was tried.
#[derive(Clone, Debug, Serialize)]
struct Tried {
    /// Messages per second that were offered.
    rate: f64,
    /// Messages per second that were acknowledged.
    ack_rate: f64,
    /// Of the response latency, in seconds.
    p50: Option<f64>,
    /// Of the response latency, in seconds.
    p99: Option<f64>,
    /// Seconds from the end of the schedule to the last acknowledgement.
    backlog: f64,
    /// Why it did not hold; none where it did.
    broke: Option<String>,
}

const HOLD: Duration = Duration::from_secs(15);
const PRECISION: f64 = 0.05;
/// A backlog of this share of the time is none that grows.
const SLACK: f64 = 0.01;
/// And one that is gone so soon is none.
const PROMPT: f64 = 0.25;
/// The share of the time for which a rate is held that is measured; before it the load warms up.
const MEASURED: f64 = 2.0 / 3.0;
/// Rates that are tried at most, for the time limit.
const MOST_TRIES: u32 = 40;

impl Step for Search {
    const VERB: &'static str = "search";
    const MAY: &'static [Grant] = &[Grant::Produce];
    const WORK: Work = Work::Searches;
    const EXAMPLE: &'static str = "search:\n  produce: { topic: \"orders-${run.id}\", size: 1KiB, acks: all }\n  from: 500/s\n  to: 100k/s\n  bounds: { response_latency: { p99: { max: 100ms } } }";
    const RETRY: bool = false;

    fn needs(&self) -> Needs {
        Step::needs(&*self.produce)
    }

    fn facts(&self) -> Facts {
        let properties = Step::facts(&*self.produce).properties;
        let allowance = Some(self.hold().saturating_mul(MOST_TRIES * 2));
        Facts { ends: true, allowance, properties, ..Facts::default() }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        self.produce.check_searched("/produce", cx);
        if self.from.0 <= 0.0 || self.to.0 <= self.from.0 {
            cx.report("/to", Problem::new("out-of-range", "`to` has to be a higher rate than `from`"));
        }
        if self.precision.is_some_and(|precision| !(0.005..=1.0).contains(&precision.0)) {
            cx.report("/precision", Problem::new("out-of-range", "`precision` is between 0.5% and 100%"));
        }
        if self.hold() < Duration::from_secs(1) {
            cx.report("/hold", Problem::new("out-of-range", "a rate is held for at least 1s"));
        }
        // What sends nothing always holds.
        if self.from.0 > 0.0 && self.from.0 * self.hold().as_secs_f64() * MEASURED < 1.0 {
            let text = "at `from` no message is due while the rate is held";
            cx.report("/from", Problem::new("out-of-range", text).help("hold it for longer, or begin higher"));
        }
        let facts = Step::facts(&*self.produce);
        self.bounds.check("/bounds", Produce::VERB, Produce::WORK, &facts.lacks, cx);
    }

    fn describe(&self) -> String {
        format!("find the highest rate from {} to {} that {} takes", self.from, self.to, self.produce.topic)
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let mut hunt = self.hunt(cx);
        let (mut curve, mut hidden): (Vec<Tried>, String) = (Vec::new(), String::new());
        cx.prepared();
        while let Some(rate) = hunt.next() {
            let result = self.produce.at_rate(rate, self.hold(), cx).await;
            let report = result.map_err(|error| keep(error, &hunt, &curve))?;
            if let LoadValidity::Invalid { reason } = &report.validity {
                let text = format!("{} cannot be offered by this machine: {reason}", per_second(rate));
                let error = StepError::new(ErrorKind::InvalidLoad, "invalid-load", text);
                return Err(keep(error.help("give the generator more CPU, or set a lower `to`"), &hunt, &curve));
            }
            let tried = match self.judge(rate, report, cx) {
                Ok(tried) => tried,
                Err(why) => {
                    let text = format!("{} cannot be judged: {why}", per_second(rate));
                    cx.run.recorder.note(format!("{}: {text}", cx.id));
                    if hunt.cannot_tell(rate) {
                        hidden = text;
                    }
                    continue;
                }
            };
            let verdict = tried.broke.as_deref().map_or("holds".to_owned(), |why| format!("does not hold: {why}"));
            cx.run.recorder.note(format!("{}: {} {verdict}", cx.id, per_second(rate)));
            hunt.tried(rate, tried.broke.is_none());
            curve.push(tried);
        }
        let more = if hunt.is_blind() { hidden } else { format!("even {} holds", self.to) };
        let outcome = outcome(&hunt, &curve, hunt.is_open().then_some(more.as_str()));
        match hunt.best() {
            Some(_) if hunt.is_open() => {
                cx.run.recorder.warn(format!("{}: {more}: there may be more", cx.id));
                Ok(outcome)
            }
            Some(_) => Ok(outcome),
            None if hunt.is_blind() => {
                let error = StepError::new(ErrorKind::InvalidLoad, "invalid-load", more);
                Err(error.help("search on a machine that does nothing else").after(outcome))
            }
            None => {
                let why = curve.last().and_then(|tried| tried.broke.clone()).unwrap_or_default();
                let text = format!("not even {} holds: {why}", self.from);
                Err(StepError::check("nothing-holds", text).at("/from").after(outcome))
            }
        }
    }
}

impl Search {
    fn hold(&self) -> Duration {
        self.hold.map_or(HOLD, |hold| hold.0)
    }

    /// The search from its beginning, or from where that of a former run got to.
    fn hunt(&self, cx: &StepContext) -> Hunt {
        let precision = self.precision.map_or(PRECISION, |share| share.0);
        let former = cx.run.scenario.former.as_ref();
        let tried = former.and_then(|record| Some(record.step(&cx.id)?.tried_rates())).unwrap_or_default();
        let hunt = Hunt::resumed(self.from.0, self.to.0, precision, &tried);
        if let (Some(former), Some(rate)) = (former.filter(|_| !tried.is_empty()), hunt.next()) {
            let (rate, run) = (per_second(rate), &former.run.id);
            cx.run.recorder.note(format!("{}: begins at {rate}, as the search of run {run} got there", cx.id));
        }
        hunt
    }

    /// What a rate came to.
    ///
    /// # Errors
    /// Why it is neither known to hold nor known not to.
    fn judge(&self, rate: f64, report: ProduceReport, cx: &StepContext) -> Result<Tried, String> {
        let end_us = report.schedule_end_us.unwrap_or(report.last_send_us);
        let backlog = report.last_ack_us.saturating_sub(end_us) as f64 / 1e6;
        let seconds = report.last_ack_us.saturating_sub(report.start_us) as f64 / 1e6;
        let [p50, p99] = ["p50", "p99"].map(|statistic| percentile(&report.response_latency, statistic));
        let lost = report.failed_total() + report.unknown_total();
        let ack_rate = if seconds > 0.0 { report.acked as f64 / seconds } else { 0.0 };
        let whole = if lost > 0 { CheckOutcome::Fail } else { CheckOutcome::Pass };
        let outcome = StepOutcome { produced: Some(Box::new(report)), ..StepOutcome::default() };
        let checks = [
            (whole, format!("{lost} messages were not acknowledged")),
            self.served(backlog, &outcome, cx),
            self.bounds.judged(&outcome, cx),
        ];
        let broke = match worst(checks.into_iter()) {
            Some((CheckOutcome::Unknown, why)) => return Err(why),
            Some((CheckOutcome::Fail, why)) => Some(why),
            _ => None,
        };
        Ok(Tried { rate, ack_rate, p50, p99, backlog, broke })
    }

    /// Whether the last acknowledgement came soon enough after the schedule's end, in seconds; what was seen, in words.
    fn served(&self, backlog: f64, outcome: &StepOutcome, cx: &StepContext) -> (CheckOutcome, String) {
        let allowed = self.hold().as_secs_f64() * SLACK + PROMPT;
        let demand = Demand::Number { unit: Unit::Duration, min: None, max: Some(allowed), equals: None, not: None };
        let seen = Observed::Number(Quantity::seconds(backlog));
        let observed = match cx.run.snapshot_with_running() {
            // A backlog shows in how long messages took, also of those that were due while the machine was free.
            Some(record) => {
                let (step, figure) = (outcome.as_step(&cx.id), ("response_latency", Some("max")));
                judge::noise::excused(&record, &step, figure, None, &demand, seen)
            }
            None => seen,
        };
        let words = format!("the backlog grew: the delay of the last acknowledgement is {observed}");
        (judge::decide(&demand, &observed), words)
    }
}

fn per_second(rate: f64) -> Quantity {
    Quantity::new(rate, Unit::Rate)
}

/// In seconds; nothing where it lies among messages that were never acknowledged.
fn percentile(latency: &LatencySeries, statistic: &str) -> Option<f64> {
    match judge::latencies::latency(latency, statistic, None) {
        Observed::Number(quantity) => Some(quantity.value),
        _ => None,
    }
}

/// What the search found so far; `more`: why there may be more than that.
fn outcome(hunt: &Hunt, curve: &[Tried], more: Option<&str>) -> StepOutcome {
    let details =
        json!({ "throughput": { "best": hunt.best(), "open": more.is_some(), "more": more, "curve": curve } });
    let outcome = StepOutcome::default().details(details);
    match hunt.best() {
        Some(best) => outcome.metric("sustainable_rate", per_second(best)),
        None => outcome,
    }
}

fn keep(error: StepError, hunt: &Hunt, curve: &[Tried]) -> StepError {
    error.after(outcome(hunt, curve, Some("the search was not over")))
}

#[cfg(test)]
mod tests {
    use crate::plan::{PlanOptions, plans};
    use crate::verbs::LANGUAGE;

    #[test]
    fn a_rate_at_which_nothing_is_due_is_no_beginning() {
        let folder = tempfile::tempdir().expect("a folder");
        let codes = |from: &str| -> Vec<&'static str> {
            let search = format!("search: {{ produce: {{ topic: t }}, from: {from}, to: 9/s, hold: 3s }}");
            let file = folder.path().join("x.yaml");
            std::fs::write(&file, format!("name: x\nchecks: none\nsteps:\n  - {search}\n")).expect("a file");
            let problems = plans(&file, &LANGUAGE, &PlanOptions::default()).err().unwrap_or_default();
            problems.iter().map(|problem| problem.code).collect()
        };
        assert_eq!(codes("18/m"), ["out-of-range"]);
        assert_eq!(codes("1/s"), [""; 0]);
    }
}

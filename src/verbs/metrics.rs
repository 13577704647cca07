//! Checks of a step's metrics: `thresholds` of loads, and `expect: step`.

use crate::judge;
use crate::record::metric::{self, Metric, MetricShape, STATISTICS, Work};
use crate::record::{CheckOutcome, CheckRecord, Demand, EventKind, Observed, Record, StepRecord, Unit, demand};
use crate::scenario::predicate::Predicate;
use crate::scenario::units::{Bytes, Count, Length, Rate, Share};
use crate::text::{Problem, did_you_mean};
use crate::verb::{CheckContext, Step, StepContext, StepError, StepOutcome};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One check of a metric.
#[derive(Clone, Debug)]
pub struct MetricCheck {
    /// The metric.
    pub metric: &'static Metric,
    /// Which statistic of a distribution.
    pub statistic: Option<String>,
    /// What is demanded.
    pub demand: Demand,
    /// JSON pointer of the check within the map.
    pub pointer: String,
}

impl MetricCheck {
    /// `response_latency.p95`
    pub fn name(&self) -> String {
        match &self.statistic {
            Some(statistic) => format!("{}.{statistic}", self.metric.name),
            None => self.metric.name.to_owned(),
        }
    }

    /// What a step measured of it, and whether that is what is demanded.
    fn decided(&self, record: Option<&Record>, step: &StepRecord) -> (CheckOutcome, Observed) {
        let observed = match record {
            Some(record) => {
                let figure = (self.metric.name, self.statistic.as_deref());
                let observed = judge::measure::observe(record, step, figure.0, figure.1, None);
                judge::noise::excused(record, step, figure, None, &self.demand, observed)
            }
            None => Observed::unknown("the run left no record"),
        };
        (judge::decide(&self.demand, &observed), observed)
    }
}

/// The first of them that is broken, else that is unknown, else that is met.
pub(super) fn worst<T>(told: impl Iterator<Item = (CheckOutcome, T)>) -> Option<(CheckOutcome, T)> {
    told.min_by_key(|(outcome, _)| match outcome {
        CheckOutcome::Fail => 0,
        CheckOutcome::Unknown => 1,
        CheckOutcome::Pass => 2,
    })
}

/// Checks of metrics, by metric and, for distributions, by statistic.
#[derive(Clone, Debug, Default)]
pub struct MetricChecks(pub Vec<MetricCheck>);

impl<'de> Deserialize<'de> for MetricChecks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = Map::deserialize(deserializer)?;
        Self::parse(&map).map_err(de::Error::custom)
    }
}

impl MetricChecks {
    /// Reads checks from a map.
    ///
    /// # Errors
    /// An unknown metric or statistic, a bound that is not in the metric's unit.
    pub fn parse(map: &Map<String, Value>) -> Result<Self, String> {
        let mut checks = Vec::new();
        for (name, value) in map {
            let metric = metric::named(name)
                .ok_or_else(|| unknown("metric", name, metric::METRICS.iter().map(|metric| metric.name)))?;
            if metric.shape == MetricShape::Single {
                let demand = demand(metric.unit, value).map_err(|error| format!("{name}: {error}"))?;
                checks.push(MetricCheck { metric, statistic: None, demand, pointer: format!("/{name}") });
                continue;
            }
            let Value::Object(statistics) = value else {
                return Err(format!(
                    "{name} is a distribution: name a statistic, as in `{name}: {{ p99: {{ max: … }} }}`"
                ));
            };
            for (statistic, value) in statistics {
                if !metric::is_statistic(statistic) {
                    return Err(unknown("statistic", statistic, STATISTICS.iter().map(|(name, _)| *name)));
                }
                let demand = demand(metric.unit, value).map_err(|error| format!("{name}.{statistic}: {error}"))?;
                checks.push(MetricCheck {
                    metric,
                    statistic: Some(statistic.clone()),
                    demand,
                    pointer: format!("/{name}/{statistic}"),
                });
            }
        }
        Ok(Self(checks))
    }

    /// The schema for the metrics of a verb.
    pub fn schema_of<S: Step>(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": Self::properties(Some(S::WORK), generator),
            "additionalProperties": false
        })
    }

    /// The properties of a schema for the metrics of verbs that do this, or of all verbs.
    pub fn properties(work: Option<Work>, generator: &mut SchemaGenerator) -> Map<String, Value> {
        metric::METRICS
            .iter()
            .filter(|metric| work.is_none_or(|work| metric.is_of(work)))
            .map(|metric| {
                let check = predicate_schema(metric.unit, generator);
                let schema = match metric.shape {
                    MetricShape::Single => {
                        serde_json::json!({ "description": metric.doc, "allOf": [check] })
                    }
                    MetricShape::Distribution => {
                        let statistics: Map<String, Value> = STATISTICS
                            .iter()
                            .map(|(name, doc)| {
                                ((*name).to_owned(), serde_json::json!({ "description": doc, "allOf": [check] }))
                            })
                            .collect();
                        serde_json::json!({
                            "description": metric.doc,
                            "type": "object",
                            "properties": statistics,
                            "additionalProperties": false,
                            "minProperties": 1
                        })
                    }
                };
                (metric.name.to_owned(), schema)
            })
            .collect()
    }

    /// Refuses metrics that the verb does not have, and those that the step `lacks` as it is written.
    pub fn check(
        &self,
        pointer: &str,
        verb: &str,
        work: Work,
        lacks: &BTreeMap<&'static str, &'static str>,
        cx: &mut CheckContext<'_>,
    ) {
        for check in &self.0 {
            if let Some(why) = lacks.get(check.metric.name) {
                let problem = format!("this step has no `{}`: {why}", check.metric.name);
                cx.report(&format!("{pointer}{}", check.pointer), Problem::new("does-not-apply", problem));
            }
            if !check.metric.is_of(work) {
                let names = metric::of(work).map(|metric| metric.name);
                let problem =
                    Problem::new("unknown-metric", format!("a `{verb}` step has no metric `{}`", check.metric.name));
                let help = format!("its metrics are {}", names.collect::<Vec<_>>().join(", "));
                cx.report(&format!("{pointer}{}", check.pointer), problem.help(help));
            }
        }
    }

    /// Whether what was measured meets all checks; of one that it does not meet or, where it breaks none, that cannot be decided, in words
    /// what was seen. Nothing is recorded.
    pub fn judged(&self, outcome: &StepOutcome, cx: &StepContext) -> (CheckOutcome, String) {
        let record = cx.run.snapshot_with_running();
        let step = outcome.as_step(&cx.id);
        let told = self.0.iter().map(|check| {
            let (decided, observed) = check.decided(record.as_ref(), &step);
            (decided, format!("{} is {observed}, and has to be {}", check.name(), check.demand))
        });
        worst(told).unwrap_or((CheckOutcome::Pass, String::new()))
    }

    /// Makes the checks on what the step measured, and fails it where one is not met.
    ///
    /// # Errors
    /// A check that is not met, with the outcome attached.
    pub fn settle(&self, pointer: &str, outcome: StepOutcome, cx: &StepContext) -> Result<StepOutcome, StepError> {
        let mut failed = 0;
        let (record, step) = (cx.run.snapshot_with_running(), outcome.as_step(&cx.id));
        for check in &self.0 {
            let (decided, observed) = check.decided(record.as_ref(), &step);
            failed += usize::from(decided == CheckOutcome::Fail);
            let record = CheckRecord {
                step: cx.id.clone(),
                subject: format!("{} {}", cx.id, check.name()),
                demand: check.demand.clone(),
                observed,
                outcome: decided,
                at: Some(cx.location(&format!("{pointer}{}", check.pointer))),
                samples: Vec::new(),
            };
            cx.run.recorder.emit(EventKind::Check { record: Box::new(record) });
        }
        if failed == 0 {
            return Ok(outcome);
        }
        Err(StepError::check("threshold", format!("{failed} of {} thresholds not met", self.0.len()))
            .at(pointer)
            .after(outcome))
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match did_you_mean(name, known) {
        Some(similar) => format!("there is no {what} `{name}`; did you mean `{similar}`?"),
        None => format!("there is no {what} `{name}`"),
    }
}

/// The schema of a check in a unit.
pub(super) fn predicate_schema(unit: Unit, generator: &mut SchemaGenerator) -> Schema {
    match unit {
        Unit::Count => generator.subschema_for::<Predicate<Count>>(),
        Unit::Duration => generator.subschema_for::<Predicate<Length>>(),
        Unit::Rate => generator.subschema_for::<Predicate<Rate>>(),
        Unit::Bytes => generator.subschema_for::<Predicate<Bytes>>(),
        Unit::Share => generator.subschema_for::<Predicate<Share>>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_is_unknown_breaks_nothing_and_one_that_is_broken_outweighs_it() {
        use CheckOutcome::{Fail, Pass, Unknown};
        let of = |outcomes: &[CheckOutcome]| worst(outcomes.iter().copied().zip(0..));
        assert_eq!(of(&[Pass, Pass]), Some((Pass, 0)));
        assert_eq!(of(&[Pass, Unknown, Unknown]), Some((Unknown, 1)));
        assert_eq!(of(&[Unknown, Fail, Fail]), Some((Fail, 1)));
        assert_eq!(of(&[]), None);
    }
}

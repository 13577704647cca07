//! `expect: step`: metrics of a step that has ended.

use super::Checked;
use super::drift::Drift;
use crate::delivery::look_at_flows;
use crate::judge;
use crate::judge::phases::{self, Phase};
use crate::record::metric::{self, Metric, MetricShape};
use crate::record::{Observed, Section, StepRecord, StepStatus};
use crate::text::Problem;
use crate::verb::{CheckContext, StepContext, StepError, Work};
use crate::verbs::metrics::MetricChecks;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};
use std::ops::Range;

/// Metrics of a step that has ended.
#[derive(Clone, Debug)]
pub struct StepSubject {
    /// The step.
    pub id: String,
    /// Over which part of the run.
    pub during: Option<String>,
    /// Change between the first and the last part of the step.
    pub drift: Option<Drift>,
    /// The checks.
    pub checks: MetricChecks,
}

impl<'de> Deserialize<'de> for StepSubject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map = Map::deserialize(deserializer)?;
        let mut text = |key: &str| match map.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(de::Error::custom(format!("`{key}` is a text, not {other}"))),
        };
        let id = text("id")?.ok_or_else(|| de::Error::missing_field("id"))?;
        let during = text("during")?;
        let drift = match map.remove("drift") {
            None => None,
            Some(drift) => Some(serde_json::from_value(drift).map_err(de::Error::custom)?),
        };
        let checks = MetricChecks::parse(&map).map_err(de::Error::custom)?;
        Ok(Self { id, during, drift, checks })
    }
}

impl JsonSchema for StepSubject {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StepSubject".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = Map::new();
        properties.insert("id".to_owned(), serde_json::json!({ "type": "string", "description": "Id of the step." }));
        properties.insert(
            "during".to_owned(),
            serde_json::json!({
                "type": "string",
                "description": "Over which part of the run: steady, fault, recovery, or the id of a step; all of it where absent."
            }),
        );
        let drift = generator.subschema_for::<Drift>();
        properties.insert(
            "drift".to_owned(),
            serde_json::json!({ "description": "Change between the first and the last part of the step.", "allOf": [drift] }),
        );
        properties.extend(MetricChecks::properties(None, generator));
        json_schema!({
            "type": "object",
            "properties": properties,
            "required": ["id"],
            "additionalProperties": false
        })
    }
}

fn phase(word: &str) -> Option<Phase> {
    Phase::ALL.into_iter().find(|phase| phase.to_string() == word)
}

/// Whether a metric is known of a step as a whole only.
fn is_whole(metric: &Metric) -> bool {
    let by_time = |work: &Work| matches!(work, Work::Sends | Work::Reads | Work::ChangesRows | Work::Captures);
    let whole = ["rebalances", "schema_violations", "rows", "statements"];
    metric.shape == MetricShape::Single && (!metric.work.iter().any(by_time) || whole.contains(&metric.name))
}

/// A metric and its statistic.
fn split(figure: &str) -> (&str, Option<&str>) {
    figure.split_once('.').map_or((figure, None), |(name, statistic)| (name, Some(statistic)))
}

/// The time in which a step measured: its schedule, for a load.
pub(super) fn measured(step: &StepRecord) -> Range<f64> {
    match &step.produced {
        Some(report) => report.start_us as f64 / 1e6..report.last_send_us as f64 / 1e6,
        None => step.prepared.unwrap_or(step.started)..step.ended,
    }
}

impl StepSubject {
    pub fn check(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        let Some(step) = cx.step(&format!("{pointer}/id"), &self.id, &[]) else { return };
        let lacks = step.facts.as_ref().map(|facts| facts.lacks.clone()).unwrap_or_default();
        self.checks.check(pointer, step.verb, step.work, &lacks, cx);
        if self.checks.0.is_empty() && self.drift.is_none() {
            cx.report(pointer, Problem::new("nothing-expected", format!("`step: {}` states no check", self.id)));
        }
        if let Some(drift) = &self.drift {
            let (name, statistic) = split(&drift.of);
            let known = metric::of(step.work).find(|metric| metric.name == name);
            let fits = known.is_some_and(|metric| match metric.shape {
                MetricShape::Single => statistic.is_none(),
                MetricShape::Distribution => statistic.is_some_and(metric::is_statistic),
            });
            if !fits {
                cx.report(
                    &format!("{pointer}/drift/of"),
                    Problem::new("unknown-metric", format!("`{}` is not a figure of a `{}` step", drift.of, step.verb))
                        .help("name a metric and, of a distribution, a statistic, such as `response_latency.p95`"),
                );
            } else if let Some(why) = lacks.get(name) {
                let problem = format!("this step has no `{name}`: {why}");
                cx.report(&format!("{pointer}/drift/of"), Problem::new("does-not-apply", problem));
            }
        }
        if step.order > cx.order {
            cx.report(
                &format!("{pointer}/id"),
                Problem::new("starts-later", format!("`{}` starts only after this step", self.id)),
            );
        }
        let ends = step.facts.as_ref().is_none_or(|facts| facts.ends);
        if step.background && !ends && cx.section != Section::Finally {
            cx.report(
                &format!("{pointer}/id"),
                Problem::new("never-ends", format!("`{}` ends only after `steps`, so it has no figures yet", self.id))
                    .help("give it `thresholds`, which are checked at its end, or expect it in `finally`"),
            );
        }
        if let Some(during) = &self.during
            && phase(during).is_none()
        {
            cx.step(&format!("{pointer}/during"), during, &[]);
        }
        if let (Some(during), Some(check)) = (&self.during, self.checks.0.iter().find(|check| is_whole(check.metric))) {
            cx.report(
                &format!("{pointer}{}", check.pointer),
                Problem::new(
                    "does-not-apply",
                    format!("`{}` is one figure of the whole step: it has none during {during}", check.metric.name),
                )
                .help("expect it without `during`"),
            );
        }
        let recovery = self.checks.0.iter().find(|check| check.metric.name == "recovery_time");
        if let Some(check) = recovery
            && !cx.scope.has_load()
        {
            cx.report(
                &format!("{pointer}{}", check.pointer),
                Problem::new("no-samples", "recovery is measured on loads, and this scenario has none")
                    .help("add a background load"),
            );
        }
    }

    pub async fn look(&self, pointer: &str, cx: &mut StepContext) -> Result<Vec<Checked>, StepError> {
        let id = cx.full_id(&self.id);
        let run = cx.run.clone();
        // A load that is about to end has figures in a moment.
        let ended = cx
            .unless_stopped(async {
                run.live.ended(&id).await;
                run.live.record(&id)
            })
            .await?;
        // Recovery and phases ask when changes came to readers that still run.
        cx.unless_stopped(look_at_flows(&run)).await?;
        let record = run.snapshot_with_running();
        let spans = match (&self.during, &record) {
            (Some(during), Some(record)) => Some(match phase(during) {
                Some(phase) => phases::spans(record, phase),
                None => phases::spans_of_step(record, &cx.full_id(during)),
            }),
            _ => None,
        };
        let observe = |name: &str, statistic: Option<&str>, spans: Option<&[Range<f64>]>| match (&record, &ended) {
            (_, Some(step)) if step.status == StepStatus::Skipped => {
                Observed::nothing(format!("`{}` was skipped", self.id))
            }
            (Some(record), Some(step)) => judge::measure::observe(record, step, name, statistic, spans),
            _ => Observed::nothing(format!("`{}` did not run", self.id)),
        };
        let during = self.during.as_ref().map(|during| format!(" during {during}")).unwrap_or_default();
        let drift = self.drift.as_ref().map(|drift| {
            let (name, statistic) = split(&drift.of);
            let figure = |span: Range<f64>| observe(name, statistic, Some(&[span]));
            let observed = match &ended {
                Some(step) => drift.observe(&measured(step), figure),
                None => observe(name, statistic, None),
            };
            let parts = ended.as_ref().and_then(|step| drift.parts(&measured(step)));
            let observed = match (&record, parts) {
                (Some(record), Some(parts)) => {
                    let last = figure(parts[1].clone());
                    judge::noise::excused_change(record, &parts, &last, &drift.demand(), observed)
                }
                _ => observed,
            };
            let subject = format!("{} drift of {}", self.id, drift.of);
            Checked::new(subject, drift.demand(), observed, format!("{pointer}/drift"))
        });
        let mut checked: Vec<Checked> = self
            .checks
            .0
            .iter()
            .map(|check| {
                let figure = (check.metric.name, check.statistic.as_deref());
                let observed = observe(figure.0, figure.1, spans.as_deref());
                let observed = match (&record, &ended) {
                    (Some(record), Some(step)) => {
                        judge::noise::excused(record, step, figure, spans.as_deref(), &check.demand, observed)
                    }
                    _ => observed,
                };
                let subject = format!("{} {}{during}", self.id, check.name());
                Checked::new(subject, check.demand.clone(), observed, format!("{pointer}{}", check.pointer))
            })
            .chain(drift)
            .collect();
        // What is open now may be closed at another look, while somebody runs who can close it.
        let runs = record.is_some_and(|record| record.steps.iter().any(|step| step.status == StepStatus::Running));
        checked.iter_mut().for_each(|check| check.may_close = runs && check.observed.is_open());
        Ok(checked)
    }
}

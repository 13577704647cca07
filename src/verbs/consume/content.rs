//! What a reader looks at in the messages themselves.

use super::Consume;
use crate::debezium::EnvelopeSchema;
use crate::delivery::measure_flow;
use crate::judge;
use crate::load::consume::{Assertion, Assertions, ReaderCapture, Tap};
use crate::record::{CheckOutcome, CheckRecord, Demand, EventKind, Evidence, Observed, Quantity, Unit};
use crate::text::{Origin, Problem};
use crate::verb::{CheckContext, StepContext, StepError, StepOutcome};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

/// Expressions that have to be true of each message.
#[derive(Clone, Debug, PartialEq)]
pub struct Each(pub Vec<String>);

impl<'de> Deserialize<'de> for Each {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(expression) => Ok(Self(vec![expression])),
            list @ Value::Array(_) => serde_json::from_value(list).map(Self).map_err(de::Error::custom),
            _ => Err(de::Error::custom("an expression, or a list of them")),
        }
    }
}

impl JsonSchema for Each {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Each".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "array"],
            "items": { "type": "string" },
            "minItems": 1,
            "examples": ["value.amount > 0", "headers.region == 'eu'", "not tombstone"]
        })
    }
}

impl Consume {
    /// The expressions, each with where it stands.
    fn expressions(&self) -> impl Iterator<Item = (String, &String)> {
        let all = self.each.iter().flat_map(|each| &each.0);
        let one = self.each.as_ref().is_some_and(|each| each.0.len() == 1);
        all.enumerate()
            .map(move |(index, text)| (if one { "/each".to_owned() } else { format!("/each/{index}") }, text))
    }

    /// Refuses what is no expression about a message.
    pub(super) fn check_each(&self, cx: &mut CheckContext<'_>) {
        for (pointer, text) in self.expressions() {
            if let Err(error) = Assertion::parse(text) {
                let help = "write it like `value.amount > 0 and headers.region == 'eu'`";
                cx.report(&pointer, Problem::new("bad-expression", error).help(help));
            }
        }
    }

    /// What is asserted of each message, if anything.
    pub(super) fn assertions(&self) -> Result<Option<Assertions>, StepError> {
        if self.each.is_none() {
            return Ok(None);
        }
        let parse = |(pointer, text): (String, &String)| {
            Assertion::parse(text).map_err(|error| StepError::broken("bad-expression", error).at(pointer))
        };
        let all = self.expressions().map(parse).collect::<Result<_, _>>()?;
        Ok(Some(Assertions::new(&self.topic, all)))
    }

    /// What looks at the messages themselves, where the step asks for that.
    pub(super) fn capture(&self, cx: &StepContext) -> Result<Option<ReaderCapture>, StepError> {
        if self.decode.is_none() && self.schema.is_none() {
            return Ok(None);
        }
        let schema = self
            .schema
            .as_ref()
            .map(|file| read_schema(&cx.origin, file))
            .transpose()
            .map_err(|error| StepError::broken("bad-schema", error).at("/schema"))?;
        Ok(Some(ReaderCapture::new(&self.topic, cx.run.clock, self.decode.is_some(), schema)))
    }
}

/// Shows each message to whoever looks into messages.
pub(super) fn tap(capture: Option<Arc<ReaderCapture>>, assertions: Option<Arc<Assertions>>) -> Option<Tap> {
    if capture.is_none() && assertions.is_none() {
        return None;
    }
    Some(Arc::new(move |message| {
        capture.iter().for_each(|capture| capture.take(message));
        assertions.iter().for_each(|assertions| assertions.take(message));
    }))
}

/// Makes a check of each assertion. Where the reader has not come to the end, those that hold so far are unknown.
pub(super) fn settle(
    assertions: &Assertions,
    drained: bool,
    outcome: StepOutcome,
    cx: &StepContext,
) -> Result<StepOutcome, StepError> {
    let (looked, found) = (assertions.looked(), assertions.found());
    let (mut failed, all) = (0, found.len());
    for (index, (text, broken)) in found.into_iter().enumerate() {
        let evidence = match drained {
            true => Evidence::closed(),
            false => Evidence::open("the reader did not come to the end of the topic"),
        };
        let demand = Demand::Number { unit: Unit::Count, min: None, max: None, equals: Some(0.0), not: None };
        let observed = match looked {
            0 => Observed::nothing("no message was read"),
            _ => evidence.rising(Quantity::count(broken.count)),
        };
        let decided = judge::decide(&demand, &observed);
        failed += usize::from(decided == CheckOutcome::Fail);
        let pointer = if all == 1 { "/each".to_owned() } else { format!("/each/{index}") };
        let record = CheckRecord {
            step: cx.id.clone(),
            subject: format!("{}: messages that break `{text}`", cx.id),
            demand,
            observed,
            outcome: decided,
            at: Some(cx.location(&pointer)),
            samples: broken.samples,
        };
        cx.run.recorder.emit(EventKind::Check { record: Box::new(record) });
    }
    if failed == 0 {
        return Ok(outcome);
    }
    let message = format!("{failed} of {all} expressions do not hold of each of {} messages", Quantity::count(looked));
    Err(StepError::check("each", message).at("/each").after(outcome))
}

/// Fewer messages were read than `until` asks for, and an open transaction holds more back: whether those are enough is not known.
pub(super) fn held_back(read: u64, total: u64, cx: &StepContext) {
    let demand = Demand::Number { unit: Unit::Count, min: Some(total as f64), max: None, equals: None, not: None };
    let missing = "an open transaction holds back the end of the log, behind which there may be more";
    let observed = Evidence::open(missing).rising(Quantity::count(read));
    let record = CheckRecord {
        step: cx.id.clone(),
        subject: format!("{}: different messages that were read", cx.id),
        outcome: judge::decide(&demand, &observed),
        demand,
        observed,
        at: Some(cx.location("/until/count")),
        samples: Vec::new(),
    };
    cx.run.recorder.emit(EventKind::Check { record: Box::new(record) });
}

/// Adds what the messages were: schema violations, and how long changes took from their commit.
pub(super) async fn measure(capture: &Arc<ReaderCapture>, outcome: &mut StepOutcome, cx: &StepContext) {
    let mut details = Map::new();
    if let Some((count, samples)) = capture.violations() {
        outcome.metrics.insert("schema_violations".to_owned(), Quantity::count(count));
        if let Some(first) = samples.first() {
            cx.run.recorder.warn(format!("{count} messages break the schema, first {first}"));
        }
        details.insert("schema_violations".to_owned(), json!(samples));
    }
    if capture.decodes() {
        let start_us = outcome.consumed.as_ref().map_or(0, |report| report.start_us);
        match measure_flow(&cx.run, capture, start_us).await {
            Ok(Some(measured)) => {
                let latencies = [
                    ("cdc_latency", measured.whole),
                    ("capture_latency", measured.captured),
                    ("publish_latency", measured.published),
                ];
                outcome.latencies.extend(latencies.map(|(name, series)| (name.to_owned(), series)));
                if let Some(report) = &mut outcome.consumed {
                    report.changes = Some(Box::new(measured.flow));
                }
            }
            Ok(None) => {}
            Err(why) => cx.run.recorder.warn(format!("when changes came to `{}` is not known: {why}", cx.id)),
        }
    }
    if !details.is_empty() {
        outcome.details = Value::Object(details);
    }
}

/// Most bytes of a JSON schema.
const SCHEMA: u64 = 1 << 20;

pub(super) fn read_schema(origin: &Origin, path: &Path) -> Result<Arc<EnvelopeSchema>, String> {
    let text = origin.read_text(path, SCHEMA)?;
    EnvelopeSchema::of_text(&text).map_err(|error| format!("`{}`: {error}", path.display()))
}

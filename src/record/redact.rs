//! Takes the secrets out of an event, where it is born.
//!
//! Every text of the event is looked at, whatever field it stands in: a field that is added later cannot be forgotten. Words of the
//! format itself (names of fields, of states, of metrics) stay; whole, they say nothing about a secret.

use super::event::{Event, EventKind};
use super::metric::{METRICS, STATISTICS};
use super::step::Failure;
use crate::text::{HIDDEN, Redactor};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Fields whose texts are numbers in another form.
const ENCODED: [&str; 1] = ["slices"];

/// Fields with the last lines of a log: they may begin within a secret.
const EXCERPTS: [&str; 2] = ["log", "lines"];

/// The field of a value of any shape, as a system has told it: a number in it may be a secret. Other numbers are kscen's own figures.
const FREE: &str = "json";

/// All words of the format: names of fields, and values of those that have a fixed set.
static WORDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let mut words = BTreeSet::new();
    collect(schemars::schema_for!(Event).as_value(), &mut words);
    for metric in METRICS {
        words.insert(metric.name.to_owned());
        words.extend(STATISTICS.iter().map(|(statistic, _)| format!("{}.{statistic}", metric.name)));
    }
    words
});

fn collect(schema: &Value, words: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("properties", Value::Object(fields)) => words.extend(fields.keys().cloned()),
                    ("const", Value::String(word)) => {
                        words.insert(word.clone());
                    }
                    ("enum", Value::Array(all)) => {
                        words.extend(all.iter().filter_map(Value::as_str).map(str::to_owned))
                    }
                    _ => {}
                }
                collect(value, words);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
        _ => {}
    }
}

/// A value without secrets, as an event shows it; `None` where they cannot be taken out of it.
pub(crate) fn without_secrets<T: Serialize + DeserializeOwned>(value: &T, redactor: &Redactor) -> Option<T> {
    let mut shown = serde_json::to_value(value).ok()?;
    walk(&mut shown, redactor, false);
    serde_json::from_value(shown).ok()
}

/// The event without secrets.
pub(super) fn redacted(mut kind: EventKind, redactor: &Redactor) -> EventKind {
    if redactor.is_empty() {
        return kind;
    }
    // Numbers with words of kscen's own, which are never written.
    let live = match &mut kind {
        EventKind::Progress { figures, .. } => std::mem::take(&mut figures.live),
        _ => Box::default(),
    };
    let name = name(&kind);
    let without = serde_json::to_value(kind).and_then(|mut value| {
        walk(&mut value, redactor, false);
        serde_json::from_value(value)
    });
    // An event that cannot be cleaned is not shown; and a run of which something is missing has no verdict.
    let mut shown = without.unwrap_or_else(|error| EventKind::RunFailed {
        failure: Failure {
            code: "unredacted".to_owned(),
            message: format!("a {name} event was withheld, because secrets could not be taken out of it: {error}"),
            help: Some("choose another value for the secret: this one is a word of kscen's own format".to_owned()),
            at: None,
            log: Vec::new(),
        },
    });
    if let EventKind::Progress { figures, .. } = &mut shown {
        figures.live = live;
    }
    shown
}

fn name(kind: &EventKind) -> String {
    let value = serde_json::to_value(kind).unwrap_or_default();
    value.get("event").and_then(Value::as_str).unwrap_or("certain").to_owned()
}

/// Takes the secrets out of a value; out of its numbers only where it is `free`, of any shape.
fn walk(value: &mut Value, redactor: &Redactor, free: bool) {
    match value {
        Value::String(text) => {
            if !WORDS.contains(text)
                && let std::borrow::Cow::Owned(shown) = redactor.text(text)
            {
                *text = shown;
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| walk(item, redactor, free));
            let mut lines: Vec<&mut String> = items.iter_mut().filter_map(line).collect();
            if lines.len() > 1 {
                redactor.lines(&mut lines);
            }
        }
        Value::Object(object) => {
            let without: Map<String, Value> = std::mem::take(object)
                .into_iter()
                .map(|(key, mut value)| {
                    if !ENCODED.contains(&key.as_str()) {
                        walk(&mut value, redactor, free || key == FREE);
                    }
                    if let (true, Value::Array(items)) = (EXCERPTS.contains(&key.as_str()), &mut value) {
                        redactor.last_lines(&mut items.iter_mut().filter_map(line).collect::<Vec<_>>());
                    }
                    (if WORDS.contains(&key) { key } else { redactor.text(&key).into_owned() }, value)
                })
                .collect();
            *object = without;
        }
        Value::Number(number) if free && is_secret(number, redactor) => *value = HIDDEN.into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a number is a secret, in one of the forms in which numbers are told.
fn is_secret(number: &Number, redactor: &Redactor) -> bool {
    let float = number.as_f64().filter(|_| number.is_f64()).map(|float| float.to_string());
    [Some(number.to_string()), float].into_iter().flatten().any(|text| redactor.is_in(text.as_bytes()))
}

/// What one element adds to a text that goes on from element to element.
fn line(item: &mut Value) -> Option<&mut String> {
    match item {
        Value::String(text) => Some(text),
        Value::Object(object) => match object.get_mut("text") {
            Some(Value::String(text)) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::LogLine;
    use crate::record::{
        CheckOutcome, CheckRecord, Demand, LogExcerpt, Observed, Progress, Quantity, Section, StepRecord, StepStatus,
    };
    use crate::text::Location;
    use std::collections::BTreeMap;

    #[test]
    fn live_figures_are_not_written_and_reach_whoever_watches() {
        let mut figures = Progress { what: "hunter2hunter2".to_owned(), done: 7, ..Progress::default() };
        figures.live.messages = vec![("due", 9), ("acknowledged", 7)];
        let kind = EventKind::Progress { id: "load".to_owned(), figures: figures.clone() };
        assert!(!serde_json::to_string(&kind).expect("plain data").contains("due"));
        let EventKind::Progress { figures: shown, .. } = redacted(kind, &Redactor::new(["hunter2hunter2"])) else {
            panic!("another event");
        };
        assert_eq!((shown.what.as_str(), shown.done, &shown.live), ("***", 7, &figures.live));
    }

    #[test]
    fn every_text_of_an_event_is_cleaned_and_words_of_the_format_stay() {
        // The second secret is a word of the format as well.
        let redactor = Redactor::new(["hunter2hunter2", "done", "effect_after"]);
        let secret = || "x hunter2hunter2 y".to_owned();
        let record = StepRecord {
            id: "load".to_owned(),
            verb: "run".to_owned(),
            section: Section::Steps,
            title: secret(),
            asked: BTreeMap::from([("topic".to_owned(), secret())]),
            at: Location { file: secret(), line: 1, column: 2 },
            background: false,
            status: StepStatus::Done,
            started: 0.25,
            prepared: None,
            ended: 1.5,
            failure: None,
            metrics: BTreeMap::from([("effect_after".to_owned(), Quantity::seconds(1.0))]),
            latencies: BTreeMap::new(),
            produced: None,
            consumed: None,
            written: None,
            captures: None,
            runs: false,
            judged: false,
            details: serde_json::json!({ "hunter2hunter2": ["hunter2", "hunter2"], "stdout": "it is done\nhunter2\nhunter2" }),
        };
        let EventKind::StepEnded { record } = redacted(EventKind::StepEnded { record: Box::new(record) }, &redactor)
        else {
            panic!("another event");
        };
        assert_eq!((record.title.as_str(), record.at.file.as_str()), ("x *** y", "x *** y"));
        assert_eq!(record.asked["topic"], "x *** y");
        assert_eq!((record.status, record.started), (StepStatus::Done, 0.25));
        assert!(record.metrics.contains_key("effect_after"));
        let details = serde_json::json!({ "***": ["***", "***"], "stdout": "it is ***\n***\n***" });
        assert_eq!(record.details, details);

        let lines =
            ["a hunter2", "hunter2 b", "c"].map(|text| LogLine { at_ms: Some(3), text: text.to_owned() }).to_vec();
        let excerpt = LogExcerpt { source: secret(), reason: secret(), lines };
        let EventKind::Log { excerpt } = redacted(EventKind::Log { excerpt }, &redactor) else {
            panic!("another event")
        };
        let texts: Vec<&str> = excerpt.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["a ***", "*** b", "c"]);
    }

    #[test]
    fn a_number_that_a_system_has_told_may_be_a_secret() {
        let redactor = Redactor::new(["918273"]);
        let told = serde_json::json!({ "pin": 918273, "other": 5, "all": [[918273.0, true]] });
        let check = CheckRecord {
            step: "expect".to_owned(),
            subject: "sql value".to_owned(),
            demand: Demand::Json(918273.into()),
            observed: Observed::Json(told),
            outcome: CheckOutcome::Fail,
            at: None,
            samples: vec!["[918273]".to_owned()],
        };
        let EventKind::Check { record } = redacted(EventKind::Check { record: Box::new(check) }, &redactor) else {
            panic!("another event");
        };
        let shown = serde_json::json!({ "pin": "***", "other": 5, "all": [["***", true]] });
        assert_eq!((record.demand, record.observed), (Demand::Json("***".into()), Observed::Json(shown)));
        assert_eq!(record.samples, ["[***]"]);
        // What kscen has counted itself stays a figure.
        let count = Observed::Number(Quantity::count(918273));
        assert_eq!(without_secrets(&count, &redactor), Some(count));
    }
}

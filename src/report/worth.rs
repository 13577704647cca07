//! What a setting is worth: loads of one run that differ in one setting, held against each other.
//!
//! The first load of a kind is the one that the others are held against. Where it is repeated, what its repetitions differ by is what chance does,
//! and a smaller difference is none. Loads are of one kind where everything else is the same: the rate, or that there is none, the size and
//! kind of the messages, how many producers there are, each other setting of the client and of the topic, and that nothing else was sent
//! meanwhile.

use super::judged::all_properties;
use crate::judge::measure::observe;
use crate::record::{LoadValidity, Observed, Quantity, Record, StepRecord, StepStatus};
use serde::Serialize;
use std::collections::BTreeMap;

/// The settings that are told apart.
const SETTINGS: [&str; 6] = ["linger.ms", "batch.size", "compression.type", "acks", "enable.idempotence", "partitions"];
/// Client properties that follow from whether a producer is idempotent, or are a name of its own.
const FOLLOWING: [&str; 4] =
    ["max.in.flight.requests.per.connection", "retries", "queuing.strategy", "transactional.id"];
/// What a load is asked for that is compared otherwise, or says how much of the same there is.
const COMPARED: [&str; 10] =
    ["topic", "count", "for", "rate", "stages", "size", "acks", "idempotent", "compression", "producers"];
/// The same by how its place begins.
const COMPARED_BELOW: [&str; 4] = ["config.", "thresholds.", "stages.", "size."];
/// Settings of a topic that say how long it keeps what it has.
const KEEPING: [&str; 4] = ["name", "partitions", "config.retention.", "config.segment."];
/// Messages of loads of one kind differ in their mean size by this share at most.
const SAME_SIZE: f64 = 0.05;

/// A load that differs from the first one of its kind in one setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettingRow {
    /// What is measured: the rate as fast as it goes, or the 99th percentile of the response time at a rate.
    pub what: String,
    /// The setting, under Kafka's name.
    pub setting: &'static str,
    /// Its value of the first load, and of this one.
    pub values: String,
    /// The first load's figure, and this one's.
    pub figures: String,
    /// What the change did, or why that cannot be told.
    pub verdict: String,
    /// `good`, `bad` or `plain`.
    pub tone: &'static str,
}

/// A load as it is compared.
struct Load<'a> {
    /// Messages per second of its schedule; none where it went as fast as it could.
    rate: Option<f64>,
    size: f64,
    settings: BTreeMap<&'static str, String>,
    /// Everything else that the load was asked for and its client was set to.
    others: BTreeMap<String, String>,
    figure: Quantity,
    id: &'a str,
}

/// Every load that differs from the first one of its kind in exactly one setting.
pub fn settings(record: &Record) -> Vec<SettingRow> {
    let mut kinds: Vec<Vec<Load<'_>>> = Vec::new();
    for load in record.steps.iter().filter_map(|step| load(record, step)) {
        let same = |kind: &&mut Vec<Load<'_>>| kind.first().is_some_and(|first| is_alike(first, &load));
        match kinds.iter_mut().find(same) {
            Some(kind) => kind.push(load),
            None => kinds.push(vec![load]),
        }
    }
    kinds.iter().flat_map(|kind| rows(kind)).collect()
}

/// What a setting gained in this run, where that is more than chance: the words of a recommendation.
pub fn gain(record: &Record, setting: &str) -> Option<String> {
    let row = settings(record).into_iter().find(|row| row.setting == setting && row.tone == "good")?;
    Some(format!(
        "{} {}: {} {}, {} (threshold: more than the same settings twice differ by)",
        row.setting, row.values, row.what, row.figures, row.verdict
    ))
}

fn load<'a>(record: &Record, step: &'a StepRecord) -> Option<Load<'a>> {
    let report = step.produced.as_ref()?;
    let whole = step.status == StepStatus::Done
        && report.validity == LoadValidity::Valid
        && report.failed.is_empty()
        && report.unknown.is_empty()
        && report.sent > 0
        && report.acked == report.sent;
    // What was disturbed says nothing about a setting.
    let quiet = record
        .faults
        .iter()
        .all(|fault| fault.requested > step.ended || fault.undone.is_some_and(|at| at < step.started));
    if !whole || !quiet || !is_alone(record, step) {
        return None;
    }
    let length = report.schedule_end_us.map(|end| end.saturating_sub(report.start_us) as f64 / 1e6);
    let rate = length.filter(|length| *length > 0.0).map(|length| report.due as f64 / length);
    let (metric, statistic) = if rate.is_some() { ("response_latency", Some("p99")) } else { ("ack_rate", None) };
    let Observed::Number(figure) = observe(record, step, metric, statistic, None) else { return None };
    let (mut settings, mut others) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in all_properties(step, &report.effective_config) {
        match SETTINGS.into_iter().find(|setting| *setting == name) {
            Some(setting) => _ = settings.insert(setting, value),
            None if FOLLOWING.contains(&name.as_str()) => {}
            None => _ = others.insert(name, value),
        }
    }
    let made = record.steps.iter().find(|step| step.details["created"] == report.topic);
    others.extend(asked(step, made));
    if let Some(partitions) = made.and_then(|step| step.details["partitions"].as_u64()) {
        settings.insert("partitions", partitions.to_string());
    }
    Some(Load { rate, size: report.bytes as f64 / report.sent as f64, settings, others, figure, id: &step.id })
}

/// Whether no other load was under way meanwhile.
fn is_alone(record: &Record, own: &StepRecord) -> bool {
    let span = |step: &StepRecord| step.produced.as_ref().map(|report| report.start_us..report.end_us);
    let Some(mine) = span(own) else { return false };
    let others = record.steps.iter().filter(|step| step.id != own.id).filter_map(span);
    others.into_iter().all(|other| other.end <= mine.start || mine.end <= other.start)
}

/// What a load and its topic were asked for beside the settings that are told apart. Results of versions before do not have it.
fn asked(load: &StepRecord, topic: Option<&StepRecord>) -> Vec<(String, String)> {
    let is_own =
        |place: &str| !COMPARED.contains(&place) && !COMPARED_BELOW.iter().any(|start| place.starts_with(start));
    let own = load.asked.iter().filter(|(place, _)| is_own(place));
    let of_topic = topic.into_iter().flat_map(|topic| &topic.asked);
    let of_topic = of_topic.filter(|(place, _)| !KEEPING.iter().any(|start| place.starts_with(start)));
    let named = |(whose, place, value): (&str, &String, &String)| (format!("{whose}: {place}"), value.clone());
    let producers = load.produced.as_ref().map_or(0, |report| report.producers);
    own.map(|(place, value)| ("load", place, value))
        .chain(of_topic.map(|(place, value)| ("topic", place, value)))
        .map(named)
        .chain([("producers".to_owned(), producers.to_string())])
        .collect()
}

fn is_alike(first: &Load<'_>, other: &Load<'_>) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= SAME_SIZE * a.max(b);
    let rates = match (first.rate, other.rate) {
        (None, None) => true,
        (Some(a), Some(b)) => near(a, b),
        _ => false,
    };
    rates && near(first.size, other.size) && first.others == other.others
}

fn rows(kind: &[Load<'_>]) -> Vec<SettingRow> {
    let Some((first, others)) = kind.split_first() else { return Vec::new() };
    let share = |load: &Load<'_>| (load.figure.value - first.figure.value) / first.figure.value.max(1e-9);
    let differing = |load: &Load<'_>| -> Vec<&'static str> {
        let mut differing: Vec<_> =
            SETTINGS.into_iter().filter(|name| load.settings.get(name) != first.settings.get(name)).collect();
        // Without all acknowledgements there is no idempotence.
        if differing.contains(&"acks") {
            differing.retain(|name| *name != "enable.idempotence");
        }
        differing
    };
    let repeats = others.iter().filter(|load| differing(load).is_empty()).map(|load| share(load).abs());
    let chance = repeats.reduce(f64::max);
    let what = match first.rate {
        Some(rate) => format!("p99 at {}", Quantity::new(rate.round(), crate::record::Unit::Rate)),
        None => "rate, as fast as it goes".to_owned(),
    };
    let row = |load: &Load<'_>| {
        let [setting] = differing(load)[..] else { return None };
        let value = |load: &Load<'_>| load.settings.get(setting).cloned().unwrap_or_else(|| "none".to_owned());
        let (verdict, tone) = verdict(share(load), chance, first);
        Some(SettingRow {
            what: what.clone(),
            setting,
            values: format!("{} → {}", value(first), value(load)),
            figures: format!("{} → {}", first.figure, load.figure),
            verdict,
            tone,
        })
    };
    others.iter().filter_map(row).collect()
}

/// In words, and as a tone: more of a rate is good, more of a latency is bad.
fn verdict(share: f64, chance: Option<f64>, first: &Load<'_>) -> (String, &'static str) {
    let percent = |share: f64| format!("{:.0} %", share.abs() * 100.0);
    let Some(chance) = chance else {
        return (format!("each measured once: repeat {} at the end to see what chance does", first.id), "plain");
    };
    if share.abs() <= chance {
        return (
            format!("no difference that can be told: the same settings twice differ by {}", percent(chance)),
            "plain",
        );
    }
    let more = if share > 0.0 { "more" } else { "less" };
    let good = (share > 0.0) == first.rate.is_none();
    let text = format!("{} {more}, where the same settings twice differ by {}", percent(share), percent(chance));
    (text, if good { "good" } else { "bad" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A run with these loads: figure, linger.ms, partitions; at a rate where one is given.
    fn run(rate: Option<u64>, loads: &[(f64, &str, u64)]) -> Record {
        let mut record: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a record");
        let topic = record.steps.iter().find(|step| step.verb == "topic").expect("a topic").clone();
        let load = record.steps.iter().find(|step| step.produced.is_some()).expect("a load").clone();
        (record.steps, record.faults) = (Vec::new(), Vec::new());
        for (index, (seconds, linger, partitions)) in loads.iter().enumerate() {
            let (mut topic, mut load) = (topic.clone(), load.clone());
            let name = format!("t{index}");
            topic.details = json!({ "created": name, "partitions": partitions });
            load.id = format!("load-{index}");
            let report = load.produced.as_mut().expect("a load");
            report.topic = name;
            // One after the other.
            let (before, length) = (report.start_us, report.end_us - report.start_us);
            report.start_us = index as u64 * 1_000_000_000;
            report.end_us = report.start_us + length;
            report.last_send_us = report.last_send_us - before + report.start_us;
            report.effective_config.insert("queue.buffering.max.ms".to_owned(), (*linger).to_owned());
            report.schedule_end_us = rate.map(|rate| report.start_us + report.due * 1_000_000 / rate);
            // First send to last acknowledgement is what the rate is taken over.
            report.last_ack_us = report.start_us + (seconds * 1e6) as u64;
            record.steps.extend([topic, load]);
        }
        record
    }

    #[test]
    fn one_setting_at_a_time_is_held_against_what_chance_does() {
        let rows =
            settings(&run(None, &[(10.0, "5", 3), (5.0, "20", 3), (9.9, "5", 12), (2.0, "20", 12), (9.5, "5", 3)]));
        assert_eq!(rows.len(), 2, "two settings at once say nothing about either: {rows:?}");
        assert!(rows[0].setting == "linger.ms" && rows[0].values == "5 → 20" && rows[0].tone == "good", "{rows:?}");
        assert!(rows[0].verdict.contains("more, where the same settings twice differ by"), "{rows:?}");
        assert!(rows[1].setting == "partitions" && rows[1].tone == "plain", "{rows:?}");
        let record = run(None, &[(10.0, "5", 3), (5.0, "20", 3), (9.5, "5", 3)]);
        assert!(gain(&record, "linger.ms").is_some_and(|words| words.contains("5 → 20")));
        assert_eq!(gain(&record, "acks"), None);
    }

    #[test]
    fn without_a_repetition_nothing_is_claimed() {
        let rows = settings(&run(None, &[(10.0, "5", 3), (5.0, "20", 3)]));
        assert!(rows.len() == 1 && rows[0].tone == "plain" && rows[0].verdict.contains("repeat load-0"), "{rows:?}");
    }

    #[test]
    fn what_failed_was_disturbed_or_is_of_another_kind_is_left_out() {
        let mut record = run(None, &[(10.0, "5", 3), (5.0, "20", 3)]);
        record.steps[3].produced.as_mut().expect("a load").acked -= 1;
        assert_eq!(settings(&record), []);
        let mut record = run(None, &[(10.0, "5", 3), (5.0, "20", 3)]);
        record.steps[3].produced.as_mut().expect("a load").bytes *= 2;
        assert_eq!(settings(&record), []);
        let another: [fn(&mut Record); 5] = [
            |record| {
                let load = record.steps[3].produced.as_mut().expect("a load");
                load.effective_config.insert("socket.nagle.disable".to_owned(), "true".to_owned());
            },
            |record| record.steps[3].produced.as_mut().expect("a load").producers = 8,
            |record| _ = record.steps[3].asked.insert("payload.compressible".to_owned(), "70%".to_owned()),
            |record| _ = record.steps[2].asked.insert("config.min.insync.replicas".to_owned(), "2".to_owned()),
            |record| {
                // Another load beside it.
                let mut beside = record.steps[3].clone();
                beside.id = "beside".to_owned();
                record.steps.push(beside);
            },
        ];
        for change in another {
            let mut record = run(None, &[(10.0, "5", 3), (5.0, "20", 3)]);
            change(&mut record);
            assert_eq!(settings(&record), []);
        }
        let mut record = run(None, &[(10.0, "5", 3), (5.0, "20", 3)]);
        record.steps[3].asked.insert("config.linger.ms".to_owned(), "20".to_owned());
        record.steps[2].asked.insert("config.retention.bytes".to_owned(), "1".to_owned());
        assert_eq!(settings(&record).len(), 1, "that is the setting itself, and what is kept of it");
        let mut record = run(Some(100), &[(10.0, "5", 3), (5.0, "20", 3)]);
        assert_eq!(settings(&record).len(), 1);
        record.steps[3].produced.as_mut().expect("a load").schedule_end_us = None;
        assert_eq!(settings(&record), []);
    }
}

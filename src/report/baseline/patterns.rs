//! How clients come back after each kind of failure, with the values that were in effect and what was measured.

use super::Declared;
use super::stem;
use crate::accounting::Class;
use crate::judge::measure::observe;
use crate::record::{Observed, Record, StepRecord};
use crate::report::totals::class_total;
use crate::scenario::RecoveryPattern;
use serde::Serialize;

/// What happens, in order, and what was measured.
#[derive(Clone, Debug, Serialize)]
pub struct FailurePattern {
    pub title: &'static str,
    pub steps: Vec<String>,
    /// What was measured; says so where nothing was.
    pub measured: String,
}

/// All patterns, each with the runs of the scenarios that declare it.
pub fn patterns(records: &[&Record], declared: &[Declared]) -> Vec<FailurePattern> {
    let [restarted, returned, parted] =
        [RecoveryPattern::BrokerRestart, RecoveryPattern::ConsumerRestart, RecoveryPattern::NetworkPartition]
            .map(|pattern| measuring(pattern, records, declared));
    vec![
        FailurePattern {
            title: "Broker restart",
            steps: vec![
                "The producer loses its connection.".to_owned(),
                format!("It keeps messages in its buffer{}.", value(&restarted, "buffer.memory", "queue.buffering.max.kbytes", " KiB")),
                format!(
                    "It connects again with growing pauses{}.",
                    [
                        value(&restarted, "reconnect.backoff.ms", "reconnect.backoff.ms", ""),
                        value(&restarted, "reconnect.backoff.max.ms", "reconnect.backoff.max.ms", "")
                    ]
                    .concat()
                    .replace(") (", ", ")
                ),
                format!(
                    "Once the broker is back it sends what it kept; what waited longer than its delivery timeout{} fails.",
                    value(&restarted, "delivery.timeout.ms", "message.timeout.ms", "")
                ),
                "A request whose answer was lost is sent again: without idempotence that can leave a duplicate, with it the broker drops the copy.".to_owned(),
            ],
            measured: measured(&restarted),
        },
        FailurePattern {
            title: "Consumer restart",
            steps: vec![
                "The consumer processes, then commits the offset of the next message to read.".to_owned(),
                "It commits a last time and leaves its group; a consumer that crashes does neither, and its group waits for session.timeout.ms.".to_owned(),
                "After its return it fetches the committed offset and goes on exactly there: that offset is the next one to read.".to_owned(),
                "What was processed after the last commit is delivered again. Committing by hand after processing is at-least-once, not exactly-once.".to_owned(),
            ],
            measured: measured(&returned),
        },
        FailurePattern {
            title: "Network partition",
            steps: vec![
                "Connections stay open and nothing answers.".to_owned(),
                format!(
                    "A request without an answer times out{}; shorter partitions pass without any error.",
                    value(&parted, "request.timeout.ms", "request.timeout.ms", "")
                ),
                "After the partition the producer sends again what was not answered, and what it kept meanwhile.".to_owned(),
                "What was written but not answered before the partition can be there twice, unless the producer is idempotent.".to_owned(),
            ],
            measured: measured(&parted),
        },
    ]
}

/// The runs of scenarios that declare the pattern; a stored run of a version before knows only its scenario's file.
fn measuring<'a>(pattern: RecoveryPattern, records: &[&'a Record], declared: &[Declared]) -> Vec<&'a Record> {
    let declares = |record: &Record| {
        let own = record.run.report.as_ref().and_then(|clause| clause.recovery);
        let of_file = || declared.iter().find(|known| known.stem == stem(record))?.clause.recovery;
        own.or_else(of_file) == Some(pattern)
    };
    records.iter().copied().filter(|record| declares(record)).collect()
}

/// ` (name=value)` where a producer of these runs had it.
fn value(records: &[&Record], name: &str, native: &str, unit: &str) -> String {
    let of = |step: &StepRecord| step.produced.as_ref()?.effective_config.get(native).cloned();
    let value = records.iter().flat_map(|record| &record.steps).find_map(of);
    value.map(|value| format!(" ({name}={value}{unit})")).unwrap_or_default()
}

fn measured(records: &[&Record]) -> String {
    let mut parts = Vec::new();
    for record in records {
        let name = crate::report::view::cell(record);
        let name = if name.is_empty() { String::new() } else { format!("{name}: ") };
        let counted = |class| class_total(record, class);
        let again = counted(Class::Duplicated).zip(counted(Class::Redelivered));
        let recovered = record.steps.iter().find_map(|step| match observe(record, step, "recovery_time", None, None) {
            Observed::Nothing { .. } | Observed::Unknown { .. } => None,
            observed => Some(format!(", recovered in {observed}")),
        });
        if let (Some(lost), Some((copies, again))) = (counted(Class::Lost), again) {
            let (lost, again) = (lost.told(), copies.and(again).told());
            parts
                .push(format!("{name}{lost} lost, {again} duplicated or redelivered{}", recovered.unwrap_or_default()));
        }
    }
    if parts.is_empty() { "not measured: the scenario did not run".to_owned() } else { parts.join("; ") }
}

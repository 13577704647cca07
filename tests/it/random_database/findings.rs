//! What a run of kscen says, held against what was done.

use super::scenario::Round;
use super::settings::{Disturbance, Form};
use serde_json::Value;
use std::collections::BTreeMap;

/// Figures of all runs together, and what was wrong.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    pub rounds: u64,
    pub histories: u64,
    pub tables: u64,
    pub kills: u64,
    pub restarts: u64,
    pub changes: BTreeMap<String, u64>,
    pub events: u64,
    pub values: u64,
    pub not_compared: BTreeMap<String, u64>,
    pub passed: u64,
    /// Transactions that came whole.
    pub transactions: u64,
    pub unknown: BTreeMap<String, u64>,
    pub injected: BTreeMap<String, u64>,
    pub named: BTreeMap<String, u64>,
    /// Histories and injections that the machine was too slow for: changes had not come when the time was over.
    pub late: u64,
    pub wrong: Vec<String>,
}

/// What may not be in a delivery that is whole.
const ANOMALIES: [&str; 6] = ["lost", "phantom", "wrong_content", "out_of_order", "missing_tombstones", "redelivered"];

/// What was said last.
fn last(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

impl Findings {
    /// Takes what one run says; `injected` is what the tampering did.
    pub fn take(&mut self, round: &Round, record: Option<&Value>, injected: Option<&Value>, said: &str) {
        let said = &last(said);
        self.rounds += 1;
        self.histories += round.histories.len() as u64;
        self.tables += round.tables().len() as u64;
        self.kills += u64::from(round.settings.disturbance == Disturbance::Kill);
        self.restarts += u64::from(round.settings.disturbance == Disturbance::Restart);
        let Some(record) = record else {
            self.wrong.push(format!("{}: no record: {said}", round.name));
            return;
        };
        let deliveries: Vec<&Value> = list(&record["deliveries"]).collect();
        let to = |delivery: &Value, letter: char| delivery["to"][0].as_str().is_some_and(|id| id.starts_with(letter));
        let whole: Vec<&&Value> = deliveries.iter().filter(|delivery| to(delivery, 'r')).collect();
        if whole.len() != round.histories.len() {
            // A machine without time left; what was judged before counts all the same.
            println!("{}: only {} deliveries were judged\n{said}", round.name, whole.len());
            self.late += (round.histories.len() - whole.len()) as u64;
        }
        for (number, delivery) in whole.iter().enumerate() {
            self.whole(round, number, delivery);
        }
        match (deliveries.iter().find(|delivery| to(delivery, 'q')), injected) {
            (Some(delivery), Some(injected)) => self.tampered(round, delivery, injected),
            _ if round.tampers() && whole.len() == round.histories.len() => {
                self.wrong.push(format!("{}: nothing was tampered with\n{said}", round.name))
            }
            _ => {}
        }
    }

    fn whole(&mut self, round: &Round, history: usize, delivery: &Value) {
        let changes = &delivery["changes"];
        let place = format!("{} history {history}", round.name);
        for op in ["inserts", "updates", "deletes", "truncations"] {
            *self.changes.entry(op.to_owned()).or_default() += number(&changes["expected"][op]);
        }
        self.events += number(&changes["sheet"]["read"]);
        self.values += number(&changes["values_compared"]);
        for known in list(&changes["not_compared"]) {
            let reason = known["reason"].as_str().unwrap_or_default().to_owned();
            *self.not_compared.entry(reason).or_default() += number(&known["values"]);
        }
        let mut fine = true;
        for class in ANOMALIES {
            let count = number(&changes[class]);
            // A connector that goes back writes older changes of a row again.
            if count > 0 {
                fine = false;
                let samples: Vec<String> = samples(changes, class);
                let config = Value::Object(round.settings.config.clone());
                self.wrong.push(format!(
                    "{place}: {count} {class} although all is well\n  {}\n  missing: {}\n  {config} {:?} {:?} {:?}",
                    samples.join("\n  "),
                    delivery["missing_evidence"],
                    round.settings.form,
                    round.settings.route,
                    round.settings.disturbance,
                ));
            }
        }
        if number(&changes["duplicated"]) > 0 && round.settings.disturbance == Disturbance::None {
            fine = false;
            let samples = samples(changes, "duplicated");
            self.wrong.push(format!("{place}: duplicated although nothing was disturbed\n  {}", samples.join("\n  ")));
        }
        let whole = &changes["whole_transactions"];
        self.transactions += number(&whole["whole"]);
        // After a kill the connector may tell an end again, or not at all: that is its affair.
        let undisturbed = round.settings.disturbance == Disturbance::None;
        if undisturbed && number(&whole["torn"]) + number(&whole["reordered"]) > 0 && !is_late(delivery) {
            fine = false;
            let config = Value::Object(round.settings.config.clone());
            self.wrong
                .push(format!("{place}: transactions are not whole: {whole} {config} {:?}", round.settings.route));
        }
        if fine && is_late(delivery) {
            self.late += 1;
            return;
        }
        let gaps: Vec<String> =
            list(&changes["unjudged"]).filter_map(|gap| Some(gap["reason"].as_str()?.to_owned())).collect();
        let missing = delivery["missing_evidence"].as_str();
        if gaps.is_empty() && missing.is_none() {
            self.passed += u64::from(fine);
            return;
        }
        let reason = gaps.first().cloned().or(missing.map(str::to_owned)).unwrap_or_default();
        if round.settings.unjudged || round.settings.form != Form::Envelope {
            *self.unknown.entry(known_reason(&reason).to_owned()).or_default() += 1;
        } else if fine {
            self.wrong.push(format!("{place}: unknown although everything can be judged: {reason}"));
        }
    }

    fn tampered(&mut self, round: &Round, delivery: &Value, injected: &Value) {
        let samples: Vec<&Value> = list(&delivery["changes"]["samples"]).collect();
        for injection in list(injected) {
            let class = injection["class"].as_str().unwrap_or_default();
            *self.injected.entry(class.to_owned()).or_default() += 1;
            if samples.iter().any(|sample| names(sample, injection)) {
                *self.named.entry(class.to_owned()).or_default() += 1;
            } else if class == "lost" && unjudged(delivery, injection) {
                *self.named.entry("lost, unknown with its table".to_owned()).or_default() += 1;
            } else if is_late(delivery) {
                self.late += 1;
            } else {
                let near: Vec<String> = samples
                    .iter()
                    .filter(|sample| sample["class"] == class && sample["table"]["table"] == injection["table"])
                    .map(|sample| sample.to_string())
                    .collect();
                self.wrong.push(format!(
                    "{}: not named: {injection}\n  near: {}\n  missing: {}\n  {:?} {:?} counts: lost {} unread {} dup {} wrong {}",
                    round.name,
                    near.join("\n  "),
                    delivery["missing_evidence"],
                    round.settings.form,
                    round.settings.disturbance,
                    delivery["changes"]["lost"],
                    delivery["changes"]["unread"],
                    delivery["changes"]["duplicated"],
                    delivery["changes"]["wrong_content"],
                ));
            }
        }
        // And nothing else is.
        let count = |class: &str| list(injected).filter(|injection| injection["class"] == class).count() as u64;
        for (class, field) in [("lost", "lost"), ("wrong-content", "wrong_content")] {
            let said = number(&delivery["changes"][field]);
            let unknown =
                class == "lost" && (is_late(delivery) || list(&delivery["changes"]["unjudged"]).next().is_some());
            if said > count(class) || (said < count(class) && !unknown) {
                self.wrong.push(format!("{}: {said} {class} where {} were injected", round.name, count(class)));
            }
        }
    }
}

/// The setting that a reason names.
fn known_reason(reason: &str) -> &str {
    let settings = ["skipped.operations", "add.fields", "delete.tombstone.handling.mode"];
    settings.into_iter().find(|setting| reason.contains(setting)).unwrap_or(reason)
}

/// Whether changes had not come when the time was over: that says nothing about kscen.
fn is_late(delivery: &Value) -> bool {
    let missing = delivery["missing_evidence"].as_str().unwrap_or_default();
    number(&delivery["changes"]["unread"]) > 0 || missing.contains("did not reach the end")
}

/// The first samples of a class.
fn samples(changes: &Value, class: &str) -> Vec<String> {
    let class = class.replace('_', "-");
    let class = if class == "missing-tombstones" { "missing-tombstone" } else { &class };
    let brief = |sample: &Value| {
        let text = |field: &str| sample[field].as_str().unwrap_or_default().to_owned();
        let at = format!("{} {} {} at {}", sample["table"]["table"], text("key"), text("op"), sample["lsn"]);
        format!("{at}, {}@{}: {}", text("topic"), sample["offset"], text("detail"))
    };
    list(&changes["samples"]).filter(|sample| sample["class"] == *class).take(2).map(brief).collect()
}

/// Whether the check is unknown because rows of that table, which have no key, cannot be told apart.
fn unjudged(delivery: &Value, injection: &Value) -> bool {
    injection["keys"].as_array().is_none_or(Vec::is_empty)
        && list(&delivery["changes"]["unjudged"]).any(|gap| gap["table"]["table"] == injection["table"])
}

/// Whether a sample is the injection, by class, table, position, operation and key.
fn names(sample: &Value, injection: &Value) -> bool {
    let same = |field: &str| sample[field] == injection[field];
    let position = sample["lsn"].as_u64() == injection["lsn"].as_u64()
        || sample["lsn"].as_str().and_then(position) == injection["lsn"].as_u64();
    // A row of a partitioned table is named by the part that has it.
    let name = &sample["table"]["table"];
    let table = *name == injection["table"] || list(&injection["parts"]).any(|part| part == name);
    let table = table && sample["table"]["schema"] == injection["schema"];
    let key = sample["key"].as_str().unwrap_or_default();
    // How a value looks is a matter of its type; that its column is named is not.
    let mut keys = list(&injection["keys"]).filter_map(Value::as_str);
    let keyed = injection["by_index"] == true || keys.all(|column| key.contains(&format!("{column}=")));
    same("class") && same("op") && table && position && keyed
}

fn position(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some(u64::from_str_radix(high, 16).ok()? << 32 | u64::from_str_radix(low, 16).ok()?)
}

//! Everything that reads what somebody else may have written, as functions of bytes: each takes any bytes, and may refuse them, but not
//! panic, hang or take more memory than a machine has. `fuzz/` runs them with coverage, a test with seeds and mutations.

use crate::accounting::archive::StoredAccounts;
use crate::backup::batch::Batches;
use crate::backup::manifest::Manifest;
use crate::compare::compare;
use crate::database::is_change;
use crate::debezium::EventDecoder;
use crate::faults::journal::open_faults;
use crate::plan::{Bindings, PlanOptions, condition, plans};
use crate::report::{RESULT, Reporter, RunReports, load};
use crate::scenario::interpolate;
use crate::scenario::predicate::Predicate;
use crate::scenario::units::{Bytes, Count, Length, Rate, Share};
use crate::text::{Redactor, render};
use crate::verbs::LANGUAGE;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A reader of bytes.
pub type FuzzTarget = fn(&[u8]);

/// All of them by name.
pub const TARGETS: &[(&str, FuzzTarget)] = &[
    ("loader", loader),
    ("expression", expression),
    ("units", units),
    ("result", result),
    ("accounts", accounts),
    ("journal", journal),
    ("manifest", manifest),
    ("batch", batch),
    ("wire", wire),
    ("debezium", debezium),
    ("pgoutput", pgoutput),
    ("secrets", secrets),
];

/// Puts the bytes into a file of a folder of their own, for what reads files.
fn in_file(name: &str, bytes: &[u8], read: impl FnOnce(PathBuf)) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let file = folder.path().join(name);
    if std::fs::write(&file, bytes).is_ok() {
        read(file);
    }
}

/// A scenario, from text to plan; what is wrong is drawn.
pub fn loader(bytes: &[u8]) {
    in_file("scenario.yaml", bytes, |file| {
        if let Err(problems) = plans(&file, &LANGUAGE, &PlanOptions::default()) {
            render(&problems, true);
        }
    });
}

/// A text with references, and the expression of an `if:`.
pub fn expression(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let bindings = Bindings::default();
    let value = Value::String(text.to_owned());
    let _ = (interpolate::references(&value), bindings.resolve_static(&value));
    if condition::check(text, &bindings).is_ok() {
        let names = BTreeMap::from([
            ("failed", true.into()),
            ("environment", "local".into()),
            ("vars", minijinja::Value::from_pairs([("a", 1)])),
        ]);
        let _ = condition::evaluate(text, &names);
    }
}

/// Quantities with their units, and bounds of them.
pub fn units(bytes: &[u8]) {
    fn read<T: DeserializeOwned + ToString>(value: &Value) {
        let Ok(read) = serde_json::from_value::<T>(value.clone()) else { return };
        // What is shown is read again.
        let shown = Value::String(read.to_string());
        assert!(serde_json::from_value::<T>(shown.clone()).is_ok(), "{value} is shown as {shown}");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    read::<Length>(&value);
    read::<Rate>(&value);
    read::<Bytes>(&value);
    read::<Count>(&value);
    read::<Share>(&value);
    let _ = serde_json::from_value::<Predicate<Length>>(value.clone());
    let _ = serde_json::from_value::<Predicate<Count>>(value);
}

/// A stored result, and everything that is made of one.
pub fn result(bytes: &[u8]) {
    in_file(RESULT, bytes, |file| {
        let found = load(&[file]);
        let (Some(stored), Ok(reporter)) = (found.runs.first(), Reporter::new(None)) else { return };
        let _ = reporter.run(&stored.record, RunReports { html: true, markdown: true });
        let _ = reporter.junit(&found);
        compare(&found.runs, &found.runs);
    });
}

/// The accounts of a run.
pub fn accounts(bytes: &[u8]) {
    in_file("accounts.bin", bytes, |file| {
        if let Ok(archive) = StoredAccounts::read(&file) {
            archive.settlements.iter().for_each(|settlement| drop(settlement.report()));
        }
    });
}

/// The journal of what is in force.
pub fn journal(bytes: &[u8]) {
    in_file("journal", bytes, |file| drop(open_faults(&file)));
}

/// A manifest of a backup.
pub fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) {
        let _ = (manifest.records(), manifest.bytes());
    }
}

/// Batches of records as they lie in a backup, or come from a broker.
pub fn batch(bytes: &[u8]) {
    let mut scratch = Vec::new();
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { return };
        let _ = (batch.check(), batch.header().next_offset());
        scratch.clear();
        let Ok(records) = batch.records(&mut scratch) else { continue };
        for record in records {
            let Ok(record) = record else { break };
            let _ = (record.control(), record.headers().count());
        }
    }
}

/// An answer of a broker: which, and in which version, say the first two bytes.
pub fn wire(bytes: &[u8]) {
    crate::wire::is_answer(bytes);
}

/// A change event of Debezium: key and value, with a zero byte between them.
pub fn debezium(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (first, second) = (parts.next(), parts.next());
    let (key, value) = if second.is_some() { (first, second) } else { (None, first) };
    EventDecoder::default().decode(key, value);
}

/// A message of PostgreSQL's logical replication.
pub fn pgoutput(bytes: &[u8]) {
    is_change(bytes);
}

/// A text that may hold a secret, in any of its forms.
pub fn secrets(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let hidden = Redactor::default().and(["s3cr3t/pa+ss", "zweites"]);
    assert!(!hidden.text(&text).contains("s3cr3t/pa+ss"));
    hidden.blanked(&text);
}

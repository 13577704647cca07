//! Everything that reads what somebody else may have written, as functions of bytes: each takes any bytes, and may refuse them, but not
//! panic, hang or take more memory than a machine has. `fuzz/` runs them with coverage, a test with seeds and mutations.

use crate::accounting::archive::StoredAccounts;
use crate::backup::batch::Batches;
use crate::backup::cat::{CatSelection, records};
use crate::backup::manifest::Manifest;
use crate::backup::prune::{Retention, prunable};
use crate::backup::translation::Translation;
use crate::backup::when::first_since;
use crate::backup::{Archive, FORMAT, FolderStore, Level, VERSION, verify};
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
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    ("archive", archive),
    ("offsets", offsets),
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
            archive.changes.iter().for_each(|settlement| drop(settlement.basis.reconciliation()));
        }
    });
}

/// The journal of what is in force.
pub fn journal(bytes: &[u8]) {
    in_file("journal", bytes, |file| drop(open_faults(&file)));
}

/// A manifest of a backup, as it is before it is held against its archive.
pub fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) {
        let _ = (manifest.records(), manifest.bytes());
    }
}

/// An archive with one manifest and one segment: the bytes of the two, with a zero byte between them. The checksums of batches are made
/// to fit, so that what is behind them is reached.
pub fn archive(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (manifest, segment) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(folder) = tempfile::tempdir() else { return };
    let put = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        let made = file.parent().map(std::fs::create_dir_all);
        made.is_some_and(|made| made.is_ok()) && std::fs::write(&file, bytes).is_ok()
    };
    let label = format!(r#"{{"format":"{FORMAT}","version":{VERSION},"id":"a"}}"#);
    let sums = "0000  manifests/00000001.json\n";
    let written = put("archive.json", label.as_bytes())
        && put("manifests/00000001.json", manifest)
        && put("topics/t@none/0/00000000000000000000.log", &fitting(segment))
        && put("SHA256SUMS", sums.as_bytes());
    if written {
        read_archive(folder.path());
    }
}

/// Everything that reads an archive without a cluster.
fn read_archive(folder: &Path) {
    let Ok(archive) = Archive::open(Arc::new(FolderStore::new(folder))) else { return };
    let _ = verify(&archive, Level::Deep, 1);
    let _ = prunable(&archive, Retention { newest: Some(1), since: None });
    let Ok(manifest) = archive.current() else { return };
    for topic in &manifest.topics {
        for partition in &topic.partitions {
            let _ = first_since(&archive, partition, 1);
            let _ = records(&archive, topic, partition, CatSelection::default(), |line| {
                serde_json::to_string(&line).is_ok()
            });
        }
    }
}

/// Batches with the checksums that they should have.
fn fitting(segment: &[u8]) -> Vec<u8> {
    let mut fitting = segment.to_vec();
    let mut at = 0;
    for batch in Batches::new(segment).map_while(Result::ok) {
        let end = at + batch.header().size;
        let checksum = crc32c::crc32c(&segment[at + 21..end]);
        fitting[at + 17..at + 21].copy_from_slice(&checksum.to_be_bytes());
        at = end;
    }
    fitting
}

/// A table of where offsets went; its checksum is made to fit.
pub fn offsets(bytes: &[u8]) {
    let mut table = bytes.to_vec();
    table.extend_from_slice(&crc32c::crc32c(bytes).to_be_bytes());
    let Ok(table) = Translation::from_bytes(&table) else { return };
    let _ = table.records();
    for run in table.runs() {
        for source in [run.source - 1, run.source, run.source + run.length - 1] {
            let _ = (table.record(source), table.position(source));
        }
    }
    let _ = (table.record(i64::MIN), table.position(i64::MIN), table.position(i64::MAX));
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

//! The audit log: who asked for what, and what became of it. One JSON object a line, in files that only their owner may read.

use super::jobs::Job;
use super::metrics::Metrics;
use crate::ground::{lock, private};
use crate::text::Redactor;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The file that is written.
const FILE: &str = "audit.jsonl";
/// A file is closed when it is that long, in bytes …
const LONGEST: u64 = 32 << 20;
/// … and so many before it are kept.
const KEPT: u32 = 4;
/// The most characters of a text in a line.
const MOST: usize = 300;

/// Writes the audit log. Cheap to clone.
#[derive(Clone)]
pub struct Audit(Arc<Log>);

struct Log {
    folder: PathBuf,
    file: Mutex<Option<(File, u64)>>,
    redactor: Redactor,
    metrics: Metrics,
}

/// A line of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// The name of the token; nothing where the service has none, or it did it itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The address that the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The method and path, or what the service did.
    pub what: String,
    /// The status that was answered, or the state of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Why it was refused, or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl AuditEntry {
    /// Something that the service did by itself.
    pub fn of_service(what: &str, detail: &str) -> Self {
        Self { what: what.to_owned(), detail: Some(detail.to_owned()), ..Self::default() }
    }

    /// A job that is over.
    pub fn of_job(job: &Job) -> Self {
        Self {
            who: job.by.clone(),
            what: format!("{} ended", job.kind),
            answer: Some(job.state.to_string()),
            job: Some(job.id.clone()),
            detail: job.problem.as_ref().map(|problem| problem.reason.clone()),
            ..Self::default()
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    #[serde(flatten)]
    entry: &'a AuditEntry,
}

impl Audit {
    /// In this folder.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(folder: &Path, redactor: Redactor, metrics: Metrics) -> io::Result<Self> {
        let file = open(folder)?;
        Ok(Self(Arc::new(Log { folder: folder.to_owned(), file: Mutex::new(Some(file)), redactor, metrics })))
    }

    /// Writes a line. Where that fails it is counted, and tried with the next one: what was asked for is not undone.
    pub fn write(&self, entry: &AuditEntry) {
        let cut = |text: &str| text.chars().take(MOST).collect::<String>();
        let hide = |text: &String| cut(&self.0.redactor.text(text));
        let entry = AuditEntry {
            what: hide(&entry.what),
            detail: entry.detail.as_ref().map(hide),
            from: entry.from.clone(),
            who: entry.who.clone(),
            answer: entry.answer.clone(),
            job: entry.job.clone(),
        };
        let line = Line { at: jiff::Timestamp::now().to_string(), entry: &entry };
        // Texts can always be written.
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        let mut file = lock(&self.0.file);
        if self.append(&mut file, &bytes).is_err() {
            *file = None;
            self.0.metrics.audit_failed();
        }
    }

    fn append(&self, open_file: &mut Option<(File, u64)>, bytes: &[u8]) -> io::Result<()> {
        let folder = &self.0.folder;
        if open_file.as_ref().is_some_and(|(_, length)| *length >= LONGEST) {
            let old = |number: u32| folder.join(format!("audit.{number}.jsonl"));
            for number in (1..KEPT).rev().filter(|number| old(*number).exists()) {
                std::fs::rename(old(number), old(number + 1))?;
            }
            std::fs::rename(folder.join(FILE), old(1))?;
            *open_file = None;
        }
        if open_file.is_none() {
            *open_file = Some(open(folder)?);
        }
        if let Some((file, length)) = open_file {
            // In one call, so that no line is torn.
            file.write_all(bytes)?;
            *length += bytes.len() as u64;
        }
        Ok(())
    }
}

fn open(folder: &Path) -> io::Result<(File, u64)> {
    let path = folder.join(FILE);
    let file = private::options().create(true).append(true).open(&path);
    let file = file.map_err(|error| private::named(&path, &error))?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_whole_without_secrets_and_in_a_file_of_ones_own() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let audit = Audit::open(folder.path(), Redactor::new(["s3cr3t"]), Metrics::default()).expect("opened");
        let what = format!("GET /s3cr3t\n{}", "x".repeat(1000));
        audit.write(&AuditEntry { who: Some("night".to_owned()), what, ..AuditEntry::default() });
        audit.write(&AuditEntry::of_service("begun", "all is well"));
        let path = folder.path().join(FILE);
        let text = std::fs::read_to_string(&path).expect("written");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
        assert_eq!(lines.len(), 2);
        assert!(!text.contains("s3cr3t") && text.len() < 1000, "{text}");
        assert_eq!((&lines[0]["who"], &lines[1]["what"]), (&"night".into(), &"begun".into()));
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }
}

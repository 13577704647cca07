//! A backup as a job.

use super::basis::{BackupBasis, added, of_job};
use super::choices::{GroupChoice, GroupWord, VerifyDepth, parallel, patterns, rate};
use super::context::{WorkContext, WorkNews, WorkRun, tell};
use super::outcome::{WorkEnd, WorkError, WorkOutcome};
use super::verify::check_archive;
use crate::backup::batch::{Compressor, UnknownCodec};
use crate::backup::manifest::{BackupState, Batching, Manifest};
use crate::backup::{
    Archive, ArchiveError, BackupEvent, BackupListener, BackupOptions, BackupStopper, KeptGroups, OnGap, Store, backup,
    write_sums,
};
use crate::environment::Grant;
use crate::ground::lock;
use crate::serve::archives::check_name;
use crate::serve::aside::aside;
use crate::serve::jobs::JobProgress;
use crate::serve::problem::HttpProblem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// So much of a topic's name becomes part of the name of an archive.
const LONGEST: usize = 150;

/// A backup: every record byte for byte, with the topics' configuration, ACLs and the offsets of groups. An archive that is there is
/// continued.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackupAsked {
    /// The topic, or a pattern with `*` for any characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Several of them instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// The name of the archive; a new one of the topic, the time and the job where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// The codec of batches that are small or not compressed: `none`, `gzip`, `snappy`, `lz4` or `zstd`; with a level, `gzip:1` to `gzip:9`
    /// and `zstd:1` to `zstd:19`. `zstd` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// At most so many offsets of each topic, from the first that is not in the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_messages: Option<u64>,
    /// Which batches are kept as the broker has them: `auto` (compressed ones of 64 KiB and more; others are merged and compressed), `verbatim`
    /// (all) or `recompress` (none).
    pub batches: Batching,
    /// Whose committed offsets are kept: `all`, `none`, or a list of groups. `all` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupChoice>,
    /// At most so much is read in a second, such as `50MB/s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// How many partitions are read at the same time, 1 to 64; as many as there are processors, from 2 to 4, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u8>,
    /// Ends a partition where the log has lost records that were to be read; otherwise the gap is recorded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stop_on_gap: bool,
    /// Verifies the archive afterwards: `quick`, `full` or `deep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifyDepth>,
}

impl BackupAsked {
    fn options(&self, context: &WorkContext) -> Result<BackupOptions, HttpProblem> {
        let usual = BackupOptions::new(patterns(self.topic.as_ref(), &self.topics)?);
        let compressor: Option<Compressor> = self
            .compression
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error: UnknownCodec| HttpProblem::bad("bad-value", format!("`compression`: {error}")))?;
        Ok(BackupOptions {
            compressor: compressor.unwrap_or_else(|| usual.compressor.clone()),
            batching: self.batches,
            groups: match &self.groups {
                None | Some(GroupChoice::Word(GroupWord::All)) => KeptGroups::All,
                Some(GroupChoice::Word(GroupWord::None)) => KeptGroups::None,
                Some(GroupChoice::Named(names)) => KeptGroups::Named(names.clone()),
            },
            max_messages: self.max_messages,
            rate: self.rate.as_deref().map(rate).transpose()?,
            parallel: parallel(self.parallel)?.unwrap_or(usual.parallel),
            on_gap: if self.stop_on_gap { OnGap::Stop } else { OnGap::Record },
            recipients: context.recipients().to_vec(),
            redactor: context.redactor().clone(),
            ..usual
        })
    }

    /// Holds it against what can be done.
    pub(super) fn check(&self, context: &WorkContext) -> Result<(), HttpProblem> {
        self.options(context)?;
        if self.verify == Some(VerifyDepth::Target) {
            let problem = HttpProblem::bad("bad-value", "`verify`: a backup has no target that could be compared");
            return Err(problem.help("use `quick`, `full` or `deep`"));
        }
        self.archive.as_deref().map_or(Ok(()), check_name)
    }

    /// Gives the archive a name of its own.
    pub(super) fn name(&mut self, job: &str, submitted: i64) {
        if self.archive.is_some() {
            return;
        }
        let topic = self.topic.as_ref().or(self.topics.first()).map_or("topics", String::as_str);
        let plain = |letter: char| if letter == '*' { 'x' } else { letter };
        let legal = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        let topic: String = topic.chars().map(plain).filter(legal).take(LONGEST).collect();
        let topic = topic.trim_start_matches(['.', '_', '-']);
        let topic = if topic.is_empty() { "topics" } else { topic };
        let time = jiff::Timestamp::from_millisecond(submitted).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ");
        self.archive = Some(format!("{topic}-{time}-{}", &job[job.len().saturating_sub(8)..]));
    }

    fn store(&self, context: &WorkContext) -> Result<Arc<dyn Store>, WorkError> {
        Ok(context.archives().store(self.archive.as_deref().unwrap_or_default())?)
    }

    /// How the archive is now.
    pub(super) fn basis(&self, context: &WorkContext) -> Result<Option<Value>, WorkError> {
        let newest = opened(self.store(context)?)?.map(|archive| archive.newest()).transpose()?.flatten();
        Ok(serde_json::to_value(BackupBasis::of(newest.as_ref().map(|(manifest, _)| manifest))).ok())
    }

    /// The manifest that an attempt before has ended with, where only that it ended was not kept any more.
    fn done_before(&self, run: &WorkRun) -> Result<Option<Manifest>, WorkError> {
        let Some(archive) = opened(self.store(&run.context)?)? else { return Ok(None) };
        let Some(manifest) = of_job(&archive, &run.id)? else { return Ok(None) };
        // Whoever ended that attempt may have come between the manifest and the sums.
        write_sums(&archive, &manifest)?;
        Ok(Some(manifest))
    }

    /// Does it, or goes on with it.
    pub(super) async fn run(&self, run: &WorkRun) -> Result<WorkEnd, WorkError> {
        let (asked, attempt) = (self.clone(), run.clone());
        let done = aside(move || asked.done_before(&attempt)).await?;
        let (manifest, counted) = match done {
            Some(manifest) => (manifest, JobProgress::default()),
            None => self.back_up(run).await?,
        };
        // Of all attempts, where it is known how the archive was before them.
        let before = BackupBasis::kept(run).and_then(|basis| basis.reached);
        let progress = before.map_or(counted, |reached| added(&manifest, &reached));
        if manifest.state == BackupState::Running {
            return Ok(WorkEnd::stopped());
        }
        let messages: Vec<String> =
            manifest.missing.iter().cloned().chain(manifest.notes.iter().map(|note| format!("note: {note}"))).collect();
        let mut end = WorkEnd {
            outcome: if manifest.state == BackupState::Complete { WorkOutcome::Done } else { WorkOutcome::Partial },
            progress: JobProgress { total: None, ..progress },
            messages,
            result: told(&manifest),
        };
        if let Some(level) = self.verify.and_then(VerifyDepth::level) {
            (run.news)(WorkNews::Verifying);
            let checked = check_archive(run, self.archive.as_deref().unwrap_or_default(), level, 2).await?;
            match checked.outcome {
                WorkOutcome::Done => {}
                WorkOutcome::Stopped => return Ok(WorkEnd::stopped()),
                outcome => end.outcome = outcome,
            }
            end.messages.extend(checked.messages);
            if let Value::Object(result) = &mut end.result {
                result.insert("verified".to_owned(), checked.result);
            }
        }
        Ok(end)
    }

    /// Does it. With what this attempt has written.
    async fn back_up(&self, run: &WorkRun) -> Result<(Manifest, JobProgress), WorkError> {
        let cluster = run.context.clusters().open(&run.cluster, &[Grant::Backup]).await?;
        let (asked, context) = (self.clone(), run.context.clone());
        let store = aside(move || asked.store(&context)).await?;
        let (stopper, stop) = BackupStopper::new();
        let counted_from = BackupBasis::kept(run).and_then(|basis| basis.reached);
        let (by, asked) = (Some(run.id.clone()), self.options(&run.context)?);
        let options = BackupOptions { stop, by, counted_from, ..asked };
        let counted: Arc<Mutex<JobProgress>> = Arc::default();
        let backup = backup(&cluster.wire, store, options, listener(run, counted.clone()));
        tokio::pin!(backup);
        let manifest = tokio::select! {
            manifest = &mut backup => manifest?,
            () = run.stop.asked() => {
                stopper.stop();
                backup.await?
            }
        };
        let counted = *lock(&counted);
        Ok((manifest, counted))
    }
}

/// An archive, where there is one.
fn opened(store: Arc<dyn Store>) -> Result<Option<Archive>, WorkError> {
    match Archive::open(store) {
        Err(ArchiveError::Absent { .. }) => Ok(None),
        opened => Ok(Some(opened?)),
    }
}

/// Counts what is written, and tells the rest.
fn listener(run: &WorkRun, progress: Arc<Mutex<JobProgress>>) -> BackupListener {
    let news = run.news.clone();
    Arc::new(move |event| {
        let words = match &event {
            BackupEvent::Captured { offsets, .. } => {
                lock(&progress).total = Some(*offsets);
                None
            }
            BackupEvent::Segment { records, bytes, .. } => {
                let mut progress = lock(&progress);
                progress.records += records;
                progress.bytes += bytes;
                news(WorkNews::Progress(*progress));
                return;
            }
            BackupEvent::Gap { topic, partition, from, until, reason } => {
                let word = format!("{reason:?}").to_lowercase();
                Some(format!("{topic}/{partition}: no records at offsets {from} to {}: {word}", until - 1))
            }
            BackupEvent::Missing { reason } => Some(reason.clone()),
            BackupEvent::Resumed { .. }
            | BackupEvent::Retry { .. }
            | BackupEvent::Partition { .. }
            | BackupEvent::Manifest { .. }
            | BackupEvent::Again { .. } => None,
        };
        // An event is texts and numbers, which can always be written.
        tell(&*news, serde_json::to_value(&event).unwrap_or_default(), words);
    })
}

fn told(manifest: &Manifest) -> Value {
    let sum = |of: fn(&crate::backup::manifest::Segment) -> u64| -> u64 {
        manifest.segments().map(|(_, _, segment)| of(segment)).sum()
    };
    json!({
        "archive": manifest.archive,
        "manifest": manifest.number,
        "generation": manifest.generation,
        "state": manifest.state,
        "topics": manifest.topics.len(),
        "records": manifest.records(),
        "bytes": manifest.bytes(),
        "fetched": sum(|segment| segment.fetched),
        "uncompressed": sum(|segment| segment.uncompressed),
        "groups": manifest.groups.len(),
        "cut_width_ms": manifest.cut_width,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_of_document_004_is_taken_as_it_is() {
        let body = r#"{ "topic": "test-topic", "compression": "gzip", "max_messages": 1000 }"#;
        let asked: BackupAsked = serde_json::from_str(body).expect("a request");
        let wanted = patterns(asked.topic.as_ref(), &asked.topics).expect("one");
        assert_eq!((wanted, asked.max_messages), (vec!["test-topic".to_owned()], Some(1000)));
        for unfit in ["../etc", "a\0b", "a b", "."] {
            assert!(patterns(Some(&unfit.to_owned()), &[]).is_err(), "{unfit:?}");
        }
        assert!(patterns(None, &["eu.*".to_owned(), "*".to_owned()]).is_ok());
        assert!(serde_json::from_str::<BackupAsked>(r#"{ "topic": "a", "compresion": "gzip" }"#).is_err());
    }

    #[test]
    fn an_archive_without_a_name_gets_one_that_an_archive_can_have() {
        for topic in ["orders", "*", "__consumer_offsets", ".", "eu.*.orders", "a/../b", &"x".repeat(249)] {
            let mut asked = BackupAsked { topic: Some(topic.to_owned()), ..BackupAsked::default() };
            asked.name("0123456789ab00c0ffee", 1_700_000_000_000);
            let name = asked.archive.expect("a name");
            assert!(name.ends_with("-20231114T221320Z-00c0ffee"), "{name}");
            assert!(check_name(&name).is_ok(), "{name}");
        }
    }
}

//! A verification as a job.

use super::choices::{VerifyDepth, parallel};
use super::context::{WorkContext, WorkNews, WorkRun};
use super::outcome::{WorkEnd, WorkError, WorkOutcome};
use super::watched::WatchedStore;
use crate::backup::restore::requests;
use crate::backup::target::{self, Verified};
use crate::backup::{Archive, Level, VerifyReport, verify};
use crate::ground::lock;
use crate::serve::aside::aside;
use crate::serve::jobs::{JobProblem, JobProgress};
use crate::serve::problem::HttpProblem;
use crate::serve::verified::ArchiveVerified;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// A verification: of an archive, that it is what it was when it was written; or of a restored topic, that it is what the archive has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyAsked {
    /// The name of the archive.
    pub archive: String,
    /// How closely it is looked at. `full` where absent.
    #[serde(default)]
    pub level: VerifyDepth,
    /// With `target`, the topic as it is called where it was restored; all that the restore has written where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// With `target`, the job that has restored it; the last one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<String>,
    /// With `target`, compares ACLs that name the topic, also where the restore did not give them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acls: bool,
    /// How many partitions are read at the same time, 1 to 64. 2 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u8>,
}

impl VerifyAsked {
    /// Holds it against what can be done. Reads files.
    pub(super) fn check(&self, context: &WorkContext) -> Result<(), HttpProblem> {
        parallel(self.parallel)?;
        if self.level != VerifyDepth::Target && (self.topic.is_some() || self.restore.is_some() || self.acls) {
            let problem = HttpProblem::bad("bad-value", "`topic`, `restore` and `acls` are of a restored topic");
            return Err(problem.help("add `\"level\": \"target\"`, or leave them out"));
        }
        context.archives().open(&self.archive).map(|_| ())
    }

    /// Does it.
    pub(super) async fn run(&self, run: &WorkRun) -> Result<WorkEnd, WorkError> {
        match self.level.level() {
            Some(level) => {
                let threads = self.parallel.map_or(2, usize::from);
                check_archive(run, &self.archive, level, threads).await
            }
            None => self.compare(run).await,
        }
    }

    /// Compares what a job has restored with the archive.
    async fn compare(&self, run: &WorkRun) -> Result<WorkEnd, WorkError> {
        let (context, name) = (run.context.clone(), self.archive.clone());
        let archive = aside(move || context.archives().open(&name)).await?;
        let cluster = run.context.clusters().open(&run.cluster, &[]).await?;
        let folder = run.context.restore_folder(self.restore.as_deref().unwrap_or_default());
        let topics: Vec<String> = self.topic.iter().cloned().collect();
        let mut all = Vec::new();
        for mut request in requests(&folder, &topics)? {
            request.acls |= self.acls;
            let compared = target::verify(&archive, &cluster.wire, &cluster.properties, &request);
            tokio::select! {
                verified = compared => all.extend(verified?),
                () = run.stop.asked() => return Ok(WorkEnd::stopped()),
            }
        }
        Ok(compared(&all))
    }
}

/// What comparisons of topics came to.
pub(super) fn compared(all: &[Verified]) -> WorkEnd {
    let wrong = all.iter().find(|topic| !topic.is_equal());
    let outcome = wrong.map_or(WorkOutcome::Done, |topic| {
        let unknown =
            || format!("topic `{}` is equal as far as it is known: {}", topic.topic, topic.unknown.join("; "));
        let reason = topic.first_difference().map_or_else(unknown, |difference| format!("it differs: {difference}"));
        let remedy = "see that nobody else writes into the topic, delete it, and restore it again".to_owned();
        WorkOutcome::Wrong(JobProblem { reason, remedy: Some(remedy) })
    });
    let records: u64 = all.iter().map(Verified::records).sum();
    let told = |topic: &Verified| {
        let all = topic.topic_differences.iter().chain(&topic.groups).chain(&topic.unknown).cloned();
        all.chain(topic.notes.iter().map(|note| format!("note: {note}"))).collect::<Vec<_>>()
    };
    let topics = all.iter().map(|topic| {
        json!({
            "from": topic.from, "topic": topic.topic, "equal": topic.is_equal(), "records": topic.records(),
            "partitions": topic.partitions,
        })
    });
    WorkEnd {
        outcome,
        progress: JobProgress { records, ..JobProgress::default() },
        messages: all.iter().flat_map(told).collect(),
        result: json!({ "level": VerifyDepth::Target, "topics": topics.collect::<Vec<_>>() }),
    }
}

/// Looks at an archive, and keeps what came of it.
pub(super) async fn check_archive(
    run: &WorkRun,
    name: &str,
    level: Level,
    threads: usize,
) -> Result<WorkEnd, WorkError> {
    let (attempt, at) = (run.clone(), name.to_owned());
    let known = run.context.archives().verified().of(name).map(|known| known.job);
    let looked = aside(move || look(&attempt, &at, level, threads)).await;
    if run.stop.why().is_some() {
        return Ok(WorkEnd::stopped());
    }
    let (archive, report) = looked?;
    let verified = ArchiveVerified {
        archive,
        level,
        sealed: report.sealed > 0,
        sound: report.problems.is_empty(),
        at: jiff::Timestamp::now().as_millisecond(),
        manifest: report.manifest.unwrap_or(0),
        job: run.id.clone(),
        later: None,
    };
    let (context, at) = (run.context.clone(), name.to_owned());
    let kept = aside(move || context.archives().verified().keep(&at, verified, known.as_deref())).await;
    let mut messages: Vec<String> = Vec::new();
    match kept {
        Ok(ruling) if !ruling.sound && ruling.job != run.id => messages.push(format!(
            "the archive stays one that is not sound: job {} has found damage, and {}",
            ruling.job,
            ruling.remedy()
        )),
        Ok(_) => {}
        Err(error) => messages.push(format!("what came of it is not kept: {error}")),
    }
    messages.extend(report.unfinished().map(|words| format!("note: {words}")));
    if report.sealed > 0 {
        messages.push(format!(
            "{} files were not opened, because they are encrypted: their lengths and SHA-256 were looked at",
            report.sealed
        ));
    }
    let outcome = report.problems.first().map_or(WorkOutcome::Done, |problem| {
        let at = problem.at.map(|at| format!(" at byte {at}")).unwrap_or_default();
        let count = report.problems.len();
        let more = if count > 1 { format!(" (and {} more, see `result`)", count - 1) } else { String::new() };
        let reason = format!("{} is damaged{at}: {}{more}", problem.file, problem.reason);
        WorkOutcome::Wrong(JobProblem { reason, remedy: Some("make another backup, into a new archive".to_owned()) })
    });
    Ok(WorkEnd {
        outcome,
        progress: JobProgress { records: report.records, bytes: report.bytes, total: None },
        messages,
        // A report is texts and numbers, which can always be written.
        result: serde_json::to_value(&report).unwrap_or_default(),
    })
}

/// Reads it. With its id.
fn look(run: &WorkRun, name: &str, level: Level, threads: usize) -> Result<(String, VerifyReport), WorkError> {
    let plain = run.context.archives().open(name)?;
    let (news, progress): (_, Mutex<JobProgress>) = (run.news.clone(), Mutex::default());
    let read = move |bytes: u64| {
        let mut progress = lock(&progress);
        progress.bytes += bytes;
        news(WorkNews::Progress(*progress));
    };
    let store = WatchedStore::new(plain.store().clone(), run.stop.clone(), Arc::new(read));
    let archive = Archive::open(Arc::new(store))?.with_identities(plain.identities().clone());
    Ok((archive.id().to_owned(), verify(&archive, level, threads)?))
}

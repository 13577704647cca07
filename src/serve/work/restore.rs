//! A restore as a job.

use super::choices::{GroupChoice, GroupWord, parallel, rate, replicas, topics};
use super::context::{WorkContext, WorkNews, WorkRun, tell};
use super::outcome::{WorkEnd, WorkError, WorkOutcome};
use super::verify::compared;
use crate::backup::restore::{
    Keep, Offsets, Renamed, RestoreEvent, RestoreListener, RestorePoint, RestoreRequest, Restored, RestoredGroups,
    restore,
};
use crate::backup::target;
use crate::environment::Grant;
use crate::ground::lock;
use crate::kafka::unfit_topic_name;
use crate::serve::aside::aside;
use crate::serve::clusters::shown;
use crate::serve::jobs::{JobClaim, JobProgress};
use crate::serve::problem::HttpProblem;
use crate::text::did_you_mean;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Mutex;

/// A restore: every record once, whatever happens on the way. A topic is made for it; one that exists is written into only with `append`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreAsked {
    /// The name of the archive.
    pub archive: String,
    /// The topic of the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Several of them instead; all where neither is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// What the topic is called in the cluster, where that is another name. For one topic.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub renamed: Option<String>,
    /// Up to where: `offset:N` for each partition, `generation:N` for what the archive had after its N-th backup, or a moment such as
    /// `2026-11-28T20:00:00Z`: each partition then ends before its first record with a later time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Which offsets records get: `translated` (one after the other from 0) or `exact` (those that they had). `translated` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offsets: Option<Offsets>,
    /// Which records are kept: `committed`, or `everything`, those of aborted and open transactions, too. `committed` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Keep>,
    /// Which groups get their offsets: `all`, `none`, or a list of groups. `none` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupChoice>,
    /// Gives back the ACLs that name a topic; the environment has to allow `acls`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acls: bool,
    /// Writes into topics that exist, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub append: bool,
    /// Leaves retention off afterwards, so that records with old times are not deleted at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold_retention: bool,
    /// How many replicas each partition gets; as many as it had where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<i16>,
    /// At most so much is written in a second, such as `50MB/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// How many partitions are written at the same time, 1 to 64. 8 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u8>,
    /// Reads everything again through librdkafka afterwards, and compares it with the archive.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verify: bool,
}

impl RestoreAsked {
    /// The topics, each with its name in the cluster.
    fn renamed(&self) -> Result<Vec<Renamed>, HttpProblem> {
        let topics = topics(self.topic.as_ref(), &self.topics)?;
        let renamed =
            |from: &String| Renamed { to: self.renamed.clone().unwrap_or_else(|| from.clone()), ..Renamed::same(from) };
        Ok(topics.iter().map(renamed).collect())
    }

    /// What it writes.
    pub(super) fn claims(&self, cluster: &str) -> Vec<JobClaim> {
        let topics = self.renamed().unwrap_or_default();
        topics.into_iter().map(|topic| JobClaim::Topic { cluster: cluster.to_owned(), topic: topic.to }).collect()
    }

    /// What the environment has to allow.
    pub(super) fn grants(&self) -> Vec<Grant> {
        let groups = !matches!(self.groups, None | Some(GroupChoice::Word(GroupWord::None)));
        Grant::of_restore(groups, self.acls)
    }

    fn request(&self, state: PathBuf) -> Result<RestoreRequest, HttpProblem> {
        let usual = RestoreRequest::new(self.renamed()?, state);
        let until = self.until.as_deref().map(|until| {
            let wrong = |reason| HttpProblem::bad("bad-value", format!("`until`: {reason}"));
            until.parse::<RestorePoint>().map_err(wrong)
        });
        replicas(self.replication)?;
        Ok(RestoreRequest {
            until: until.transpose()?.unwrap_or(usual.until),
            offsets: self.offsets.unwrap_or(usual.offsets),
            isolation: self.isolation.unwrap_or(usual.isolation),
            groups: match &self.groups {
                None | Some(GroupChoice::Word(GroupWord::None)) => RestoredGroups::None,
                Some(GroupChoice::Word(GroupWord::All)) => RestoredGroups::All,
                Some(GroupChoice::Named(names)) => RestoredGroups::Named(names.clone()),
            },
            acls: self.acls,
            append: self.append,
            hold_retention: self.hold_retention,
            replication: self.replication,
            rate: self.rate.as_deref().map(rate).transpose()?,
            parallel: parallel(self.parallel)?.unwrap_or(usual.parallel),
            ..usual
        })
    }

    /// Holds it against the archive, and names its topics where none is named. Reads files.
    pub(super) fn complete(&mut self, context: &WorkContext) -> Result<(), HttpProblem> {
        self.request(PathBuf::new())?;
        let archive = context.archives().open(&self.archive)?;
        let unreadable = |error: crate::backup::ArchiveError| {
            HttpProblem::conflict("archive-unreadable", error.to_string()).help("verify the archive")
        };
        let manifest = archive.current().map_err(unreadable)?;
        let known: Vec<&str> = manifest.topics.iter().map(|topic| topic.name.as_str()).collect();
        if self.topic.is_none() && self.topics.is_empty() {
            self.topics = known.iter().map(|name| (*name).to_owned()).collect();
            // One that was deleted and created again is there twice, and means the last.
            self.topics.sort();
            self.topics.dedup();
        }
        let wanted = self.renamed()?;
        if self.renamed.is_some() && wanted.len() != 1 {
            let problem =
                HttpProblem::bad("bad-value", format!("`as` is one name, and there are {} topics", wanted.len()));
            return Err(problem.help("name one topic with `topic`, and ask for the others one by one"));
        }
        for topic in &wanted {
            if !known.contains(&topic.from.as_str()) {
                let from = shown(&topic.from);
                let detail = format!("archive `{}` has no topic `{from}`", self.archive);
                let problem = HttpProblem::absent("unknown-topic", detail);
                return Err(match did_you_mean(&topic.from, known) {
                    Some(similar) => problem.help(format!("did you mean `{similar}`?")),
                    None => problem.help(format!("GET /api/backups/{} lists its topics", self.archive)),
                });
            }
            if let Some(why) = unfit_topic_name(&topic.to) {
                let detail = format!("`{}` cannot be a topic: {why}", shown(&topic.to));
                return Err(HttpProblem::bad("bad-value", detail).help("give it another name with `as`"));
            }
        }
        Ok(())
    }

    /// Does it, or goes on with it.
    pub(super) async fn run(&self, run: &WorkRun) -> Result<WorkEnd, WorkError> {
        let (context, name) = (run.context.clone(), self.archive.clone());
        let archive = aside(move || context.archives().open(&name)).await?;
        let cluster = run.context.clusters().open(&run.cluster, &self.grants()).await?;
        let request = self.request(run.context.restore_folder(&run.id))?;
        let listener = listener(run);
        // It goes on wherever it is given up: what is stored is written down before more is sent.
        let restored = tokio::select! {
            restored = restore(&archive, &cluster.wire, &request, &listener) => restored?,
            () = run.stop.asked() => return Ok(WorkEnd::stopped()),
        };
        let mut end = told(&restored);
        if !self.verify {
            return Ok(end);
        }
        (run.news)(WorkNews::Verifying);
        let verified = tokio::select! {
            verified = target::verify(&archive, &cluster.wire, &cluster.properties, &request) => verified?,
            () = run.stop.asked() => return Ok(WorkEnd::stopped()),
        };
        let checked = compared(&verified);
        end.outcome = checked.outcome;
        end.messages.extend(checked.messages);
        if let Value::Object(result) = &mut end.result {
            result.insert("verified".to_owned(), checked.result);
        }
        Ok(end)
    }
}

/// Counts what is written, and tells the rest.
fn listener(run: &WorkRun) -> RestoreListener {
    let news = run.news.clone();
    let progress: Mutex<JobProgress> = Mutex::default();
    RestoreListener::new(move |event| {
        let words = match &event {
            RestoreEvent::Planned(planned) => {
                let mut progress = lock(&progress);
                progress.total = Some(progress.total.unwrap_or(0) + planned.records);
                None
            }
            RestoreEvent::Stored { records, bytes, .. } => {
                let mut progress = lock(&progress);
                progress.records += records;
                progress.bytes += bytes;
                news(WorkNews::Progress(*progress));
                return;
            }
            RestoreEvent::Warning { reason } => Some(format!("note: {reason}")),
            _ => None,
        };
        // An event is texts and numbers, which can always be written.
        tell(&*news, serde_json::to_value(&event).unwrap_or_default(), words);
    })
}

fn told(restored: &[Restored]) -> WorkEnd {
    let records = |topic: &Restored| topic.tables.values().map(|table| table.records()).sum::<i64>();
    let all: i64 = restored.iter().map(records).sum();
    let topics =
        restored.iter().map(|topic| json!({ "from": topic.from, "topic": topic.topic, "records": records(topic) }));
    WorkEnd {
        outcome: WorkOutcome::Done,
        progress: JobProgress { records: u64::try_from(all).unwrap_or(0), ..JobProgress::default() },
        messages: Vec::new(),
        result: json!({ "topics": topics.collect::<Vec<_>>() }),
    }
}

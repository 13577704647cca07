//! A drain as a job: a group is waited for until it has read everything, or what it has not read is moved.

use super::choices::{length, parallel, rate};
use super::context::{WorkNews, WorkRun, tell};
use super::moving::{failed, in_good_order, listener};
use super::outcome::{WorkEnd, WorkError, WorkOutcome};
use crate::backup::BackupStopper;
use crate::environment::Grant;
use crate::ground::lock;
use crate::kafka::unfit_topic_name;
use crate::migration::MigrationError;
use crate::migration::drain::{DrainEvent, DrainListener, DrainOptions, ParkOptions, drain, park};
use crate::serve::clusters::{OpenCluster, shown};
use crate::serve::jobs::{JobClaim, JobProblem, JobProgress};
use crate::serve::problem::HttpProblem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Mutex;

/// A drain: waits until a group has read its queue, or, with `into`, moves what it has not read into another topic, byte for byte and each
/// record once, and sets the group behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainAsked {
    /// The group.
    pub group: String,
    /// The topic; to wait, all topics of the group where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// So many messages may be left, over all partitions. 0 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// How long the group is waited for, such as `10m`, a day at most. `5m` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// Does not wait, but moves what the group has not read to this topic, which is made where it does not exist. The group may have no
    /// members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
    /// With `into`, at most so much is read in a second, and as much written, such as `50MB/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// With `into`, how many partitions are read, and written, at the same time, 1 to 64. 4 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u8>,
}

impl DrainAsked {
    /// What it writes.
    pub(super) fn claims(&self, cluster: &str) -> Vec<JobClaim> {
        let Some(into) = &self.into else { return Vec::new() };
        let cluster = || cluster.to_owned();
        vec![
            JobClaim::Topic { cluster: cluster(), topic: into.clone() },
            JobClaim::Group { cluster: cluster(), group: self.group.clone() },
        ]
    }

    /// What the environment has to allow.
    pub(super) fn grants(&self) -> Vec<Grant> {
        let moves = self.into.is_some();
        if moves { vec![Grant::Backup, Grant::Restore, Grant::Groups] } else { Vec::new() }
    }

    /// Holds it against what can be done.
    pub(super) fn check(&self) -> Result<(), HttpProblem> {
        let wrong = |detail: String| HttpProblem::bad("bad-value", detail);
        if self.group.is_empty() {
            return Err(wrong("`group`: no group is named".to_owned()).help("write `\"group\": \"workers\"`"));
        }
        if let Some(within) = &self.within {
            length("within", within)?;
        }
        if let Some(text) = &self.rate {
            rate(text)?;
        }
        parallel(self.parallel)?;
        let Some(into) = &self.into else {
            if self.rate.is_some() || self.parallel.is_some() {
                return Err(
                    wrong("`rate` and `parallel` are of a move".to_owned()).help("add `into`, or leave them out")
                );
            }
            return Ok(());
        };
        if self.lag.is_some() || self.within.is_some() {
            let problem = wrong("`into`: a move does not wait, and has neither `lag` nor `within`".to_owned());
            return Err(problem.help("leave these out, or leave `into` out"));
        }
        if let Some(why) = unfit_topic_name(into) {
            return Err(wrong(format!("`into`: `{}` cannot be a topic: {why}", shown(into))));
        }
        match &self.topic {
            None => Err(wrong("`topic`: whose rest is moved is not said".to_owned()).help("name one topic")),
            Some(topic) if topic == into => {
                Err(wrong("`into`: a topic cannot be moved into itself".to_owned()).help("name another topic"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Does it, or goes on with it.
    pub(super) async fn run(&self, run: &WorkRun) -> Result<WorkEnd, WorkError> {
        let cluster = run.context.clusters().open(&run.cluster, &self.grants()).await?;
        match (&self.topic, &self.into) {
            (Some(topic), Some(into)) => self.move_rest(run, &cluster, topic, into).await,
            _ => self.wait(run, &cluster).await,
        }
    }

    async fn wait(&self, run: &WorkRun, cluster: &OpenCluster) -> Result<WorkEnd, WorkError> {
        let (stopper, stop) = BackupStopper::new();
        let usual = DrainOptions::new(&self.group);
        let within = self.within.as_deref().map(|text| length("within", text)).transpose()?.unwrap_or(usual.within);
        let options =
            DrainOptions { topic: self.topic.clone(), lag: self.lag.unwrap_or(usual.lag), within, stop, ..usual };
        let listener = watched(run);
        let work = drain(&cluster.wire, &options, &listener);
        let Some(drained) = in_good_order(work, &stopper, &run.stop).await else { return Ok(WorkEnd::stopped()) };
        let drained = match drained {
            Ok(drained) => drained,
            Err(MigrationError::Stopped) => return Ok(WorkEnd::stopped()),
            Err(MigrationError::NotDrained(found)) => {
                let remedy = "see what holds its members up, or ask again with a longer `within`".to_owned();
                let problem = JobProblem { reason: found.to_string(), remedy: Some(remedy) };
                // What it found is texts and numbers, which can always be written.
                let result = json!({ "not_drained": serde_json::to_value(&*found).unwrap_or_default() });
                return Ok(WorkEnd { outcome: WorkOutcome::Wrong(problem), result, ..WorkEnd::stopped() });
            }
            Err(error) => return Err(failed(&error, run)),
        };
        Ok(WorkEnd {
            outcome: WorkOutcome::Done,
            progress: JobProgress { records: drained.before.saturating_sub(drained.after), ..JobProgress::default() },
            messages: Vec::new(),
            result: json!({ "before": drained.before, "after": drained.after, "rate": drained.rate }),
        })
    }

    async fn move_rest(
        &self,
        run: &WorkRun,
        cluster: &OpenCluster,
        topic: &str,
        into: &str,
    ) -> Result<WorkEnd, WorkError> {
        let (stopper, stop) = BackupStopper::new();
        let usual = ParkOptions::new(topic, &self.group, into, run.context.staging().to_owned());
        let options = ParkOptions {
            rate: self.rate.as_deref().map(rate).transpose()?,
            parallel: parallel(self.parallel)?.unwrap_or(usual.parallel),
            redactor: run.context.redactor().clone(),
            // Where only that it ended was not kept any more, what came later is not moved.
            mark: Some(run.id.clone()),
            stop,
            ..usual
        };
        let listener = listener(run);
        let work = park(&cluster.wire, &cluster.properties, &options, &listener);
        let Some(parked) = in_good_order(work, &stopper, &run.stop).await else { return Ok(WorkEnd::stopped()) };
        let parked = match parked {
            Ok(parked) => parked,
            Err(MigrationError::Stopped) => return Ok(WorkEnd::stopped()),
            Err(error) => return Err(failed(&error, run)),
        };
        let outcome = parked.difference.as_ref().map_or(WorkOutcome::Done, |difference| {
            let reason =
                format!("`{into}` is not the same, and group `{}` stays where it was: {difference}", self.group);
            let remedy = "see that nobody else writes into the topic, and move the rest into another one".to_owned();
            WorkOutcome::Wrong(JobProblem { reason, remedy: Some(remedy) })
        });
        Ok(WorkEnd {
            outcome,
            progress: JobProgress { records: parked.records, ..JobProgress::default() },
            messages: Vec::new(),
            result: json!({ "records": parked.records, "offsets": parked.offsets }),
        })
    }
}

/// Counts what the group reads, and tells the lag with its rate and how long that takes.
fn watched(run: &WorkRun) -> DrainListener {
    let news = run.news.clone();
    let first: Mutex<Option<u64>> = Mutex::default();
    DrainListener::new(move |event| {
        let words = match &event {
            DrainEvent::Lag { lag, .. } => {
                let first = *lock(&first).get_or_insert(*lag);
                let records = first.saturating_sub(*lag);
                news(WorkNews::Progress(JobProgress { records, bytes: 0, total: Some(first) }));
                None
            }
            DrainEvent::Away { reason } => Some(format!("the cluster was asked again: {reason}")),
            DrainEvent::Remark { reason } => Some(format!("note: {reason}")),
        };
        // An event is texts and numbers, which can always be written.
        tell(&*news, serde_json::to_value(&event).unwrap_or_default(), words);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> DrainAsked {
        serde_json::from_str(body).expect("a request")
    }

    #[test]
    fn a_wait_writes_nothing_and_a_move_has_its_topic_and_group_alone() {
        let wait = asked(r#"{ "group": "workers" }"#);
        assert!(wait.check().is_ok() && wait.claims("c").is_empty() && wait.grants().is_empty());
        let moved = asked(r#"{ "group": "workers", "topic": "q", "into": "parked" }"#);
        assert!(moved.check().is_ok());
        let claims: Vec<String> = moved.claims("c").iter().map(ToString::to_string).collect();
        assert_eq!(claims, ["topic `parked` of `c`", "group `workers` of `c`"]);
        assert_eq!(moved.grants(), [Grant::Backup, Grant::Restore, Grant::Groups]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_field() {
        for (body, field) in [
            (r#"{ "group": "" }"#, "`group`"),
            (r#"{ "group": "g", "within": "soon" }"#, "`within`"),
            (r#"{ "group": "g", "within": "25h" }"#, "`within`"),
            (r#"{ "group": "g", "rate": "1MB/s" }"#, "`rate`"),
            (r#"{ "group": "g", "into": "p" }"#, "`topic`"),
            (r#"{ "group": "g", "topic": "p", "into": "p" }"#, "`into`"),
            (r#"{ "group": "g", "topic": "q", "into": "a b" }"#, "`into`"),
            (r#"{ "group": "g", "topic": "q", "into": "p", "lag": 1 }"#, "`into`"),
        ] {
            let problem = asked(body).check().expect_err(body);
            assert!(problem.status == 400 && problem.detail.starts_with(field), "{body}: {}", problem.detail);
        }
    }
}

//! A migration as a job.

use super::choices::{GroupChoice, GroupWord, length, parallel, patterns, rate, replicas};
use super::context::{WorkContext, WorkRun};
use super::moving::{failed, in_good_order, listener};
use super::outcome::{WorkEnd, WorkError, WorkOutcome};
use super::verify::compared;
use crate::backup::restore::Offsets;
use crate::backup::{BackupStopper, KeptGroups, OnGap};
use crate::environment::Grant;
use crate::kafka::unfit_topic_name;
use crate::migration::{MigrateOptions, MigrateUntil, Migrated, MigrationOutcome, MovedTopic, migrate};
use crate::serve::clusters::shown;
use crate::serve::jobs::{JobClaim, JobProgress};
use crate::serve::problem::HttpProblem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A migration: topics with their configuration, ACLs and groups from one cluster into another, every record once, whatever happens on the
/// way. A topic is made for it; one that exists is refused. The same asked for again goes on where it was cancelled or has failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrateAsked {
    /// The cluster that is read.
    pub from: String,
    /// The cluster that is written.
    pub to: String,
    /// The topic, or a pattern with `*` for any characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Several of them instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// What the topic is called in the target, where that is another name. For one topic.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub renamed: Option<String>,
    /// When it ends. `drained` where absent.
    #[serde(default)]
    pub until: MigrationEnd,
    /// How long no record may have come before the source is drained, such as `10s`, which it is where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<String>,
    /// The time from the beginning of one round to that of the next, such as `5s`, which it is where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Which offsets records get: `translated` (one after the other from 0) or `exact` (those that they had). `translated` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offsets: Option<Offsets>,
    /// Which groups go on in the target: `all`, `none`, or a list of groups. `all` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupChoice>,
    /// Whether the target gets the ACLs that name a topic. It does where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acls: Option<bool>,
    /// Goes on where the source has lost records before they could be read, and says which; otherwise it ends there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub record_gaps: bool,
    /// Leaves retention off in the target, so that records with old times are not deleted at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold_retention: bool,
    /// How many replicas each partition gets; as many as it had where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<i16>,
    /// At most so much is read in a second, and as much written, such as `50MB/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// How many partitions are read, and written, at the same time, 1 to 64. 4 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u8>,
}

/// When a migration ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MigrationEnd {
    /// When everything is in the target, and the source has got no record for a while.
    #[default]
    Drained,
    /// When everything is in the target that the source had when it began.
    End,
    /// It follows the source until it is cancelled; the same with another end goes on and ends it.
    Cancelled,
}

impl MigrateAsked {
    fn moved(&self) -> Result<Vec<MovedTopic>, HttpProblem> {
        let topics = patterns(self.topic.as_ref(), &self.topics)?;
        if let Some(name) = &self.renamed {
            if topics.len() != 1 || topics[0].contains('*') {
                let problem = HttpProblem::bad("bad-value", "`as` is the name of one topic, and several are named");
                return Err(problem.help("name one topic with `topic`, and ask for the others one by one"));
            }
            if let Some(why) = unfit_topic_name(name) {
                let detail = format!("`as`: `{}` cannot be a topic: {why}", shown(name));
                return Err(HttpProblem::bad("bad-value", detail));
            }
        }
        Ok(topics.into_iter().map(|name| MovedTopic { name, to: self.renamed.clone() }).collect())
    }

    fn options(&self, context: &WorkContext) -> Result<MigrateOptions, HttpProblem> {
        let usual = MigrateOptions::new(self.moved()?, context.staging().to_owned());
        replicas(self.replication)?;
        let time = |name: &str, text: Option<&String>| text.map(|text| length(name, text)).transpose();
        Ok(MigrateOptions {
            until: match self.until {
                MigrationEnd::Drained => MigrateUntil::Drained,
                MigrationEnd::End => MigrateUntil::End,
                MigrationEnd::Cancelled => MigrateUntil::Stopped,
            },
            settle: time("settle", self.settle.as_ref())?.unwrap_or(usual.settle),
            interval: time("interval", self.interval.as_ref())?.unwrap_or(usual.interval),
            offsets: self.offsets.unwrap_or(usual.offsets),
            groups: match &self.groups {
                None | Some(GroupChoice::Word(GroupWord::All)) => KeptGroups::All,
                Some(GroupChoice::Word(GroupWord::None)) => KeptGroups::None,
                Some(GroupChoice::Named(names)) => KeptGroups::Named(names.clone()),
            },
            acls: self.gives_acls(),
            on_gap: if self.record_gaps { OnGap::Record } else { OnGap::Stop },
            rate: self.rate.as_deref().map(rate).transpose()?,
            parallel: parallel(self.parallel)?.unwrap_or(usual.parallel),
            replication: self.replication,
            hold_retention: self.hold_retention,
            redactor: context.redactor().clone(),
            ..usual
        })
    }

    /// What it writes. Which topics a pattern stands for is known when it is at work: one that another job has made is refused then.
    pub(super) fn claims(&self) -> Vec<JobClaim> {
        let moved = self.moved().unwrap_or_default().into_iter();
        let topic = |topic: MovedTopic| topic.to.unwrap_or(topic.name);
        moved.map(|moved| JobClaim::Topic { cluster: self.to.clone(), topic: topic(moved) }).collect()
    }

    fn gives_acls(&self) -> bool {
        self.acls.unwrap_or(true)
    }

    /// What the target's environment has to allow.
    pub(super) fn grants(&self) -> Vec<Grant> {
        let groups = !matches!(self.groups, Some(GroupChoice::Word(GroupWord::None)));
        Grant::of_restore(groups, self.gives_acls())
    }

    /// Holds it against what can be done, and against what the source's environment allows.
    pub(super) fn check(&self, context: &WorkContext) -> Result<(), HttpProblem> {
        self.options(context)?;
        if self.from == self.to && self.renamed.is_none() {
            let problem = HttpProblem::bad("bad-value", "`to`: source and target are the same cluster");
            return Err(problem.help("name another one, or give the topic another name with `as`"));
        }
        context.clusters().permitted(&self.from, &[Grant::Backup]).map(|_| ())
    }

    /// Does it, or goes on with it.
    pub(super) async fn run(&self, run: &WorkRun) -> Result<WorkEnd, WorkError> {
        let source = run.context.clusters().open(&self.from, &[Grant::Backup]).await?;
        let target = run.context.clusters().open(&self.to, &self.grants()).await?;
        let (stopper, stop) = BackupStopper::new();
        let options = MigrateOptions { stop, ..self.options(&run.context)? };
        let listener = listener(run);
        let work = migrate(&source.wire, (&target.wire, &target.properties), &options, &listener);
        match in_good_order(work, &stopper, &run.stop).await {
            Some(migrated) => Ok(told(&migrated.map_err(|error| failed(&error, run))?)),
            None => Ok(WorkEnd::stopped()),
        }
    }
}

fn told(migrated: &Migrated) -> WorkEnd {
    let checked = compared(&migrated.verified);
    let mut messages = checked.messages;
    let outcome = match (migrated.outcome, checked.outcome) {
        (MigrationOutcome::Stopped, _) => return WorkEnd::stopped(),
        (MigrationOutcome::Different, WorkOutcome::Wrong(mut problem)) => {
            let folder = migrated.staging.file_name().unwrap_or_default().to_string_lossy().into_owned();
            problem.remedy = Some(format!(
                "look at what differs, with the archive in migrations/{folder} of the service's state folder; to begin again, delete \
                 the topics in the target and that folder"
            ));
            WorkOutcome::Wrong(problem)
        }
        (MigrationOutcome::Already, _) => {
            messages.push("note: it was complete before, and nothing was left to do".to_owned());
            WorkOutcome::Done
        }
        (_, outcome) => outcome,
    };
    // Of one that was complete before nothing was written.
    let written = if migrated.outcome == MigrationOutcome::Already { 0 } else { migrated.records };
    WorkEnd {
        outcome,
        progress: JobProgress { records: written, ..JobProgress::default() },
        messages,
        result: json!({
            "outcome": migrated.outcome,
            "records": migrated.records,
            "rounds": migrated.rounds,
            "groups": migrated.groups,
            "verified": checked.result,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> MigrateAsked {
        serde_json::from_str(body).expect("a request")
    }

    #[test]
    fn what_is_written_is_claimed_by_the_name_that_it_gets() {
        let claims = |body: &str| asked(body).claims().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(claims(r#"{ "from": "a", "to": "b", "topic": "t" }"#), ["topic `t` of `b`"]);
        assert_eq!(claims(r#"{ "from": "a", "to": "b", "topic": "t", "as": "u" }"#), ["topic `u` of `b`"]);
        let refused = |body: &str| asked(body).moved().expect_err(body).detail;
        assert!(refused(r#"{ "from": "a", "to": "b" }"#).contains("no topic"));
        assert!(refused(r#"{ "from": "a", "to": "b", "topic": "t*", "as": "u" }"#).contains("`as`"));
        assert!(refused(r#"{ "from": "a", "to": "b", "topic": "t", "as": "a b" }"#).contains("cannot be a topic"));
    }

    #[test]
    fn groups_and_acls_take_grants_of_their_own_unless_they_stay_behind() {
        let all = asked(r#"{ "from": "a", "to": "b", "topic": "t" }"#);
        assert_eq!(all.grants(), [Grant::Restore, Grant::Groups, Grant::Acls]);
        let none = asked(r#"{ "from": "a", "to": "b", "topic": "t", "groups": "none" }"#);
        assert_eq!(none.grants(), [Grant::Restore, Grant::Acls]);
        let bare = asked(r#"{ "from": "a", "to": "b", "topic": "t", "groups": "none", "acls": false }"#);
        assert_eq!(bare.grants(), [Grant::Restore]);
    }
}

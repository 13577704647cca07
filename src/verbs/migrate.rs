//! The verb `migrate`.

use super::backup::GroupsNamed;
use super::topic::check_topic_name;
use crate::backup::restore::{Offsets, RestoreEvent};
use crate::backup::target::Verified;
use crate::backup::{BackupEvent, KeptGroups, OnGap};
use crate::environment::{Grant, Needs};
use crate::faults::Resource;
use crate::migration::{
    MigrateEvent, MigrateListener, MigrateOptions, MigrateUntil, Migrated, MigrationError, MigrationOutcome,
    MigrationStage, MovedTopic, migrate,
};
use crate::record::Quantity;
use crate::scenario::units::{Bytes, Length};
use crate::text::Problem;
use crate::verb::{CheckContext, Facts, OtherEnvironment, Scope, Step, StepContext, StepError, StepOutcome, Work};
use crate::wire::WireCluster;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Copies topics into another cluster: every record once, whatever happens on the way, with configuration, ACLs and the places of
/// groups; then reads everything again there and compares it. It follows the source until that is drained. One of the two clusters is the run's
/// own, the other is that of another environment of `kscen.yaml`, which is started with the run where kscen starts it. The topics that are made
/// are deleted again at the end of the run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Migrate {
    /// Names of topics, and patterns with `*` for any characters.
    topics: Vec<String>,
    /// The environment of the source: its name in `kscen.yaml`. The run's own where absent.
    #[serde(default)]
    from: Option<String>,
    /// The environment of the target: its name in `kscen.yaml`. The run's own where absent.
    #[serde(default)]
    to: Option<String>,
    /// What the topic is called in the target; the same name where absent. Only for a single topic.
    #[serde(default, rename = "as")]
    renamed: Option<String>,
    /// When it ends: `drained` (everything is there, and no record has come for a while) or `end` (everything is there that the source had
    /// when it began). `drained` where absent.
    #[serde(default)]
    until: Ending,
    /// How long no record may have come before the source is drained. 10s where absent.
    #[serde(default)]
    settle: Option<Length>,
    /// Which offsets records get: `translated` (one after the other from 0) or `exact` (those that they had; gaps are filled with empty
    /// transactions). `translated` where absent.
    #[serde(default)]
    offsets: Option<Offsets>,
    /// Which groups go on in the target: `all`, `none`, or a list. `all` where absent.
    #[serde(default)]
    groups: Option<GroupsNamed>,
    /// Whether ACLs that name a topic are given in the target, which takes the grant `acls` there. `true` where absent.
    #[serde(default)]
    acls: Option<bool>,
    /// What happens where the source has lost records before they could be read: `stop` (the step fails) or `record` (it goes on, and the
    /// record of the run says which). `stop` where absent.
    #[serde(default)]
    on_gap: Gap,
    /// At most so many bytes are read in a second, and as many written.
    #[serde(default)]
    rate: Option<Bytes>,
}

/// When it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Ending {
    /// Nothing comes any more.
    #[default]
    Drained,
    /// What was there at the beginning is there.
    End,
}

/// What happens at a gap.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Gap {
    /// The step fails.
    #[default]
    Stop,
    /// It is recorded.
    Record,
}

/// One of the two clusters.
struct Side {
    cluster: WireCluster,
    properties: BTreeMap<String, String>,
    /// Where it is not the run's own.
    other: Option<Arc<OtherEnvironment>>,
}

impl Migrate {
    /// What is changed in the target.
    fn written(&self) -> Vec<Grant> {
        let groups = GroupsNamed::kept(self.groups.as_ref()) != KeptGroups::None;
        let acls = self.acls.unwrap_or(true);
        Grant::of_restore(groups, acls)
    }

    fn target_name(&self) -> Option<&str> {
        let first = self.topics.first().map(String::as_str);
        self.renamed.as_deref().or(first).filter(|name| !name.contains('*'))
    }

    /// The topics that it makes in the target, as far as they are known by name.
    fn targets(&self) -> Vec<String> {
        let names = self.renamed.as_ref().map_or(&self.topics[..], std::slice::from_ref);
        names.iter().filter(|name| !name.contains('*')).cloned().collect()
    }

    fn side(&self, cx: &StepContext, name: Option<&str>, changes: &[Grant]) -> Result<Side, StepError> {
        let Some(name) = name else {
            return Ok(Side { cluster: cx.run.wire()?, properties: cx.run.connection(), other: None });
        };
        let other = cx.run.other(name, changes)?;
        let (cluster, properties) = other.wire()?;
        Ok(Side { cluster, properties, other: Some(other) })
    }

    fn options(&self, cx: &StepContext) -> MigrateOptions {
        let topics = self.topics.iter().map(|name| MovedTopic { name: name.clone(), to: self.renamed.clone() });
        let usual = MigrateOptions::new(topics.collect(), cx.run.folder.join("migrations"));
        MigrateOptions {
            until: match self.until {
                Ending::Drained => MigrateUntil::Drained,
                Ending::End => MigrateUntil::End,
            },
            interval: Duration::from_secs(1),
            settle: self.settle.map_or(usual.settle, |settle| settle.0),
            offsets: self.offsets.unwrap_or(usual.offsets),
            groups: GroupsNamed::kept(self.groups.as_ref()),
            acls: self.acls.unwrap_or(usual.acls),
            on_gap: match self.on_gap {
                Gap::Stop => OnGap::Stop,
                Gap::Record => OnGap::Record,
            },
            rate: self.rate.map(|bytes| bytes.0),
            redactor: (*cx.run.recorder.redactor()).clone(),
            ..usual
        }
    }
}

/// Notes what happens in the run's record, and what is made where.
fn listener(cx: &StepContext, target: Option<Arc<OtherEnvironment>>) -> MigrateListener {
    let (run, id) = (cx.run.clone(), cx.id.clone());
    MigrateListener::new(move |event| {
        let words = match event {
            MigrateEvent::Target(RestoreEvent::Created { topic, .. }) => {
                return match &target {
                    Some(other) => other.add(topic),
                    None => run.owned.made(Resource::Topic(topic)),
                };
            }
            MigrateEvent::Target(RestoreEvent::Warning { reason }) => reason,
            MigrateEvent::Stage(MigrationStage::Notice { reason }) => reason,
            MigrateEvent::Stage(MigrationStage::SourceAway { reason }) => {
                format!("the source is asked again: {reason}")
            }
            MigrateEvent::Stage(MigrationStage::Waiting { topic, partition, producer, since }) => {
                format!(
                    "waits for the transaction of producer {producer} in {topic}/{partition}, open since offset {since}"
                )
            }
            MigrateEvent::Stage(MigrationStage::Round { round, records, .. }) => {
                format!("round {round}: {records} records are in the target")
            }
            MigrateEvent::Source(BackupEvent::Gap { topic, partition, from, until, reason }) => {
                let reason = format!("{reason:?}").to_lowercase();
                format!("{topic}/{partition} has no records at offsets {from} to {}: {reason}", until - 1)
            }
            MigrateEvent::Source(BackupEvent::Missing { reason }) => format!("missing: {reason}"),
            _ => return,
        };
        run.recorder.note(format!("{id}: {words}"));
    })
}

/// A migration's error as a step's.
pub(super) fn broken(code: &'static str, error: &MigrationError, pointer: &str) -> StepError {
    let broken = StepError::broken(code, error.in_full()).at(pointer);
    match error.remedy() {
        Some(remedy) => broken.help(remedy.to_owned()),
        None => broken,
    }
}

impl Step for Migrate {
    const VERB: &'static str = "migrate";
    const MAY: &'static [Grant] = &[Grant::Backup, Grant::Restore, Grant::Groups, Grant::Acls];
    const EXAMPLE: &'static str =
        "migrate: { topics: [\"orders-${run.id}\"], to: kafka-4, until: drained, settle: 2s }";
    const BACKGROUND: bool = true;
    const WORK: Work = Work::Migrates;

    fn needs(&self) -> Needs {
        Needs::kafka()
    }

    fn changes(&self, _: &Scope) -> Vec<Grant> {
        let read = if self.from.is_none() { vec![Grant::Backup] } else { Vec::new() };
        if self.to.is_none() { [read, self.written()].concat() } else { read }
    }

    fn facts(&self) -> Facts {
        let mut elsewhere: BTreeMap<String, Vec<Grant>> = BTreeMap::new();
        if let Some(from) = &self.from {
            elsewhere.entry(from.clone()).or_default().push(Grant::Backup);
        }
        if let Some(to) = &self.to {
            elsewhere.entry(to.clone()).or_default().extend(self.written());
        }
        // What is in another cluster is no topic of the run.
        let topic = self.target_name().filter(|_| self.to.is_none()).map(str::to_owned);
        let settle = self.settle.map_or(Duration::from_secs(10), |settle| settle.0);
        let planned = (self.until == Ending::Drained).then_some(settle);
        let makes = if self.to.is_none() { self.targets() } else { Vec::new() };
        Facts { topic, makes, elsewhere, planned, ends: true, judges: true, ..Facts::default() }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        for (index, topic) in self.topics.iter().enumerate() {
            cx.refuse_secret(&format!("/topics/{index}"), topic);
        }
        if self.topics.is_empty() {
            cx.report(
                "/topics",
                Problem::new("no-topics", "`migrate` needs at least one topic").help("write `topics: [orders]`"),
            );
        }
        if let Some(renamed) = &self.renamed {
            check_topic_name("/as", renamed, cx);
            cx.refuse_secret("/as", renamed);
            if self.topics.len() != 1 || self.topics.iter().any(|name| name.contains('*')) {
                let problem = Problem::new("bad-value", "only a single topic can get another name");
                cx.report("/as", problem.help("write a step for each topic"));
            }
        }
        match (&self.from, &self.to) {
            (None, None) => {
                let problem = Problem::new("missing-key", "`migrate` needs a second cluster");
                cx.report("", problem.help("add `to:` or `from:` with the name of another environment of kscen.yaml"));
            }
            (Some(from), Some(to)) if from == to => {
                let problem = Problem::new("bad-value", format!("source and target are both `{to}`"));
                cx.report("/to", problem.help("name another environment, or leave `from` or `to` out"));
            }
            _ => {}
        }
        if self.rate.is_some_and(|rate| rate.0 == 0) {
            cx.report(
                "/rate",
                Problem::new("bad-value", "the rate is above zero: at 0 bytes per second it would never end"),
            );
        }
    }

    fn describe(&self) -> String {
        let place = |name: &Option<String>| name.clone().unwrap_or_else(|| "here".to_owned());
        format!("migrate {} from {} to {}", self.topics.join(", "), place(&self.from), place(&self.to))
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let source = self.side(cx, self.from.as_deref(), &[Grant::Backup]).map_err(|error| error.at("/from"))?;
        let target = self.side(cx, self.to.as_deref(), &self.written()).map_err(|error| error.at("/to"))?;
        let (options, listener) = (self.options(cx), listener(cx, target.other.clone()));
        cx.prepared();
        let work = migrate(&source.cluster, (&target.cluster, &target.properties), &options, &listener);
        let migrated = cx.unless_stopped(work).await?.map_err(|error| broken("migrate", &error, "/topics"))?;
        told(&migrated)
    }
}

fn told(migrated: &Migrated) -> Result<StepOutcome, StepError> {
    let outcome = StepOutcome::default()
        .judged(true)
        .metric("moved", Quantity::count(migrated.records))
        .metric("rounds", Quantity::count(migrated.rounds))
        .details(json!({
            "outcome": migrated.outcome,
            "records": migrated.records,
            "groups": migrated.groups,
            "topics": migrated.verified,
        }));
    match migrated.outcome {
        MigrationOutcome::Complete | MigrationOutcome::Already => Ok(outcome),
        MigrationOutcome::Stopped => Err(StepError::interrupted().after(outcome)),
        MigrationOutcome::Different => {
            let difference = migrated.verified.iter().find_map(Verified::first_difference);
            let unknown = || migrated.verified.iter().flat_map(|topic| &topic.unknown).next().cloned();
            let words = difference.or_else(unknown).unwrap_or_else(|| "the target is not the same".to_owned());
            Err(StepError::check("migrate", words).at("/topics").after(outcome))
        }
    }
}

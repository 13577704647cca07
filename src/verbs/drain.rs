//! The verb `drain`.

use super::migrate::broken;
use super::topic::check_topic_name;
use crate::backup::restore::RestoreEvent;
use crate::environment::{Grant, Needs};
use crate::faults::{Owned, Resource};
use crate::migration::drain::{DrainEvent, DrainListener, DrainOptions, ParkOptions, Parked, drain, park};
use crate::migration::{MigrateEvent, MigrateListener, MigrationError, MigrationStage};
use crate::record::{Quantity, Unit};
use crate::scenario::units::{Count, Length};
use crate::text::Problem;
use crate::verb::{CheckContext, Facts, Scope, Step, StepContext, StepError, StepOutcome, Work};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Waits until a consumer group has read its queue, or moves what it has not read to another topic. A wait that is too long fails and
/// says which partitions and which members hold the group up. A move copies byte for byte, reads the copy again, and only then sets
/// the group's offsets behind it; the group may have no members.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// The group.
    group: String,
    /// The topic; to wait, all topics that the group has committed something for, or that its members read, where absent.
    #[serde(default)]
    topic: Option<String>,
    /// Waits until at most so many messages are before the group, over all partitions and up to the last stable offset of each. 0
    /// where absent.
    #[serde(default)]
    lag: Option<Count>,
    /// How long it waits. 5m where absent.
    #[serde(default)]
    within: Option<Length>,
    /// Does not wait, but moves the messages that the group has not read to this topic. It is made where it does not exist, and
    /// deleted again at the end of the run. Where neither the group nor the topic that it reads is the run's, it stays: the group goes
    /// on behind what was moved.
    #[serde(default)]
    into: Option<String>,
}

/// How often a wait is told in the record.
const TOLD: Duration = Duration::from_secs(10);
/// What a step may take beyond the time of its wait, before it has failed.
const BEYOND: Duration = Duration::from_secs(60);

impl Drain {
    fn options(&self) -> DrainOptions {
        let usual = DrainOptions::new(&self.group);
        DrainOptions {
            topic: self.topic.clone(),
            lag: self.lag.map_or(usual.lag, |lag| lag.0),
            within: self.within.map_or(usual.within, |within| within.0),
            ..usual
        }
    }

    /// The topic that is moved, and where to.
    fn moved(&self) -> Option<(&str, &str)> {
        Some((self.topic.as_deref()?, self.into.as_deref()?))
    }

    async fn wait(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let (cluster, options) = (cx.run.wire()?, self.options());
        let (run, id) = (cx.run.clone(), cx.id.clone());
        let told: Mutex<Option<Instant>> = Mutex::default();
        let listener = DrainListener::new(move |event| {
            let words = match event {
                DrainEvent::Lag { lag, rate, estimate, members } => {
                    let mut told = crate::ground::lock(&told);
                    if told.is_some_and(|told| crate::moment::since(told) < TOLD) {
                        return;
                    }
                    *told = Some(crate::moment::now());
                    let rate = rate.map(|rate| format!(", {rate:.1} fewer per second")).unwrap_or_default();
                    let estimate = estimate.map(|left| format!(", about {left:.0} s more")).unwrap_or_default();
                    format!("{lag} messages left, {members} members{rate}{estimate}")
                }
                DrainEvent::Away { reason } => format!("the cluster is asked again: {reason}"),
                DrainEvent::Remark { reason } => reason,
            };
            run.recorder.note(format!("{id}: {words}"));
        });
        cx.prepared();
        let outcome = |before, after, rate: Option<f64>| {
            let outcome = StepOutcome::default()
                .judged(true)
                .metric("lag_before", Quantity::count(before))
                .metric("lag_after", Quantity::count(after));
            match rate {
                Some(rate) => outcome.metric("drain_rate", Quantity::new(rate, Unit::Rate)),
                None => outcome,
            }
        };
        match cx.unless_stopped(drain(&cluster, &options, &listener)).await? {
            Ok(drained) => Ok(outcome(drained.before, drained.after, drained.rate)),
            Err(MigrationError::NotDrained(found)) => {
                let details = json!({ "held": found.held, "why": found.why });
                let outcome = StepOutcome::default()
                    .judged(true)
                    .metric("lag_after", Quantity::count(found.lag))
                    .details(details);
                let pointer = if self.lag.is_some() { "/lag" } else { "/group" };
                Err(StepError::check("not-drained", found.to_string()).at(pointer).after(outcome))
            }
            Err(error) => Err(broken("drain", &error, "/group")),
        }
    }

    /// Whether the copy outlives the run: where somebody else's group goes on behind messages of somebody else's topic, it has all that
    /// is left for them.
    fn stays(&self, topic: &str, owned: &Owned) -> bool {
        !owned.contains(&Resource::Group(self.group.clone())) && !owned.contains(&Resource::Topic(topic.to_owned()))
    }

    async fn move_rest(&self, (topic, into): (&str, &str), cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let (cluster, properties) = (cx.run.wire()?, cx.run.connection());
        let options = ParkOptions {
            redactor: (*cx.run.recorder.redactor()).clone(),
            ..ParkOptions::new(topic, &self.group, into, cx.run.folder.join("migrations"))
        };
        let (run, id) = (cx.run.clone(), cx.id.clone());
        let copy = Arc::new(MovedCopy::of(into, self.stays(topic, &run.owned)));
        let followed = copy.clone();
        let listener = MigrateListener::new(move |event| match event {
            MigrateEvent::Target(RestoreEvent::Created { topic, .. }) => run.owned.made(Resource::Topic(topic)),
            MigrateEvent::Stage(MigrationStage::CutOver { .. }) => followed.cut_over(&run.owned),
            MigrateEvent::Target(RestoreEvent::Warning { reason })
            | MigrateEvent::Stage(MigrationStage::Notice { reason }) => run.recorder.note(format!("{id}: {reason}")),
            _ => {}
        });
        cx.prepared();
        let parked = cx.unless_stopped(park(&cluster, &properties, &options, &listener)).await;
        if copy.is_left(parked.as_ref().ok().and_then(|parked| parked.as_ref().ok()), &cx.run.owned) {
            let group = &self.group;
            cx.run.recorder.note(format!(
                "topic {into} stays after the run: group {group}, which this run did not make, goes on behind what it has"
            ));
        }
        let parked = parked?.map_err(|error| broken("drain", &error, "/topic"))?;
        let outcome = StepOutcome::default()
            .judged(true)
            .metric("moved", Quantity::count(parked.records))
            .details(json!({ "records": parked.records, "offsets": parked.offsets }));
        match parked.difference {
            None => Ok(outcome),
            Some(words) => Err(StepError::check("drain", words).at("/into").after(outcome)),
        }
    }
}

/// The topic that the rest is moved into. It is the run's, where the run made it, until the group's offsets may be set behind what it has.
struct MovedCopy {
    copy: Resource,
    /// Whether somebody needs it then.
    stays: bool,
    /// Whether the run gave it up.
    given_up: AtomicBool,
}

impl MovedCopy {
    fn of(into: &str, stays: bool) -> Self {
        Self { copy: Resource::Topic(into.to_owned()), stays, given_up: AtomicBool::new(false) }
    }

    /// The group's offsets are about to be set: whoever ends this from now on may not delete what was moved.
    fn cut_over(&self, owned: &Owned) {
        if self.stays && owned.contains(&self.copy) {
            owned.remove(&self.copy);
            self.given_up.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it is left behind by the run that made it. Where the offsets stand where they stood, it is the run's again.
    fn is_left(&self, parked: Option<&Parked>, owned: &Owned) -> bool {
        if !self.given_up.load(Ordering::Relaxed) {
            return false;
        }
        let is_needed = parked.is_none_or(|parked| parked.records > 0);
        if !is_needed {
            owned.add(self.copy.clone());
        }
        is_needed
    }
}

impl Step for Drain {
    const VERB: &'static str = "drain";
    const MAY: &'static [Grant] = &[Grant::Backup, Grant::Restore, Grant::Groups];
    const EXAMPLE: &'static str = "drain: { group: \"workers-${run.id}\", lag: 0, within: 5m }";
    const BACKGROUND: bool = true;
    const WORK: Work = Work::Drains;

    fn needs(&self) -> Needs {
        Needs::kafka()
    }

    fn changes(&self, _: &Scope) -> Vec<Grant> {
        if self.into.is_some() { Self::MAY.to_vec() } else { Vec::new() }
    }

    fn facts(&self) -> Facts {
        let allowance = self.into.is_none().then(|| self.options().within + BEYOND);
        let (waits, moves) = ("it moves the queue", "it waits, and moves nothing");
        let lacks = match self.into {
            Some(_) => BTreeMap::from([("lag_before", waits), ("lag_after", waits), ("drain_rate", waits)]),
            None => BTreeMap::from([("moved", moves)]),
        };
        let topic = self.into.clone().or_else(|| self.topic.clone());
        let makes = self.into.iter().cloned().collect();
        Facts { topic, makes, allowance, lacks, ends: true, judges: true, ..Facts::default() }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        if let Some(topic) = &self.topic {
            check_topic_name("/topic", topic, cx);
            cx.refuse_secret("/topic", topic);
        }
        let Some(into) = &self.into else { return };
        check_topic_name("/into", into, cx);
        cx.refuse_secret("/into", into);
        match &self.topic {
            None => {
                let problem = Problem::new("missing-key", "what is moved is the rest of a topic");
                cx.report("", problem.help("add `topic:`"));
            }
            Some(topic) if topic == into => {
                let problem = Problem::new("bad-value", format!("`{topic}` cannot be moved into itself"));
                cx.report("/into", problem.help("name another topic"));
            }
            Some(_) => {}
        }
        for (field, given) in [("/lag", self.lag.is_some()), ("/within", self.within.is_some())] {
            if given {
                let problem = Problem::new("does-not-apply", "a queue that is moved is not waited for");
                cx.report(field, problem.help("leave it out, or leave `into` out"));
            }
        }
    }

    fn describe(&self) -> String {
        let options = self.options();
        match (self.moved(), &self.topic) {
            (Some((topic, into)), _) => format!("move what {} has not read of {topic} into {into}", self.group),
            (None, Some(topic)) => {
                format!("wait until {} has at most {} messages of {topic} left", self.group, options.lag)
            }
            (None, None) => format!("wait until {} has at most {} messages left", self.group, options.lag),
        }
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        match self.moved() {
            Some(moved) => self.move_rest(moved, cx).await,
            None => self.wait(cx).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::journal::Journal;

    #[test]
    fn what_somebody_elses_group_has_not_read_outlives_the_run() {
        let drain: Drain =
            serde_json::from_value(json!({ "group": "g", "topic": "q", "into": "parked" })).expect("decodes");
        let owned = |resources: &[Resource]| {
            let owned = Owned::new(Arc::new(Journal::none()));
            resources.iter().for_each(|resource| owned.add(resource.clone()));
            owned
        };
        let (group, queue) = (Resource::Group("g".to_owned()), Resource::Topic("q".to_owned()));
        assert!(drain.stays("q", &owned(&[])));
        assert!(drain.stays("q", &owned(&[Resource::Topic("parked".to_owned())])));
        assert!(!drain.stays("q", &owned(&[group])), "the group goes with the run");
        assert!(!drain.stays("q", &owned(&[queue])), "what was moved was the run's own");
    }

    #[test]
    fn the_copy_is_the_runs_until_offsets_are_set_behind_it() {
        let copy = Resource::Topic("parked".to_owned());
        let parked = |records| Parked { records, offsets: BTreeMap::new(), difference: None };
        // (whether somebody needs it, whether the run made it, whether offsets were about to be set, what came of it, whether it is left)
        let cases = [
            (true, true, false, None, false),
            (true, true, true, None, true),
            (true, true, true, Some(parked(5)), true),
            (true, true, true, Some(parked(0)), false),
            (false, true, true, Some(parked(5)), false),
            (true, false, true, Some(parked(5)), false),
        ];
        for (stays, made, cut_over, came, left) in cases {
            let owned = Owned::new(Arc::new(Journal::none()));
            if made {
                owned.add(copy.clone());
            }
            let moved = MovedCopy::of("parked", stays);
            if cut_over {
                moved.cut_over(&owned);
            }
            let words = format!("{stays} {made} {cut_over} {came:?}");
            assert_eq!(moved.is_left(came.as_ref(), &owned), left, "{words}");
            assert_eq!(owned.contains(&copy), made && !left, "{words}");
        }
    }
}

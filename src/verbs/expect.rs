//! The verb `expect`.

mod archive;
mod cluster;
mod connector;
mod delivery;
mod delivery_end;
mod drift;
mod group;
mod many;
mod matched;
mod service;
mod sql;
mod step;
mod topic;
mod unseen;

use crate::delivery::PATIENCE;
use crate::environment::{Grant, Needs, ServiceId};
use crate::judge;
use crate::moment;
use crate::record::{CheckOutcome, CheckRecord, Demand, EXPECTATION, EventKind, Observed};
use crate::scenario::units::Length;
use crate::text::Problem;
use crate::verb::{CONTROL, CheckContext, Facts, Step, StepContext, StepError, StepOutcome, Stop, Work};
use archive::ArchiveSubject;
use cluster::ClusterSubject;
use connector::ConnectorSubject;
use delivery::DeliverySubject;
use group::GroupSubject;
use many::Many;
use schemars::JsonSchema;
use serde::Deserialize;
use service::ServiceSubject;
use sql::SqlSubject;
use std::time::{Duration, Instant};
use step::StepSubject;
use topic::TopicSubject;

/// Checks what happened, or what is. All checks of all subjects have to hold. A check without anything to observe fails.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The account of messages between senders and readers.
    #[serde(default)]
    delivery: Option<Many<DeliverySubject>>,
    /// A topic: messages, partitions, configuration.
    #[serde(default)]
    topic: Option<Many<TopicSubject>>,
    /// A consumer group: lag, members, state, committed offsets.
    #[serde(default)]
    group: Option<Many<GroupSubject>>,
    /// Metrics of a step that has ended.
    #[serde(default)]
    step: Option<Many<StepSubject>>,
    /// A service: state, resources, restarts, log.
    #[serde(default)]
    service: Option<Many<ServiceSubject>>,
    /// The cluster: brokers, controller, partitions.
    #[serde(default)]
    cluster: Option<Many<ClusterSubject>>,
    /// A connector: its state and those of its tasks.
    #[serde(default)]
    connector: Option<Many<ConnectorSubject>>,
    /// What a query returns.
    #[serde(default)]
    sql: Option<Many<SqlSubject>>,
    /// An archive that a `backup` of this run wrote: its records, gaps and size, and whether it is sound.
    #[serde(default)]
    archive: Option<Many<ArchiveSubject>>,
    /// The checks have to hold at some moment within this time.
    #[serde(default)]
    within: Option<Length>,
    /// Once they hold, the checks have to stay true for this time.
    #[serde(default)]
    hold: Option<Length>,
}

/// One check with what was observed.
pub(super) struct Checked {
    /// What is checked, such as `delivery.lost`.
    pub subject: String,
    /// What is demanded.
    pub demand: Demand,
    /// What was observed.
    pub observed: Observed,
    /// JSON pointer within the body of the line that states it.
    pub pointer: String,
    /// The first offending samples.
    pub samples: Vec<String>,
    /// Whether another look may find evidence that is missing now.
    pub may_close: bool,
    /// What the record shows of demand and observation, where their numbers are secrets.
    pub shown: Option<(Demand, Observed)>,
}

impl Checked {
    /// A check without samples.
    pub fn new(subject: impl Into<String>, demand: Demand, observed: Observed, pointer: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            demand,
            observed,
            pointer: pointer.into(),
            samples: Vec::new(),
            may_close: false,
            shown: None,
        }
    }

    fn outcome(&self) -> CheckOutcome {
        judge::decide(&self.demand, &self.observed)
    }
}

/// Pause between two looks.
const GLANCE: Duration = Duration::from_millis(100);

impl Step for Expect {
    const VERB: &'static str = "expect";
    const MAY: &'static [Grant] = &[];
    const WORK: Work = Work::Judges;
    const REFUSABLE: bool = false;
    const EXAMPLE: &'static str = "expect:\n  delivery: { from: load, to: reader, lost: 0 }\n  step: { id: outage, recovery_time: { max: 30s } }\n  within: 30s";
    const BACKGROUND: bool = true;
    const CONTINUES: bool = true;

    fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        if self.topic.is_some() || self.group.is_some() || self.cluster.is_some() {
            needs.union(&Needs::kafka());
        }
        if self.connector.is_some() {
            needs.union(&Needs::default().service(ServiceId::Connect));
        }
        if self.sql.is_some() {
            needs.union(&Needs::default().service(ServiceId::Postgres));
        }
        for service in self.service.iter().flat_map(Many::iter) {
            needs.union(&service.needs());
        }
        if self.looks_into_tables() {
            needs.union(&Needs::kafka().service(ServiceId::Connect).service(ServiceId::Postgres));
        }
        needs
    }

    fn facts(&self) -> Facts {
        let within = self.within.map(|within| within.0);
        let patience = if self.delivery.is_some() { within.unwrap_or(PATIENCE) } else { within.unwrap_or_default() };
        Facts {
            // What it waits for at most is patience: it is over as soon as it holds.
            planned: self.hold.map(|hold| hold.0),
            allowance: Some(patience + CONTROL),
            follows: self.delivery.iter().flat_map(Many::iter).find_map(DeliverySubject::first_sender),
            ends: true,
            judges: true,
            captures: self.looks_into_tables(),
            ..Facts::default()
        }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        let subjects = [
            self.delivery.is_some(),
            self.topic.is_some(),
            self.group.is_some(),
            self.step.is_some(),
            self.service.is_some(),
            self.cluster.is_some(),
            self.connector.is_some(),
            self.sql.is_some(),
            self.archive.is_some(),
        ];
        if !subjects.contains(&true) {
            cx.report(
                "",
                Problem::new("nothing-expected", "`expect` holds no check")
                    .help("name a subject: delivery, topic, group, step, service, cluster, connector, sql or archive"),
            );
        }
        if cx.background && self.hold.is_none() {
            cx.report(
                "",
                Problem::new("endless-background", "a background `expect` needs `hold`")
                    .help("to wait for something, leave out `background`"),
            );
        }
        check_all("delivery", &self.delivery, cx, DeliverySubject::check);
        check_all("topic", &self.topic, cx, TopicSubject::check);
        check_all("group", &self.group, cx, GroupSubject::check);
        check_all("step", &self.step, cx, StepSubject::check);
        check_all("service", &self.service, cx, ServiceSubject::check);
        check_all("cluster", &self.cluster, cx, ClusterSubject::check);
        check_all("connector", &self.connector, cx, ConnectorSubject::check);
        check_all("sql", &self.sql, cx, SqlSubject::check);
        check_all("archive", &self.archive, cx, ArchiveSubject::check);
    }

    fn describe(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.delivery.iter().flat_map(Many::iter).map(DeliverySubject::describe));
        parts.extend(self.topic.iter().flat_map(Many::iter).map(|topic| format!("topic {}", topic.name)));
        parts.extend(self.group.iter().flat_map(Many::iter).map(|group| format!("group {}", group.name)));
        parts.extend(self.step.iter().flat_map(Many::iter).map(|step| format!("step {}", step.id)));
        parts.extend(self.service.iter().flat_map(Many::iter).map(|service| format!("service {}", service.name)));
        parts.extend(self.cluster.iter().map(|_| "the cluster".to_owned()));
        parts.extend(
            self.connector.iter().flat_map(Many::iter).map(|connector| format!("connector {}", connector.name)),
        );
        parts.extend(self.sql.iter().flat_map(Many::iter).map(|_| "a query".to_owned()));
        parts.extend(self.archive.iter().flat_map(Many::iter).map(|archive| format!("archive {}", archive.name)));
        format!("expect of {}", parts.join(", "))
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        cx.prepared();
        let deadline = moment::now() + self.within.map_or(Duration::ZERO, |within| within.0);
        let mut checked;
        loop {
            checked = self.look(cx, deadline).await?;
            let fine = checked.iter().all(|check| check.outcome() == CheckOutcome::Pass);
            let may_close = checked.iter().any(|check| check.may_close);
            if fine || moment::now() >= deadline || (self.is_settled_once() && !may_close) {
                break;
            }
            if cx.unless_stopped(tokio::time::sleep(GLANCE)).await.is_err() {
                break;
            }
        }
        if let Some(hold) = self.hold
            && checked.iter().all(|check| check.outcome() == CheckOutcome::Pass)
        {
            let until = moment::now() + hold.0;
            while moment::now() < until && cx.stop.reason().is_none_or(|reason| reason < Stop::Timeout) {
                tokio::time::sleep(GLANCE).await;
                checked = self.look(cx, moment::now()).await?;
                if checked.iter().any(|check| check.outcome() != CheckOutcome::Pass) {
                    break;
                }
            }
        }
        report(cx, checked)
    }
}

fn check_all<T>(
    name: &str,
    subjects: &Option<Many<T>>,
    cx: &mut CheckContext<'_>,
    check: fn(&T, &str, &mut CheckContext<'_>),
) {
    for (pointer, subject) in subjects.iter().flat_map(Many::located) {
        check(subject, &format!("/{name}{pointer}"), cx);
    }
}

impl Expect {
    /// Whether everything expected is about what is over: looking again shows nothing new.
    fn is_settled_once(&self) -> bool {
        let changes = self.delivery.iter().flat_map(Many::iter).any(DeliverySubject::changes);
        !changes
            && self.topic.is_none()
            && self.group.is_none()
            && self.service.is_none()
            && self.cluster.is_none()
            && self.connector.is_none()
            && self.sql.is_none()
            && self.archive.is_none()
    }

    fn looks_into_tables(&self) -> bool {
        self.delivery.iter().flat_map(Many::iter).any(DeliverySubject::ends_in_a_table)
    }

    /// Looks at every subject once.
    async fn look(&self, cx: &mut StepContext, deadline: Instant) -> Result<Vec<Checked>, StepError> {
        let mut checked = Vec::new();
        for (pointer, subject) in self.delivery.iter().flat_map(Many::located) {
            let patience = if self.within.is_some() { deadline } else { moment::now() + PATIENCE };
            checked.extend(subject.look(&format!("/delivery{pointer}"), cx, patience).await?);
        }
        for (pointer, subject) in self.step.iter().flat_map(Many::located) {
            checked.extend(subject.look(&format!("/step{pointer}"), cx).await?);
        }
        for (pointer, subject) in self.topic.iter().flat_map(Many::located) {
            checked.extend(subject.look(&format!("/topic{pointer}"), cx).await?);
        }
        for (pointer, subject) in self.group.iter().flat_map(Many::located) {
            checked.extend(subject.look(&format!("/group{pointer}"), cx).await?);
        }
        for (pointer, subject) in self.service.iter().flat_map(Many::located) {
            checked.extend(subject.look(&format!("/service{pointer}"), cx).await?);
        }
        for (pointer, subject) in self.cluster.iter().flat_map(Many::located) {
            checked.extend(subject.look(&format!("/cluster{pointer}"), cx).await?);
        }
        for (pointer, subject) in self.connector.iter().flat_map(Many::located) {
            checked.extend(subject.look(&format!("/connector{pointer}"), cx).await?);
        }
        for (pointer, subject) in self.sql.iter().flat_map(Many::located) {
            checked.extend(subject.look(&format!("/sql{pointer}"), cx).await?);
        }
        for (pointer, subject) in self.archive.iter().flat_map(Many::located) {
            checked.extend(subject.look(&format!("/archive{pointer}"), cx)?);
        }
        Ok(checked)
    }
}

/// Reports checks; fails the step where one is not met.
fn report(cx: &StepContext, checked: Vec<Checked>) -> Result<StepOutcome, StepError> {
    let total = checked.len();
    let mut failed = 0;
    for check in checked {
        let outcome = check.outcome();
        failed += usize::from(outcome == CheckOutcome::Fail);
        let (demand, observed) = check.shown.unwrap_or((check.demand, check.observed));
        let record = CheckRecord {
            step: cx.id.clone(),
            subject: check.subject,
            demand,
            observed,
            outcome,
            at: Some(cx.location(&check.pointer)),
            samples: check.samples,
        };
        cx.run.recorder.emit(EventKind::Check { record: Box::new(record) });
    }
    if failed == 0 {
        return Ok(StepOutcome::default());
    }
    Err(StepError::check(EXPECTATION, format!("{failed} of {total} checks failed")))
}

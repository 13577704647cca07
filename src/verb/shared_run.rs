//! What all steps of a run share.

use super::AnyStep;
use super::Changes;
use super::OtherEnvironment;
use super::Promises;
use super::Restarts;
use super::Scope;
use super::live::LiveSteps;
use crate::accounting::{RunIdentity, Settlements, TopicIdBytes};
use crate::environment::{Endpoints, Environment, Grant};
use crate::faults::{Owned, Resource, UndoStack};
use crate::kafka::{Admin, LogSink};
use crate::load::afar::Afar;
use crate::record::{Record, Recorder, RunClock};
use crate::scenario::Guarantee;
use crate::text::Location;
use crate::verb::StepError;
use crate::wire::{WireCluster, topics};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long one administrative request may take.
const ADMIN_PATIENCE: Duration = Duration::from_secs(15);
/// How long a question is waited for without whose answer the run goes on.
const GLANCE: Duration = Duration::from_secs(2);

/// What a plan says of the whole run, for the steps of it.
pub struct ScenarioFacts {
    /// The run's id.
    pub run_id: String,
    /// The seed of everything that is chosen at random.
    pub seed: u64,
    /// All steps, and what others may rely on.
    pub scope: Scope,
    /// The scenario's guarantee.
    pub guarantee: Option<Guarantee>,
    /// Where the file states the guarantee.
    pub guarantee_at: Option<Location>,
    /// A run of the same scenario that goes on in this one.
    pub former: Option<Arc<Record>>,
}

/// What all steps of a run share.
pub struct SharedRun {
    /// What the plan says of the whole run.
    pub scenario: ScenarioFacts,
    /// The run's clock.
    pub clock: RunClock,
    /// Where events go.
    pub recorder: Recorder,
    /// Where the scenario runs.
    pub environment: Arc<dyn Environment>,
    /// The other environments that steps name, by their names in `kscen.yaml`.
    pub others: BTreeMap<String, Arc<OtherEnvironment>>,
    /// How often its services had been started again when the run began.
    pub restarts: Restarts,
    /// Addresses, as they are while the run lasts.
    pub endpoints: Endpoints,
    /// Who sends and reads: numbers producers and tells this run's messages from others'.
    pub identity: Arc<RunIdentity>,
    /// Steps as others see them.
    pub live: LiveSteps,
    /// Faults in force.
    pub undo: UndoStack,
    /// What the run made.
    pub owned: Owned,
    /// What the database committed.
    pub changes: Changes,
    /// What deliveries were settled from.
    pub settlements: Settlements,
    /// What deliveries were judged by.
    pub promises: Promises,
    /// The run's folder: result, logs, events.
    pub folder: PathBuf,
    /// What the environment grants.
    pub granted: BTreeSet<Grant>,
    /// Whether things that kscen did not make may be deleted, where the environment grants that.
    pub allow_delete: bool,
    /// Where the lines of all clients' logs go.
    pub client_logs: LogSink,
    /// Other processes, in which producers and readers run.
    pub afar: Option<Arc<dyn Afar>>,
    /// See [`SharedRun::admin`].
    pub admin: OnceLock<Arc<Admin>>,
    /// See [`SharedRun::wire`].
    pub wire: OnceLock<WireCluster>,
}

impl SharedRun {
    /// Whether a step may do what it changes. Plans were held against the same before; a step whose body is known only now is held
    /// against it here.
    ///
    /// # Errors
    /// Names what is not granted.
    pub fn may(&self, step: &dyn AnyStep) -> Result<(), StepError> {
        let missing = step.changes(&self.scenario.scope).into_iter().find(|grant| !self.granted.contains(grant));
        missing.map_or(Ok(()), |grant| {
            let name = self.environment.info().name;
            Err(StepError::broken("not-allowed", format!("`{name}` does not allow `{grant}`"))
                .help(format!("add `{grant}` to its `allow` in kscen.yaml, if that is meant")))
        })
    }

    /// [`SharedRun::may_delete`] of a topic, as it is now.
    ///
    /// # Errors
    /// See there.
    pub async fn may_delete_topic(&self, topic: &str) -> Result<(), StepError> {
        let resource = Resource::Topic(topic.to_owned());
        if self.is_replaced(topic).await {
            self.owned.remove(&resource);
        }
        self.may_delete(&resource)
    }

    /// Refuses to delete what the run did not make, unless both the environment and the user permit it.
    ///
    /// # Errors
    /// Says which of the two does not.
    pub fn may_delete(&self, resource: &Resource) -> Result<(), StepError> {
        if self.owned.contains(resource) {
            return Ok(());
        }
        let refused = StepError::broken("not-ours", format!("this run did not make {resource}"));
        if !self.granted.contains(&Grant::Delete) {
            let name = self.environment.info().name;
            return Err(
                refused.help(format!("`{name}` does not allow `delete`: add it to its `allow`, if that is meant"))
            );
        }
        if !self.allow_delete {
            return Err(refused.help("permit the deletion with --allow-delete"));
        }
        Ok(())
    }

    /// The run's id.
    pub fn id(&self) -> &str {
        &self.scenario.run_id
    }

    /// The record so far.
    pub fn snapshot(&self) -> Option<Record> {
        self.recorder.snapshot()
    }

    /// The record so far with the steps that still run, as they are now.
    pub fn snapshot_with_running(&self) -> Option<Record> {
        let mut record = self.snapshot()?;
        let now_us = self.clock.now_us();
        record.run.duration = record.run.duration.max(now_us as f64 / 1e6);
        let running = self.live.running(&self.scenario.scope, now_us);
        record.steps.extend(running.into_iter().filter(|live| record.step(&live.id).is_none()).collect::<Vec<_>>());
        Some(record)
    }

    /// Properties that every client of the run needs.
    pub fn connection(&self) -> BTreeMap<String, String> {
        self.endpoints.connection()
    }

    /// The administrative client, made when it is first needed.
    ///
    /// # Errors
    /// Where it cannot be created from the environment's client properties.
    pub fn admin(&self) -> Result<Arc<Admin>, StepError> {
        if let Some(admin) = self.admin.get() {
            return Ok(Arc::clone(admin));
        }
        let admin = Admin::new(&self.connection(), ADMIN_PATIENCE, self.client_logs.clone())
            .map_err(|error| StepError::broken("admin-client", error.to_string()).because(error))?;
        Ok(Arc::clone(self.admin.get_or_init(|| Arc::new(admin))))
    }

    /// kscen's own connections to the brokers, made when they are first needed.
    ///
    /// # Errors
    /// Where the environment's client properties ask for something that they cannot do.
    pub fn wire(&self) -> Result<WireCluster, StepError> {
        if let Some(cluster) = self.wire.get() {
            return Ok(cluster.clone());
        }
        let cluster = WireCluster::new(&self.connection(), ADMIN_PATIENCE)
            .map_err(|error| StepError::broken("own-client", error.in_full()).because(error))?;
        Ok(self.wire.get_or_init(|| cluster).clone())
    }

    /// Which topic has this name now; `None` where the brokers have no ids, do not show it, or do not answer soon.
    pub async fn topic_id(&self, topic: &str) -> Option<TopicIdBytes> {
        let cluster = self.wire().ok()?;
        let asked = tokio::time::timeout(GLANCE, topics::describe(&cluster, &[topic])).await;
        let found = asked.ok()?.ok()?.remove(topic)?.ok()?;
        found.id.map(topics::TopicId::bytes)
    }

    /// Whether a topic that the run has made is gone, and another one has its name: that is somebody else's. Nobody else's name has the
    /// run's id in it.
    pub async fn is_replaced(&self, topic: &str) -> bool {
        if topic.contains(self.id()) {
            return false;
        }
        let Some(made) = self.owned.identity(&Resource::Topic(topic.to_owned())) else { return false };
        self.topic_id(topic).await.is_some_and(|present| present != made)
    }

    /// The scenario's guarantee.
    pub fn guarantee(&self) -> Option<Guarantee> {
        self.scenario.guarantee
    }
}

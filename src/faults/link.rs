//! Faults on the connections of a service.

use super::fault_error::FaultError;
use super::service::is_down;
use super::target::{Answer, Condition, Nature, Target, Undone};
use super::undo::Undo;
use crate::environment::{Effect, Environment, Grip, Intended, Lifecycle, NetworkFault, Recipe};
use crate::moment;
use crate::record::TargetKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks: each opens a connection, which a cut holds open.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A network fault.
pub(crate) struct LinkFault {
    environment: Arc<dyn Environment>,
    fault: NetworkFault,
}

impl LinkFault {
    /// A fault on the connections of the service that it names.
    pub(crate) fn new(environment: Arc<dyn Environment>, fault: NetworkFault) -> Self {
        Self { environment, fault }
    }
}

impl Target for LinkFault {
    fn name(&self) -> String {
        self.fault.service.clone()
    }

    fn what(&self) -> String {
        format!("network {}", self.fault.kind.word())
    }

    fn nature(&self) -> Nature {
        Nature::Lasts
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Service
    }

    fn condition(&self) -> Option<Condition> {
        Some(Condition::Outlives(Undo::Heal { fault: self.fault.clone() }))
    }

    fn lane(&self) -> String {
        format!("network of {}", self.fault.service)
    }

    /// An engine may connect what it starts, before that is cut off again.
    fn disturbed_by(&self) -> Option<String> {
        Some(self.fault.service.clone())
    }

    fn counts(&self) -> bool {
        true
    }

    fn ends(&self, _: &Condition) -> bool {
        false
    }

    /// Who is dead or frozen speaks to nobody, so nobody is disturbed. That the link works the environment shows before it disturbs it.
    fn check(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let service = &self.fault.service;
            let observed = match self.environment.incarnation(service).await?.lifecycle {
                seen if is_down(seen) => format!("it is not running ({seen})"),
                Lifecycle::Paused => "it is paused, so disturbing its network changes nothing".to_owned(),
                _ => return Ok(()),
            };
            Err(FaultError::no_effect(service, observed))
        })
    }

    fn recipe(&self) -> Answer<'_, Option<Recipe>> {
        Box::pin(async move { Ok(self.environment.recipe(Intended::Disturb(&self.fault)).await?) })
    }

    fn apply(&self) -> Answer<'_, Effect> {
        Box::pin(async move { Ok(self.environment.disturb(&self.fault).await?) })
    }

    fn probe(&self) -> Answer<'_, Grip> {
        Box::pin(async move { Ok(self.environment.disturbed(&self.fault).await?) })
    }

    /// Services are watched, not what connects them.
    fn is_watched_by_others(&self) -> bool {
        false
    }

    fn pace(&self, age: Duration) -> Duration {
        (age / 10).clamp(LOOK_EVERY.0, LOOK_EVERY.1)
    }

    /// That nothing answers is seen by waiting.
    fn look_takes(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn undo(&self, _: Duration) -> Answer<'_, Undone> {
        Box::pin(async move {
            let healed = self.environment.heal(&self.fault).await?;
            Ok(Undone { effective: healed.effect.effective, acted: healed.changed })
        })
    }

    fn ready(&self, patience: Duration) -> Answer<'_, Option<Instant>> {
        Box::pin(async move {
            let seen = self.environment.incarnation(&self.fault.service).await?.lifecycle;
            // Whoever paused or ended the service meanwhile waits for it.
            if is_down(seen) || seen == Lifecycle::Paused {
                return Ok(None);
            }
            self.environment.wait_ready(&self.fault.service, patience).await?;
            Ok(Some(moment::now()))
        })
    }
}

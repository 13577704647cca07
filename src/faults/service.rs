//! Faults on services.

use super::fault_error::FaultError;
use super::target::{Answer, Condition, Nature, Target, Undone};
use super::undo::Undo;
use crate::environment::{Action, Effect, Environment, Grip, Incarnation, Intended, Lifecycle, Recipe};
use crate::ground::lock;
use crate::moment;
use crate::record::TargetKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Between two looks at a service that a fault holds.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// An action on a service.
pub(crate) struct ServiceFault {
    environment: Arc<dyn Environment>,
    service: String,
    action: Action,
    /// The life that was frozen: a later one is not.
    frozen: Mutex<Option<String>>,
    /// Whether its effect was seen: one that nobody has seen may still come.
    seen: AtomicBool,
    /// When it came to what the last look found.
    since: Mutex<Option<Instant>>,
}

impl ServiceFault {
    /// An action on the service of that full name.
    pub(crate) fn new(environment: Arc<dyn Environment>, service: String, action: Action) -> Self {
        Self {
            environment,
            service,
            action,
            frozen: Mutex::default(),
            seen: AtomicBool::new(false),
            since: Mutex::default(),
        }
    }

    /// What repairs it, also where a restart or a wipe is interrupted half-way.
    fn repair(&self) -> Option<Action> {
        let half_way = matches!(self.action, Action::Restart | Action::Wipe).then_some(Action::Start);
        self.action.undo().or(half_way)
    }

    async fn carry_out(&self) -> Result<Effect, FaultError> {
        let effect = self.environment.act(&self.service, self.action).await?;
        self.seen.store(true, Ordering::Relaxed);
        if self.action == Action::Pause {
            let life = self.environment.incarnation(&self.service).await.ok().map(|seen| seen.life);
            *lock(&self.frozen) = life;
        }
        Ok(effect)
    }

    async fn look(&self) -> Result<Grip, FaultError> {
        let seen = self.environment.incarnation(&self.service).await?;
        *lock(&self.since) = seen.since;
        let frozen = lock(&self.frozen).clone();
        let same_life = frozen.is_none_or(|life| life == seen.life);
        let holds = match self.action {
            Action::Pause => seen.lifecycle == Lifecycle::Paused && same_life,
            Action::Stop | Action::Kill => is_down(seen.lifecycle),
            Action::Resume | Action::Start | Action::Restart | Action::Wipe => true,
        };
        let words = in_words(&self.service, &seen);
        Ok(if holds { Grip::Holds(words) } else { Grip::Lost(words) })
    }

    async fn repair_now(&self, patience: Duration) -> Result<Undone, FaultError> {
        let Some(action) = self.repair() else {
            return Ok(Undone { effective: moment::now(), acted: false });
        };
        let undo = Undo::Act { service: self.service.clone(), action };
        let seen = self.seen.load(Ordering::Relaxed);
        let error = match undo.carry_out(self.environment.as_ref(), patience, seen).await {
            Ok(undone) => return Ok(undone),
            Err(error) => error,
        };
        // A recipe also brings back what no longer exists, such as a container in the middle of a wipe.
        let recipe = self.environment.recipe(Intended::Act(&self.service, self.action)).await;
        if let Ok(Some(recipe)) = recipe {
            recipe.heal().await?;
            return Ok(Undone { effective: moment::now(), acted: true });
        }
        Err(error)
    }
}

impl Target for ServiceFault {
    fn name(&self) -> String {
        self.service.clone()
    }

    fn environment(&self) -> Option<&dyn Environment> {
        Some(self.environment.as_ref())
    }

    fn what(&self) -> String {
        self.action.verb().to_owned()
    }

    fn nature(&self) -> Nature {
        Nature::of(self.action)
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Service
    }

    fn condition(&self) -> Option<Condition> {
        let service = self.service.clone();
        self.repair().map(|action| Condition::Outlives(Undo::Act { service, action }))
    }

    fn counts(&self) -> bool {
        self.action == Action::Pause
    }

    /// A process that ended or was started again is not paused; one that was started again is not down.
    fn ends(&self, other: &Condition) -> bool {
        let Condition::Outlives(Undo::Act { service, action }) = other else { return false };
        *service == self.service
            && match self.action {
                Action::Pause => false,
                Action::Resume | Action::Stop | Action::Kill => *action == Action::Resume,
                Action::Start | Action::Restart | Action::Wipe => true,
            }
    }

    fn leaves(&self, undone: bool) -> Option<Lifecycle> {
        Some(match self.action {
            _ if undone => Lifecycle::Running,
            Action::Pause => Lifecycle::Paused,
            Action::Stop | Action::Kill => Lifecycle::Stopped,
            Action::Resume | Action::Start | Action::Restart | Action::Wipe => Lifecycle::Running,
        })
    }

    fn check(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let seen = self.environment.incarnation(&self.service).await?;
            let fits = match self.action {
                Action::Pause => seen.lifecycle == Lifecycle::Running,
                Action::Resume => seen.lifecycle == Lifecycle::Paused,
                Action::Stop | Action::Kill | Action::Restart => !is_down(seen.lifecycle),
                Action::Start => is_down(seen.lifecycle),
                Action::Wipe => true,
            };
            if fits { Ok(()) } else { Err(FaultError::no_effect(&self.service, in_words("it", &seen))) }
        })
    }

    fn recipe(&self) -> Answer<'_, Option<Recipe>> {
        Box::pin(async move { Ok(self.environment.recipe(Intended::Act(&self.service, self.action)).await?) })
    }

    fn apply(&self) -> Answer<'_, Effect> {
        Box::pin(self.carry_out())
    }

    fn probe(&self) -> Answer<'_, Grip> {
        Box::pin(self.look())
    }

    fn ended(&self) -> Option<Instant> {
        *lock(&self.since)
    }

    fn pace(&self, _: Duration) -> Duration {
        LOOK_EVERY
    }

    fn look_takes(&self) -> Duration {
        self.environment.look_takes()
    }

    fn undo(&self, patience: Duration) -> Answer<'_, Undone> {
        Box::pin(self.repair_now(patience))
    }

    fn ready(&self, patience: Duration) -> Answer<'_, Option<Instant>> {
        Box::pin(async move {
            let seen = self.environment.incarnation(&self.service).await?;
            // What was only paused and has ended meanwhile is not brought up by the end of the pause.
            if self.action == Action::Pause && is_down(seen.lifecycle) {
                return Ok(None);
            }
            self.environment.wait_ready(&self.service, patience).await?;
            Ok(Some(moment::now()))
        })
    }
}

pub(super) fn is_down(lifecycle: Lifecycle) -> bool {
    matches!(lifecycle, Lifecycle::Stopped | Lifecycle::Exited)
}

fn in_words(service: &str, seen: &Incarnation) -> String {
    let code = seen.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
    match seen.lifecycle {
        Lifecycle::Running => format!("{service} is running ({})", seen.life),
        Lifecycle::Paused => format!("{service} is paused ({})", seen.life),
        Lifecycle::Stopped => format!("{service} is stopped{code}"),
        Lifecycle::Exited => format!("{service} has exited{code}"),
    }
}

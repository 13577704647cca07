//! Pause, kill and the like, each proved by the engine's state and dated by its events.

use super::container::Container;
use super::erasure;
use super::freezer;
use super::project;
use super::recreate::{self, Recreation};
use super::stack::{DockerStack, StackContainer};
use super::watch::{self, ContainerEvent};
use crate::environment::action::KILLED_MEANWHILE;
use crate::environment::{Action, Effect, EnvironmentError, EnvironmentResult};
use bollard::query_parameters::{
    KillContainerOptions, RestartContainerOptions, StartContainerOptions, StopContainerOptions,
};
use std::time::{Duration, Instant, SystemTime};

/// How long after the engine carried something out its event may take to arrive.
const EVENT_PATIENCE: Duration = Duration::from_secs(2);
/// A restart policy starts a container again 0.1 s after its end; this long it is watched for that.
const POLICY_PATIENCE: Duration = Duration::from_millis(500);
/// A pause takes some ten milliseconds.
const PAUSE_PATIENCE: Duration = Duration::from_secs(10);
/// Seconds between SIGTERM and SIGKILL where the container does not define its own; Kafka needs more than Docker's 10.
const GRACE: i32 = 30;
/// How a container ends that did not end within its grace period.
const KILLED: i32 = 137;

impl DockerStack {
    pub(super) async fn carry_out(&self, member: &StackContainer, action: Action) -> EnvironmentResult<Effect> {
        let before = self.inspect(member).await?;
        if matches!(action, Action::Pause | Action::Resume | Action::Stop | Action::Kill) && self.died(&before) {
            return Err(self.death(member, &before).await);
        }
        refuse_futile(member, &before, action)?;
        let deed = Deed {
            stack: self,
            member,
            action,
            mark: self.watch.mark(),
            requested: Instant::now(),
            began: SystemTime::now(),
        };
        let effect = match action {
            Action::Pause => deed.pause(&before).await,
            Action::Resume => deed.resume(&before).await,
            Action::Stop | Action::Kill => deed.end(&before).await,
            Action::Start => deed.start(&before).await,
            Action::Restart => deed.restart(&before).await,
            Action::Wipe => deed.wipe(&before).await,
        }?;
        if action.brings_up() {
            self.keep_cut(member).await?;
        }
        Ok(effect)
    }
}

/// Refuses what would change nothing: a fault that was there before cannot be measured.
fn refuse_futile(member: &StackContainer, container: &Container, action: Action) -> EnvironmentResult<()> {
    let running = container.is_running();
    let observed = match action {
        Action::Pause if container.is_paused() => "it is paused already".to_owned(),
        Action::Pause | Action::Stop | Action::Kill if container.is_down() => {
            format!("it is not running ({})", container.ending())
        }
        Action::Resume if running => "it is not paused".to_owned(),
        Action::Resume if container.is_down() => format!("it is not running ({})", container.ending()),
        Action::Start if running => "it is running already".to_owned(),
        Action::Start if container.is_paused() => format!("it is paused; `{}` it", Action::Resume),
        _ => return Ok(()),
    };
    Err(EnvironmentError::NoEffect { service: member.name().to_owned(), observed })
}

/// One action under way.
struct Deed<'a> {
    stack: &'a DockerStack,
    member: &'a StackContainer,
    action: Action,
    mark: usize,
    requested: Instant,
    /// The same by the time of day.
    began: SystemTime,
}

/// When something happened, and who says so.
struct Moment {
    at: Option<SystemTime>,
    source: String,
}

impl Deed<'_> {
    fn what(&self) -> String {
        format!("{} {}", self.action, self.member.name())
    }

    async fn event(&self, container: &str, action: &str) -> Option<ContainerEvent> {
        let wanted = |seen: &ContainerEvent| seen.container == container && seen.action == action;
        self.stack.watch.after(self.mark, EVENT_PATIENCE, wanted).await
    }

    fn no_effect(&self, observed: impl Into<String>) -> EnvironmentError {
        EnvironmentError::NoEffect { service: self.member.name().to_owned(), observed: observed.into() }
    }

    /// Dates what an event tells. A life's start and end are dated by the container's state, where that is of this action:
    /// the event comes when the engine has tidied up. Without an event (Podman, an engine that restarted) only that is left.
    fn moment(&self, seen: Option<ContainerEvent>, exact: Option<SystemTime>) -> Moment {
        let exact = exact.map(|at| self.stack.engine.local_time(at)).filter(|at| *at >= self.began);
        match (exact, seen) {
            (exact, Some(seen)) => {
                let at = exact.filter(|at| *at <= seen.at).unwrap_or(seen.at);
                Moment { at: Some(at), source: format!("the engine's event `{}` at {}", seen.action, clock(seen.at)) }
            }
            (Some(at), None) => Moment { at: Some(at), source: format!("since {} by its state", clock(at)) },
            (None, None) => Moment { at: None, source: "by its state".to_owned() },
        }
    }

    fn effect(&self, moment: &Moment, down: Option<Moment>, state: &str, container: &Container) -> Effect {
        let instant = |moment: &Moment| moment.at.map(|at| watch::instant(at, self.requested));
        Effect {
            requested: self.requested,
            effective: instant(moment).unwrap_or_else(Instant::now),
            down: down.as_ref().and_then(instant),
            forced: false,
            proof: format!("container {} is {state}; {}", container.short_id(), moment.source),
        }
    }

    async fn pause(&self, before: &Container) -> EnvironmentResult<Effect> {
        let id = before.id();
        // Neither kscen's own process in the container nor a health check may be about to start.
        let _still = self.member.disk().still().await;
        freezer::quiet(&self.stack.engine, before).await?;
        let what = self.what();
        let pause = self.stack.engine.ask(&what, |docker| async move { docker.pause_container(id).await });
        match tokio::time::timeout(PAUSE_PATIENCE, pause).await {
            Ok(answer) => answer?,
            Err(_) => freezer::unstick(&self.stack.engine, before.name()).await?,
        }
        let after = self.stack.inspect(self.member).await?;
        if !after.is_paused() {
            return Err(self.no_effect(format!("the engine paused it, yet it is {}", after.status())));
        }
        let seen = self.event(id, "pause").await;
        Ok(self.effect(&self.moment(seen, None), None, "paused", &after))
    }

    async fn resume(&self, before: &Container) -> EnvironmentResult<Effect> {
        let id = before.id();
        self.stack.engine.ask(&self.what(), |docker| async move { docker.unpause_container(id).await }).await?;
        let after = self.stack.inspect(self.member).await?;
        if !after.is_running() {
            return Err(self.no_effect(format!("the engine resumed it, yet it is {}", after.status())));
        }
        let seen = self.event(id, "unpause").await;
        Ok(self.effect(&self.moment(seen, None), None, "running", &after))
    }

    /// Stop and kill: the container has to be down and to stay down.
    async fn end(&self, before: &Container) -> EnvironmentResult<Effect> {
        let (id, began) = (before.id(), Instant::now());
        let what = self.what();
        if self.action == Action::Kill {
            let options = || Some(KillContainerOptions { signal: "SIGKILL".to_owned() });
            self.stack.engine.ask(&what, |docker| async move { docker.kill_container(id, options()).await }).await?;
        } else {
            let options = || Some(StopContainerOptions { signal: None, t: grace(before) });
            self.stack.engine.ask(&what, |docker| async move { docker.stop_container(id, options()).await }).await?;
        }
        let died = self.event(id, "die").await;
        let policy = before.restart_policy();
        if policy.is_some() {
            let started = |seen: &ContainerEvent| seen.container == id && seen.action == "start";
            self.stack.watch.after(self.mark, POLICY_PATIENCE, started).await;
        }
        let after = self.stack.inspect(self.member).await?;
        if !after.is_down() || after.id() != id {
            let culprit = policy.map_or_else(
                || "it was started again from outside of this run".to_owned(),
                |policy| {
                    format!("its restart policy `{policy}`, or somebody outside of this run, started it again; set `restart: \"no\"`")
                },
            );
            return Err(self.no_effect(format!("it ended, and {culprit}")));
        }
        let killed = self.action == Action::Stop && after.exit_code() == Some(KILLED);
        if killed && began.elapsed() < grace_time(before) {
            return Err(self.no_effect(format!("{KILLED_MEANWHILE}: {}", after.ending())));
        }
        let moment = self.moment(died, after.finished_at());
        let mut effect = self.effect(&moment, None, &format!("down with {}", after.ending()), &after);
        effect.forced = killed;
        Ok(effect)
    }

    async fn start(&self, before: &Container) -> EnvironmentResult<Effect> {
        let id = before.id();
        let what = self.what();
        let ask = self
            .stack
            .engine
            .ask(&what, |docker| async move { docker.start_container(id, None::<StartContainerOptions>).await });
        ask.await?;
        self.started(id, None).await
    }

    async fn restart(&self, before: &Container) -> EnvironmentResult<Effect> {
        let (id, began) = (before.id(), Instant::now());
        let what = self.what();
        let ask = self.stack.engine.ask(&what, |docker| async move {
            docker.restart_container(id, Some(RestartContainerOptions { signal: None, t: grace(before) })).await
        });
        ask.await?;
        let down = self.down(before).await?;
        let asked = began.elapsed();
        let died = self.event(id, "die").await;
        let mut effect = self.started(id, down).await?;
        effect.forced = died.and_then(|seen| seen.exit_code) == Some(KILLED);
        // It includes the start: where even that fits into the grace period, the engine had no time to kill it.
        if effect.forced && asked < grace_time(before) {
            return Err(self.no_effect(KILLED_MEANWHILE));
        }
        Ok(effect)
    }

    /// The container is up again: running, and started after this action began.
    async fn started(&self, id: &str, down: Option<Moment>) -> EnvironmentResult<Effect> {
        let seen = self.event(id, "start").await;
        let after = self.stack.inspect(self.member).await?;
        if after.is_down() {
            return Err(self.stack.death(self.member, &after).await);
        }
        if !after.is_running() {
            return Err(self.no_effect(format!("it is {}", after.status())));
        }
        Ok(self.effect(&self.moment(seen, after.started_at()), down, "running", &after))
    }

    /// When the old life ended, for actions that begin a new one; `None` where there was none.
    async fn down(&self, before: &Container) -> EnvironmentResult<Option<Moment>> {
        if before.is_down() {
            return Ok(None);
        }
        let died = self.event(before.id(), "die").await;
        let ended = project::inspect(&self.stack.engine, before.id()).await?.and_then(|old| old.finished_at());
        Ok(Some(self.moment(died, ended)))
    }

    async fn wipe(&self, before: &Container) -> EnvironmentResult<Effect> {
        let (stack, engine, old) = (self.stack, &self.stack.engine, before.id());
        if !stack.may_wipe {
            return Err(EnvironmentError::Unsupported {
                message: format!(
                    "`{}` erases all data of {}, which this run is not permitted to do",
                    Action::Wipe,
                    self.member.name()
                ),
            });
        }
        let recreation = Recreation::read(engine, &stack.project, before).await?;
        recreate::rehearse(engine, &recreation).await?;
        if !before.is_down() {
            let options = || Some(KillContainerOptions { signal: "SIGKILL".to_owned() });
            engine.ask(&self.what(), |docker| async move { docker.kill_container(old, options()).await }).await?;
        }
        let down = self.down(before).await?;
        stack.keep_log(self.member, old).await;
        recreate::remove(engine, old, &recreation).await?;
        recreate::create(engine, &recreation).await?;
        let Some(new) = recreate::exists(engine, &recreation).await? else {
            return Err(self.no_effect("the engine made no new container"));
        };
        self.member.replaced_by(new.id());
        super::recipe::reconnect(engine, &new, &recreation.networks).await?;
        // Before it runs: afterwards it has data of its own.
        let left = erasure::left(engine, &new).await;
        let id = new.id();
        engine
            .ask(&self.what(), |docker| async move { docker.start_container(id, None::<StartContainerOptions>).await })
            .await?;
        recreate::tidy(engine, &recreation).await?;
        if let Some(file) = left {
            return Err(self.no_effect(format!("its data are still there: the new container has {file}")));
        }
        let mut effect = self.started(id, down).await?;
        effect.proof.push_str(&format!(
            "; it replaced {}, with its volumes erased ({})",
            before.short_id(),
            recreation.volume_names()
        ));
        let lost = recreation.lost_address(&stack.inspect(self.member).await?);
        effect.proof.extend(lost.map(|words| format!("; {words}")));
        Ok(effect)
    }
}

/// The container's own grace period, else ours.
fn grace(container: &Container) -> Option<i32> {
    // Podman says 0 where none is defined.
    let own = container.0.config.as_ref().and_then(|config| config.stop_timeout).filter(|seconds| *seconds > 0);
    Some(own.and_then(|seconds| i32::try_from(seconds).ok()).unwrap_or(GRACE))
}

/// The same as a time.
fn grace_time(container: &Container) -> Duration {
    Duration::from_secs(grace(container).and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0))
}

fn clock(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map(|time| format!("{time:.3}")).unwrap_or_default()
}

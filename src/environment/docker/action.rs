//! Pause, kill and the like, each proved by the engine's state and dated by its events.

use super::container::Container;
use super::recreate::{self, Recreation};
use super::stack::{DockerStack, Member};
use super::watch::{self, Seen};
use crate::environment::{Action, Effect, EnvironmentError, EnvironmentResult};
use bollard::query_parameters::{
    KillContainerOptions, RestartContainerOptions, StartContainerOptions, StopContainerOptions,
};
use std::time::{Duration, Instant};

/// How long after the engine carried something out its event may take to arrive.
const EVENT_PATIENCE: Duration = Duration::from_secs(5);
/// A restart policy starts a container again 0.1 s after its end; this long it is watched for that.
const POLICY_PATIENCE: Duration = Duration::from_millis(500);
/// Seconds between SIGTERM and SIGKILL where the container does not define its own; Kafka needs more than Docker's 10.
const GRACE: i32 = 30;

impl DockerStack {
    pub(super) async fn carry_out(&self, member: &Member, action: Action) -> EnvironmentResult<Effect> {
        let before = self.inspect(member).await?;
        if matches!(action, Action::Pause | Action::Resume | Action::Stop | Action::Kill) && self.died(&before) {
            return Err(self.death(member, &before).await);
        }
        refuse_futile(member, &before, action)?;
        let deed = Deed { stack: self, member, action, mark: self.watch.mark(), requested: Instant::now() };
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
fn refuse_futile(member: &Member, container: &Container, action: Action) -> EnvironmentResult<()> {
    let running = container.is_running();
    let observed = match action {
        Action::Pause if container.is_paused() => "it is paused already".to_owned(),
        Action::Pause | Action::Stop | Action::Kill if container.is_down() => {
            format!("it is not running ({})", container.ending())
        }
        Action::Resume if running => "it is not paused".to_owned(),
        Action::Resume if container.is_down() => format!("it is not running ({})", container.ending()),
        Action::Start if running => "it is running already".to_owned(),
        Action::Start if container.is_paused() => "it is paused; `resume` it".to_owned(),
        _ => return Ok(()),
    };
    Err(EnvironmentError::NoEffect { service: member.name().to_owned(), observed })
}

/// One action under way.
struct Deed<'a> {
    stack: &'a DockerStack,
    member: &'a Member,
    action: Action,
    mark: usize,
    requested: Instant,
}

impl Deed<'_> {
    fn what(&self) -> String {
        format!("{} {}", self.action, self.member.name())
    }

    async fn event(&self, container: &str, action: &str) -> Option<Seen> {
        let wanted = |seen: &Seen| seen.container == container && seen.action == action;
        self.stack.watch.after(self.mark, EVENT_PATIENCE, wanted).await
    }

    fn no_effect(&self, observed: impl Into<String>) -> EnvironmentError {
        EnvironmentError::NoEffect { service: self.member.name().to_owned(), observed: observed.into() }
    }

    /// The effect at the time of the engine's event; without an event (an engine that restarted) at the time of its proof.
    /// A life's start and end are dated by the container's state: its event comes after the engine has tidied up.
    fn effect(&self, seen: Option<&Seen>, down: Option<&Seen>, state: &str, container: &Container) -> Effect {
        let time = |seen: &Seen| {
            let exact = match seen.action.as_str() {
                "die" if seen.container == container.id() => container.finished_at(),
                "start" => container.started_at(),
                _ => None,
            };
            let exact = exact.map(|at| self.stack.engine.local_time(at)).filter(|at| *at <= seen.at);
            watch::instant(exact.unwrap_or(seen.at), self.requested)
        };
        let source = match seen {
            Some(seen) => format!("the engine's event `{}` at {}", seen.action, clock(seen)),
            None => "no event of the engine, only its state".to_owned(),
        };
        Effect {
            requested: self.requested,
            effective: seen.map_or_else(Instant::now, time),
            down: down.map(time),
            proof: format!("container {} is {state}; {source}", container.short_id()),
        }
    }

    async fn pause(&self, before: &Container) -> EnvironmentResult<Effect> {
        let id = before.id();
        self.stack.engine.ask(&self.what(), |docker| async move { docker.pause_container(id).await }).await?;
        let after = self.stack.inspect(self.member).await?;
        if !after.is_paused() {
            return Err(self.no_effect(format!("the engine paused it, yet it is {}", after.status())));
        }
        let seen = self.event(id, "pause").await;
        Ok(self.effect(seen.as_ref(), None, "paused", &after))
    }

    async fn resume(&self, before: &Container) -> EnvironmentResult<Effect> {
        let id = before.id();
        self.stack.engine.ask(&self.what(), |docker| async move { docker.unpause_container(id).await }).await?;
        let after = self.stack.inspect(self.member).await?;
        if !after.is_running() {
            return Err(self.no_effect(format!("the engine resumed it, yet it is {}", after.status())));
        }
        let seen = self.event(id, "unpause").await;
        Ok(self.effect(seen.as_ref(), None, "running", &after))
    }

    /// Stop and kill: the container has to be down and to stay down.
    async fn end(&self, before: &Container) -> EnvironmentResult<Effect> {
        let id = before.id();
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
            let started = |seen: &Seen| seen.container == id && seen.action == "start";
            self.stack.watch.after(self.mark, POLICY_PATIENCE, started).await;
        }
        let after = self.stack.inspect(self.member).await?;
        if !after.is_down() || after.id() != id {
            let culprit = policy.map_or_else(
                || "somebody started it again".to_owned(),
                |policy| {
                    format!("its restart policy `{policy}` or somebody else started it again; set `restart: \"no\"`")
                },
            );
            return Err(self.no_effect(format!("it ended, and {culprit}")));
        }
        Ok(self.effect(died.as_ref(), None, &format!("down with {}", after.ending()), &after))
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
        let id = before.id();
        let what = self.what();
        let ask = self.stack.engine.ask(&what, |docker| async move {
            docker.restart_container(id, Some(RestartContainerOptions { signal: None, t: grace(before) })).await
        });
        ask.await?;
        let down = if before.is_down() { None } else { self.event(id, "die").await };
        self.started(id, down).await
    }

    /// The container is up again: running, and started after this action began.
    async fn started(&self, id: &str, down: Option<Seen>) -> EnvironmentResult<Effect> {
        let seen = self.event(id, "start").await;
        let after = self.stack.inspect(self.member).await?;
        if after.is_down() {
            return Err(self.stack.death(self.member, &after).await);
        }
        if !after.is_running() {
            return Err(self.no_effect(format!("it is {}", after.status())));
        }
        Ok(self.effect(seen.as_ref(), down.as_ref(), "running", &after))
    }

    async fn wipe(&self, before: &Container) -> EnvironmentResult<Effect> {
        let (stack, engine, old) = (self.stack, &self.stack.engine, before.id());
        if !stack.may_wipe {
            return Err(EnvironmentError::Unsupported {
                message: format!(
                    "`wipe` erases all data of {}, which this run was not permitted to",
                    self.member.name()
                ),
            });
        }
        let recreation = Recreation::read(engine, &stack.project, before).await?;
        if !before.is_down() {
            let options = || Some(KillContainerOptions { signal: "SIGKILL".to_owned() });
            engine.ask(&self.what(), |docker| async move { docker.kill_container(old, options()).await }).await?;
        }
        let down = if before.is_down() { None } else { self.event(old, "die").await };
        stack.keep_log(self.member, old).await;
        recreate::remove(engine, old, &recreation).await?;
        recreate::create(engine, &recreation).await?;
        let Some(new) = recreate::exists(engine, &recreation).await? else {
            return Err(self.no_effect("the engine made no new container"));
        };
        self.member.replaced_by(new.id());
        super::recipe::reconnect(engine, &new, &recreation.networks).await?;
        let id = new.id();
        engine
            .ask(&self.what(), |docker| async move { docker.start_container(id, None::<StartContainerOptions>).await })
            .await?;
        let mut effect = self.started(id, down).await?;
        effect.proof.push_str(&format!(
            "; it replaced {}, with its volumes erased ({})",
            before.short_id(),
            recreation.volume_names()
        ));
        Ok(effect)
    }
}

/// The container's own grace period, else ours.
fn grace(container: &Container) -> Option<i32> {
    let own = container.0.config.as_ref().and_then(|config| config.stop_timeout);
    Some(own.and_then(|seconds| i32::try_from(seconds).ok()).unwrap_or(GRACE))
}

fn clock(seen: &Seen) -> String {
    jiff::Timestamp::try_from(seen.at).map(|time| format!("{time:.3}")).unwrap_or_default()
}

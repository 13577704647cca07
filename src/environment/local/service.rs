//! A supervised service: a process with its lives, its data and what can be done to it.

use super::logs::{last_words, read};
use super::process::{ProcessEnd, ProcessEnded, ProcessLife};
use super::procfs::ticks_per_second;
use super::spawner::Launch;
use super::usage::{cpus, disk, footprint};
use crate::environment::action::KILLED_MEANWHILE;
use crate::environment::{
    Action, Effect, EnvironmentError, EnvironmentResult, Lifecycle, LogLine, LogQuery, ServiceInfo, ServiceState, Usage,
};
use crate::ground::lock;
use futures_util::future::BoxFuture;
use nix::sys::signal::Signal;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Prepares an empty data folder, so that the service starts fresh.
pub(super) type PrepareFolder = Box<dyn Fn() -> BoxFuture<'static, std::io::Result<()>> + Send + Sync>;

/// What a service is, before it has started.
pub(super) struct ServiceDescription {
    /// Name and node id.
    pub(super) info: ServiceInfo,
    /// How to start it.
    pub(super) launch: Launch,
    /// Its data and how to make them again; `None` where it keeps nothing on disk.
    pub(super) data: Option<(PathBuf, PrepareFolder)>,
    /// The signal that asks it to end.
    pub(super) stop_signal: Signal,
    /// The signal that ends it when its data are thrown away.
    pub(super) end_signal: Signal,
    /// How long it may take to end before it is killed.
    pub(super) grace: Duration,
}

/// A service with its present and past lives.
pub(super) struct LocalService {
    description: ServiceDescription,
    lives: Mutex<Lives>,
    /// Held during an action, so that actions on one service follow each other.
    acting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Lives {
    current: Option<Arc<ProcessLife>>,
    started: u32,
    /// Whether the end of the current life was asked for.
    asked_to_end: bool,
    /// CPU time of ended lives, in clock ticks.
    spent: u64,
    /// Exit code of the last life that ended and was succeeded by another.
    last_exit: Option<i32>,
}

impl LocalService {
    /// A service that has not started yet.
    pub(super) fn new(description: ServiceDescription) -> Self {
        Self { description, lives: Mutex::default(), acting: tokio::sync::Mutex::default() }
    }

    /// Name and node id.
    pub(super) fn info(&self) -> &ServiceInfo {
        &self.description.info
    }

    /// Full name.
    pub(super) fn name(&self) -> &str {
        &self.description.info.name
    }

    /// The present life, or the last one.
    pub(super) fn life(&self) -> Option<Arc<ProcessLife>> {
        lock(&self.lives).current.clone()
    }

    /// Whether it is alive and not frozen.
    pub(super) fn is_running(&self) -> bool {
        self.life().is_some_and(|life| life.try_ended().is_none() && !life.is_stopped())
    }

    /// Starts a life.
    ///
    /// # Errors
    /// The process cannot be started.
    pub(super) async fn start(&self) -> EnvironmentResult<Arc<ProcessLife>> {
        let life = ProcessLife::start(self.description.launch.clone())
            .await
            .map_err(|error| EnvironmentError::caused(self.name(), error))?;
        let life = Arc::new(life);
        let mut lives = lock(&self.lives);
        if let Some(ended) = lives.current.take().and_then(|life| life.try_ended()) {
            lives.spent += ended.ticks;
            lives.last_exit = Some(ended.code);
        }
        lives.started += 1;
        lives.asked_to_end = false;
        lives.current = Some(Arc::clone(&life));
        Ok(life)
    }

    /// Empties the data folder and makes it fit for a first start. Without data there is nothing to do.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) async fn format(&self) -> EnvironmentResult<()> {
        let Some((_, format)) = &self.description.data else { return Ok(()) };
        let failed = |error| format!("could not prepare the data of {}: {error}", self.name());
        format().await.map_err(|error| EnvironmentError::failed(failed(error)))
    }

    /// Does `action` and proves it; see [`crate::environment::Environment::act`].
    ///
    /// # Errors
    /// See there.
    pub(super) async fn act(&self, action: Action) -> EnvironmentResult<Effect> {
        let _alone = self.acting.lock().await;
        let requested = Instant::now();
        match action {
            Action::Pause => {
                let life = self.alive().await?;
                if life.is_stopped() {
                    return Err(self.no_effect("it was paused already"));
                }
                let proof = life.freeze().await.map_err(|observed| self.no_effect(observed))?;
                Ok(Effect { requested, effective: Instant::now(), down: None, proof, forced: false })
            }
            Action::Resume => {
                let life = self.alive().await?;
                if !life.is_stopped() {
                    return Err(self.no_effect("it was not paused"));
                }
                let proof = life.thaw().await.map_err(|observed| self.no_effect(observed))?;
                Ok(Effect { requested, effective: Instant::now(), down: None, proof, forced: false })
            }
            Action::Stop | Action::Kill => {
                let ProcessEnd { ended, proof, forced } = self.end(action).await?;
                Ok(Effect { requested, effective: ended.at, down: None, proof, forced })
            }
            Action::Start => {
                self.finish_end().await?;
                let proof = self.begin().await?;
                Ok(Effect { requested, effective: Instant::now(), down: None, proof, forced: false })
            }
            Action::Restart | Action::Wipe => {
                if action == Action::Wipe && self.description.data.is_none() {
                    let message =
                        format!("{} keeps its data in Kafka; there is nothing of its own to erase", self.name());
                    return Err(EnvironmentError::Unsupported { message });
                }
                let how = if action == Action::Restart { Action::Stop } else { Action::Kill };
                let ProcessEnd { ended, mut proof, forced } = self.end(how).await?;
                if action == Action::Wipe {
                    self.format().await?;
                    proof.push_str("; its data are erased");
                }
                proof = format!("{proof}; {}", self.begin().await?);
                Ok(Effect { requested, effective: Instant::now(), down: Some(ended.at), proof, forced })
            }
        }
    }

    /// Finishes an end that was asked for and that nobody waits for any more: what is started before it comes would be no start.
    async fn finish_end(&self) -> EnvironmentResult<()> {
        let Some(life) = self.life() else { return Ok(()) };
        if life.settled().await.is_some() {
            return Ok(());
        }
        if !lock(&self.lives).asked_to_end {
            return Err(self.no_effect("it was running already"));
        }
        life.stop(self.description.stop_signal, self.description.grace).await;
        Ok(())
    }

    async fn begin(&self) -> EnvironmentResult<String> {
        Ok(format!("started as process {}", self.start().await?.pid()))
    }

    async fn end(&self, how: Action) -> EnvironmentResult<ProcessEnd> {
        let life = self.alive().await?;
        lock(&self.lives).asked_to_end = true;
        if how == Action::Stop {
            let end = life.stop(self.description.stop_signal, self.description.grace).await;
            if end.is_foreign() {
                lock(&self.lives).asked_to_end = false;
                return Err(self.no_effect(format!("{KILLED_MEANWHILE}: {}", end.proof)));
            }
            self.is_gone(&life, &end.ended)?;
            return Ok(end);
        }
        let ended = life.kill().await;
        self.is_gone(&life, &ended)?;
        let proof = format!("process {} is gone: {}", life.pid(), ended.how);
        Ok(ProcessEnd { ended, proof, forced: false })
    }

    /// What was ended is really gone.
    fn is_gone(&self, life: &ProcessLife, ended: &ProcessEnded) -> EnvironmentResult<()> {
        let stuck = || EnvironmentError::failed(format!("process {} of {}: {}", life.pid(), self.name(), ended.how));
        life.try_ended().map(drop).ok_or_else(stuck)
    }

    async fn alive(&self) -> EnvironmentResult<Arc<ProcessLife>> {
        let life = self.life().ok_or_else(|| self.no_effect("it was never started"))?;
        match life.settled().await {
            None => Ok(life),
            Some(ended) => Err(self.no_effect(format!("it was not running: {}", ended.how))),
        }
    }

    fn no_effect(&self, observed: impl Into<String>) -> EnvironmentError {
        EnvironmentError::NoEffect { service: self.name().to_owned(), observed: observed.into() }
    }

    /// Ends it for good: by request where its data is kept, else at once.
    pub(super) async fn shutdown(&self, gently: bool) {
        let _alone = self.acting.lock().await;
        let Some(life) = self.life() else { return };
        lock(&self.lives).asked_to_end = true;
        if gently {
            life.stop(self.description.stop_signal, self.description.grace).await;
        } else {
            life.stop(self.description.end_signal, Duration::from_secs(5)).await;
        }
    }

    /// Asks it to end and gives it `grace`; how it ended.
    pub(super) async fn stop_within(&self, grace: Duration) -> Option<ProcessEnded> {
        let life = self.life()?;
        lock(&self.lives).asked_to_end = true;
        Some(life.stop(self.description.stop_signal, grace).await.ended)
    }

    /// What it is doing, once an end that is on its way has come.
    pub(super) async fn settled(&self) -> ServiceState {
        if let Some(life) = self.life() {
            life.settled().await;
        }
        self.state()
    }

    /// What it is doing.
    pub(super) fn state(&self) -> ServiceState {
        let lives = lock(&self.lives);
        let ended = lives.current.as_ref().and_then(|life| life.try_ended());
        let lifecycle = match (&lives.current, &ended) {
            (Some(life), None) if life.is_stopped() => Lifecycle::Paused,
            (Some(_), None) => Lifecycle::Running,
            (Some(_), Some(_)) if !lives.asked_to_end => Lifecycle::Exited,
            _ => Lifecycle::Stopped,
        };
        ServiceState {
            lifecycle,
            identity: lives.current.as_ref().map_or_else(String::new, |life| life.pid().to_string()),
            restarts: lives.started.saturating_sub(1),
            exit_code: ended.map(|ended| ended.code).or(lives.last_exit),
        }
    }

    /// When its present life ended, where it has.
    pub(super) fn ended_at(&self) -> Option<Instant> {
        self.life()?.try_ended().map(|ended| ended.at)
    }

    /// Its resources so far. Walks the data folder, so call it off the control threads.
    pub(super) fn usage(&self) -> Usage {
        let (life, spent) = {
            let lives = lock(&self.lives);
            (lives.current.clone(), lives.spent)
        };
        let ended = life.as_ref().and_then(|life| life.try_ended());
        let now = match (&life, &ended) {
            (Some(life), None) => footprint(life.pid(), &life.family()),
            _ => super::usage::Footprint::default(),
        };
        Usage {
            cpu_seconds: (spent + ended.map_or(now.ticks, |ended| ended.ticks)) as f64 / ticks_per_second(),
            cpus: cpus(),
            memory: now.anonymous,
            working_set: now.resident,
            disk: self.description.data.as_ref().map(|(folder, _)| disk(folder)),
        }
    }

    /// Lines of its log. Reads the file, so call it off the control threads.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) fn logs(&self, query: LogQuery) -> EnvironmentResult<Vec<LogLine>> {
        read(&self.description.launch.log, query)
            .map_err(|error| EnvironmentError::caused(format!("could not read the log of {}", self.name()), error))
    }

    /// The last lines of its log that explain an end.
    pub(super) fn last_words(&self) -> Vec<String> {
        last_words(&self.description.launch.log)
    }

    /// The error for a life that is over, by itself or because that was asked for.
    pub(super) fn over(&self, ended: &ProcessEnded) -> EnvironmentError {
        if lock(&self.lives).asked_to_end {
            return self.not_ready(format!("it is down: {}", ended.how));
        }
        EnvironmentError::Died { service: self.name().to_owned(), how: ended.how.clone(), log: self.last_words() }
    }

    /// The error for a service that is not ready in time.
    pub(super) fn not_ready(&self, reason: String) -> EnvironmentError {
        EnvironmentError::NotReady { service: self.name().to_owned(), reason, log: self.last_words() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_start_finishes_an_end_that_nobody_waits_for_any_more() {
        let dir = tempfile::tempdir().expect("a folder");
        let script = "trap 'sleep 0.3; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
        let launch = Launch {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            directory: dir.path().into(),
            log: dir.path().join("log"),
            ..Launch::default()
        };
        let info = ServiceInfo { name: "kafka-1".to_owned(), node_id: Some(1), controllable: true };
        let service = LocalService::new(ServiceDescription {
            info,
            launch,
            data: None,
            stop_signal: Signal::SIGTERM,
            end_signal: Signal::SIGKILL,
            grace: Duration::from_secs(5),
        });
        let first = service.start().await.expect("starts").pid();
        while std::fs::read_to_string(dir.path().join("log")).unwrap_or_default().is_empty() {
            tokio::task::yield_now().await;
        }
        let stopped = tokio::time::timeout(Duration::from_millis(50), service.act(Action::Stop)).await;
        assert!(stopped.is_err(), "given up");
        service.act(Action::Start).await.expect("started again");
        assert!(service.is_running() && service.life().is_some_and(|life| life.pid() != first));
        assert!(service.act(Action::Start).await.is_err(), "it runs, and nobody asked it to end");
    }
}

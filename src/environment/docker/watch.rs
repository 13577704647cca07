//! What the engine itself says happened, and when.
//!
//! A task follows the engine's events. They prove effects and date them; they also tell who ended a container:
//! a `kill` before its `die` means that the engine was asked to.

use super::engine::Engine;
use crate::ground::lock;
use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptions;
use futures_util::StreamExt;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often a broken stream is opened again; a restarting engine takes a second or more.
const REOPEN_EVERY: Duration = Duration::from_millis(250);
/// The events that are of use; health checks would fill the engine's short memory of 256 otherwise.
const KINDS: [&str; 10] =
    ["pause", "unpause", "kill", "stop", "die", PODMAN_DIE, "oom", "start", "connect", "disconnect"];
/// So soon after the kernel has ended a process the container ends, where that was the process that it is.
const AFTER_OOM: Duration = Duration::from_secs(1);
/// How a container ends that was killed.
const KILLED: i32 = 137;
/// What Docker calls `die`.
const PODMAN_DIE: &str = "died";

/// One event of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContainerEvent {
    /// By the engine's clock, brought to this machine's.
    pub(super) at: SystemTime,
    /// Full container id.
    pub(super) container: String,
    /// `die`, `disconnect` …
    pub(super) action: String,
    /// For `connect` and `disconnect`.
    pub(super) network: Option<String>,
    /// For `die`.
    pub(super) exit_code: Option<i32>,
}

/// What the engine's events say of a container so far.
#[derive(Debug, Default)]
pub(super) struct ContainerPast {
    /// When it was last paused, resumed, started or ended.
    pub(super) since: Option<SystemTime>,
    /// How often it was paused.
    pub(super) pauses: u64,
    /// The exit code of its last end.
    pub(super) exit_code: Option<i32>,
    /// Whether the last end was for want of memory.
    pub(super) out_of_memory: bool,
    /// How often the kernel ended a process of it for want of memory, whether or not it lived on.
    pub(super) ooms: u64,
}

/// The events since attaching.
pub(super) struct Watch {
    seen: Arc<Mutex<Vec<ContainerEvent>>>,
    /// Counts changes of `seen`, so that an event can be awaited.
    changed: watch::Receiver<u64>,
    interruptions: Arc<Mutex<Vec<SystemTime>>>,
    /// When following began.
    pub(super) since: SystemTime,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Follows the events from now on.
    pub(super) fn start(engine: Engine) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let interruptions = Arc::new(Mutex::new(Vec::new()));
        let (changes, changed) = watch::channel(0);
        let since = SystemTime::now();
        let task = tokio::spawn(follow(engine, since, Arc::clone(&seen), Arc::clone(&interruptions), changes));
        Self { seen, changed, interruptions, since, task }
    }

    /// A point in the events; later ones are those of what is done next.
    pub(super) fn mark(&self) -> usize {
        self.events(|seen| seen.len())
    }

    fn events<T>(&self, read: impl FnOnce(&[ContainerEvent]) -> T) -> T {
        read(&lock(&self.seen))
    }

    /// Waits for the first event after `mark` that `wanted` accepts, at most `patience`.
    pub(super) async fn after(
        &self,
        mark: usize,
        patience: Duration,
        wanted: impl Fn(&ContainerEvent) -> bool,
    ) -> Option<ContainerEvent> {
        let mut changed = self.changed.clone();
        let search = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = self.events(|seen| seen.iter().skip(mark).find(|seen| wanted(seen)).cloned()) {
                    return Some(found);
                }
                changed.changed().await.ok()?;
            }
        };
        tokio::time::timeout(patience, search).await.ok().flatten()
    }

    /// How often a container was started since attaching.
    pub(super) fn starts(&self, container: &str) -> u32 {
        let starts = self
            .events(|seen| seen.iter().filter(|seen| seen.container == container && seen.action == "start").count());
        u32::try_from(starts).unwrap_or(u32::MAX)
    }

    /// What happened to a container since attaching.
    pub(super) fn past(&self, container: &str) -> ContainerPast {
        self.events(|seen| past(seen.iter().filter(|seen| seen.container == container)))
    }

    /// Waits for the next event.
    pub(super) async fn next(&self) {
        let mut changed = self.changed.clone();
        changed.borrow_and_update();
        if changed.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the last end of a container was asked for through the engine, by whomever.
    pub(super) fn was_asked_to_end(&self, container: &str) -> bool {
        self.events(|seen| {
            let own = seen.iter().rev().filter(|seen| seen.container == container);
            own.map(|seen| seen.action.as_str())
                .take_while(|action| *action != "start")
                .any(|action| matches!(action, "kill" | "stop"))
        })
    }

    /// When the engine went away since `since`, if it did.
    pub(super) fn interrupted_since(&self, since: SystemTime) -> Option<SystemTime> {
        let interruptions = lock(&self.interruptions);
        interruptions.iter().copied().find(|at| *at >= since)
    }
}

fn past<'a>(events: impl Iterator<Item = &'a ContainerEvent>) -> ContainerPast {
    let (mut past, mut short) = (ContainerPast::default(), None);
    for seen in events {
        match seen.action.as_str() {
            "oom" => {
                short = Some(seen.at);
                past.ooms += 1;
            }
            "die" => {
                past.exit_code = seen.exit_code;
                let at_once = |since| seen.at.duration_since(since).is_ok_and(|after| after <= AFTER_OOM);
                past.out_of_memory = short.take().is_some_and(|since| at_once(since) || seen.exit_code == Some(KILLED));
            }
            // Somebody asked for the end that follows.
            "kill" => {
                short = None;
                continue;
            }
            "start" => short = None,
            "pause" => past.pauses += 1,
            "unpause" => {}
            _ => continue,
        }
        past.since = Some(seen.at);
    }
    past
}

async fn follow(
    engine: Engine,
    since: SystemTime,
    seen: Arc<Mutex<Vec<ContainerEvent>>>,
    interruptions: Arc<Mutex<Vec<SystemTime>>>,
    changes: watch::Sender<u64>,
) {
    let mut since = engine.engine_time(since);
    loop {
        let mut stream = engine.docker.events(Some(EventsOptions {
            since: Some(unix_seconds(since)),
            until: None,
            filters: Some(HashMap::from([
                ("type".to_owned(), vec!["container".to_owned(), "network".to_owned()]),
                ("event".to_owned(), KINDS.iter().map(|kind| (*kind).to_owned()).collect()),
            ])),
        }));
        while let Some(Ok(message)) = stream.next().await {
            let Some(mut event) = read(message) else { continue };
            since = event.at + Duration::from_nanos(1);
            event.at = engine.local_time(event.at);
            let mut seen = lock(&seen);
            // `since` is inclusive in some engines: a reopened stream may repeat the last event.
            if seen.last() != Some(&event) {
                seen.push(event);
            }
            drop(seen);
            changes.send_modify(|changes| *changes += 1);
        }
        lock(&interruptions).push(SystemTime::now());
        tokio::time::sleep(REOPEN_EVERY).await;
        while engine.docker.ping().await.is_err() {
            tokio::time::sleep(REOPEN_EVERY).await;
        }
    }
}

/// Whether a container was asked to end within the last `span` and has not done so yet, by what the engine remembers.
pub(super) async fn is_ending(engine: &Engine, container: &str, span: Duration) -> bool {
    let now = engine.engine_time(SystemTime::now());
    let kinds = ["kill", "die", PODMAN_DIE, "start"];
    let mut stream = engine.docker.events(Some(EventsOptions {
        since: Some(unix_seconds(now - span)),
        until: Some(unix_seconds(now)),
        filters: Some(HashMap::from([
            ("container".to_owned(), vec![container.to_owned()]),
            ("event".to_owned(), kinds.iter().map(|kind| (*kind).to_owned()).collect()),
        ])),
    }));
    let mut last = None;
    while let Some(Ok(message)) = stream.next().await {
        last = message.action.or(last);
    }
    last.as_deref() == Some("kill")
}

fn unix_seconds(time: SystemTime) -> String {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since_epoch.as_secs(), since_epoch.subsec_nanos())
}

fn read(message: EventMessage) -> Option<ContainerEvent> {
    let nanos = u64::try_from(message.time_nano?).ok()?;
    let actor = message.actor?;
    let attributes = actor.attributes.unwrap_or_default();
    let exit_code = attributes.get("exitCode").or_else(|| attributes.get("containerExitCode"));
    let exit_code = exit_code.and_then(|code| code.parse().ok());
    let of_network = message.typ == Some(EventMessageTypeEnum::NETWORK);
    Some(ContainerEvent {
        at: SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos),
        container: if of_network { attributes.get("container")?.clone() } else { actor.id? },
        action: message.action.map(|action| if action == PODMAN_DIE { "die".to_owned() } else { action })?,
        network: of_network.then(|| attributes.get("name").cloned()).flatten(),
        exit_code,
    })
}

/// Brings a time of day to the monotonic clock, between `earliest` and now: where the engine's clock is off by more
/// than the action took, the bound is nearer to the truth.
pub(super) fn instant(at: SystemTime, earliest: Instant) -> Instant {
    let now = Instant::now();
    let age = SystemTime::now().duration_since(at).unwrap_or_default();
    now.checked_sub(age).unwrap_or(earliest).clamp(earliest, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_for_want_of_memory_is_told_from_others() {
        let seen = |second: u64, action: &str, exit_code| ContainerEvent {
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
            container: "c".to_owned(),
            action: action.to_owned(),
            network: None,
            exit_code,
        };
        let mut events = vec![seen(1, "pause", None), seen(2, "unpause", None), seen(3, "oom", None)];
        events.extend([seen(4, "die", Some(137)), seen(5, "start", None)]);
        let first = past(events.iter());
        assert_eq!((first.pauses, first.exit_code, first.out_of_memory), (1, Some(137), true));
        assert_eq!(first.since, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(5)));
        events.push(seen(9, "kill", None));
        events.push(seen(9, "die", Some(137)));
        assert!(!past(events.iter()).out_of_memory, "this life was killed by somebody");
        assert_eq!(past(events.iter()).ooms, 1);
        // A process of a container that lives on, and is killed by somebody, or ends by itself, much later.
        events.extend([seen(10, "start", None), seen(11, "oom", None)]);
        let lives = past(events.iter());
        assert_eq!((lives.ooms, lives.since), (2, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(11))));
        let killed = [seen(99, "kill", None), seen(99, "die", Some(137))];
        assert!(!past(events.iter().chain(&killed)).out_of_memory);
        assert!(!past(events.iter().chain(&[seen(99, "die", Some(1))])).out_of_memory);
        assert!(past(events.iter().chain(&[seen(12, "die", Some(3))])).out_of_memory, "at once");
    }
}

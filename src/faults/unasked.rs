//! What services do that nobody in the scenario asked for: they die, are started again, are frozen or woken by something else.

use super::lanes::LanePast;
use super::service::is_down;
use super::stack::{Stack, UndoStack};
use crate::environment::{Environment, Incarnation, Lifecycle};
use crate::ground::lock;
use crate::record::{EventKind, Incident, IncidentKind, Unwatched};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::Notify;

/// Between two looks at all services.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Whether somebody could look at a service.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// Whether it was ever seen in this run.
    answered: bool,
    /// Since when there is no answer, and why, where there was none to the last look.
    unanswered: Option<(f64, String)>,
}

/// A service as it was seen last.
pub(super) struct SeenService {
    past: LanePast,
    seen: Incarnation,
}

impl UndoStack {
    /// Watches the services, and reports what was not done by this run's own steps. When it is told that the run is over, it looks
    /// once more: what happened last would else be seen by nobody. `place` is the name of an environment beside the run's own, on which
    /// no step acts.
    pub async fn watch(&self, place: Option<&str>, environment: &dyn Environment, over: &Notify) {
        let services: Vec<String> = environment.services().into_iter().map(|service| service.name).collect();
        // Whoever acts on the run's own services waits for a look at them, and not for one at others.
        let mut beside = BTreeMap::new();
        let mut last = false;
        loop {
            for service in &services {
                match place {
                    None => self.0.look(environment, service).await,
                    Some(place) => {
                        let shown = format!("{place}/{service}");
                        self.0.compare(&mut beside, &shown, environment, service).await;
                    }
                }
            }
            if last {
                return;
            }
            tokio::select! {
                biased;
                () = over.notified() => last = true,
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = environment.happened() => {}
            }
        }
    }

    /// Tells which services could not be looked at any more, once nobody watches: what became of those nobody knows. Where a later look
    /// was answered, that one has seen what had happened meanwhile.
    pub fn tell_unwatched(&self) {
        for (service, looks) in lock(&self.0.looks).iter_mut() {
            if let (true, Some((since, why))) = (looks.answered, looks.unanswered.take()) {
                let unwatched = Unwatched { service: service.clone(), since, why };
                self.0.recorder.emit(EventKind::Unwatched { unwatched });
            }
        }
    }
}

impl Stack {
    /// Compares a service with what was known of it, and reports what was not done by this run's own steps.
    pub(super) async fn look(&self, environment: &dyn Environment, service: &str) {
        let mut known = self.known.lock().await;
        self.compare(&mut known, service, environment, service).await;
    }

    /// The same for a service that is told under a name, against what is `known` by that name.
    async fn compare(
        &self,
        known: &mut BTreeMap<String, SeenService>,
        shown: &str,
        environment: &dyn Environment,
        service: &str,
    ) {
        let Some(past) = self.lanes.past(shown) else { return };
        let since = self.clock.now();
        self.looks(shown, |looks| {
            looks.unanswered.get_or_insert_with(|| (since, "it was not told what it is doing".to_owned()));
        });
        // One that cannot be observed for a moment is compared with what comes after.
        let seen = match environment.incarnation(service).await {
            Ok(seen) => seen,
            Err(error) => {
                self.looks(shown, |looks| looks.unanswered = Some((looks.since(since), error.to_string())));
                return;
            }
        };
        self.looks(shown, |looks| *looks = Looks { answered: true, unanswered: None });
        // A step acted meanwhile: what was seen belongs to that.
        if self.lanes.past(shown) != Some(past) {
            return;
        }
        let now = SeenService { past, seen };
        if let Some(kind) = known.get(shown).and_then(|before| unasked(before, &now)) {
            let incident = self.incident(shown, kind, &now.seen);
            self.recorder.emit(EventKind::Incident { incident });
        }
        known.insert(shown.to_owned(), now);
    }

    fn looks(&self, service: &str, change: impl FnOnce(&mut Looks)) {
        change(lock(&self.looks).entry(service.to_owned()).or_default());
    }

    /// What is reported, with the time at which the environment says that it happened.
    fn incident(&self, service: &str, kind: IncidentKind, seen: &Incarnation) -> Incident {
        let ended = matches!(kind, IncidentKind::Died | IncidentKind::Restarted);
        Incident {
            service: service.to_owned(),
            at: seen.since.map_or_else(|| self.clock.now(), |since| self.clock.at(since)),
            kind,
            exit_code: seen.exit_code.filter(|_| ended),
            cause: seen.cause.clone().filter(|_| ended),
            expected: false,
        }
    }
}

impl Looks {
    /// Since when there is no answer, at the latest since then.
    fn since(&self, now: f64) -> f64 {
        self.unanswered.as_ref().map_or(now, |(since, _)| *since)
    }
}

/// What a service did between two looks that no step of this run did.
fn unasked(before: &SeenService, now: &SeenService) -> Option<IncidentKind> {
    changed(before, now).or_else(|| {
        let lives_on = before.seen.life == now.seen.life && !is_down(now.seen.lifecycle);
        (lives_on && now.seen.ooms > before.seen.ooms).then_some(IncidentKind::OutOfMemory)
    })
}

/// The same of its life and of what it is doing.
fn changed(before: &SeenService, now: &SeenService) -> Option<IncidentKind> {
    let (was, is) = if before.past == now.past {
        (before.seen.lifecycle, now.seen.lifecycle)
    } else {
        // A step acted on it: it has to be as that left it.
        (now.past.left?, now.seen.lifecycle)
    };
    let same_life = before.past != now.past || before.seen.life == now.seen.life;
    match (is_down(was), is_down(is)) {
        (true, true) if same_life => None,
        (_, true) => Some(IncidentKind::Died),
        (true, false) => Some(IncidentKind::Started),
        (false, false) if !same_life => Some(IncidentKind::Restarted),
        (false, false) => match (was, is) {
            (Lifecycle::Running, Lifecycle::Paused) => Some(IncidentKind::Paused),
            (Lifecycle::Paused, Lifecycle::Running) => Some(IncidentKind::Resumed),
            // It was paused and resumed between two looks.
            _ if before.past == now.past && before.seen.pauses != now.seen.pauses => Some(IncidentKind::Paused),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(turns: u64, left: Option<Lifecycle>, life: &str, lifecycle: Lifecycle) -> SeenService {
        let seen = Incarnation {
            life: life.to_owned(),
            lifecycle,
            exit_code: None,
            since: None,
            pauses: 0,
            cause: None,
            ooms: 0,
        };
        SeenService { past: LanePast { turns, left }, seen }
    }

    #[test]
    fn only_what_no_step_did_is_unasked() {
        use Lifecycle::{Exited, Paused, Running, Stopped};
        let quiet = |life, lifecycle| known(0, None, life, lifecycle);
        assert_eq!(unasked(&quiet("a", Running), &quiet("a", Running)), None);
        assert_eq!(unasked(&quiet("a", Running), &quiet("a", Exited)), Some(IncidentKind::Died));
        assert_eq!(unasked(&quiet("a", Exited), &quiet("a", Exited)), None, "told once");
        assert_eq!(unasked(&quiet("a", Running), &quiet("b", Running)), Some(IncidentKind::Restarted));
        assert_eq!(unasked(&quiet("a", Exited), &quiet("b", Running)), Some(IncidentKind::Started));
        assert_eq!(unasked(&quiet("a", Exited), &quiet("b", Exited)), Some(IncidentKind::Died), "up and down again");
        assert_eq!(unasked(&quiet("a", Running), &quiet("a", Paused)), Some(IncidentKind::Paused));
        assert_eq!(unasked(&quiet("a", Paused), &quiet("a", Running)), Some(IncidentKind::Resumed));

        let mut blinked = quiet("a", Running);
        blinked.seen.pauses = 1;
        assert_eq!(unasked(&quiet("a", Running), &blinked), Some(IncidentKind::Paused), "too short to be seen");

        let mut short = quiet("a", Running);
        short.seen.ooms = 1;
        assert_eq!(unasked(&quiet("a", Running), &short), Some(IncidentKind::OutOfMemory), "it lived on");
        assert_eq!(unasked(&short, &short), None, "told once");
        short.seen.lifecycle = Exited;
        assert_eq!(unasked(&quiet("a", Running), &short), Some(IncidentKind::Died), "it is the reason of its end");

        let killed = known(1, Some(Stopped), "a", Stopped);
        assert_eq!(unasked(&quiet("a", Running), &killed), None);
        let started = known(2, Some(Running), "b", Running);
        assert_eq!(unasked(&killed, &started), None);
        assert_eq!(unasked(&killed, &known(2, Some(Running), "b", Exited)), Some(IncidentKind::Died), "at once");
        let paused = known(3, Some(Paused), "b", Paused);
        assert_eq!(unasked(&started, &paused), None);
        assert_eq!(unasked(&started, &known(3, Some(Paused), "b", Running)), Some(IncidentKind::Resumed));
        assert_eq!(unasked(&paused, &known(4, None, "b", Exited)), None, "the step that failed says so");
    }
}

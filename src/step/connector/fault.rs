//! Faults whose target is a connector.

use super::act;
use crate::diagnostic::Problem;
use crate::environment::Action;
use crate::execute::{Fate, StepContext, Stop, Undo};
use crate::record::{EventKind, FaultRecord, Quantity};
use crate::step::fault::{Fault, Until};
use crate::step::{CheckContext, StepError, StepOutcome};
use std::time::Instant;

impl Fault {
    /// Refuses what does not apply to connectors.
    pub(in crate::step) fn check_connector(&self, action: Action, cx: &mut CheckContext<'_>) {
        if self.service.is_some() || self.step.is_some() {
            cx.report("/connector", Problem::new("two-targets", format!("`{action}` acts on one thing; give only one")));
        }
        if matches!(action, Action::Kill | Action::Wipe) {
            cx.report(
                "/connector",
                Problem::new("not-for-connectors", format!("`{action}` does not apply to a connector"))
                    .help("a connector is code in the worker's process: use `kill: { service: connect }`"),
            );
        }
        if self.hold.is_some() && !matches!(action, Action::Pause | Action::Stop) {
            cx.report(
                "/for",
                Problem::new("nothing-to-undo", format!("`{action}` is not undone, so it cannot last `for` a time"))
                    .help("use `pause` or `stop` with `for`"),
            );
        }
        if self.until != Until::Ready {
            cx.report("/until", Problem::new("does-not-apply", "a connector is waited for until its tasks run"));
        }
    }

    /// Acts on a connector. What pauses or stops it is undone by resuming it.
    pub(in crate::step) async fn on_connector(
        &self,
        action: Action,
        connector: &str,
        cx: &mut StepContext,
    ) -> Result<StepOutcome, StepError> {
        let run = cx.run.clone();
        let mut record = FaultRecord {
            step: cx.id.clone(),
            target: connector.to_owned(),
            action: action.verb().to_owned(),
            requested: run.clock.now(),
            ..FaultRecord::default()
        };
        let holds = matches!(action, Action::Pause | Action::Stop);
        let number = if holds {
            let undo = Undo::Resume { connector: connector.to_owned() };
            let fate = match (self.leave, self.hold) {
                (true, _) => Fate::Stays,
                (false, Some(_)) => Fate::Held,
                (false, None) => Fate::Open,
            };
            let announced = run.undo.announce(undo, None, record.clone(), fate);
            announced.map_err(|error| {
                StepError::broken("journal", format!("the undo journal cannot be written: {error}"))
            })?
        } else {
            0
        };
        let effect = act(connector, action, cx).await.map_err(|error| error.at("/connector"));
        if effect.is_err() {
            run.undo.let_go(number);
        }
        let effect = effect?;
        self.note(action, &effect, &mut record, cx);
        run.undo.update(number, &record);
        let seconds = |from: Instant, to: Instant| Quantity::seconds(to.saturating_duration_since(from).as_secs_f64());
        let effective = effect.down.unwrap_or(effect.effective);
        let mut outcome =
            StepOutcome::default().metric("effect_after", seconds(effect.requested, effective)).details(serde_json::json!({
                "proof": effect.proof,
            }));
        cx.prepared();
        if let (Some(hold), true) = (self.hold, holds) {
            tokio::select! {
                () = tokio::time::sleep(hold.0.saturating_sub(effect.effective.elapsed())) => {}
                _ = cx.stop.at_least(Stop::Now) => {}
            }
            let undone = act(connector, Action::Resume, cx).await.map_err(|error| error.at("/connector"));
            if undone.is_err() {
                run.undo.let_go(number);
            }
            let undone = undone?;
            record.undone = Some(run.clock.at(undone.requested));
            record.ready = Some(run.clock.at(undone.effective));
            outcome = outcome.metric("ready_after", seconds(undone.requested, undone.effective));
            run.undo.strike(number);
            run.recorder.emit(EventKind::Fault { record });
        } else if !holds {
            // Restarting ends what held it, too: Connect starts what it restarts.
            let ready = run.clock.at(effect.effective);
            for mut earlier in run.undo.resumed(connector) {
                earlier.undone = Some(run.clock.at(effect.requested));
                earlier.ready = Some(ready);
                run.recorder.emit(EventKind::Fault { record: earlier });
            }
            outcome = outcome.metric("ready_after", seconds(effective, effect.effective));
            if action == Action::Restart {
                record.undone = Some(ready);
                record.ready = Some(ready);
                run.recorder.emit(EventKind::Fault { record });
            }
        }
        Ok(outcome)
    }
}

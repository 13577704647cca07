//! How every fault goes, whatever it acts on: shown to be possible, journalled, applied, watched, undone, awaited.
//!
//! One rule for all. A fault with a time is undone when that is over, when the step's own time is up, when the run is to end,
//! when it is over by itself, or when it is in force no longer; then the step waits until the target is ready. A step that is given up meanwhile leaves
//! its fault to the end of `steps`, and so does a fault without a time. A fault that is meant to stay is undone by nobody, whatever
//! it acts on and whatever ends its step or the run; it does not stand in the journal.

use super::fault_error::FaultError;
use super::guard;
use super::lanes::Turn;
use super::stack::{PATIENCE, Stack, UndoStack, UndoneBy};
use super::target::{Nature, Target};
use crate::environment::{Effect, Grip};
use crate::moment;
use crate::record::{EventKind, FaultRecord, TargetKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a step wants done.
pub(crate) struct Order {
    /// The step's id.
    pub(crate) step: String,
    /// To what.
    pub(crate) target: Arc<dyn Target>,
    /// How long it is held; `None` until somebody else undoes it.
    pub(crate) hold: Option<Duration>,
    /// Whether it stays after the run: nobody undoes it.
    pub(crate) leave: bool,
    /// Whether to wait until the target is ready.
    pub(crate) until_ready: bool,
    /// When the step's time is up, where the scenario states one.
    pub(crate) deadline: Option<Instant>,
}

impl Order {
    /// How long the target may take to be ready again: as long as the step may, where that is stated and longer than usual.
    fn patience(&self) -> Duration {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(moment::now()));
        left.unwrap_or_default().max(PATIENCE)
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Seconds from asking until the effect was proved.
    pub(crate) effect_after: f64,
    /// Seconds from when the target came up again until it was ready.
    pub(crate) ready_after: Option<f64>,
    /// How the effect is known.
    pub(crate) proof: String,
    /// What went wrong after it had taken effect.
    pub(crate) failure: Option<FaultError>,
}

/// Carries out an order. `in_force` is called once it has taken effect; `stop` ends what is held before its time.
///
/// # Errors
/// It did not take effect. What goes wrong later is in the answer.
pub(crate) async fn carry_out(
    stack: &UndoStack,
    order: Order,
    in_force: impl FnOnce() + Send,
    stop: impl Future<Output = ()> + Send,
) -> Result<Done, FaultError> {
    let stack = &stack.0;
    match order.target.nature() {
        Nature::Lasts => last(stack, &order, in_force, stop).await,
        Nature::Passes => pass(stack, &order, in_force).await,
        Nature::Repairs => repair(stack, &order, in_force).await,
    }
}

/// While a step has a fault in its hands. One that is given up leaves it to the end of `steps`.
struct Held<'a> {
    stack: &'a Stack,
    number: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.stack.with(self.number, |open| {
            if open.fate == UndoneBy::Held {
                open.fate = UndoneBy::Open;
            }
        });
    }
}

async fn last(
    stack: &Arc<Stack>,
    order: &Order,
    in_force: impl FnOnce() + Send,
    stop: impl Future<Output = ()> + Send,
) -> Result<Done, FaultError> {
    let target = &order.target;
    let fate = if order.leave { UndoneBy::Stays } else { UndoneBy::Held };
    let mut turn = enter(stack, target.as_ref()).await;
    let shared = shared(stack, target.as_ref())?;
    if shared.is_none() {
        target.check().await?;
    }
    let number = stack.announce(&order.step, target, order.patience(), (fate, shared.is_some())).await?;
    let held = Held { stack, number };
    let effect = match shared {
        Some(step) => counted(target.as_ref(), &step).await,
        None => apply(target.as_ref(), &mut turn).await,
    };
    let effect = stack.answered(number, effect)?;
    turn.leaves(target.leaves(false));
    stack.ended_by(target.as_ref(), &order.step, Some(number), (effect.requested, effect.effective));
    drop(turn);
    guard::watch(stack, number);
    in_force();
    let mut done = Done::of(&effect);
    let Some(hold) = order.hold else { return Ok(done) };
    // What lasts until it is over by itself has no end that an instant could name.
    let end = effect.effective.checked_add(hold);
    let until = async {
        match end {
            Some(end) => guard::until(stack, number, end).await,
            None => std::future::pending().await,
        }
    };
    let stopped = async {
        stop.await;
        guard::last_look(stack, number, moment::now() + target.look_takes()).await;
    };
    tokio::select! {
        over = target.over() => return Ok(ended(stack, order, held, &effect, over).await),
        () = until => {}
        () = stopped => {
            if order.leave {
                return Ok(done);
            }
        }
        () = guard::lost(stack, number) => {}
    }
    if order.leave {
        // It has ended although it was to stay, and nobody undoes it.
        let why = stack.strike(number).and_then(|record| record.ended_early);
        done.failure = why.map(|why| not_in_force(target.as_ref(), why));
        return Ok(done);
    }
    release(stack, order, held, &mut done).await;
    Ok(done)
}

/// Undoes what is held and waits until its target is ready; what goes wrong is in `done`.
async fn release(stack: &Stack, order: &Order, held: Held<'_>, done: &mut Done) {
    let record = match stack.undo(held.number, PATIENCE).await {
        Ok(record) => record,
        Err(error) => {
            done.failure = Some(error);
            return;
        }
    };
    drop(held);
    let Some(record) = record else { return };
    let early = record.ended_early.clone();
    let up = record.undone;
    done.ready(stack, order, up, vec![record]).await;
    if let Some(why) = early {
        done.failure = Some(not_in_force(order.target.as_ref(), why));
    }
}

fn not_in_force(target: &dyn Target, why: String) -> FaultError {
    FaultError::NotInForce { fault: format!("{} of {}", target.what(), target.name()), why }
}

/// A fault that is over by itself: there is nothing to undo any more. Where that cannot be seen, it is left to the end of
/// `steps`.
async fn ended(
    stack: &Stack,
    order: &Order,
    held: Held<'_>,
    effect: &Effect,
    over: Result<Instant, FaultError>,
) -> Done {
    let mut done = Done::of(effect);
    match over {
        Ok(at) => {
            let records = stack.close(held.number, at, at);
            let begun = stack.clock.at(effect.effective);
            done.ready(stack, order, Some(begun), records.into_iter().collect()).await;
        }
        Err(error) => done.failure = Some(error),
    }
    done
}

/// The step that holds the target in this state already, where that is to be counted.
///
/// # Errors
/// A step that is over has left it so: to do it again changes nothing.
fn shared(stack: &Stack, target: &dyn Target) -> Result<Option<String>, FaultError> {
    match stack.same(target) {
        None => Ok(None),
        Some((step, UndoneBy::Held)) if target.counts() => Ok(Some(step)),
        Some((step, _)) => {
            let observed = format!("the `{}` of step `{step}` is still in force", target.what());
            Err(FaultError::no_effect(&target.name(), observed))
        }
    }
}

/// Waits for its turn. What something else did to the service just before is seen first: afterwards nobody could tell it from what is
/// done now.
async fn enter(stack: &Stack, target: &dyn Target) -> Turn {
    if let Some(environment) = target.environment() {
        stack.look(environment, &target.name()).await;
    }
    stack.lanes.enter(target.lane()).await
}

/// Carries it out. What had no effect is no action: whatever is seen of the target afterwards, something else did it.
async fn apply(target: &dyn Target, turn: &mut Turn) -> Result<Effect, FaultError> {
    turn.acts(true);
    let effect = target.apply().await;
    if effect.as_ref().is_err_and(FaultError::is_no_effect) {
        turn.acts(false);
    }
    effect
}

/// The effect of a fault that another step holds already: it is looked at, not applied again.
async fn counted(target: &dyn Target, step: &str) -> Result<Effect, FaultError> {
    let requested = moment::now();
    match target.probe().await? {
        Grip::Holds(proof) => {
            let proof = format!("step `{step}` holds it already: {proof}");
            Ok(Effect { requested, effective: moment::now(), down: None, proof, forced: false })
        }
        Grip::Lost(observed) => Err(FaultError::no_effect(&target.name(), observed)),
    }
}

async fn pass(stack: &Arc<Stack>, order: &Order, in_force: impl FnOnce() + Send) -> Result<Done, FaultError> {
    let target = &order.target;
    let mut turn = enter(stack, target.as_ref()).await;
    target.check().await?;
    let number = stack.announce(&order.step, target, order.patience(), (UndoneBy::Held, false)).await?;
    // Interrupted half-way, it leaves the target down: that is undone at the end of `steps`.
    let held = Held { stack, number };
    let effect = apply(target.as_ref(), &mut turn).await;
    let effect = stack.answered(number, effect)?;
    turn.leaves(target.leaves(false));
    let mut records = stack.ended_by(target.as_ref(), &order.step, Some(number), (effect.requested, effect.effective));
    records.extend(stack.close(number, effect.effective, effect.effective));
    drop((turn, held));
    in_force();
    let mut done = Done::of(&effect);
    done.ready(stack, order, Some(stack.clock.at(up_since(target.as_ref(), &effect))), records).await;
    Ok(done)
}

async fn repair(stack: &Arc<Stack>, order: &Order, in_force: impl FnOnce() + Send) -> Result<Done, FaultError> {
    let target = &order.target;
    let mut turn = enter(stack, target.as_ref()).await;
    target.check().await?;
    let effect = apply(target.as_ref(), &mut turn).await?;
    turn.leaves(target.leaves(false));
    let up = up_since(target.as_ref(), &effect);
    let records = stack.ended_by(target.as_ref(), &order.step, None, (effect.requested, up));
    drop(turn);
    in_force();
    let mut done = Done::of(&effect);
    done.ready(stack, order, Some(stack.clock.at(up)), records).await;
    Ok(done)
}

/// From when a target counts as coming up: a connector answers only when it runs, so from when it was asked to.
fn up_since(target: &dyn Target, effect: &Effect) -> Instant {
    if target.kind() == TargetKind::Connector { effect.down.unwrap_or(effect.requested) } else { effect.effective }
}

impl Done {
    fn of(effect: &Effect) -> Self {
        let effective = effect.down.unwrap_or(effect.effective);
        let effect_after = effective.saturating_duration_since(effect.requested).as_secs_f64();
        Self { effect_after, proof: effect.proof.clone(), ..Self::default() }
    }

    /// Waits until the target is ready, unless another fault keeps it from that, and enters when that was.
    async fn ready(&mut self, stack: &Stack, order: &Order, up: Option<f64>, records: Vec<FaultRecord>) {
        let target = &order.target;
        if !order.until_ready || stack.is_hindered(target.as_ref()) {
            return;
        }
        let ready = match target.ready(order.patience()).await {
            Ok(Some(at)) => stack.clock.at(at),
            Ok(None) => return,
            Err(error) => {
                self.failure = Some(error);
                return;
            }
        };
        self.ready_after = up.map(|up| (ready - up).max(0.0));
        for mut record in records {
            record.ready = Some(ready);
            stack.recorder.emit(EventKind::Fault { record });
        }
    }
}

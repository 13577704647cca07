//! Watches over faults in force: what ends without kscen having undone it is noticed when it ends.

use super::lanes::LanePast;
use super::stack::Stack;
use super::target::Target;
use crate::environment::Grip;
use crate::moment;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Looks at a fault again and again, until it is struck.
pub(super) fn watch(stack: &Arc<Stack>, number: u64) {
    let task = tokio::spawn(look(Arc::downgrade(stack), number));
    let handle = task.abort_handle();
    if stack.with(number, |open| open.guard.replace(handle.clone())).is_none() {
        handle.abort();
    }
}

async fn look(stack: Weak<Stack>, number: u64) {
    let began = moment::now();
    loop {
        let Some((target, pace)) = stack.upgrade().and_then(|stack| {
            stack.with(number, |open| (Arc::clone(&open.target), open.target.pace(moment::since(began))))
        }) else {
            return;
        };
        tokio::time::sleep(pace).await;
        let past = |stack: &Stack| past(stack, target.as_ref());
        let Some(before) = stack.upgrade().and_then(|stack| past(&stack)) else { continue };
        let at = moment::now();
        let grip = target.probe().await;
        let Some(stack) = stack.upgrade() else { return };
        // Another step acted meanwhile: what was seen belongs to that.
        if past(&stack) != Some(before) {
            continue;
        }
        match grip {
            Ok(Grip::Holds(_)) => {
                stack.with(number, |open| open.seen = stack.clock.at(at));
            }
            Ok(Grip::Lost(why)) => {
                lose(&stack, number, target.as_ref(), &why);
                return;
            }
            // Nobody could look; that says nothing about the fault.
            Err(_) => {}
        }
    }
}

/// What kscen has done so far that a look at the target may show; `None` while it is about it.
fn past(stack: &Stack, target: &dyn Target) -> Option<(LanePast, Option<LanePast>)> {
    let own = stack.lanes.past(&target.lane())?;
    Some((own, target.disturbed_by().map_or(Some(None), |lane| stack.lanes.past(&lane).map(Some))?))
}

/// Waits until `due`, when a fault is undone, and looks at it before: what had ended unseen must not count as held to its end.
pub(super) async fn until(stack: &Stack, number: u64, due: Instant) {
    let Some(takes) = stack.with(number, |open| open.target.look_takes()) else { return };
    let early = due.checked_sub(takes).unwrap_or(due).saturating_duration_since(moment::now());
    tokio::time::sleep(early).await;
    last_look(stack, number, due).await;
    tokio::time::sleep(due.saturating_duration_since(moment::now())).await;
}

/// Looks at a fault once more. Where the look is not over at `due`, what was seen before counts: no fault is held longer for it.
pub(super) async fn last_look(stack: &Stack, number: u64, due: Instant) {
    let Some(target) = stack.with(number, |open| Arc::clone(&open.target)) else { return };
    // While a step acts beside it, what is seen may be of that.
    if target.disturbed_by().is_some_and(|lane| stack.lanes.past(&lane).is_none()) {
        return;
    }
    let at = moment::now();
    let patience = due.saturating_duration_since(at);
    match tokio::time::timeout(patience, target.probe()).await {
        Ok(Ok(Grip::Lost(why))) => lose(stack, number, target.as_ref(), &why),
        Ok(Ok(Grip::Holds(_))) => {
            stack.with(number, |open| open.seen = stack.clock.at(at));
        }
        _ => {}
    }
}

/// A fault is not in force any more: since when the environment says so, else it counts until it was last seen.
fn lose(stack: &Stack, number: u64, target: &dyn Target, why: &str) {
    let seen = seen(stack, number);
    let ended = target.ended().map(|at| stack.clock.at(at)).filter(|at| *at >= seen);
    stack.lose(number, ended.unwrap_or(seen), why);
}

/// When a fault was last known to be in force.
fn seen(stack: &Stack, number: u64) -> f64 {
    stack.with(number, |open| open.seen).unwrap_or_default()
}

/// Waits until a fault is in force no longer, although it was not undone.
pub(super) async fn lost(stack: &Stack, number: u64) {
    let Some(mut lost) = stack.with(number, |open| open.lost.subscribe()) else { return };
    if lost.wait_for(|lost| *lost).await.is_err() {
        // It was undone by somebody else, who says so.
        std::future::pending::<()>().await;
    }
}

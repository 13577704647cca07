//! Services that are down before a run has done anything.

use super::engine::failure;
use crate::environment::{FaultKind, Lifecycle, ServiceId};
use crate::plan::Plan;
use crate::record::Failure;
use crate::verb::SharedRun;

/// A service that the scenario needs and that is down before anything was done to it. Whatever came of a run on the others would
/// say little, and a step that waits for it would explain itself by something else.
pub(super) async fn dead(run: &SharedRun, plan: &Plan) -> Option<Failure> {
    for service in run.environment.services() {
        if service.node_id.is_none() && !plan.needs.services.iter().any(|needed| needed.to_string() == service.name) {
            continue;
        }
        if is_brought_up(plan, &service.name) {
            continue;
        }
        // What cannot be looked at here is not held against it.
        let Ok(seen) = run.environment.incarnation(&service.name).await else { continue };
        if seen.lifecycle == Lifecycle::Running {
            continue;
        }
        let code = seen.exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
        let message = format!("{} was already {}{code} when the run began", service.name, seen.lifecycle);
        let help = format!("start {} again, or the whole environment: `kscen down`, then `kscen up`", service.name);
        let log = run.last_words(&service.name).await;
        return Some(failure("service-down", message, Some(help), log));
    }
    dead_elsewhere(run).await
}

/// The same of brokers in environments that steps name beside the run's own, on which no step acts.
async fn dead_elsewhere(run: &SharedRun) -> Option<Failure> {
    for (place, other) in &run.others {
        let nodes = other.environment().services().into_iter().filter(|service| service.node_id.is_some());
        for service in nodes {
            let Ok(seen) = other.environment().incarnation(&service.name).await else { continue };
            if seen.lifecycle != Lifecycle::Running {
                let code = seen.exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
                let name = &service.name;
                let message = format!("{place}/{name} was already {}{code} when the run began", seen.lifecycle);
                let help = format!("start {name} of the environment `{place}` again");
                return Some(failure("service-down", message, Some(help), Vec::new()));
            }
        }
    }
    None
}

/// Whether a step of the scenario itself resumes or starts the service.
fn is_brought_up(plan: &Plan, service: &str) -> bool {
    let mut found = false;
    plan.walk(&mut |step| {
        let brings = matches!(step.facts.fault, Some(FaultKind::Act(action)) if action.brings_up());
        let named = step.facts.disturbs.as_deref();
        found |= brings && named.is_some_and(|word| service.parse().is_ok_and(|id: ServiceId| id.is_meant_by(word)));
    });
    found
}

//! The environments that steps name beside the run's own: started with it, and tidied up at its end.

use super::engine::EnvironmentSource;
use crate::environment::{Environment, EnvironmentError, Grant};
use crate::kafka::Admin;
use crate::plan::Plan;
use crate::project::hide_addresses;
use crate::record::Recorder;
use crate::verb::{OtherEnvironment, SharedRun};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long deleting one thing may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The run's environment, and the others by their names.
type Acquired = (Arc<dyn Environment>, BTreeMap<String, Arc<OtherEnvironment>>);

/// Starts the environment of a plan and those that its steps name, or attaches to them. Credentials in the addresses of the others are
/// hidden from here on.
///
/// # Errors
/// One of them cannot be had.
pub(super) async fn acquire(
    plan: &Plan,
    stage: &mut dyn EnvironmentSource,
    recorder: &Recorder,
) -> Result<Acquired, EnvironmentError> {
    let note = |text: String| recorder.note(text);
    let own = stage.acquire(&plan.needs, &note).await?;
    let mut named: BTreeMap<String, BTreeSet<Grant>> = BTreeMap::new();
    plan.walk(&mut |step| {
        for (name, grants) in &step.facts.elsewhere {
            named.entry(name.clone()).or_default().extend(grants);
        }
    });
    let mut others = BTreeMap::new();
    for (name, permitted) in named {
        let environment = stage.acquire_other(&name, &note).await?;
        recorder.hide(|redactor| hide_addresses(redactor, &environment.endpoints()));
        let is_own = stage.is_own(&name);
        others.insert(name, Arc::new(OtherEnvironment::new(environment, permitted, is_own)));
    }
    Ok((own, others))
}

/// Deletes the topics that the run made in other environments; returns what is left, and why.
pub(super) async fn clean(run: &SharedRun) -> Vec<String> {
    let mut left = Vec::new();
    for (name, other) in &run.others {
        let topics = other.topics();
        if topics.is_empty() {
            continue;
        }
        let admin = Admin::new(&other.endpoints().connection(), PATIENCE, run.client_logs.clone());
        for topic in topics {
            let deleted = match &admin {
                Ok(admin) => admin.delete_topic(&topic).await,
                Err(error) => Err(error.clone()),
            };
            match deleted {
                // Somebody has deleted it already.
                Err(error) if error.name() == Some("UNKNOWN_TOPIC_OR_PART") => {}
                Ok(()) => {}
                Err(error) => left.push(format!("topic {topic} of `{name}` was not deleted: {error}")),
            }
        }
    }
    left
}

//! Which service is meant: names checked before the run, roles looked up when the step runs.

use super::target::ServiceTarget;
use super::{CheckContext, StepError};
use crate::diagnostic::{Problem, did_you_mean};
use crate::environment::Needs;
use crate::execute::StepContext;

impl ServiceTarget {
    /// What acting on it needs.
    pub fn needs(&self) -> Needs {
        match self {
            Self::Named(name) if name == "connect" || name == "postgres" || name == "kafka-ui" => {
                Needs::default().service(name)
            }
            Self::Named(name) => {
                let number = name.strip_prefix("kafka-").and_then(|number| number.parse().ok()).unwrap_or(1);
                Needs { brokers: number, ..Needs::default() }
            }
            _ => Needs::kafka(),
        }
    }

    /// Refuses names that no environment has.
    pub fn check(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        let Self::Named(name) = self else { return };
        const FIXED: [&str; 4] = ["kafka", "connect", "postgres", "kafka-ui"];
        let numbered = ["kafka-", "controller-"]
            .iter()
            .any(|prefix| name.strip_prefix(prefix).is_some_and(|number| number.parse::<u16>().is_ok_and(|n| n > 0)));
        if numbered || FIXED.contains(&name.as_str()) {
            return;
        }
        let problem = Problem::new("unknown-service", format!("there is no service `{name}`"));
        let candidates = ["kafka", "kafka-1", "kafka-2", "kafka-3", "controller-1", "connect", "postgres", "kafka-ui"];
        cx.report(
            pointer,
            match did_you_mean(name, candidates) {
                Some(similar) => problem.help(format!("did you mean `{similar}`?")),
                None => problem.help("services are kafka, kafka-1 …, controller-1 …, connect, postgres and kafka-ui"),
            },
        );
    }

    /// The full name of the service that is meant now.
    ///
    /// # Errors
    /// A name or role that nothing here has.
    pub async fn resolve(&self, cx: &StepContext) -> Result<String, StepError> {
        let services = cx.run.environment.services();
        let brokers: Vec<&str> = services
            .iter()
            .map(|service| service.name.as_str())
            .filter(|name| name.starts_with("kafka-") && *name != "kafka-ui")
            .collect();
        let node = match self {
            Self::Named(name) if name == "kafka" => {
                return match brokers.as_slice() {
                    [only] => Ok((*only).to_owned()),
                    _ => Err(StepError::broken(
                        "ambiguous-service",
                        format!("`kafka` is ambiguous: there are {} brokers", brokers.len()),
                    )
                    .help(format!("name one: {}", brokers.join(", ")))),
                };
            }
            Self::Named(name) => {
                return if services.iter().any(|service| service.name == *name) {
                    Ok(name.clone())
                } else {
                    let known = services.iter().map(|service| service.name.clone()).collect();
                    Err(crate::environment::EnvironmentError::UnknownService { service: name.clone(), known }.into())
                };
            }
            Self::AnyBroker => {
                use rand::{RngExt, SeedableRng};
                let seed = cx.run.plan.bindings.seed ^ u64::from(crc32fast::hash(cx.id.as_bytes()));
                let index = rand::rngs::StdRng::seed_from_u64(seed).random_range(0..brokers.len().max(1));
                return brokers.get(index).map(|name| (*name).to_owned()).ok_or_else(|| {
                    StepError::broken("no-broker", "this environment has no broker that can be acted on")
                });
            }
            Self::LeaderOf { topic, partition } => cx.admin()?.leader(topic, *partition).await,
            Self::FollowerOf { topic, partition, number } => cx.admin()?.follower(topic, *partition, *number).await,
            Self::Controller => cx.admin()?.quorum_leader().await,
            Self::CoordinatorOf(group) => cx.admin()?.coordinator(group).await,
        }
        .map_err(|error| StepError::broken("unknown-role", format!("{self} cannot be found: {error}")))?;
        services.iter().find(|service| service.node_id == Some(node)).map(|service| service.name.clone()).ok_or_else(
            || StepError::broken("unknown-node", format!("{self} is node {node}, which is no service here")),
        )
    }
}

//! Which service is meant: names checked before the run, roles looked up when the step runs.

use super::target::ServiceTarget;
use crate::environment::{Needs, ServiceId};
use crate::text::{Problem, did_you_mean};
use crate::verb::{CheckContext, StepContext, StepError};
use crate::wire::{groups, roles};

impl ServiceTarget {
    /// What acting on it needs.
    pub fn needs(&self) -> Needs {
        match self {
            Self::Named(id @ (ServiceId::Connect | ServiceId::Postgres | ServiceId::KafkaUi)) => {
                Needs::default().service(*id)
            }
            Self::Named(ServiceId::Broker(number)) => Needs { brokers: *number, ..Needs::default() },
            Self::OnlyBroker => Needs { only_broker: true, ..Needs::kafka() },
            _ => Needs::kafka(),
        }
    }

    /// Refuses names that no environment has.
    pub fn check(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        let Self::Unknown(name) = self else { return };
        let problem = Problem::new("unknown-service", format!("there is no service `{name}`"));
        let candidates = ["kafka", "kafka-1", "kafka-2", "kafka-3", "controller-1", "connect", "postgres", "kafka-ui"];
        cx.report(
            pointer,
            match did_you_mean(name, candidates) {
                Some(similar) => problem.help(format!("did you mean `{similar}`?")),
                None => problem.help(format!("services are kafka, {}", ServiceId::NAMES)),
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
            .filter(|name| matches!(name.parse(), Ok(ServiceId::Broker(_))))
            .collect();
        let node = match self {
            Self::OnlyBroker => {
                return match brokers.as_slice() {
                    [only] => Ok((*only).to_owned()),
                    _ => Err(StepError::broken(
                        "ambiguous-service",
                        format!("`kafka` is ambiguous: there are {} brokers", brokers.len()),
                    )
                    .help(format!("name one: {}", brokers.join(", ")))),
                };
            }
            Self::Named(_) | Self::Unknown(_) => {
                let name = self.to_string();
                return if services.iter().any(|service| service.name == name) {
                    Ok(name)
                } else {
                    let known = services.iter().map(|service| service.name.clone()).collect();
                    Err(crate::environment::EnvironmentError::UnknownService { service: name, known }.into())
                };
            }
            Self::AnyBroker => {
                use rand::{RngExt, SeedableRng};
                let seed = cx.run.scenario.seed ^ u64::from(crc32fast::hash(cx.id.as_bytes()));
                let index = rand::rngs::StdRng::seed_from_u64(seed).random_range(0..brokers.len().max(1));
                return brokers.get(index).map(|name| (*name).to_owned()).ok_or_else(|| {
                    StepError::broken("no-broker", "this environment has no broker that can be acted on")
                });
            }
            Self::LeaderOf { topic, partition } => roles::leader(&cx.run.wire()?, topic, *partition).await,
            Self::FollowerOf { topic, partition, number } => {
                roles::follower(&cx.run.wire()?, topic, *partition, *number).await
            }
            Self::Controller => roles::quorum_leader(&cx.run.wire()?).await,
            Self::CoordinatorOf(group) => groups::coordinator(&cx.run.wire()?, group).await,
        }
        .map_err(|error| StepError::broken("unknown-role", error.in_full()).because(error))?;
        services.iter().find(|service| service.node_id == Some(node)).map(|service| service.name.clone()).ok_or_else(
            || StepError::broken("unknown-node", format!("{self} is node {node}, which is not a service here")),
        )
    }
}

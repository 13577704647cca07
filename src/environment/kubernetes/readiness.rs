//! Waiting until a service is ready, by asking it; and why it is not, in the cluster's words.

use super::member::PodMember;
use super::pod::SeenPod;
use super::stack::PodStack;
use crate::environment::probe::Probe;
use crate::environment::{EnvironmentError, EnvironmentResult, ServiceId};
use crate::moment::poll;
use std::ops::ControlFlow;
use std::time::Duration;

/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(100);

impl PodStack {
    pub(super) async fn until_ready(&self, member: &PodMember, timeout: Duration) -> EnvironmentResult<()> {
        let probe = self.probe(member);
        let looked = poll(ASK_EVERY, timeout, || async {
            let book = member.book();
            let reason = match book.pod.as_ref() {
                None => Some("it has no pod".to_owned()),
                Some(pod) => pod.why_down(),
            };
            let reason = match (reason, &probe) {
                (Some(reason), _) => Some(reason),
                (None, Some(probe)) => probe.ask().await.err(),
                // A controller of its own speaks to nobody but the brokers: its pod's own check has to do.
                (None, None) => match book.pod.as_ref().and_then(SeenPod::ready) {
                    Some(true) => None,
                    Some(false) => Some("its readiness probe has not said yet that it is ready".to_owned()),
                    None => return Err(unchecked(member)),
                },
            };
            Ok::<_, EnvironmentError>(reason.map_or(ControlFlow::Break(()), ControlFlow::Continue))
        })
        .await?;
        match looked {
            ControlFlow::Break(()) => Ok(()),
            ControlFlow::Continue(reason) => Err(EnvironmentError::NotReady {
                service: member.name.clone(),
                reason: format!("{reason} (waited {} s)", timeout.as_secs_f64()),
                log: self.last_lines(member).await,
            }),
        }
    }

    fn probe(&self, member: &PodMember) -> Option<Probe> {
        match member.id {
            ServiceId::Broker(_) => {
                let bootstrap = self.endpoints.bootstrap.split(',').map(str::trim).filter(|entry| !entry.is_empty());
                let own: Vec<&str> = member.address.as_deref().into_iter().collect();
                let others: Vec<&str> = bootstrap.filter(|entry| own.is_empty() || !own.contains(entry)).collect();
                Probe::broker((&own, &others), &self.endpoints.client_config, member.node_id)
            }
            ServiceId::Controller(_) => None,
            ServiceId::Connect => Some(Probe::http(format!("{}/connectors", self.endpoints.connect.as_ref()?))),
            ServiceId::KafkaUi => Some(Probe::http(format!("{}/actuator/health", self.endpoints.kafka_ui.as_ref()?))),
            ServiceId::Postgres => Probe::postgres(self.endpoints.postgres.clone()?),
        }
    }
}

/// The error for a service of which nothing tells more than that its container runs.
fn unchecked(member: &PodMember) -> EnvironmentError {
    EnvironmentError::Prerequisite {
        message: format!(
            "whether {} is ready cannot be checked: it has no address, and its container no readiness probe",
            member.name
        ),
        remedy: format!("give the container of pod {} a `readinessProbe:`", member.place),
    }
}

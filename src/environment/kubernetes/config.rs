//! What `kscen.yaml` says about an environment in Kubernetes.

use super::cluster::Whereabouts;
use crate::environment::Site;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Pods of a namespace that are the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesConfig {
    /// The kubeconfig; by default what the variable KUBECONFIG names, else the user's own, else the account of the pod that kscen runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// Its context; by default the current one. Name it: the current one may be another tomorrow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The namespace; by default that of the context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The `Kafka` resource of Strimzi in that namespace: its brokers, its controllers and its address are then found by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strimzi: Option<String>,
    /// Which pods play which part, by label.
    #[serde(default, skip_serializing_if = "Selectors::is_empty")]
    pub services: Selectors,
    /// The container that a service runs in, where its pod has several and it is not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// Label selectors, as `kubectl get pods -l` takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selectors {
    /// The brokers: `app=kafka`. They become `kafka-1`, `kafka-2` … in the order of their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<String>,
    /// Controllers in pods of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
    /// Kafka Connect: one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<String>,
    /// PostgreSQL: one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<String>,
    /// Kafka UI: one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka_ui: Option<String>,
}

impl Selectors {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl KubernetesConfig {
    /// Where the API is.
    pub(super) fn whereabouts(&self, site: &Site) -> Whereabouts {
        Whereabouts::told(&site.folder, self.kubeconfig.as_ref(), self.context.as_ref(), self.namespace.as_ref())
    }

    /// The label selectors of brokers and controllers.
    pub(super) fn kafka(&self) -> (Option<String>, Option<String>) {
        let of_strimzi = |part: &str| {
            let cluster = self.strimzi.as_ref()?;
            Some(format!("strimzi.io/cluster={cluster},strimzi.io/{part}-role=true"))
        };
        // A node of Strimzi's that is both counts as a broker.
        let controllers = of_strimzi("controller").map(|selector| format!("{selector},strimzi.io/broker-role!=true"));
        let brokers = self.services.kafka.clone().or_else(|| of_strimzi("broker"));
        (brokers, self.services.controller.clone().or(controllers))
    }
}

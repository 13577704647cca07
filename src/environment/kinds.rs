//! The table of kinds: everything that depends on the kind of an environment starts here.

use super::docker::DockerConfig;
use super::kind::{AnyKind, KindEntry, entry};
use super::kubernetes::KubernetesConfig;
use super::local::LocalConfig;
use super::mock::MockConfig;
use super::remote::RemoteConfig;
use std::sync::Arc;

/// Every kind, in the order of the reference.
pub const KINDS: &[KindEntry] = &[
    // Child processes.
    entry::<LocalConfig>(),
    // Containers.
    entry::<DockerConfig>(),
    // Pods.
    entry::<KubernetesConfig>(),
    // Somebody else's cluster.
    entry::<RemoteConfig>(),
    // librdkafka's own.
    entry::<MockConfig>(),
];

/// The kind of that name.
pub fn kind_named(name: &str) -> Option<&'static KindEntry> {
    KINDS.iter().find(|entry| entry.name == name)
}

/// The environment that exists without a `kscen.yaml`: its name, and its kind.
pub fn builtin() -> (&'static str, Arc<dyn AnyKind>) {
    ("local", Arc::new(LocalConfig::default()))
}

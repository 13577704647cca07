//! The environments that a run reaches beside its own.

use super::SharedRun;
use crate::environment::{Endpoints, Environment, Grant};
use crate::ground::lock;
use crate::verb::StepError;
use crate::wire::WireCluster;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long one question to a cluster may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Another environment of `kscen.yaml`, and what the run has made there.
pub struct OtherEnvironment {
    /// The environment: it is there as long as this is.
    environment: Arc<dyn Environment>,
    /// What the plan said that steps change there, and was held against what is granted.
    permitted: BTreeSet<Grant>,
    is_own: bool,
    topics: Mutex<BTreeSet<String>>,
}

impl OtherEnvironment {
    /// Nothing is made there yet. `permitted` is what steps may change there; `is_own` whether it is the run's own under another name.
    pub fn new(environment: Arc<dyn Environment>, permitted: BTreeSet<Grant>, is_own: bool) -> Self {
        Self { environment, permitted, is_own, topics: Mutex::default() }
    }

    /// Whether it is the run's own environment under another name: who watches that, watches this.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// The environment itself, for who only looks at it.
    pub fn environment(&self) -> &dyn Environment {
        self.environment.as_ref()
    }

    /// Addresses of what runs there.
    pub fn endpoints(&self) -> Endpoints {
        self.environment.endpoints()
    }

    /// kscen's own connections to its brokers, with the properties of its clients.
    ///
    /// # Errors
    /// Where the environment's client properties ask for something that they cannot do.
    pub fn wire(&self) -> Result<(WireCluster, BTreeMap<String, String>), StepError> {
        let properties = self.endpoints().connection();
        let cluster = WireCluster::new(&properties, PATIENCE)
            .map_err(|error| StepError::broken("own-client", error.in_full()).because(error))?;
        Ok((cluster, properties))
    }

    /// The run made this topic there: it is deleted at its end.
    pub fn add(&self, topic: String) {
        lock(&self.topics).insert(topic);
    }

    /// The topics that the run made there.
    pub fn topics(&self) -> Vec<String> {
        lock(&self.topics).iter().cloned().collect()
    }
}

impl SharedRun {
    /// Another environment that a step of the plan names, for who changes this there.
    ///
    /// # Errors
    /// No step names it, so that it was not started; or none that changes this there, so that nobody has held it against the grants.
    pub fn other(&self, name: &str, changes: &[Grant]) -> Result<Arc<OtherEnvironment>, StepError> {
        let help = "write its name as it stands in kscen.yaml, without a reference to something that a step finds";
        let other = self.others.get(name).ok_or_else(|| {
            StepError::broken("unknown-environment", format!("the run does not reach the environment `{name}`"))
                .help(help)
        })?;
        match changes.iter().find(|grant| !other.permitted.contains(grant)) {
            None => Ok(Arc::clone(other)),
            Some(grant) => {
                let message = format!("that this step needs `{grant}` in `{name}` was not known before the run");
                Err(StepError::broken("not-allowed", message).help(help))
            }
        }
    }
}

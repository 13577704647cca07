//! How often services were started again, counted from when the run began.

use crate::environment::Environment;
use crate::record::{Observed, Quantity};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// How often each service had been started again when the run began. An environment counts from when it came up, and may have served
/// other scenarios since.
#[derive(Debug, Default)]
pub struct Restarts(OnceLock<BTreeMap<String, u32>>);

impl Restarts {
    /// The run begins now. A service that cannot be looked at is left out.
    pub async fn begin(&self, environment: &dyn Environment) {
        let mut counts = BTreeMap::new();
        for service in environment.services() {
            if let Ok(state) = environment.state(&service.name).await {
                counts.insert(service.name, state.restarts);
            }
        }
        // A run begins once.
        let _ = self.0.set(counts);
    }

    /// How often a service was started again in this run, by the environment's count of now.
    pub fn in_this_run(&self, service: &str, counted: u32) -> Observed {
        let before = self.0.get().and_then(|counts| counts.get(service));
        match before.map(|before| counted.checked_sub(*before)) {
            Some(Some(restarts)) => Observed::Number(Quantity::count(u64::from(restarts))),
            Some(None) => unknown("the environment has begun to count anew since the run began"),
            None => unknown("it could not be looked at when the run began"),
        }
    }
}

fn unknown(reason: &str) -> Observed {
    Observed::Unknown { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::fake::FakeStack;

    #[tokio::test]
    async fn what_was_counted_before_the_run_is_none_of_it() {
        let environment = FakeStack::brokers(2).fails("state kafka-2", "the engine is busy");
        environment.reboot("kafka-1");
        let restarts = Restarts::default();
        restarts.begin(environment.as_ref()).await;
        assert_eq!(restarts.in_this_run("kafka-1", 1), Observed::Number(Quantity::count(0)));
        assert_eq!(restarts.in_this_run("kafka-1", 3), Observed::Number(Quantity::count(2)));
        assert!(matches!(restarts.in_this_run("kafka-1", 0), Observed::Unknown { .. }), "another count");
        assert!(matches!(restarts.in_this_run("kafka-2", 1), Observed::Unknown { .. }), "nobody knows since when");
    }
}

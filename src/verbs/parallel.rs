//! The verb `parallel`.

use crate::environment::Grant;
use crate::scenario::schema::StepSchema;
use crate::verb::{Nesting, Step, StepContext, StepError, StepOutcome};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Runs several lists of steps beside each other and waits for all of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Parallel {
    #[schemars(with = "Vec<Vec<StepSchema>>")]
    branches: Vec<Vec<Value>>,
}

impl Step for Parallel {
    const VERB: &'static str = "parallel";
    const MAY: &'static [Grant] = &[];
    const NESTING: Nesting = Nesting::Branches;
    const REFUSABLE: bool = false;
    const EXAMPLE: &'static str = "parallel:\n  - - wait: 2s\n    - pause: { service: kafka, for: 3s }\n  - - wait: 6s";
    const RETRY: bool = false;

    fn describe(&self) -> String {
        format!("run {} lists of steps beside each other", self.branches.len())
    }

    /// The branches are walked before: what is left is to have waited for them.
    async fn run(&self, _: &mut StepContext) -> Result<StepOutcome, StepError> {
        Ok(StepOutcome::default())
    }
}

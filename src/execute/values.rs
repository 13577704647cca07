//! What references of a running scenario stand for.

use crate::environment::Endpoints;
use crate::plan::RunValues;
use crate::verb::SharedRun;
use serde_json::Value;

/// What references to a running scenario stand for.
pub(super) struct LiveValues<'a>(pub &'a SharedRun);

impl RunValues for LiveValues<'_> {
    fn metric(&self, step: &str, path: &[String]) -> Result<Value, String> {
        let record = self.0.live.record(step).ok_or_else(|| format!("`{step}` has not ended yet"))?;
        crate::judge::measure::for_reference(&record, path)
    }

    fn endpoints(&self) -> Endpoints {
        self.0.endpoints.clone()
    }
}

//! The verb `logs`.

use super::target::ServiceTarget;
use crate::environment::{Capability, Grant, LogQuery, Needs};
use crate::ground::private;
use crate::record::{EventKind, LogExcerpt};
use crate::scenario::units::Count;
use crate::verb::{CheckContext, Step, StepContext, StepError, StepOutcome};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Keeps a service's log in the run's folder.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// The service.
    service: ServiceTarget,
    /// Only the last lines.
    #[serde(default)]
    tail: Option<Count>,
}

impl Step for Logs {
    const VERB: &'static str = "logs";
    const MAY: &'static [Grant] = &[];
    const REFUSABLE: bool = false;
    const EXAMPLE: &'static str = "logs: { service: kafka, tail: 200 }\nif: failed";

    fn normalise(body: Value) -> Value {
        match body {
            Value::String(service) => json!({ "service": service }),
            other => other,
        }
    }

    fn short() -> Option<Value> {
        Some(json!({ "type": "string", "description": "The service." }))
    }

    fn needs(&self) -> Needs {
        self.service.needs().with(Capability::Logs)
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        self.service.check("/service", cx);
    }

    fn describe(&self) -> String {
        format!("keep the log of {}", self.service)
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let service = self.service.resolve(cx).await?;
        let query = LogQuery { tail: self.tail.and_then(|tail| usize::try_from(tail.0).ok()), ..LogQuery::default() };
        let lines = cx.run.environment.logs(&service, query).await?;
        let file = cx.run.folder.join(format!("{service}.log"));
        let text: String = lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect();
        // A file of its own does not pass the recorder.
        let text = cx.run.recorder.redactor().text(&text).into_owned();
        private::replace(&file, |writer| writer.write_all(text.as_bytes())).map_err(|error| {
            StepError::broken("write", format!("{} cannot be written: {error}", file.display())).because(error)
        })?;
        let details = json!({ "file": file.file_name().map(|name| name.to_string_lossy()), "lines": lines.len() });
        let excerpt = LogExcerpt { source: service, reason: format!("kept by {}", cx.id), lines };
        cx.run.recorder.emit(EventKind::Log { excerpt });
        Ok(StepOutcome::default().details(details))
    }
}

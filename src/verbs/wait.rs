//! The verb `wait`.

use super::join::Join;
use crate::environment::Grant;
use crate::record::metric::Work;
use crate::scenario::units::{Count, Length, Share};
use crate::text::Problem;
use crate::verb::{CheckContext, Facts, Step, StepContext, StepError, StepOutcome};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::Duration;

/// Waits for a time, or until a background step has come so far.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    #[serde(default, rename = "for")]
    time: Option<Length>,
    #[serde(default)]
    step: Option<String>,
    #[serde(default)]
    progress: Option<Share>,
    #[serde(default)]
    count: Option<Count>,
    #[serde(default)]
    line: Option<String>,
}

impl JsonSchema for Wait {
    fn schema_name() -> Cow<'static, str> {
        "Wait".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let length = generator.subschema_for::<Length>();
        let share = generator.subschema_for::<Share>();
        let count = generator.subschema_for::<Count>();
        json_schema!({
            "description": "Waits for a time (`wait: 5s`), or until a background step has come so far.",
            "if": { "type": "object" },
            "then": {
                "type": "object",
                "properties": {
                    "for": { "description": "Waits for this long.", "allOf": [length] },
                    "step": { "description": "Id of the background step to wait for.", "type": "string" },
                    "progress": { "description": "Until this share of the step's fixed schedule is due, such as 50%.", "allOf": [share] },
                    "count": { "description": "Until it has acknowledged or read so many messages.", "allOf": [count] },
                    "line": { "description": "Until a program has printed a line with this text, since it was last started.", "type": "string", "minLength": 1 }
                },
                "additionalProperties": false
            },
            "else": length
        })
    }
}

/// How often the step that is waited for is looked at.
const GLANCE: Duration = Duration::from_millis(2);

impl Step for Wait {
    const VERB: &'static str = "wait";
    const MAY: &'static [Grant] = &[];
    const REFUSABLE: bool = false;
    const EXAMPLE: &'static str = "wait: { step: load, progress: 50% }";

    fn normalise(body: Value) -> Value {
        match body {
            Value::String(time) => json!({ "for": time }),
            other => other,
        }
    }

    fn facts(&self) -> Facts {
        let planned = self.time.map(|time| time.0);
        Facts { planned, follows: self.step.clone(), line: self.line.clone(), ..Facts::default() }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        let Some(step) = &self.step else {
            if self.time.is_none() {
                cx.report(
                    "",
                    Problem::new("nothing-to-wait-for", "`wait` needs a time or a step").help("write `wait: 5s`"),
                );
            }
            for (field, given) in [
                ("/progress", self.progress.is_some()),
                ("/count", self.count.is_some()),
                ("/line", self.line.is_some()),
            ] {
                if given {
                    cx.report(
                        field,
                        Problem::new("no-step", "`progress`, `count` and `line` need a step to look at")
                            .help("add `step:`"),
                    );
                }
            }
            return;
        };
        let Some(target) =
            cx.background_step("/step", step, &[Work::Sends, Work::Reads, Work::ChangesRows, Work::Runs])
        else {
            return;
        };
        if self.time.is_some() {
            cx.report("/for", Problem::new("two-waits", "wait for a time or for a step, not for both"));
        }
        if target.work == Work::Runs || self.line.is_some() {
            self.check_line(step, target.work, cx);
            return;
        }
        match (self.progress, self.count) {
            (None, None) => cx.report(
                "",
                Problem::new("nothing-to-wait-for", format!("`wait` for `{step}` needs `progress` or `count`"))
                    .help(format!("add `progress: 50%` or `count: 500`; to wait for its end, use `{}`", Join::VERB)),
            ),
            (Some(_), Some(_)) => cx.report("", Problem::new("two-waits", "give `progress` or `count`, not both")),
            _ => {}
        }
        let Some(facts) = &target.facts else { return };
        if self.progress.is_some() && facts.total.is_none() && facts.planned.is_none() {
            cx.report(
                "/progress",
                Problem::new(
                    "no-defined-end",
                    format!("`{step}` has no defined end, so there is no `progress` to wait for"),
                )
                .help("use `count`"),
            );
        }
        if let (Some(count), Some(total)) = (self.count, facts.total)
            && count.0 > total
        {
            cx.report(
                "/count",
                Problem::new("never-reached", format!("`{step}` ends after {total}; {} is never reached", count.0)),
            );
        }
    }

    fn describe(&self) -> String {
        if let (Some(step), Some(line)) = (&self.step, &self.line) {
            return format!("wait until {step} has printed `{line}`");
        }
        match (&self.step, self.time, self.progress, self.count) {
            (None, Some(time), ..) => format!("wait {time}"),
            (Some(step), _, Some(progress), _) => format!("wait until {progress} of {step} is due"),
            (Some(step), _, _, Some(count)) => format!("wait until {step} has {}", count.0),
            _ => "wait".to_owned(),
        }
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        if let Some(time) = self.time {
            cx.unless_stopped(tokio::time::sleep(time.0)).await?;
            return Ok(StepOutcome::default());
        }
        let name = self.step.as_deref().unwrap_or_default();
        let id = cx.full_id(name);
        let run = cx.run.clone();
        let reached = || {
            if let Some(line) = &self.line {
                return Some(run.live.program(&id)?.has_printed(line));
            }
            let live = run.live.get(&id)?;
            Some(match (self.progress, self.count) {
                (Some(share), _) => live.share().is_some_and(|due| due >= share.0),
                (None, Some(count)) => live.count() >= count.0,
                (None, None) => true,
            })
        };
        cx.unless_stopped(async {
            loop {
                if reached() == Some(true) {
                    return Ok(StepOutcome::default());
                }
                if run.live.record(&id).is_some() {
                    return Err(StepError::check("ended-early", format!("`{name}` ended before that")).at("/step"));
                }
                tokio::time::sleep(GLANCE).await;
            }
        })
        .await?
    }
}

impl Wait {
    /// What is waited for of a program is a line, and only a program prints lines.
    fn check_line(&self, step: &str, work: Work, cx: &mut CheckContext<'_>) {
        if work != Work::Runs {
            let problem = Problem::new("wrong-verb", format!("`{step}` does not run a program, so it prints no lines"));
            cx.report("/line", problem.help("use `count` or `progress`"));
        } else if self.line.is_none() || self.progress.is_some() || self.count.is_some() {
            let problem =
                Problem::new("nothing-to-wait-for", format!("`{step}` is a program: wait for a line of its output"));
            cx.report("", problem.help("give `line:` with a text that the line contains, and nothing else"));
        }
    }
}

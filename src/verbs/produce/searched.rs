//! A load whose rate somebody else decides.

use super::ending::LoadEnd;
use super::{Produce, SenderBooks};
use crate::accounting::{Schedule, Stage};
use crate::load::ProduceJob;
use crate::record::ProduceReport;
use crate::text::Problem;
use crate::verb::{CheckContext, Live, StepContext, StepError};
use std::sync::Arc;
use std::time::Duration;

impl Produce {
    /// Checks it without a schedule of its own; `pointer` is where it stands.
    pub fn check_searched(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        for (field, given) in [
            ("rate", self.rate.is_some()),
            ("for", self.length.is_some()),
            ("count", self.count.is_some()),
            ("stages", self.stages.is_some()),
            ("until", self.until.is_some()),
            ("transactional", self.transactional.is_some()),
            ("thresholds", !self.thresholds.0.is_empty()),
        ] {
            if given {
                let text = format!(
                    "the search says how much is sent and when, and what has to hold: `{field}` has no place here"
                );
                cx.report(&format!("{pointer}/{field}"), Problem::new("does-not-apply", text));
            }
        }
        let origin = cx.origin.at(pointer);
        let mut inner = CheckContext {
            scope: cx.scope,
            prefix: cx.prefix,
            order: cx.order,
            section: cx.section,
            background: cx.background,
            guarantee: cx.guarantee,
            is_secret: cx.is_secret,
            origin: &origin,
            problems: cx.problems,
        };
        self.check_target(&mut inner);
    }

    /// Sends at a rate for a time, of which the first third only warms up, and waits for every outcome.
    ///
    /// # Errors
    /// The load cannot be prepared or go on, or the step was asked to end.
    pub async fn at_rate(&self, rate: f64, hold: Duration, cx: &mut StepContext) -> Result<ProduceReport, StepError> {
        let warm = hold / 3;
        let stage = |length, warmup| Stage { from: rate, to: rate, length, warmup };
        let spec = self.spec(Schedule::stages([stage(warm, true), stage(hold - warm, false)]), cx)?;
        let mut job = self.prepared(spec).await?;
        let books: Vec<Arc<SenderBooks>> = job.books();
        super::note_topic(cx, &self.topic, &books).await;
        cx.show(Live::Sender(Arc::new(super::Sender::new(&job, self.topic.clone()))));
        job.start(cx.run.clock).map_err(|error| StepError::broken("start-load", error.to_string()).because(error))?;
        let (end, job) = LoadEnd::of(job, false, cx).await;
        let joined = tokio::task::spawn_blocking(move || ProduceJob::join(job)).await;
        let (report, _) = joined.map_err(|error| StepError::broken("defect", error.to_string()).because(error))?;
        match report.fatal.clone() {
            _ if end == LoadEnd::Stopped => Err(StepError::interrupted()),
            Some(fatal) => Err(super::ended(fatal)),
            None => Ok(report),
        }
    }
}

//! The verb `produce` on the scripted environment: a message each tenth of a second, acknowledged while `kafka-1` runs.

use crate::accounting::SenderAccount;
use crate::environment::{Grant, Lifecycle};
use crate::ground::lock;
use crate::record::{ProduceReport, Progress};
use crate::verb::{Facts, Live, LiveSender, LiveStep, Step, StepContext, StepError, StepOutcome, Stop, Work};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Sends until it is asked to end, and ends only once everything has an outcome, as a client does that waits for its answers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Produce {}

#[derive(Default)]
struct Sender(Mutex<SenderAccount>);

impl Sender {
    /// A message is sent; it and all before it are acknowledged where somebody answers.
    fn send(&self, answered: bool) {
        let mut account = lock(&self.0);
        account.sent += 1;
        if answered {
            let sent = account.sent;
            account.acknowledged(0..sent, 0, 0);
        }
    }

    fn unresolved(&self) -> u64 {
        let account = lock(&self.0);
        account.sent - account.acked.len()
    }
}

impl LiveStep for Sender {
    fn progress(&self) -> Progress {
        Progress { what: "acknowledged".to_owned(), ..Progress::default() }
    }

    fn count(&self) -> u64 {
        lock(&self.0).acked.len()
    }

    fn so_far(&self, now_us: u64) -> StepOutcome {
        let account = lock(&self.0).clone();
        let (sent, acked) = (account.sent, account.acked.len());
        let report = ProduceReport { sent, acked, end_us: now_us, ..ProduceReport::default() };
        StepOutcome { produced: Some(Box::new(report)), ..StepOutcome::default() }
    }

    fn given_up(&self, now_us: u64) -> StepOutcome {
        let mut outcome = self.so_far(now_us);
        if let Some(report) = &mut outcome.produced {
            report.unknown = BTreeMap::from([("GIVEN_UP".to_owned(), self.unresolved())]);
        }
        outcome
    }
}

impl LiveSender for Sender {
    fn accounts(&self) -> Vec<SenderAccount> {
        vec![lock(&self.0).clone()]
    }
}

impl Step for Produce {
    const VERB: &'static str = "produce";
    const EXAMPLE: &'static str = "produce: {}";
    const BACKGROUND: bool = true;
    const MAY: &'static [Grant] = &[];
    const WORK: Work = Work::Sends;

    fn facts(&self) -> Facts {
        Facts { ends: false, allowance: Some(Duration::from_secs(86_400)), ..Facts::default() }
    }

    fn describe(&self) -> String {
        "send".to_owned()
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let sender = Arc::new(Sender::default());
        cx.show(Live::Sender(Arc::clone(&sender) as Arc<dyn LiveSender>));
        cx.prepared();
        let environment = Arc::clone(&cx.run.environment);
        let mut asked = false;
        while !asked || sender.unresolved() > 0 {
            let state = environment.state("kafka-1").await?;
            sender.send(state.lifecycle == Lifecycle::Running);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
                _ = cx.stop.at_least(Stop::Timeout), if !asked => asked = true,
            }
        }
        Err(StepError::interrupted().after(sender.so_far(cx.run.clock.now_us())))
    }
}

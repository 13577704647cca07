//! Verbs with the names of the real ones, whose readers and senders are entries of the scripted environment.

use crate::accounting::ReaderAccount;
use crate::environment::{Action, Environment, Grant};
use crate::faults::{Answer, Members};
use crate::load::consume::ReaderCapture;
use crate::moment;
use crate::record::{EventKind, Progress};
use crate::scenario::units::Length;
use crate::verb::{Facts, Live, LiveReader, LiveStep, Step, StepContext, StepError, StepOutcome, Stop, Work};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A reader that a scripted environment keeps as a service, by the name `reader`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Consume {
    /// Time that it reads on after `steps` are over.
    #[serde(default)]
    drain: Option<Length>,
}

/// Members of a scripted reader. They end and come back together with its service.
const MEMBERS: usize = 2;

struct Reader {
    environment: Arc<dyn Environment>,
    running: Mutex<BTreeSet<usize>>,
    halted: Mutex<BTreeSet<usize>>,
}

impl LiveStep for Reader {
    fn progress(&self) -> Progress {
        Progress { what: "read".to_owned(), ..Progress::default() }
    }

    fn count(&self) -> u64 {
        0
    }
}

impl Members for Reader {
    fn count(&self) -> usize {
        MEMBERS
    }

    fn running(&self) -> BTreeSet<usize> {
        self.running.lock().expect("no test panics here").clone()
    }

    fn halted(&self) -> BTreeMap<usize, u64> {
        let (running, halted) = (self.running(), self.halted.lock().expect("no test panics here").clone());
        halted.intersection(&running).map(|member| (*member, 7)).collect()
    }

    fn halt<'a>(&'a self, members: &'a BTreeSet<usize>, halt: bool) -> Answer<'a, ()> {
        Box::pin(async move {
            self.environment.act("reader", if halt { Action::Pause } else { Action::Resume }).await?;
            let mut halted = self.halted.lock().expect("no test panics here");
            match halt {
                true => halted.extend(members),
                false => halted.retain(|member| !members.contains(member)),
            }
            Ok(())
        })
    }

    fn end<'a>(&'a self, members: &'a BTreeSet<usize>, crash: bool) -> Answer<'a, ()> {
        let action = if crash { Action::Kill } else { Action::Stop };
        Box::pin(async move {
            self.environment.act("reader", action).await?;
            self.running.lock().expect("no test panics here").retain(|member| !members.contains(member));
            Ok(())
        })
    }

    fn start<'a>(&'a self, members: &'a BTreeSet<usize>) -> Answer<'a, ()> {
        Box::pin(async move {
            self.environment.act("reader", Action::Start).await?;
            self.running.lock().expect("no test panics here").extend(members);
            Ok(())
        })
    }

    fn reading<'a>(&'a self, _: &'a BTreeSet<usize>, patience: Duration) -> Answer<'a, Instant> {
        Box::pin(async move {
            self.environment.wait_ready("reader", patience).await?;
            Ok(moment::now())
        })
    }
}

impl LiveReader for Reader {
    fn is_running(&self) -> bool {
        true
    }

    fn drain(&self, _: Duration) -> BoxFuture<'_, Result<bool, StepError>> {
        Box::pin(async { Ok(true) })
    }

    fn account(&self) -> Option<ReaderAccount> {
        None
    }

    fn capture(&self) -> Option<Arc<ReaderCapture>> {
        None
    }

    fn started_us(&self) -> u64 {
        0
    }
}

impl Step for Consume {
    const VERB: &'static str = "consume";
    const MAY: &'static [Grant] = &[];
    const EXAMPLE: &'static str = "consume: {}";
    const BACKGROUND: bool = true;
    const WORK: Work = Work::Reads;

    fn facts(&self) -> Facts {
        Facts { ends: false, allowance: Some(Duration::from_secs(86_400)), ..Facts::default() }
    }

    fn describe(&self) -> String {
        "read".to_owned()
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let running = Mutex::new((0..MEMBERS).collect());
        let halted = Mutex::default();
        cx.show(Live::Reader(Arc::new(Reader { environment: Arc::clone(&cx.run.environment), running, halted })));
        cx.prepared();
        let stop = cx.stop.asked().await;
        if let (Stop::RunEnd, Some(drain)) = (stop, self.drain) {
            cx.run.recorder.emit(EventKind::Note { text: format!("{} drains", cx.id) });
            tokio::time::sleep(drain.0).await;
        }
        if stop == Stop::RunEnd { Ok(StepOutcome::default()) } else { Err(StepError::interrupted()) }
    }
}

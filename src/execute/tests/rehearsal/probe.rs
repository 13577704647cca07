//! The verb `probe`: a step that does what a test tells it.

use crate::environment::Grant;
use crate::faults::Resource;
use crate::record::{EventKind, Quantity};
use crate::scenario::units::Length;
use crate::verb::{ErrorKind, FOREVER, Facts, Step, StepContext, StepError, StepOutcome, Stop};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How an attempt ends that is told to fail.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Failing {
    Check,
    Broken,
    InvalidLoad,
    NoEffect,
    Panic,
}

/// Which requests to end a step obeys: those, and the more urgent ones.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Heeds {
    RunEnd,
    #[default]
    Timeout,
    Now,
    Nothing,
}

/// Does what it is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Probe {
    /// Time until it is prepared.
    #[serde(default)]
    prepares: Option<Length>,
    /// Time that it works after that; forever where absent and `endless`.
    #[serde(default)]
    takes: Option<Length>,
    /// Does not end by itself.
    #[serde(default)]
    endless: bool,
    /// How attempts fail.
    #[serde(default)]
    fails: Option<Failing>,
    /// How many attempts fail; all where absent.
    #[serde(default)]
    times: Option<u32>,
    /// Goes on until somebody asks it to end.
    #[serde(default)]
    soaks: bool,
    #[serde(default)]
    heeds: Heeds,
    /// Time that it goes on after it was asked to end.
    #[serde(default)]
    drains: Option<Length>,
    /// The name of a topic that the run owns from now on.
    #[serde(default)]
    makes: Option<String>,
    /// Another environment that it reaches.
    #[serde(default)]
    visits: Option<String>,
    /// A value to show in its details.
    #[serde(default)]
    says: Option<String>,
    #[serde(skip)]
    #[schemars(skip)]
    attempts: AtomicU32,
}

impl Probe {
    async fn work(&self) {
        match self.takes {
            Some(takes) => tokio::time::sleep(takes.0).await,
            None if self.endless || self.soaks => std::future::pending().await,
            None => {}
        }
    }

    async fn asked(&self, cx: &mut StepContext) -> Stop {
        match self.heeds {
            Heeds::RunEnd => cx.stop.asked().await,
            Heeds::Timeout => cx.stop.at_least(Stop::Timeout).await,
            Heeds::Now => cx.stop.at_least(Stop::Now).await,
            Heeds::Nothing => std::future::pending().await,
        }
    }

    fn failure(&self, attempt: u32) -> Option<StepError> {
        let failing = self.fails.filter(|_| self.times.is_none_or(|times| attempt <= times))?;
        let kind = match failing {
            Failing::Check => ErrorKind::Check,
            Failing::Broken => ErrorKind::Broken,
            Failing::InvalidLoad => ErrorKind::InvalidLoad,
            Failing::NoEffect => ErrorKind::NoEffect,
            Failing::Panic => panic!("a probe was told to panic"),
        };
        Some(StepError::new(kind, "probe", format!("attempt {attempt} failed as told")))
    }
}

impl Step for Probe {
    const VERB: &'static str = "probe";
    const MAY: &'static [Grant] = &[];
    const EXAMPLE: &'static str = "probe: { takes: 1s }";
    const BACKGROUND: bool = true;

    fn facts(&self) -> Facts {
        let allowance = self.soaks.then_some(FOREVER);
        let elsewhere = self.visits.iter().map(|name| (name.clone(), Vec::new())).collect();
        let planned = self.takes.map(|takes| takes.0);
        Facts { ends: !self.endless, planned, allowance, elsewhere, ..Facts::default() }
    }

    fn describe(&self) -> String {
        "do what it is told".to_owned()
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        if attempt > 1 {
            cx.run.recorder.emit(EventKind::Note { text: format!("{} attempt {attempt}", cx.id) });
        }
        if let Some(topic) = &self.makes {
            cx.run.owned.add(Resource::Topic(topic.clone()));
        }
        tokio::time::sleep(self.prepares.map_or(Duration::ZERO, |prepares| prepares.0)).await;
        cx.prepared();
        let mut soak = self.soaks.then(|| cx.run.live.soak());
        let asked = async {
            match &mut soak {
                Some(soak) => soak.asked().await,
                None => std::future::pending().await,
            }
        };
        let stopped = tokio::select! {
            () = self.work() => None,
            () = asked => None,
            stop = self.asked(cx) => Some(stop),
        };
        if let (Some(_), Some(drains)) = (stopped, self.drains) {
            tokio::time::sleep(drains.0).await;
        }
        let outcome = StepOutcome::default()
            .metric("attempts", Quantity::count(u64::from(attempt)))
            .details(serde_json::json!({ "says": self.says, "stop": stopped.map(|stop| format!("{stop:?}")) }));
        if stopped.is_some_and(|stop| stop >= Stop::Timeout) {
            return Err(StepError::interrupted().after(outcome));
        }
        self.failure(attempt).map_or(Ok(outcome), Err)
    }
}

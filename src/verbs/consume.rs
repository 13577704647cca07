//! The verb `consume`.

mod content;
mod group;
mod reader;
mod senders;
mod words;

pub use content::Each;
pub(super) use group::claim;
pub use reader::Reader;
pub use words::{Commit, Decode, From, Isolation, ReadUntil, Rebalance};

use super::client;
use super::metrics::MetricChecks;
use super::rights::{self, Use};
use super::topic::check_topic_name;
use crate::delivery::arrive;
use crate::environment::{Grant, Needs};
use crate::load::consume::{
    CommitMode as LoadCommit, LiveConsume, ReadFrom as LoadFrom, ReadLimit as LoadUntil, ReaderCapture,
};
use crate::load::{ConsumeJob, ConsumeSpec};
use crate::record::ConsumeReport;
use crate::scenario::Guarantee;
use crate::scenario::units::{Count, Length};
use crate::text::Problem;
use crate::verb::{CheckContext, FOREVER, Facts, Live, Scope, Step, StepContext, StepError, StepOutcome, Stop, Work};
use content::{measure, read_schema, tap};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Reads a topic and accounts for every message. In the background, without `until`, it reads until `steps` end and then drains.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consume {
    /// The topic.
    pub topic: String,
    /// Where to start; in a group, where nothing is committed.
    #[serde(default)]
    pub from: From,
    /// Consumer group; without one, a single client reads all partitions.
    #[serde(default)]
    pub group: Option<String>,
    /// Number of members of the group; 1 by default. Members with settings of their own, or that join later, are a second step of the same
    /// group, and `expect: delivery` takes both in `to`.
    #[serde(default)]
    pub members: Option<Count>,
    /// When it ends by itself; the first that is reached.
    #[serde(default)]
    pub until: Option<ReadUntil>,
    /// When offsets are committed; `after` processing by default.
    #[serde(default)]
    pub commit: Commit,
    /// `isolation.level`.
    #[serde(default)]
    pub isolation: Isolation,
    /// How partitions move in a rebalance.
    #[serde(default)]
    pub rebalance: Rebalance,
    /// Another environment of `kscen.yaml` whose cluster has the topic, such as one that it was migrated to. For a reader without a group.
    #[serde(default)]
    pub environment: Option<String>,
    /// How long the drain at the end of `steps` may take; 30s by default.
    #[serde(default)]
    pub drain: Option<Length>,
    /// What the messages are: `debezium` reads them as change events, so that `expect: delivery` can hold them against a `sql` step.
    #[serde(default)]
    pub decode: Option<Decode>,
    /// A JSON schema that each message's value has to meet; the path is relative to the scenario. See the metric `schema_violations`.
    #[serde(default)]
    pub schema: Option<PathBuf>,
    /// What has to be true of each message, as an expression or a list of them over `value` (JSON where it is JSON, else text), `key`,
    /// `headers`, `timestamp_ms`, `partition`, `offset`, `tombstone` and `size` (bytes): `value.amount > 0 and headers.region == 'eu'`.
    #[serde(default)]
    pub each: Option<Each>,
    /// Further client properties, under their librdkafka or Java names. Of several members each gets `group.instance.id` with its
    /// number behind it: `worker-0`, `worker-1`.
    #[serde(default)]
    pub config: BTreeMap<String, Value>,
    /// Checks of the step's own metrics, made at its end.
    #[serde(default)]
    #[schemars(schema_with = "MetricChecks::schema_of::<Consume>")]
    pub thresholds: MetricChecks,
}

/// How many messages of each class the account names; all are counted.
const SAMPLES: usize = 100;
/// Metrics of readers that decode changes.
const CAPTURED: [&str; 4] = ["cdc_latency", "capture_latency", "publish_latency", "unavailability"];
/// Why a reader runs in no worker.
const READS_HERE: &str = "reads here and in no worker: what `decode`, `schema` and `each` keep of messages is here";
/// How long the drain may take.
const DRAIN: Duration = Duration::from_secs(30);
/// What a reader may take before its time limit that ends by itself.
const UNPLANNED: Duration = Duration::from_secs(24 * 3600);

impl Step for Consume {
    const VERB: &'static str = "consume";
    const MAY: &'static [Grant] = &[Grant::Groups];
    const WORK: Work = Work::Reads;
    const EXAMPLE: &'static str = "consume: { topic: \"orders-${run.id}\", from: start }\nbackground: true";
    const BACKGROUND: bool = true;
    const RETRY: bool = false;

    fn needs(&self) -> Needs {
        Needs::kafka()
    }

    fn changes(&self, _: &Scope) -> Vec<Grant> {
        if self.group.is_some() { vec![Grant::Groups] } else { Vec::new() }
    }

    fn facts(&self) -> Facts {
        Facts {
            topic: Some(self.topic.clone()),
            group: self.group.clone(),
            properties: self.config.keys().cloned().collect(),
            read_committed: self.isolation == Isolation::ReadCommitted,
            total: self.until.and_then(|until| until.count).map(|count| count.0),
            ends: self.until.is_some(),
            judges: !self.thresholds.0.is_empty() || self.each.is_some(),
            captures: self.decode.is_some(),
            allowance: Some(if self.until.is_some() { UNPLANNED } else { FOREVER }),
            lacks: self.lacks(),
            elsewhere: self.environment.iter().map(|name| (name.clone(), Vec::new())).collect(),
            ..Facts::default()
        }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        check_topic_name("/topic", &self.topic, cx);
        if self.until.is_none() && !cx.background {
            cx.report(
                "",
                Problem::new("no-end", "this reader has no end: it runs in the foreground and has no `until`")
                    .help("add `until: { drained: true }` or `until: { count: 1000 }`, or `background: true`"),
            );
        }
        if let Some(until) = self.until
            && until.count.is_none()
            && until.idle.is_none()
            && !until.drained
        {
            cx.report(
                "/until",
                Problem::new("no-end", "`until` needs a condition").help("give `count`, `idle` or `drained: true`"),
            );
        }
        if self.group.is_none() {
            let only_groups = [
                ("/members", self.members.is_some_and(|members| members.0 != 1), "members"),
                ("/from", self.from == From::Committed, "committed offsets"),
                ("/commit", self.commit != Commit::default() && self.commit.0 != LoadCommit::None, "commits"),
            ];
            for (pointer, wrong, what) in only_groups {
                if wrong {
                    cx.report(
                        pointer,
                        Problem::new("no-group", format!("only a consumer group has {what}")).help("add `group:`"),
                    );
                }
            }
        }
        if self.environment.is_some() && (self.group.is_some() || self.decode.is_some()) {
            let problem =
                Problem::new("contradiction", "a reader of another environment has no group, and decodes nothing");
            cx.report("/environment", problem.help("leave out `environment`, or `group` and `decode`"));
        }
        if self.members.is_some_and(|members| members.0 == 0 || members.0 > 256) {
            cx.report("/members", Problem::new("out-of-range", "a group has 1 to 256 members"));
        }
        if cx.guarantee == Some(Guarantee::ExactlyOnce) && self.isolation != Isolation::ReadCommitted {
            cx.report(
                "",
                Problem::new(
                    "contradiction",
                    "`guarantee: exactly-once` needs readers that see only committed messages",
                )
                .help("add `isolation: read_committed`"),
            );
        }
        if let Some(file) = &self.schema
            && let Err(error) = read_schema(cx.origin, file)
        {
            cx.report("/schema", Problem::new("bad-schema", error));
        }
        self.check_each(cx);
        client::check(&self.config, crate::kafka::ClientRole::Consumer, cx);
        self.thresholds.check("/thresholds", Self::VERB, Self::WORK, &self.facts().lacks, cx);
    }

    fn describe(&self) -> String {
        let group = self.group.as_ref().map(|group| format!(" as group {group}")).unwrap_or_default();
        let members = self.members.map(|members| format!(" with {} members", members.0)).unwrap_or_default();
        format!("read {}{group}{members}", self.topic)
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let defect = |error: tokio::task::JoinError| StepError::broken("defect", error.to_string()).because(error);
        let capture = self.capture(cx)?.map(Arc::new);
        let mut spec = self.spec(cx)?;
        let assertions = self.assertions()?.map(Arc::new);
        spec.tap = tap(capture.clone(), assertions.clone());
        if spec.afar.is_some() && spec.tap.is_some() {
            cx.run.recorder.note(format!("{}: {READS_HERE}", cx.id));
        }
        if let Some(group) = &self.group {
            group::claim(group, cx).await?;
        }
        let (clock, counts_own) = (cx.run.clock, spec.counts_own);
        let preparing = tokio::task::spawn_blocking(move || ConsumeJob::prepare(spec, clock));
        let job = preparing
            .await
            .map_err(defect)?
            .map_err(|error| self.explained(StepError::broken("prepare-reader", error.to_string()).because(error)))?;
        let live = job.live();
        let total = self.until.and_then(|until| until.count).map(|count| count.0);
        let reader = Arc::new(Reader::new(job, total, capture.clone()));
        cx.show(Live::Reader(reader.clone()));
        cx.prepared();
        let stop = tokio::select! {
            () = live.finished() => None,
            reason = cx.stop.asked() => Some(reason),
        };
        let mut drained = self.come_to_its_end(&reader, stop, capture.as_ref(), cx).await?;
        let (own, whole) = (live.own(), reader.is_whole());
        let report = joined(&reader, stop, drained).await?;
        if let Some(pauses) = report.pauses() {
            let words = format!("{}: its figures include the time for which the scenario paused {pauses}", cx.id);
            cx.run.recorder.note(words);
        }
        let (fatal, reached) = (report.fatal.clone(), report.until_reached);
        let mut outcome = StepOutcome { consumed: Some(Box::new(report)), ..StepOutcome::default() };
        if let Some(capture) = &capture {
            measure(capture, &mut outcome, cx).await;
        }
        match (fatal, stop) {
            (Some(fatal), _) => {
                return Err(self.explained(StepError::broken("reader-ended", fatal)).after(outcome));
            }
            (None, Some(Stop::Now | Stop::Timeout)) => return Err(StepError::interrupted().after(outcome)),
            _ => {}
        }
        if let (Some(total), Some(false)) = (total, reached) {
            let read = if counts_own { own } else { outcome.consumed.as_ref().map_or(0, |report| report.read) };
            if whole {
                return Err(not_reached(read, total, &live).after(outcome));
            }
            content::held_back(read, total, cx);
            drained = false;
        }
        if let Some(assertions) = &assertions {
            outcome = content::settle(assertions, drained, outcome, cx)?;
        }
        self.thresholds.settle("/thresholds", outcome, cx)
    }
}

/// Ends the reader; whether it has read all that it was to read, stands in its report.
async fn joined(reader: &Reader, stop: Option<Stop>, drained: bool) -> Result<ConsumeReport, StepError> {
    let mut report = reader.join().await?;
    let came_so_far = match stop {
        Some(Stop::RunEnd) => drained,
        None => drained && report.until_reached != Some(false),
        Some(Stop::Now | Stop::Timeout) => false,
    };
    report.read_all = Some(came_so_far && report.fatal.is_none());
    Ok(report)
}

/// Fewer messages were read than `until` asks for, and why, where there are no more.
fn not_reached(read: u64, total: u64, live: &LiveConsume) -> StepError {
    let why = match (live.is_exhausted(), live.is_left_to_strangers()) {
        (true, false) => ": every step that writes the topic is over, and the log is read to its end",
        (true, true) => {
            ": every step that writes the topic is over, and the group has given what is left to nobody of this run"
        }
        (false, _) => "",
    };
    StepError::check("count-not-reached", format!("{read} of {total} different messages were read{why}"))
        .at("/until/count")
}

impl Consume {
    /// Has the reader come to the end of the log, where it is to; whether it is known to be there.
    async fn come_to_its_end(
        &self,
        reader: &Reader,
        stop: Option<Stop>,
        capture: Option<&Arc<ReaderCapture>>,
        cx: &StepContext,
    ) -> Result<bool, StepError> {
        let patience = self.drain.map_or(DRAIN, |drain| drain.0);
        match stop {
            Some(Stop::RunEnd) => {
                // What was stopped on the way is undone before the drain, as any other fault.
                reader.revive().await?;
                if let Some(capture) = capture.filter(|capture| capture.decodes()) {
                    arrive(&cx.run, capture, reader, Instant::now() + patience).await?;
                }
                reader.drain_whole(patience).await
            }
            // Nothing can be called lost unless the reader is known to have reached the log's end.
            None if self.until.is_some_and(|until| until.count.is_none()) => reader.drain_whole(patience).await,
            None => reader.note_end().await.map(|()| true),
            Some(Stop::Now | Stop::Timeout) => Ok(true),
        }
    }

    /// Metrics that this reader cannot have.
    fn lacks(&self) -> BTreeMap<&'static str, &'static str> {
        let mut lacks = BTreeMap::new();
        if self.group.is_none() {
            lacks.insert("rebalances", "a reader without a `group` is never rebalanced");
        }
        if self.decode.is_none() {
            let only = "only a reader with `decode: debezium` measures it";
            lacks.extend(CAPTURED.map(|name| (name, only)));
        }
        if self.schema.is_none() {
            lacks.insert("schema_violations", "only a reader with a `schema` counts them");
        }
        lacks
    }

    /// An error of the reader, with the right that it lacks.
    fn explained(&self, error: StepError) -> StepError {
        rights::explained(error, &self.topic, Use::Read(self.group.as_deref()))
    }

    fn spec(&self, cx: &StepContext) -> Result<ConsumeSpec, StepError> {
        let connection = match &self.environment {
            Some(name) => cx.run.other(name, &[])?.endpoints().connection(),
            None => cx.run.connection(),
        };
        let until = self.until.map(|until| LoadUntil {
            count: until.count.map(|count| count.0),
            idle: until.idle.map(|idle| idle.0),
            drained: until.drained,
        });
        let senders_over = self.senders_over(cx);
        Ok(ConsumeSpec {
            name: cx.id.clone(),
            topic: self.topic.clone(),
            from: match self.from {
                From::Start => LoadFrom::Start,
                From::End => LoadFrom::End,
                From::Committed => LoadFrom::Committed,
            },
            group: self.group.clone(),
            members: self.members.and_then(|count| usize::try_from(count.0).ok()).unwrap_or(1),
            until: until.unwrap_or_default(),
            commit: if self.group.is_some() { self.commit.0 } else { LoadCommit::None },
            read_committed: self.isolation == Isolation::ReadCommitted,
            cooperative: self.rebalance == Rebalance::Cooperative,
            connection,
            config: client::plain(&self.config),
            run: Arc::clone(&cx.run.identity),
            tap: None,
            counts_own: senders_over.is_some() && !self.reads_unmarked(cx),
            senders_over,
            tamper: None,
            sample_limit: SAMPLES,
            logs: cx.run.client_logs.clone(),
            detail: cx.run.recorder.detail().clone(),
            afar: cx.run.afar.clone(),
        })
    }
}

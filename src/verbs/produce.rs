//! The verb `produce`.

mod content;
mod ending;
mod keys;
mod payload;
mod records;
mod schedule;
mod searched;
mod sender;
mod size;
mod words;

pub use sender::Sender;
pub use words::{AcksWord, Compression, SendUntil, StageClause, Transactional};

use super::client;
use super::metrics::MetricChecks;
use super::rights::{self, Use};
use super::topic::check_topic_name;
use crate::accounting::Schedule;
use crate::environment::{Grant, Needs};
use crate::load::payload::IdentityPlace;
use crate::load::produce::{Acks, SenderBooks, TransactionSpec};
use crate::load::{ProduceJob, ProduceSpec};
use crate::record::LoadValidity;
use crate::scenario::units::{Count, Length, Rate};
use crate::text::Problem;
use crate::verb::{CheckContext, ErrorKind, FOREVER, Facts, Live, Step, StepContext, StepError, StepOutcome, Work};
use ending::LoadEnd;
use keys::Key;
use payload::Payload;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use size::Size;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Sends messages on a fixed schedule, whatever the system does (open loop), and accounts for the outcome of each.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Produce {
    /// The topic.
    pub topic: String,
    /// Messages per second, such as `1000/s`; as fast as it goes where absent.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// Length of the schedule.
    #[serde(default, rename = "for")]
    pub length: Option<Length>,
    /// Number of messages.
    #[serde(default)]
    pub count: Option<Count>,
    /// `stopped`: it goes on until somebody asks it to end, by Ctrl-C or SIGTERM, or until `for`, `count` or `stages` are over where they are
    /// given. The run then goes on to its full verdict.
    #[serde(default)]
    pub until: Option<SendUntil>,
    /// Parts of a schedule, one after the other, instead of `rate`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub stages: Option<Vec<StageClause>>,
    /// Size of each value, or how sizes are spread; 1 KiB by default, where the payload does not decide.
    #[serde(default)]
    pub size: Option<Size>,
    /// What the values are; random bytes by default.
    #[serde(default)]
    pub payload: Payload,
    /// What the keys are; those of the payload by default (CDC events have one), else none.
    #[serde(default)]
    pub key: Key,
    /// Where each message carries the identity by which kscen tells it from all others. Where nothing is said: before random bytes, in a
    /// field `kscen` of JSON objects from a template or a file, else in a header `kscen`.
    #[serde(default)]
    pub identity: Option<IdentityPlace>,
    /// Headers of each message; texts with placeholders such as `{{index}}`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Which acknowledgement each message waits for: 0, 1 or all (the default).
    #[serde(default)]
    pub acks: Option<AcksWord>,
    /// `enable.idempotence`; as in Java true by default where `acks` is all.
    #[serde(default)]
    pub idempotent: Option<bool>,
    /// Sends in transactions.
    #[serde(default)]
    pub transactional: Option<Transactional>,
    /// `compression.type`.
    #[serde(default)]
    pub compression: Option<Compression>,
    /// Number of producers that share the schedule; 1 by default.
    #[serde(default)]
    pub producers: Option<Count>,
    /// Further client properties, under their librdkafka or Java names.
    #[serde(default)]
    pub config: BTreeMap<String, Value>,
    /// Checks of the step's own metrics, made at its end.
    #[serde(default)]
    #[schemars(schema_with = "MetricChecks::schema_of::<Produce>")]
    pub thresholds: MetricChecks,
}

/// What only acknowledgements can tell.
const UNACKNOWLEDGED: [&str; 3] = ["ack_latency", "response_latency", "unavailability"];
/// Why a load has none of that.
const NO_ACKS: &str = "with `acks: 0` the broker acknowledges nothing";
/// `delivery.timeout.ms` of the Java client.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a load that has to end waits for outcomes: less than the engine grants it.
const UNRESOLVED: Duration = Duration::from_secs(5);
/// What a load without a schedule may take before its time limit.
const UNPLANNED: Duration = Duration::from_secs(3600);

impl Step for Produce {
    const VERB: &'static str = "produce";
    const MAY: &'static [Grant] = &[Grant::Produce];
    const WORK: Work = Work::Sends;
    const EXAMPLE: &'static str = "produce: { topic: \"orders-${run.id}\", rate: 1000/s, for: 10s, acks: all }";
    const BACKGROUND: bool = true;
    const RETRY: bool = false;

    fn needs(&self) -> Needs {
        Needs::kafka()
    }

    fn facts(&self) -> Facts {
        let schedule = self.schedule();
        let planned = schedule.as_ref().and_then(Schedule::length);
        let unplanned = match (planned, self.until) {
            (Some(_), _) => Duration::ZERO,
            (None, Some(SendUntil::Stopped)) => FOREVER,
            (None, None) => UNPLANNED,
        };
        Facts {
            topic: Some(self.topic.clone()),
            properties: self.config.keys().cloned().collect(),
            total: schedule.as_ref().and_then(Schedule::total),
            allowance: Some(self.delivery_timeout() + Duration::from_secs(30) + unplanned),
            planned,
            judges: !self.thresholds.0.is_empty(),
            ends: true,
            soaks: schedule.as_ref().is_some_and(Schedule::is_endless),
            unmarked: self.identity == Some(IdentityPlace::None),
            lacks: match self.acks {
                Some(AcksWord(Acks::None)) => UNACKNOWLEDGED.map(|metric| (metric, NO_ACKS)).into(),
                _ => BTreeMap::new(),
            },
            ..Facts::default()
        }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        self.check_schedule(cx);
        self.check_target(cx);
        self.thresholds.check("/thresholds", Self::VERB, Self::WORK, &self.facts().lacks, cx);
    }

    fn describe(&self) -> String {
        let what = match (self.count, self.length) {
            (Some(count), _) => format!("{} messages", crate::record::Quantity::count(count.0)),
            (None, Some(length)) => format!("messages for {length}"),
            (None, None) => "messages".to_owned(),
        };
        let pace = match (&self.rate, &self.stages) {
            (Some(rate), _) => format!("at {rate}"),
            (None, Some(stages)) => format!("in {} stages", stages.len()),
            (None, None) => "as fast as it goes".to_owned(),
        };
        let until = if self.until.is_some() { ", until it is asked to end" } else { "" };
        format!("produce {what} to {} {pace}{until}{}", self.topic, self.marks())
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let schedule = self.schedule().ok_or_else(|| StepError::broken("no-end", "this load has no schedule"))?;
        let (wanted, endless) = (schedule.total().unwrap_or(0), schedule.is_endless());
        let spec = self.spec(schedule, cx)?;
        if spec.afar.is_some() && !spec.payload.travels() {
            cx.run.recorder.note(format!("{}: sends from here and from no worker: its payloads are read once", cx.id));
        }
        let mut job = self.prepared(spec).await?;
        let books = job.books();
        note_topic(cx, &self.topic, &books).await;
        cx.show(Live::Sender(Arc::new(Sender::new(&job, self.topic.clone()))));
        cx.prepared();
        job.start(cx.run.clock).map_err(|error| StepError::broken("start-load", error.to_string()).because(error))?;
        let (end, job) = LoadEnd::of(job, self.until.is_some(), cx).await;
        let (report, _) = tokio::task::spawn_blocking(move || job.join())
            .await
            .map_err(|error| StepError::broken("defect", error.to_string()).because(error))?;
        note_topic(cx, &self.topic, &books).await;
        let fatal = report.fatal.clone();
        let validity = report.validity.clone();
        if let Some(warning) = crate::judge::invalid_tail(&report) {
            cx.run.recorder.warn(format!("{}: {warning}", cx.id));
        }
        if let Some(why) = rights::refused(&report, cx).await {
            cx.run.recorder.warn(format!("{}: {why}", cx.id));
        }
        if end == LoadEnd::Itself && fatal.is_none() && report.sent < wanted {
            cx.run.recorder.warn(format!(
                "{}: stopped after {} of {} messages: the broker had stopped answering, or the rate is out of reach",
                cx.id,
                crate::record::Quantity::count(report.sent),
                crate::record::Quantity::count(wanted),
            ));
        }
        let outcome = StepOutcome { produced: Some(Box::new(report)), ..StepOutcome::default() };
        if end == LoadEnd::Stopped {
            return Err(StepError::interrupted().after(outcome));
        }
        if let Some(fatal) = fatal {
            return Err(rights::explained(ended(fatal), &self.topic, Use::Write).after(outcome));
        }
        if endless && end == LoadEnd::Itself {
            return Err(ended("it ended before anybody asked it to".to_owned()).after(outcome));
        }
        if let LoadValidity::Invalid { reason } = validity {
            return Err(StepError::new(ErrorKind::InvalidLoad, "invalid-load", reason)
                .help("lower the rate, or give the generator more CPU: what it measured says nothing about the broker")
                .after(outcome));
        }
        self.thresholds.settle("/thresholds", outcome, cx)
    }
}

/// Enters which topic it is that has the name now into what each producer writes down.
async fn note_topic(cx: &StepContext, topic: &str, books: &[Arc<SenderBooks>]) {
    if let Some(id) = cx.run.topic_id(topic).await {
        books.iter().for_each(|books| books.is_of_topic(id));
    }
}

impl Produce {
    /// Checks where it sends, what, and by which client.
    fn check_target(&self, cx: &mut CheckContext<'_>) {
        check_topic_name("/topic", &self.topic, cx);
        self.check_client(cx);
        self.check_content(cx);
        if self.producers.is_some_and(|producers| producers.0 == 0 || producers.0 > 256) {
            cx.report("/producers", Problem::new("out-of-range", "there can be 1 to 256 producers"));
        }
    }

    fn check_client(&self, cx: &mut CheckContext<'_>) {
        let acks = self.acks.map_or(Acks::All, |acks| acks.0);
        if self.idempotent == Some(true) && acks != Acks::All {
            cx.report(
                "/idempotent",
                Problem::new("contradiction", "an idempotent producer needs `acks: all`")
                    .help("change `acks`, or set `idempotent: false`"),
            );
        }
        let in_flight = ["max.in.flight.requests.per.connection", "max.in.flight"]
            .iter()
            .find_map(|name| self.config.get_key_value(*name));
        if let Some((name, value)) = in_flight
            && self.is_idempotent()
            && number(value).is_some_and(|number| number > 5)
        {
            cx.report(
                &format!("/config/{name}"),
                Problem::new("contradiction", "an idempotent producer has at most 5 requests in flight"),
            );
        }
        if self.transactional.is_some() && (self.idempotent == Some(false) || acks != Acks::All) {
            cx.report(
                "/transactional",
                Problem::new("contradiction", "transactions need `acks: all` and an idempotent producer"),
            );
        }
        if self.transactional.as_ref().is_some_and(|transactional| transactional.per.0 == 0) {
            cx.report("/transactional/per", Problem::new("out-of-range", "a transaction has at least one message"));
        }
        client::check(&self.config, crate::kafka::ClientRole::Producer, cx);
    }

    fn is_idempotent(&self) -> bool {
        let acks = self.acks.map_or(Acks::All, |acks| acks.0);
        self.idempotent.unwrap_or(acks == Acks::All)
    }

    fn delivery_timeout(&self) -> Duration {
        ["delivery.timeout.ms", "message.timeout.ms"]
            .iter()
            .find_map(|name| self.config.get(*name).and_then(number))
            .map_or(DELIVERY_TIMEOUT, Duration::from_millis)
    }

    /// Connects; sends nothing.
    async fn prepared(&self, spec: ProduceSpec) -> Result<ProduceJob, StepError> {
        tokio::task::spawn_blocking(move || ProduceJob::prepare(spec))
            .await
            .map_err(|error| StepError::broken("defect", error.to_string()).because(error))?
            .map_err(|error| StepError::broken("prepare-load", error.to_string()).because(error))
            .map_err(|error| rights::explained(error, &self.topic, Use::Write))
    }

    fn spec(&self, schedule: Schedule, cx: &StepContext) -> Result<ProduceSpec, StepError> {
        let mut config = client::plain(&self.config);
        if let Some(compression) = self.compression {
            config.insert("compression.type".to_owned(), format!("{compression:?}").to_lowercase());
        }
        let transaction = self.transactional.as_ref().map(|transactional| TransactionSpec {
            per: transactional.per.0,
            abort_share: transactional.abort.map_or(0.0, |share| share.0),
            id: transactional.id.clone().unwrap_or_else(|| format!("kscen-{}-{}", cx.run.id(), cx.id)),
        });
        Ok(ProduceSpec {
            name: cx.id.clone(),
            topic: self.topic.clone(),
            schedule,
            producers: self.producers.and_then(|count| usize::try_from(count.0).ok()).unwrap_or(1),
            payload: self.payload.spec(self.size.unwrap_or_default(), &cx.origin)?,
            key: self.key.0.clone(),
            identity: self.identity,
            headers: self.headers.clone().into_iter().collect(),
            acks: self.acks.map_or(Acks::All, |acks| acks.0),
            idempotent: self.is_idempotent(),
            transaction,
            connection: cx.run.connection(),
            config,
            run: Arc::clone(&cx.run.identity),
            seed: cx.run.scenario.seed,
            logs: cx.run.client_logs.clone(),
            detail: cx.run.recorder.detail().clone(),
            afar: cx.run.afar.clone(),
        })
    }
}

/// Why a load could not go on.
fn ended(fatal: String) -> StepError {
    if ["FENCED", "INVALID_PRODUCER_EPOCH"].iter().any(|name| fatal.contains(name)) {
        return StepError::broken("fenced", format!("the load was fenced: {fatal}")).help(
            "another producer took over its transactional id; the transaction that was open is aborted, and its messages \
             need not arrive",
        );
    }
    StepError::broken("load-ended", fatal)
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

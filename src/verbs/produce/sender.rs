//! A load while it runs, and its account afterwards.

use crate::accounting::SenderAccount;
use crate::load::ProduceJob;
use crate::load::produce::{LiveProduce, SenderBooks};
use crate::record::{LoadValidity, ProduceReport, Progress};
use crate::verb::{LiveSender, LiveStep, StepOutcome, rate_since};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A load as other steps see it.
pub struct Sender {
    live: Arc<LiveProduce>,
    topic: String,
    producers: u64,
    effective_config: BTreeMap<String, String>,
    books: Vec<Arc<SenderBooks>>,
    last: Mutex<(Instant, u64, Option<f64>)>,
}

impl Sender {
    /// A load that runs.
    pub fn new(job: &ProduceJob, topic: String) -> Self {
        Self {
            live: job.live(),
            topic,
            producers: job.producers(),
            effective_config: job.effective_config().clone(),
            books: job.books(),
            last: Mutex::new((Instant::now(), 0, None)),
        }
    }
}

impl LiveStep for Sender {
    fn progress(&self) -> Progress {
        let done = self.live.acked();
        Progress {
            done,
            total: self.live.total(),
            what: "acknowledged".to_owned(),
            rate: rate_since(&self.last, done),
            p99: self.live.p99_us().map(|us| us as f64 / 1e6),
            backlog: Some(self.live.in_flight()),
            failed: self.live.failed() + self.live.unknown(),
            live: Box::new(self.live.figures()),
        }
    }

    fn count(&self) -> u64 {
        self.live.acked()
    }

    fn share(&self) -> Option<f64> {
        self.live.progress()
    }

    fn so_far(&self, now_us: u64) -> StepOutcome {
        let Some(start_us) = self.live.start_us() else { return StepOutcome::default() };
        let report = ProduceReport {
            topic: self.topic.clone(),
            producers: self.producers,
            start_us,
            last_send_us: now_us,
            last_ack_us: self.live.last_ack_us(),
            end_us: now_us,
            sent: self.live.sent(),
            acked: self.live.acked(),
            bytes: self.live.bytes(),
            timeline: self.live.due_line(now_us),
            ack_gaps: self.live.gaps(now_us),
            effective_config: self.effective_config.clone(),
            ..ProduceReport::default()
        };
        StepOutcome { produced: Some(Box::new(report)), ..StepOutcome::default() }
    }

    fn given_up(&self, now_us: u64) -> StepOutcome {
        let Some(start_us) = self.live.start_us() else { return StepOutcome::default() };
        let mut report = ProduceReport {
            topic: self.topic.clone(),
            producers: self.producers,
            start_us,
            last_ack_us: self.live.last_ack_us(),
            end_us: now_us,
            ack_gaps: self.live.gaps(now_us),
            effective_config: self.effective_config.clone(),
            ..ProduceReport::default()
        };
        self.live.add_counted(&mut report, now_us);
        let resolved = report.acked + report.failed_total() + report.unknown_total();
        let unresolved = report.sent.saturating_sub(resolved);
        if unresolved > 0 {
            report.unknown.insert(GIVEN_UP.to_owned(), unresolved);
        }
        report.validity = LoadValidity::Invalid {
            reason: "it did not end when it was asked to, and was given up before its account was complete".to_owned(),
        };
        StepOutcome { produced: Some(Box::new(report)), ..StepOutcome::default() }
    }
}

/// Stands for the outcome of messages that had none when their load was given up.
const GIVEN_UP: &str = "GIVEN_UP";

impl LiveSender for Sender {
    fn accounts(&self) -> Vec<SenderAccount> {
        self.books.iter().map(|books| books.snapshot()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::{KeySpec, RunIdentity, Schedule};
    use crate::kafka::LogSink;
    use crate::load::payload::Sizes;
    use crate::load::produce::Acks;
    use crate::load::{PayloadSpec, ProduceSpec};
    use crate::record::RunClock;
    use crate::record::slices::ProduceSlice;
    use rdkafka::mocking::MockCluster;
    use std::time::Duration;

    fn spec(bootstrap: String) -> ProduceSpec {
        ProduceSpec {
            name: "load".to_owned(),
            topic: "t".to_owned(),
            schedule: Schedule::constant(1000.0, 1_000_000),
            producers: 2,
            payload: PayloadSpec::Random { size: Sizes::Fixed(100), compressibility: 0.5 },
            key: KeySpec::None,
            headers: Vec::new(),
            identity: None,
            acks: Acks::All,
            idempotent: false,
            transaction: None,
            connection: BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap)]),
            config: BTreeMap::new(),
            run: RunIdentity::new(7),
            seed: 1,
            logs: LogSink::default(),
            detail: Default::default(),
            afar: None,
        }
    }

    /// The threads of a load whose broker hangs do not end: what they have counted is there without them.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_load_that_is_given_up_keeps_its_latencies_and_its_time_line() {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic("t", 4, 1).expect("a topic");
        let mut job = ProduceJob::prepare(spec(cluster.bootstrap_servers())).expect("a load");
        let (live, sender) = (job.live(), Sender::new(&job, "t".to_owned()));
        let clock = RunClock::start();
        assert!(sender.given_up(clock.now_us()).produced.is_none(), "nothing was sent yet");
        job.start(clock).expect("threads");
        while live.acked() < 50 {
            tokio::task::yield_now().await;
        }
        cluster.broker_round_trip_time(1, Duration::from_secs(3600)).expect("it hangs from now on");
        while live.in_flight() < 300 {
            tokio::task::yield_now().await;
        }
        let given_up = || *sender.given_up(clock.now_us()).produced.expect("its figures");
        let report = given_up();
        let unresolved = report.unknown[GIVEN_UP];
        assert!(report.acked >= 50 && unresolved >= 250, "{} {unresolved}", report.acked);
        assert_eq!(report.sent, report.acked + unresolved, "what has no outcome is unknown");
        let sum = |of: fn(&ProduceSlice) -> u64| report.timeline.iter().map(|slice| of(slice.sample)).sum::<u64>();
        assert_eq!((sum(|slice| slice.acked), sum(|slice| slice.sent)), (report.acked, report.sent));
        assert!(sum(|slice| slice.due) > 0 && report.due >= report.sent);
        let lengths =
            [&report.ack_latency, &report.response_latency, &report.schedule_delay].map(|series| series.len());
        assert_eq!(lengths, [report.acked, report.acked, report.sent]);
        assert!(matches!(report.validity, LoadValidity::Invalid { .. }));
        // A second look counts nothing twice, and neither does the end.
        let again = given_up();
        assert_eq!((again.acked, again.ack_latency.len()), (report.acked, report.acked));
        job.stop_within(clock, Duration::ZERO);
        let joined = tokio::task::spawn_blocking(move || job.join()).await.expect("no panic");
        assert_eq!((joined.0.acked, joined.0.ack_latency.len()), (report.acked, report.acked));
    }

    /// What has no end was asked for up to the moment at which it was ended, whatever the broker did meanwhile.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_load_without_an_end_is_whole_when_it_is_ended() {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic("t", 4, 1).expect("a topic");
        for schedule in [Schedule::endless(1000.0), Schedule::Unlimited { count: None, length: None }] {
            let is_paced = matches!(schedule, Schedule::Paced(_));
            let spec = ProduceSpec { schedule, ..spec(cluster.bootstrap_servers()) };
            let mut job = ProduceJob::prepare(spec).expect("a load");
            let (live, clock) = (job.live(), RunClock::start());
            job.start(clock).expect("threads");
            while live.acked() < 300 {
                tokio::task::yield_now().await;
            }
            assert_eq!((live.total(), live.progress(), live.is_finished()), (None, None, false));
            job.end_schedule(clock);
            let ended_us = clock.now_us();
            let joined = tokio::task::spawn_blocking(move || job.join()).await.expect("no panic");
            let (report, accounts) = joined;
            assert!(accounts.iter().all(|account| account.complete), "{accounts:?}");
            assert_eq!(report.acked + report.failed_total() + report.unknown_total(), report.sent);
            assert!(report.acked >= 300 && report.fatal.is_none());
            assert_eq!(report.schedule_end_us.is_some(), is_paced);
            assert!(report.schedule_end_us.is_none_or(|end_us| end_us <= ended_us && end_us > report.start_us));
            assert!(report.due >= report.sent);
            let due: u64 = report.timeline.iter().map(|slice| slice.sample.due).sum();
            assert!(if is_paced { (1..=report.due).contains(&due) } else { due == 0 }, "{due} of {}", report.due);
        }
    }

    /// A broker that is gone for good: what a load without a rate sends then is never acknowledged.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_load_without_a_rate_that_loses_its_broker_ends_in_an_outage() {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic("t", 4, 1).expect("a topic");
        let mut spec = spec(cluster.bootstrap_servers());
        spec.schedule = Schedule::Unlimited { count: None, length: Some(Duration::from_millis(1500)) };
        spec.config = BTreeMap::from([("message.timeout.ms".to_owned(), "1000".to_owned())]);
        let mut job = ProduceJob::prepare(spec).expect("a load");
        let live = job.live();
        job.start(RunClock::start()).expect("threads");
        while live.acked() < 50 {
            tokio::task::yield_now().await;
        }
        cluster.broker_down(1).expect("it is gone");
        let joined = tokio::task::spawn_blocking(move || job.join()).await.expect("no panic");
        let report = joined.0;
        assert!(report.failed_total() + report.unknown_total() > 0, "{:?} {:?}", report.failed, report.unknown);
        let last = report.ack_gaps.last().expect("an outage");
        assert_eq!(last.end_us, None, "{:?}", report.ack_gaps);
        assert!(report.end_us - last.start_us > 900_000, "{last:?} until {}", report.end_us);
        let unanswered = report.response_latency.unanswered.expect("what was never acknowledged");
        assert!(!unanswered.is_empty() && unanswered.max_us > 900_000, "{}", unanswered.max_us);
    }
}

//! One round: inject, read, settle, compare.

use super::injection::{InjectionPlan, Mismatch, inject};
use crate::accounting::{Class, Ledger, RunIdentity};
use crate::delivery::scan;
use crate::kafka::{Admin, KafkaFailure, LogSink};
use crate::load::afar::Afar;
use crate::load::consume::{CommitMode, ReadFrom as Start, ReadLimit};
use crate::load::{ConsumeJob, ConsumeSpec, LoadError};
use crate::record::{Detail, RunClock};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Classes that can be injected.
const CLASSES: [Class; 8] = [
    Class::Lost,
    Class::Skipped,
    Class::Duplicated,
    Class::Redelivered,
    Class::Reordered,
    Class::Corrupted,
    Class::Phantom,
    Class::Foreign,
];
/// Messages of each round.
const MESSAGES: u64 = 5000;
/// Partitions of each round's topic.
const PARTITIONS: i32 = 3;
/// How long reading back may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What a round injected, and what was reported otherwise.
#[derive(Debug)]
pub struct Round {
    /// Its seed.
    pub seed: u64,
    /// Anomalies by class.
    pub injected: BTreeMap<Class, u64>,
    /// Classes that were not reported as injected; empty where all is well.
    pub mismatches: Vec<Mismatch>,
}

/// Why a round could not be carried out.
#[derive(Debug)]
pub enum SelfcheckError {
    /// The cluster refused something.
    Kafka(KafkaFailure),
    /// The reader could not be prepared.
    Load(LoadError),
    /// The log was not read to its end in time.
    NotDrained,
}

impl fmt::Display for SelfcheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka(error) => error.fmt(f),
            Self::Load(error) => error.fmt(f),
            Self::NotDrained => write!(f, "the log was not read to its end within {} s", LIMIT.as_secs()),
        }
    }
}

impl std::error::Error for SelfcheckError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Kafka(error) => Some(error),
            Self::Load(error) => Some(error),
            Self::NotDrained => None,
        }
    }
}

impl From<KafkaFailure> for SelfcheckError {
    fn from(error: KafkaFailure) -> Self {
        Self::Kafka(error)
    }
}

impl From<LoadError> for SelfcheckError {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

/// Carries out one round with its own topic, which it deletes. A round of seed 0 injects nothing. With workers, which have this clock, one
/// of them reads.
///
/// # Errors
/// A cluster that does not do what the round needs: nothing is proved then.
pub async fn check(
    connection: &BTreeMap<String, String>,
    seed: u64,
    workers: Option<(Arc<dyn Afar>, RunClock)>,
) -> Result<Round, SelfcheckError> {
    let topic = format!("kscen-selfcheck-{:08x}-{seed}", rand::random::<u32>());
    let admin = Admin::new(connection, LIMIT, LogSink::default())?;
    admin.create_topic(&topic, PARTITIONS, 1, &BTreeMap::new()).await?;
    admin.await_leaders(&topic, LIMIT).await?;
    let (connection, name) = (connection.clone(), topic.clone());
    let round =
        tokio::task::spawn_blocking(move || inject_and_read(&connection, &name, seed, Reading::alone(workers))).await;
    admin.delete_topic(&topic).await?;
    // A panic of the round is a defect of the program and has already been printed.
    round.unwrap_or(Err(SelfcheckError::NotDrained))
}

fn anomalies(seed: u64) -> BTreeMap<Class, u64> {
    if seed == 0 {
        return BTreeMap::new();
    }
    CLASSES.into_iter().zip(0..).map(|(class, number)| (class, (seed * 7 + number * 13) % 60)).collect()
}

/// Who reads back what was injected.
struct Reading {
    /// Other processes, in which it reads.
    afar: Option<Arc<dyn Afar>>,
    clock: RunClock,
}

impl Reading {
    fn alone(workers: Option<(Arc<dyn Afar>, RunClock)>) -> Self {
        let (afar, clock) = workers.unzip();
        let clock = clock.unwrap_or_else(RunClock::start);
        Self { afar, clock }
    }
}

fn inject_and_read(
    connection: &BTreeMap<String, String>,
    topic: &str,
    seed: u64,
    reading: Reading,
) -> Result<Round, SelfcheckError> {
    let run = RunIdentity::new(rand::random());
    let anomalies = anomalies(seed);
    let plan = InjectionPlan { messages: MESSAGES, anomalies: anomalies.clone(), partitions: PARTITIONS, seed };
    let injected = inject(connection, topic, &run, &plan)?;
    let deliveries = injected.deliveries.clone();
    let spec = ConsumeSpec {
        name: "selfcheck".to_owned(),
        topic: topic.to_owned(),
        from: Start::Start,
        group: None,
        members: 1,
        until: ReadLimit::default(),
        commit: CommitMode::None,
        read_committed: false,
        cooperative: false,
        connection: connection.clone(),
        config: BTreeMap::new(),
        run: Arc::clone(&run),
        tap: None,
        counts_own: false,
        senders_over: None,
        tamper: Some(Arc::new(deliveries)),
        sample_limit: MESSAGES as usize,
        logs: LogSink::default(),
        detail: Detail::default(),
        afar: reading.afar,
    };
    let mut reader = ConsumeJob::prepare(spec, reading.clock)?;
    let drained = reader.drain(Instant::now() + LIMIT);
    let (_, account) = reader.join();
    if !drained {
        return Err(SelfcheckError::NotDrained);
    }
    let ledger = Ledger::new([&injected.sender], [&account]).with_samples(MESSAGES as usize);
    let evidence = scan(connection, topic, run.nonce(), &ledger.missing(), false, LIMIT)?;
    let mismatches = injected.mismatches(&ledger.settle(Some(&evidence)));
    Ok(Round { seed, injected: anomalies, mismatches })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::{Ensemble, MemoryLink, WorkerLink};
    use rdkafka::mocking::MockCluster;

    /// Whoever reads what was injected here reads it in other workers: every anomaly comes back by name, and none is invented.
    fn is_found_through(workers: usize) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let link = || Box::new(MemoryLink::real(runtime.handle())) as Box<dyn WorkerLink>;
        let clock = RunClock::start();
        let links = (0..workers).map(|_| link()).collect();
        let ensemble = Ensemble::open(links, clock, None, LogSink::default()).expect("workers");
        let cluster = MockCluster::new(1).expect("a mock cluster");
        let connection = BTreeMap::from([("bootstrap.servers".to_owned(), cluster.bootstrap_servers())]);
        for seed in [0, 3, 4, 5] {
            let topic = format!("t{seed}");
            cluster.create_topic(&topic, PARTITIONS, 1).expect("a topic");
            let reading = Reading { afar: Some(ensemble.afar()), clock };
            let round = inject_and_read(&connection, &topic, seed, reading);
            let round = round.unwrap_or_else(|error| panic!("{workers} workers, seed {seed}: {error}"));
            assert_eq!(round.injected.is_empty(), seed == 0);
            assert!(round.mismatches.is_empty(), "{workers} workers, seed {seed}: {:?}", round.mismatches);
        }
    }

    #[test]
    fn every_anomaly_is_found_through_two_workers() {
        is_found_through(2);
    }

    #[test]
    fn every_anomaly_is_found_through_ten_workers() {
        is_found_through(10);
    }
}

//! One round: inject, read, settle, compare.

use super::injection::{InjectionPlan, Mismatch, inject};
use super::workers::{SENT, Workers};
use crate::accounting::{Class, Ledger, ReaderAccount, RunIdentity};
use crate::delivery::scan;
use crate::kafka::{Admin, KafkaFailure, LogSink};
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
    /// A reader or the workers' load could not be prepared.
    Load(LoadError),
    /// What workers sent beside what was injected did not all arrive, for this reason.
    NotSent(String),
    /// The log was not read to its end in time.
    NotDrained,
}

impl fmt::Display for SelfcheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka(error) => error.fmt(f),
            Self::Load(error) => error.fmt(f),
            Self::NotSent(why) => write!(f, "the workers could not send: {why}"),
            Self::NotDrained => write!(f, "the log was not read to its end within {} s", LIMIT.as_secs()),
        }
    }
}

impl std::error::Error for SelfcheckError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Kafka(error) => Some(error),
            Self::Load(error) => Some(error),
            Self::NotSent(_) | Self::NotDrained => None,
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

/// Carries out one round with its own topic, which it deletes. A round of seed 0 injects nothing. With workers each of them sends as well,
/// and some of them read: what was injected, and what others have sent at the same time.
///
/// # Errors
/// A cluster that does not do what the round needs: nothing is proved then.
pub async fn check(
    connection: &BTreeMap<String, String>,
    seed: u64,
    workers: Option<Workers>,
) -> Result<Round, SelfcheckError> {
    let topic = format!("kscen-selfcheck-{:08x}-{seed}", rand::random::<u32>());
    let admin = Admin::new(connection, LIMIT, LogSink::default())?;
    admin.create_topic(&topic, PARTITIONS, 1, &BTreeMap::new()).await?;
    admin.await_leaders(&topic, LIMIT).await?;
    let (connection, name) = (connection.clone(), topic.clone());
    let round = tokio::task::spawn_blocking(move || inject_and_read(&connection, &name, seed, workers.as_ref())).await;
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

fn inject_and_read(
    connection: &BTreeMap<String, String>,
    topic: &str,
    seed: u64,
    workers: Option<&Workers>,
) -> Result<Round, SelfcheckError> {
    let run = RunIdentity::new(rand::random());
    let anomalies = anomalies(seed);
    let plan = InjectionPlan { messages: MESSAGES, anomalies: anomalies.clone(), partitions: PARTITIONS, seed };
    let injected = inject(connection, topic, &run, &plan)?;
    let deliveries = Arc::new(injected.deliveries.clone());
    let clock = workers.map_or_else(RunClock::start, |workers| workers.clock);
    let spec = |number: u32| ConsumeSpec {
        name: format!("selfcheck-{number}"),
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
        tamper: Some(Arc::clone(&deliveries)),
        sample_limit: (MESSAGES + SENT) as usize,
        logs: LogSink::default(),
        detail: Detail::default(),
        afar: workers.map(|workers| Arc::clone(&workers.afar)),
    };
    let readers = 1..=workers.map_or(1, Workers::readers);
    let readers = readers.map(|number| ConsumeJob::prepare(spec(number), clock)).collect::<Result<Vec<_>, _>>()?;
    let sent = workers.map(|workers| workers.send(connection, topic, &run)).transpose()?.unwrap_or_default();
    let mut mismatches = Vec::new();
    for account in read_back(readers)? {
        let senders = std::iter::once(&injected.sender).chain(&sent);
        let ledger = Ledger::new(senders, [&account]).with_samples((MESSAGES + SENT) as usize);
        let evidence = scan(connection, topic, run.nonce(), &ledger.missing(), false, LIMIT)?;
        mismatches.extend(injected.mismatches(&ledger.settle(Some(&evidence))));
    }
    Ok(Round { seed, injected: anomalies, mismatches })
}

/// Reads everything to its end.
fn read_back(mut readers: Vec<ConsumeJob>) -> Result<Vec<ReaderAccount>, SelfcheckError> {
    let deadline = Instant::now() + LIMIT;
    let drained: Vec<bool> = readers.iter_mut().map(|reader| reader.drain(deadline)).collect();
    let accounts = readers.into_iter().map(|reader| reader.join().1).collect();
    if drained.contains(&false) { Err(SelfcheckError::NotDrained) } else { Ok(accounts) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::WorkerRecord;
    use crate::worker::{Ensemble, MemoryLink, WorkerLink};
    use rdkafka::mocking::MockCluster;

    /// What is injected here and what each worker sends is read in several of them: every anomaly comes back by name, and none is
    /// invented of what others send meanwhile.
    fn is_found_through(count: u32) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let link = || Box::new(MemoryLink::real(runtime.handle())) as Box<dyn WorkerLink>;
        let clock = RunClock::start();
        let links = (0..count).map(|_| link()).collect();
        let ensemble = Ensemble::open(links, clock, None, LogSink::default()).expect("workers");
        let workers = Workers { afar: ensemble.afar(), clock, count };
        let cluster = MockCluster::new(1).expect("a mock cluster");
        let connection = BTreeMap::from([("bootstrap.servers".to_owned(), cluster.bootstrap_servers())]);
        for seed in [0, 3, 4, 5] {
            let topic = format!("t{seed}");
            cluster.create_topic(&topic, PARTITIONS, 1).expect("a topic");
            let round = inject_and_read(&connection, &topic, seed, Some(&workers));
            let round = round.unwrap_or_else(|error| panic!("{count} workers, seed {seed}: {error}"));
            assert_eq!(round.injected.is_empty(), seed == 0);
            assert!(round.mismatches.is_empty(), "{count} workers, seed {seed}: {:?}", round.mismatches);
        }
        let records = ensemble.close();
        let did = |record: &&WorkerRecord, what: &str| record.units.iter().any(|unit| unit.contains(what));
        let ran = |what: &str| records.iter().filter(|record| did(record, what)).count();
        assert_eq!((ran("producer"), ran("member")), (count as usize, count.min(3) as usize), "{records:?}");
    }

    #[test]
    fn every_anomaly_is_found_through_two_workers() {
        is_found_through(2);
    }

    #[test]
    fn every_anomaly_is_found_through_ten_workers() {
        is_found_through(10);
    }

    #[test]
    #[ignore = "a hundred clients for each round: `cargo test --release -- --ignored through_a_hundred_workers`"]
    fn every_anomaly_is_found_through_a_hundred_workers() {
        is_found_through(100);
    }
}

//! A run on a mock cluster, of which the loads and readers are in workers or here.

use crate::accounting::{KeySpec, RunIdentity, Schedule};
use crate::kafka::LogSink;
use crate::load::afar::Afar;
use crate::load::consume::rehearsal::spec;
use crate::load::consume::{CommitMode, Tap};
use crate::load::payload::Sizes;
use crate::load::produce::Acks;
use crate::load::{ConsumeJob, ConsumeSpec, PayloadSpec, ProduceJob, ProduceSpec};
use crate::record::{Detail, RunClock};
use crate::worker::{Ensemble, MemoryLink, WorkerError, WorkerLink};
use rdkafka::mocking::MockCluster;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long anything may take.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// Workers behind these links.
pub(super) fn ensemble(links: &[MemoryLink]) -> Result<Ensemble, WorkerError> {
    let links = links.iter().map(|link| Box::new(link.clone()) as Box<dyn WorkerLink>).collect();
    Ensemble::open(links, RunClock::start(), None, LogSink::default())
}

/// A mock cluster with a topic, and a run on it.
pub(super) struct Bench {
    pub(super) cluster: MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
    pub(super) run: Arc<RunIdentity>,
    pub(super) clock: RunClock,
}

impl Bench {
    pub(super) fn new() -> Self {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic("t", 4, 1).expect("a topic");
        Self { cluster, run: RunIdentity::new(7), clock: RunClock::start() }
    }

    pub(super) fn connection(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("bootstrap.servers".to_owned(), self.cluster.bootstrap_servers())])
    }

    pub(super) fn load(&self, count: u64, producers: usize, afar: Option<Arc<dyn Afar>>) -> ProduceJob {
        ProduceJob::prepare(self.load_spec(count, producers, afar)).expect("a load")
    }

    /// What such a load is.
    pub(super) fn load_spec(&self, count: u64, producers: usize, afar: Option<Arc<dyn Afar>>) -> ProduceSpec {
        ProduceSpec {
            name: "load".to_owned(),
            topic: "t".to_owned(),
            schedule: Schedule::constant(2000.0, count),
            producers,
            payload: PayloadSpec::Random { size: Sizes::Fixed(100), compressibility: 0.5 },
            key: KeySpec::Uniform(50),
            headers: vec![("h".to_owned(), "v".to_owned())],
            identity: None,
            acks: Acks::All,
            idempotent: false,
            transaction: None,
            connection: self.connection(),
            config: BTreeMap::new(),
            run: Arc::clone(&self.run),
            seed: 1,
            logs: LogSink::default(),
            detail: Detail::default(),
            afar,
        }
    }

    pub(super) fn reader(&self, group: Option<&str>, members: usize, afar: Option<Arc<dyn Afar>>) -> ConsumeJob {
        self.looking(group, members, afar, None)
    }

    pub(super) fn looking(
        &self,
        group: Option<&str>,
        members: usize,
        afar: Option<Arc<dyn Afar>>,
        tap: Option<Tap>,
    ) -> ConsumeJob {
        ConsumeJob::prepare(self.reader_spec(group, members, afar, tap), self.clock).expect("a reader")
    }

    /// What such a reader is.
    pub(super) fn reader_spec(
        &self,
        group: Option<&str>,
        members: usize,
        afar: Option<Arc<dyn Afar>>,
        tap: Option<Tap>,
    ) -> ConsumeSpec {
        ConsumeSpec {
            name: group.unwrap_or("alone").to_owned(),
            commit: if group.is_some() { CommitMode::After } else { CommitMode::None },
            connection: self.connection(),
            // The mock cluster rebalances when a session is over.
            config: BTreeMap::from([("session.timeout.ms".to_owned(), "6000".to_owned())]),
            tap,
            afar,
            ..spec(&self.run, group, members)
        }
    }
}

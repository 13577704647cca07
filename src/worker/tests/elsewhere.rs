//! Addresses that lead elsewhere in a worker.

use super::bench::{Bench, ensemble};
use crate::load::afar::{Afar, BeginHere, FarOrder, FarUnit, Hearer, UnitTask};
use crate::load::{ConsumeJob, LoadError, ProduceJob};
use crate::worker::MemoryLink;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Workers from which the addresses of a run lead to another cluster than its own.
#[derive(Debug)]
struct Elsewhere(Arc<dyn Afar>);

impl Afar for Elsewhere {
    fn prepare(
        &self,
        task: UnitTask,
        hearer: Arc<dyn Hearer>,
    ) -> Result<(FarUnit, BTreeMap<String, String>), LoadError> {
        let mut body: Value = serde_json::from_str(&task.body).expect("a task");
        assert!(body["cluster"].is_string(), "the run tells on which cluster it is");
        body["cluster"] = json!("that-of-the-run");
        self.0.prepare(UnitTask { body: body.to_string(), ..task }, hearer)
    }

    fn begin_here(&self, hearer: Arc<dyn Hearer>, begin: BeginHere<'_>) -> Result<FarUnit, LoadError> {
        self.0.begin_here(hearer, begin)
    }

    fn tell(&self, unit: FarUnit, order: FarOrder) {
        self.0.tell(unit, order);
    }

    fn lead(&self) -> Duration {
        self.0.lead()
    }

    fn known_us(&self) -> u64 {
        self.0.known_us()
    }

    fn clock_bound_us(&self) -> u64 {
        self.0.clock_bound_us()
    }

    fn processes(&self) -> Vec<u32> {
        self.0.processes()
    }

    fn cpu_us(&self) -> u64 {
        self.0.cpu_us()
    }
}

/// A fault on the run's cluster would disturb nothing there, and nothing that is sent there is owed here.
#[test]
fn nobody_sends_to_or_reads_from_another_cluster_than_that_of_the_run() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let ensemble = ensemble(&[MemoryLink::real(runtime.handle())]).expect("a worker");
    let bench = Bench::new();
    let afar = || Some(Arc::new(Elsewhere(ensemble.afar())) as Arc<dyn Afar>);
    let load = ProduceJob::prepare(bench.load_spec(10, 1, afar())).err();
    let group = ConsumeJob::prepare(bench.reader_spec(Some("g"), 1, afar(), None), bench.clock).err();
    let alone = ConsumeJob::prepare(bench.reader_spec(None, 1, afar(), None), bench.clock).err();
    for refused in [load, group, alone] {
        let why = refused.expect("it is refused").to_string();
        assert!(why.contains("lead to the cluster `mockCluster"), "{why}");
        assert!(why.contains("the run is on the cluster `that-of-the-run`") && why.contains("worker 1"), "{why}");
    }
    assert!(ensemble.close().iter().all(|record| record.died.is_none()));
}

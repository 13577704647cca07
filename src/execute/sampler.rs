//! Samples services, running steps and the replication slots of connectors, once a second.

use crate::delivery::{Settler, SlotWatch};
use crate::ground::lock;
use crate::record::pulse::{Felt, Pids, Pulse};
use crate::record::{EventKind, ServiceSample};
use crate::verb::SharedRun;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Feels the machine for the run until it is dropped: for this process, for those of its workers that are here, and for `services`.
pub(super) fn feel(run: &SharedRun, services: Pids) -> Pulse {
    let workers = run.afar.as_ref().map(|afar| afar.processes()).unwrap_or_default();
    let recorder = run.recorder.clone();
    let tell = move |sample| recorder.emit(EventKind::Strain { sample: Box::new(sample) });
    Pulse::start(run.clock, Felt { services, workers }, tell)
}

/// Samples until it is dropped (aborted).
pub(super) async fn sample(run: Arc<SharedRun>, pids: Pids) {
    let services = run.environment.services();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tick.tick().await;
        let mut samples = BTreeMap::new();
        for service in &services {
            // A service that cannot be observed for a moment leaves a gap, not a zero.
            let Ok(state) = run.environment.state(&service.name).await else { continue };
            if let Ok(pid) = state.identity.parse() {
                lock(&pids).insert(service.name.clone(), pid);
            }
            let usage = run.environment.usage(&service.name).await.ok().flatten();
            let sample = ServiceSample { at: run.clock.now(), lifecycle: state.lifecycle, usage, merged: None };
            samples.insert(service.name.clone(), sample);
        }
        if !samples.is_empty() {
            run.recorder.emit(EventKind::Sample { services: samples });
        }
        for (id, figures) in run.live.progress() {
            run.recorder.emit(EventKind::Progress { id, figures });
        }
    }
}

/// Looks at the slots of the run's connectors, and settles changes of which there are many, until it is dropped (aborted).
pub(super) async fn look_at_slots(run: Arc<SharedRun>) {
    let (mut watch, mut settler) = (SlotWatch::default(), Settler::default());
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tick.tick().await;
        for seen in watch.look(&run).await {
            let (connector, slot) = (seen.connector, seen.slot);
            run.recorder.emit(EventKind::Slot { connector, slot, sample: Box::new(seen.sample) });
        }
        settler.turn(&run).await;
    }
}

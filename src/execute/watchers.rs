//! Who watches the services of a run: those of its own environment, and of the others that its steps name.

use crate::verb::SharedRun;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How long the last look at all services may take.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// One who watches for each environment.
pub(super) struct Watchers {
    run: Arc<SharedRun>,
    watchers: Vec<(JoinHandle<()>, Arc<Notify>)>,
}

impl Watchers {
    /// From now on.
    pub(super) fn start(run: &Arc<SharedRun>) -> Self {
        let others = run.others.iter().filter(|(_, other)| !other.is_own()).map(|(name, _)| Some(name.clone()));
        let places = std::iter::once(None).chain(others);
        let watchers = places.map(|place| {
            let (run, over) = (Arc::clone(run), Arc::new(Notify::new()));
            let told = Arc::clone(&over);
            let watcher = tokio::spawn(async move {
                let other = place.as_deref().and_then(|place| Some((place, run.others.get(place)?)));
                match other {
                    Some((place, other)) => run.undo.watch(Some(place), other.environment(), &told).await,
                    None => run.undo.watch(None, run.environment.as_ref(), &told).await,
                }
            });
            (watcher, over)
        });
        Self { run: Arc::clone(run), watchers: watchers.collect() }
    }

    /// The run is over: each looks once more, unless whoever ended it does not want to wait.
    pub(super) async fn end(self, at_once: bool) {
        self.watchers.iter().for_each(|(_, over)| over.notify_one());
        let deadline = tokio::time::Instant::now() + LAST_LOOK;
        for (mut watcher, _) in self.watchers {
            if at_once || tokio::time::timeout_at(deadline, &mut watcher).await.is_err() {
                watcher.abort();
            }
        }
        if !at_once {
            self.run.undo.tell_unwatched();
        }
    }
}

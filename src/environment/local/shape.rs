//! What a network fault does to bytes on their way.

use super::process::lock;
use crate::environment::{Direction, NetworkFaultKind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The faults in force on one way of the connections of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Way {
    cut: bool,
    delay: Duration,
    /// Bytes per second.
    throttle: Option<u64>,
}

/// The faults in force on the connections of a service, with one group of peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    towards: Way,
    from: Way,
    /// New connections are refused.
    pub(super) refuse: bool,
    /// Raised each time open connections are to be reset.
    pub(super) resets: u64,
}

impl Shape {
    /// Puts a fault in force, or takes it back.
    pub(super) fn apply(&mut self, kind: &NetworkFaultKind, direction: Direction, on: bool) {
        if *kind == NetworkFaultKind::Reset {
            self.refuse = on;
            self.resets += u64::from(on);
            return;
        }
        let ways = [(&mut self.towards, Direction::Out), (&mut self.from, Direction::In)];
        for (way, _) in ways.into_iter().filter(|(_, opposite)| *opposite != direction) {
            match kind {
                NetworkFaultKind::Cut => way.cut = on,
                NetworkFaultKind::Delay(delay) => way.delay = if on { *delay } else { Duration::ZERO },
                NetworkFaultKind::Throttle(rate) => way.throttle = on.then_some(*rate),
                NetworkFaultKind::Reset => {}
            }
        }
    }
}

/// The shape of a service's connections, as those who carry the bytes see it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    shape: watch::Sender<Shape>,
    /// When each way is free again, for throttling all connections together.
    free: Arc<[Mutex<Option<Instant>>; 2]>,
}

impl Default for Link {
    fn default() -> Self {
        Self { shape: watch::Sender::default(), free: Arc::new([Mutex::new(None), Mutex::new(None)]) }
    }
}

impl Link {
    /// Changes what is in force.
    pub(super) fn apply(&self, kind: &NetworkFaultKind, direction: Direction, on: bool) {
        self.shape.send_modify(|shape| shape.apply(kind, direction, on));
    }

    /// What is in force, with a notice of changes.
    pub(super) fn watch(&self) -> watch::Receiver<Shape> {
        self.shape.subscribe()
    }
}

/// One way along which bytes travel, with all the links that shape it.
#[derive(Clone, Debug)]
pub(super) struct Path(Vec<(Link, Direction)>);

impl Path {
    /// A path along the given way of each link.
    pub(super) fn new(links: Vec<(Link, Direction)>) -> Self {
        Self(links)
    }

    fn ways(&self) -> impl Iterator<Item = (&Link, usize, Way)> {
        self.0.iter().map(|(link, direction)| {
            let shape = *link.shape.borrow();
            let towards = *direction == Direction::In;
            (link, usize::from(towards), if towards { shape.towards } else { shape.from })
        })
    }

    /// Waits until no cut is in force.
    pub(super) async fn open(&self) {
        for (link, direction) in &self.0 {
            let mut shape = link.watch();
            let is_open = |shape: &Shape| match direction {
                Direction::In => !shape.towards.cut,
                _ => !shape.from.cut,
            };
            // The sender lives in `link`, so waiting cannot fail.
            let _ = shape.wait_for(is_open).await;
        }
    }

    /// Waits until `bytes` that were sent at `sent` may arrive.
    pub(super) async fn arrive(&self, sent: Instant, bytes: usize) {
        let mut at = sent;
        for (link, index, way) in self.ways() {
            at = at.max(sent + way.delay);
            if let Some(rate) = way.throttle {
                let mut free = lock(&link.free[index]);
                let begin = free.map_or_else(Instant::now, |free| free.max(Instant::now()));
                let end = begin + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
                *free = Some(end);
                at = at.max(end);
            }
        }
        if at > Instant::now() {
            tokio::time::sleep_until(at.into()).await;
        }
        self.open().await;
    }

    /// How many bytes to carry at once, so that a slow link trickles instead of jerking.
    pub(super) fn portion(&self) -> usize {
        const FAST: u64 = 16 << 10;
        let slowest = self.ways().filter_map(|(_, _, way)| way.throttle).min().unwrap_or(u64::MAX);
        usize::try_from((slowest / 20).clamp(1, FAST)).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_concerns_its_direction_only() {
        let mut shape = Shape::default();
        shape.apply(&NetworkFaultKind::Cut, Direction::In, true);
        assert!(shape.towards.cut && !shape.from.cut);
        shape.apply(&NetworkFaultKind::Delay(Duration::from_millis(5)), Direction::Both, true);
        assert_eq!((shape.towards.delay, shape.from.delay), (Duration::from_millis(5), Duration::from_millis(5)));
        shape.apply(&NetworkFaultKind::Cut, Direction::In, false);
        shape.apply(&NetworkFaultKind::Delay(Duration::ZERO), Direction::Both, false);
        assert_eq!(shape, Shape::default());
    }

    #[tokio::test]
    async fn throttling_is_shared_by_all_who_use_the_link() {
        let link = Link::default();
        link.apply(&NetworkFaultKind::Throttle(10_000), Direction::Out, true);
        let path = Path::new(vec![(link, Direction::Out)]);
        assert_eq!(path.portion(), 500);
        let sent = Instant::now();
        tokio::join!(path.arrive(sent, 500), path.arrive(sent, 500));
        assert!(sent.elapsed() >= Duration::from_millis(90));
    }
}

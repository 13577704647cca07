//! What a network fault does to bytes on their way.

use crate::environment::{Direction, NetworkFaultKind};
use crate::ground::lock;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Portions a second of a throttled link.
const PORTIONS: u64 = 20;
/// What a throttled link holds of its sender's bytes, beside what its delay keeps on the way.
const SLACK: Duration = Duration::from_millis(200);

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
pub(super) struct LinkShape {
    towards: Way,
    from: Way,
    /// New connections are refused.
    pub(super) refuse: bool,
    /// Raised each time open connections are to be reset.
    pub(super) resets: u64,
}

impl LinkShape {
    /// What several faults come to that are in force at once: delays add up, the tightest throttle counts.
    fn of(faults: &[(NetworkFaultKind, Direction)], resets: u64) -> Self {
        let mut shape = Self { resets, ..Self::default() };
        for (kind, direction) in faults {
            let ways = [(&mut shape.towards, Direction::Out), (&mut shape.from, Direction::In)];
            for (way, _) in ways.into_iter().filter(|(_, opposite)| opposite != direction) {
                match kind {
                    NetworkFaultKind::Cut => way.cut = true,
                    NetworkFaultKind::Delay(delay) => way.delay += *delay,
                    NetworkFaultKind::Throttle(rate) => {
                        way.throttle = Some(way.throttle.map_or(*rate, |known| known.min(*rate)));
                    }
                    NetworkFaultKind::Reset => {}
                }
            }
            shape.refuse |= *kind == NetworkFaultKind::Reset;
        }
        shape
    }

    /// Whether nothing passes, one way at least.
    pub(super) fn is_closed(&self) -> bool {
        self.refuse || self.towards.cut || self.from.cut
    }

    /// How much later an answer comes than its request would otherwise have had it.
    pub(super) fn delay(&self) -> Duration {
        self.towards.delay + self.from.delay
    }
}

/// The shape of a service's connections, as those who carry the bytes see it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    shape: watch::Sender<LinkShape>,
    /// The faults in force, each as often as it was applied: the last one that ends heals.
    faults: Arc<Mutex<Vec<(NetworkFaultKind, Direction)>>>,
    /// When each way is free again, for throttling all connections together.
    free: Arc<[Mutex<Option<Instant>>; 2]>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            shape: watch::Sender::default(),
            faults: Arc::default(),
            free: Arc::new([Mutex::new(None), Mutex::new(None)]),
        }
    }
}

impl Link {
    /// Puts a fault in force.
    pub(super) fn apply(&self, kind: &NetworkFaultKind, direction: Direction) {
        let mut faults = lock(&self.faults);
        faults.push((kind.clone(), direction));
        let reset = u64::from(*kind == NetworkFaultKind::Reset);
        self.shape.send_modify(|shape| *shape = LinkShape::of(&faults, shape.resets + reset));
    }

    /// Takes a fault back, once. Others of its kind stay in force.
    pub(super) fn take_back(&self, kind: &NetworkFaultKind, direction: Direction) {
        let mut faults = lock(&self.faults);
        if let Some(index) = faults.iter().position(|fault| *fault == (kind.clone(), direction)) {
            faults.remove(index);
        }
        self.shape.send_modify(|shape| *shape = LinkShape::of(&faults, shape.resets));
    }

    /// Whether a fault is in force.
    pub(super) fn has(&self, kind: &NetworkFaultKind, direction: Direction) -> bool {
        lock(&self.faults).contains(&(kind.clone(), direction))
    }

    /// What is in force.
    pub(super) fn shape(&self) -> LinkShape {
        *self.shape.borrow()
    }

    /// What is in force, with a notice of changes.
    pub(super) fn watch(&self) -> watch::Receiver<LinkShape> {
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
            let is_open = |shape: &LinkShape| match direction {
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
        let slowest = self.slowest().unwrap_or(u64::MAX);
        usize::try_from((slowest / PORTIONS).clamp(1, FAST)).unwrap_or(1)
    }

    /// How many portions may be on their way before no more are taken from the sender, who has to feel that the link is slow.
    pub(super) fn ahead(&self) -> usize {
        let Some(rate) = self.slowest() else { return usize::MAX };
        let held: Duration = self.ways().map(|(_, _, way)| way.delay).sum::<Duration>() + SLACK;
        (held.as_secs_f64() * rate as f64 / self.portion() as f64).ceil().max(1.0) as usize
    }

    /// Bytes per second of the slowest link; `None` where none is throttled.
    fn slowest(&self) -> Option<u64> {
        self.ways().filter_map(|(_, _, way)| way.throttle).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_concerns_its_direction_only_and_the_last_one_out_heals() {
        let link = Link::default();
        let (short, long) = (Duration::from_millis(5), Duration::from_millis(20));
        link.apply(&NetworkFaultKind::Cut, Direction::In);
        assert!(link.shape().towards.cut && !link.shape().from.cut);
        link.apply(&NetworkFaultKind::Cut, Direction::Both);
        link.take_back(&NetworkFaultKind::Cut, Direction::In);
        assert!(link.shape().towards.cut && link.shape().from.cut, "the other cut is in force");
        link.take_back(&NetworkFaultKind::Cut, Direction::In);
        assert!(link.shape().is_closed(), "healing twice takes nothing from the other");
        link.take_back(&NetworkFaultKind::Cut, Direction::Both);
        link.apply(&NetworkFaultKind::Delay(short), Direction::Both);
        link.apply(&NetworkFaultKind::Delay(long), Direction::Out);
        link.apply(&NetworkFaultKind::Throttle(1000), Direction::In);
        link.apply(&NetworkFaultKind::Throttle(50), Direction::In);
        assert_eq!((link.shape().towards.delay, link.shape().from.delay), (short, short + long));
        assert_eq!(link.shape().towards.throttle, Some(50));
        link.take_back(&NetworkFaultKind::Throttle(50), Direction::In);
        assert_eq!(link.shape().towards.throttle, Some(1000));
        assert!(link.has(&NetworkFaultKind::Delay(long), Direction::Out));
        for (kind, direction) in [
            (NetworkFaultKind::Delay(short), Direction::Both),
            (NetworkFaultKind::Delay(long), Direction::Out),
            (NetworkFaultKind::Throttle(1000), Direction::In),
        ] {
            link.take_back(&kind, direction);
        }
        assert_eq!(link.shape(), LinkShape::default());
    }

    #[tokio::test]
    async fn throttling_is_shared_by_all_who_use_the_link() {
        let link = Link::default();
        link.apply(&NetworkFaultKind::Throttle(10_000), Direction::Out);
        let path = Path::new(vec![(link, Direction::Out)]);
        assert_eq!((path.portion(), path.ahead()), (500, 4));
        let sent = Instant::now();
        tokio::join!(path.arrive(sent, 500), path.arrive(sent, 500));
        assert!(sent.elapsed() >= Duration::from_millis(90));
    }
}

//! Feels whether the machine is there for kscen: a thread that wants to run every 10 ms and notes how late it is, and what the
//! kernel says about waiting for processors, once a second.

use super::clock::RunClock;
use super::strain::MachineSample;
use crate::ground::lock;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two beats.
const BEAT: Duration = Duration::from_millis(10);
/// Between two samples.
const SECOND: Duration = Duration::from_secs(1);

/// Process ids of local services, by name.
pub(crate) type Pids = Arc<Mutex<BTreeMap<String, u32>>>;

/// What is felt besides this process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Felt {
    /// Local services.
    pub(crate) services: Pids,
    /// Other processes of kscen on this machine, which send and read as well.
    pub(crate) workers: Vec<u32>,
}

/// The thread; it ends with this value.
pub(crate) struct Pulse {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pulse {
    /// Starts it; `tell` is given a sample once a second. Without a thread there are no samples, and nothing is excused.
    pub(crate) fn start(clock: RunClock, felt: Felt, tell: impl FnMut(MachineSample) + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let beats = move || beat(clock, tell, &felt, &told);
        Self { over, thread: std::thread::Builder::new().name("pulse".to_owned()).spawn(beats).ok() }
    }
}

impl Pulse {
    /// Ends it, and does not wait for that.
    pub(crate) fn leave(mut self) {
        self.over.store(true, Ordering::Release);
        self.thread = None;
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A pulse that panicked has nothing left to say.
            let _ = thread.join();
        }
    }
}

fn beat(clock: RunClock, mut tell: impl FnMut(MachineSample), felt: &Felt, over: &AtomicBool) {
    let throttling = throttling();
    let mut before = Counters::read(&throttling, felt);
    let (mut pause, mut pause_end) = (Duration::ZERO, Instant::now());
    while !over.load(Ordering::Acquire) {
        let due = Instant::now() + BEAT;
        std::thread::sleep(BEAT);
        let now = Instant::now();
        let late = now.saturating_duration_since(due);
        if late > pause {
            (pause, pause_end) = (late, now);
        }
        if now.duration_since(before.at) >= SECOND {
            let counters = Counters::read(&throttling, felt);
            let mut sample = counters.since(&before, clock);
            (sample.pause, sample.pause_end) = (round(pause.as_secs_f64()), round(clock.at(pause_end)));
            tell(sample);
            (before, pause) = (counters, Duration::ZERO);
        }
    }
}

/// To the millisecond.
fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// What the kernel has counted so far.
struct Counters {
    at: Instant,
    pressure_us: u64,
    ticks: Ticks,
    /// Ticks of kscen, its workers and its local services; `None` where those are not known.
    own: Option<u64>,
    throttled_us: u64,
    /// By thread that sends or reads: ns of waiting for a processor.
    threads: BTreeMap<u32, u64>,
    services: BTreeMap<String, u64>,
}

impl Counters {
    fn read(throttling: &Option<PathBuf>, felt: &Felt) -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let pids = lock(&felt.services).clone();
        let own = || ["self".to_owned()].into_iter().chain(felt.workers.iter().map(u32::to_string));
        Self {
            at: Instant::now(),
            pressure_us: pressure_us(&text("/proc/pressure/cpu")),
            ticks: Ticks::read(&text("/proc/stat")),
            own: (!pids.is_empty()).then(|| {
                let of = |process: String| process_ticks(&text(&format!("/proc/{process}/stat")));
                own().chain(pids.values().map(u32::to_string)).map(of).sum()
            }),
            throttled_us: throttling.as_ref().map_or(0, |path| throttled_us(&text(&path.to_string_lossy()))),
            threads: own().flat_map(|process| waits(&process, is_load)).collect(),
            services: pids
                .into_iter()
                .map(|(name, pid)| (name, waits(&pid.to_string(), |_| true).into_iter().map(|(_, ns)| ns).sum()))
                .collect(),
        }
    }

    fn since(&self, before: &Self, clock: RunClock) -> MachineSample {
        let elapsed = self.at.duration_since(before.at).as_secs_f64();
        let share = |more: u64, unit: f64| round((more as f64 / unit / elapsed).min(1.0));
        let waited = |id: &u32, ns: &u64| ns.saturating_sub(*before.threads.get(id)?).into();
        let longest: Option<u64> = self.threads.iter().filter_map(|(id, ns)| waited(id, ns)).max();
        let ticks = self.ticks.all.saturating_sub(before.ticks.all).max(1) as f64;
        let busy = self.ticks.busy.saturating_sub(before.ticks.busy);
        let foreign =
            self.own.zip(before.own).map_or(0, |(own, before)| busy.saturating_sub(own.saturating_sub(before)));
        MachineSample {
            from: round(clock.at(before.at)),
            to: round(clock.at(self.at)),
            waiting: share(longest.unwrap_or(0), 1e9),
            pressure: share(self.pressure_us.saturating_sub(before.pressure_us), 1e6),
            steal: round(self.ticks.stolen.saturating_sub(before.ticks.stolen) as f64 / ticks),
            foreign: round(foreign as f64 / ticks),
            throttled: share(self.throttled_us.saturating_sub(before.throttled_us), 1e6),
            services: self
                .services
                .iter()
                .filter_map(|(name, ns)| {
                    let more = ns.saturating_sub(*before.services.get(name)?);
                    Some((name.clone(), round(more as f64 / 1e9 / elapsed)))
                })
                .collect(),
            ..MachineSample::default()
        }
    }
}

/// Whether a thread of that name sends or reads messages.
fn is_load(name: &str) -> bool {
    ["produce-", "consume-"].iter().any(|load| {
        name.trim().strip_prefix(load).is_some_and(|number| number.starts_with(|first: char| first.is_ascii_digit()))
    })
}

/// How long each thread of a process has waited for a processor, in ns, for the threads whose name is wanted.
fn waits(process: &str, wanted: impl Fn(&str) -> bool) -> Vec<(u32, u64)> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| {
            let path = task.path();
            let name = fs::read_to_string(path.join("comm")).ok()?;
            let scheduled = wanted(&name).then(|| fs::read_to_string(path.join("schedstat")).ok())??;
            Some((task.file_name().to_str()?.parse().ok()?, waited_ns(&scheduled)?))
        })
        .collect()
}

/// From `/proc/PID/schedstat`: time on a processor, time waiting for one, turns.
fn waited_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().nth(1)?.parse().ok()
}

/// From `/proc/pressure/cpu`: `some avg10=… total=…`.
fn pressure_us(text: &str) -> u64 {
    let some = text.lines().find(|line| line.starts_with("some"));
    some.and_then(|line| line.rsplit_once("total=")?.1.trim().parse().ok()).unwrap_or(0)
}

/// What the machine's processors did, in ticks.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    /// Given to others by a hypervisor.
    stolen: u64,
    all: u64,
}

impl Ticks {
    /// From `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal; what follows is contained in the first two.
    fn read(text: &str) -> Self {
        let line = text.lines().find(|line| line.starts_with("cpu ")).unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
        let [user, nice, system, idle, iowait, irq, softirq, stolen] = ticks[..] else { return Self::default() };
        let busy = user + nice + system + irq + softirq;
        Self { busy, stolen, all: busy + idle + iowait + stolen }
    }
}

/// From `/proc/PID/stat`: the ticks of all its threads. Its name, in parentheses, may hold anything.
fn process_ticks(text: &str) -> u64 {
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// From `cpu.stat` of a control group, of either version.
fn throttled_us(text: &str) -> u64 {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    };
    field("throttled_usec ").or_else(|| field("throttled_time ").map(|ns| ns / 1000)).unwrap_or(0)
}

/// The file that tells of kscen's own throttling, where there is one.
fn throttling() -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = |wanted: &str| {
        own.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|controller| controller == wanted).then(|| path.trim_matches('/').to_owned())
        })
    };
    let (unified, old) = (path("").unwrap_or_default(), path("cpu").unwrap_or_default());
    [
        format!("/sys/fs/cgroup/{unified}/cpu.stat"),
        format!("/sys/fs/cgroup/cpu/{old}/cpu.stat"),
        format!("/sys/fs/cgroup/cpu,cpuacct/{old}/cpu.stat"),
        "/sys/fs/cgroup/cpu.stat".to_owned(),
        "/sys/fs/cgroup/cpu/cpu.stat".to_owned(),
    ]
    .into_iter()
    .map(PathBuf::from)
    .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        assert_eq!(waited_ns("11234 55933 17\n"), Some(55_933));
        assert_eq!(pressure_us("some avg10=1.00 avg60=2.00 avg300=0.50 total=1839\nfull avg10=0 total=3\n"), 1839);
        let ticks = Ticks::read("cpu  10 1 20 60 2 1 1 5 0 0\ncpu0 1 1 1 1\n");
        assert_eq!(ticks, Ticks { busy: 33, stolen: 5, all: 100 });
        assert_eq!(process_ticks("7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 40 2 0 0 20 0 1"), 42);
        assert_eq!(throttled_us("usage_usec 12\nnr_throttled 2\nthrottled_usec 77\n"), 77);
        assert_eq!(throttled_us("nr_periods 1\nnr_throttled 2\nthrottled_time 77000\n"), 77);
        assert!(is_load("produce-0\n") && is_load("consume-12") && !is_load("consume-monitor") && !is_load("pulse"));
    }

    /// A worker on this machine burns what is kscen's own, and its threads are those that wait.
    #[test]
    fn what_workers_take_is_no_other_program() {
        let mut child = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("a shell");
        let services = || Arc::new(Mutex::new(BTreeMap::from([("self".to_owned(), std::process::id())])));
        let with = Felt { services: services(), workers: vec![child.id()] };
        let without = Felt { services: services(), workers: Vec::new() };
        let read = || [&with, &without].map(|felt| Counters::read(&None, felt).own.expect("services are known"));
        let before = read();
        // Until it has burnt some ticks of a processor, however busy the machine is.
        let deadline = Instant::now() + Duration::from_secs(60);
        let after = loop {
            let after = read();
            if after[0] - before[0] > after[1] - before[1] + 5 || Instant::now() > deadline {
                break after;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let _ = child.kill();
        let _ = child.wait();
        let taken = [0, 1].map(|of| after[of] - before[of]);
        assert!(taken[0] > taken[1] + 5, "{taken:?}");
    }
}

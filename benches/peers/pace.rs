//! Whether the load is what was asked for.

use crate::Outcome;
use crate::broker::Broker;
use crate::scenario;
use kscen::testing::record::LatencySummary;
use kscen::testing::record::ProduceReport;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the schedules came to.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Pace {
    /// p99 of schedule delay at 1000/s, in µs, one a round.
    pub kscen_p99_us: Vec<f64>,
    /// p99 of the same schedule's delay in a loop that sleeps 200 µs at a time, at the same time and so beside the same load of
    /// the broker, in µs, one a round.
    pub beside_p99_us: Vec<f64>,
    /// The same while nothing else happens.
    pub alone_p99_us: Vec<f64>,
    /// At 100,000/s of 100 B: the largest deviation of a whole second, one a round.
    pub worst_second: Vec<f64>,
    /// The deviation of the whole, one a round.
    pub whole: Vec<f64>,
}

const SECONDS: u64 = 3;
const FAST: f64 = 100_000.0;
const FAST_SECONDS: u64 = 5;

/// kscen at 1000/s with the bare loop beside it, then the loop alone; 100,000/s in every third round.
pub fn measure(broker: &Broker, rounds: u64) -> Outcome<Pace> {
    let mut pace = Pace::default();
    for round in 0..rounds {
        let bare = BareLoop::start();
        let run = produce(broker, "1000/s", SECONDS);
        let delays = bare.stop();
        let (report, started_us) = run?;
        let end_us = report.schedule_end_us.ok_or("the load has no schedule")?;
        pace.kscen_p99_us.push(LatencySummary::of(&report.schedule_delay.total()).p99_us as f64);
        pace.beside_p99_us.push(p99(&delays, started_us + report.start_us as i64..started_us + end_us as i64)?);
        let bare = BareLoop::start();
        std::thread::sleep(Duration::from_secs(SECONDS));
        pace.alone_p99_us.push(p99(&bare.stop(), i64::MIN..i64::MAX)?);
        if round % 3 == 0 {
            let (report, _) = produce(broker, "100000/s", FAST_SECONDS)?;
            pace.worst_second.push(worst_second(&report));
            let seconds = (report.last_send_us - report.start_us) as f64 / 1e6;
            pace.whole.push((report.sent as f64 / seconds / FAST - 1.0).abs());
        }
    }
    eprintln!("  {pace:?}");
    Ok(pace)
}

/// The report, and the origin of its times in µs since the epoch.
fn produce(broker: &Broker, rate: &str, seconds: u64) -> Outcome<(ProduceReport, i64)> {
    let topic = scenario::topic("pace");
    let (setup, config) = (scenario::setup(&topic), scenario::producer_config());
    let text = format!(
        "name: pace\n{setup}steps:\n  - id: load\n    produce: {{ topic: {topic}, rate: {rate}, for: {seconds}s, \
         size: 100B, {config} }}\n"
    );
    let mut run = scenario::kscen(broker, "pace", &text)?;
    broker.delete(&topic)?;
    let step = run.record.steps.iter_mut().find(|step| step.id == "load");
    let report = step.and_then(|step| step.produced.take()).ok_or("the run has no load")?;
    Ok((*report, run.record.run.started.parse::<jiff::Timestamp>()?.as_microsecond()))
}

/// Seconds are those of the run; the first and the last are cut by the schedule, so their target is what was due in them.
fn worst_second(report: &ProduceReport) -> f64 {
    let seconds = report.start_us / 1_000_000..=report.end_us / 1_000_000;
    let seconds = seconds.filter_map(|second| report.timeline.sum(second * 1_000_000..(second + 1) * 1_000_000));
    let whole = seconds.filter(|second| second.due as f64 > FAST * 0.99);
    whole.map(|second| (second.sent as f64 / second.due as f64 - 1.0).abs()).fold(0.0, f64::max)
}

/// When something was due, in µs since the epoch, and by how much it was late, in µs.
type Delay = (i64, f64);

/// Something is due each millisecond, and a loop that sleeps 200 µs at a time looks whether it is.
struct BareLoop {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Delay>>,
}

impl BareLoop {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let thread = std::thread::spawn(move || {
            // Only precision is lost where the kernel refuses; the load does the same.
            let _ = nix::sys::prctl::set_timerslack(1000);
            let (start, start_us) = (Instant::now(), jiff::Timestamp::now().as_microsecond());
            let (mut delays, mut due) = (Vec::new(), Duration::ZERO);
            while !asked.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_micros(200));
                while due <= start.elapsed() {
                    delays.push((start_us + due.as_micros() as i64, (start.elapsed() - due).as_secs_f64() * 1e6));
                    due += Duration::from_millis(1);
                }
            }
            delays
        });
        Self { stop, thread }
    }

    fn stop(self) -> Vec<Delay> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// The 99th percentile of the delays of what was due in this time.
fn p99(delays: &[Delay], due_us: Range<i64>) -> Outcome<f64> {
    let mut values: Vec<f64> = delays.iter().filter(|delay| due_us.contains(&delay.0)).map(|delay| delay.1).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() * 99 / 100).copied().ok_or_else(|| "the loop did not run".into())
}

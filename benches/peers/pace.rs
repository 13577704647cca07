//! Whether the load is what was asked for.

use crate::Outcome;
use crate::broker::Broker;
use crate::scenario;
use kscen::load::ProduceReport;
use kscen::record::latency::LatencySummary;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// What the schedules came to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pace {
    /// p99 of schedule delay at 1000/s, in µs, one a round.
    pub kscen_p99_us: Vec<f64>,
    /// p99 of the same schedule's delay in a loop that sleeps 200 µs at a time, in µs, one a round.
    pub timer_p99_us: Vec<f64>,
    /// By how much such a sleep ends late, p99, in µs, one a round.
    pub oversleep_p99_us: Vec<f64>,
    /// At 100,000/s of 100 B: the largest deviation of a whole second, one a round.
    pub worst_second: Vec<f64>,
    /// The deviation of the whole, one a round.
    pub whole: Vec<f64>,
}

const SECONDS: u64 = 3;
const FAST: f64 = 100_000.0;
const FAST_SECONDS: u64 = 5;

/// kscen at 1000/s and the bare loop take turns; 100,000/s in every third round.
pub fn measure(broker: &Broker, rounds: u64) -> Outcome<Pace> {
    let mut pace = Pace {
        kscen_p99_us: Vec::new(),
        timer_p99_us: Vec::new(),
        oversleep_p99_us: Vec::new(),
        worst_second: Vec::new(),
        whole: Vec::new(),
    };
    for round in 0..rounds {
        let report = produce(broker, "1000/s", SECONDS)?;
        pace.kscen_p99_us.push(LatencySummary::of(&report.schedule_delay.total()).p99_us as f64);
        let (delay, oversleep) = bare_loop();
        pace.timer_p99_us.push(delay);
        pace.oversleep_p99_us.push(oversleep);
        if round % 3 == 0 {
            let report = produce(broker, "100000/s", FAST_SECONDS)?;
            pace.worst_second.push(worst_second(&report));
            let seconds = (report.last_send_us - report.start_us) as f64 / 1e6;
            pace.whole.push((report.sent as f64 / seconds / FAST - 1.0).abs());
        }
    }
    eprintln!("  {pace:?}");
    Ok(pace)
}

fn produce(broker: &Broker, rate: &str, seconds: u64) -> Outcome<ProduceReport> {
    let topic = scenario::topic("pace");
    let (setup, config) = (scenario::setup(&topic), scenario::producer_config());
    let text = format!(
        "name: pace\n{setup}steps:\n  - id: load\n    produce: {{ topic: {topic}, rate: {rate}, for: {seconds}s, \
         size: 100B, {config} }}\n"
    );
    let mut run = scenario::kscen(broker, "pace", &text)?;
    broker.delete(&topic)?;
    let step = run.record.steps.iter_mut().find(|step| step.id == "load");
    Ok(*step.and_then(|step| step.produced.take()).ok_or("the run has no load")?)
}

/// Seconds are those of the run; the first and the last are cut by the schedule, so their target is what was due in them.
fn worst_second(report: &ProduceReport) -> f64 {
    let seconds = report.seconds.seconds.values().filter(|second| second.due > 0);
    let whole = seconds.filter(|second| second.due as f64 > FAST * 0.99);
    whole.map(|second| (second.sent as f64 / second.due as f64 - 1.0).abs()).fold(0.0, f64::max)
}

/// A message is due each millisecond, and a loop that sleeps 200 µs at a time looks whether one is. Returns the p99 of their
/// delays, and of how much later than meant the sleeps end; in µs.
fn bare_loop() -> (f64, f64) {
    // Only precision is lost where the kernel refuses; the load does the same.
    let _ = nix::sys::prctl::set_timerslack(1000);
    let (quantum, start) = (Duration::from_micros(200), Instant::now());
    let (mut delays, mut late, mut due) = (Vec::new(), Vec::new(), Duration::ZERO);
    while due < Duration::from_secs(SECONDS) {
        let before = Instant::now();
        std::thread::sleep(quantum);
        late.push((before.elapsed().saturating_sub(quantum)).as_secs_f64() * 1e6);
        while due <= start.elapsed() {
            delays.push((start.elapsed() - due).as_secs_f64() * 1e6);
            due += Duration::from_millis(1);
        }
    }
    (p99(delays), p99(late))
}

fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * 99 / 100).copied().unwrap_or(0.0)
}

//! The figures of many runs, by scenario, cell and metric.

use super::margin::UNPACED;
use super::naming::Naming;
use crate::accounting::Class;
use crate::judge::measure::observe;
use crate::judge::phases::{Phase, spans};
use crate::record::metric::{Better, MetricShape, of};
use crate::record::{Observed, Record, StepRecord, Unit};
use crate::report::StoredResult;
use crate::report::view::{cpu_peak, memory_peak};
use std::collections::BTreeMap;

/// A scenario and a cell of its matrix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ComparedCell {
    /// The scenario's file, with as much of its folder as tells it from others.
    pub scenario: String,
    /// The cell of the matrix; empty without one.
    pub cell: String,
}

/// One metric over the repeats of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Its unit.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    /// One value for each run that measured it.
    pub values: Vec<f64>,
    /// What it is at least, for each run in which it had not come to its end.
    pub at_least: Vec<f64>,
    /// Runs with too few messages for it.
    pub too_few: usize,
}

impl Samples {
    /// Nothing of a metric.
    pub fn none(unit: Unit, better: Better) -> Self {
        Self { unit, better, values: Vec::new(), at_least: Vec::new(), too_few: 0 }
    }

    fn add(&mut self, seen: &Seen) {
        match seen {
            Seen::Exactly(value) => self.values.push(*value),
            Seen::AtLeast(value) => self.at_least.push(*value),
            Seen::TooFew => self.too_few += 1,
        }
    }
}

/// What all runs of a cell measured.
#[derive(Clone, Debug, Default)]
pub struct CellSamples {
    /// How many runs there are.
    pub runs: usize,
    /// Their metrics.
    pub metrics: BTreeMap<String, Samples>,
}

/// What a run has of a metric.
enum Seen {
    Exactly(f64),
    AtLeast(f64),
    TooFew,
}

/// The metric that says whether a run passed: 1 or 0.
pub const PASSED: &str = "passed";
/// Statistics of distributions that are compared; the largest value is too noisy for that.
const STATISTICS: [&str; 4] = ["mean", "p50", "p95", "p99"];
/// A percentile with fewer samples beyond it says more about them than about the system, and is not compared.
const BEYOND: f64 = 50.0;

/// Collects every figure of the runs that came to an end. A metric is named `step: metric`.
pub fn collect(runs: &[StoredResult], naming: &Naming) -> BTreeMap<ComparedCell, CellSamples> {
    let mut all: BTreeMap<ComparedCell, CellSamples> = BTreeMap::new();
    for stored in runs {
        let record = &stored.record;
        let cell = all.entry(naming.cell_of(record)).or_default();
        cell.runs += 1;
        for (name, unit, better, seen) in figures(record) {
            let samples = cell.metrics.entry(name).or_insert_with(|| Samples::none(unit, better));
            if better == Better::Neutral {
                samples.better = better;
            }
            samples.add(&seen);
        }
    }
    all
}

/// Whether the step is a load as fast as it goes: it measures what the machine has to give at that moment.
fn is_unpaced(step: &StepRecord) -> bool {
    step.produced.as_ref().is_some_and(|report| report.schedule_end_us.is_none())
}

type Figure = (String, Unit, Better, Seen);

fn figures(record: &Record) -> Vec<Figure> {
    let passed = record.has_passed();
    let own = Seen::Exactly(f64::from(u8::from(passed)));
    let mut figures = vec![(PASSED.to_owned(), Unit::Count, Better::Higher, own)];
    figures.extend(of_steps(record));
    for delivery in record.deliveries.iter().filter(|delivery| delivery.drained) {
        for class in Class::ALL.into_iter().filter(|class| *class != Class::Foreign) {
            let name = format!("{} → {}: {class}", delivery.from.join(", "), delivery.to.join(", "));
            let count = delivery.ledger.count(class);
            // What a run that passed had is what its scenario allows: how much of it comes is no merit and no fault.
            let better = if passed && count > 0 { Better::Neutral } else { Better::Lower };
            figures.push((name, Unit::Count, better, Seen::Exactly(count as f64)));
        }
    }
    let peaks = [("peak memory", Unit::Bytes, memory_peak(record)), ("peak CPU", Unit::Share, cpu_peak(record))];
    for (name, unit, peak) in peaks {
        figures.extend(peak.map(|peak| (name.to_owned(), unit, Better::Lower, Seen::Exactly(peak))));
    }
    figures
}

fn of_steps(record: &Record) -> Vec<Figure> {
    let mut figures = Vec::new();
    // How long an outage was has metrics of its own; latencies are compared where nothing was disturbed.
    let steady = spans(record, Phase::Steady);
    for step in &record.steps {
        for metric in of(step.work()).filter(|metric| metric.better != Better::Neutral) {
            let statistics: Vec<Option<&str>> = match metric.shape {
                MetricShape::Single => vec![None],
                MetricShape::Distribution => STATISTICS.into_iter().map(Some).collect(),
            };
            for statistic in statistics {
                let disturbed = statistic.is_some() && !record.faults.is_empty();
                let during = disturbed.then_some(steady.as_slice());
                let beyond = match statistic {
                    Some("p95") => Some(0.05),
                    Some("p99") => Some(0.01),
                    _ => None,
                };
                let few = |share: f64| {
                    let n = observe(record, step, metric.name, Some("n"), during);
                    matches!(n, Observed::Number(n) if n.value * share < BEYOND)
                };
                let seen = match observe(record, step, metric.name, statistic, during) {
                    Observed::Number(_) if beyond.is_some_and(few) => Seen::TooFew,
                    Observed::Number(quantity) => Seen::Exactly(quantity.value),
                    // Few were answered: that is no reason to leave out what says so.
                    Observed::AtLeast { quantity, .. } => Seen::AtLeast(quantity.value),
                    _ => continue,
                };
                let name = statistic.map_or_else(
                    || metric.name.to_owned(),
                    |s| format!("{}.{s}{}", metric.name, if disturbed { " (steady)" } else { "" }),
                );
                let name = if is_unpaced(step) { format!("{name}{UNPACED}") } else { name };
                figures.push((format!("{}: {name}", step.id), metric.unit, metric.better, seen));
            }
        }
    }
    figures
}

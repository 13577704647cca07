//! What the runs of a command show.

use super::page::MetricsPage;
use super::run_figures::RunFigures;
use crate::ground::lock;
use crate::record::{Event, Record, Watcher};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

/// Runs that are over and still shown.
const MOST_ENDED: usize = 20;

/// Family, kind and what it is.
type Family = (&'static str, &'static str, &'static str);
/// One figure of each run: its family and its value, where there is one.
type Plain = (Family, fn(&RunFigures) -> Option<f64>);

const PLAIN: [Plain; 6] = [
    (("kscen_run_seconds", "gauge", "Seconds since the run's start, as of what it told last."), |run| {
        Some(run.seconds)
    }),
    (("kscen_run_steps", "gauge", "Steps of the scenario."), |run| Some(run.steps as f64)),
    (("kscen_run_faults_total", "counter", "Faults so far."), |run| Some(run.faults as f64)),
    (("kscen_run_incidents_total", "counter", "What services did unasked."), |run| Some(run.incidents as f64)),
    (("kscen_run_warnings_total", "counter", "Warnings."), |run| Some(run.warnings as f64)),
    (("kscen_run_ended", "gauge", "1 once the run has a verdict."), |run| {
        Some(f64::from(u8::from(run.verdict.is_some())))
    }),
];

/// What the runs of a command show, by their ids, in the order of their beginning. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct ShownRuns(Arc<Mutex<VecDeque<(String, RunFigures)>>>);

impl ShownRuns {
    /// Watches a run.
    pub(super) fn watcher(&self) -> Box<dyn Watcher> {
        Box::new(RunWatcher(self.clone()))
    }

    fn take(&self, event: &Event, record: Option<&Record>) {
        let mut runs = lock(&self.0);
        if let Some((_, known)) = runs.iter_mut().find(|(id, _)| *id == event.run) {
            return known.take(event, record);
        }
        let mut figures = RunFigures::default();
        figures.take(event, record);
        runs.push_back((event.run.clone(), figures));
        let ended =
            |runs: &VecDeque<(String, RunFigures)>| runs.iter().filter(|(_, run)| run.verdict.is_some()).count();
        while ended(&runs) > MOST_ENDED
            && let Some(first) = runs.iter().position(|(_, run)| run.verdict.is_some())
        {
            runs.remove(first);
        }
    }

    /// In Prometheus's text format.
    pub(super) fn text(&self) -> String {
        let runs = lock(&self.0);
        let mut page = MetricsPage::default();
        page.family("kscen_run_info", "gauge", "Always 1: which run it is.");
        for (id, run) in runs.iter() {
            let version = env!("CARGO_PKG_VERSION");
            let (scenario, environment) = (run.scenario.as_str(), run.environment.as_str());
            let labels =
                [("run", id.as_str()), ("scenario", scenario), ("environment", environment), ("kscen", version)];
            page.sample("kscen_run_info", &labels, 1.0);
        }
        for ((name, kind, help), value) in PLAIN {
            page.family(name, kind, help);
            for (id, run) in runs.iter() {
                if let Some(value) = value(run) {
                    page.sample(name, &[("run", id)], value);
                }
            }
        }
        course(&mut page, &runs);
        messages(&mut page, &runs);
        judged(&mut page, &runs);
        page.text()
    }
}

/// Steps and faults.
fn course(page: &mut MetricsPage, runs: &VecDeque<(String, RunFigures)>) {
    let name = "kscen_run_steps_ended_total";
    page.family(name, "counter", "Steps that are over, by how they ended.");
    for (id, run) in runs {
        run.ended.iter().for_each(|(status, n)| page.sample(name, &[("run", id), ("status", status)], *n as f64));
    }
    let name = "kscen_run_step_running";
    page.family(name, "gauge", "1 for each step at work.");
    for (id, run) in runs {
        run.running
            .iter()
            .for_each(|(step, verb)| page.sample(name, &[("run", id), ("step", step), ("verb", verb)], 1.0));
    }
    let name = "kscen_run_fault_in_force";
    page.family(name, "gauge", "1 for each fault in force.");
    for (id, run) in runs {
        for [step, target, action] in &run.in_force {
            page.sample(name, &[("run", id), ("step", step), ("target", target), ("action", action)], 1.0);
        }
    }
}

/// What loads and readers show.
fn messages(page: &mut MetricsPage, runs: &VecDeque<(String, RunFigures)>) {
    let steps = || runs.iter().flat_map(|(id, run)| run.shown.iter().map(move |(step, shown)| (id, step, shown)));
    let name = "kscen_run_messages_total";
    page.family(name, "counter", "Messages by what became of them.");
    for (run, step, shown) in steps() {
        shown
            .messages()
            .for_each(|(what, n)| page.sample(name, &[("run", run), ("step", step), ("what", what)], n as f64));
    }
    let name = "kscen_run_noted_total";
    page.family(
        name,
        "counter",
        "Messages that a reader was given other than once and in order, before anything is settled.",
    );
    for (run, step, shown) in steps() {
        let noted = shown.noted().iter();
        noted.for_each(|(class, n)| page.sample(name, &[("run", run), ("step", step), ("class", class)], *n as f64));
    }
    let name = "kscen_run_in_flight";
    page.family(name, "gauge", "Messages that were sent and have no outcome.");
    for (run, step, shown) in steps() {
        shown.in_flight().into_iter().for_each(|n| page.sample(name, &[("run", run), ("step", step)], n as f64));
    }
    let name = "kscen_run_lag";
    page.family(name, "gauge", "Messages between a reader's position and the end of the log.");
    for (run, step, shown) in steps() {
        shown.lag().into_iter().for_each(|n| page.sample(name, &[("run", run), ("step", step)], n as f64));
    }
    let name = "kscen_run_latency_seconds";
    page.family(
        name,
        "histogram",
        "From when a message was due until it was acknowledged or, of a reader, until it was read.",
    );
    steps().for_each(|(run, step, shown)| shown.write_latency(page, name, &[("run", run), ("step", step)]));
}

/// Deliveries, checks and the verdict.
fn judged(page: &mut MetricsPage, runs: &VecDeque<(String, RunFigures)>) {
    let name = "kscen_run_delivery_messages";
    page.family(
        name,
        "gauge",
        "Messages of a delivery that was settled, by class; none is told only where no more can come.",
    );
    for (id, run) in runs {
        for (from, to, classes) in &run.deliveries {
            for (class, count) in classes {
                page.sample(name, &[("run", id), ("from", from), ("to", to), ("class", class)], *count as f64);
            }
        }
    }
    let name = "kscen_run_checks";
    page.family(name, "gauge", "Checks that were decided.");
    for (id, run) in runs {
        for (outcome, count) in ["passed", "failed", "unknown"].into_iter().zip(run.checks) {
            page.sample(name, &[("run", id), ("outcome", outcome)], count as f64);
        }
    }
    let name = "kscen_run_verdict";
    page.family(name, "gauge", "1 for the verdict, once there is one.");
    for (id, run) in runs {
        if let Some(outcome) = run.verdict {
            page.sample(name, &[("run", id), ("outcome", &outcome.word().to_lowercase())], 1.0);
        }
    }
}

/// Watches one run for all who look.
struct RunWatcher(ShownRuns);

impl Watcher for RunWatcher {
    fn event(&mut self, event: &Event, record: Option<&Record>) -> io::Result<()> {
        self.0.take(event, record);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{EventKind, FaultRecord, LiveFigures, Progress, RecordFold, Verdict};
    use crate::record::{LatencyBuckets, Outcome};

    /// A record that is known, told as events.
    struct Told {
        runs: ShownRuns,
        folded: RecordFold,
        golden: Record,
    }

    impl Told {
        fn new() -> Self {
            let golden = serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a record");
            Self { runs: ShownRuns::default(), folded: RecordFold::default(), golden }
        }

        fn tell(&mut self, run: &str, at: f64, kind: EventKind) {
            let event = Event { v: 1, run: run.to_owned(), at, kind };
            self.folded.take(&event);
            self.runs.watcher().event(&event, self.folded.record()).expect("nothing can fail");
        }

        fn begin(&mut self, run: &str) {
            let (info, machine) = (Box::new(self.golden.run.clone()), self.golden.machine.clone());
            self.tell(run, 0.0, EventKind::RunStarted { info, machine, steps: 7 });
        }

        fn end(&mut self, run: &str, outcome: Outcome) {
            let verdict = Verdict { outcome, passed: 1, failed: 0, unknown: 0, reasons: Vec::new() };
            self.tell(run, 60.0, EventKind::RunEnded { verdict, duration: 60.0 });
        }

        fn has(&self, line: &str) -> bool {
            self.runs.text().lines().any(|found| found == line)
        }
    }

    #[test]
    fn what_runs_is_shown_while_it_runs() {
        let mut told = Told::new();
        told.begin("r");
        let mut figures = Progress { what: "acknowledged".to_owned(), ..Progress::default() };
        let mut latency = LatencyBuckets { sum_us: 1_500, ..LatencyBuckets::default() };
        latency.within.iter_mut().skip(2).for_each(|within| *within = 3);
        latency.count = 3;
        let messages = vec![("due", 9), ("acknowledged", 7), ("failed", 1)];
        *figures.live = LiveFigures { messages, in_flight: Some(1), latency, ..LiveFigures::default() };
        told.tell("r", 2.0, EventKind::Progress { id: "load".to_owned(), figures });
        let live = LiveFigures { lag: Some(4), noted: vec![("redelivered", 2)], ..LiveFigures::default() };
        let figures = Progress { done: 5, what: "read".to_owned(), live: Box::new(live), ..Progress::default() };
        told.tell("r", 2.0, EventKind::Progress { id: "reader".to_owned(), figures });
        let fault = FaultRecord {
            step: "freeze".to_owned(),
            target: "kafka-1".to_owned(),
            action: "pause".to_owned(),
            effective: Some(3.0),
            ..FaultRecord::default()
        };
        told.tell("r", 3.0, EventKind::Fault { record: fault.clone() });
        told.tell("r", 3.5, EventKind::Warning { text: "w".to_owned() });
        for line in [
            "kscen_run_seconds{run=\"r\"} 3.5",
            "kscen_run_messages_total{run=\"r\",step=\"load\",what=\"due\"} 9",
            "kscen_run_messages_total{run=\"r\",step=\"load\",what=\"failed\"} 1",
            "kscen_run_messages_total{run=\"r\",step=\"reader\",what=\"read\"} 5",
            "kscen_run_in_flight{run=\"r\",step=\"load\"} 1",
            "kscen_run_lag{run=\"r\",step=\"reader\"} 4",
            "kscen_run_noted_total{run=\"r\",step=\"reader\",class=\"redelivered\"} 2",
            "kscen_run_latency_seconds_bucket{run=\"r\",step=\"load\",le=\"0.001\"} 0",
            "kscen_run_latency_seconds_bucket{run=\"r\",step=\"load\",le=\"0.0025\"} 3",
            "kscen_run_latency_seconds_sum{run=\"r\",step=\"load\"} 0.0015",
            "kscen_run_fault_in_force{run=\"r\",step=\"freeze\",target=\"kafka-1\",action=\"pause\"} 1",
            "kscen_run_faults_total{run=\"r\"} 1",
            "kscen_run_warnings_total{run=\"r\"} 1",
            "kscen_run_ended{run=\"r\"} 0",
        ] {
            assert!(told.has(line), "{line}\n{}", told.runs.text());
        }
        assert!(!told.runs.text().contains("kscen_run_verdict{"), "there is none yet");
        told.tell("r", 4.0, EventKind::Fault { record: FaultRecord { undone: Some(4.0), ..fault } });
        told.end("r", Outcome::Fail);
        assert!(!told.runs.text().contains("kscen_run_fault_in_force{"), "{}", told.runs.text());
        assert!(
            told.has("kscen_run_verdict{run=\"r\",outcome=\"fail\"} 1") && told.has("kscen_run_ended{run=\"r\"} 1")
        );
    }

    #[test]
    fn what_ended_is_told_as_it_ended_and_what_is_not_known_is_not_told() {
        let mut told = Told::new();
        told.begin("r");
        let steps = told.golden.steps.clone();
        let load = steps.iter().find(|step| step.produced.is_some()).expect("a load");
        let report = load.produced.as_ref().expect("a load");
        for step in &steps {
            told.tell("r", 50.0, EventKind::StepEnded { record: Box::new(step.clone()) });
        }
        let line = |what: &str, n: u64| {
            format!("kscen_run_messages_total{{run=\"r\",step=\"{}\",what=\"{what}\"}} {n}", load.id)
        };
        assert!(
            told.has(&line("acknowledged", report.acked)) && told.has(&line("due", report.due)),
            "{}",
            told.runs.text()
        );
        let mut delivery = told.golden.deliveries.first().expect("a delivery").clone();
        (delivery.drained, delivery.changes) = (false, None);
        (delivery.from, delivery.to) = (vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]);
        delivery.ledger.classes.clear();
        told.tell("r", 51.0, EventKind::Delivery { record: Box::new(delivery.clone()) });
        assert!(
            !told.runs.text().contains("kscen_run_delivery_messages{"),
            "nothing lost is not known: {}",
            told.runs.text()
        );
        (delivery.drained, delivery.incomplete) = (true, Vec::new());
        told.tell("r", 52.0, EventKind::Delivery { record: Box::new(delivery) });
        assert!(told.has("kscen_run_delivery_messages{run=\"r\",from=\"a,b\",to=\"c\",class=\"lost\"} 0"));
    }

    #[test]
    fn a_page_is_bounded_and_each_sample_belongs_to_its_family_once() {
        let mut told = Told::new();
        for number in 0..MOST_ENDED + 10 {
            told.begin(&number.to_string());
            told.end(&number.to_string(), Outcome::Pass);
        }
        let text = told.runs.text();
        assert_eq!(text.matches("kscen_run_info{").count(), MOST_ENDED + 1);
        let (mut family, mut seen) = (String::new(), std::collections::BTreeSet::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap_or_default().to_owned();
                assert!(seen.insert(family.clone()), "{family} begins twice");
            } else if !line.starts_with('#') {
                assert!(line.starts_with(&family) && seen.insert(line.to_owned()), "{line}");
            }
        }
    }
}

//! A run as a person follows it: permanent lines, and live lines below them on a terminal.

use super::Output;
use super::ending::{Failures, KeptFailure};
use super::live_lines::LiveLines;
use crate::ground::plural;
use crate::plan::Plan;
use crate::record::{
    CheckOutcome, CheckRecord, EXPECTATION, Event, EventKind, Failure, FaultRecord, Progress, Quantity, Record,
    StepRecord, StepStatus, Unit, Watcher,
};
use crate::text::{Location, Place, Problem, SourceText, Span, harmless};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where nothing else is printed, a line after this time says that the run lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// An environment that is ready within less, in seconds, was there before.
const KEPT: f64 = 0.01;

/// How much is said while a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Nothing: what failed is said at the end.
    Quiet,
    /// Steps, and what did not go well.
    Usual,
    /// Checks that passed and the moments of each fault, too.
    Verbose,
}

/// Prints a run, and keeps what failed for the end.
pub struct Terminal {
    output: Output,
    verbosity: Verbosity,
    run: String,
    title: String,
    live: LiveLines,
    figures: BTreeMap<String, Progress>,
    last: Instant,
    /// The figures of running steps as they were told last.
    told: String,
    failures: Failures,
    /// What was said of each fault last.
    faults: BTreeMap<(String, String), String>,
    sources: Vec<Arc<SourceText>>,
}

impl Terminal {
    /// Prints a run of that plan; what it shows of the scenario's files is what was read when it was planned.
    pub fn new(output: Output, plan: &Plan, verbosity: Verbosity, failures: Failures) -> Self {
        // Live lines are a part of what is said.
        let output = Output { terminal: output.terminal && verbosity != Verbosity::Quiet, ..output };
        Self {
            output,
            verbosity,
            run: plan.bindings.run_id.clone(),
            title: plan.redactor.text(&plan.title()).into_owned(),
            live: LiveLines::new(output),
            figures: BTreeMap::new(),
            last: Instant::now(),
            told: String::new(),
            failures,
            faults: BTreeMap::new(),
            sources: plan.sources(),
        }
    }

    /// One permanent line, above the live ones. What comes from outside has its line breaks in it: what follows them is indented, so
    /// that nothing but kscen begins a line.
    fn line(&mut self, text: &str) {
        self.drawn(&text.replace('\n', "\n        "));
    }

    /// Lines that are laid out already.
    fn drawn(&mut self, text: &str) {
        self.last = Instant::now();
        if self.verbosity == Verbosity::Quiet {
            return;
        }
        if self.output.terminal {
            self.live.above(text);
        } else {
            self.output.line(text);
        }
    }

    fn started(&mut self, id: &str, title: &str, background: bool, planned: Option<f64>) {
        if self.output.terminal {
            self.live.start(&harmless(id), &harmless(title), planned);
        } else {
            let beside = if background { " (background)" } else { "" };
            self.line(&format!("  {} {id}: {title}{beside}", self.output.symbol("▸", ">")));
        }
    }

    fn progress(&mut self, id: &str, figures: &Progress) {
        self.live.say(id, describe(figures, self.output.symbol("·", "-")));
        self.figures.insert(id.to_owned(), figures.clone());
        if !self.output.terminal && self.last.elapsed() >= HEARTBEAT {
            let running: Vec<String> =
                self.figures.iter().map(|(id, figures)| format!("{id}: {}", describe(figures, "-"))).collect();
            let text = format!("  ... {}", running.join("; "));
            // What has not changed is said again only to show that it goes on.
            if text != self.told || self.last.elapsed() >= 6 * HEARTBEAT {
                self.line(&text);
                self.told = text;
            }
        }
    }

    fn ended(&mut self, step: &StepRecord) {
        self.live.end(&step.id);
        self.figures.remove(&step.id);
        let (color, symbol) = match step.status {
            StepStatus::Done => (32, self.output.symbol("✓", "ok")),
            StepStatus::Failed => (31, self.output.symbol("✗", "FAILED")),
            StepStatus::Error => (31, self.output.symbol("✗", "ERROR")),
            StepStatus::Skipped => (2, self.output.symbol("○", "skipped")),
            StepStatus::Stopped | StepStatus::Running => (33, self.output.symbol("■", "stopped")),
        };
        let time = Quantity::seconds(step.ended - step.started);
        let figures = headline(step);
        let figures = if figures.is_empty() { String::new() } else { format!("  {figures}") };
        let symbol = self.output.paint(color, symbol);
        let time = self.output.paint(2, &time.to_string());
        self.line(&format!("  {symbol} {}  {}  {time}{figures}", step.id, step.title));
        // A failed expectation is told by its checks, which name the very line.
        if let Some(failure) = step.failure.as_ref().filter(|failure| failure.code != EXPECTATION) {
            self.failed(&step.id, format!("{}: {}", step.id, failure.message), failure);
        }
    }

    /// Says briefly that something failed; all of it is said at the end.
    fn failed(&mut self, step: &str, reason: String, failure: &Failure) {
        let brief = harmless(failure.message.trim_end()).into_owned();
        self.line(&format!("    {}", self.output.paint(31, &brief)));
        let (problem, log) = (self.problem_of(failure), failure.log.clone());
        self.failures.push(KeptFailure { run: self.run.clone(), step: step.to_owned(), reason, problem, log });
    }

    fn check(&mut self, check: &CheckRecord) {
        let said = format!("{}: expected {}, observed {}", check.subject, check.demand, check.observed);
        let (code, color, symbol) = match check.outcome {
            CheckOutcome::Pass if self.verbosity == Verbosity::Verbose => {
                let symbol = self.output.paint(32, self.output.symbol("✓", "ok"));
                return self.line(&format!("    {symbol} {}", harmless(&said)));
            }
            CheckOutcome::Pass => return,
            CheckOutcome::Fail => ("check-failed", 31, self.output.symbol("✗", "FAILED")),
            CheckOutcome::Unknown => ("check-unknown", 33, self.output.symbol("?", "unknown")),
        };
        self.line(&format!("    {} {}", self.output.paint(color, symbol), harmless(&said)));
        let place = check.at.as_ref().map(|at| format!(" ({at})")).unwrap_or_default();
        let reason = format!("{said}{place}");
        // Why something is unknown is told once, above the line.
        let observed = match check.outcome {
            CheckOutcome::Unknown => "observed: unknown".to_owned(),
            _ => format!("observed {}", check.observed),
        };
        let mut problem = Problem::new(code, said).label(observed);
        if let Some(place) = check.at.as_ref().and_then(|at| self.place(at)) {
            problem = problem.at(place);
        }
        for sample in &check.samples {
            problem = problem.note(sample.clone());
        }
        let (run, step) = (self.run.clone(), check.step.clone());
        self.failures.push(KeptFailure { run, step, reason, problem, log: Vec::new() });
    }

    /// A moment of a fault that was not told yet.
    fn fault(&mut self, fault: &FaultRecord) {
        let moment = match fault {
            FaultRecord { ready: Some(_), .. } => "ready again".to_owned(),
            FaultRecord { undone: Some(_), .. } => "undone".to_owned(),
            FaultRecord { effective: Some(_), proof, .. } => format!("in force: {proof}"),
            _ => "asked for".to_owned(),
        };
        let key = (fault.step.clone(), fault.target.clone());
        let text = format!("{}: {} of {} {moment}", fault.step, fault.action, fault.target);
        if self.verbosity == Verbosity::Verbose && self.faults.insert(key, text.clone()).as_ref() != Some(&text) {
            self.line(&format!("    {}", self.output.paint(2, &harmless(&text))));
        }
    }

    fn problem_of(&self, failure: &Failure) -> Problem {
        let code: &'static str = if failure.at.is_some() { "step-failed" } else { "run-failed" };
        let mut problem = Problem::new(code, format!("{} ({})", failure.message, failure.code));
        if let Some(place) = failure.at.as_ref().and_then(|at| self.place(at)) {
            problem = problem.at(place);
        }
        if let Some(help) = &failure.help {
            problem = problem.help(help.clone());
        }
        problem
    }

    /// The line of a location in the text that was run, which need not be what the file says by now.
    fn place(&self, at: &Location) -> Option<Place> {
        let source = self.sources.iter().find(|source| source.name.to_string_lossy() == at.file)?;
        let start = source.offset(at.line, at.column);
        let rest = source.text.get(start..)?;
        let line = rest.lines().next().unwrap_or_default();
        let end = start + line.trim_end().len().max(1);
        Some(Place { source: Arc::clone(source), span: Span { start, end } })
    }
}

impl Watcher for Terminal {
    /// Where nobody can be told any more, the result still says it.
    fn event(&mut self, event: &Event, _: Option<&Record>) -> std::io::Result<()> {
        match &event.kind {
            EventKind::RunStarted { info, .. } => {
                let dot = self.output.symbol("·", "-");
                let title = self.output.paint(1, &self.title);
                self.line(&format!("{title} {dot} run {} {dot} seed {}", info.id, info.seed));
            }
            EventKind::Note { text } => self.line(&format!("  {}", self.output.paint(2, &harmless(text)))),
            EventKind::Warning { text } => {
                self.line(&format!("  {} {}", self.output.paint(33, "warning:"), harmless(text)));
            }
            EventKind::Incident { incident } => {
                self.line(&format!("  {} {incident}", self.output.paint(33, "warning:")));
            }
            EventKind::Unwatched { unwatched } => {
                self.line(&format!("  {} {}", self.output.paint(33, "warning:"), harmless(&unwatched.to_string())));
            }
            EventKind::EnvironmentReady { info, took } => {
                let version =
                    info.kafka_version.as_deref().map(|version| format!(" Kafka {version},")).unwrap_or_default();
                // The stack of the scenario before serves this one as well.
                let ready =
                    if *took < KEPT { "up".to_owned() } else { format!("ready in {}", Quantity::seconds(*took)) };
                self.line(&format!(
                    "  {} {}:{version} {}, {ready}",
                    self.output.paint(32, self.output.symbol("✓", "ok")),
                    info.name,
                    plural(info.brokers, "broker"),
                ));
            }
            EventKind::StepStarted { id, title, background, planned, .. } => {
                self.started(id, title, *background, *planned);
            }
            EventKind::StepPrepared { id } => self.live.prepared(id),
            EventKind::Progress { id, figures } => self.progress(id, figures),
            EventKind::StepEnded { record } => self.ended(record),
            EventKind::Check { record } => self.check(record),
            EventKind::StepRetried { id, attempt, reason } => {
                self.failures.forget(&self.run, id);
                let text = format!("{id}: attempt {} failed: {reason}; trying again", attempt.saturating_sub(1));
                self.line(&format!("  {}", self.output.paint(2, &text)));
            }
            EventKind::Leftover { text } => {
                self.line(&format!("  {} {}", self.output.paint(33, "left behind:"), harmless(text)));
            }
            EventKind::RunFailed { failure } => self.failed("", failure.message.clone(), failure),
            EventKind::RunEnded { .. } => self.live.clear(),
            EventKind::Fault { record } => self.fault(record),
            EventKind::BrokerConfig { .. }
            | EventKind::Sample { .. }
            | EventKind::Slot { .. }
            | EventKind::Strain { .. }
            | EventKind::Worker { .. }
            | EventKind::Delivery { .. }
            | EventKind::Accounts { .. }
            | EventKind::Mark { .. }
            | EventKind::Log { .. }
            | EventKind::Interrupted { .. } => {}
        }
        Ok(())
    }
}

fn describe(figures: &Progress, dot: &str) -> String {
    let done = Quantity::count(figures.done);
    let total = figures.total.map(|total| format!("/{}", Quantity::count(total))).unwrap_or_default();
    let mut parts = vec![format!("{done}{total} {}", figures.what)];
    if let Some(rate) = figures.rate {
        parts.push(Quantity::new(rate, Unit::Rate).to_string());
    }
    if let Some(p99) = figures.p99 {
        parts.push(format!("p99 {}", Quantity::seconds(p99)));
    }
    if let Some(backlog) = figures.backlog {
        parts.push(format!("{} waiting", Quantity::count(backlog)));
    }
    if figures.failed > 0 {
        parts.push(format!("{} failed", Quantity::count(figures.failed)));
    }
    parts.join(&format!(" {dot} "))
}

/// The figures that matter most of a step, in a line.
fn headline(step: &StepRecord) -> String {
    let mut parts = Vec::new();
    if let Some(report) = &step.produced {
        parts.push(format!("{} acknowledged", Quantity::count(report.acked)));
        for (count, what) in [(report.failed_total(), "failed"), (report.unknown_total(), "unknown")] {
            if count > 0 {
                parts.push(format!("{} {what}", Quantity::count(count)));
            }
        }
        let p99 = crate::judge::latencies::latency(&report.response_latency, "p99", None);
        if p99.quantity().is_some() {
            parts.push(format!("p99 {}", p99.brief()));
        }
        let (gap, endless) = report.unavailability();
        if gap > 0 {
            let at_least = if endless { "≥ " } else { "" };
            parts.push(format!("unavailable {at_least}{}", Quantity::seconds(gap as f64 / 1e6)));
        }
    }
    if let Some(report) = &step.consumed {
        parts.push(format!("{} read", Quantity::count(report.read)));
    }
    for name in ["effect_after", "ready_after", "rows"] {
        if let Some(quantity) = step.metrics.get(name) {
            parts.push(format!("{} {quantity}", name.replace('_', " ")));
        }
    }
    parts.join(", ")
}

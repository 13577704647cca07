//! From `compare:` to the metrics that are held against a stored baseline, read before anything starts.

use super::bindings::Bindings;
use super::matrix::Cell;
use crate::compare::{Gate, Gated, Margin, are_apart, conditions, margin, measured};
use crate::ground::input::InputError;
use crate::ground::some_of;
use crate::record::metric::{Better, METRICS, Metric, named};
use crate::record::{Observed, Unit};
use crate::report::{StoredResult, Unusable, load_each};
use crate::scenario::units::{Bytes, Count, Length, Rate};
use crate::scenario::{CompareClause, MarginClause};
use crate::text::{Origin, Problem, escape};
use crate::verb::Scope;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What a `compare:` is planned for.
pub(super) struct Comparing<'a> {
    /// The scenario's file.
    pub file: &'a Path,
    /// The cell of the matrix.
    pub cell: &'a Cell,
    /// Variables and the like.
    pub bindings: &'a Bindings,
    /// All steps.
    pub scope: &'a Scope,
}

/// A baseline that was read: the cells of a matrix have most times the same one. Of its runs no more is kept than what is compared.
#[derive(Default)]
pub(super) struct Baselines {
    last: Option<Baseline>,
}

struct Baseline {
    path: PathBuf,
    /// The metrics that were looked up: their steps, names and statistics.
    metrics: Vec<(String, &'static str, Option<String>)>,
    runs: Vec<BaselineRun>,
    unusable: Vec<Unusable>,
}

/// What is compared of a stored run.
struct BaselineRun {
    started: String,
    file: String,
    matrix: Cell,
    passed: bool,
    conditions: String,
    /// The value of each metric that it has.
    figures: Vec<Option<f64>>,
}

impl Baselines {
    fn read(&mut self, path: &Path, metrics: &[Gated]) -> &Baseline {
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let asked: Vec<_> =
            metrics.iter().map(|gated| (gated.step.clone(), gated.metric.name, gated.statistic.clone())).collect();
        let known = self.last.take().filter(|known| known.path == whole && known.metrics == asked);
        self.last.insert(known.unwrap_or_else(|| {
            let mut runs = Vec::new();
            let found = load_each(&[path.to_owned()], &mut |stored| runs.push(BaselineRun::of(&stored, metrics)));
            runs.sort_by(|a, b| a.started.cmp(&b.started));
            Baseline { path: whole, metrics: asked, runs, unusable: found.unusable }
        }))
    }
}

impl BaselineRun {
    fn of(stored: &StoredResult, metrics: &[Gated]) -> Self {
        let record = &stored.record;
        let figure = |gated: &Gated| match measured(record, &gated.step, gated.metric, gated.statistic.as_deref()) {
            Observed::Number(quantity) => Some(quantity.value),
            // Where more is better, the bound has to lie no lower than what the baseline had at least.
            Observed::AtLeast { quantity, .. } if gated.metric.better == Better::Higher => Some(quantity.value),
            _ => None,
        };
        Self {
            started: record.run.started.clone(),
            file: record.run.file.clone(),
            matrix: record.run.matrix.clone(),
            passed: record.has_passed(),
            conditions: conditions(record),
            figures: metrics.iter().map(figure).collect(),
        }
    }
}

impl Comparing<'_> {
    /// Reads the baseline and names what is compared; reports what cannot be. `None` where there is no gate, or a problem.
    pub fn gate(
        &self,
        clause: &Value,
        origin: &Origin,
        baselines: &mut Baselines,
        problems: &mut Vec<Problem>,
    ) -> Option<Gate> {
        if !self.bindings.check(clause, origin, Some(self.scope), problems) {
            return None;
        }
        if Bindings::is_dynamic(clause) {
            let problem = Problem::new("bad-value", "the baseline is read before anything runs")
                .help("use variables, `matrix` and `env` only");
            problems.push(problem.at(origin.key_place("")));
            return None;
        }
        // What is left to fail here was reported above, or by the schema.
        let clause: CompareClause = serde_json::from_value(self.bindings.resolve_static(clause).ok()?).ok()?;
        let known = problems.len();
        let named: Vec<_> = clause
            .metrics
            .iter()
            .filter_map(|(name, margin)| {
                let place = origin.at("/metrics").key(name);
                self.metric(name, margin).map_err(|problem| problems.push(problem.at(place.key_place("")))).ok()
            })
            .collect();
        if problems.len() > known {
            return None;
        }
        let runs = self
            .runs(&clause.baseline, &named, origin, baselines)
            .map_err(|problem| problems.push(problem.at(origin.place("/baseline"))))
            .ok()?;
        let mut gate =
            Gate { baseline: clause.baseline, runs: runs.len(), conditions: Vec::new(), metrics: Vec::new() };
        gate.conditions = runs.iter().map(|run| run.conditions.clone()).collect();
        gate.conditions.dedup();
        for (place_of, mut gated) in named.into_iter().enumerate() {
            let place = origin.at("/metrics").key(&gated.name);
            gated.at = place.key_location("");
            gated.before = runs.iter().filter_map(|run| run.figures[place_of]).collect();
            if gated.before.is_empty() {
                let message = format!("the baseline {} has no `{}`", gate.baseline, gated.name);
                let help = "leave the metric out, or store a run of the scenario as it is now";
                problems.push(Problem::new("no-baseline", message).help(help).at(place.key_place("")));
            }
            gate.metrics.push(gated);
        }
        (problems.len() == known).then_some(gate)
    }

    fn metric(&self, name: &str, margin_clause: &MarginClause) -> Result<Gated, Problem> {
        let (step, path) = parts(name, self.scope);
        self.bindings.check_metric(step, &path, self.scope)?;
        let (metric, statistic) = match path.as_slice() {
            [metric, statistic @ ..] => (named(metric), (!statistic.is_empty()).then(|| statistic.join("."))),
            [] => (None, None),
        };
        // A step whose verb is wrong has a problem of its own.
        let metric = metric.ok_or_else(|| Problem::new("unknown-metric", format!("`{name}` names no metric")))?;
        if metric.better == Better::Neutral {
            let directed = METRICS.iter().filter(|other| other.better != Better::Neutral && other.work == metric.work);
            let others: Vec<&str> = directed.map(|other| other.name).collect();
            let problem = Problem::new(
                "no-direction",
                format!("`{}` has no direction: neither more nor less of it is worse", metric.name),
            );
            return Err(if others.is_empty() {
                problem.help("state a bound for it")
            } else {
                problem.help(format!("compare one of {}, or state a bound for it", others.join(", ")))
            });
        }
        Ok(Gated {
            name: name.to_owned(),
            step: step.to_owned(),
            metric,
            statistic,
            margin: stated(metric, name, margin_clause)?,
            before: Vec::new(),
            at: crate::text::Location { file: String::new(), line: 0, column: 0 },
        })
    }

    /// The baseline's runs of this scenario and cell that passed.
    fn runs<'b>(
        &self,
        baseline: &str,
        metrics: &[Gated],
        origin: &Origin,
        baselines: &'b mut Baselines,
    ) -> Result<Vec<&'b BaselineRun>, Problem> {
        let path = origin.path(Path::new(baseline));
        let shown = path.display();
        if let Err(error @ InputError::Outside(_)) = origin.document.fence.admits(&path) {
            return Err(Problem::new("no-baseline", origin.unreadable(Path::new(baseline), &error)));
        }
        let remedy = format!(
            "make one: `kscen run {} --no-compare`, and copy the result.json of its run there",
            self.file.display()
        );
        if !path.exists() {
            return Err(Problem::new("no-baseline", format!("there is no baseline {shown}")).help(remedy));
        }
        let Baseline { runs, unusable, .. } = baselines.read(&path, metrics);
        let file = self.file.file_name();
        let (mine, others): (Vec<&BaselineRun>, Vec<&BaselineRun>) =
            runs.iter().partition(|run| Path::new(&run.file).file_name() == file && run.matrix == *self.cell);
        // Those of another folder's scenario of that name count only where there are no others: the folder may be called otherwise here.
        let own = self.file.display().to_string();
        let (elsewhere, here): (Vec<_>, Vec<_>) = mine.into_iter().partition(|run| are_apart(&run.file, &own));
        let mine = if here.is_empty() { elsewhere } else { here };
        let (passed, failed): (Vec<&BaselineRun>, Vec<&BaselineRun>) = mine.into_iter().partition(|run| run.passed);
        if !passed.is_empty() {
            return Ok(passed);
        }
        let what = if failed.is_empty() { "holds no run of this scenario" } else { "holds no run that passed" };
        let cell = if self.cell.is_empty() { String::new() } else { format!(" [{}]", super::matrix::label(self.cell)) };
        let mut problem = Problem::new("no-baseline", format!("the baseline {shown} {what}{cell}")).help(remedy);
        let mut known: Vec<&str> = others.iter().map(|run| run.file.as_str()).collect();
        known.sort_unstable();
        known.dedup();
        if !known.is_empty() {
            problem = problem.note(format!("it holds runs of {}", some_of(known)));
        }
        for left_out in unusable.iter().take(5) {
            problem = problem.note(format!("{}: {}", left_out.path.display(), left_out.why));
        }
        Err(problem)
    }
}

/// The step and the metric of `STEP.METRIC`.
pub(super) fn parts<'n>(name: &'n str, scope: &Scope) -> (&'n str, Vec<&'n str>) {
    // Ids may hold dots themselves: `warm-up.load`.
    let longest = name.rmatch_indices('.').map(|(dot, _)| &name[..dot]).find(|id| scope.step(id).is_some());
    let step = longest.or_else(|| name.split('.').next()).unwrap_or(name);
    (step, name[step.len()..].split('.').skip(1).collect())
}

fn stated(metric: &Metric, name: &str, clause: &MarginClause) -> Result<Margin, Problem> {
    let MarginClause::Stated { share, absolute } = clause else {
        return Ok(margin(metric.name));
    };
    let absolute = absolute.as_ref().map_or(Ok(0.0), |value| {
        in_base(metric.unit, value).map_err(|message| Problem::new("bad-value", format!("{}: {message}", escape(name))))
    })?;
    Ok(Margin { share: share.map_or(0.0, |share| share.0), absolute })
}

/// A value as written, in the unit's base.
fn in_base(unit: Unit, value: &Value) -> Result<f64, String> {
    fn read<T: DeserializeOwned>(value: &Value, base: impl FnOnce(T) -> f64) -> Result<f64, String> {
        serde_json::from_value(value.clone()).map(base).map_err(|error| error.to_string())
    }
    match unit {
        Unit::Count => read(value, |count: Count| count.0 as f64),
        Unit::Duration => read(value, |length: Length| length.0.as_secs_f64()),
        Unit::Rate => read(value, |rate: Rate| rate.0),
        Unit::Bytes => read(value, |bytes: Bytes| bytes.0 as f64),
        Unit::Share => Err("a share cannot have an `absolute` margin".to_owned()),
    }
}

//! The figures that a scenario's part of a report names.

use super::bindings::Bindings;
use super::gate::parts;
use crate::record::{demand, metric};
use crate::scenario::ReportClause;
use crate::text::{Origin, Problem};
use crate::verb::Scope;

/// Reports figures that no step has, and bounds that are not in their unit.
pub(super) fn check(
    clause: &ReportClause,
    origin: &Origin,
    bindings: &Bindings,
    scope: &Scope,
    problems: &mut Vec<Problem>,
) {
    for (name, bounds) in &clause.asked {
        let (step, path) = parts(name, scope);
        let found = bindings.check_metric(step, &path, scope).and_then(|()| {
            let unit = path.first().and_then(|name| metric::named(name)).map(|metric| metric.unit);
            // A step whose verb is wrong has a problem of its own.
            let Some(unit) = unit else { return Ok(()) };
            demand(unit, &bounds.written()).map(|_| ()).map_err(|reason| Problem::new("bad-value", reason))
        });
        if let Err(problem) = found {
            problems.push(problem.at(origin.key(name).key_place("")));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{PlanOptions, plans};
    use crate::verbs::LANGUAGE;

    fn told(asked: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("asked.yaml");
        let text = format!(
            "name: n\nreport:\n  baseline: backup\n  title: t\n  criterion: c\n  behaviour: b\n  asked: {{ {asked} }}\nsteps:\n  \
             - id: kept\n    backup: {{ topics: [t], to: a }}\n"
        );
        std::fs::write(&file, text).expect("written");
        let problems = plans(&file, &LANGUAGE, &PlanOptions::default()).err().unwrap_or_default();
        problems.iter().map(|problem| format!("{}: {}", problem.code, problem.message)).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_figure_that_nobody_measures_is_refused() {
        assert_eq!(told("kept.data_rate: { min: 100MB }, kept.cpu: { max: 80% }"), "");
        assert!(told("taken.cpu: { max: 80% }").starts_with("unknown-step"), "{}", told("taken.cpu: { max: 80% }"));
        assert!(told("kept.ack_rate: { min: 1/s }").starts_with("unknown-metric"));
        assert!(told("kept.cpu: { max: 80 }").starts_with("bad-value"));
        assert!(told("kept.cpu: {}").starts_with("bad-value"));
    }
}

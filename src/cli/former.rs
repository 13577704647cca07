//! `kscen run --resume`: stored runs whose searches go on.

use crate::compare::are_apart;
use crate::plan::Plan;
use crate::record::Record;
use crate::report::load;
use crate::text::Problem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The stored runs in which a search has tried something.
pub(super) struct Former {
    path: PathBuf,
    /// In the order of their start.
    runs: Vec<Arc<Record>>,
}

impl Former {
    /// Reads them.
    pub fn of(path: &Path) -> Self {
        let runs = load(&[path.to_owned()]).runs.into_iter().map(|stored| stored.record);
        let searched = |record: &Record| record.steps.iter().any(|step| !step.tried_rates().is_empty());
        Self { path: path.to_owned(), runs: runs.filter(searched).map(Arc::new).collect() }
    }

    /// The newest run of that scenario and cell.
    pub fn before(&self, plan: &Plan) -> Option<Arc<Record>> {
        let file = plan.file.display().to_string();
        let is_same = |record: &&Arc<Record>| !are_apart(&record.run.file, &file) && record.run.matrix == plan.cell;
        self.runs.iter().rfind(is_same).cloned()
    }

    /// That none of the scenarios has anything to go on with.
    pub fn nothing(&self) -> Problem {
        let text = format!("{} holds no run of this in which a search has tried a rate", self.path.display());
        Problem::new("does-not-apply", text)
            .help("name the folder or the result.json of such a run, or leave out --resume")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{PlanOptions, plans};
    use crate::verbs::LANGUAGE;
    use serde_json::json;

    #[test]
    fn the_newest_run_of_a_scenario_that_searched_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.yaml");
        std::fs::write(&file, "name: x\nchecks: none\nsteps:\n  - wait: 1ms\n").expect("a file");
        let plan = plans(&file, &LANGUAGE, &PlanOptions::default()).unwrap_or_default().pop().expect("a plan");
        let golden: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        let store = |id: &str, file: &str, curve: serde_json::Value| {
            let mut record = golden.clone();
            (record.run.id, record.run.file, record.run.matrix) = (id.to_owned(), file.to_owned(), plan.cell.clone());
            record.run.started = format!("2026-12-01T00:00:0{id}Z");
            record.steps[0].details = json!({ "throughput": { "curve": curve } });
            let at = folder.path().join("results").join(id);
            std::fs::create_dir_all(&at).expect("a folder");
            std::fs::write(at.join("result.json"), serde_json::to_vec(&record).expect("text")).expect("a result");
        };
        let before = || Former::of(&folder.path().join("results")).before(&plan).map(|record| record.run.id.clone());
        assert_eq!(before(), None, "there is nothing");
        let tried = json!([{ "rate": 100.0, "broke": null }, { "rate": 200.0, "broke": "it waited" }]);
        store("1", "a.yaml", tried.clone());
        store("2", "b.yaml", tried.clone());
        store("3", "a.yaml", json!([]));
        assert_eq!(before().as_deref(), Some("1"));
        store("4", "a.yaml", tried);
        assert_eq!(before().as_deref(), Some("4"));
        let record = Former::of(&folder.path().join("results")).before(&plan).expect("a run");
        assert_eq!(record.steps[0].tried_rates(), [(100.0, true), (200.0, false)]);
    }
}

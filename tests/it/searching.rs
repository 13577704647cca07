//! A search that was interrupted goes on where it had got to.

use crate::program::{Project, skipped};
use serde_json::Value;

const SEARCH: &str = r#"name: Looks for the rate
checks: none
vars: { topic: "search-${run.id}" }
setup:
  - topic: { name: "${topic}" }
steps:
  - id: knee
    search: { produce: { topic: "${topic}", size: 100B }, from: 50/s, to: 200/s, hold: 2s }
"#;

/// The rates that the search of a run tried, in its order.
fn tried(record: &Value) -> Vec<f64> {
    let mut steps = record["steps"].as_array().expect("steps").iter();
    let knee = steps.find(|step| step["id"] == "knee").expect("the search");
    let curve = knee["details"]["throughput"]["curve"].as_array().expect("a curve");
    curve.iter().filter_map(|tried| tried["rate"].as_f64()).collect()
}

#[test]
fn an_interrupted_search_goes_on_at_its_best_rate() {
    if skipped("an_interrupted_search_goes_on_at_its_best_rate") {
        return;
    }
    let project = Project::new();
    project.write("search.yaml", SEARCH);
    let mut terminal = project.on_terminal(&["run", "search.yaml"]);
    terminal.until("100/s holds").ctrl_c();
    let (status, shown) = terminal.end();
    assert_eq!(status.code(), Some(130), "{shown}");
    let resumed = project.run(&["run", "search.yaml", "--resume", "results"]).exits(0).says("begins at 100/s");
    let [first, second] = <[Value; 2]>::try_from(project.records()).expect("two runs");
    assert_eq!(tried(&first), [50.0, 100.0], "{shown}");
    assert_eq!(tried(&second), [100.0, 200.0, 200.0], "{}", resumed.err);
}

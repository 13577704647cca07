//! Which scenario a run is of, from whatever folder it was started.

use super::collect::ComparedCell;
use crate::record::Record;
use crate::report::StoredResult;
use crate::report::view::cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

/// By how many of its path's last parts a scenario is named: by its file's name alone, unless a side has several scenarios of that one.
#[derive(Debug)]
pub struct Naming(BTreeMap<String, usize>);

/// A file as a run names it: whether from the root on, and its parts behind the last `..`.
type Place = (bool, Vec<String>);

impl Naming {
    /// The names for the runs of two sides.
    pub fn of(before: &[StoredResult], after: &[StoredResult]) -> Self {
        let mut all: BTreeMap<String, usize> = BTreeMap::new();
        for side in [before, after] {
            // By the file's name: the places that it was run at, and what the scenario was called there.
            let mut files: BTreeMap<String, BTreeMap<Place, BTreeSet<&str>>> = BTreeMap::new();
            for record in side.iter().map(|stored| &stored.record) {
                let (from_root, parts) = place(&record.run.file);
                let places = files.entry(parts.last().cloned().unwrap_or_default()).or_default();
                places.entry((from_root, parts)).or_default().insert(&record.run.name);
            }
            for (file, places) in files {
                let parts = all.entry(file).or_insert(1);
                *parts = needed(&places).max(*parts);
            }
        }
        Self(all)
    }

    /// The scenario and cell of a run.
    pub fn cell_of(&self, record: &Record) -> ComparedCell {
        let (_, parts) = place(&record.run.file);
        let count = parts.last().and_then(|file| self.0.get(file)).copied().unwrap_or(1);
        ComparedCell { scenario: parts[parts.len().saturating_sub(count)..].join("/"), cell: cell(record) }
    }
}

fn place(file: &str) -> Place {
    let mut parts = Vec::new();
    for component in Path::new(file).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir => parts.clear(),
            _ => {}
        }
    }
    (Path::new(file).is_absolute(), parts)
}

/// How many parts tell all scenarios at these places apart.
fn needed(places: &BTreeMap<Place, BTreeSet<&str>>) -> usize {
    let all: Vec<(&Place, &BTreeSet<&str>)> = places.iter().collect();
    let mut needed = 1;
    for (at, (one, names)) in all.iter().enumerate() {
        for (other, others) in &all[at + 1..] {
            // From the root on, two folders may be two copies of one project.
            let is_copy = (one.0 || other.0) && !names.is_disjoint(others);
            if apart(&one.1, &other.1) && !is_copy {
                needed = needed.max(shared(&one.1, &other.1) + 1);
            }
        }
    }
    needed
}

/// Whether two files, each as a run names it, are two: one that ends like the whole other one may be that, from another folder.
pub fn are_apart(one: &str, other: &str) -> bool {
    apart(&place(one).1, &place(other).1)
}

fn apart(one: &[String], other: &[String]) -> bool {
    shared(one, other) < one.len().min(other.len())
}

/// How many of their last parts are the same.
fn shared(one: &[String], other: &[String]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::compare;
    use std::path::PathBuf;

    fn runs(files: &[(&str, &str)]) -> Vec<StoredResult> {
        let golden: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        let run = |(file, name): &(&str, &str)| {
            let mut record = golden.clone();
            (record.run.file, record.run.name) = ((*file).to_owned(), (*name).to_owned());
            StoredResult { folder: PathBuf::new(), record }
        };
        files.iter().map(run).collect()
    }

    /// As what the runs of a side are compared.
    fn named(files: &[(&str, &str)]) -> Vec<String> {
        let side = runs(files);
        let naming = Naming::of(&side, &[]);
        side.iter().map(|stored| naming.cell_of(&stored.record).scenario).collect()
    }

    #[test]
    fn two_scenarios_of_one_file_name_are_two_and_one_that_is_gone_is_missed() {
        let before = runs(&[("payments/restart.yaml", "a"), ("orders/restart.yaml", "b")]);
        let after = runs(&[("orders/restart.yaml", "b")]);
        let found = compare(&before, &after);
        assert!(found.gone.len() == 1 && found.gone[0].starts_with("payments/restart.yaml"), "{:?}", found.gone);
        assert!(found.is_undecided() && !found.rows.is_empty());
        assert!(found.rows.iter().all(|row| row.scenario.starts_with("orders/restart.yaml")), "{:?}", found.rows);
        assert!(found.conditions.is_empty(), "{:?}", found.conditions);
    }

    #[test]
    fn one_scenario_is_one_from_wherever_it_was_run() {
        let one =
            [("scenarios/x.yaml", "a"), ("x.yaml", "a"), ("./scenarios/x.yaml", "b"), ("../scenarios/x.yaml", "a")];
        assert_eq!(named(&one), ["x.yaml"; 4]);
        let copies = [("/night/1/scenarios/x.yaml", "a"), ("/night/2/scenarios/x.yaml", "a")];
        assert_eq!(named(&copies), ["x.yaml"; 2]);
        let others = [("/night/1/x.yaml", "a"), ("/night/2/x.yaml", "b"), ("y.yaml", "c")];
        assert_eq!(named(&others), ["1/x.yaml", "2/x.yaml", "y.yaml"]);
        // What came from a template may have its name, too.
        assert_eq!(named(&[("p/a/x.yaml", "a"), ("q/a/x.yaml", "a")]), ["p/a/x.yaml", "q/a/x.yaml"]);
    }
}

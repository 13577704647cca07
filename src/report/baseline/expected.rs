//! What each baseline report has to say something about: the scenarios that declare it, with what has to hold.

use crate::record::Record;
use crate::scenario::{AskedBounds, BaselineReport, ReportClause};
use std::collections::BTreeMap;

/// A scenario that has a section in a baseline report, whether or not it ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The scenario's file without folder and extension.
    pub stem: String,
    /// The scenario's file.
    pub file: String,
    /// What it declares.
    pub clause: ReportClause,
}

/// A scenario that a report has to say something about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The scenario's file without folder and extension.
    pub stem: String,
    /// The scenario's file, where it is known without a run.
    pub file: Option<String>,
    /// Heading.
    pub title: String,
    /// What has to hold.
    pub criterion: String,
    /// What happens, before anything is measured.
    pub behaviour: String,
    /// Figures that were asked for.
    pub asked: BTreeMap<String, AskedBounds>,
}

/// The scenarios of a report: those that declare a section in it, then others that ran under its tag.
pub fn expected<'a>(
    kind: BaselineReport,
    declared: &[Declared],
    records: impl Iterator<Item = &'a Record>,
) -> Vec<Expected> {
    let mut all: Vec<Expected> = declared
        .iter()
        .filter(|declared| declared.clause.baseline == kind)
        .map(|declared| of(&declared.stem, Some(declared.file.clone()), &declared.clause))
        .collect();
    for record in records {
        let stem = super::stem(record);
        if all.iter().any(|known| known.stem == stem) {
            continue;
        }
        match &record.run.report {
            Some(clause) if clause.baseline == kind => all.push(of(&stem, None, clause)),
            Some(_) => {}
            None if is_tagged(record, kind) => all.push(undeclared(stem, record)),
            None => {}
        }
    }
    all
}

fn of(stem: &str, file: Option<String>, clause: &ReportClause) -> Expected {
    Expected {
        stem: stem.to_owned(),
        file,
        title: clause.title.clone(),
        criterion: clause.criterion.clone(),
        behaviour: clause.behaviour.clone(),
        asked: clause.asked.clone(),
    }
}

fn is_tagged(record: &Record, kind: BaselineReport) -> bool {
    record.run.tags.iter().any(|tag| match kind {
        BaselineReport::Performance => tag == "performance",
        BaselineReport::Delivery => tag == "delivery" || tag == "edge",
        BaselineReport::Backup => tag == "backup",
    })
}

fn undeclared(stem: String, record: &Record) -> Expected {
    Expected {
        stem,
        file: None,
        title: record.run.name.clone(),
        criterion: "what the scenario's checks state".to_owned(),
        // The template ends the sentence.
        behaviour: record.run.description.clone().unwrap_or_default().trim().trim_end_matches('.').to_owned(),
        asked: BTreeMap::new(),
    }
}

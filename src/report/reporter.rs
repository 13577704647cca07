//! All formats behind one door: records in, bytes out.

use super::output::OutputFile;
use super::stored::{Collection, StoredResult};
use super::suite::SuiteView;
use super::templates::Templates;
use super::view::RunView;
use super::{html, junit, markdown, summary};
use crate::record::Record;
use crate::text::Problem;
use std::path::Path;

/// Makes reports from records.
pub struct Reporter {
    templates: Templates,
}

/// Which reports of a run are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunReports {
    /// `report.html`.
    pub html: bool,
    /// `report.md` with `chart.svg`.
    pub markdown: bool,
}

impl Reporter {
    /// A reporter with the embedded templates, replaced by those of a folder.
    ///
    /// # Errors
    /// A template with an error, at its line.
    pub fn new(templates: Option<&Path>) -> Result<Self, Vec<Problem>> {
        Ok(Self { templates: Templates::with(templates)? })
    }

    /// The files for a run's own folder.
    ///
    /// # Errors
    /// A template that cannot be rendered, at its line.
    pub fn run(&self, record: &Record, wanted: RunReports) -> Result<Vec<OutputFile>, Problem> {
        let view = RunView::of(record);
        let mut files = Vec::new();
        if wanted.html {
            files.push(OutputFile::new("report.html", html::run(&view, &self.templates)?));
        }
        if wanted.markdown {
            let (text, chart) = markdown::run(&view, "chart.svg", &self.templates)?;
            files.push(OutputFile::new("report.md", text));
            files.extend(chart);
        }
        Ok(files)
    }

    /// The report of one run as a single page of HTML.
    ///
    /// # Errors
    /// A template that cannot be rendered, at its line.
    pub fn run_html(&self, record: &Record) -> Result<String, Problem> {
        html::run(&RunView::of(record), &self.templates)
    }

    /// The report of one run as Markdown, with its chart at a relative path.
    ///
    /// # Errors
    /// A template that cannot be rendered, at its line.
    pub fn run_markdown(&self, stored: &StoredResult, chart: &str) -> Result<(String, Option<OutputFile>), Problem> {
        markdown::run(&RunView::of(&stored.record), chart, &self.templates)
    }

    /// The report of many runs as HTML. Links are relative to `home`.
    ///
    /// # Errors
    /// A template that cannot be rendered, at its line.
    pub fn suite_html(&self, found: &Collection, title: &str, home: &Path) -> Result<String, Problem> {
        html::suite(&SuiteView::of(found, title, home), &self.templates)
    }

    /// The report of many runs as Markdown. Links are relative to `home`.
    ///
    /// # Errors
    /// A template that cannot be rendered, at its line.
    pub fn suite_markdown(&self, found: &Collection, title: &str, home: &Path) -> Result<String, Problem> {
        self.templates.render("suite.md", &SuiteView::of(found, title, home))
    }

    /// The summary of a CI job.
    ///
    /// # Errors
    /// A template that cannot be rendered, at its line.
    pub fn summary(&self, found: &Collection, title: &str, home: &Path) -> Result<String, Problem> {
        summary::summary(&SuiteView::of(found, title, home), &self.templates)
    }

    /// JUnit XML of all runs.
    ///
    /// # Errors
    /// Where it cannot be written as XML.
    pub fn junit(&self, found: &Collection) -> Result<String, Problem> {
        junit::junit(found).map_err(|error| Problem::new("bad-junit", format!("cannot write JUnit XML: {error}")))
    }

    /// The templates.
    pub fn templates(&self) -> &Templates {
        &self.templates
    }
}

//! The reports that `kscen run` leaves: beside each run's result, for the suite, for CI.

use super::report::store;
use crate::ground::{folder_of, private};
use crate::record::Record;
use crate::report::{
    Collection, NotRun, OutputFile, Reporter, RunReports, SUITE, StoredResult, SuiteRecord, figures, former_suites,
};
use crate::text::Problem;
use clap::{Args, ValueEnum};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Which reports are written.
#[derive(Args, Clone, Debug)]
pub struct ReportOptions {
    /// Reports written beside each run's result.json, and for the suite.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FORMAT,…", default_value = "html,markdown")]
    report: Vec<Kind>,
    /// Also writes JUnit XML of all runs; its folder is made where it is missing. A device, a pipe or `/dev/stdout` is written to; a link
    /// is refused.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Folder of report templates that replace the embedded ones by name.
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
}

/// A report beside the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// report.html, one self-contained page.
    Html,
    /// report.md with its chart.
    Markdown,
    /// Neither.
    None,
}

/// The reports of one command: templates compiled and files opened before anything runs.
pub struct Reports {
    reporter: Reporter,
    wanted: RunReports,
    junit: Option<(PathBuf, File)>,
    summary: Option<(PathBuf, File)>,
}

impl Reports {
    /// Compiles templates and opens outputs.
    ///
    /// # Errors
    /// A template with an error, a file that cannot be written.
    pub fn open(options: &ReportOptions) -> Result<Self, Vec<Problem>> {
        let reporter = Reporter::new(options.templates.as_deref())?;
        let open = |path: PathBuf| {
            // What an earlier run wrote stays until there is something new.
            let opened = private::create_dir_all(folder_of(&path)).and_then(|()| private::append(&path));
            opened.map(|file| (path.clone(), file)).map_err(|error| {
                vec![
                    Problem::new("unwritable", format!("cannot write {}: {error}", path.display()))
                        .help("choose another file"),
                ]
            })
        };
        let summary = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(Self {
            reporter,
            wanted: RunReports {
                html: options.report.contains(&Kind::Html),
                markdown: options.report.contains(&Kind::Markdown),
            },
            junit: options.junit.clone().map(open).transpose()?,
            summary: summary.map(open).transpose()?,
        })
    }

    /// Writes the reports of one run; returns the one to look at.
    ///
    /// # Errors
    /// A template that cannot be rendered, a file that cannot be written.
    pub fn run(&self, folder: &Path, record: &Record) -> Result<Option<PathBuf>, Problem> {
        let files = self.reporter.run(record, self.wanted)?;
        for file in &files {
            store(file, folder)?;
        }
        Ok(files.first().map(|file| folder.join(&file.path)))
    }

    /// Writes what is about all runs. `suite` is the suite's folder, where there is one; returns the suite's report.
    ///
    /// # Errors
    /// A template that cannot be rendered, a file that cannot be written.
    pub fn all(
        mut self,
        suite: Option<(&Path, &str)>,
        done: &[(String, PathBuf, Record)],
        not_run: Vec<NotRun>,
        duration: f64,
    ) -> Result<Option<PathBuf>, Problem> {
        let runs =
            done.iter().map(|(_, folder, record)| StoredResult { folder: folder.clone(), record: record.clone() });
        let former = suite.map(|(folder, _)| former_suites(folder)).unwrap_or_default();
        let found = Collection { runs: runs.collect(), not_run, former, ..Collection::default() };
        let title = "Kafka scenarios";
        let mut page = None;
        if let Some((folder, id)) = suite {
            for file in self.suite(&found, folder, id, duration)? {
                store(&file, folder)?;
                let shown = file.path.extension().is_some_and(|extension| extension == "html" || extension == "md");
                if shown && page.is_none() {
                    page = Some(folder.join(&file.path));
                }
            }
        }
        if let Some((path, file)) = &mut self.junit {
            let xml = self.reporter.junit(&found)?;
            let whole = private::is_stream(path).and_then(|stream| if stream { Ok(()) } else { file.set_len(0) });
            whole.and_then(|()| file.write_all(xml.as_bytes())).map_err(|error| failed(path, &error))?;
        }
        if let Some((path, file)) = &mut self.summary {
            let text = self.reporter.summary(&found, title, Path::new(""))?;
            file.write_all(text.as_bytes()).map_err(|error| failed(path, &error))?;
        }
        Ok(page)
    }

    fn suite(&self, found: &Collection, folder: &Path, id: &str, duration: f64) -> Result<Vec<OutputFile>, Problem> {
        let name = |folder: &Path| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let suite = SuiteRecord {
            format: SuiteRecord::FORMAT,
            suite: id.to_owned(),
            duration,
            runs: found.runs.iter().map(|run| name(&run.folder)).collect(),
            not_run: found.not_run.clone(),
            figures: found.runs.iter().map(|run| figures(&run.record)).collect(),
        };
        // A suite's record holds texts and numbers only.
        let json = serde_json::to_vec_pretty(&suite).unwrap_or_default();
        let mut files = vec![OutputFile::new(SUITE, json)];
        if self.wanted.html {
            files.push(OutputFile::new("report.html", self.reporter.suite_html(found, "Kafka scenarios", folder)?));
        }
        if self.wanted.markdown {
            files.push(OutputFile::new("report.md", self.reporter.suite_markdown(found, "Kafka scenarios", folder)?));
        }
        Ok(files)
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new("unwritable", format!("cannot write {}: {error}", path.display()))
}

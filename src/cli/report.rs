//! `kscen report`

use super::select::scenarios_in;
use super::{Exit, Output};
use crate::compare::are_apart;
use crate::ground::private;
use crate::report::{
    BACKUP, Collection, DELIVERY, Declared, OutputFile, PERFORMANCE, Reporter, RunReports, SUITE, baseline,
    former_suites, load,
};
use crate::text::Problem;
use clap::{Args as ClapArgs, ValueEnum};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Renders reports from stored results alone.
///
/// For one run, the report of the run; for several, the report of the suite, with each run's own report beside its
/// result.json. Without --out, reports are written where the results are.
#[derive(ClapArgs)]
pub struct Args {
    /// Results: result.json files, folders of runs, folders of suites.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Format of the report.
    #[arg(long, value_enum, default_value_t = ReportFormat::Html)]
    format: ReportFormat,
    /// File of the report; `-` is standard output. A device, a pipe or `/dev/stdout` is written to; a link is refused.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Writes reports/performance-baseline.md, reports/delivery-guarantees.md and reports/backup.md, with charts, from the
    /// newest run of each scenario, of several repeats in a suite one that did not pass; --out names another folder.
    #[arg(long, conflicts_with = "format")]
    baseline: bool,
    /// Folder of scenarios that the baseline reports name also where they did not run; may be given several times.
    #[arg(long, value_name = "DIR", default_value = "scenarios", requires = "baseline")]
    scenarios: Vec<PathBuf>,
    /// Folder of templates that replace the embedded ones by name.
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Heading of a suite's report.
    #[arg(long, value_name = "TEXT", default_value = "Kafka scenarios")]
    title: String,
}

/// Format of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One self-contained page.
    Html,
    /// Markdown with charts as SVG files beside it.
    Markdown,
    /// JUnit XML.
    Junit,
}

impl ReportFormat {
    fn file(self) -> &'static str {
        match self {
            Self::Html => "report.html",
            Self::Markdown => "report.md",
            Self::Junit => "junit.xml",
        }
    }
}

pub(super) fn run(args: &Args, output: &Output) -> Exit {
    let reporter = match Reporter::new(args.templates.as_deref()) {
        Ok(reporter) => reporter,
        Err(problems) => {
            output.problems(&problems);
            return Exit::Usage;
        }
    };
    let mut found = load(&args.paths);
    if let [path] = &args.paths[..]
        && path.join(SUITE).is_file()
    {
        // `.` has no name by which it could be told from those before.
        found.former = former_suites(&path.canonicalize().unwrap_or_else(|_| path.clone()));
    }
    name_unusable(&found, output);
    if args.baseline {
        return baselines(args, &reporter, &found, output);
    }
    if found.runs.is_empty() && found.not_run.is_empty() {
        output.line("there is no result to report on");
        return Exit::Nothing;
    }
    match write(args, &reporter, &found, output) {
        Ok(Some(path)) => {
            output.line(&format!("report {}", path.display()));
            Exit::Pass
        }
        Ok(None) => Exit::Pass,
        Err(problem) => {
            output.problems(&[problem]);
            Exit::Usage
        }
    }
}

/// Says in whose place another scenario of the same file name stands: baseline reports know scenarios by that.
fn name_displaced(found: &Collection, output: &Output) {
    let mut files: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for file in found.runs.iter().map(|stored| stored.record.run.file.as_str()) {
        let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        files.entry(stem).or_default().push(file);
    }
    for files in files.values() {
        // Runs come in the order of their start.
        let Some(newest) = files.last() else { continue };
        for other in files.iter().filter(|file| are_apart(file, newest)).collect::<BTreeSet<_>>() {
            let why = format!("{newest} has the same file name, and ran later");
            output.line(&format!("{} {other}: {why}", output.paint(33, "left out")));
        }
    }
}

/// Writes the baseline reports, also when nothing ran: they then say so.
fn baselines(args: &Args, reporter: &Reporter, found: &Collection, output: &Output) -> Exit {
    name_displaced(found, output);
    let folder = args.out.clone().unwrap_or_else(|| PathBuf::from("reports"));
    let written = baseline(found, &declared(&args.scenarios), reporter)
        .and_then(|files| files.iter().try_for_each(|file| store(file, &folder)));
    if let Err(problem) = written {
        output.problems(&[problem]);
        return Exit::Usage;
    }
    for name in [PERFORMANCE, DELIVERY, BACKUP] {
        output.line(&format!("report {}", folder.join(name).display()));
    }
    Exit::Pass
}

/// The scenarios of folders that declare a section of a baseline report. One that cannot be read shows when it is run.
fn declared(folders: &[PathBuf]) -> Vec<Declared> {
    let files = folders.iter().flat_map(|folder| {
        let mut files = scenarios_in(folder);
        files.sort();
        files
    });
    files
        .filter_map(|file| {
            let clause = crate::text::read(&file).ok()?.value.get("report").cloned()?;
            Some(Declared {
                stem: file.file_stem()?.to_string_lossy().into_owned(),
                file: file.display().to_string(),
                clause: serde_json::from_value(clause).ok()?,
            })
        })
        .collect()
}

/// Says which files are left out.
pub(super) fn name_unusable(found: &Collection, output: &Output) {
    for unusable in &found.unusable {
        output.line(&format!("{} {}: {}", output.paint(33, "left out"), unusable.path.display(), unusable.why));
    }
}

/// Writes the report; returns where, unless it went to standard output.
fn write(args: &Args, reporter: &Reporter, found: &Collection, output: &Output) -> Result<Option<PathBuf>, Problem> {
    let to_stdout = args.out.as_deref() == Some(Path::new("-"));
    let file = match &args.out {
        Some(_) if to_stdout => PathBuf::from(args.format.file()),
        Some(file) => file.clone(),
        None => home(args, found).join(args.format.file()),
    };
    // Into a stream goes one page, and nothing stands beside it.
    let alone = to_stdout || private::is_stream(&file).map_err(|error| unwritable(&file, &error))?;
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let name = file.file_name().map(PathBuf::from).unwrap_or_else(|| PathBuf::from(args.format.file()));
    let stem = name.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let single = match &found.runs[..] {
        [run] if found.not_run.is_empty() => Some(run),
        _ => None,
    };
    let mut files = Vec::new();
    let text = match (args.format, single) {
        (ReportFormat::Junit, _) => reporter.junit(found)?,
        (ReportFormat::Html, Some(run)) => reporter.run_html(&run.record)?,
        (ReportFormat::Markdown, Some(run)) => {
            let chart = if stem == "report" { "chart.svg".to_owned() } else { format!("{stem}.svg") };
            let (text, chart) = reporter.run_markdown(run, &chart)?;
            files.extend(chart.filter(|_| !alone));
            text
        }
        (format, None) => {
            let html = format == ReportFormat::Html;
            if !alone {
                // The suite's report links to the page of each run.
                for run in &found.runs {
                    let wanted = RunReports { html: true, markdown: !html };
                    for file in reporter.run(&run.record, wanted)? {
                        store(&file, &run.folder)?;
                    }
                }
            }
            if html {
                reporter.suite_html(found, &args.title, &folder)?
            } else {
                reporter.suite_markdown(found, &args.title, &folder)?
            }
        }
    };
    if to_stdout {
        output.data(text.trim_end());
        return Ok(None);
    }
    files.push(OutputFile::new(name, text));
    for file in &files {
        store(file, &folder)?;
    }
    Ok(Some(file))
}

/// The folder that all results lie in.
fn home(args: &Args, found: &Collection) -> PathBuf {
    match (&found.runs[..], &args.paths[..]) {
        ([run], _) if found.not_run.is_empty() => run.folder.clone(),
        (_, [path]) if path.is_dir() => path.clone(),
        ([run, ..], _) => run.folder.parent().unwrap_or(Path::new("")).to_owned(),
        _ => PathBuf::new(),
    }
}

/// Writes one file.
pub(super) fn store(file: &OutputFile, folder: &Path) -> Result<(), Problem> {
    file.write(folder).map(drop).map_err(|error| unwritable(&folder.join(&file.path), &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new("unwritable", format!("cannot write {}: {error}", path.display()))
        .help("choose another place with --out")
}

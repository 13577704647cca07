//! The templates: embedded, and replaceable by a folder of the same names.

use super::markdown;
use crate::ground::input;
use crate::text::{Problem, SourceText, Span};
use handlebars::{Handlebars, RenderError, RenderErrorReason, TemplateError};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// Most bytes of a template.
const TEMPLATE: u64 = 1 << 20;
/// Every template: name and embedded text.
const EMBEDDED: &[(&str, &str)] = &[
    ("run.html", include_str!("../../reports/templates/run.html.hbs")),
    ("suite.html", include_str!("../../reports/templates/suite.html.hbs")),
    ("run.md", include_str!("../../reports/templates/run.md.hbs")),
    ("suite.md", include_str!("../../reports/templates/suite.md.hbs")),
    ("summary.md", include_str!("../../reports/templates/summary.md.hbs")),
    ("performance-baseline.md", include_str!("../../reports/templates/performance-baseline.md.hbs")),
    ("delivery-guarantees.md", include_str!("../../reports/templates/delivery-guarantees.md.hbs")),
    ("backup.md", include_str!("../../reports/templates/backup.md.hbs")),
];

/// Templates for HTML and for Markdown, which escape differently. The embedded ones are only compiled where they are rendered:
/// that takes longer than the rendering.
pub struct Templates {
    html: Handlebars<'static>,
    markdown: Handlebars<'static>,
    sources: Vec<Arc<SourceText>>,
}

impl Templates {
    /// The embedded templates, replaced by the files `NAME.hbs` of a folder where there are such.
    ///
    /// # Errors
    /// A folder that cannot be read, a file that is no template of this program, a template with an error: at its line.
    pub fn with(folder: Option<&Path>) -> Result<Self, Vec<Problem>> {
        let mut html = Handlebars::new();
        html.set_strict_mode(true);
        let mut markdown = Handlebars::new();
        markdown.set_strict_mode(true);
        markdown.register_escape_fn(markdown::escape);
        let mut templates = Self { html, markdown, sources: Vec::new() };
        let mut problems = folder.map(unknown_files).unwrap_or_default();
        for (name, text) in EMBEDDED {
            let Some(path) = folder.map(|folder| folder.join(format!("{name}.hbs"))).filter(|path| path.exists())
            else {
                templates.sources.push(Arc::new(SourceText::new(format!("{name}.hbs").into(), (*text).to_owned())));
                continue;
            };
            let source = match input::text(&path, TEMPLATE) {
                Ok(text) => Arc::new(SourceText::new(path, text)),
                Err(error) => {
                    let reason = format!("cannot read {}: {error}", path.display());
                    problems.push(Problem::new("unreadable-template", reason));
                    continue;
                }
            };
            if let Err(error) = templates.engine(name).register_template_string(name, &source.text) {
                problems.push(of_template(&error, &source));
            }
            templates.sources.push(source);
        }
        if problems.is_empty() { Ok(templates) } else { Err(problems) }
    }

    fn engine(&mut self, name: &str) -> &mut Handlebars<'static> {
        if name.ends_with(".html") { &mut self.html } else { &mut self.markdown }
    }

    /// Renders a view.
    ///
    /// # Errors
    /// A template that asks for what the view does not have, at its line.
    pub fn render(&self, name: &str, view: &impl Serialize) -> Result<String, Problem> {
        let engine = if name.ends_with(".html") { &self.html } else { &self.markdown };
        let rendered = match self.source(name) {
            Some(source) if !engine.has_template(name) => engine.render_template(&source.text, view),
            _ => engine.render(name, view),
        };
        rendered.map_err(|error| self.of_rendering(&error, name))
    }

    fn of_rendering(&self, error: &RenderError, name: &str) -> Problem {
        let why = match error.reason() {
            RenderErrorReason::MissingVariable(Some(path)) => format!("there is no `{path}` to show"),
            reason => reason.to_string(),
        };
        let problem = Problem::new("bad-template", format!("the template {name} cannot be rendered: {why}"))
            .help("templates see the fields of the report's view only; compare with the embedded template");
        let name = error.template_name.as_deref().unwrap_or(name);
        match (self.source(name), error.line_no) {
            (Some(source), Some(line)) => at_line(problem, source, line, error.column_no),
            _ => problem,
        }
    }

    fn source(&self, name: &str) -> Option<&Arc<SourceText>> {
        let file = format!("{name}.hbs");
        self.sources.iter().find(|source| source.name.file_name().is_some_and(|found| *found == *file))
    }
}

fn of_template(error: &TemplateError, source: &Arc<SourceText>) -> Problem {
    let problem = Problem::new("bad-template", format!("the template has an error: {}", error.reason()));
    match error.pos() {
        Some((line, column)) => at_line(problem, source, line, Some(column)),
        None => problem.note(source.name.display().to_string()),
    }
}

fn at_line(problem: Problem, source: &Arc<SourceText>, line: usize, column: Option<usize>) -> Problem {
    let range = source.line_range(line.max(1));
    let start = column.map_or(range.start, |column| source.offset(line.max(1), column.max(1)));
    let span = Span { start: start.min(range.end), end: range.end.max(start) };
    problem.at(crate::text::Place { source: Arc::clone(source), span })
}

/// Files that replace nothing are mistakes: a typing error would otherwise go unnoticed.
fn unknown_files(folder: &Path) -> Vec<Problem> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            return vec![Problem::new(
                "unreadable-template",
                format!("cannot read the folder {}: {error}", folder.display()),
            )];
        }
    };
    let known = |name: &str| EMBEDDED.iter().any(|(known, _)| name == format!("{known}.hbs"));
    let names = EMBEDDED.iter().map(|(name, _)| format!("{name}.hbs")).collect::<Vec<_>>().join(", ");
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".hbs") && !known(name))
        .map(|name| {
            Problem::new("unknown-template", format!("{}: there is no template {name}", folder.display()))
                .help(format!("the templates are {names}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_overrides_point_at_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.md.hbs");
        std::fs::write(&path, "# {{name}}\n\n{{#each checks}}\nno end\n").unwrap();
        std::fs::write(folder.path().join("rnu.md.hbs"), "").unwrap();
        let problems = Templates::with(Some(folder.path())).err().unwrap();
        assert!(problems.iter().any(|problem| problem.code == "unknown-template"), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.code == "bad-template" && problem.at.is_some()), "{problems:?}");
        std::fs::remove_file(folder.path().join("rnu.md.hbs")).unwrap();
        std::fs::write(&path, "# title\n\n{{nonsense}}\n").unwrap();
        let templates = Templates::with(Some(folder.path())).unwrap();
        let problem = templates.render("run.md", &serde_json::json!({})).unwrap_err();
        assert!(problem.at.as_ref().unwrap().to_string().contains("run.md.hbs:3:"), "{problem}");
    }
}

//! The page's templates: embedded, and compiled once.

use handlebars::Handlebars;
use serde::Serialize;
use std::sync::OnceLock;

const EMBEDDED: &[(&str, &str)] = &[
    ("frame", include_str!("templates/frame.html.hbs")),
    ("page", include_str!("templates/page.html.hbs")),
    ("login", include_str!("templates/login.html.hbs")),
    ("refused", include_str!("templates/refused.html.hbs")),
    ("form", include_str!("templates/form.html.hbs")),
    ("field", include_str!("templates/field.html.hbs")),
    ("problems", include_str!("templates/problems.html.hbs")),
    ("figures", include_str!("templates/figures.html.hbs")),
    ("jobs", include_str!("templates/jobs.html.hbs")),
    ("archives", include_str!("templates/archives.html.hbs")),
    ("schedules", include_str!("templates/schedules.html.hbs")),
];

/// What the page looks like: the colours of the reports, and what is its own.
pub const STYLE: &str = concat!(
    include_str!("../../../reports/assets/chart.css"),
    include_str!("../../../reports/assets/report.css"),
    include_str!("page.css")
);
/// What makes it change by itself.
pub const SCRIPT: &str = include_str!("page.js");

/// Renders a view. Everything in it is escaped.
///
/// # Errors
/// The template asks for what the view does not have.
pub fn render(name: &str, view: &impl Serialize) -> Result<String, String> {
    static COMPILED: OnceLock<Result<Handlebars<'static>, String>> = OnceLock::new();
    let compiled = COMPILED.get_or_init(|| {
        let mut templates = Handlebars::new();
        templates.set_strict_mode(true);
        for (name, text) in EMBEDDED {
            templates.register_template_string(name, text).map_err(|error| error.to_string())?;
        }
        Ok(templates)
    });
    compiled.as_ref().map_err(Clone::clone)?.render(name, view).map_err(|error| error.to_string())
}

//! The summary of a job, as GitHub Actions shows it.

use super::suite::SuiteView;
use super::templates::Templates;
use crate::text::Problem;

/// Markdown for the file that `GITHUB_STEP_SUMMARY` names.
///
/// # Errors
/// A template that cannot be rendered.
pub fn summary(view: &SuiteView, templates: &Templates) -> Result<String, Problem> {
    templates.render("summary.md", view)
}

//! Whole documents: the page, the form to sign in, and what is shown where something is refused.

use super::forms::{FieldView, FormView};
use super::templates;
use super::words::ShownTime;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// What every document has.
#[derive(Serialize)]
struct Frame<'a, V> {
    #[serde(flatten)]
    view: V,
    title: &'a str,
    heading: &'static str,
    version: &'static str,
    /// Who is signed in.
    caller: Option<&'a str>,
    shown: Option<ShownTime>,
    /// Whether it changes by itself.
    live: bool,
}

fn frame<'a, V>(view: V, title: &'a str, caller: Option<&'a str>) -> Frame<'a, V> {
    let version = env!("CARGO_PKG_VERSION");
    Frame { view, title, heading: "Backups", version, caller, shown: None, live: false }
}

/// Something that was just done, or was not.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    /// `good` or `bad`.
    pub tone: &'static str,
    /// What to say.
    pub text: String,
    /// Where to go on.
    pub link: Option<String>,
}

/// What the page is made of.
#[derive(Serialize)]
pub struct PageView {
    /// Rendered parts by their names.
    pub parts: BTreeMap<&'static str, String>,
    /// What was just done.
    pub notice: Option<Notice>,
    /// Whether the newest jobs are shown, which change.
    pub first: bool,
    /// The job that older ones are before.
    pub older: Option<String>,
    /// The forms that start jobs.
    pub forms: Vec<FormView>,
}

/// The page as it was at this moment, in ms since the epoch.
///
/// # Errors
/// A template that cannot be rendered.
pub fn page(view: PageView, title: &str, caller: Option<&str>, now: i64) -> Result<String, String> {
    templates::render("page", &Frame { shown: ShownTime::of(now), live: true, ..frame(view, title, caller) })
}

/// The form to sign in, with what is wrong with the token that was sent.
///
/// # Errors
/// A template that cannot be rendered.
pub fn sign_in(error: Option<&str>) -> Result<String, String> {
    let view = json!({ "fields": [FieldView::token(error)] });
    templates::render("login", &frame(view, "Sign in · kscen", None))
}

/// Why something is refused, and what to do about it.
///
/// # Errors
/// A template that cannot be rendered.
pub fn refused(caller: Option<&str>, reason: &str, remedy: &str) -> Result<String, String> {
    templates::render("refused", &frame(json!({ "reason": reason, "remedy": remedy }), "Refused · kscen", caller))
}

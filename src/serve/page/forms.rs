//! The forms that start jobs: what was sent with them, and what is wrong with that, at the field.

use super::fields::{FormField, Input, fields};
use crate::serve::jobs::JobKind;
use crate::serve::problem::HttpProblem;
use crate::serve::work::JobRequest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a form was sent with, by the names of its fields.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct SentForm(BTreeMap<String, String>);

impl SentForm {
    /// What was written into a field, without spaces around it; empty for a field that is not there.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map(|text| text.trim()).unwrap_or_default()
    }

    /// Fills in a field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// What is wrong with what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The field; nothing where it is the form as a whole.
    pub field: Option<&'static str>,
    /// What is wrong, and what to do about it.
    pub text: String,
}

/// What can be chosen from.
#[derive(Clone, Copy)]
pub struct Choices<'a> {
    /// The clusters.
    pub clusters: &'a [String],
    /// The archives.
    pub archives: &'a [String],
}

/// The request that a form means.
///
/// # Errors
/// What is wrong, at each field.
pub fn request(kind: JobKind, sent: &SentForm) -> Result<JobRequest, Vec<Wrong>> {
    let missing = fields(kind).iter().filter(|field| field.required && sent.text(field.name).is_empty());
    let mut wrong: Vec<Wrong> = missing.map(|field| of_field(field.name, "This is needed.")).collect();
    let mut body = Map::new();
    for field in fields(kind).iter().filter(|field| field.name != "cluster") {
        let text = sent.text(field.name);
        let value = match field.input {
            Input::Check => json!(!text.is_empty()),
            _ if text.is_empty() || (field.name, text) == ("verify", "none") => continue,
            Input::Number => match text.parse::<u64>() {
                Ok(number) if number > 0 => json!(number),
                _ => {
                    wrong.push(of_field(field.name, "Write a whole number above 0, in digits."));
                    continue;
                }
            },
            _ if field.name == "topics" => {
                json!(text.split([' ', ',', '\t']).filter(|topic| !topic.is_empty()).collect::<Vec<_>>())
            }
            _ => json!(text),
        };
        body.insert(field.name.to_owned(), value);
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let body = Value::Object(body);
    let decoded = match kind {
        JobKind::Backup => serde_json::from_value(body).map(JobRequest::Backup),
        JobKind::Restore => serde_json::from_value(body).map(JobRequest::Restore),
        JobKind::Verify => serde_json::from_value(body).map(JobRequest::Verify),
    };
    decoded.map_err(|error| vec![Wrong { field: None, text: error.to_string() }])
}

fn of_field(field: &'static str, text: &str) -> Wrong {
    Wrong { field: Some(field), text: text.to_owned() }
}

/// Why the service has not taken a request, at the field that it is about.
pub fn refusal(kind: JobKind, problem: &HttpProblem) -> Wrong {
    // A wrong value is told with the name of its field at the beginning.
    let named = problem.detail.strip_prefix('`').and_then(|rest| rest.split('`').next());
    let coded = FIELD_OF.iter().find(|(code, _)| problem.code.ends_with(code)).map(|(_, field)| *field);
    let field = fields(kind).iter().map(|field| field.name).find(|name| coded.or(named) == Some(*name));
    let text = match &problem.help {
        Some(help) => format!("{}: {help}", problem.detail),
        None => problem.detail.clone(),
    };
    Wrong { field, text }
}

/// The fields that problems of the API are about, by the ends of their codes.
const FIELD_OF: &[(&str, &str)] = &[
    (":unknown-cluster", "cluster"),
    (":not-allowed", "cluster"),
    (":archive-name", "archive"),
    (":unknown-archive", "archive"),
    (":unknown-topic", "topics"),
    (":no-topics", "topics"),
];

/// A form as its template sees it.
#[derive(Serialize)]
pub struct FormView {
    id: &'static str,
    title: &'static str,
    action: String,
    submit: &'static str,
    /// What is wrong with the form as a whole.
    error: Option<String>,
    /// Why it cannot be used at all.
    refused: Option<String>,
    fields: Vec<FieldView>,
}

/// A field as its template sees it.
#[derive(Serialize)]
pub struct FieldView {
    id: String,
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    kind: &'static str,
    is_check: bool,
    is_number: bool,
    required: bool,
    value: String,
    options: Vec<OptionView>,
    error: Option<String>,
    /// The ids of hint and error, for `aria-describedby`.
    described: String,
}

#[derive(Serialize)]
struct OptionView {
    value: String,
    label: String,
    selected: bool,
}

impl FieldView {
    /// The field of a token, which is never shown again.
    pub fn token(error: Option<&str>) -> Self {
        let field = FormField {
            name: "token",
            label: "Token",
            hint: "It begins with kscen_.",
            required: true,
            input: Input::Text,
        };
        let view = Self::new(
            "login",
            &field,
            &SentForm::default(),
            error.map(str::to_owned),
            Choices { clusters: &[], archives: &[] },
        );
        Self { kind: "password", ..view }
    }

    fn new(form: &str, field: &FormField, sent: &SentForm, error: Option<String>, choices: Choices<'_>) -> Self {
        let id = format!("{form}-{}", field.name);
        let value = sent.text(field.name).to_owned();
        let named = |names: &[String]| names.iter().map(|name| (name.clone(), name.clone())).collect::<Vec<_>>();
        let mut options = match field.input {
            Input::Cluster => named(choices.clusters),
            Input::Archive => [vec![(String::new(), "choose one".to_owned())], named(choices.archives)].concat(),
            Input::Words(words) => {
                words.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect()
            }
            Input::Text | Input::Number | Input::Check => Vec::new(),
        };
        // What was sent and is not there any more is shown with what is wrong about it.
        if !options.is_empty() && !value.is_empty() && !options.iter().any(|(known, _)| *known == value) {
            options.push((value.clone(), value.clone()));
        }
        let hint = (!field.hint.is_empty()).then(|| format!("{id}-hint"));
        let wrong = error.as_ref().map(|_| format!("{id}-error"));
        let described: Vec<String> = [hint, wrong].into_iter().flatten().collect();
        Self {
            name: field.name,
            label: field.label,
            hint: field.hint,
            kind: "text",
            is_check: matches!(field.input, Input::Check),
            is_number: matches!(field.input, Input::Number),
            required: field.required,
            options: options
                .into_iter()
                .map(|(known, label)| OptionView { selected: known == value, value: known, label })
                .collect(),
            value,
            error,
            described: described.join(" "),
            id,
        }
    }
}

/// A form: empty, or with what was sent and what is wrong with it. `refused` says why this caller cannot use it.
pub fn view(
    kind: JobKind,
    sent: &SentForm,
    wrong: &[Wrong],
    choices: Choices<'_>,
    refused: Option<String>,
) -> FormView {
    let (title, submit) = match kind {
        JobKind::Backup => ("Back topics up", "Start the backup"),
        JobKind::Restore => ("Restore topics", "Start the restore"),
        JobKind::Verify => ("Verify an archive", "Start the verification"),
    };
    let error = |field: Option<&str>| {
        let texts: Vec<&str> =
            wrong.iter().filter(|wrong| wrong.field == field).map(|wrong| wrong.text.as_str()).collect();
        (!texts.is_empty()).then(|| texts.join(" "))
    };
    // A form that nobody has filled in yet proposes the comparison.
    let sent = if wrong.is_empty() { sent.clone().with_default(kind) } else { sent.clone() };
    let field = |field: &FormField| FieldView::new(kind.word(), field, &sent, error(Some(field.name)), choices);
    FormView {
        id: kind.word(),
        title,
        action: format!("/{kind}"),
        submit,
        error: error(None),
        refused,
        fields: fields(kind).iter().map(field).collect(),
    }
}

impl SentForm {
    fn with_default(self, kind: JobKind) -> Self {
        if kind == JobKind::Restore { self.with("verify", "yes") } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pairs: &[(&str, &str)]) -> SentForm {
        pairs.iter().fold(SentForm::default(), |sent, (name, value)| sent.with(name, value))
    }

    fn body(request: JobRequest) -> Value {
        serde_json::to_value(request).expect("it can be written")
    }

    #[test]
    fn a_form_means_the_request_that_the_api_takes() {
        let backup = sent(&[
            ("cluster", "prod"),
            ("topics", "orders, billing.*  x"),
            ("max_messages", " 100 "),
            ("verify", "deep"),
        ]);
        let body_of = |kind, sent: &SentForm| body(request(kind, sent).expect("a request"));
        let meant = body_of(JobKind::Backup, &backup);
        assert_eq!(meant["topics"], json!(["orders", "billing.*", "x"]));
        assert_eq!((&meant["max_messages"], &meant["verify"]), (&json!(100), &json!("deep")));
        let restore = sent(&[
            ("cluster", "dr"),
            ("archive", "nightly"),
            ("topics", "orders"),
            ("as", "again"),
            ("offsets", "exact"),
        ]);
        let meant = body_of(JobKind::Restore, &restore);
        assert_eq!(
            (&meant["archive"], &meant["as"], &meant["verify"]),
            (&json!("nightly"), &json!("again"), &Value::Null)
        );
        let meant = body_of(JobKind::Verify, &sent(&[("archive", "nightly"), ("level", "quick")]));
        assert_eq!((&meant["archive"], &meant["level"]), (&json!("nightly"), &json!("quick")));
    }

    #[test]
    fn what_is_wrong_is_told_at_its_field() {
        let wrong = request(JobKind::Backup, &sent(&[("topics", " "), ("max_messages", "-1")])).expect_err("wrong");
        let fields: Vec<_> = wrong.iter().filter_map(|wrong| wrong.field).collect();
        assert_eq!(fields, ["cluster", "topics", "max_messages"]);
        let wrong = request(JobKind::Backup, &sent(&[("cluster", "c"), ("topics", "t"), ("verify", "so-so")]));
        assert!(matches!(wrong.expect_err("wrong").as_slice(), [Wrong { field: None, .. }]));
        let problem =
            HttpProblem::absent("unknown-archive", "there is no archive `x`").help("GET /api/backups lists them");
        assert_eq!(refusal(JobKind::Verify, &problem).field, Some("archive"));
        assert_eq!(refusal(JobKind::Verify, &HttpProblem::conflict("busy", "later")).field, None);
        let problem = HttpProblem::bad("bad-value", "`as` is one name, and there are 2 topics");
        assert_eq!(refusal(JobKind::Restore, &problem).field, Some("as"));
    }
}

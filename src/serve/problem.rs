//! What the API answers where it does not do what it was asked: RFC 9457, `application/problem+json`.

use crate::text::{Problem, Redactor};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// A problem. `detail` says what is wrong and where, `help` what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HttpProblem {
    /// A stable name of what is wrong: `urn:kscen:problem:` and a code.
    #[serde(rename = "type")]
    pub code: String,
    /// The name of the status.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What is wrong, and where.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The job that stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// After how many seconds it is worth trying again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl HttpProblem {
    /// A problem with this code.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            code: format!("urn:kscen:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Unknown").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            help: None,
            job: None,
            retry_after: None,
        }
    }

    /// What the request is wrong in: 400.
    pub fn bad(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// What is not there: 404.
    pub fn absent(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// What cannot be because of something else: 409.
    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// What the service cannot do now: 503.
    pub fn unavailable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    }

    /// What `kscen.yaml` or the environment refuses.
    pub fn refused(status: StatusCode, problems: &[Problem]) -> Self {
        let Some(first) = problems.first() else { return Self::new(status, "refused", "it is refused") };
        let problem = Self::new(status, first.code, first.message.clone());
        match &first.help {
            Some(help) => problem.help(help.clone()),
            None => problem,
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Names the job that stands in the way.
    #[must_use]
    pub fn of_job(self, job: &str) -> Self {
        Self { job: Some(job.to_owned()), ..self }
    }

    /// Says after how many seconds it is worth trying again.
    #[must_use]
    pub fn after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The same without secrets.
    #[must_use]
    pub fn redacted(self, redactor: &Redactor) -> Self {
        let hide = |text: &str| redactor.text(text).into_owned();
        Self { detail: hide(&self.detail), help: self.help.as_deref().map(hide), ..self }
    }
}

impl IntoResponse for HttpProblem {
    /// Only its status: what it says is written where every answer passes, without secrets.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

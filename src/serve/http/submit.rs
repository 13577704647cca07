//! Jobs that are asked for.

use super::body;
use super::observe::{AboutJob, Asking};
use crate::serve::jobs::{IdempotencyKey, Job, JobAsked, JobKind};
use crate::serve::problem::HttpProblem;
use crate::serve::service::Service;
use crate::serve::work::{BackupAsked, DrainAsked, JobRequest, MigrateAsked, RestoreAsked, VerifyAsked};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The longest that a request waits for its job.
const LONGEST: Duration = Duration::from_secs(300);
/// The longest `Idempotency-Key`.
const LONGEST_KEY: usize = 255;

pub(super) async fn backup(
    State(service): State<Service>,
    Path(cluster): Path<String>,
    asking: Asking,
    request: Request,
) -> Result<Response, HttpProblem> {
    submit::<BackupAsked>(service, JobKind::Backup, Some(cluster), asking, request).await
}

pub(super) async fn restore(
    State(service): State<Service>,
    Path(cluster): Path<String>,
    asking: Asking,
    request: Request,
) -> Result<Response, HttpProblem> {
    submit::<RestoreAsked>(service, JobKind::Restore, Some(cluster), asking, request).await
}

pub(super) async fn verify(
    State(service): State<Service>,
    Path(cluster): Path<String>,
    asking: Asking,
    request: Request,
) -> Result<Response, HttpProblem> {
    submit::<VerifyAsked>(service, JobKind::Verify, Some(cluster), asking, request).await
}

pub(super) async fn drain(
    State(service): State<Service>,
    Path(cluster): Path<String>,
    asking: Asking,
    request: Request,
) -> Result<Response, HttpProblem> {
    submit::<DrainAsked>(service, JobKind::Drain, Some(cluster), asking, request).await
}

pub(super) async fn migrate(
    State(service): State<Service>,
    asking: Asking,
    request: Request,
) -> Result<Response, HttpProblem> {
    submit::<MigrateAsked>(service, JobKind::Migrate, None, asking, request).await
}

/// Takes a job, and waits for it as long as the request says. Where the path names no cluster, the body does.
async fn submit<T: DeserializeOwned + JsonSchema + Into<JobRequest>>(
    service: Service,
    kind: JobKind,
    cluster: Option<String>,
    asking: Asking,
    request: Request,
) -> Result<Response, HttpProblem> {
    let caller = asking.may(kind.scopes())?;
    let path = request.uri().path().to_owned();
    let headers = request.headers().clone();
    let wait = wait(&headers);
    let body = body::read(request).await?;
    let asked: T = body::decode(&body)?;
    let key = key(&headers)?.map(|key| IdempotencyKey::new(caller.name.as_deref(), &key, &path, &body));
    let request: JobRequest = asked.into();
    let cluster = cluster.or_else(|| request.cluster().map(str::to_owned)).unwrap_or_default();
    let asked = JobAsked { cluster, request, by: caller.name, schedule: None, key };
    let submitted = service.ask(asked).await?;
    let mut job = submitted.job;
    if let Some(wait) = wait {
        tokio::select! {
            ended = tokio::time::timeout(wait, service.jobs().ended(&job.id)) => {
                if let Ok(Some(ended)) = ended {
                    job = ended;
                }
            }
            () = service.stopping() => {}
        }
    }
    Ok(answer(&job, wait, submitted.repeated))
}

fn answer(job: &Job, wait: Option<Duration>, repeated: bool) -> Response {
    let status = if job.state.is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(job)).into_response();
    let headers = response.headers_mut();
    // An id is hexadecimal digits.
    if let Ok(place) = HeaderValue::from_str(&format!("/api/jobs/{}", job.id)) {
        headers.insert(header::LOCATION, place);
    }
    if let Some(Ok(applied)) = wait.map(|wait| HeaderValue::from_str(&format!("wait={}", wait.as_secs()))) {
        headers.insert("preference-applied", applied);
    }
    if repeated {
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    response.extensions_mut().insert(AboutJob(job.id.clone()));
    response
}

/// How long a request wants to wait: `Prefer: wait=30`. Other preferences are nothing that is known here.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let all = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
    let mut all = all.flat_map(|value| value.split([',', ';']));
    let seconds = all.find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').parse().ok())?
    })?;
    Some(Duration::from_secs(seconds).min(LONGEST))
}

/// The key by which the same request is known again.
fn key(headers: &HeaderMap) -> Result<Option<String>, HttpProblem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str().map(str::trim) {
        Ok(key) if !key.is_empty() && key.len() <= LONGEST_KEY => Ok(Some(key.to_owned())),
        _ => {
            let detail = format!("the Idempotency-Key is not 1 to {LONGEST_KEY} ASCII characters");
            Err(HttpProblem::bad("idempotency-key", detail).help("send a random one, such as a UUID"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_waits_as_long_as_it_prefers_and_not_for_ever() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", value.parse().expect("a header"));
            }
            wait(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(of(&["wait=30"]), Some(30));
        assert_eq!(of(&["respond-async, Wait = \"5\""]), Some(5));
        assert_eq!(of(&["respond-async", "wait=7"]), Some(7));
        assert_eq!(of(&["wait=100000"]), Some(300));
        for none in [&[][..], &["wait"], &["wait=soon"], &["wait=-1"], &["return=minimal"]] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}

//! What holds for every request.

use super::guard;
use crate::serve::asked_by::AskedBy;
use crate::serve::audit::AuditEntry;
use crate::serve::problem::HttpProblem;
use crate::serve::service::Service;
use crate::serve::tokens::{Caller, NeededScopes};
use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

/// The address that a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Who asks, as far as that is known.
#[derive(Clone, Debug)]
pub struct Asking(Result<Caller, HttpProblem>);

impl Asking {
    /// Who it is, where they may do what takes these.
    ///
    /// # Errors
    /// It is not known (401), or they may not (403).
    pub fn may(&self, needed: impl Into<NeededScopes>) -> Result<Caller, HttpProblem> {
        let (caller, needed) = (self.0.clone()?, needed.into());
        if caller.has(needed) {
            return Ok(caller);
        }
        let detail = format!("this needs the scope {}, and the token does not have it", needed.words("`"));
        Err(HttpProblem::new(StatusCode::FORBIDDEN, "scope", detail)
            .help("use another token, or have its scopes changed"))
    }
}

impl FromRequestParts<Service> for Asking {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, HttpProblem> {
        let known = parts.extensions.get::<Self>().cloned();
        Ok(known.unwrap_or_else(|| Self(service.caller(&parts.headers))))
    }
}

/// Names who asks, has the request answered, gives problems their form, and counts and writes down what became of it.
pub(super) async fn observe(State(service): State<Service>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let pattern = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let from = request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_string());
    let caller = service.caller(request.headers());
    let who = caller.as_ref().ok().and_then(|caller| caller.name.clone());
    let guarded = guard::check(&service, &request);
    request.extensions_mut().insert(Asking(caller));
    let response = match guarded {
        Err(problem) => problem.into_response(),
        Ok(()) => match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(_) => {
                let detail = "the service has an error in itself: what it says is in its own output";
                HttpProblem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response()
            }
        },
    };
    let (response, problem) = formed(&service, response);
    let status = response.status();
    service.metrics().request(method.as_str(), &pattern, status.as_u16(), begun.elapsed());
    if !matches!(method, Method::GET | Method::HEAD) || status.is_client_error() || status.is_server_error() {
        let job = response.extensions().get::<AboutJob>().map(|job| job.0.clone());
        let page = response.extensions().get::<AskedBy>().cloned().unwrap_or_default();
        service.audit().write(&AuditEntry {
            who: who.or(page.who),
            from,
            what: format!("{method} {path}"),
            answer: Some(status.as_u16().to_string()),
            job: job.or(page.job).or_else(|| problem.as_ref().and_then(|problem| problem.job.clone())),
            detail: problem.map(|problem| problem.detail),
        });
    }
    response
}

/// The job that a response is about.
#[derive(Clone, Debug)]
pub(super) struct AboutJob(pub(super) String);

/// A response as it leaves: problems as `application/problem+json`, without secrets; nothing of it kept on the way.
fn formed(service: &Service, mut response: Response) -> (Response, Option<HttpProblem>) {
    let status = response.status();
    let problem = response.extensions_mut().remove::<HttpProblem>().or_else(|| unspoken(&response));
    let mut response = match &problem {
        None => response,
        Some(problem) => {
            let problem = problem.clone().redacted(service.redactor());
            // A problem is texts and numbers, which can always be written.
            let body = Body::from(serde_json::to_vec(&problem).unwrap_or_default());
            let mut formed = (status, body).into_response();
            let headers = formed.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            if let Some(allow) = response.headers().get(header::ALLOW) {
                headers.insert(header::ALLOW, allow.clone());
            }
            if let Some(seconds) = problem.retry_after {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            if status == StatusCode::UNAUTHORIZED {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            formed
        }
    };
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    (response, problem)
}

/// The problem that a response stands for which says nothing but its status; pages speak for themselves.
fn unspoken(response: &Response) -> Option<HttpProblem> {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !(status.is_client_error() || status.is_server_error()) || kind.starts_with("text/html") {
        return None;
    }
    Some(match status {
        StatusCode::NOT_FOUND => {
            let problem = HttpProblem::absent("unknown-path", "there is nothing at this path");
            problem.help("GET /openapi.json describes every path")
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            let problem = HttpProblem::new(status, "method", "this path does not take this method");
            problem.help("the header `Allow` lists those that it takes")
        }
        StatusCode::PAYLOAD_TOO_LARGE => HttpProblem::new(status, "too-large", "the body is longer than it may be"),
        status => HttpProblem::new(status, "request", "the request cannot be understood: look at its path and headers"),
    })
}

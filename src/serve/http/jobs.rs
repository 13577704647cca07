//! Jobs, and the clusters that they may name.

use super::observe::{AboutJob, Asking};
use super::query::Wanted;
use crate::serve::clusters::shown;
use crate::serve::jobs::{CancelError, Job, JobFilter, JobKind, JobState};
use crate::serve::problem::HttpProblem;
use crate::serve::service::Service;
use crate::serve::tokens::TokenScope;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// So many jobs are on a page where nothing else is said, and at most.
const PAGE: (usize, usize) = (50, 500);

/// The clusters that may be named.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct ClusterList {
    /// Their names: environments of `kscen.yaml`.
    clusters: Vec<String>,
}

/// Some jobs, the newest first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct JobList {
    /// The jobs.
    jobs: Vec<Job>,
    /// What `before` has to be for those that follow; nothing where none do.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which jobs are wanted.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JobQuery {
    /// Of this kind.
    kind: Option<JobKind>,
    /// In this state.
    state: Option<JobState>,
    /// Of this cluster.
    cluster: Option<String>,
    /// Of this archive.
    archive: Option<String>,
    /// Of this schedule.
    schedule: Option<String>,
    /// Those before this one.
    before: Option<String>,
    /// At most so many, 1 to 500. 50 where absent.
    limit: Option<usize>,
}

pub(super) async fn clusters(State(service): State<Service>, asking: Asking) -> Result<Json<ClusterList>, HttpProblem> {
    asking.may(&TokenScope::ALL)?;
    Ok(Json(ClusterList { clusters: service.clusters() }))
}

pub(super) async fn list(
    State(service): State<Service>,
    asking: Asking,
    Wanted(query): Wanted<JobQuery>,
) -> Result<Json<JobList>, HttpProblem> {
    asking.may(&[TokenScope::Read])?;
    let limit = query.limit.unwrap_or(PAGE.0);
    if !(1..=PAGE.1).contains(&limit) {
        return Err(HttpProblem::bad("bad-query", format!("`limit` is {limit}: it is from 1 to {}", PAGE.1)));
    }
    let page = service.jobs().list(&JobFilter {
        kind: query.kind,
        state: query.state,
        cluster: query.cluster,
        archive: query.archive,
        schedule: query.schedule,
        before: query.before,
        limit,
    });
    Ok(Json(JobList { jobs: page.jobs, next: page.next }))
}

pub(super) async fn show(
    State(service): State<Service>,
    Path(id): Path<String>,
    asking: Asking,
) -> Result<Json<Job>, HttpProblem> {
    asking.may(&[TokenScope::Read])?;
    service.jobs().get(&id).map(Json).ok_or_else(|| unknown(&id))
}

pub(super) async fn cancel(
    State(service): State<Service>,
    Path(id): Path<String>,
    asking: Asking,
) -> Result<Response, HttpProblem> {
    // Who may cancel nothing does not learn what there is.
    asking.may(&[TokenScope::Backup, TokenScope::Restore])?;
    let job = service.jobs().get(&id).ok_or_else(|| unknown(&id))?;
    asking.may(job.kind.scopes())?;
    let job = service.jobs().cancel(&id).await.map_err(|error| match error {
        CancelError::Unknown => unknown(&id),
        CancelError::Over(job) => {
            HttpProblem::conflict("over", format!("the job is over: it has {}", job.state)).of_job(&id)
        }
        CancelError::Store(error) => {
            HttpProblem::unavailable("state", format!("that cannot be kept: {error}")).after(10)
        }
    })?;
    let status = if job.state.is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(&job)).into_response();
    response.extensions_mut().insert(AboutJob(job.id.clone()));
    Ok(response)
}

pub(super) fn unknown(id: &str) -> HttpProblem {
    HttpProblem::absent("unknown-job", format!("there is no job `{}`", shown(id))).help("GET /api/jobs lists them")
}

//! Whether the service lives, works, and how much it does.

use super::observe::Asking;
use crate::expose::MetricsPage;
use crate::serve::aside::aside;
use crate::serve::exported::Exported;
use crate::serve::problem::HttpProblem;
use crate::serve::service::Service;
use crate::serve::tokens::TokenScope;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// That it lives, or works.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(super) struct Health {
    /// `ok`.
    status: &'static str,
}

pub(super) async fn alive() -> Json<Health> {
    Json(Health { status: "ok" })
}

pub(super) async fn ready(State(service): State<Service>) -> Result<Json<Health>, HttpProblem> {
    aside(move || service.readiness()).await?;
    Ok(Json(Health { status: "ok" }))
}

pub(super) async fn metrics(State(service): State<Service>, asking: Asking) -> Result<Response, HttpProblem> {
    asking.may(&[TokenScope::Read])?;
    let text = aside(move || {
        let now = jiff::Timestamp::now();
        let archives = service.archives().list().ok();
        let exported = Exported {
            metrics: service.metrics(),
            jobs: &service.jobs().counts(),
            queue: service.settings().queue,
            schedules: &service.schedules().list(now),
            archives: archives.as_deref(),
            now: now.as_millisecond(),
        };
        exported.text()
    });
    let kind = [(header::CONTENT_TYPE, MetricsPage::CONTENT_TYPE)];
    Ok((kind, text.await).into_response())
}

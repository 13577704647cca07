//! Whether the service lives, works, and how much it does.

use super::observe::Asking;
use crate::serve::aside::aside;
use crate::serve::metrics::{MetricsPage, archives, jobs};
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
        let mut page = MetricsPage::default();
        service.metrics().write(&mut page);
        jobs(&mut page, &service.jobs().counts());
        // Where archives cannot be listed, everything else is told, and that they are not there is an alert of its own.
        if let Ok(entries) = service.archives().list() {
            archives(&mut page, &entries, jiff::Timestamp::now().as_millisecond());
        }
        page.text()
    });
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, text.await).into_response())
}

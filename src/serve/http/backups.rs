//! Archives.

use super::observe::Asking;
use crate::serve::archives::{ArchiveEntry, absent, check_name};
use crate::serve::aside::aside;
use crate::serve::problem::HttpProblem;
use crate::serve::service::Service;
use crate::serve::tokens::TokenScope;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

/// Archives.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct BackupList {
    /// By their names.
    backups: Vec<ArchiveEntry>,
}

pub(super) async fn list(State(service): State<Service>, asking: Asking) -> Result<Json<BackupList>, HttpProblem> {
    asking.may(&[TokenScope::Read])?;
    let archives = service.archives().clone();
    Ok(Json(BackupList { backups: aside(move || archives.list()).await? }))
}

pub(super) async fn show(
    State(service): State<Service>,
    Path(name): Path<String>,
    asking: Asking,
) -> Result<Json<ArchiveEntry>, HttpProblem> {
    asking.may(&[TokenScope::Read])?;
    check_name(&name)?;
    let (archives, wanted) = (service.archives().clone(), name.clone());
    aside(move || archives.show(&wanted)).await?.map(Json).ok_or_else(|| absent(&name))
}

pub(super) async fn remove(
    State(service): State<Service>,
    Path(name): Path<String>,
    asking: Asking,
) -> Result<StatusCode, HttpProblem> {
    asking.may(&[TokenScope::Delete])?;
    check_name(&name)?;
    let held = service.jobs().hold(&name).map_err(|job| match job {
        Some(job) => {
            let detail = format!("job {job} needs archive `{name}`, and is not over");
            HttpProblem::conflict("claimed", detail).help("wait until it is over, or cancel it").of_job(&job)
        }
        None => HttpProblem::conflict("claimed", format!("archive `{name}` is being deleted")),
    })?;
    let archives = service.archives().clone();
    // It goes on where whoever asked for it has gone.
    let removed = aside(move || {
        let removed = archives.remove(&name);
        drop(held);
        removed
    });
    removed.await?;
    Ok(StatusCode::NO_CONTENT)
}

//! The query of a request.

use crate::serve::problem::HttpProblem;
use crate::serve::service::Service;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// What a query holds.
pub(super) struct Wanted<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Service> for Wanted<T> {
    type Rejection = HttpProblem;

    /// Fields that are not known are refused, so that a filter that is misspelt does not list everything.
    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, HttpProblem> {
        match Query::<T>::from_request_parts(parts, service).await {
            Ok(Query(wanted)) => Ok(Self(wanted)),
            Err(refused) => Err(HttpProblem::bad("bad-query", refused.body_text())),
        }
    }
}

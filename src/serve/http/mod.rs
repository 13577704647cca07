//! The API: what each path does, in a file for each group of them.
//!
//! | file | what is in it |
//! |---|---|
//! | `observe.rs` | what holds for every request: who asks, what is counted and written down, how problems look |
//! | `guard.rs` | requests that a browser was talked into |
//! | `body.rs`, `query.rs` | what is read of a request |
//! | `submit.rs` | jobs that are asked for |
//! | `jobs.rs`, `events.rs`, `backups.rs`, `health.rs` | what there is to see and to end |
//! | `openapi.rs` | the description of it all |

mod backups;
mod body;
mod events;
mod guard;
mod health;
mod jobs;
mod observe;
mod openapi;
mod query;
mod submit;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use body::read as read_body;
pub use observe::Peer;

use super::service::Service;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

/// Every path of the API, with what it does.
fn paths() -> Vec<(&'static str, MethodRouter<Service>)> {
    vec![
        ("/api/kafka/clusters", get(jobs::clusters)),
        ("/api/kafka/clusters/{cluster}/backup", post(submit::backup)),
        ("/api/kafka/clusters/{cluster}/restore", post(submit::restore)),
        ("/api/kafka/clusters/{cluster}/verify", post(submit::verify)),
        ("/api/kafka/clusters/{cluster}/drain", post(submit::drain)),
        ("/api/kafka/migrate", post(submit::migrate)),
        ("/api/jobs", get(jobs::list)),
        ("/api/jobs/{id}", get(jobs::show).delete(jobs::cancel)),
        ("/api/jobs/{id}/events", get(events::follow)),
        ("/api/backups", get(backups::list)),
        ("/api/backups/{name}", get(backups::show).delete(backups::remove)),
        ("/healthz", get(health::alive)),
        ("/readyz", get(health::ready)),
        ("/metrics", get(health::metrics)),
        ("/openapi.json", get(openapi::show)),
    ]
}

/// All that the service answers.
pub fn router(service: Service) -> Router {
    let api = paths().into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    let all = api.merge(crate::serve::page::router());
    all.layer(from_fn_with_state(service.clone(), observe::observe)).with_state(service)
}

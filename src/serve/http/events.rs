//! What happens in a job, as server-sent events.

use super::jobs::unknown;
use super::observe::Asking;
use super::query::Wanted;
use crate::serve::jobs::{JobEvent, Subscription};
use crate::serve::problem::HttpProblem;
use crate::serve::service::Service;
use crate::serve::tokens::TokenScope;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use schemars::JsonSchema;
use serde::Deserialize;
use std::convert::Infallible;
use std::time::Duration;

/// Where nothing happens, a comment is sent so often: connections that say nothing are cut on the way.
const ALIVE: Duration = Duration::from_secs(15);

/// From where on.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EventQuery {
    /// After this event, where the header `Last-Event-ID` does not say.
    after: Option<u64>,
}

pub(super) async fn follow(
    State(service): State<Service>,
    Path(id): Path<String>,
    asking: Asking,
    Wanted(query): Wanted<EventQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, HttpProblem> {
    asking.may(&[TokenScope::Read])?;
    // What is no number was not given here: the job as it is now is told then.
    let last = headers.get("last-event-id").and_then(|last| last.to_str().ok()?.trim().parse().ok());
    let subscription = service.jobs().subscribe(&id, last.or(query.after)).ok_or_else(|| unknown(&id))?;
    let events = stream::unfold((subscription, service), |(mut subscription, service)| async move {
        let event = next(&mut subscription, &service).await?;
        Some((Ok(told(&event)), (subscription, service)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)))
}

/// The next event, unless the job is over or the service ends.
async fn next(subscription: &mut Subscription, service: &Service) -> Option<JobEvent> {
    tokio::select! {
        biased;
        event = subscription.next() => event,
        () = service.stopping() => None,
    }
}

fn told(event: &JobEvent) -> Event {
    let told = Event::default().event(&event.name).data(event.data.to_string());
    match event.id {
        Some(id) => told.id(id.to_string()),
        None => told,
    }
}

//! What has changed, to those who look: each part of the page as it is now, whenever it is another than before.

use super::routes::Viewer;
use super::shown::Gathered;
use super::view::said;
use crate::serve::jobs::JobState;
use crate::serve::service::Service;
use crate::serve::tokens::Caller;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;

/// Changes that follow each other are shown together.
const TOGETHER: Duration = Duration::from_millis(500);
/// Ages grow, and archives change, without a job.
const ANYWAY: Duration = Duration::from_secs(15);

/// Follows the page.
pub async fn events(
    State(service): State<Service>,
    Viewer(caller): Viewer,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let follower = Follower {
        changes: service.jobs().changes(),
        service,
        caller,
        sent: BTreeMap::new(),
        states: None,
        events: VecDeque::new(),
    };
    Sse::new(unfold(follower, Follower::next)).keep_alive(KeepAlive::default())
}

/// Somebody who looks at the page.
struct Follower {
    service: Service,
    caller: Caller,
    changes: watch::Receiver<u64>,
    /// The parts as they were last sent.
    sent: BTreeMap<&'static str, String>,
    /// The states of the jobs that were shown; nothing before the first look.
    states: Option<BTreeMap<String, JobState>>,
    events: VecDeque<Event>,
}

impl Follower {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some((Ok(event), self));
            }
            if self.states.is_some() && !self.wait().await {
                return None;
            }
            self.look().await;
        }
    }

    /// Waits until there may be something new; answers `false` where the service ends.
    async fn wait(&mut self) -> bool {
        let (service, changes) = (&self.service, &mut self.changes);
        let news = async {
            tokio::select! {
                changed = changes.changed() => {
                    tokio::time::sleep(TOGETHER).await;
                    changed.is_ok()
                }
                () = tokio::time::sleep(ANYWAY) => true,
            }
        };
        tokio::select! {
            goes_on = news => goes_on,
            () = service.stopping() => false,
        }
    }

    async fn look(&mut self) {
        self.changes.mark_unchanged();
        let gathered = Gathered::now(&self.service, None).await;
        let states = gathered.jobs.iter().map(|job| (job.id.clone(), job.state)).collect();
        if let Some(before) = self.states.replace(states) {
            let news = gathered.jobs.iter().filter(|job| before.get(&job.id) != Some(&job.state));
            let news: Vec<String> = news.map(said).collect();
            if !news.is_empty() {
                self.events.push_back(Event::default().event("said").data(news.join(" ")));
            }
        }
        // What cannot be rendered is told by the page itself.
        for (name, html) in gathered.parts(&self.caller).unwrap_or_default() {
            if self.sent.get(name) != Some(&html) {
                let data = serde_json::json!({ "id": format!("part-{name}"), "html": html }).to_string();
                self.events.push_back(Event::default().event("part").data(data));
                self.sent.insert(name, html);
            }
        }
    }
}

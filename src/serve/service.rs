//! What every part of the service shares.

use super::archives::Archives;
use super::aside::aside;
use super::audit::Audit;
use super::jobs::{Job, JobAsked, JobFilter, JobKind, JobState, Jobs, SubmitError, Submitted};
use super::metrics::Metrics;
use super::problem::HttpProblem;
use super::schedule::Schedules;
use super::state::ServeState;
use super::tokens::{Caller, Tokens};
use super::work::{JobRequest, WorkContext};
use crate::backup::folders_at;
use crate::project::ServeSettings;
use crate::text::Redactor;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// After how many seconds a full queue is worth another try.
const FULL: u64 = 10;
/// After how many seconds a service that ends is worth another try: another one may have begun.
const ENDING: u64 = 5;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<ServiceParts>);

/// What it is made of.
pub(super) struct ServiceParts {
    pub(super) settings: ServeSettings,
    pub(super) folder: PathBuf,
    pub(super) state: ServeState,
    pub(super) jobs: Jobs,
    pub(super) context: WorkContext,
    pub(super) schedules: Schedules,
    pub(super) tokens: Option<Tokens>,
    pub(super) metrics: Metrics,
    pub(super) audit: Audit,
    pub(super) ending: watch::Sender<bool>,
}

impl Service {
    /// Of these.
    pub(super) fn new(parts: ServiceParts) -> Self {
        Self(Arc::new(parts))
    }

    /// How it runs.
    pub fn settings(&self) -> &ServeSettings {
        &self.0.settings
    }

    /// The folder for its state, which only its owner may look into.
    pub fn state(&self) -> &Path {
        &self.0.folder
    }

    /// The jobs.
    pub fn jobs(&self) -> &Jobs {
        &self.0.jobs
    }

    /// The archives. Their functions read files: see [`aside`].
    pub fn archives(&self) -> &Archives {
        self.0.context.archives()
    }

    /// Its schedules.
    pub fn schedules(&self) -> &Schedules {
        &self.0.schedules
    }

    /// The clusters that may be named.
    pub fn clusters(&self) -> Vec<String> {
        self.0.context.clusters().names()
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Its audit log.
    pub fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// Hides what nobody may see.
    pub fn redactor(&self) -> &Redactor {
        self.0.context.redactor()
    }

    /// Whether callers have to show a token.
    pub fn has_tokens(&self) -> bool {
        self.0.tokens.is_some()
    }

    /// Whose token the headers of a request have.
    ///
    /// # Errors
    /// None that is known, where one is needed: 401.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, HttpProblem> {
        let Some(tokens) = &self.0.tokens else { return Ok(Caller::anyone()) };
        let refused = |detail: &str| {
            let problem = HttpProblem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
            problem.help("send `Authorization: Bearer TOKEN`, with a token that `kscen serve --new-token` has made")
        };
        let value = headers.get(header::AUTHORIZATION).ok_or_else(|| refused("this needs a token"))?;
        let value = value.to_str().map_err(|_| refused("the Authorization header is not text"))?;
        match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                tokens.find(token.trim()).ok_or_else(|| refused("the token is not known"))
            }
            _ => Err(refused("the Authorization header holds no bearer token")),
        }
    }

    /// Takes a job, after everything that can be known before was looked at.
    ///
    /// # Errors
    /// What stands in its way, as the API answers.
    pub async fn ask(&self, asked: JobAsked) -> Result<Submitted, HttpProblem> {
        if let Some(known) = self.0.jobs.known(asked.key.as_ref()).map_err(refused)? {
            return Ok(known);
        }
        let service = self.clone();
        let asked = aside(move || service.completed(asked)).await?;
        self.0.jobs.submit(asked).await.map_err(refused)
    }

    fn completed(&self, mut asked: JobAsked) -> Result<JobAsked, HttpProblem> {
        let context = &self.0.context;
        context.clusters().permitted(&asked.cluster, &asked.request.grants())?;
        asked.request.complete(context)?;
        if let JobRequest::Verify(verify) = &mut asked.request
            && verify.level.level().is_none()
        {
            let found =
                self.restored(&asked.cluster, &verify.archive, verify.topic.as_deref(), verify.restore.as_deref());
            verify.restore = Some(found?.id);
        }
        Ok(asked)
    }

    /// The job that has restored a topic from an archive.
    fn restored(
        &self,
        cluster: &str,
        archive: &str,
        topic: Option<&str>,
        job: Option<&str>,
    ) -> Result<Job, HttpProblem> {
        let wrote = |found: &Job| {
            let claims = found.request.claims(cluster);
            topic.is_none_or(|topic| claims.iter().any(|claim| claim.is_topic(topic)))
        };
        let filter = JobFilter {
            kind: Some(JobKind::Restore),
            cluster: Some(cluster.to_owned()),
            archive: Some(archive.to_owned()),
            ..JobFilter::default()
        };
        let all = self.0.jobs.list(&filter).jobs;
        let named = |found: &&Job| job.is_none_or(|job| found.id == job);
        let done = |found: &&Job| found.state == JobState::Succeeded || job.is_some() && found.state.is_final();
        all.iter().find(|found| named(found) && done(found) && wrote(found)).cloned().ok_or_else(|| {
            let what =
                topic.map_or("anything".to_owned(), |topic| format!("topic `{}`", super::clusters::shown(topic)));
            let detail = format!("no job is known that has restored {what} from archive `{archive}` into `{cluster}`");
            HttpProblem::absent("unknown-restore", detail).help("restore it first, or with `\"verify\": true`")
        })
    }

    /// Whether it can do its work: what it cannot, in words.
    pub fn readiness(&self) -> Result<(), HttpProblem> {
        if *self.0.ending.borrow() {
            return Err(ending());
        }
        let kept = self.0.state.write("ready.json", &json!({ "at": jiff::Timestamp::now().to_string() }));
        kept.map_err(|error| {
            let problem = HttpProblem::unavailable("state", format!("{}: {error}", self.state().display()));
            problem.help("no job is taken until it can be written: see that there is room and that it is writable")
        })?;
        folders_at(self.archives().place()).map_err(|reason| HttpProblem::unavailable("archives", reason))?;
        Ok(())
    }

    /// Tells every part that the service ends. Jobs at work are asked to stop.
    pub fn end(&self) {
        self.0.ending.send_replace(true);
        self.0.jobs.close();
    }

    /// Waits until the service ends.
    pub async fn stopping(&self) {
        // The sender is as old as this.
        let _ = self.0.ending.subscribe().wait_for(|ending| *ending).await;
    }
}

fn ending() -> HttpProblem {
    HttpProblem::unavailable("ending", "the service is about to end").after(ENDING)
}

/// Why a job is not taken, as the API answers.
fn refused(error: SubmitError) -> HttpProblem {
    match error {
        SubmitError::Full(waiting) => {
            let detail = format!("{waiting} jobs wait already, and no more may");
            HttpProblem::new(StatusCode::TOO_MANY_REQUESTS, "queue-full", detail)
                .help("try again later, or cancel some: GET /api/jobs?state=queued")
                .after(FULL)
        }
        SubmitError::Claimed { job, claim } => {
            let detail = format!("job {job} writes {claim}, and is not over");
            HttpProblem::conflict("claimed", detail).help("wait until it is over, or cancel it").of_job(&job)
        }
        SubmitError::Held(archive) => HttpProblem::conflict("claimed", format!("archive `{archive}` is being deleted"))
            .help("choose another name"),
        SubmitError::OtherBody(job) => {
            let detail = "this Idempotency-Key was sent with another request in the last 24 hours";
            HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key", detail)
                .help("send a new key for a new request")
                .of_job(&job)
        }
        SubmitError::Closed => ending(),
        SubmitError::Store(error) => {
            let problem = HttpProblem::unavailable("state", format!("the job cannot be kept: {error}"));
            problem
                .help("see that there is room in the state folder and that it is writable, and try again")
                .after(FULL)
        }
    }
}

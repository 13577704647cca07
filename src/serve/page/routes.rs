//! The addresses of the page: what is shown, and what its forms do.

use super::document::{self, Notice, PageView};
use super::forms::{self, Choices, SentForm, Wrong};
use super::shown::Gathered;
use super::{guard, live, session, templates};
use crate::serve::asked_by::AskedBy;
use crate::serve::jobs::{CancelError, JobAsked, JobFilter, JobKind};
use crate::serve::service::Service;
use crate::serve::tokens::{Caller, TokenScope};
use axum::Router;
use axum::extract::{Form, FromRequestParts, Query, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

/// The page.
pub fn router() -> Router<Service> {
    let home = || async { Redirect::to("/") };
    let of = |kind: JobKind| {
        get(home)
            .post(move |state: State<Service>, viewer: Viewer, form: Form<SentForm>| start(kind, state, viewer, form))
    };
    Router::new()
        .route("/", get(show))
        .route("/page/events", get(live::events))
        .route("/page.css", get(async || asset("text/css; charset=utf-8", templates::STYLE)))
        .route("/page.js", get(async || asset("text/javascript; charset=utf-8", templates::SCRIPT)))
        .route("/login", get(home).post(login))
        .route("/logout", get(home).post(logout))
        .route("/backup", of(JobKind::Backup))
        .route("/restore", of(JobKind::Restore))
        .route("/verify", of(JobKind::Verify))
        .route("/cancel", get(home).post(cancel))
        .layer(from_fn(guard::protected))
}

/// Who looks, from this page itself, and may.
pub struct Viewer(pub Caller);

impl FromRequestParts<Service> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Response> {
        let _ = Own::from_request_parts(parts, service).await?;
        match session::caller(service, &parts.headers) {
            Ok(caller) if caller.has(&[TokenScope::Read]) => Ok(Self(caller)),
            Ok(caller) => {
                let name = caller.name.as_deref().unwrap_or_default();
                let reason = format!("the token of {name} does not allow to look: it lacks the scope `read`");
                Err(refused(
                    StatusCode::FORBIDDEN,
                    caller.name.as_deref(),
                    &reason,
                    "Sign out, and in with another token.",
                ))
            }
            Err(_) => Err(sign_in(StatusCode::UNAUTHORIZED, None)),
        }
    }
}

/// A request that no other page has sent.
struct Own;

impl FromRequestParts<Service> for Own {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Service) -> Result<Self, Response> {
        if !guard::is_foreign(&parts.method, &parts.headers) {
            return Ok(Self);
        }
        let remedy = "Open the page itself and send its form; programs use the API instead.";
        Err(refused(StatusCode::FORBIDDEN, None, "This form was not sent from the page of this service.", remedy))
    }
}

fn html(status: StatusCode, document: Result<String, String>) -> Response {
    match document {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the page cannot be rendered: {error}")).into_response()
        }
    }
}

fn sign_in(status: StatusCode, error: Option<&str>) -> Response {
    html(status, document::sign_in(error))
}

fn refused(status: StatusCode, caller: Option<&str>, reason: &str, remedy: &str) -> Response {
    html(status, document::refused(caller, reason, remedy))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind)], text).into_response()
}

/// What the address of the page may say.
#[derive(Default, Deserialize)]
struct Wanted {
    /// The jobs before this one.
    before: Option<String>,
    /// The archive that the form for restores begins with.
    restore: Option<String>,
    /// The job that was just taken.
    job: Option<String>,
    /// The job that is being cancelled.
    cancelled: Option<String>,
}

async fn show(State(service): State<Service>, Viewer(caller): Viewer, Query(wanted): Query<Wanted>) -> Response {
    let known = |id: &Option<String>| id.as_deref().and_then(|id| service.jobs().get(id));
    let taken = known(&wanted.job).map(|job| format!("Job {} was taken.", job.id));
    let notice = taken.or_else(|| known(&wanted.cancelled).map(|job| format!("Job {} is being cancelled.", job.id)));
    let notice = notice.map(|text| Notice { tone: "good", text, link: None });
    let sent =
        wanted.restore.map(|archive| (JobKind::Restore, SentForm::default().with("archive", &archive), Vec::new()));
    page(&service, &caller, StatusCode::OK, wanted.before, notice, sent).await
}

/// The page as it is now; one of its forms with what was sent, and what is wrong with it.
async fn page(
    service: &Service,
    caller: &Caller,
    status: StatusCode,
    before: Option<String>,
    notice: Option<Notice>,
    sent: Option<(JobKind, SentForm, Vec<Wrong>)>,
) -> Response {
    let first = before.is_none();
    let gathered = Gathered::now(service, before).await;
    let archives: Vec<String> = gathered.archives.iter().flatten().map(|entry| entry.name.clone()).collect();
    let clusters = service.clusters();
    let choices = Choices { clusters: &clusters, archives: &archives };
    let form = |kind: JobKind| {
        let refused = (!caller.has(kind.scopes())).then(|| {
            let scopes: Vec<&str> = kind.scopes().iter().map(|scope| scope.word()).collect();
            format!("Your token does not allow this: it takes the scope {}.", scopes.join(" or "))
        });
        match &sent {
            Some((of, sent, wrong)) if *of == kind => forms::view(kind, sent, wrong, choices, refused),
            _ => forms::view(kind, &SentForm::default(), &[], choices, refused),
        }
    };
    let forms = JobKind::ALL.map(form).into();
    let is_wrong = sent.as_ref().is_some_and(|(_, _, wrong)| !wrong.is_empty());
    let title = if is_wrong { "Not started · kscen" } else { "Backups · kscen" };
    let document = gathered.parts(caller).and_then(|parts| {
        let view = PageView { parts, notice, first, older: gathered.older.clone(), forms };
        document::page(view, title, caller.name.as_deref(), gathered.now)
    });
    html(status, document)
}

/// Starts a job, and shows it; or shows the form again, with what is wrong at its field.
async fn start(
    kind: JobKind,
    State(service): State<Service>,
    Viewer(caller): Viewer,
    Form(sent): Form<SentForm>,
) -> Response {
    let again = |status: StatusCode, wrong: Vec<Wrong>, sent: SentForm| {
        let (service, caller) = (service.clone(), caller.clone());
        let text = format!("The {kind} was not started: its form says why.");
        let notice = Notice { tone: "bad", text, link: Some(format!("#{kind}")) };
        async move {
            let mut response = page(&service, &caller, status, None, Some(notice), Some((kind, sent, wrong))).await;
            response.extensions_mut().insert(AskedBy { who: caller.name, job: None });
            response
        }
    };
    if !caller.has(kind.scopes()) {
        let reason = format!("your token does not allow to start a {kind}");
        return refused(StatusCode::FORBIDDEN, caller.name.as_deref(), &reason, "Sign in with one that does.");
    }
    let request = match forms::request(kind, &sent) {
        Ok(request) => request,
        Err(wrong) => return again(StatusCode::UNPROCESSABLE_ENTITY, wrong, sent).await,
    };
    let cluster = match sent.text("cluster") {
        "" => usual_cluster(&service, sent.text("archive")),
        cluster => cluster.to_owned(),
    };
    let asked = JobAsked { cluster, request, by: caller.name.clone(), schedule: None, key: None };
    match service.ask(asked).await {
        Ok(submitted) => done(&caller, "job", submitted.job.id),
        Err(problem) => {
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            again(status, vec![forms::refusal(kind, &problem)], sent).await
        }
    }
}

/// Shows the job that something was done with.
fn done(caller: &Caller, what: &str, job: String) -> Response {
    let mut response = Redirect::to(&format!("/?{what}={job}#job-{job}")).into_response();
    response.extensions_mut().insert(AskedBy { who: caller.name.clone(), job: Some(job) });
    response
}

/// The cluster that an archive was last used with, or the first that there is: where only the archive matters.
fn usual_cluster(service: &Service, archive: &str) -> String {
    let filter = JobFilter { archive: Some(archive.to_owned()), limit: 1, ..JobFilter::default() };
    let last = service.jobs().list(&filter).jobs.into_iter().next().map(|job| job.cluster);
    last.or_else(|| service.clusters().into_iter().next()).unwrap_or_default()
}

#[derive(Deserialize)]
struct Cancelled {
    job: String,
}

async fn cancel(
    State(service): State<Service>,
    Viewer(caller): Viewer,
    Form(Cancelled { job }): Form<Cancelled>,
) -> Response {
    let Some(known) = service.jobs().get(&job) else {
        let reason = "there is no such job any more";
        return refused(StatusCode::NOT_FOUND, caller.name.as_deref(), reason, "The page shows those that there are.");
    };
    if !caller.has(known.kind.scopes()) {
        let reason = format!("your token does not allow to cancel a {}", known.kind);
        return refused(StatusCode::FORBIDDEN, caller.name.as_deref(), &reason, "Sign in with one that does.");
    }
    let (status, reason) = match service.jobs().cancel(&job).await {
        Ok(job) => return done(&caller, "cancelled", job.id),
        Err(CancelError::Unknown) => (StatusCode::NOT_FOUND, "there is no such job any more".to_owned()),
        Err(CancelError::Over(job)) => (StatusCode::CONFLICT, format!("job {} is over: it is {}", job.id, job.state)),
        Err(CancelError::Store(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("that cannot be kept: {error}")),
    };
    refused(status, caller.name.as_deref(), &reason, "The page shows how the jobs are now.")
}

#[derive(Deserialize)]
struct Credentials {
    #[serde(default)]
    token: String,
}

async fn login(State(service): State<Service>, _: Own, Form(Credentials { token }): Form<Credentials>) -> Response {
    let token = token.trim();
    if token.is_empty() {
        return sign_in(StatusCode::UNPROCESSABLE_ENTITY, Some("This is needed."));
    }
    let tls = service.settings().tls.is_some();
    match (session::of_token(&service, token), session::cookie(Some(token), tls)) {
        (Ok(_), Some(cookie)) => signed(cookie),
        _ => sign_in(StatusCode::UNAUTHORIZED, Some("This token is not known to the service.")),
    }
}

async fn logout(State(service): State<Service>, _: Own) -> Response {
    let cookie = session::cookie(None, service.settings().tls.is_some());
    cookie.map_or_else(|| Redirect::to("/").into_response(), signed)
}

fn signed(cookie: HeaderValue) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(SET_COOKIE, cookie);
    (headers, Redirect::to("/")).into_response()
}

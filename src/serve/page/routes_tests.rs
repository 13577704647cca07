//! The page over HTTP, as a browser uses it.

use crate::serve::bench::service;
use crate::serve::http::{Peer, router};
use crate::serve::service::Service;
use crate::serve::tokens::{NewToken, TokenScope};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use futures_util::StreamExt;
use std::collections::BTreeSet;
use tempfile::TempDir;
use tower::ServiceExt;

const HOST: &str = "127.0.0.1:8087";
const ORIGIN: (&str, &str) = ("origin", "http://127.0.0.1:8087");
const BACKUP: &str = "cluster=prod&topics=orders+billing.*&archive=nightly&compression=zstd&max_messages=&verify=full";

struct Browser {
    _root: TempDir,
    service: Service,
    router: Router,
    cookie: Option<String>,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Browser {
    fn of((root, service): (TempDir, Service)) -> Self {
        Self { _root: root, router: router(service.clone()), service, cookie: None }
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path).header("host", HOST);
        request = request.extension(Peer(([127, 0, 0, 1], 1).into()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        if method == "POST" {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        request.body(Body::from(body.to_owned())).expect("a request")
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = self.request(method, path, headers, body);
        let (parts, body) = self.router.clone().oneshot(request).await.expect("an answer").into_parts();
        let bytes = to_bytes(body, 4 << 20).await.expect("a body");
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    async fn send(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[ORIGIN], body).await
    }
}

#[tokio::test]
async fn the_page_says_what_the_browser_may_do_and_has_all_it_needs() {
    let browser = Browser::of(service(|_, _| {}).await);
    let page = browser.get("/").await;
    assert_eq!((page.status, page.header(header::CONTENT_TYPE)), (200, "text/html; charset=utf-8"));
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    for part in
        ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "form-action 'self'"]
    {
        assert!(policy.contains(part) && !policy.contains("unsafe"), "{policy}");
    }
    assert_eq!(
        (page.header(header::CACHE_CONTROL), page.header(header::X_CONTENT_TYPE_OPTIONS)),
        ("no-store", "nosniff")
    );
    for (path, kind) in [("/page.css", "text/css; charset=utf-8"), ("/page.js", "text/javascript; charset=utf-8")] {
        assert!(page.text.contains(&format!("\"{path}\"")), "{path}");
        let asset = browser.get(path).await;
        assert_eq!((asset.status, asset.header(header::CONTENT_TYPE)), (200, kind));
    }
    assert!(page.text.contains("No job has been asked for yet.") && page.text.contains("There is no archive yet."));
    assert_eq!(
        browser.get("/backup").await.header(header::LOCATION),
        "/",
        "an address that is typed leads to the page"
    );
}

#[tokio::test]
async fn a_form_starts_a_job_which_is_shown_and_cancelled() {
    let browser = Browser::of(service(|_, _| {}).await);
    let taken = browser.send("/backup", BACKUP).await;
    assert_eq!(taken.status, 303, "{}", taken.text);
    let place = taken.header(header::LOCATION).to_owned();
    let id = place.split(['=', '#']).nth(1).expect("an id").to_owned();
    let page = browser.get(place.split('#').next().expect("a path")).await;
    assert!(page.text.contains(&format!("Job {id} was taken.")), "{}", page.text);
    assert!(page.text.contains("Backup of orders, billing.* of prod into nightly"));
    assert!(page.text.contains(&format!("id=\"cancel-{id}\"")));
    let cancelled = browser.send("/cancel", &format!("job={id}")).await;
    assert_eq!((cancelled.status, cancelled.header(header::LOCATION)), (303, &*format!("/?cancelled={id}#job-{id}")));
    assert!(!browser.get("/").await.text.contains(&format!("id=\"cancel-{id}\"")), "it is over");
    assert_eq!(browser.send("/cancel", "job=none").await.status, 404);
    let job = browser.service.jobs().get(&id).expect("it is there");
    assert_eq!(job.state.word(), "cancelled");
}

#[tokio::test]
async fn what_is_refused_stands_at_its_field_with_what_was_sent() {
    let browser = Browser::of(service(|_, _| {}).await);
    for (path, body, status, field) in [
        ("/backup", "cluster=prod&topics=", 422, "backup-topics"),
        ("/backup", "cluster=prod&topics=a&max_messages=many", 422, "backup-max_messages"),
        ("/backup", "cluster=none&topics=a", 404, "backup-cluster"),
        ("/backup", "cluster=prod&topics=a&archive=..%2Fa", 400, "backup-archive"),
        ("/restore", "cluster=prod&archive=none&topics=&as=", 404, "restore-archive"),
        ("/verify", "archive=none&level=full", 404, "verify-archive"),
    ] {
        let refused = browser.send(path, body).await;
        assert_eq!(refused.status, status, "{path} {body}: {}", refused.text);
        let at = refused.text.find("aria-invalid=\"true\"").expect("a field is marked");
        let line = refused.text[..at].rsplit('\n').next().expect("its line");
        assert!(line.contains(&format!(" id=\"{field}\"")), "{path} {body}: {line}");
        assert!(refused.text.contains(&format!("id=\"{field}-error\"")));
    }
    assert!(
        browser
            .send("/backup", "cluster=prod&topics=&archive=%22%3E%3Cb%3E")
            .await
            .text
            .contains("value=\"&quot;&gt;&lt;b&gt;\"")
    );
    for archive in ["a", "b", "c"] {
        assert_eq!(browser.send("/backup", &format!("cluster=prod&topics=a&archive={archive}")).await.status, 303);
    }
    let full = browser.send("/backup", "cluster=prod&topics=a&archive=d").await;
    assert_eq!(full.status, 429);
    assert!(full.text.contains("id=\"backup-error\"") && full.text.contains("no more may"));
}

#[tokio::test]
async fn a_form_of_another_page_does_nothing() {
    let browser = Browser::of(service(|_, _| {}).await);
    for headers in [
        vec![],
        vec![("origin", "https://elsewhere.example")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
    ] {
        for path in ["/backup", "/restore", "/verify", "/cancel", "/login", "/logout"] {
            assert_eq!(browser.ask("POST", path, &headers, BACKUP).await.status, 403, "{path} {headers:?}");
        }
    }
    assert!(browser.service.jobs().counts().is_empty(), "nothing was taken");
    let own = browser.ask("POST", "/backup", &[("sec-fetch-site", "same-origin")], BACKUP).await;
    assert_eq!(own.status, 303);
}

/// A browser at a service with a token for each list of scopes.
async fn with_tokens(scopes: &[&[TokenScope]]) -> (Browser, Vec<String>) {
    let made: Vec<NewToken> = scopes
        .iter()
        .enumerate()
        .map(|(index, scopes)| {
            let scopes: BTreeSet<TokenScope> = scopes.iter().copied().collect();
            NewToken::new(&format!("caller-{index}"), &scopes).expect("a token")
        })
        .collect();
    let lines: String = made.iter().map(|made| format!("{}\n", made.line)).collect();
    let served = service(|root, set| {
        std::fs::write(root.join("tokens"), lines).expect("written");
        set.tokens = Some(root.join("tokens"));
    });
    (Browser::of(served.await), made.into_iter().map(|made| made.token).collect())
}

async fn sign_in(browser: &mut Browser, token: &str) -> Answer {
    let signed = browser.send("/login", &format!("token={token}")).await;
    assert_eq!((signed.status, signed.header(header::LOCATION)), (303, "/"));
    let set = signed.header(header::SET_COOKIE);
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{set}");
    browser.cookie = set.split(';').next().map(str::to_owned);
    browser.get("/").await
}

#[tokio::test]
async fn who_signs_in_gets_a_cookie_that_opens_the_page_and_not_the_api() {
    let (mut browser, tokens) = with_tokens(&[&TokenScope::ALL, &[TokenScope::Read], &[TokenScope::Backup]]).await;
    let closed = browser.get("/").await;
    assert!(closed.status == 401 && closed.text.contains("type=\"password\""), "{}", closed.text);
    assert_eq!(browser.get("/page/events").await.status, 401);
    assert_eq!(browser.send("/backup", BACKUP).await.status, 401);
    for (body, status) in [("token=kscen_wrong", 401), ("token=", 422), ("token=%0Aa%3Bb", 401)] {
        let wrong = browser.send("/login", body).await;
        assert_eq!(wrong.status, status, "{body}");
        assert!(
            wrong.text.contains("aria-describedby=\"login-token-hint login-token-error\"")
                && !wrong.text.contains("kscen_wrong")
        );
        assert_eq!(wrong.header(header::SET_COOKIE), "");
    }
    let open = sign_in(&mut browser, &tokens[0]).await;
    assert!(open.status == 200 && open.text.contains("signed in as caller-0") && !open.text.contains(&tokens[0]));
    let looking = sign_in(&mut browser, &tokens[1]).await;
    assert!(looking.status == 200 && looking.text.contains("it takes the scope backup."), "{}", looking.text);
    let blind = sign_in(&mut browser, &tokens[2]).await;
    assert!(blind.status == 403 && blind.text.contains("lacks the scope"), "{}", blind.text);
    sign_in(&mut browser, &tokens[1]).await;
    assert_eq!(browser.send("/backup", BACKUP).await.status, 403);
    assert_eq!(browser.get("/api/jobs").await.status, 401, "the API takes no cookie");
    let out = browser.send("/logout", "").await;
    assert!(out.status == 303 && out.header(header::SET_COOKIE).ends_with("; Max-Age=0"));
    sign_in(&mut browser, &tokens[0]).await;
    assert_eq!(browser.send("/backup", BACKUP).await.status, 303);
    let log = std::fs::read_to_string(browser.service.state().join("audit.jsonl")).expect("the log");
    let taken = log.lines().find(|line| line.contains("POST /backup") && line.contains("\"answer\":\"303\""));
    assert!(taken.is_some_and(|line| line.contains("\"who\":\"caller-0\"") && line.contains("\"job\"")), "{log}");
    assert!(tokens.iter().all(|token| !log.contains(token.as_str())), "no token is in the log");
}

#[tokio::test]
async fn who_looks_is_told_what_changes() {
    let browser = Browser::of(service(|_, _| {}).await);
    let request = browser.request("GET", "/page/events", &[], "");
    let response = browser.router.clone().oneshot(request).await.expect("an answer");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    let mut told = String::new();
    while told.matches("event: part").count() < 5 {
        told += std::str::from_utf8(&stream.next().await.expect("it goes on").expect("bytes")).expect("text");
    }
    assert!(
        told.contains("part-jobs") && told.contains("No job has been asked for yet.") && !told.contains("event: said")
    );
    assert_eq!(browser.send("/backup", BACKUP).await.status, 303);
    let mut told = String::new();
    while !told.contains("part-jobs") {
        told += std::str::from_utf8(&stream.next().await.expect("it goes on").expect("bytes")).expect("text");
    }
    assert!(told.contains("event: said\ndata: Backup of orders, billing.* of prod into nightly: queued."), "{told}");
    browser.service.end();
    while stream.next().await.is_some() {}
}

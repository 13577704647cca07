//! The API without a cluster: what it refuses, and that it is what it says of itself.

use super::{Peer, openapi, paths, router};
use crate::backup::Archive;
use crate::project::{Project, ServeSettings};
use crate::serve::bench::service_of;
use crate::serve::service::Service;
use crate::serve::start::Serving;
use crate::serve::tokens::{NewToken, TokenScope};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use tower::ServiceExt;

const PROJECT: &str = r#"
default: prod
environments:
  prod:
    remote: {}
    kafka: { bootstrap: "127.0.0.1:1", config: { sasl.password: s3cr3t-word } }
    allow: [backup, restore, groups, acls]
  look:
    remote: {}
    kafka: { bootstrap: "127.0.0.1:1" }
"#;

/// A service that takes jobs and begins none.
struct Bench {
    root: tempfile::TempDir,
    service: Service,
    router: Router,
    /// How many requests were refused.
    refused: AtomicUsize,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

async fn bench(settings: impl FnOnce(&Path, &mut ServeSettings)) -> Bench {
    let (root, service) = service_of(PROJECT, settings).await;
    let router = router(service.clone());
    Bench { root, service, router, refused: AtomicUsize::default() }
}

impl Bench {
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path).extension(Peer(([127, 0, 0, 1], 1).into()));
        let json = !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type");
        for (name, value) in headers.iter().chain(json.then_some(&("content-type", "application/json"))) {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        self.refused.fetch_add(usize::from(parts.status.is_client_error()), Ordering::Relaxed);
        let bytes = to_bytes(body, 1 << 20).await.expect("a body");
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    async fn back_up(&self, body: &str) -> Answer {
        self.ask("POST", "/api/kafka/clusters/prod/backup", &[], body).await
    }

    fn archive(&self, name: &str) {
        let store = self.service.archives().store(name).expect("a place");
        Archive::create(store, "0123456789abcdef0123456789abcdef").expect("made");
    }

    fn audit(&self) -> String {
        std::fs::read_to_string(self.root.path().join("state/audit.jsonl")).expect("the log")
    }
}

impl Answer {
    /// It is a problem of this status and code, and says what to do where that can be said.
    fn is(&self, status: u16, code: &str) -> String {
        assert_eq!(
            (self.status, self.body["type"].as_str()),
            (status, Some(&*format!("urn:kscen:problem:{code}"))),
            "{}",
            self.body
        );
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(self.body["status"], status);
        format!(
            "{}; {}",
            self.body["detail"].as_str().unwrap_or_default(),
            self.body["help"].as_str().unwrap_or_default()
        )
    }
}

#[tokio::test]
async fn a_job_is_taken_shown_and_cancelled() {
    let bench = bench(|_, _| {}).await;
    let taken = bench.back_up(r#"{ "topic": "test-topic", "compression": "gzip", "max_messages": 1000 }"#).await;
    assert_eq!((taken.status, &taken.body["state"], &taken.body["kind"]), (202, &json!("queued"), &json!("backup")));
    let id = taken.body["id"].as_str().expect("an id");
    let place = format!("/api/jobs/{id}");
    assert_eq!(taken.headers[header::LOCATION], place.as_str());
    assert!(taken.body["archive"].as_str().expect("a name").starts_with("test-topic-"));
    assert_eq!(bench.get(&place).await.body, taken.body);
    assert_eq!(bench.get("/api/jobs?kind=backup&state=queued").await.body["jobs"], json!([taken.body]));
    assert_eq!(bench.get("/api/jobs?kind=verify").await.body["jobs"], json!([]));
    let waited =
        bench.ask("POST", "/api/kafka/clusters/prod/backup", &[("prefer", "wait=0")], r#"{ "topic": "b" }"#).await;
    assert_eq!(waited.status, 202);
    assert_eq!(waited.headers["preference-applied"], "wait=0");
    let cancelled = bench.ask("DELETE", &place, &[], "").await;
    assert_eq!((cancelled.status, &cancelled.body["state"]), (200, &json!("cancelled")));
    assert_eq!(bench.ask("DELETE", &place, &[], "").await.status, 200, "it is, already");
    for (method, what) in [("POST", "backup"), ("DELETE", id)] {
        assert!(bench.audit().lines().any(|line| line.contains(&format!("{method} /api")) && line.contains(what)));
    }
    let figures = bench.ask("GET", "/metrics", &[], "").await;
    assert_eq!(figures.status, 200);
    assert_eq!(bench.get("/api/kafka/clusters").await.body["clusters"], json!(["local", "look", "prod"]));
}

#[tokio::test]
async fn whatever_is_wrong_with_a_request_is_a_problem_and_stands_in_the_log() {
    let bench = bench(|_, _| {}).await;
    bench.archive("kept");
    let post = "/api/kafka/clusters/prod/backup";
    assert!(
        bench
            .back_up(r#"{ "topic": "a", "compresion": "gzip" }"#)
            .await
            .is(400, "unknown-field")
            .contains("did you mean `compression`?")
    );
    assert!(
        bench
            .back_up(r#"{ "topic": "a", "compression": "brotli" }"#)
            .await
            .is(400, "bad-value")
            .contains("`brotli` is not a codec")
    );
    assert!(bench.back_up("{}").await.is(400, "no-topics").contains("\"topic\""));
    bench.back_up(r#"{ "topic": "a", "rate": "0B/s" }"#).await.is(400, "bad-value");
    bench.back_up(r#"{ "topic": "a", "verify": "target" }"#).await.is(400, "bad-value");
    bench.back_up(r#"{ "topic": "a", "archive": "../a" }"#).await.is(400, "archive-name");
    bench.back_up("{").await.is(400, "bad-json");
    bench.ask("POST", post, &[("content-type", "text/plain")], "{}").await.is(415, "media-type");
    bench.back_up(&format!("{{\"topic\": \"{}\"}}", "x".repeat(70_000))).await.is(413, "too-large");
    bench.ask("POST", post, &[("idempotency-key", "")], r#"{ "topic": "a" }"#).await.is(400, "idempotency-key");
    let other = bench.ask("POST", "/api/kafka/clusters/prodd/backup", &[], r#"{ "topic": "a" }"#).await;
    assert!(other.is(404, "unknown-cluster").contains("did you mean `prod`?"));
    let denied = bench.ask("POST", "/api/kafka/clusters/look/backup", &[], r#"{ "topic": "a" }"#).await;
    assert!(denied.is(403, "not-allowed").contains("add `backup` to its `allow`"));
    let restore = |body: &'static str| bench.ask("POST", "/api/kafka/clusters/prod/restore", &[], body);
    restore(r#"{ "archive": "none" }"#).await.is(404, "unknown-archive");
    restore(r#"{ "archive": "kept" }"#).await.is(409, "archive-unreadable");
    assert!(restore("{}").await.is(400, "bad-value").contains("`archive`"));
    let verify = |body: &'static str| bench.ask("POST", "/api/kafka/clusters/prod/verify", &[], body);
    verify(r#"{ "archive": "none" }"#).await.is(404, "unknown-archive");
    verify(r#"{ "archive": "kept", "topic": "a" }"#).await.is(400, "bad-value");
    verify(r#"{ "archive": "kept", "level": "target" }"#).await.is(404, "unknown-restore");
    for path in ["/api/jobs/none", "/api/jobs/none/events"] {
        bench.get(path).await.is(404, "unknown-job");
    }
    bench.ask("DELETE", "/api/jobs/none", &[], "").await.is(404, "unknown-job");
    bench.get("/api/jobs?stat=queued").await.is(400, "bad-query");
    bench.get("/api/jobs?limit=0").await.is(400, "bad-query");
    bench.get("/api/backups/none").await.is(404, "unknown-archive");
    bench.ask("DELETE", "/api/backups/none", &[], "").await.is(404, "unknown-archive");
    for name in ["..", "%2e%2e", "%2e%2e%2fstate", "..%2f..%2fetc%2fpasswd", "a%00b", "%2fetc"] {
        let answer = bench.get(&format!("/api/backups/{name}")).await;
        assert!(matches!(answer.status, 400 | 404), "{name}: {}", answer.status);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json", "{name}");
    }
    bench.get("/api/backups/%ff").await.is(400, "request");
    bench.get("/api/backup").await.is(404, "unknown-path");
    bench.get("/../../etc/passwd").await.is(404, "unknown-path");
    let method = bench.ask("PUT", "/api/jobs", &[], "").await;
    method.is(405, "method");
    assert!(method.headers[header::ALLOW].to_str().is_ok_and(|allow| allow.contains("GET")));
    let (mut lines, log) = (0, bench.audit());
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).expect("one object a line");
        lines += usize::from(line["answer"].as_str().is_some_and(|answer| answer.starts_with('4')));
    }
    assert_eq!(lines, bench.refused.load(Ordering::Relaxed), "each of them\n{log}");
    assert!(lines > 30);
    assert!(!log.contains("s3cr3t-word"));
}

#[tokio::test]
async fn a_migration_or_a_drain_that_cannot_be_is_refused_with_its_reason() {
    let bench = bench(|_, _| {}).await;
    let migrate = |body: &'static str| bench.ask("POST", "/api/kafka/migrate", &[], body);
    migrate(r#"{ "from": "prod", "to": "prodd", "topic": "a" }"#).await.is(404, "unknown-cluster");
    migrate(r#"{ "from": "prodd", "to": "prod", "topic": "a" }"#).await.is(404, "unknown-cluster");
    for (from, to) in [("look", "prod"), ("prod", "look")] {
        let body = format!("{{ \"from\": \"{from}\", \"to\": \"{to}\", \"topic\": \"a\" }}");
        bench.ask("POST", "/api/kafka/migrate", &[], &body).await.is(403, "not-allowed");
    }
    migrate(r#"{ "from": "prod", "to": "prod", "topic": "a" }"#).await.is(400, "bad-value");
    migrate(r#"{ "from": "prod", "to": "local" }"#).await.is(400, "no-topics");
    let drain = |body: &'static str| bench.ask("POST", "/api/kafka/clusters/prod/drain", &[], body);
    assert!(drain(r#"{ "group": "g", "into": "p" }"#).await.is(400, "bad-value").contains("`topic`"));
}

#[tokio::test]
async fn the_same_key_is_one_job_a_claimed_archive_is_refused_and_so_is_one_job_too_many() {
    let bench = bench(|_, _| {}).await;
    let keyed = |key: &'static str, body: &'static str| {
        let headers = [("idempotency-key", key)];
        let bench = &bench;
        async move { bench.ask("POST", "/api/kafka/clusters/prod/backup", &headers, body).await }
    };
    let first = keyed("k", r#"{ "topic": "a", "archive": "one" }"#).await;
    let again = keyed("k", r#"{ "topic": "a", "archive": "one" }"#).await;
    assert_eq!((first.status, again.status, &again.body["id"]), (202, 202, &first.body["id"]));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    keyed("k", r#"{ "topic": "b" }"#).await.is(422, "idempotency-key");
    let claimed = bench.back_up(r#"{ "topic": "b", "archive": "one" }"#).await;
    claimed.is(409, "claimed");
    assert_eq!(claimed.body["job"], first.body["id"]);
    bench.archive("one");
    bench.ask("DELETE", "/api/backups/one", &[], "").await.is(409, "claimed");
    for _ in 0..2 {
        assert_eq!(bench.back_up(r#"{ "topic": "b" }"#).await.status, 202);
    }
    let full = bench.back_up(r#"{ "topic": "b" }"#).await;
    full.is(429, "queue-full");
    assert_eq!(full.headers[header::RETRY_AFTER], "10");
    let id = first.body["id"].as_str().expect("an id");
    assert_eq!(bench.ask("DELETE", &format!("/api/jobs/{id}"), &[], "").await.status, 200);
    assert_eq!(bench.ask("DELETE", "/api/backups/one", &[], "").await.status, 204);
    bench.get("/api/backups/one").await.is(404, "unknown-archive");
    assert_eq!(bench.get("/readyz").await.status, 200);
    bench.service.end();
    bench.back_up(r#"{ "topic": "b" }"#).await.is(503, "ending");
    bench.get("/readyz").await.is(503, "ending");
}

#[tokio::test]
async fn a_token_may_do_what_its_scopes_say_and_a_page_of_somebody_else_nothing() {
    let mut tokens = Vec::new();
    let bench = bench(|root, set| {
        let mut lines = String::new();
        for scope in TokenScope::ALL {
            let made = NewToken::new(scope.word(), &BTreeSet::from([scope])).expect("a token");
            lines += &format!("{}\n", made.line);
            tokens.push(format!("Bearer {}", made.token));
        }
        std::fs::write(root.join("tokens"), lines).expect("written");
        set.tokens = Some(root.join("tokens"));
    })
    .await;
    let none = bench.get("/api/jobs").await;
    none.is(401, "unauthorized");
    assert_eq!(none.headers[header::WWW_AUTHENTICATE], "Bearer");
    for wrong in ["Bearer kscen_none", "Basic eDp5", "Bearer"] {
        bench.ask("GET", "/api/jobs", &[("authorization", wrong)], "").await.is(401, "unauthorized");
    }
    let [read, backup, restore, delete] = &tokens[..] else { panic!("four scopes") };
    let body = r#"{ "topic": "a" }"#;
    let (jobs, backups, restores) = (
        ("GET", "/api/jobs"),
        ("POST", "/api/kafka/clusters/prod/backup"),
        ("POST", "/api/kafka/clusters/prod/restore"),
    );
    // Where a scope is there, the request is answered for what it says.
    for (token, (method, path), status) in [
        (read, jobs, 200),
        (backup, jobs, 403),
        (read, backups, 403),
        (backup, backups, 202),
        (restore, backups, 403),
        (backup, restores, 403),
        (backup, ("POST", "/api/kafka/migrate"), 403),
        (restore, ("POST", "/api/kafka/clusters/prod/drain"), 403),
        (restore, restores, 400),
        (delete, restores, 403),
        (read, ("DELETE", "/api/backups/none"), 403),
        (delete, ("DELETE", "/api/backups/none"), 404),
        (read, ("GET", "/openapi.json"), 200),
        (read, ("DELETE", "/api/jobs/none"), 403),
    ] {
        let sent = if method == "POST" { body } else { "" };
        let answer = bench.ask(method, path, &[("authorization", token)], sent).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
    }
    assert_eq!(bench.get("/healthz").await.status, 200);
    assert!(bench.audit().contains("\"who\":\"backup\""));
    assert!(tokens.iter().all(|token| !bench.audit().contains(&token[13..])), "no token is in the log");
    let evil = [("authorization", read.as_str()), ("host", "here:8087"), ("origin", "https://evil.example")];
    bench.ask("GET", "/api/jobs", &evil, "").await.is(403, "origin");
    let own = [("authorization", read.as_str()), ("host", "here:8087"), ("origin", "https://here:8087")];
    assert_eq!(bench.ask("GET", "/api/jobs", &own, "").await.status, 200);
}

#[tokio::test]
async fn without_tokens_only_this_machine_under_its_own_names_is_answered() {
    let bench = bench(|_, _| {}).await;
    bench.ask("GET", "/api/jobs", &[("host", "evil.example:8087")], "").await.is(403, "origin");
    assert_eq!(bench.ask("GET", "/api/jobs", &[("host", "localhost:8087")], "").await.status, 200);
    let project = Project::load(bench.root.path(), None).expect("a project");
    let set = |listen: &str, tokens: bool| ServeSettings {
        listen: listen.to_owned(),
        tokens: tokens.then(|| bench.root.path().join("tokens")),
        ..ServeSettings::default()
    };
    for (settings, message, remedy) in [
        (set("0.0.0.0:0", false), "has no tokens", "set `tokens` and `tls`"),
        (set("0.0.0.0:0", true), "unencrypted", "set `tls"),
        (set("localhost", false), "no address", "127.0.0.1:8087"),
        (set("127.0.0.1:0", true), "file of tokens", "--new-token"),
        (
            ServeSettings { state: Some("state".into()), ..set("127.0.0.1:0", false) },
            "another `kscen serve`",
            "--state",
        ),
    ] {
        let refused = Serving::begin(&project, bench.root.path(), settings).await.err().expect("refused");
        assert!(refused.to_string().contains(message), "{refused}");
        assert!(refused.remedy().is_some_and(|told| told.contains(remedy)), "{:?}", refused.remedy());
    }
}

/// The description against the router, in both directions, and against what is answered.
#[tokio::test]
async fn the_api_is_what_it_says_of_itself() {
    let bench = bench(|_, _| {}).await;
    let document = bench.get("/openapi.json").await.body;
    assert_eq!(document, openapi::document());
    let described: BTreeSet<&str> = document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    let routed: BTreeSet<&str> = paths().into_iter().map(|(path, _)| path).collect();
    assert_eq!(described, routed);
    let validator = |schema: &Value| {
        let mut schema = schema.clone();
        schema["components"] = document["components"].clone();
        jsonschema::validator_for(&schema).expect("a schema")
    };
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let url = path.replace("{cluster}", "prod").replace("{id}", "none").replace("{name}", "none");
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let operation = &methods[method.as_str().to_lowercase()];
            let body = if method == Method::POST { "{}" } else { "" };
            let answer = bench.ask(method.as_str(), &url, &[], body).await;
            if operation.is_null() {
                assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path} is not described");
                continue;
            }
            let status = answer.status.to_string();
            let content = operation["responses"][&status]["content"].as_object();
            let content = content.unwrap_or_else(|| panic!("{method} {path}: {status} is not described"));
            let kind = answer.headers[header::CONTENT_TYPE].to_str().expect("text").split(';').next().expect("a part");
            let schema = &content[kind]["schema"];
            if kind != "text/plain" {
                let found: Vec<String> =
                    validator(schema).iter_errors(&answer.body).map(|error| error.to_string()).collect();
                assert!(found.is_empty(), "{method} {path}: {found:?}\n{}", answer.body);
            }
        }
    }
    let job = bench.back_up(r#"{ "topic": "a", "groups": ["g"] }"#).await.body;
    let schema =
        &document["paths"]["/api/jobs/{id}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    let found: Vec<String> = validator(schema).iter_errors(&job).map(|error| error.to_string()).collect();
    assert!(found.is_empty(), "{found:?}\n{job}");
    let ids: Vec<&Value> = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|methods| methods.as_object().expect("methods").values().map(|operation| &operation["operationId"]))
        .collect();
    assert_eq!(
        ids.iter().map(|id| id.to_string()).collect::<BTreeSet<_>>().len(),
        ids.len(),
        "names of operations are theirs alone"
    );
}

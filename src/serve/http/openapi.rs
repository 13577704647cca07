//! The description of the API: OpenAPI 3.1, made of the types that requests and answers are.

use super::backups::BackupList;
use super::events::EventQuery;
use super::health::Health;
use super::jobs::{ClusterList, JobList, JobQuery};
use super::observe::Asking;
use crate::serve::archives::ArchiveEntry;
use crate::serve::jobs::Job;
use crate::serve::problem::HttpProblem;
use crate::serve::tokens::TokenScope;
use crate::serve::work::{BackupAsked, DrainAsked, MigrateAsked, RestoreAsked, VerifyAsked};
use axum::Json;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Where the schemas lie.
const SCHEMAS: &str = "/components/schemas";

pub(super) async fn show(asking: Asking) -> Result<Json<Value>, HttpProblem> {
    asking.may(&TokenScope::ALL)?;
    Ok(Json(document()))
}

/// The media type of an answer, and its schema.
type Content = Option<(&'static str, Value)>;

/// An operation, as far as it differs from others.
struct Operation {
    id: &'static str,
    about: &'static str,
    scope: &'static str,
    /// The parameters in the path and the query.
    parameters: Vec<Value>,
    body: Option<Value>,
    /// What is answered where it is done: status, words, content.
    answers: Vec<(u16, &'static str, Content)>,
    /// The statuses of the problems that it may answer with, beside those that everything may.
    problems: &'static [u16],
}

/// The whole description.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<HttpProblem>().to_value();
    let paths = paths(&mut generator, &problem);
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "kscen serve",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Backups of Kafka's topics, their restores and verifications, migrations between clusters and drains of queues, as jobs. Times are in ms since the epoch, sizes in bytes.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "token": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "Where the service has tokens." },
            },
        },
    })
}

fn paths(generator: &mut SchemaGenerator, problem: &Value) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let mut add = |path: &str, method: &str, operation: Operation| {
        let methods = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
        methods[method] = operation.described(problem);
    };
    for (path, operation) in submissions(generator) {
        add(path, "post", operation);
    }
    for (path, method, operation) in jobs(generator).into_iter().chain(archives(generator)).chain(others(generator)) {
        add(path, method, operation);
    }
    Value::Object(paths)
}

fn submissions(generator: &mut SchemaGenerator) -> Vec<(&'static str, Operation)> {
    let job = schema::<Job>(generator);
    let header = |name: &str, about: &str| json!({ "name": name, "in": "header", "description": about, "schema": { "type": "string" } });
    let parameters = || {
        vec![
            in_path("cluster", "The cluster: an environment of `kscen.yaml`."),
            header("Idempotency-Key", "By what the same request is known again for 24 hours."),
            header("Prefer", "`wait=N`: the answer comes when the job is over, or after N seconds, at most 300."),
        ]
    };
    let operation = |id, about, scope, body| Operation {
        id,
        about,
        scope,
        parameters: parameters(),
        body: Some(body),
        answers: vec![
            (202, "The job waits or is at work; `Location` is where to look.", Some((JSON, job.clone()))),
            (200, "The job is over.", Some((JSON, job.clone()))),
        ],
        problems: &[404, 408, 409, 413, 415, 422, 429, 503],
    };
    vec![
        (
            "/api/kafka/clusters/{cluster}/backup",
            operation("backup", "Backs topics up.", "backup", schema::<BackupAsked>(generator)),
        ),
        (
            "/api/kafka/clusters/{cluster}/restore",
            operation("restore", "Restores topics from an archive.", "restore", schema::<RestoreAsked>(generator)),
        ),
        (
            "/api/kafka/clusters/{cluster}/verify",
            operation(
                "verify",
                "Verifies an archive, or what was restored from it.",
                "backup or restore",
                schema::<VerifyAsked>(generator),
            ),
        ),
        (
            "/api/kafka/clusters/{cluster}/drain",
            operation(
                "drain",
                "Waits until a group has read its queue, or moves what it has not read into another topic.",
                "backup and restore",
                schema::<DrainAsked>(generator),
            ),
        ),
        (
            "/api/kafka/migrate",
            // The body names both clusters.
            without_cluster(operation(
                "migrate",
                "Migrates topics from one cluster into another.",
                "backup and restore",
                schema::<MigrateAsked>(generator),
            )),
        ),
    ]
}

fn without_cluster(mut operation: Operation) -> Operation {
    operation.parameters.retain(|parameter| parameter["name"] != "cluster");
    operation
}

type Place = (&'static str, &'static str, Operation);

fn jobs(generator: &mut SchemaGenerator) -> Vec<Place> {
    let (job, list) = (schema::<Job>(generator), schema::<JobList>(generator));
    let id = || in_path("id", "The job.");
    let query = in_query::<JobQuery>(generator);
    let after = in_query::<EventQuery>(generator);
    let found = |id, about, parameters, answers, problems| Operation {
        id,
        about,
        scope: "read",
        parameters,
        body: None,
        answers,
        problems,
    };
    let one = |words, status| (status, words, Some((JSON, job.clone())));
    let events = vec![(200, "Events until the job is over.", Some(("text/event-stream", json!({ "type": "string" }))))];
    let follow = [vec![id()], after].concat();
    let cancel = Operation {
        scope: "that of the job's kind",
        ..found(
            "cancelJob",
            "Cancels a job.",
            vec![id()],
            vec![one("It is cancelled.", 200), one("It is at work, and asked to stop.", 202)],
            &[404, 409, 503],
        )
    };
    vec![
        (
            "/api/jobs",
            "get",
            found("listJobs", "Lists jobs, the newest first.", query, vec![(200, "Jobs.", Some((JSON, list)))], &[]),
        ),
        ("/api/jobs/{id}", "get", found("getJob", "Shows a job.", vec![id()], vec![one("The job.", 200)], &[404])),
        ("/api/jobs/{id}", "delete", cancel),
        (
            "/api/jobs/{id}/events",
            "get",
            found(
                "followJob",
                "What happens in a job: `state` with the job, `progress`, and what the library tells. `Last-Event-ID` goes on after an event.",
                follow,
                events,
                &[404],
            ),
        ),
    ]
}

fn archives(generator: &mut SchemaGenerator) -> Vec<Place> {
    let (entry, list) = (schema::<ArchiveEntry>(generator), schema::<BackupList>(generator));
    let name = || vec![in_path("name", "The archive.")];
    let operation = |id, about, scope, parameters, answers, problems| Operation {
        id,
        about,
        scope,
        parameters,
        body: None,
        answers,
        problems,
    };
    vec![
        (
            "/api/backups",
            "get",
            operation(
                "listBackups",
                "Lists archives.",
                "read",
                vec![],
                vec![(200, "Archives.", Some((JSON, list)))],
                &[503],
            ),
        ),
        (
            "/api/backups/{name}",
            "get",
            operation(
                "getBackup",
                "Shows an archive.",
                "read",
                name(),
                vec![(200, "The archive.", Some((JSON, entry)))],
                &[404, 503],
            ),
        ),
        (
            "/api/backups/{name}",
            "delete",
            operation(
                "deleteBackup",
                "Deletes an archive.",
                "delete",
                name(),
                vec![(204, "It is gone.", None)],
                &[404, 409, 503],
            ),
        ),
    ]
}

fn others(generator: &mut SchemaGenerator) -> Vec<Place> {
    let (health, clusters) = (schema::<Health>(generator), schema::<ClusterList>(generator));
    let operation = |id, about, scope, answer: (&'static str, Content), problems| Operation {
        id,
        about,
        scope,
        parameters: vec![],
        body: None,
        answers: vec![(200, answer.0, answer.1)],
        problems,
    };
    let text = || json!({ "type": "string" });
    vec![
        (
            "/api/kafka/clusters",
            "get",
            operation("listClusters", "Lists clusters.", "any", ("Clusters.", Some((JSON, clusters))), &[]),
        ),
        (
            "/healthz",
            "get",
            operation("health", "Whether it lives.", "none", ("It lives.", Some((JSON, health.clone()))), &[]),
        ),
        (
            "/readyz",
            "get",
            operation("ready", "Whether it works.", "none", ("It works.", Some((JSON, health))), &[503]),
        ),
        (
            "/metrics",
            "get",
            operation("metrics", "Figures for Prometheus.", "read", ("Figures.", Some(("text/plain", text()))), &[]),
        ),
        (
            "/openapi.json",
            "get",
            operation("describe", "This description.", "any", ("It.", Some((JSON, json!({ "type": "object" })))), &[]),
        ),
    ]
}

const JSON: &str = "application/json";

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn in_path(name: &str, about: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "description": about, "schema": { "type": "string" } })
}

/// The fields of a query as parameters.
fn in_query<T: JsonSchema>(generator: &mut SchemaGenerator) -> Vec<Value> {
    let fields = T::json_schema(generator).to_value();
    let fields = fields.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let parameter = |(name, schema): (String, Value)| {
        let about = schema.get("description").cloned().unwrap_or_default();
        json!({ "name": name, "in": "query", "description": about, "schema": schema })
    };
    fields.into_iter().map(parameter).collect()
}

impl Operation {
    fn described(self, problem: &Value) -> Value {
        let mut responses: Map<String, Value> = Map::new();
        for (status, words, content) in self.answers {
            let mut response = json!({ "description": words });
            if let Some((kind, schema)) = content {
                response["content"] = json!({ kind: { "schema": schema } });
            }
            responses.insert(status.to_string(), response);
        }
        let always = [400, 401, 403, 500];
        for status in always.iter().chain(self.problems) {
            let title = axum::http::StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
            let content = json!({ "application/problem+json": { "schema": problem } });
            responses.insert(status.to_string(), json!({ "description": title, "content": content }));
        }
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.about,
            "description": format!("Scope of the token: {}.", self.scope),
            "parameters": self.parameters,
            "responses": responses,
        });
        if let Some(body) = self.body {
            operation["requestBody"] = json!({ "required": true, "content": { JSON: { "schema": body } } });
        }
        operation
    }
}

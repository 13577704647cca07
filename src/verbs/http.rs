//! The verb `http`.

use crate::environment::Grant;
use crate::ground::causes;
use crate::scenario::units::Length;
use crate::text::{Problem, short};
use crate::verb::{CheckContext, Scope, Step, StepContext, StepError, StepOutcome};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    #[default]
    Get,
    /// Creates or acts.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Deletes.
    Delete,
}

/// Sends a request and checks the answer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The URL.
    url: String,
    /// The method.
    #[serde(default)]
    method: Method,
    /// Request headers.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Request body: a text as it is, anything else as JSON.
    #[serde(default)]
    body: Option<Value>,
    /// Expected status; any 2xx where absent.
    #[serde(default)]
    status: Option<u16>,
    /// Expected values in a JSON answer, by JSON pointer: `/connector/state: RUNNING`.
    #[serde(default)]
    json: BTreeMap<String, Value>,
    /// A text that the answer must contain.
    #[serde(default)]
    contains: Option<String>,
    /// How long one answer may take.
    #[serde(default)]
    within: Option<Length>,
}

/// Longest answer that is read, in bytes.
const LONGEST: usize = 4 * 1024 * 1024;

impl Step for Http {
    const VERB: &'static str = "http";
    const MAY: &'static [Grant] = &[Grant::Http];
    const EXAMPLE: &'static str = "http: { url: \"http://127.0.0.1:8081/actuator/health\", status: 200, json: { /status: UP } }\nretry: { times: 10, every: 1s }";

    fn normalise(body: Value) -> Value {
        match body {
            Value::String(url) => json!({ "url": url }),
            other => other,
        }
    }

    fn short() -> Option<Value> {
        Some(json!({ "type": "string", "description": "A URL that answers with a 2xx status." }))
    }

    fn changes(&self, _: &Scope) -> Vec<Grant> {
        if self.method == Method::Get { Vec::new() } else { vec![Grant::Http] }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        if !self.url.starts_with("http://") && !self.url.starts_with("https://") {
            cx.report(
                "/url",
                Problem::new("bad-url", format!("`{}` is not a URL", self.url))
                    .help("it starts with http:// or https://"),
            );
        }
        for pointer in self.json.keys() {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                cx.report(
                    "/json",
                    Problem::new("bad-pointer", format!("`{pointer}` is not a JSON pointer"))
                        .help("it starts with `/`"),
                );
            }
        }
        if self.body.is_some() && self.method == Method::Get {
            cx.report("/body", Problem::new("body-of-get", "a GET request has no body").help("add `method: POST`"));
        }
    }

    fn describe(&self) -> String {
        let method = format!("{:?}", self.method).to_uppercase();
        format!("{method} {}", self.url)
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let patience = self.within.map_or(Duration::from_secs(30), |within| within.0);
        let request = self.answer(patience);
        let (status, text) = cx.unless_stopped(request).await??;
        self.judge(status, &text)
    }
}

impl Http {
    async fn answer(&self, patience: Duration) -> Result<(u16, String), StepError> {
        let broken = |error: reqwest::Error| {
            // reqwest hides the causes, which are what a person needs to know.
            StepError::broken("http", causes(&error)).because(error).at("/url")
        };
        let client = reqwest::Client::builder().timeout(patience).build().map_err(broken)?;
        let method = match self.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut request = client.request(method, &self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request = match &self.body {
            None => request,
            Some(Value::String(text)) => request.body(text.clone()),
            Some(body) => request.json(body),
        };
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                return Err(StepError::broken("http", "the answer is longer than 4 MiB"));
            }
        }
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    fn judge(&self, status: u16, text: &str) -> Result<StepOutcome, StepError> {
        let excerpt = short(text, 500);
        let stated = self.status.is_some() || self.contains.is_some() || !self.json.is_empty();
        let outcome = StepOutcome::default().judged(stated).details(json!({ "status": status, "body": excerpt }));
        let expected = match self.status {
            Some(expected) => status == expected,
            None => (200..300).contains(&status),
        };
        if !expected {
            let wanted = self.status.map_or_else(|| "2xx".to_owned(), |status| status.to_string());
            return Err(StepError::check("http-status", format!("expected status {wanted}, got {status}: {excerpt}"))
                .at(if self.status.is_some() { "/status" } else { "/url" })
                .after(outcome));
        }
        if let Some(wanted) = &self.contains
            && !text.contains(wanted)
        {
            return Err(StepError::check("http-body", format!("the answer does not contain `{wanted}`: {excerpt}"))
                .at("/contains")
                .after(outcome));
        }
        if self.json.is_empty() {
            return Ok(outcome);
        }
        let answer: Value = serde_json::from_str(text)
            .map_err(|error| StepError::check("http-body", format!("the answer is not JSON: {error}")).at("/json"))
            .map_err(|error| error.after(outcome.clone()))?;
        for (pointer, wanted) in &self.json {
            let found = answer.pointer(pointer);
            if found != Some(wanted) {
                let found = found.map_or_else(|| "nothing".to_owned(), |found| short(&found.to_string(), 500));
                let escaped = pointer.replace('~', "~0").replace('/', "~1");
                return Err(StepError::check("http-body", format!("expected {wanted} at `{pointer}`, found {found}"))
                    .at(format!("/json/{escaped}"))
                    .after(outcome));
            }
        }
        Ok(outcome)
    }
}

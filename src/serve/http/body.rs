//! The body of a request.

use crate::serve::clusters::shown;
use crate::serve::problem::HttpProblem;
use crate::text::did_you_mean;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// The most bytes of a body.
pub(super) const MOST: usize = 64 << 10;
/// How long one may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// A body that is too long is read on for so long, and not kept: who is still sending does not hear the answer.
const FAREWELL: Duration = Duration::from_secs(2);

/// Reads the JSON body of a request.
///
/// # Errors
/// It is no JSON by its type (415), too long (413), too slow (408), or cut (400).
pub(in crate::serve) async fn read(request: Request) -> Result<Vec<u8>, HttpProblem> {
    if !is_json(request.headers()) {
        // What a page of somebody else can send without being asked first is of another type.
        let problem =
            HttpProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "the body is not said to be JSON");
        return Err(problem.help("send `Content-Type: application/json`"));
    }
    let too_long = || {
        let detail = format!("the body is longer than {} KiB", MOST >> 10);
        HttpProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    };
    let claimed = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if claimed.is_some_and(|length: u64| length > MOST as u64) && request.headers().contains_key(header::EXPECT) {
        // It waits to be told, and is told no.
        return Err(too_long());
    }
    let all = async {
        let mut bytes = Vec::new();
        let mut parts = request.into_body().into_data_stream();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|_| HttpProblem::bad("cut", "the body did not arrive as a whole"))?;
            if bytes.len() + part.len() > MOST {
                let rest = async { while let Some(Ok(_)) = parts.next().await {} };
                // What does not come in time is not waited for.
                let _ = tokio::time::timeout(FAREWELL, rest).await;
                return Err(too_long());
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    };
    let late = |_| {
        let detail = format!("the body did not arrive within {} seconds", PATIENCE.as_secs());
        HttpProblem::new(StatusCode::REQUEST_TIMEOUT, "slow", detail)
    };
    tokio::time::timeout(PATIENCE, all).await.map_err(late)?
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// Decodes a body.
///
/// # Errors
/// It is no JSON, or not what is wanted: where, and what was probably meant. 400.
pub(super) fn decode<T: DeserializeOwned + JsonSchema>(bytes: &[u8]) -> Result<T, HttpProblem> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| HttpProblem::bad("bad-json", error.to_string()))?;
    let Some(object) = value.as_object() else {
        return Err(HttpProblem::bad("bad-json", "the body is not an object").help("send `{ … }`"));
    };
    let schema = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
    let known: Vec<&str> = schema
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    if let Some(unknown) = object.keys().find(|key| !known.contains(&key.as_str())) {
        let problem = HttpProblem::bad("unknown-field", format!("there is no field `{}`", shown(unknown)));
        return Err(match did_you_mean(unknown, known.iter().copied()) {
            Some(similar) => problem.help(format!("did you mean `{similar}`?")),
            None => problem.help(format!("there are `{}`", known.join("`, `"))),
        });
    }
    // Of the text itself, so that a field that stands twice is one too many.
    let mut text = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut text).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { String::new() } else { format!("`{}`: ", shown(&path)) };
        HttpProblem::bad("bad-value", format!("{place}{}", error.inner()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::work::{BackupAsked, RestoreAsked};

    #[test]
    fn what_is_wrong_with_a_body_is_told_with_its_place() {
        let refused = |body: &str| {
            let problem = decode::<BackupAsked>(body.as_bytes()).expect_err(body);
            assert_eq!(problem.status, 400, "{body}");
            format!("{}; {}", problem.detail, problem.help.unwrap_or_default())
        };
        assert_eq!(
            refused(r#"{ "topic": "a", "compresion": "gzip" }"#),
            "there is no field `compresion`; did you mean `compression`?"
        );
        assert!(refused(r#"{ "topic": "a", "xyzzy": 1 }"#).contains("there are `"));
        assert!(refused(r#"{ "topic": "a", "max_messages": -1 }"#).starts_with("`max_messages`: invalid value"));
        assert!(refused(r#"{ "topic": ["a"] }"#).starts_with("`topic`: invalid type"));
        assert!(refused(r#"{ "topic": "a", "topic": "b" }"#).contains("duplicate field `topic`"));
        assert!(refused("{").contains("EOF"));
        assert!(refused("[]").contains("not an object"));
        assert!(refused(&"[".repeat(10_000)).contains("recursion"));
        let problem = decode::<RestoreAsked>(b"{}").expect_err("no archive");
        assert!(problem.detail.contains("missing field `archive`"), "{}", problem.detail);
    }
}

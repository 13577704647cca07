//! The credentials of an environment in `kscen.yaml`, which nothing may show.

use crate::environment::Endpoints;
use crate::text::{Redactor, is_credential};
use serde_json::Value;

/// Words that kscen itself writes everywhere: as a password they are hidden only where a password stands.
const ORDINARY: [&str; 10] =
    ["kafka", "connect", "postgres", "debezium", "zookeeper", "kafka-ui", "docker", "local", "password", "secret"];
/// Shorter values stand in every text.
const TELLING: usize = 4;

/// Hides the credentials of environments, wherever they stand in what `kscen.yaml` says of them. What still has references in it where `raw`
/// is no credential.
pub(super) fn redactor<'a>(
    resolved: impl Iterator<Item = &'a Value>,
    raw: impl Iterator<Item = &'a Value>,
) -> Redactor {
    let mut found = Vec::new();
    raw.for_each(|entry| of_entry(entry, &mut found));
    found.retain(|(_, value)| !value.contains("${"));
    resolved.for_each(|entry| of_entry(entry, &mut found));
    found.sort_unstable();
    found.dedup();
    hidden(Redactor::default(), found)
}

/// Whatever kind of environment it is, and however deep it lies.
fn of_entry(entry: &Value, found: &mut Vec<(String, String)>) {
    match entry {
        Value::Object(fields) => {
            for (name, value) in fields {
                if is_credential(name) {
                    of_credential(name, value, found);
                }
                of_entry(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| of_entry(item, found)),
        Value::String(text) if text.contains("://") || text.contains("password=") => of_url(text, found),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// What is called like a credential holds one, unless it is a switch, or a number of tokens.
fn of_credential(name: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => fields.values().for_each(|value| of_credential(name, value, found)),
        Value::Array(items) => items.iter().for_each(|item| of_credential(name, item, found)),
        Value::Bool(_) | Value::Null => {}
        Value::String(_) | Value::Number(_) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if text.parse::<f64>().is_err() || !name.to_ascii_lowercase().contains("token") {
                of_properties(value, found);
                found.push((String::new(), text));
            }
        }
    }
}

/// Hides also the credentials in the addresses of what was started or found.
pub fn hide_addresses(redactor: Redactor, endpoints: &Endpoints) -> Redactor {
    let mut found = Vec::new();
    for url in [&endpoints.connect, &endpoints.postgres, &endpoints.kafka_ui].into_iter().flatten() {
        of_url(url, &mut found);
    }
    hidden(redactor, found)
}

pub(super) fn hidden(redactor: Redactor, found: Vec<(String, String)>) -> Redactor {
    let ordinary = |(user, value): &(String, String)| {
        user == value || value.len() < TELLING || ORDINARY.contains(&value.to_lowercase().as_str())
    };
    let (weak, strong): (Vec<_>, Vec<_>) = found.into_iter().partition(ordinary);
    redactor
        .and(strong.iter().map(|(_, value)| value.as_str()))
        .and_passwords(weak.iter().map(|(_, value)| value.as_str()))
}

/// The user and the password of a URL, as it is written and as it is meant, and what its query says.
pub(super) fn of_url(url: &str, found: &mut Vec<(String, String)>) {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    // A password may hold question marks, although it should not: then it goes on up to the last `@`.
    if let Some((user, password)) = authority.rsplit_once('@').and_then(|(credentials, _)| credentials.split_once(':'))
        && password.contains('?')
        && !user.contains('/')
    {
        found.push((user.to_owned(), password.to_owned()));
    }
    let (authority, query) = authority.split_once('?').unwrap_or((authority, ""));
    let credentials = authority.rsplit_once('@').map(|(credentials, _)| credentials);
    // Of HTTP a single word before the host is a token; of PostgreSQL it is the user.
    let web = ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
    if let Some(token) = credentials.filter(|credentials| web && !credentials.contains([':', '/'])) {
        found.push((String::new(), token.to_owned()));
        found.push((String::new(), decoded(token)));
    }
    if let Some((user, password)) = credentials.and_then(|credentials| credentials.split_once(':')) {
        found.push((user.to_owned(), password.to_owned()));
        if let Ok(parsed) = reqwest::Url::parse(&format!("http://{user}:{password}@host/"))
            && let Some(encoded) = parsed.password()
        {
            found.push((user.to_owned(), decoded(encoded)));
        }
    }
    let pairs = reqwest::Url::parse(&format!("http://host/?{query}")).ok();
    let pairs = pairs.iter().flat_map(|url| url.query_pairs());
    for (_, value) in pairs.filter(|(name, _)| is_credential(name)) {
        found.push((String::new(), value.into_owned()));
    }
    // The other form of PostgreSQL's addresses: `host=… password=…`.
    for word in url.split_whitespace() {
        if let Some(password) = word.strip_prefix("password=") {
            found.push((String::new(), password.trim_matches('\'').to_owned()));
        }
    }
}

fn decoded(encoded: &str) -> String {
    let query = encoded.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let url = reqwest::Url::parse(&format!("http://host/?v={query}")).ok();
    url.and_then(|url| url.query_pairs().next().map(|(_, value)| value.into_owned()))
        .unwrap_or_else(|| encoded.to_owned())
}

/// What a JAAS line or an OAUTHBEARER configuration holds: `password="…"`.
fn of_properties(value: &Value, found: &mut Vec<(String, String)>) {
    for word in value.as_str().unwrap_or_default().split([' ', ',', ';']) {
        if let Some((name, value)) = word.split_once('=')
            && is_credential(name)
        {
            found.push((String::new(), value.trim_matches(['"', '\'']).to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_credential_of_an_environment_is_hidden() {
        let entry = serde_json::json!({
            "kafka": { "bootstrap": "b:9092", "config": {
                "sasl.username": "anna", "sasl.password": "one-pass", "ssl.key.password": "two-pass",
                "sasl.jaas.config": "PlainLoginModule required username=\"anna\" password=\"three-pass\";",
                "ssl.key.pem": "-----BEGIN KEY-----\nFOURFOURFOUR\n-----END KEY-----"
            } },
            "connect": { "url": "http://anna:fi%2Fve-pass@connect:8083" },
            "kafka_ui": { "url": "http://seven%2Dpass@ui:8080/?access_token=six-pass" },
            "postgres": { "url": "postgres://postgres:postgres@postgres:5432/app" },
            "vars": {
                "api_token": "eight-pass", "max_tokens": "4000", "topic": "orders",
                "nested": { "deep": [{ "passwd": "nine-pass" }], "feed": "https://feed/?apikey=ten-pass" },
                "db_pw": "eleven-pass", "dsn": "host=db password=twelve-pass"
            },
            "local": { "kafka": "4.0", "config": { "ssl.keystore.password": "thirteen-pass", "ssl.key.password": 14_141_414 } },
            "remote": { "url": "postgres://u:four?teen-pass@db/app" }
        });
        let redactor = redactor([&entry].into_iter(), [].into_iter());
        let text = "anna one-pass two-pass three-pass FOURFOURFOUR fi/ve-pass fi%2Fve-pass six-pass seven-pass eight-pass 4000 orders";
        assert_eq!(redactor.text(text), "anna *** *** *** *** *** *** *** *** *** 4000 orders");
        for password in [
            "nine-pass",
            "ten-pass",
            "eleven-pass",
            "twelve-pass",
            "thirteen-pass",
            "14141414",
            "postgres://u:four?teen-pass@db/app",
        ] {
            let shown = redactor.text(password);
            assert!(!shown.contains("pass") && shown.contains("***"), "{password}: {shown}");
        }
        let url = "postgres postgres://postgres:postgres@p";
        assert_eq!(redactor.text(url), "postgres postgres://postgres:***@p");
    }
}

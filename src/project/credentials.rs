//! The credentials of an environment in `kscen.yaml`, which nothing may show.

use super::environments::Common;
use crate::environment::Endpoints;
use crate::text::Redactor;
use serde_json::Value;

/// Parts of the names of client properties that hold a credential.
pub(super) const MARKS: [&str; 8] =
    ["password", "secret", "token", "jaas", "credential", "passphrase", "key.pem", "oauthbearer.config"];
/// Words that kscen itself writes everywhere: as a password they are hidden only where a password stands.
const ORDINARY: [&str; 10] =
    ["kafka", "connect", "postgres", "debezium", "zookeeper", "kafka-ui", "docker", "local", "password", "secret"];
/// Shorter values stand in every text.
const TELLING: usize = 4;

/// Hides the credentials of environments, wherever they stand. What still has references in it where `raw` is no credential.
pub(super) fn redactor<'a>(
    resolved: impl Iterator<Item = &'a Common>,
    raw: impl Iterator<Item = &'a Common>,
) -> Redactor {
    let mut found = Vec::new();
    raw.for_each(|entry| of_entry(entry, &mut found));
    found.retain(|(_, value)| !value.contains("${"));
    resolved.for_each(|entry| of_entry(entry, &mut found));
    found.sort_unstable();
    found.dedup();
    hidden(Redactor::default(), found)
}

fn of_entry(entry: &Common, found: &mut Vec<(String, String)>) {
    for address in [&entry.connect, &entry.postgres, &entry.kafka_ui].into_iter().flatten() {
        of_url(&address.url, found);
    }
    if let Some(kafka) = &entry.kafka {
        for (name, value) in &kafka.config {
            if MARKS.iter().any(|mark| name.contains(mark)) {
                found.push((String::new(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
                of_properties(value, found);
            }
        }
    }
    // A variable that is called like a credential holds one, unless its value is a number or a switch.
    for (name, value) in &entry.vars {
        let small = name.to_ascii_lowercase();
        if let Value::String(value) = value
            && MARKS.iter().any(|mark| small.contains(mark))
            && value.parse::<f64>().is_err()
        {
            found.push((String::new(), value.clone()));
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
    for (_, value) in pairs.filter(|(name, _)| MARKS.iter().any(|mark| name.to_lowercase().contains(mark))) {
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
            && MARKS.iter().any(|mark| name.to_lowercase().contains(mark))
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
        let entry: Common = serde_json::from_value(serde_json::json!({
            "kafka": { "bootstrap": "b:9092", "config": {
                "sasl.username": "anna", "sasl.password": "one-pass", "ssl.key.password": "two-pass",
                "sasl.jaas.config": "PlainLoginModule required username=\"anna\" password=\"three-pass\";",
                "ssl.key.pem": "-----BEGIN KEY-----\nFOURFOURFOUR\n-----END KEY-----"
            } },
            "connect": { "url": "http://anna:fi%2Fve-pass@connect:8083" },
            "kafka_ui": { "url": "http://seven%2Dpass@ui:8080/?access_token=six-pass" },
            "postgres": { "url": "postgres://postgres:postgres@postgres:5432/app" },
            "vars": { "api_token": "eight-pass", "max_tokens": "4000", "topic": "orders" }
        }))
        .expect("an entry");
        let redactor = redactor([&entry].into_iter(), [].into_iter());
        let text = "anna one-pass two-pass three-pass FOURFOURFOUR fi/ve-pass fi%2Fve-pass six-pass seven-pass eight-pass 4000 orders";
        assert_eq!(redactor.text(text), "anna *** *** *** *** *** *** *** *** *** 4000 orders");
        let url = "postgres postgres://postgres:postgres@p";
        assert_eq!(redactor.text(url), "postgres postgres://postgres:***@p");
    }
}

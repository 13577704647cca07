//! The credentials of an environment in `kscen.yaml`, which nothing may show.

use super::environments::Common;
use crate::environment::Endpoints;
use crate::text::Redactor;
use serde_json::Value;

/// Parts of the names of client properties that hold a credential.
const MARKS: [&str; 8] =
    ["password", "secret", "token", "jaas", "credential", "passphrase", "key.pem", "oauthbearer.config"];
/// Words that kscen itself writes everywhere: as a password they are hidden only where a password stands.
const ORDINARY: [&str; 10] =
    ["kafka", "connect", "postgres", "debezium", "zookeeper", "kafka-ui", "docker", "local", "password", "secret"];
/// Shorter values stand in every text.
const TELLING: usize = 4;

/// Hides an environment's credentials and the scenario's secrets, wherever they stand.
pub(super) fn redactor(entry: &Common) -> Redactor {
    let mut found = Vec::new();
    for address in [&entry.connect, &entry.postgres, &entry.kafka_ui].into_iter().flatten() {
        of_url(&address.url, &mut found);
    }
    if let Some(kafka) = &entry.kafka {
        for (name, value) in &kafka.config {
            if MARKS.iter().any(|mark| name.contains(mark)) {
                found.push((String::new(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
                of_properties(value, &mut found);
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
    hidden(Redactor::default(), found)
}

/// Hides what looks like a credential in the text of a project file, which cannot be read or is wrong: the line that is shown of it may
/// hold one.
pub(super) fn of_document(text: &str) -> Redactor {
    let mut found = Vec::new();
    let mut key = false;
    for line in text.lines() {
        key |= line.contains("-----BEGIN");
        if key {
            found.push((String::new(), line.trim().to_owned()));
        }
        key &= !line.contains("-----END");
        let apart = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '{' | '}');
        line.split(apart).filter(|word| word.contains("://")).for_each(|word| of_url(word, &mut found));
        let small = line.to_ascii_lowercase();
        for mark in MARKS {
            found.extend(small.match_indices(mark).filter_map(|(at, _)| value_behind(&line[at + mark.len()..])));
        }
    }
    found.retain(|(_, value)| !value.starts_with("${"));
    hidden(Redactor::default(), found)
}

/// The value of the key whose name these characters end.
fn value_behind(rest: &str) -> Option<(String, String)> {
    let rest =
        rest.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '"' | '\'' | ' '));
    let rest = rest.strip_prefix([':', '='])?.trim_start();
    let value = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest[1..].split(quote).next()?,
        _ => rest.split([',', '}', ';', ' ', '#']).next()?,
    };
    (!value.is_empty()).then(|| (String::new(), value.to_owned()))
}

/// Hides also the credentials in the addresses of what was started or found.
pub fn hide_addresses(redactor: Redactor, endpoints: &Endpoints) -> Redactor {
    let mut found = Vec::new();
    for url in [&endpoints.connect, &endpoints.postgres, &endpoints.kafka_ui].into_iter().flatten() {
        of_url(url, &mut found);
    }
    hidden(redactor, found)
}

fn hidden(redactor: Redactor, found: Vec<(String, String)>) -> Redactor {
    let ordinary = |(user, value): &(String, String)| {
        user == value || value.len() < TELLING || ORDINARY.contains(&value.to_lowercase().as_str())
    };
    let (weak, strong): (Vec<_>, Vec<_>) = found.into_iter().partition(ordinary);
    redactor
        .and(strong.iter().map(|(_, value)| value.as_str()))
        .and_passwords(weak.iter().map(|(_, value)| value.as_str()))
}

/// The user and the password of a URL, as it is written and as it is meant, and what its query says.
fn of_url(url: &str, found: &mut Vec<(String, String)>) {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, query) = authority.split_once('?').unwrap_or((authority, ""));
    if let Some((credentials, _)) = authority.rsplit_once('@')
        && let Some((user, password)) = credentials.split_once(':')
    {
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
            "kafka_ui": { "url": "http://ui:8080/?access_token=six-pass" },
            "postgres": { "url": "postgres://postgres:postgres@postgres:5432/app" },
            "vars": { "api_token": "seven-pass", "max_tokens": "4000", "topic": "orders" }
        }))
        .expect("an entry");
        let redactor = redactor(&entry);
        let text = "anna one-pass two-pass three-pass FOURFOURFOUR fi/ve-pass fi%2Fve-pass six-pass postgres postgres://postgres:postgres@p seven-pass 4000 orders";
        assert_eq!(
            redactor.text(text),
            "anna *** *** *** *** *** *** *** postgres postgres://postgres:***@p *** 4000 orders"
        );
    }

    #[test]
    fn the_text_of_a_project_file_that_is_wrong_shows_no_credential() {
        for line in [
            "postgres: { url: 'postgres://app:one-pass@host/app', urll: x }",
            "sasl.password: one-pass",
            "    \"ssl.key.password\" : \"one-pass\", x: y }",
            "config: { sasl.password: one-pass, y: [",
            "sasl.jaas.config: 'Login required username=\"anna\" password=\"one-pass\";'",
            "  api_token='one-pass'",
            "-----BEGIN KEY-----\none-pass\n-----END KEY-----",
        ] {
            let shown = of_document(line).text(line).into_owned();
            assert!(!shown.contains("one-pass"), "{shown}");
        }
        let reference = "sasl.password: ${env.PASSWORD}";
        assert_eq!(of_document(reference).text(reference), reference);
    }
}

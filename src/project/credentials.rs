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
        Value::String(text) if text.contains("://") || !passwords(text).is_empty() => of_url(text, found),
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
    found.extend(passwords(url).into_iter().map(|password| (String::new(), password)));
}

/// What the other form of PostgreSQL's addresses has as passwords: `host=… password = 'a word'`.
fn passwords(address: &str) -> Vec<String> {
    if address.contains("://") {
        let words = address.split_whitespace().filter_map(|word| word.strip_prefix("password="));
        return words.map(|password| password.trim_matches(['"', '\'']).to_owned()).collect();
    }
    let all = assignments(address, char::is_whitespace).into_iter();
    all.filter(|(name, _)| *name == "password").map(|(_, value)| value).collect()
}

/// Names and the values that are given to them, which end with one of these letters, or with a quotation mark: as they are written, and as they are
/// meant, where that is something else.
fn assignments(text: &str, ends: fn(char) -> bool) -> Vec<(&str, String)> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(equals) = text[at..].find('=').map(|equals| at + equals) {
        let name = text[at..equals].trim_end().rsplit(|c: char| !is_part(c)).next().unwrap_or_default();
        let rest = text[equals + 1..].trim_start();
        let (meant, length) = assigned(rest, ends);
        let written = rest[..length].trim_matches(['"', '\'']);
        if written != meant {
            found.push((name, written.to_owned()));
        }
        found.push((name, meant));
        // Behind a blank it may as well be the next name, of a value that is empty.
        let may_be_next = rest.len() < text.len() - equals - 1 && !rest.starts_with(['"', '\'']);
        at = text.len() - rest.len() + if may_be_next { 0 } else { length };
    }
    found
}

/// The value that a text begins with, and how many bytes it takes. A backslash takes the letter behind it as it is.
fn assigned(text: &str, ends: fn(char) -> bool) -> (String, usize) {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices().skip(usize::from(quote.is_some())) {
        let is_end = quote.map_or_else(|| ends(c), |quote| c == quote);
        if is_end && !escaped {
            return (value, at + quote.map_or(0, char::len_utf8));
        }
        escaped = c == '\\' && !escaped;
        if !escaped {
            value.push(c);
        }
    }
    (value, text.len())
}

fn decoded(encoded: &str) -> String {
    let query = encoded.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let url = reqwest::Url::parse(&format!("http://host/?v={query}")).ok();
    url.and_then(|url| url.query_pairs().next().map(|(_, value)| value.into_owned()))
        .unwrap_or_else(|| encoded.to_owned())
}

/// What a JAAS line or an OAUTHBEARER configuration holds: `password="…"`.
fn of_properties(value: &Value, found: &mut Vec<(String, String)>) {
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ';');
    let all = assignments(value.as_str().unwrap_or_default(), ends).into_iter();
    found.extend(all.filter(|(name, _)| is_credential(name)).map(|(_, value)| (String::new(), value)));
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

    #[test]
    fn passwords_are_read_as_those_who_use_them_read_them() {
        let entry = serde_json::json!({
            "postgres": { "url": "host=db user=u password = 'my secret pass' dbname=app" },
            "kafka": { "config": {
                "sasl.jaas.config": "PlainLoginModule required username=\"anna\" password = \"two word pass\" ;",
                "sasl.oauthbearer.config": "principal=anna,clientSecret=three-pass;scope=x"
            } },
            "vars": {
                "beside": "host=db password=fourth-pass application_name=https://ci/job/7",
                "empty": "scope= password=fifth-pass",
                "plain": "host=db password=it\\'s,pass;word port=5432", "quoted": "password='do not \\'tell\\'' host=db"
            }
        });
        let redactor = redactor([&entry].into_iter(), [].into_iter());
        for (secret, shown) in [
            ("my secret pass", "***"),
            ("two word pass", "***"),
            ("three-pass", "***"),
            ("fourth-pass", "***"),
            ("fifth-pass", "***"),
            ("it's,pass;word", "***"),
            ("it\\'s,pass;word", "***"),
            ("do not 'tell'", "***"),
            ("db 5432 anna", "db 5432 anna"),
        ] {
            assert_eq!(redactor.text(&format!("said {secret} once")), format!("said {shown} once"));
        }
    }
}

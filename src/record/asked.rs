//! What a step was asked for, value by value, so that runs can be told apart by it.

use crate::text::is_credential;
use serde_json::Value;
use std::collections::BTreeMap;

/// The longest text that is kept as it is, in bytes. One is never cut: half a secret would not be found any more.
const LONGEST: usize = 300;
/// Values kept of a step.
const MOST: usize = 200;
/// Stands for what may be a credential that nobody has declared to be one.
const HIDDEN: &str = "[hidden]";

/// The values of a step's body by their places, such as `config.retention.ms`. Of a long text only its length and a sum are kept, and
/// so of all of a body with more than 200 values.
pub fn asked(body: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(body, String::new(), &mut found);
    if found.len() > MOST {
        return BTreeMap::from([(String::new(), sum(&body.to_string()))]);
    }
    found
}

fn collect(value: &Value, place: String, found: &mut BTreeMap<String, String>) {
    if found.len() > MOST {
        return;
    }
    let below = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                if is_credential(key) {
                    found.insert(below(key), HIDDEN.to_owned());
                } else {
                    collect(value, below(key), found);
                }
            }
        }
        // A word of a command may say what the next one is.
        Value::Array(items) if items.iter().any(|item| item.as_str().is_some_and(may_hold_credential)) => {
            found.insert(place, HIDDEN.to_owned());
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(index, item)| collect(item, below(&index.to_string()), found));
        }
        Value::String(text) => _ = found.insert(place, shown(text)),
        other => _ = found.insert(place, other.to_string()),
    }
}

fn shown(text: &str) -> String {
    match text {
        text if may_hold_credential(text) => HIDDEN.to_owned(),
        text if text.len() > LONGEST => sum(text),
        text => text.to_owned(),
    }
}

/// A statement, command or address that names a credential, or has a user before its host.
fn may_hold_credential(text: &str) -> bool {
    is_credential(text) || text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'))
}

fn sum(text: &str) -> String {
    format!("{} bytes, checksum {:08x}", text.len(), crc32fast::hash(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_place_and_none_is_cut() {
        let body = serde_json::json!({ "topic": "t", "config": { "linger.ms": 5 }, "keys": ["a", true], "none": {} });
        let found = asked(&body);
        let told: Vec<(&str, &str)> = found.iter().map(|(place, value)| (place.as_str(), value.as_str())).collect();
        let expected = [("config.linger.ms", "5"), ("keys.0", "a"), ("keys.1", "true"), ("none", "{}"), ("topic", "t")];
        assert_eq!(told, expected);
        let long = asked(&serde_json::json!({ "text": "s".repeat(301) }));
        assert!(long["text"].starts_with("301 bytes, checksum "), "{long:?}");
        assert_eq!(asked(&serde_json::json!("orders")), BTreeMap::from([(String::new(), "orders".to_owned())]));
        let secret = asked(&serde_json::json!({
            "config": { "sasl.password": "x" },
            "command": ["tool", "--password", "x"],
            "statement": "create user a password 'x'",
            "url": "http://a:x@host/",
            "headers": { "Authorization": { "Bearer": "x" } },
        }));
        assert!(secret.len() == 5 && secret.values().all(|value| value == HIDDEN), "{secret:?}");
        let many = asked(&Value::from((0..500).collect::<Vec<_>>()));
        assert_eq!(many.len(), 1, "{many:?}");
    }
}

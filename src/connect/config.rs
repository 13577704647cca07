//! A connector's configuration, and what of it must not be shown.

use super::{ConnectError, ConnectResult};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A connector's configuration: property to value, as Connect keeps it.
pub type ConnectorConfig = BTreeMap<String, String>;

/// Takes a configuration as people write it in JSON or YAML, where `tasks.max: 1` is a number. The shape of a file for
/// `POST /connectors`, `{"name": …, "config": {…}}`, is accepted too; its name then becomes the property `name`.
///
/// # Errors
/// [`ConnectError::Misuse`] naming the property whose value is a list or a map.
pub fn config_from_json(map: &Map<String, Value>) -> ConnectResult<ConnectorConfig> {
    if let Some(Value::Object(inner)) = map.get("config") {
        let mut config = config_from_json(inner)?;
        if let Some(Value::String(name)) = map.get("name") {
            config.insert("name".to_owned(), name.clone());
        }
        return Ok(config);
    }
    let mut config = ConnectorConfig::new();
    for (property, value) in map {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Null => continue,
            Value::Array(_) | Value::Object(_) => {
                return Err(ConnectError::Misuse {
                    message: format!(
                        "the connector property `{property}` is a list or a map; Connect takes one string, write a,b,c"
                    ),
                });
            }
        };
        config.insert(property.clone(), text);
    }
    Ok(config)
}

/// A text that two configurations share only where they are equal, and that tells nothing of either.
pub fn fingerprint(config: &ConnectorConfig) -> String {
    let mut sum = openssl::sha::Sha256::new();
    for part in config.iter().flat_map(|(name, value)| [name, value]) {
        sum.update(&part.len().to_le_bytes());
        sum.update(part.as_bytes());
    }
    sum.finish().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hides the secrets of a configuration, in the configuration itself and in any text that repeats them (traces, messages).
#[derive(Clone, Debug, Default)]
pub struct ConfigRedactor {
    secrets: Vec<String>,
}

const HIDDEN: &str = "********";

impl ConfigRedactor {
    /// Learns the secret values of `config`: those of properties whose name says so.
    pub fn of(config: &ConnectorConfig) -> Self {
        let mut secrets: Vec<String> = config
            .iter()
            .filter(|(name, value)| is_secret(name) && value.len() >= 4 && !value.starts_with("${"))
            .map(|(_, value)| value.clone())
            .collect();
        // Longest first: a secret may contain another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets }
    }

    /// `config` as it may be shown. References of a config provider (`${file:…}`) are not secret.
    pub fn config(config: &ConnectorConfig) -> ConnectorConfig {
        config
            .iter()
            .map(|(name, value)| {
                let hide = is_secret(name) && !value.starts_with("${");
                (name.clone(), if hide { HIDDEN.to_owned() } else { value.clone() })
            })
            .collect()
    }

    /// `text` without the secrets. Values below four characters are not searched for: they would hide innocent text.
    pub fn text(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
    }
}

fn is_secret(property: &str) -> bool {
    crate::text::is_credential(property)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_a_config_are_read() {
        let plain = serde_json::json!({"tasks.max": 1, "tombstones.on.delete": true, "a": "b", "n": null});
        let file = serde_json::json!({"name": "pg", "config": plain});
        let plain = config_from_json(plain.as_object().unwrap()).unwrap();
        assert_eq!(plain["tasks.max"], "1");
        assert_eq!(plain["tombstones.on.delete"], "true");
        assert!(!plain.contains_key("n"));
        assert_eq!(config_from_json(file.as_object().unwrap()).unwrap()["name"], "pg");
        let list = serde_json::json!({"transforms": ["a"]});
        assert!(config_from_json(list.as_object().unwrap()).unwrap_err().to_string().contains("`transforms`"));
    }

    #[test]
    fn secrets_are_hidden_wherever_they_appear() {
        let config = ConnectorConfig::from([
            ("database.password".to_owned(), "hunter22".to_owned()),
            ("database.user".to_owned(), "app".to_owned()),
            ("x.password".to_owned(), "${file:/s:p}".to_owned()),
        ]);
        let shown = ConfigRedactor::config(&config);
        assert_eq!(shown["database.password"], HIDDEN);
        assert_eq!(shown["database.user"], "app");
        assert_eq!(shown["x.password"], "${file:/s:p}");
        assert_eq!(ConfigRedactor::of(&config).text("bad password hunter22!"), "bad password ********!");
    }

    #[test]
    fn configurations_have_one_fingerprint_only_where_they_are_equal() {
        let config = |pairs: &[(&str, &str)]| -> ConnectorConfig {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let one = fingerprint(&config(&[("a", "b"), ("c", "hunter22")]));
        assert_eq!(one, fingerprint(&config(&[("c", "hunter22"), ("a", "b")])));
        assert!(one.len() == 64 && !one.contains("hunter22"));
        for other in [&[("a", "b")][..], &[("a", "bc"), ("", "hunter22")], &[("ab", ""), ("c", "hunter22")]] {
            assert_ne!(one, fingerprint(&config(other)));
        }
    }
}

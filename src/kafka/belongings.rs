//! Client properties that decide where a client logs in, and as whom: they belong to the environment.

use std::collections::BTreeMap;

/// Where a client connects, and whose code it loads: no step decides that.
const NEVER: [&str; 3] = ["bootstrap.servers", "metadata.broker.list", "plugin.library.paths"];

/// Whether a step may not set this property, given what the environment sets: a client that logs in with the environment's
/// credentials does so at the environment's brokers, by the environment's means.
pub fn is_of_environment(name: &str, connection: &BTreeMap<String, String>) -> bool {
    let name = name.trim().to_ascii_lowercase();
    NEVER.contains(&name.as_str()) || is_of_login(&name) && connection.keys().any(|name| is_of_login(name))
}

fn is_of_login(name: &str) -> bool {
    name == "security.protocol"
        || ["sasl.", "ssl.", "enable.ssl.", "enable.sasl.", "https."].iter().any(|prefix| name.starts_with(prefix))
        || ["callback", "oauthbearer"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_and_as_whom_a_client_logs_in_is_the_environments() {
        let plain = BTreeMap::from([("bootstrap.servers".to_owned(), "a:1".to_owned())]);
        let secured = BTreeMap::from([("sasl.username".to_owned(), "u".to_owned())]);
        for name in ["bootstrap.servers", " metadata.broker.list", "plugin.library.paths"] {
            assert!(is_of_environment(name, &plain) && is_of_environment(name, &secured), "{name}");
        }
        for name in [
            "security.protocol",
            "sasl.password",
            "SSL.ca.location",
            "enable.ssl.certificate.verification",
            "sasl.login.callback.handler.class",
            "oauthbearer_token_refresh_cb",
        ] {
            assert!(!is_of_environment(name, &plain) && is_of_environment(name, &secured), "{name}");
        }
        assert!(!is_of_environment("linger.ms", &secured));
    }
}

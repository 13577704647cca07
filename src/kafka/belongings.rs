//! Client properties that decide where a client logs in, and as whom: they belong to the environment.

use std::collections::BTreeMap;

/// Whether no step may set a property, and whether no file may.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Never {
    /// Where a client connects, and by whose means: the environment may say so.
    OfStep,
    /// The client loads or runs what it names as soon as it is set or looked at. No file that kscen reads decides that: scenarios and
    /// projects are looked at before anybody has said that they are trusted.
    RunsCode,
}

/// What no step decides.
const NEVER: [(&str, Never); 8] = [
    ("bootstrap.servers", Never::OfStep),
    ("metadata.broker.list", Never::OfStep),
    ("plugin.library.paths", Never::RunsCode),
    ("ssl.engine.location", Never::OfStep),
    ("ssl.engine.id", Never::OfStep),
    ("ssl_engine_callback_data", Never::OfStep),
    ("ssl.providers", Never::OfStep),
    ("sasl.kerberos.kinit.cmd", Never::RunsCode),
];

fn never(name: &str) -> Option<Never> {
    let name = name.trim().to_ascii_lowercase();
    NEVER.iter().find(|(never, _)| *never == name).map(|(_, why)| *why)
}

/// Whether the client loads or runs what this property names.
pub(super) fn runs_code(name: &str) -> bool {
    never(name) == Some(Never::RunsCode)
}

/// Whether no step may set this property, whatever the environment sets.
pub fn is_never_of_a_step(name: &str) -> bool {
    never(name).is_some()
}

/// Whether a step may not set this property, given what the environment sets: a client that logs in with the environment's
/// credentials does so at the environment's brokers, by the environment's means.
pub fn is_of_environment(name: &str, connection: &BTreeMap<String, String>) -> bool {
    let is_login = is_of_login(&name.trim().to_ascii_lowercase());
    is_never_of_a_step(name) || is_login && connection.keys().any(|name| is_of_login(name))
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
        for name in [
            "bootstrap.servers",
            " metadata.broker.list",
            "Plugin.library.paths",
            "ssl.engine.location",
            "ssl.providers",
        ] {
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

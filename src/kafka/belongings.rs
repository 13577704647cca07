//! Client properties that decide where a client logs in, and as whom: they belong to the environment. And those that name files.

use crate::ground::input::{self, InputError};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

/// Endings of properties that name a file: certificates, keys, key tables, assertions.
const FILES: [&str; 3] = [".location", ".file", ".keytab"];
/// Of such a file at most so many bytes are given to the client.
const LARGEST: u64 = 16 << 20;

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

/// The file that a property makes the client open, if it does.
pub fn file_of<'a>(name: &str, value: &'a str) -> Option<&'a Path> {
    let name = name.trim().to_ascii_lowercase();
    // `probe` stands for the places where systems have their certificates.
    let is_path = !value.is_empty() && (value != "probe" || !name.ends_with(".ca.location"));
    (is_path && FILES.iter().any(|ending| name.ends_with(ending))).then_some(Path::new(value))
}

/// Why the client is not given this file: it would wait for the writer of a pipe, and read a device without end.
pub(super) fn unfit(name: &str, file: &Path) -> Option<String> {
    match input::open(file, LARGEST) {
        Ok(_) => None,
        // Certificates may lie in a folder.
        Err(InputError::NotAFile(_)) if name.trim().ends_with(".ca.location") && file.is_dir() => None,
        // What is not there the client tells in its own words.
        Err(InputError::Io(error)) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => Some(format!("{}: {error}", file.display())),
    }
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
    fn only_files_are_given_to_a_client() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        std::fs::write(at("ca.pem"), "x").expect("a file");
        for name in ["ssl.ca.location", "SSL.key.location", "sasl.kerberos.keytab", "ssl.keystore.location"] {
            let refused = unfit(name, file_of(name, at("pipe").to_str().expect("text")).expect("a file"));
            assert!(refused.is_some_and(|why| why.contains("it is a pipe")), "{name}");
            assert_eq!((unfit(name, &at("ca.pem")), unfit(name, &at("nothing"))), (None, None), "{name}");
        }
        assert_eq!((file_of("ssl.ca.location", "probe"), file_of("client.id", "/dev/zero")), (None, None));
        assert!(
            unfit("ssl.ca.location", folder.path()).is_none() && unfit("ssl.key.location", folder.path()).is_some()
        );
        let mut settings = super::super::ClientSettings::new(super::super::ClientRole::Admin).expect("settings");
        assert!(settings.set("ssl.ca.location", "/dev/zero").is_err());
    }

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

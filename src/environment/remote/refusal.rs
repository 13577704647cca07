//! Why a cluster cannot be used, each reason in its own words.

use crate::environment::EnvironmentError;
use crate::ground::causes;
use crate::wire::{AdvertisedFault, WireError};
use std::io::ErrorKind;

/// Where the user says how the cluster is reached.
const CONFIG: &str = "`kafka.config` of this environment in kscen.yaml";

/// How the client means to talk.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) tls: bool,
    pub(super) sasl: bool,
}

/// What is wrong, and what to do about it.
struct Finding {
    what: String,
    remedy: String,
}

fn finding(what: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { what: what.into(), remedy: remedy.into() }
}

/// The error for brokers that let nobody in.
pub(super) fn of_brokers(bootstrap: &str, error: &WireError, manner: Manner) -> EnvironmentError {
    let Finding { what, remedy } = explain(error, manner);
    let message = format!("the brokers at {bootstrap} cannot be used: {what}: {}", causes(error));
    if error.is_passing() {
        EnvironmentError::Away { message, remedy }
    } else {
        EnvironmentError::Prerequisite { message, remedy }
    }
}

/// The error for a broker that sends its clients where they do not get.
pub(super) fn of_advertised(bootstrap: &str, fault: &AdvertisedFault, manner: Manner) -> EnvironmentError {
    let AdvertisedFault { broker, address, error } = fault;
    let Finding { what, remedy } = explain(error, manner);
    let remedy = match error {
        WireError::Unreachable { .. } | WireError::Timeout { .. } => {
            "set `advertised.listeners` of the broker to an address that this machine reaches, or make that name known to this machine"
                .to_owned()
        }
        _ => remedy,
    };
    let message = format!(
        "{bootstrap} answers, but broker {broker} tells clients to come to {address} (its `advertised.listeners`), and {what} there: {}",
        causes(error)
    );
    if error.is_passing() {
        EnvironmentError::Away { message, remedy }
    } else {
        EnvironmentError::Prerequisite { message, remedy }
    }
}

fn explain(error: &WireError, manner: Manner) -> Finding {
    match error {
        WireError::Unreachable { .. } => match error.io_kind() {
            Some(ErrorKind::ConnectionRefused) => {
                finding("nobody listens", "start them, or check `kafka.bootstrap` of this environment in kscen.yaml")
            }
            Some(ErrorKind::NotFound) => finding(
                "the name is not known to this machine",
                "check `kafka.bootstrap` of this environment in kscen.yaml, and the name service",
            ),
            _ => finding("a connection cannot be made", "check `kafka.bootstrap` of this environment, and firewalls"),
        },
        WireError::Timeout { .. } => finding(
            "nobody answers",
            format!("check `kafka.bootstrap` and firewalls, and `security.protocol` in {CONFIG}"),
        ),
        WireError::Tls { .. } => of_tls(&causes(error)),
        WireError::Authentication { reason, .. } => of_login(reason),
        WireError::Closed { .. } if manner.tls && wants_certificate(&causes(error)) => no_certificate(),
        WireError::Closed { .. } if !manner.sasl => finding(
            "they end the connection: they seem to want TLS, or a user",
            format!("check `security.protocol` in {CONFIG}: SSL, SASL_PLAINTEXT or SASL_SSL"),
        ),
        WireError::Closed { .. } => {
            finding("they end the connection", format!("check `security.protocol` and `sasl.mechanism` in {CONFIG}"))
        }
        WireError::Malformed { .. } if !manner.tls && is_tls_alert(&causes(error)) => finding(
            "they speak TLS, and this client does not",
            format!("set `security.protocol` in {CONFIG} to SSL or SASL_SSL"),
        ),
        WireError::Malformed { .. } => finding(
            "what answers there is no Kafka",
            "check the port in `kafka.bootstrap` of this environment in kscen.yaml",
        ),
        _ => finding("they do not answer", format!("check `kafka.bootstrap` and {CONFIG}")),
    }
}

fn of_login(reason: &str) -> Finding {
    if reason.starts_with("it offers") {
        finding(
            "they do not know this way to log in",
            format!("set `sasl.mechanism` in {CONFIG} to one that they offer"),
        )
    } else if reason.starts_with("it asks for no user") {
        finding("they want no user there", format!("set `security.protocol` in {CONFIG} to PLAINTEXT or SSL"))
    } else {
        finding(
            "they refuse the user name or password",
            format!("check `sasl.username` and `sasl.password` in {CONFIG}"),
        )
    }
}

/// By OpenSSL's words, which its Rust crates give as text only.
fn of_tls(said: &str) -> Finding {
    let said = said.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if says(&["hostname mismatch", "ip address mismatch"]) {
        finding(
            "their certificate is for another name",
            format!(
                "connect by a name that the certificate has, or set `ssl.endpoint.identification.algorithm: none` in {CONFIG}"
            ),
        )
    } else if says(&["has expired"]) {
        finding("their certificate has expired", "renew the certificate of the brokers")
    } else if says(&["not yet valid"]) {
        finding("their certificate is not valid yet", "check the clocks of both machines")
    } else if says(&["self-signed", "self signed", "local issuer", "issuer certificate", "first certificate"]) {
        finding(
            "their certificate is signed by an authority that this client does not trust",
            format!("set `ssl.ca.location` in {CONFIG} to the certificate of their authority"),
        )
    } else if says(&["wrong version number", "unknown protocol", "record layer failure", "packet length too long"]) {
        finding(
            "they speak no TLS there",
            format!("set `security.protocol` in {CONFIG} to PLAINTEXT or SASL_PLAINTEXT, or check the port"),
        )
    } else if wants_certificate(&said) {
        no_certificate()
    } else if says(&["protocol version", "unsupported protocol", "no protocols available"]) {
        finding("they speak other versions of TLS", "enable TLS 1.2 or 1.3 on the brokers (`ssl.enabled.protocols`)")
    } else {
        finding("the TLS handshake fails", format!("check `ssl.*` and `security.protocol` in {CONFIG}"))
    }
}

fn no_certificate() -> Finding {
    finding(
        "they want a certificate of the client, or do not accept this one",
        format!("set `ssl.keystore.location`, or `ssl.certificate.location` and `ssl.key.location`, in {CONFIG}"),
    )
}

/// Alerts by which a server says that it misses the client's certificate.
fn wants_certificate(said: &str) -> bool {
    let said = said.to_lowercase();
    ["certificate required", "alert bad certificate", "alert handshake failure", "alert unknown ca"]
        .iter()
        .any(|alert| said.contains(alert))
}

/// A TLS alert read as the length of an answer: its first bytes are 21, 3 and the version.
fn is_tls_alert(said: &str) -> bool {
    said.split(|character: char| !character.is_ascii_digit())
        .filter_map(|word| word.parse::<u32>().ok())
        .any(|length| length >> 16 == 0x1503)
}

/// What the client library said, where kscen's own connections cannot follow its settings.
pub(super) fn in_the_clients_words(bootstrap: &str, error: &str, said: &str) -> EnvironmentError {
    let lower = said.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let Finding { what, remedy } = if says(&["connection refused"]) {
        finding("nobody listens", "start them, or check `kafka.bootstrap` of this environment in kscen.yaml")
    } else if says(&["failed to resolve"]) {
        finding("the name is not known to this machine", "check `kafka.bootstrap` of this environment in kscen.yaml")
    } else if says(&["certificate", "ssl handshake"]) {
        of_tls(said)
    } else if says(&["authentication", "sasl"]) {
        finding("they refuse the user", format!("check `sasl.mechanism` and the properties that it needs in {CONFIG}"))
    } else {
        finding("they do not answer", format!("check `kafka.bootstrap` and {CONFIG}"))
    };
    let words = if said.is_empty() { error } else { said };
    let message = format!("the brokers at {bootstrap} cannot be used: {what}: {words}");
    if says(&["connection refused", "failed to resolve"]) || said.is_empty() {
        EnvironmentError::Away { message, remedy }
    } else {
        EnvironmentError::Prerequisite { message, remedy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_of_tls_has_its_own_words() {
        for (said, what) in [
            ("certificate verify failed:ssl/statem.c:1: (hostname mismatch)", "another name"),
            ("certificate verify failed: (certificate has expired)", "has expired"),
            (
                "certificate verify failed: (self-signed certificate in certificate chain)",
                "an authority that this client does not trust",
            ),
            (
                "certificate verify failed: (unable to get local issuer certificate)",
                "an authority that this client does not trust",
            ),
            ("ssl3_get_record:wrong version number", "no TLS there"),
            ("ssl3_read_bytes:sslv3 alert bad certificate", "certificate of the client"),
            ("ssl3_read_bytes:tlsv1 alert protocol version", "other versions"),
            ("something else", "the TLS handshake fails"),
        ] {
            assert!(of_tls(said).what.contains(what), "{said}: {}", of_tls(said).what);
        }
        assert!(is_tls_alert("it claims to be 352518912 bytes long; the limit is 1048576"));
        assert!(!is_tls_alert("it claims to be 1213486160 bytes long; the limit is 1048576"));
    }

    #[test]
    fn a_login_fails_for_the_reason_that_it_fails_for() {
        assert!(of_login("it offers SCRAM-SHA-256").what.contains("way to log in"));
        assert!(of_login("it asks for no user").remedy.contains("PLAINTEXT"));
        assert!(of_login("Authentication failed: Invalid username or password").what.contains("password"));
        let refused = "sasl_ssl://127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused";
        let text = in_the_clients_words("127.0.0.1:1", "", refused).to_string();
        assert!(text.contains("nobody listens") && !text.contains("password"), "{text}");
    }
}

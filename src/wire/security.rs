//! How a client proves who it is, and to whom it listens: from the properties that the other clients use, too.

use super::wire_error::WireError;
use crate::ground::input;
use crate::kafka::{ClientRole, ClientSettings, KafkaFailure};
use native_tls::{Certificate, Identity, TlsConnector};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

/// Properties that change what TLS accepts, and that kscen's own connections cannot follow: ignoring them would trust more
/// than the user does.
const REFUSED: &[&str] = &[
    "ssl.crl.location",
    "ssl.cipher.suites",
    "ssl.curves.list",
    "ssl.sigalgs.list",
    "ssl.engine.location",
    "ssl.providers",
];

/// What every connection does before its first request.
#[derive(Clone)]
pub(super) struct Security {
    pub(super) tls: Option<tokio_native_tls::TlsConnector>,
    pub(super) sasl: Option<Sasl>,
}

/// A user and how it is shown to the broker.
#[derive(Clone)]
pub(super) struct Sasl {
    pub(super) mechanism: Mechanism,
    pub(super) user: String,
    pub(super) password: String,
}

/// The SASL mechanisms that kscen speaks itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Sha256,
    Sha512,
}

impl Mechanism {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    pub(super) fn digest(self) -> Option<MessageDigest> {
        match self {
            Self::Plain => None,
            Self::Sha256 => Some(MessageDigest::sha256()),
            Self::Sha512 => Some(MessageDigest::sha512()),
        }
    }
}

/// The client's properties, under the names that librdkafka has for them.
pub(super) struct ClientProperties(ClientSettings);

impl ClientProperties {
    /// # Errors
    /// A property that no client knows.
    pub(super) fn new(properties: &BTreeMap<String, String>) -> Result<Self, WireError> {
        let mut settings = ClientSettings::new(ClientRole::Admin).map_err(unknown)?;
        settings.set_all(properties).map_err(unknown)?;
        Ok(Self(settings))
    }

    /// The value of the first of these names that was set to something.
    pub(super) fn get(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.0.get(name)).filter(|value| !value.is_empty())
    }
}

fn unknown(failure: KafkaFailure) -> WireError {
    let (property, reason) = match &failure {
        KafkaFailure::Property { name, reason, .. } => (name.clone(), reason.clone()),
        KafkaFailure::Client { source, .. } => ("client".to_owned(), source.to_string()),
        KafkaFailure::Request { detail, .. } => ("client".to_owned(), detail.clone()),
    };
    WireError::Setting { property, reason, source: Some(Arc::new(failure)) }
}

fn setting(property: &str, reason: impl Into<String>) -> WireError {
    WireError::Setting { property: property.to_owned(), reason: reason.into(), source: None }
}

fn caused(property: &str, reason: &str, source: impl Error + Send + Sync + 'static) -> WireError {
    WireError::Setting { property: property.to_owned(), reason: reason.to_owned(), source: Some(Arc::new(source)) }
}

impl Security {
    /// Nothing: for processes that kscen started itself on this machine.
    pub(super) const NONE: Self = Self { tls: None, sasl: None };

    /// Reads `security.protocol`, `ssl.*` and `sasl.*`.
    ///
    /// # Errors
    /// A value that is wrong, a file that cannot be read, or something that kscen's own connections cannot do.
    pub(super) fn new(properties: &ClientProperties) -> Result<Self, WireError> {
        let protocol = properties.get(&["security.protocol"]).unwrap_or("plaintext").to_lowercase();
        let (tls, sasl) = match protocol.as_str() {
            "plaintext" => (false, false),
            "ssl" => (true, false),
            "sasl_plaintext" => (false, true),
            "sasl_ssl" => (true, true),
            other => return Err(setting("security.protocol", format!("there is no protocol `{other}`"))),
        };
        let tls = tls.then(|| connector(properties)).transpose()?.map(tokio_native_tls::TlsConnector::from);
        Ok(Self { tls, sasl: sasl.then(|| Sasl::new(properties)).transpose()? })
    }
}

impl Sasl {
    fn new(properties: &ClientProperties) -> Result<Self, WireError> {
        const MECHANISM: &str = "sasl.mechanism";
        let mechanism = match properties.get(&[MECHANISM, "sasl.mechanisms"]).unwrap_or("GSSAPI") {
            "PLAIN" => Mechanism::Plain,
            "SCRAM-SHA-256" => Mechanism::Sha256,
            "SCRAM-SHA-512" => Mechanism::Sha512,
            other => {
                let reason = format!(
                    "kscen's own requests cannot authenticate with {other}; PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are possible"
                );
                return Err(setting(MECHANISM, reason));
            }
        };
        let needed = |name| properties.get(&[name]).ok_or_else(|| setting(name, "it is missing")).map(str::to_owned);
        Ok(Self { mechanism, user: needed("sasl.username")?, password: needed("sasl.password")? })
    }
}

fn connector(properties: &ClientProperties) -> Result<TlsConnector, WireError> {
    if let Some(name) = REFUSED.iter().find(|name| properties.get(&[name]).is_some()) {
        return Err(setting(name, "kscen's own connections do not support it"));
    }
    let mut builder = TlsConnector::builder();
    let authorities = authorities(properties)?;
    if !authorities.is_empty() {
        builder.disable_built_in_roots(true);
    }
    for authority in authorities {
        builder.add_root_certificate(authority);
    }
    if let Some(identity) = identity(properties)? {
        builder.identity(identity);
    }
    match properties.get(&["ssl.endpoint.identification.algorithm"]).unwrap_or("https") {
        "none" => _ = builder.danger_accept_invalid_hostnames(true),
        "https" => {}
        other => {
            let reason = format!("there is no algorithm `{other}`; use `https` or `none`");
            return Err(setting("ssl.endpoint.identification.algorithm", reason));
        }
    }
    if properties.get(&["enable.ssl.certificate.verification"]) == Some("false") {
        builder.danger_accept_invalid_certs(true).danger_accept_invalid_hostnames(true);
    }
    builder.build().map_err(|error| caused("security.protocol", "OpenSSL cannot be set up for TLS", error))
}

/// Whom the client trusts; nobody stands for the system's authorities.
fn authorities(properties: &ClientProperties) -> Result<Vec<Certificate>, WireError> {
    const PEM: &str = "ssl.ca.pem";
    const LOCATION: &str = "ssl.ca.location";
    let mut found = Vec::new();
    if let Some(pem) = properties.get(&[PEM]) {
        found.extend(stack(PEM, pem.as_bytes())?);
    }
    let Some(location) = properties.get(&[LOCATION]).filter(|location| *location != "probe") else { return Ok(found) };
    let path = Path::new(location);
    if path.is_dir() {
        let unreadable = |error| caused(LOCATION, "the folder cannot be read", error);
        for entry in path.read_dir().map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            // A folder of authorities also holds other things, such as lists of revoked certificates.
            if let Ok(pem) = input::read(&path, LONGEST) {
                found.extend(Certificate::stack_from_pem(&pem).unwrap_or_default());
            }
        }
    } else {
        found.extend(stack(LOCATION, &read(LOCATION, location)?)?);
    }
    if found.is_empty() {
        return Err(setting(LOCATION, format!("there is no certificate in {location}")));
    }
    Ok(found)
}

fn stack(property: &str, pem: &[u8]) -> Result<Vec<Certificate>, WireError> {
    match Certificate::stack_from_pem(pem) {
        Ok(found) if found.is_empty() => Err(setting(property, "there is no certificate in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(caused(property, "it is not a certificate in PEM format", error)),
    }
}

/// The longest file of keys and certificates that is read.
const LONGEST: u64 = 16 << 20;

fn read(property: &str, path: &str) -> Result<Vec<u8>, WireError> {
    input::read(Path::new(path), LONGEST).map_err(|error| caused(property, &format!("{path} cannot be read"), error))
}

/// The client's own certificate and key, where there are some.
fn identity(properties: &ClientProperties) -> Result<Option<Identity>, WireError> {
    const STORE: &str = "ssl.keystore.location";
    if let Some(path) = properties.get(&[STORE]) {
        let password = properties.get(&["ssl.keystore.password"]).unwrap_or_default();
        let identity = Identity::from_pkcs12(&read(STORE, path)?, password);
        let reason = "it is not a PKCS#12 key store, or `ssl.keystore.password` does not open it";
        return identity.map(Some).map_err(|error| caused(STORE, reason, error));
    }
    let part = |pem: &'static str, location: &'static str| match (properties.get(&[pem]), properties.get(&[location])) {
        (Some(text), _) => Ok(Some((pem, text.as_bytes().to_vec()))),
        (None, Some(path)) => read(location, path).map(|bytes| Some((location, bytes))),
        (None, None) => Ok(None),
    };
    let certificate = part("ssl.certificate.pem", "ssl.certificate.location")?;
    let key = part("ssl.key.pem", "ssl.key.location")?;
    let ((certificate_from, certificate), (key_from, key)) = match (certificate, key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(None),
        (Some((name, _)), None) => return Err(setting(name, "it needs `ssl.key.location` or `ssl.key.pem`")),
        (None, Some((name, _))) => {
            return Err(setting(name, "it needs `ssl.certificate.location` or `ssl.certificate.pem`"));
        }
    };
    // Keys come encrypted, and in older formats than the one that is taken below.
    let password = properties.get(&["ssl.key.password"]).unwrap_or_default();
    let key = PKey::private_key_from_pem_passphrase(&key, password.as_bytes())
        .and_then(|key| key.private_key_to_pem_pkcs8())
        .map_err(|error| {
            caused(key_from, "it is not a private key in PEM format, or `ssl.key.password` is wrong", error)
        })?;
    let identity = Identity::from_pkcs8(&certificate, &key);
    identity.map(Some).map_err(|error| caused(certificate_from, "it is not a certificate in PEM format", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(properties: &[(&str, &str)]) -> Result<Security, String> {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let security = ClientProperties::new(&properties).and_then(|properties| Security::new(&properties));
        security.map_err(|error| error.in_full())
    }

    #[test]
    fn settings_are_those_of_the_other_clients_and_what_cannot_be_followed_is_refused() {
        let none = read(&[]).expect("plaintext");
        assert!(none.tls.is_none() && none.sasl.is_none());
        let user = [("security.protocol", "sasl_ssl"), ("sasl.mechanisms", "PLAIN"), ("sasl.username", "u")];
        let whole = read(&[&user[..], &[("sasl.password", "p")]].concat()).expect("valid");
        assert!(whole.tls.is_some());
        assert_eq!(whole.sasl.map(|sasl| sasl.mechanism), Some(Mechanism::Plain));
        let cases: [(&[(&str, &str)], &str); 7] = [
            (&user, "client property `sasl.password`: it is missing"),
            (&[("security.protocol", "SASL_SSL"), ("sasl.mechanism", "GSSAPI")], "cannot authenticate with GSSAPI"),
            (&[("security.protocol", "SSL"), ("ssl.cipher.suites", "ALL")], "`ssl.cipher.suites`: kscen's own"),
            (&[("security.protocol", "SSL"), ("ssl.ca.location", "/nowhere/ca.pem")], "/nowhere/ca.pem cannot be read"),
            (&[("security.protocol", "SSL"), ("ssl.ca.pem", "no")], "`ssl.ca.pem`"),
            (&[("security.protocol", "SSL"), ("ssl.key.pem", "k")], "needs `ssl.certificate.location`"),
            (&[("sasl.usrname", "u")], "there is no such property"),
        ];
        for (properties, expected) in cases {
            let error = read(properties).err().unwrap_or_default();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_clients_certificate_may_come_with_an_encrypted_key() {
        use openssl::rsa::Rsa;
        use openssl::symm::Cipher;
        let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
        let mut certificate = openssl::x509::X509Builder::new().expect("a builder");
        certificate.set_pubkey(&key).expect("set");
        let time = |days| openssl::asn1::Asn1Time::days_from_now(days).expect("a time");
        certificate.set_not_before(&time(0)).expect("set");
        certificate.set_not_after(&time(1)).expect("set");
        certificate.sign(&key, MessageDigest::sha256()).expect("signed");
        let certificate = certificate.build().to_pem().expect("pem");
        let key = key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"hush").expect("encrypted");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let (certificate, key) = (text(certificate), text(key));
        let given = [("security.protocol", "SSL"), ("ssl.certificate.pem", &*certificate), ("ssl.key.pem", &*key)];
        let opened = read(&[&given[..], &[("ssl.key.password", "hush")]].concat());
        assert_eq!(opened.err(), None);
        let error = read(&[&given[..], &[("ssl.key.password", "wrong")]].concat()).err().unwrap_or_default();
        assert!(error.contains("`ssl.key.password` is wrong"), "{error}");
    }
}

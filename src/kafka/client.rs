//! Configuration of clients: the Java client's defaults, the user's properties over them, and what
//! the client really works with.

use super::belongings::{file_of, runs_code, unfit};
use super::{KafkaFailure, is_of_environment, java_names};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use std::collections::BTreeMap;

/// What a client is for; decides which defaults apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientRole {
    /// Sends.
    Producer,
    /// Reads.
    Consumer,
    /// Asks and administers.
    Admin,
}

/// Defaults of the Java client (3.6) where librdkafka has others, and two of librdkafka's own that
/// would otherwise dominate what is measured.
const COMMON: &[(&str, &str)] = &[
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "1000"), // 10 s would dominate every recovery time
    ("socket.keepalive.enable", "true"),
    ("socket.nagle.disable", "true"),
];
const PRODUCER: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("max.in.flight.requests.per.connection", "5"),
    ("message.timeout.ms", "120000"),
    ("queue.buffering.max.kbytes", "32768"), // 1 GiB would hide back-pressure
    ("queue.buffering.max.messages", "0"),   // as in Java only bytes are limited
    ("linger.ms", "0"),
    ("batch.size", "16384"),
    ("message.max.bytes", "1048576"),
    ("statistics.interval.ms", "1000"), // they tell whether the client still knows a broker
    ("partitioner", "murmur2_random"),
];
const CONSUMER: &[(&str, &str)] = &[
    ("isolation.level", "read_uncommitted"),
    ("partition.assignment.strategy", "range"),
    ("fetch.queue.backoff.ms", "5"), // 1 s would throttle a reader that catches up
    ("queued.max.messages.kbytes", "32768"),
    ("statistics.interval.ms", "1000"), // they tell whether the client still knows a broker
];

/// Names of the Java client whose value librdkafka takes under another name, or in another unit.
const RENAMED: &[(&str, &str, u64)] = &[
    ("buffer.memory", "queue.buffering.max.kbytes", 1024),
    ("max.request.size", "message.max.bytes", 1),
    ("max.partition.fetch.bytes", "max.partition.fetch.bytes", 1),
    ("fetch.max.wait.ms", "fetch.wait.max.ms", 1),
    ("receive.buffer.bytes", "socket.receive.buffer.bytes", 1),
    ("send.buffer.bytes", "socket.send.buffer.bytes", 1),
    ("request.timeout.ms", "socket.timeout.ms", 1),
    ("metadata.max.age.ms", "metadata.max.age.ms", 1),
    ("delivery.timeout.ms", "message.timeout.ms", 1),
    ("linger.ms", "linger.ms", 1),
    ("compression.type", "compression.codec", 1),
];

/// Values that are never shown.
const SECRET: &[&str] = &["password", "secret", "sasl.oauthbearer.config", "ssl.key.pem"];

/// A client's properties before it is created.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    properties: BTreeMap<String, String>,
    known: BTreeMap<String, String>,
}

impl ClientSettings {
    /// The defaults for a role.
    pub fn new(role: ClientRole) -> Result<Self, KafkaFailure> {
        let native = ClientConfig::new()
            .create_native_config()
            .map_err(|error| KafkaFailure::request("create a client configuration", &error))?;
        let own = match role {
            ClientRole::Producer => PRODUCER,
            ClientRole::Consumer => CONSUMER,
            ClientRole::Admin => &[],
        };
        let defaults = COMMON.iter().chain(own);
        let properties = defaults.map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Ok(Self { properties, known: super::batch::dump(&native) })
    }

    /// Sets a property, under its librdkafka or its Java name. A name that the client does not know
    /// is an error here, a value that it does not accept one in [`build`](Self::build).
    pub fn set(&mut self, name: &str, value: &str) -> Result<&mut Self, KafkaFailure> {
        let name = name.trim();
        // librdkafka loads a library while the property is set: it must not come to that.
        if runs_code(name) {
            return Err(KafkaFailure::Property {
                name: name.to_owned(),
                reason: "it makes the client load or run code, which kscen refuses".to_owned(),
                suggestion: None,
            });
        }
        if let Some(reason) = file_of(name, value).and_then(|file| unfit(name, file)) {
            return Err(KafkaFailure::Property { name: name.to_owned(), reason, suggestion: None });
        }
        if let Some((_, native, divisor)) = RENAMED.iter().find(|(java, _, _)| *java == name) {
            let value = match (divisor, value.parse::<u64>()) {
                (1, _) => value.to_owned(),
                (_, Ok(number)) => (number / divisor).max(1).to_string(),
                (_, Err(_)) => {
                    return Err(KafkaFailure::Property {
                        name: name.to_owned(),
                        reason: format!("`{value}` is not a number"),
                        suggestion: None,
                    });
                }
            };
            self.properties.insert((*native).to_owned(), value);
            return Ok(self);
        }
        if let Some(here) = java_names::here(name).filter(|_| !self.known.contains_key(name)) {
            return Err(KafkaFailure::Property {
                name: name.to_owned(),
                reason: format!("this is the Java client's name: {here}"),
                suggestion: None,
            });
        }
        // Values that librdkafka does not list back (functions, lists) can still be set.
        if !self.known.contains_key(name) && !accepts(name, value) {
            let names = self.known.keys().map(String::as_str).chain(RENAMED.iter().map(|(java, _, _)| *java));
            let nearest = names
                .map(|known| (strsim::damerau_levenshtein(known, name), known))
                .filter(|(distance, known)| *distance <= known.len() / 3)
                .min();
            return Err(KafkaFailure::Property {
                name: name.to_owned(),
                reason: "there is no such property".to_owned(),
                suggestion: nearest.map(|(_, known)| known.to_owned()),
            });
        }
        // An alias must replace the default that is set under the other name.
        for alias in aliases(name) {
            self.properties.remove(*alias);
        }
        self.properties.insert(name.to_owned(), value.to_owned());
        Ok(self)
    }

    /// Sets several properties.
    pub fn set_all<'a>(
        &mut self,
        properties: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Result<&mut Self, KafkaFailure> {
        for (name, value) in properties {
            self.set(name, value)?;
        }
        Ok(self)
    }

    /// Sets the properties of a step, over those of the environment that it connects to.
    ///
    /// # Errors
    /// A property that is the environment's: see [`is_of_environment`].
    pub fn set_own(
        &mut self,
        own: &BTreeMap<String, String>,
        connection: &BTreeMap<String, String>,
    ) -> Result<&mut Self, KafkaFailure> {
        match own.keys().find(|name| is_of_environment(name, connection)) {
            Some(name) => {
                let reason = "the environment sets it, and a step cannot change it".to_owned();
                Err(KafkaFailure::Property { name: name.clone(), reason, suggestion: None })
            }
            None => self.set_all(own),
        }
    }

    /// The value that was set for a property, if any.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// The configuration to create the client with, and every value that it will work with.
    pub fn build(&self) -> Result<(ClientConfig, BTreeMap<String, String>), KafkaFailure> {
        let mut properties = self.properties.clone();
        // In the new group protocol the group assigns, and refuses a strategy of the client's: our default must not stand there.
        let strategy = "partition.assignment.strategy";
        if self.get("group.protocol") == Some("consumer") && self.get(strategy) == Some("range") {
            properties.remove(strategy);
        }
        let mut config: ClientConfig = properties.into_iter().collect();
        config.set_log_level(RDKafkaLogLevel::Info);
        let native = config.create_native_config().map_err(|error| match error {
            rdkafka::error::KafkaError::ClientConfig(_, reason, name, _) => {
                KafkaFailure::Property { name, reason, suggestion: None }
            }
            other => KafkaFailure::request("configure the client", &other),
        })?;
        let mut effective = super::batch::dump(&native);
        for (name, value) in &mut effective {
            if SECRET.iter().any(|secret| name.contains(secret)) && !value.is_empty() {
                *value = "[hidden]".to_owned();
            }
        }
        Ok((config, effective))
    }
}

fn aliases(name: &str) -> &'static [&'static str] {
    match name {
        "enable.idempotence" => &[],
        "max.in.flight" => &["max.in.flight.requests.per.connection"],
        "request.required.acks" => &["acks"],
        "queue.buffering.max.ms" => &["linger.ms"],
        _ => &[],
    }
}

fn accepts(name: &str, value: &str) -> bool {
    ClientConfig::new().set(name, value).create_native_config().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_refused_with_the_nearest_known_one() {
        let mut settings = ClientSettings::new(ClientRole::Producer).unwrap();
        let error = settings.set("liger.ms", "5").unwrap_err().to_string();
        assert_eq!(error, "client property `liger.ms`: there is no such property; did you mean `linger.ms`?");
        assert!(settings.set("linger.ms", "soon").unwrap().build().is_err());
    }

    #[test]
    fn names_of_the_java_client_are_answered_with_what_they_are_here() {
        let mut settings = ClientSettings::new(ClientRole::Consumer).unwrap();
        for (java, here) in [
            ("ssl.truststore.location", "`ssl.ca.location`"),
            ("sasl.jaas.config", "`sasl.username` and `sasl.password`"),
            ("partitioner.class", "`partitioner`"),
        ] {
            let error = settings.set(java, "x").unwrap_err().to_string();
            assert!(error.contains("the Java client's name") && error.contains(here), "{error}");
        }
    }

    #[test]
    fn what_names_code_never_reaches_the_client() {
        let mut settings = ClientSettings::new(ClientRole::Producer).unwrap();
        for name in ["plugin.library.paths", " plugin.library.paths", "sasl.kerberos.kinit.cmd"] {
            let error = settings.set(name, "./evil.so").unwrap_err().to_string();
            assert!(error.contains("load or run code"), "{error}");
        }
        assert_eq!(settings.get("plugin.library.paths"), None);
    }

    #[test]
    fn effective_values_are_read_back() {
        let mut settings = ClientSettings::new(ClientRole::Producer).unwrap();
        settings.set("buffer.memory", "1048576").unwrap().set("sasl.password", "hush").unwrap();
        settings.set("max.in.flight", "1").unwrap();
        let (_, effective) = settings.build().unwrap();
        assert_eq!(effective["queue.buffering.max.kbytes"], "1024");
        assert_eq!(effective["max.in.flight.requests.per.connection"], "1");
        assert_eq!(effective["message.timeout.ms"], "120000");
        assert_eq!(effective["sasl.password"], "[hidden]");
        assert!(effective.contains_key("message.send.max.retries"));
    }
}

//! Where a broker listens.

use std::fmt;

/// The port where none is given, as in librdkafka.
const DEFAULT_PORT: u16 = 9092;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerAddress {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl BrokerAddress {
    /// A port of this machine.
    pub fn local(port: u16) -> Self {
        Self { host: "127.0.0.1".to_owned(), port }
    }

    /// Reads `host`, `host:port` or `[v6]:port`; a leading `PROTOCOL://` is skipped, as librdkafka does.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => match text.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok())?;
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_form() {
        for (text, host, port) in [
            ("kafka:9093", "kafka", 9093),
            (" kafka ", "kafka", 9092),
            ("SASL_SSL://kafka:1", "kafka", 1),
            ("[::1]:9093", "::1", 9093),
            ("[::1]", "::1", 9092),
            ("::1", "::1", 9092),
        ] {
            let address = BrokerAddress::parse(text);
            assert_eq!(address, Some(BrokerAddress { host: host.to_owned(), port }), "{text}");
        }
        for text in ["", ":9092", "kafka:port", "kafka:99999"] {
            assert_eq!(BrokerAddress::parse(text), None, "{text}");
        }
        assert_eq!(BrokerAddress::parse("[::1]:1").map(|address| address.to_string()).as_deref(), Some("[::1]:1"));
    }
}

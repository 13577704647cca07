//! Which compose service plays which part.

use crate::environment::{EnvironmentError, EnvironmentResult, ServiceId};
use std::collections::BTreeMap;

/// The part a service plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ServiceRole {
    Controller,
    Broker,
    Postgres,
    Connect,
    KafkaUi,
}

/// A compose service with its name in scenarios.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedService {
    pub(super) id: ServiceId,
    /// In scenarios: `kafka-1`, `connect`.
    pub(super) name: String,
    /// In the compose file.
    pub(super) compose: String,
    pub(super) role: ServiceRole,
}

impl ServiceRole {
    fn of(id: ServiceId) -> Self {
        match id {
            ServiceId::Broker(_) => Self::Broker,
            ServiceId::Controller(_) => Self::Controller,
            ServiceId::Connect => Self::Connect,
            ServiceId::Postgres => Self::Postgres,
            ServiceId::KafkaUi => Self::KafkaUi,
        }
    }
}

impl NamedService {
    pub(super) fn new(id: ServiceId, compose: &str) -> Self {
        Self { id, name: id.to_string(), compose: compose.to_owned(), role: ServiceRole::of(id) }
    }
}

/// Reads a name that somebody gave a compose service: also `kafka` and `kafka1` for `kafka-1`.
fn named(name: &str) -> Option<ServiceId> {
    let numbered = |prefix: &str| {
        let number = name.strip_prefix(prefix)?.trim_start_matches('-');
        format!("{prefix}-{}", if number.is_empty() { "1" } else { number }).parse().ok()
    };
    name.parse().ok().or_else(|| numbered("kafka")).or_else(|| numbered("controller"))
}

/// Gives each compose service its part: what the configuration names, and by their own names all others that have one.
/// The result is in start order.
///
/// # Errors
/// A configured part or compose service that does not exist, or two services for one part.
pub(super) fn assign(
    configured: &BTreeMap<String, String>,
    existing: &[String],
) -> EnvironmentResult<Vec<NamedService>> {
    let mut parts = Vec::new();
    for (name, compose) in configured {
        let Some(id) = named(name) else {
            return Err(EnvironmentError::Prerequisite {
                message: format!("`services` of the environment names `{name}`, which is not a part that kscen knows"),
                remedy: "use kafka-1 … kafka-N, controller-1 …, connect, postgres, kafka-ui".to_owned(),
            });
        };
        if !existing.contains(compose) {
            return Err(EnvironmentError::UnknownService { service: compose.clone(), known: existing.to_vec() });
        }
        if let Some(first) = parts.iter().find(|part: &&NamedService| part.compose == *compose) {
            return Err(EnvironmentError::Prerequisite {
                message: format!(
                    "the same compose service `{compose}` is named twice, as {} and as {id}: one container cannot be both",
                    first.name
                ),
                remedy: "give each part a service of its own under `services` of the environment".to_owned(),
            });
        }
        parts.push(NamedService::new(id, compose));
    }
    for compose in existing {
        let configured = parts.iter().any(|part| part.compose == *compose);
        if let Some(id) = named(compose).filter(|_| !configured) {
            parts.push(NamedService::new(id, compose));
        }
    }
    parts.sort_by_key(|part| (part.role, part.id));
    if let Some(twice) = parts.windows(2).find(|pair| pair[0].id == pair[1].id) {
        return Err(EnvironmentError::Prerequisite {
            message: format!("both `{}` and `{}` would be {}", twice[0].compose, twice[1].compose, twice[0].name),
            remedy: format!(
                "name one in the environment: docker: {{ services: {{ {}: {} }} }}",
                twice[0].name, twice[0].compose
            ),
        });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::assign;
    use std::collections::BTreeMap;

    fn names(configured: &[(&str, &str)], existing: &[&str]) -> Result<Vec<String>, String> {
        let configured: BTreeMap<_, _> =
            configured.iter().map(|(name, compose)| ((*name).to_owned(), (*compose).to_owned())).collect();
        let existing: Vec<_> = existing.iter().map(|name| (*name).to_owned()).collect();
        assign(&configured, &existing)
            .map(|parts| parts.into_iter().map(|part| format!("{}={}", part.name, part.compose)).collect())
            .map_err(|error| format!("{error} {}", error.remedy().unwrap_or_default()))
    }

    #[test]
    fn compose_services_get_their_parts_in_start_order() {
        assert_eq!(
            names(&[], &["kafka-ui", "connect", "web", "kafka", "postgres"]),
            Ok(vec![
                "kafka-1=kafka".into(),
                "postgres=postgres".into(),
                "connect=connect".into(),
                "kafka-ui=kafka-ui".into()
            ])
        );
        assert_eq!(
            names(&[], &["kafka-10", "kafka-2", "controller-1"]),
            Ok(vec!["controller-1=controller-1".into(), "kafka-2=kafka-2".into(), "kafka-10=kafka-10".into()])
        );
        assert_eq!(
            names(&[("kafka", "broker"), ("connect", "debezium")], &["broker", "debezium"]),
            Ok(vec!["kafka-1=broker".into(), "connect=debezium".into()])
        );
    }

    #[test]
    fn wrong_parts_are_refused_with_what_exists() {
        assert!(names(&[], &["kafka", "kafka-1"]).is_err_and(|message| message.contains("`kafka` and `kafka-1`")));
        assert!(names(&[("kafka", "brokr")], &["broker"]).is_err_and(|message| message.contains("broker")));
        let twice = names(&[("kafka-1", "broker"), ("kafka-2", "broker")], &["broker"]);
        assert!(twice.is_err_and(|message| message.contains("as kafka-1 and as kafka-2")));
        assert!(names(&[("zookeeper", "zk")], &["zk"]).is_err_and(|message| message.contains("kafka-1 … kafka-N")));
    }
}

//! Which compose service plays which part.

use crate::environment::{EnvironmentError, EnvironmentResult};
use std::collections::BTreeMap;

/// The part a service plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Controller,
    Broker,
    Postgres,
    Connect,
    KafkaUi,
}

/// A compose service with its name in scenarios.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// In scenarios: `kafka-1`, `connect`.
    pub(super) name: String,
    /// In the compose file.
    pub(super) compose: String,
    pub(super) role: Role,
}

/// Reads a name of the scenario language; `kafka` is `kafka-1`.
fn role_of(name: &str) -> Option<(String, Role)> {
    let numbered = |prefix: &str| {
        let number = name.strip_prefix(prefix)?.trim_start_matches('-');
        let number: u32 = if number.is_empty() { 1 } else { number.parse().ok()? };
        (number > 0).then(|| format!("{prefix}-{number}"))
    };
    match name {
        "connect" => Some((name.to_owned(), Role::Connect)),
        "postgres" => Some((name.to_owned(), Role::Postgres)),
        "kafka-ui" => Some((name.to_owned(), Role::KafkaUi)),
        _ => numbered("kafka")
            .map(|name| (name, Role::Broker))
            .or_else(|| numbered("controller").map(|name| (name, Role::Controller))),
    }
}

/// Gives each compose service its part: what the configuration names, and by their own names all others that have one.
/// The result is in start order.
///
/// # Errors
/// A configured part or compose service that does not exist, or two services for one part.
pub(super) fn assign(configured: &BTreeMap<String, String>, existing: &[String]) -> EnvironmentResult<Vec<Part>> {
    let mut parts = Vec::new();
    for (name, compose) in configured {
        let Some((name, role)) = role_of(name) else {
            return Err(EnvironmentError::Prerequisite {
                message: format!("`services` of the environment names `{name}`, which is no part kscen knows"),
                remedy: "use kafka-1 … kafka-N, controller-1 …, connect, postgres, kafka-ui".to_owned(),
            });
        };
        if !existing.contains(compose) {
            return Err(EnvironmentError::UnknownService { service: compose.clone(), known: existing.to_vec() });
        }
        parts.push(Part { name, compose: compose.clone(), role });
    }
    for compose in existing {
        let configured = parts.iter().any(|part| part.compose == *compose);
        if let Some((name, role)) = role_of(compose).filter(|_| !configured) {
            parts.push(Part { name, compose: compose.clone(), role });
        }
    }
    parts.sort_by(|a, b| (a.role, number(&a.name), &a.name).cmp(&(b.role, number(&b.name), &b.name)));
    if let Some(twice) = parts.windows(2).find(|pair| pair[0].name == pair[1].name) {
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

fn number(name: &str) -> u32 {
    name.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default()
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
        assert!(names(&[("zookeeper", "zk")], &["zk"]).is_err_and(|message| message.contains("kafka-1 … kafka-N")));
    }
}

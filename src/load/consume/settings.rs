//! From a specification to a client's properties.

use super::{CommitMode, ConsumeSpec, ReadFrom};
use crate::kafka::{ClientRole, ClientSettings};
use crate::load::LoadError;
use std::collections::BTreeMap;

pub(super) fn check(spec: &ConsumeSpec) -> Result<(), LoadError> {
    let refuse = |reason: &str| Err(LoadError::Spec(reason.to_owned()));
    match (&spec.group, spec.members, spec.from) {
        (_, 0, _) => refuse("a reader needs at least one member"),
        (None, 2.., _) => refuse("several members need a `group` to share the partitions"),
        (None, _, ReadFrom::Committed) => refuse("`from: committed` needs a `group`"),
        _ => Ok(()),
    }
}

/// Whether the group speaks the protocol of Kafka 4, in which the broker assigns.
pub(super) fn broker_assigns(spec: &ConsumeSpec) -> bool {
    let name = spec.config.get("group.protocol").or_else(|| spec.connection.get("group.protocol"));
    name.is_some_and(|name| name.eq_ignore_ascii_case("consumer"))
}

/// Whether the group moves only what has to move, by what the client will really work with. Strategies of both kinds cannot be
/// mixed, so that one name says it.
pub(super) fn cooperates(spec: &ConsumeSpec, effective: &BTreeMap<String, String>) -> bool {
    let is = |name: &str, wanted: &str| {
        effective.get(name).is_some_and(|value| value.split(',').any(|one| one.trim() == wanted))
    };
    let strategy = "partition.assignment.strategy";
    spec.group.is_some() && (is("group.protocol", "consumer") || is(strategy, "cooperative-sticky"))
}

pub(super) fn settings(spec: &ConsumeSpec, number: usize) -> Result<ClientSettings, LoadError> {
    let mut settings = ClientSettings::new(ClientRole::Consumer)?;
    settings.set_all(&spec.connection)?;
    settings.set("client.id", &format!("kscen-{}-{number}", spec.name))?;
    // Without a group nothing is committed, and the name is never used.
    settings.set("group.id", spec.group.as_deref().unwrap_or("kscen-reader"))?;
    let auto = spec.commit == CommitMode::Auto && spec.group.is_some();
    settings.set("enable.auto.commit", if auto { "true" } else { "false" })?;
    settings.set("auto.offset.reset", if spec.from == ReadFrom::End { "latest" } else { "earliest" })?;
    settings.set("isolation.level", if spec.read_committed { "read_committed" } else { "read_uncommitted" })?;
    // The new protocol, in which the broker assigns, knows no strategy of the members.
    if spec.cooperative && !broker_assigns(spec) {
        settings.set("partition.assignment.strategy", "cooperative-sticky")?;
    }
    settings.set_own(&spec.config, &spec.connection)?;
    // Two members of the same name would fence each other.
    if let Some(id) = settings.get("group.instance.id").filter(|_| spec.members > 1) {
        let own = format!("{id}-{number}");
        settings.set("group.instance.id", &own)?;
    }
    // It would move positions one too far: see `BatchConsumer::new`.
    settings.set("enable.partition.eof", "false")?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::RunIdentity;
    use crate::load::consume::rehearsal::RehearsedReader;
    use crate::record::RunClock;

    #[test]
    fn whether_a_group_cooperates_is_known_before_it_is_joined() {
        let strategy = "partition.assignment.strategy";
        for (group, cooperative, own, wanted) in [
            (Some("g"), false, None, false),
            (Some("g"), true, None, true),
            (Some("g"), false, Some(("group.protocol", "consumer")), true),
            (Some("g"), true, Some(("group.protocol", "consumer")), true),
            (Some("g"), false, Some((strategy, "cooperative-sticky")), true),
            (Some("g"), true, Some((strategy, "roundrobin,range")), false),
            (None, true, None, false),
        ] {
            let reader = RehearsedReader::new(&RunIdentity::new(7), RunClock::start(), group, 1);
            let config =
                own.into_iter().map(|(name, value): (&str, &str)| (name.to_owned(), value.to_owned())).collect();
            let spec = ConsumeSpec { cooperative, config, ..reader.shared().spec.clone() };
            let (_, effective) = settings(&spec, 0).expect("settings").build().expect("a client's");
            assert_eq!(cooperates(&spec, &effective), wanted, "{group:?} {cooperative} {own:?}");
        }
    }
}

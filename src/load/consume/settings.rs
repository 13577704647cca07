//! From a specification to a client's properties.

use super::{CommitMode, ConsumeSpec, ReadFrom};
use crate::kafka::{ClientRole, ClientSettings};
use crate::load::LoadError;

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

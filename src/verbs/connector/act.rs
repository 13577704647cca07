//! What acting on a connector needs to know of it.

use crate::connect::{ConfigRedactor, ConnectClient};
use crate::database::SlotProbe;
use crate::verb::SharedRun;

/// Hides what the connector's configuration has of secrets.
pub(in crate::verbs) async fn redactor(connect: &ConnectClient, name: &str) -> ConfigRedactor {
    connect.config(name).await.map(|config| ConfigRedactor::of(&config)).unwrap_or_default()
}

/// Watches the connection of the connector's slot, where it has one that kscen can see.
pub(in crate::verbs) async fn probe(connect: &ConnectClient, name: &str, run: &SharedRun) -> Option<SlotProbe> {
    let config = connect.config(name).await.ok()?;
    let slot = config.get("slot.name")?;
    Some(SlotProbe::new(run.database().ok()?, slot.clone()))
}

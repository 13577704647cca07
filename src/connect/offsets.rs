//! Offsets of a connector (KIP-875).

use super::{ConnectClient, ConnectResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where a connector would continue in one partition of its source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectorOffset {
    /// The source partition in the connector's own terms; for Debezium `{"server": "<topic.prefix>"}`.
    pub partition: Map<String, Value>,
    /// The position in the connector's own terms; for Debezium's PostgreSQL connector `lsn`, `txId`, `ts_usec` and others. `None` erases.
    pub offset: Option<Map<String, Value>>,
}

impl ConnectorOffset {}

#[derive(Deserialize)]
struct Offsets {
    offsets: Vec<ConnectorOffset>,
}

impl ConnectClient {
    /// The committed offsets. Since Connect 3.5.
    ///
    /// # Errors
    /// [`ConnectError::Unsupported`], [`ConnectError::NotFound`].
    pub async fn offsets(&self, name: &str) -> ConnectResult<Vec<ConnectorOffset>> {
        self.require((3, 5), "reading a connector's offsets (KIP-875)").await?;
        let offsets: Offsets = self.get(&["connectors", name, "offsets"]).await?;
        Ok(offsets.offsets)
    }
}

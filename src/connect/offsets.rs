//! Offsets of a connector (KIP-875).

use super::{ConnectClient, ConnectError, ConnectResult};
use reqwest::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Where a connector would continue in one partition of its source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectorOffset {
    /// The source partition in the connector's own terms; for Debezium `{"server": "<topic.prefix>"}`.
    pub partition: Map<String, Value>,
    /// The position in the connector's own terms; for Debezium's PostgreSQL connector `lsn`, `txId`, `ts_usec` and others. `None` erases.
    pub offset: Option<Map<String, Value>>,
}

impl ConnectorOffset {
    /// The log sequence number of a PostgreSQL position, where there is one.
    pub fn lsn(&self) -> Option<u64> {
        self.offset.as_ref()?.get("lsn")?.as_u64()
    }
}

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

    /// Forgets all offsets: the connector starts afresh. It must be stopped. Since Connect 3.6.
    ///
    /// # Errors
    /// [`ConnectError::Refused`] with Connect's message where it is not stopped.
    pub async fn reset_offsets(&self, name: &str) -> ConnectResult<()> {
        self.require((3, 6), "resetting a connector's offsets (KIP-875)").await?;
        self.send(Method::DELETE, self.url(&["connectors", name, "offsets"], &[]), None).await.map(|_| ())
    }

    /// Sets offsets. The connector must be stopped. Since Connect 3.6.
    ///
    /// # Errors
    /// [`ConnectError::Refused`] with Connect's message where it is not stopped or refuses the position.
    pub async fn alter_offsets(&self, name: &str, offsets: &[ConnectorOffset]) -> ConnectResult<()> {
        self.require((3, 6), "setting a connector's offsets (KIP-875)").await?;
        if offsets.is_empty() {
            return Err(ConnectError::Misuse { message: "no offsets to set are given".to_owned() });
        }
        let url = self.url(&["connectors", name, "offsets"], &[]);
        self.send(Method::PATCH, url, Some(&json!({ "offsets": offsets }))).await.map(|_| ())
    }
}

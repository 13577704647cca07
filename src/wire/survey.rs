//! Whether a client gets in at all: at the addresses that it was given, and at those to which the cluster sends it.

use super::address::BrokerAddress;
use super::cluster::WireCluster;
use super::wire_error::WireError;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::time::Duration;

/// A broker to whose advertised address no connection can be made.
#[derive(Debug)]
pub struct AdvertisedFault {
    /// Its node id.
    pub broker: i32,
    /// Where it tells clients to come.
    pub address: String,
    /// Why nobody gets there.
    pub error: WireError,
}

/// Knocks at the bootstrap servers, and then at every address that the first one to answer gives for the brokers. Each gets `limit`.
///
/// # Errors
/// Why no bootstrap server lets the client in: the most telling of the errors.
pub async fn survey(properties: &BTreeMap<String, String>, limit: Duration) -> Result<Vec<AdvertisedFault>, WireError> {
    let cluster = WireCluster::new(properties, limit)?;
    let brokers: BTreeMap<i32, BrokerAddress> = super::brokers::addresses(&cluster).await?;
    let knocked = brokers.into_iter().map(|(broker, address)| {
        let cluster = cluster.clone();
        async move {
            let error = cluster.knock(&address, limit).await.err()?;
            Some(AdvertisedFault { broker, address: address.to_string(), error })
        }
    });
    Ok(join_all(knocked).await.into_iter().flatten().collect())
}

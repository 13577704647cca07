//! Whether the addresses of a run lead to its cluster from here: `localhost`, or a name, may be another one's elsewhere.

use crate::ground::lock;
use crate::kafka::{LogSink, OffsetReader};
use crate::load::LoadError;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// How long the cluster may take to tell the run which it is.
const TOLD: Duration = Duration::from_secs(2);
/// How long it may take to tell a worker, which has to open a connection first.
const LIMIT: Duration = Duration::from_secs(20);

/// Where addresses led to from this process: who comes back while brokers are away is not held up.
static KNOWN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// The id of the run's own cluster, for whoever is to reach it from elsewhere; `None` where no broker tells it.
pub(in crate::load) fn own_cluster(offsets: &OffsetReader) -> Option<String> {
    offsets.cluster_id(TOLD)
}

/// Refuses addresses that lead to another cluster than the run's `own`, before anything is sent or joined there. Blocks.
///
/// # Errors
/// They do; or nobody tells where they lead.
pub(in crate::load) fn leads_to(
    own: Option<&str>,
    connection: &BTreeMap<String, String>,
    logs: &LogSink,
) -> Result<(), LoadError> {
    let Some(own) = own else { return Ok(()) };
    let place = connection.get("bootstrap.servers").cloned().unwrap_or_default();
    if lock(&KNOWN).get(&place).is_some_and(|known| known == own) {
        return Ok(());
    }
    match OffsetReader::new(connection, false, logs.clone())?.cluster_id(LIMIT) {
        Some(found) if found == own => {
            lock(&KNOWN).insert(place, found);
            Ok(())
        }
        Some(found) => Err(LoadError::Spec(format!(
            "the addresses of the run lead to the cluster `{found}` from there, and the run is on the cluster `{own}`: use addresses that \
             mean the same brokers everywhere"
        ))),
        None => Err(LoadError::Spec(format!(
            "no broker at the addresses of the run says from there within {} s which cluster it is of",
            LIMIT.as_secs()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::mocking::MockCluster;

    fn reached(cluster: &MockCluster<'_, rdkafka::producer::DefaultProducerContext>) -> BTreeMap<String, String> {
        BTreeMap::from([("bootstrap.servers".to_owned(), cluster.bootstrap_servers())])
    }

    #[test]
    fn addresses_that_lead_to_another_cluster_are_refused() {
        let clusters = [MockCluster::new(1).expect("a cluster"), MockCluster::new(1).expect("another one")];
        let logs = LogSink::default();
        let ids = clusters.each_ref().map(|cluster| {
            let offsets = OffsetReader::new(&reached(cluster), false, LogSink::default()).expect("a client");
            offsets.cluster_id(LIMIT).expect("it tells who it is")
        });
        assert_ne!(ids[0], ids[1]);
        for (cluster, id) in clusters.iter().zip(&ids) {
            // A second time it is known.
            assert!((0..2).all(|_| leads_to(Some(id.as_str()), &reached(cluster), &logs).is_ok()));
            assert!(leads_to(None, &reached(cluster), &logs).is_ok(), "nobody knows which the run's is");
        }
        let error = leads_to(Some(ids[0].as_str()), &reached(&clusters[1]), &logs).expect_err("it is the other one");
        let text = error.to_string();
        assert!(text.contains(&ids[0]) && text.contains(&ids[1]), "{text}");
    }
}

//! Workers that exist only in this process: for tests in paused time, which no socket keeps.

use crate::ground::lock;
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

/// What a worker answers.
pub(crate) trait WorkerScript: Send + Sync {
    /// Status and body of the answer to a request, such as `PUT` of `/connectors/orders/pause`.
    fn answer<'a>(&'a self, method: &'a str, path: &'a str, body: Option<&'a Value>) -> BoxFuture<'a, (u16, String)>;
}

static WORKERS: Mutex<BTreeMap<String, Weak<dyn WorkerScript>>> = Mutex::new(BTreeMap::new());

/// From now on, requests to this host go to the script, for as long as it is there.
pub(crate) fn listen(host: &str, script: Weak<dyn WorkerScript>) {
    lock(&WORKERS).insert(host.to_owned(), script);
}

/// The script of a host that is such a worker.
pub(super) fn at(host: Option<&str>) -> Option<Arc<dyn WorkerScript>> {
    lock(&WORKERS).get(host?)?.upgrade()
}

//! Whether a load promises the order of its messages.

use crate::verb::SharedRun;

/// Whether the senders' effective configuration promises order.
pub(crate) fn is_ordered(run: &SharedRun, senders: &[String]) -> bool {
    senders.iter().all(|id| {
        run.live.record(id).and_then(|record| record.produced).is_some_and(|report| {
            let value = |name: &str| report.effective_config.get(name).map(String::as_str);
            value("enable.idempotence") == Some("true")
                || value("max.in.flight.requests.per.connection").or_else(|| value("max.in.flight")) == Some("1")
        })
    })
}

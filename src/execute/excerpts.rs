//! Keeps the log lines around each fault.

use crate::environment::{LogLine, LogQuery};
use crate::kafka::ClientLog;
use crate::record::{EventKind, FaultRecord, LogExcerpt, TargetKind};
use crate::verb::SharedRun;

/// Seconds before and after a fault whose log lines are kept.
const MARGIN: f64 = 5.0;
/// Most lines kept of one service around one fault.
const LINES: usize = 200;
/// Most bytes of all excerpts around faults: the rest is in the services' own logs.
const BYTES: usize = 4 << 20;

/// Keeps the log lines of every disturbed service around each fault.
pub(super) async fn keep(run: &SharedRun, faults: &[FaultRecord]) {
    let mut left = BYTES;
    for fault in faults {
        if fault.kind != Some(TargetKind::Service)
            || !run.environment.services().iter().any(|service| service.name == fault.target)
        {
            continue;
        }
        let end = fault.ready.or(fault.undone).or(fault.effective).unwrap_or(fault.requested);
        let query = LogQuery {
            since: Some(run.clock.wall(fault.requested - MARGIN)),
            until: Some(run.clock.wall(end + MARGIN)),
            tail: Some(LINES),
        };
        if let Ok(lines) = run.environment.logs(&fault.target, query).await
            && !lines.is_empty()
        {
            let size = lines.iter().map(|line| line.text.len()).sum();
            let Some(rest) = left.checked_sub(size) else {
                return run
                    .recorder
                    .warn("the logs around further faults are not kept: these took 4 MiB already".to_owned());
            };
            left = rest;
            let reason = format!("around {} of {} by {}", fault.action, fault.target, fault.step);
            run.recorder.emit(EventKind::Log { excerpt: LogExcerpt { source: fault.target.clone(), reason, lines } });
        }
    }
}

/// Keeps the log of the clients.
pub(super) fn keep_client(run: &SharedRun, lines: Vec<ClientLog>) {
    if lines.is_empty() {
        return;
    }
    let lines = lines
        .into_iter()
        .map(|line| LogLine {
            at_ms: u64::try_from(line.time_us / 1000).ok(),
            text: format!("{} {}: {}", line.client, line.facility, line.message),
        })
        .collect();
    let excerpt = LogExcerpt { source: "client".to_owned(), reason: "librdkafka's own log".to_owned(), lines };
    run.recorder.emit(EventKind::Log { excerpt });
}

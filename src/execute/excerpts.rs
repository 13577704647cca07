//! Keeps the log lines around each fault.

use super::run::Run;
use crate::environment::LogQuery;
use crate::record::{EventKind, FaultRecord, LogExcerpt};

/// Seconds before and after a fault whose log lines are kept.
const MARGIN: f64 = 5.0;
/// Most lines kept of one service around one fault.
const LINES: usize = 200;

/// Keeps the log lines of every disturbed service around each fault.
pub(super) async fn keep(run: &Run, faults: &[FaultRecord]) {
    for fault in faults {
        if !run.environment.services().iter().any(|service| service.name == fault.target) {
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
            let reason = format!("around {} of {} by {}", fault.action, fault.target, fault.step);
            run.recorder
                .emit(EventKind::Log { excerpt: LogExcerpt { source: fault.target.clone(), reason, lines } });
        }
    }
}

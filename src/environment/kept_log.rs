//! What is kept of the logs of containers that are gone.

use super::LogLine;
use std::time::SystemTime;

/// Lines kept of each container that is about to be removed, since nothing else keeps any.
pub(super) const KEPT_LINES: usize = 10_000;

/// The lines, and why some may be missing.
#[derive(Debug, Default)]
pub(super) struct KeptLog {
    lines: Vec<LogLine>,
    /// With the time before which lines are missing, in ms since the Unix epoch; `None` where they may be of any time.
    gaps: Vec<(Option<u64>, String)>,
}

impl KeptLog {
    pub(super) fn lines(&self) -> &[LogLine] {
        &self.lines
    }

    /// Keeps the lines of one container; where there are as many as are kept, there may have been more before them.
    pub(super) fn keep(&mut self, lines: Vec<LogLine>) {
        if lines.len() >= KEPT_LINES {
            self.lacks_before(lines.first().and_then(|line| line.at_ms));
        }
        self.lines.extend(lines);
    }

    /// Keeps a line.
    pub(super) fn push(&mut self, line: LogLine) {
        self.lines.push(line);
    }

    /// There were more lines of a container before this time than are kept of one, or there may have been; in ms since the Unix epoch.
    pub(super) fn lacks_before(&mut self, at_ms: Option<u64>) {
        self.gaps.push((at_ms, format!("of a container that is gone only the last {KEPT_LINES} lines were kept")));
    }

    /// The lines of a container could not be read.
    pub(super) fn missed(&mut self, why: String) {
        self.gaps.push((None, why));
    }

    /// The lines of a container that is gone since that time, at the latest, were not read.
    pub(super) fn missed_until(&mut self, at: SystemTime, why: String) {
        let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        self.gaps.push((u64::try_from(at).ok(), why));
    }

    /// Why lines since this time may be missing; `None` where all are there.
    pub(super) fn gap(&self, since: SystemTime) -> Option<String> {
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let touches = |until: &Option<u64>| until.is_none_or(|until| u128::from(until) > since);
        self.gaps.iter().find(|(until, _)| touches(until)).map(|(_, why)| why.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_log_of_which_a_part_was_not_kept_says_so() {
        let line = |at_ms| LogLine { at_ms: Some(at_ms), text: "started".to_owned() };
        let since = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        let mut log = KeptLog::default();
        log.keep(vec![line(500)]);
        assert_eq!(log.gap(since(0)), None);
        log.keep((1_000..).take(KEPT_LINES).map(line).collect());
        assert!(log.gap(since(999)).is_some_and(|why| why.contains("10000")));
        assert_eq!(log.gap(since(1_000)), None, "what is missing is older");
        assert_eq!(log.lines().len(), KEPT_LINES + 1);
        log.missed("it could not be read".to_owned());
        assert_eq!(log.gap(since(u64::MAX / 2)).as_deref(), Some("it could not be read"));
    }
}

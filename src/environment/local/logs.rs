//! Reading the log file of a service.

use crate::environment::{LogLine, LogQuery};
use jiff::civil::DateTime;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The lines of a log file that a query asks for. Lines without a time of their own, such as those of a stack trace,
/// have the time of the line before them.
///
/// # Errors
/// The file cannot be read; a missing one is an empty log.
pub(super) fn read(path: &Path, query: LogQuery) -> io::Result<Vec<LogLine>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let (since, until) = (query.since.map(millis), query.until.map(millis));
    let mut reader = BufReader::new(file);
    let mut lines = VecDeque::new();
    let mut at_ms = None;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(lines.into());
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\n', '\r']);
        at_ms = stamped(text).or(at_ms);
        let wanted = match at_ms {
            Some(at) => since.is_none_or(|since| at >= since) && until.is_none_or(|until| at <= until),
            None => since.is_none(),
        };
        if wanted {
            lines.push_back(LogLine { at_ms, text: text.to_owned() });
            if query.tail.is_some_and(|tail| lines.len() > tail) {
                lines.pop_front();
            }
        }
    }
}

/// The last lines of a log that explain an end: frames of stack traces and the dump of the configuration left out.
pub(super) fn last_words(path: &Path) -> Vec<String> {
    let tail = LogQuery { tail: Some(400), ..LogQuery::default() };
    let lines = read(path, tail).unwrap_or_default();
    let telling = |line: &LogLine| !line.text.trim().is_empty() && !line.text.starts_with('\t');
    let mut words: Vec<String> = lines.into_iter().filter(telling).map(|line| line.text).collect();
    words.drain(..words.len().saturating_sub(12));
    words
}

/// The time at the start of a line: `[2026-01-31 23:59:59,123] …` in UTC, as log4j and PostgreSQL are set up here.
fn stamped(line: &str) -> Option<u64> {
    let stamp = line.strip_prefix('[')?.get(..23)?;
    let time: DateTime = stamp.replacen(',', ".", 1).parse().ok()?;
    let since_epoch = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
    u64::try_from(since_epoch).ok()
}

fn millis(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn lines_are_selected_by_time_and_number() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let text = "starting\n[1970-01-01 00:00:01,000] INFO a\n\tat frame\n[1970-01-01 00:00:02,500] INFO b\nlast";
        std::fs::write(file.path(), text).expect("written");
        let texts = |query| -> Vec<(Option<u64>, String)> {
            let lines = read(file.path(), query).expect("readable");
            lines.into_iter().map(|line| (line.at_ms, line.text)).collect()
        };
        assert_eq!(texts(LogQuery::default()).len(), 5);
        let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        let first = texts(LogQuery { since: at(1), until: at(2), tail: None });
        assert_eq!(first, [(Some(1000), "[1970-01-01 00:00:01,000] INFO a".into()), (Some(1000), "\tat frame".into())]);
        let last = texts(LogQuery { tail: Some(1), ..LogQuery::default() });
        assert_eq!(last, [(Some(2500), "last".to_owned())]);
        assert!(!last_words(file.path()).contains(&"\tat frame".to_owned()));
        assert!(read(Path::new("/nonexistent/log"), LogQuery::default()).expect("empty").is_empty());
    }
}

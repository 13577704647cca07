//! The log of a service, over all containers it had.

use super::engine::{Engine, parse_time, status, words};
use super::stack::{DockerStack, StackContainer};
use crate::environment::kept_log::KEPT_LINES;
use crate::environment::{EnvironmentError, EnvironmentResult, LogLine, LogQuery};
use crate::ground::lock;
use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;
use std::time::{Duration, SystemTime};

/// A broker tells its version in the first lines of each life.
const VERSION_LINES: usize = 2_000;

impl DockerStack {
    pub(super) async fn read_log(&self, member: &StackContainer, query: LogQuery) -> EnvironmentResult<Vec<LogLine>> {
        // Who looks may be the first to see that somebody has made it again.
        self.present(member).await?;
        let mut lines: Vec<LogLine> =
            lock(member.earlier_log()).lines().iter().filter(|line| within(line, &query)).cloned().collect();
        lines.extend(read(&self.engine, &member.id(), member.name(), &query).await?);
        if let Some(tail) = query.tail {
            lines.drain(..lines.len().saturating_sub(tail));
        }
        Ok(lines)
    }

    /// Keeps the log of a container that is about to be removed. A log that cannot be read does not stop the removal.
    pub(super) async fn keep_log(&self, member: &StackContainer, container: &str) {
        let query = LogQuery { tail: Some(KEPT_LINES), ..LogQuery::default() };
        let read = read(&self.engine, container, member.name(), &query).await;
        member.has_kept_log_of(container);
        let mut log = lock(member.earlier_log());
        match read {
            Ok(lines) => log.keep(lines),
            Err(error) => log.missed(format!("the log of a container that is gone could not be kept: {error}")),
        }
    }
}

async fn read(engine: &Engine, container: &str, service: &str, query: &LogQuery) -> EnvironmentResult<Vec<LogLine>> {
    // The engine takes the tail before it looks at times, so it can only do the one or the other.
    let tail = query.tail.filter(|_| query.since.is_none() && query.until.is_none());
    let seconds = |time: Option<SystemTime>, round_up: u64| {
        let time = time.map(|time| engine.engine_time(time).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        time.map_or(0, |time| i32::try_from(time.as_secs() + round_up).unwrap_or(i32::MAX))
    };
    let mut stream = engine.docker.logs(
        container,
        Some(LogsOptions {
            follow: false,
            stdout: true,
            stderr: true,
            since: seconds(query.since, 0),
            until: seconds(query.until, 1),
            timestamps: true,
            tail: tail.map_or_else(|| "all".to_owned(), |tail| tail.to_string()),
        }),
    );
    let mut lines = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| match status(&error) {
            Some(501) | Some(500) if words(&error).contains("logging driver") => EnvironmentError::Prerequisite {
                message: format!("the log of {service} cannot be read: {}", words(&error)),
                remedy: format!("give {service} `logging: {{ driver: json-file }}` in the compose file"),
            },
            _ => engine.explain(&format!("read the log of {service}"), &error),
        })?;
        let text = chunk.to_string();
        lines.extend(text.lines().map(|line| timed(engine, line)).filter(|line| within(line, query)));
    }
    Ok(lines)
}

/// Separates the time that the engine put in front of a line.
fn timed(engine: &Engine, line: &str) -> LogLine {
    let split = line.split_once(' ').and_then(|(time, text)| Some((parse_time(time)?, text)));
    let Some((at, text)) = split else { return LogLine { at_ms: None, text: line.to_owned() } };
    LogLine { at_ms: Some(millis(engine.local_time(at))), text: text.trim_end().to_owned() }
}

fn within(line: &LogLine, query: &LogQuery) -> bool {
    let Some(at) = line.at_ms else { return true };
    query.since.is_none_or(|since| at >= millis(since)) && query.until.is_none_or(|until| at <= millis(until))
}

fn millis(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX)
}

/// The Kafka version a broker printed when it started, without having to ask it.
pub(super) async fn kafka_version(engine: &Engine, container: &str) -> Option<String> {
    let mut stream = engine.docker.logs(
        container,
        Some(LogsOptions { stdout: true, stderr: true, tail: "all".to_owned(), ..Default::default() }),
    );
    let mut version = None;
    let mut read = 0;
    while let Some(Ok(chunk)) = stream.next().await {
        let text = chunk.to_string();
        if let Some(found) = text.lines().find_map(version_in) {
            version = Some(found);
            break;
        }
        read += 1;
        if read > VERSION_LINES {
            break;
        }
    }
    version
}

/// `Kafka version: 3.6.1`; Confluent's `7.6.0-ccs` is Apache's 3.6, its own patch level being another one.
fn version_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("Kafka version: ")?;
    let version = rest.split_whitespace().next()?;
    let number = version.split('-').next()?;
    if !version.contains("-cc") && !version.contains("-ce") {
        return Some(number.to_owned());
    }
    let mut parts = number.split('.').map_while(|part| part.parse::<u32>().ok());
    let (major, minor) = (parts.next()?, parts.next()?);
    // Confluent Platform 7.x is Kafka 3.x, 8.x is 4.x.
    Some(format!("{}.{minor}", major.checked_sub(4)?))
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn a_brokers_log_tells_its_version() {
        let version = |line| version_in(line);
        assert_eq!(version("[2024] INFO Kafka version: 3.6.1 (o.a.k.AppInfoParser)").as_deref(), Some("3.6.1"));
        assert_eq!(version("[2024] INFO Kafka version: 7.6.0-ccs (o.a.k.AppInfoParser)").as_deref(), Some("3.6"));
        assert_eq!(version("[2024] INFO Kafka commitId: 5e3c2b738d253ff5").as_deref(), None);
    }
}

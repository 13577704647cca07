//! The log of a service, over all pods and containers that it had while kscen was attached.

use super::member::PodMember;
use super::pod::SeenPod;
use super::stack::PodStack;
use crate::environment::kept_log::KEPT_LINES;
use crate::environment::{EnvironmentResult, LogLine, LogQuery};
use crate::ground::lock;
use futures_util::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Log lines that accompany a failure.
const LOG_LINES: usize = 20;

impl PodStack {
    pub(super) async fn read_log(&self, member: &PodMember, query: LogQuery) -> EnvironmentResult<Vec<LogLine>> {
        let mut lines = lock(&member.earlier_log).lines().to_vec();
        let mut gap = None;
        if let Some(pod) = member.book().pod {
            let api = self.pods();
            let since_time = query.since.and_then(|since| jiff::Timestamp::try_from(since).ok());
            let params = LogParams {
                container: Some(pod.container.clone()),
                timestamps: true,
                since_time,
                tail_lines: i64::try_from(query.tail.unwrap_or(KEPT_LINES)).ok(),
                ..LogParams::default()
            };
            if pod.restarts() > 0 {
                match api.logs(pod.name(), &LogParams { previous: true, ..params.clone() }).await {
                    Ok(before) => {
                        gap = cut(&before);
                        lines.extend(before.lines().map(timed));
                    }
                    // The node keeps it for a while only.
                    Err(error) if pod.began_since(since_time) => {
                        gap = Some(format!("the log of its container before the last restart cannot be read: {error}"));
                    }
                    Err(_) => {}
                }
                if pod.had_others_since(since_time) {
                    gap = Some(
                        "its container was restarted more than once, and the node keeps two logs of it".to_owned(),
                    );
                }
            }
            match api.logs(pod.name(), &params).await {
                Ok(text) => {
                    gap = gap.or_else(|| cut(&text));
                    lines.extend(text.lines().map(timed));
                }
                // There is none where it does not run.
                Err(_) if pod.running().is_none() => {}
                Err(error) => return Err(self.kube.explain(&format!("read the log of {}", member.name), error)),
            }
        }
        lines.retain(|line| within(line, &query));
        // One that ended while it was read may have been read twice.
        lines.dedup();
        match query.tail {
            Some(tail) => drop(lines.drain(..lines.len().saturating_sub(tail))),
            None => *lock(&member.log_gap) = gap,
        }
        Ok(lines)
    }

    /// Follows the log of a pod that is about to be deleted, to its last line.
    pub(super) fn keep_log(&self, member: &PodMember, pod: &SeenPod) {
        let (api, name, kept) = (self.pods(), pod.name().to_owned(), Arc::clone(&member.earlier_log));
        let params = LogParams {
            container: Some(pod.container.clone()),
            timestamps: true,
            follow: true,
            tail_lines: i64::try_from(KEPT_LINES).ok(),
            ..LogParams::default()
        };
        let limit = Duration::from_secs(pod.grace() + 60);
        tokio::spawn(async move {
            let (mut first, mut count) = (None, 0);
            let read = async {
                let stream = pin!(api.log_stream(&name, &params).await?);
                let mut lines = stream.lines();
                // It may end with an error where its pod ends.
                while let Ok(Some(line)) = lines.try_next().await {
                    let (line, mut log) = (timed(&line), lock(&kept));
                    first = first.or(line.at_ms);
                    count += 1;
                    if count == KEPT_LINES {
                        log.lacks_before(first);
                    }
                    log.push(line);
                }
                Ok::<(), kube::Error>(())
            };
            // A log that cannot be read stops nothing.
            if let Ok(Err(error)) = tokio::time::timeout(limit, read).await {
                lock(&kept).missed(format!("the log of a pod that is gone could not be kept: {error}"));
            }
        });
    }

    pub(super) async fn last_lines(&self, member: &PodMember) -> Vec<String> {
        let query = LogQuery { tail: Some(LOG_LINES), ..LogQuery::default() };
        let lines = self.read_log(member, query).await.unwrap_or_default();
        lines.into_iter().map(|line| line.text).collect()
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.kube.client.clone(), &self.kube.namespace)
    }
}

/// Why a log is not whole: there are as many lines as are asked for at most.
fn cut(text: &str) -> Option<String> {
    let all = text.lines().count();
    (all >= KEPT_LINES).then(|| format!("only the last {all} lines of it were read"))
}

/// Separates the time that the node put in front of a line.
fn timed(line: &str) -> LogLine {
    let split = line.split_once(' ').and_then(|(time, text)| {
        let at: jiff::Timestamp = time.parse().ok()?;
        Some(LogLine { at_ms: u64::try_from(at.as_millisecond()).ok(), text: text.trim_end().to_owned() })
    });
    split.unwrap_or_else(|| LogLine { at_ms: None, text: line.to_owned() })
}

fn within(line: &LogLine, query: &LogQuery) -> bool {
    let Some(at) = line.at_ms else { return true };
    let millis = |time: SystemTime| {
        u64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    };
    query.since.is_none_or(|since| at >= millis(since)) && query.until.is_none_or(|until| at <= millis(until))
}

#[cfg(test)]
mod tests {
    use super::timed;

    #[test]
    fn the_time_of_a_line_is_read() {
        let line = timed("2026-01-02T03:04:05.678901234Z [1] started ");
        assert_eq!((line.at_ms, line.text.as_str()), (Some(1_767_323_045_678), "[1] started"));
        assert_eq!(timed("no time").at_ms, None);
    }
}

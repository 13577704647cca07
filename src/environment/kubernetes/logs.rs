//! The log of a service, over all pods and containers that it had while kscen was attached.

use super::member::PodMember;
use super::pod::SeenPod;
use super::pods::Pods;
use super::stack::PodStack;
use crate::environment::kept_log::KEPT_LINES;
use crate::environment::{EnvironmentResult, LogLine, LogQuery};
use crate::ground::lock;
use futures_util::{AsyncBufReadExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Log lines that accompany a failure.
const LOG_LINES: usize = 20;
/// How late the API may tell that a container has ended.
const TOLD: Duration = Duration::from_secs(10);
/// How far the clock of a node may be ahead, and by how much it rounds.
const SKEW: Duration = Duration::from_secs(2);

impl PodStack {
    pub(super) async fn read_log(&self, member: &PodMember, query: LogQuery) -> EnvironmentResult<Vec<LogLine>> {
        let mut lines = lock(&member.earlier_log).lines().to_vec();
        let mut gap = None;
        if let Some(pod) = member.book().pod {
            let api = self.pods();
            let since_time = query.since.and_then(|since| Timestamp::try_from(since).ok());
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
        lock(&member.followed).insert(pod.uid().to_owned());
        let end = AwaitedEnd::of(member, pod);
        tokio::spawn(async move {
            let (mut first, mut count) = (None, 0);
            let read = async {
                let stream = pin!(api.log_stream(&name, &params).await?);
                let mut lines = stream.lines();
                while let Some(line) = lines.try_next().await.map_err(kube::Error::ReadEvents)? {
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
            let (read, broke) = (tokio::time::timeout(limit, read).await, Timestamp::now());
            // It ends where its pod ends, with an error or without; before that it was cut off.
            let (ends, why) = match read {
                Ok(Ok(())) => (true, "its stream ended before the container".to_owned()),
                Ok(Err(error)) => (matches!(error, kube::Error::ReadEvents(_)), error.to_string()),
                Err(_) => (false, format!("it went on for {} s", limit.as_secs())),
            };
            if ends && end.came_before(broke).await {
                return;
            }
            lock(&kept).missed(format!("the log of a pod that is gone could not be kept: {why}"));
        });
    }

    /// Why lines since then may be missing from its log, as it was read last.
    pub(super) fn gap(&self, member: &PodMember, since: SystemTime) -> Option<String> {
        let earlier = lock(&member.earlier_log).gap(since);
        let earlier = earlier.or_else(|| unread(member.book().left(), &lock(&member.followed), since));
        earlier.or_else(|| lock(&member.log_gap).clone())
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

/// The end of a container, which the API tells some time after it came.
struct AwaitedEnd {
    pods: Arc<Pods>,
    place: String,
    pod: String,
    container: String,
}

impl AwaitedEnd {
    fn of(member: &PodMember, pod: &SeenPod) -> Self {
        Self {
            pods: Arc::clone(&member.pods),
            place: member.place.clone(),
            pod: pod.uid().to_owned(),
            container: pod.running().unwrap_or_default().to_owned(),
        }
    }

    /// Whether it had come by then, as far as its node's clock tells.
    async fn came_before(&self, at: Timestamp) -> bool {
        let finished = self
            .pods
            .until(&self.place, TOLD, |book| book.last(&self.pod).and_then(|pod| pod.finished(&self.container)));
        finished.await.is_some_and(|finished| finished <= at + SKEW)
    }
}

/// Why a log is not whole: pods in which the service ran were replaced by somebody else since then, with their logs.
fn unread(left: &[(String, String, SystemTime)], followed: &BTreeSet<String>, since: SystemTime) -> Option<String> {
    let mut lost = left.iter().filter(|(uid, _, at)| !followed.contains(uid) && *at > since);
    lost.next().map(|(_, name, _)| format!("pod {name} was replaced by somebody else, with its log"))
}

/// Why a log is not whole: there are as many lines as are asked for at most.
fn cut(text: &str) -> Option<String> {
    let all = text.lines().count();
    (all >= KEPT_LINES).then(|| format!("only the last {all} lines of it were read"))
}

/// Separates the time that the node put in front of a line.
fn timed(line: &str) -> LogLine {
    let split = line.split_once(' ').and_then(|(time, text)| {
        let at: Timestamp = time.parse().ok()?;
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
    use super::*;

    #[test]
    fn a_pod_that_somebody_else_replaced_takes_its_log_with_it() {
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let left = [("u1".to_owned(), "connect-a".to_owned(), at(50))];
        let why = unread(&left, &BTreeSet::new(), at(10)).expect("a gap");
        assert_eq!(why, "pod connect-a was replaced by somebody else, with its log");
        assert_eq!(unread(&left, &BTreeSet::from(["u1".to_owned()]), at(10)), None, "a step has kept it");
        assert_eq!(unread(&left, &BTreeSet::new(), at(60)), None, "before what is asked for");
    }

    #[test]
    fn the_time_of_a_line_is_read() {
        let line = timed("2026-01-02T03:04:05.678901234Z [1] started ");
        assert_eq!((line.at_ms, line.text.as_str()), (Some(1_767_323_045_678), "[1] started"));
        assert_eq!(timed("no time").at_ms, None);
    }
}

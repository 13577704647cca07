//! CPU and memory of a container, from the engine's reading of its cgroup (v1 or v2).

use super::engine::{Engine, parse_time};
use super::stack::{DockerStack, StackContainer};
use crate::environment::{EnvironmentResult, Usage};
use crate::ground::lock;
use bollard::models::{ContainerStatsResponse, HostConfig};
use bollard::query_parameters::StatsOptions;
use futures_util::StreamExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running container is sampled every second; where the first sample takes longer, the figures are older.
const PATIENCE: Duration = Duration::from_secs(3);

/// Follows the engine's samples of one service, from when its usage is first asked for.
#[derive(Default)]
pub(super) struct Meter {
    account: Arc<Mutex<Account>>,
    feed: Mutex<Option<Feed>>,
}

/// The stream of samples of one container.
struct Feed {
    container: String,
    /// Time of the latest sample, by the engine's clock.
    sampled: watch::Receiver<Option<SystemTime>>,
    task: JoinHandle<()>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// CPU time over the lives of a service: each has a cgroup of its own, whose counter begins at zero.
#[derive(Debug, Default)]
struct Account {
    /// Of the present life, in seconds.
    current: f64,
    /// Of all lives before it, in seconds, each up to its last sample.
    earlier: f64,
    online_cpus: f64,
    memory: u64,
    working_set: u64,
}

impl Account {
    fn enter(&mut self, stats: &ContainerStatsResponse) {
        let cpu = stats.cpu_stats.as_ref();
        let nanos = cpu.and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage).unwrap_or_default();
        let seconds = nanos as f64 / 1e9;
        if seconds < self.current {
            self.earlier += self.current;
        }
        self.current = seconds;
        self.online_cpus = f64::from(cpu.and_then(|cpu| cpu.online_cpus).unwrap_or_default()).max(self.online_cpus);
        (self.memory, self.working_set) = memory(stats);
    }
}

impl Meter {
    /// The feed of this container; a new one where there is none or the service got another container.
    fn follow(&self, engine: &Engine, container: &str) -> watch::Receiver<Option<SystemTime>> {
        let mut feed = lock(&self.feed);
        if let Some(feed) = feed.as_ref().filter(|feed| feed.container == container && !feed.task.is_finished()) {
            return feed.sampled.clone();
        }
        let (samples, sampled) = watch::channel(None);
        let (docker, id, account) = (engine.docker.clone(), container.to_owned(), Arc::clone(&self.account));
        let task = tokio::spawn(async move {
            let mut stream = docker.stats(&id, Some(StatsOptions { stream: true, one_shot: false }));
            while let Some(Ok(stats)) = stream.next().await {
                lock(&account).enter(&stats);
                samples.send_replace(stats.read.as_deref().and_then(parse_time));
            }
        });
        *feed = Some(Feed { container: container.to_owned(), sampled: sampled.clone(), task });
        sampled
    }
}

impl DockerStack {
    pub(super) async fn read_usage(&self, member: &StackContainer) -> EnvironmentResult<Option<Usage>> {
        let container = self.inspect(member).await?;
        let meter = member.meter();
        if !container.is_down() {
            let mut sampled = meter.follow(&self.engine, container.id());
            let started = container.started_at();
            // Not a sample of the life before this one.
            let fresh = sampled.wait_for(|at| at.is_some() && *at >= started);
            let _ = tokio::time::timeout(PATIENCE, fresh).await;
        }
        let disk = member.disk().bytes(&self.engine, &container).await;
        let account = lock(&meter.account);
        let memory = |bytes: u64| if container.is_down() { 0 } else { bytes };
        Ok(Some(Usage {
            cpu_seconds: account.earlier + account.current,
            cpus: allowed_cpus(container.0.host_config.as_ref(), account.online_cpus),
            memory: memory(account.memory),
            working_set: memory(account.working_set),
            disk,
        }))
    }
}

/// Anonymous memory, and that with mapped file pages: what `ps` calls resident, without the page cache of the log.
/// cgroup v1 says `total_rss` and `total_mapped_file`, v2 `anon` and `file_mapped`.
fn memory(stats: &ContainerStatsResponse) -> (u64, u64) {
    let Some(memory) = stats.memory_stats.as_ref() else { return (0, 0) };
    let total = memory.usage.unwrap_or_default();
    let figure = |names: [&str; 2]| names.iter().find_map(|name| memory.stats.as_ref()?.get(*name).copied());
    let anonymous = figure(["total_rss", "anon"]).unwrap_or(total);
    let mapped = figure(["total_mapped_file", "file_mapped"]).unwrap_or_default();
    (anonymous, anonymous + mapped)
}

/// The CPUs a container may use: its quota or its set, at most those that are online.
fn allowed_cpus(limits: Option<&HostConfig>, online: f64) -> f64 {
    let Some(limits) = limits else { return online };
    let positive = |value: Option<i64>| value.filter(|value| *value > 0).map(|value| value as f64);
    let quota = positive(limits.nano_cpus)
        .map(|nanos| nanos / 1e9)
        .or_else(|| Some(positive(limits.cpu_quota)? / positive(limits.cpu_period).unwrap_or(100_000.0)));
    let set = limits.cpuset_cpus.as_deref().filter(|set| !set.is_empty()).map(count_cpus);
    online.min(quota.unwrap_or(online)).min(set.unwrap_or(online))
}

/// Counts a set such as `0-3,6`.
fn count_cpus(set: &str) -> f64 {
    let size = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        Some(last.checked_sub(first)? + 1)
    };
    f64::from(set.split(',').filter_map(size).sum::<u32>())
}

#[cfg(test)]
mod tests {
    use super::{allowed_cpus, memory};
    use bollard::models::{ContainerMemoryStats, ContainerStatsResponse, HostConfig};

    fn stats(figures: &[(&str, u64)]) -> ContainerStatsResponse {
        let stats = figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let memory = ContainerMemoryStats { usage: Some(900), stats: Some(stats), ..Default::default() };
        ContainerStatsResponse { memory_stats: Some(memory), ..Default::default() }
    }

    #[test]
    fn both_cgroup_versions_give_anonymous_memory() {
        let v1 = [("cache", 500), ("rss", 1), ("total_rss", 300), ("total_mapped_file", 40)];
        assert_eq!(memory(&stats(&v1)), (300, 340));
        assert_eq!(memory(&stats(&[("anon", 300), ("file", 500), ("file_mapped", 40)])), (300, 340));
        assert_eq!(memory(&stats(&[])), (900, 900), "an engine without details");
    }

    #[test]
    fn a_limit_of_cpus_is_the_base_of_shares() {
        let quota = HostConfig { nano_cpus: Some(1_500_000_000), ..Default::default() };
        let period = HostConfig { cpu_quota: Some(50_000), cpu_period: Some(100_000), ..Default::default() };
        let set = HostConfig { cpuset_cpus: Some("0-2,7".into()), ..Default::default() };
        assert_eq!(allowed_cpus(Some(&quota), 8.0), 1.5);
        assert_eq!(allowed_cpus(Some(&period), 8.0), 0.5);
        assert_eq!(allowed_cpus(Some(&set), 8.0), 4.0);
        assert_eq!(allowed_cpus(Some(&HostConfig::default()), 8.0), 8.0);
    }
}

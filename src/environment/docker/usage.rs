//! CPU and memory of a container, from the engine's reading of its cgroup (v1 or v2).

use super::container::Container;
use super::stack::{DockerStack, Member};
use crate::environment::{EnvironmentResult, Usage};
use bollard::models::{ContainerStatsResponse, HostConfig};
use bollard::query_parameters::StatsOptions;
use futures_util::StreamExt;
use std::sync::PoisonError;
use std::time::SystemTime;

/// CPU time over the lives of a service: each life has a cgroup of its own that counts from zero.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Container and start of the life last seen.
    life: Option<(String, Option<SystemTime>)>,
    /// Of that life, in seconds.
    current: f64,
    /// Of all lives before it, in seconds, each up to when it was last looked at.
    earlier: f64,
    cpus: f64,
}

impl Meter {
    fn enter(&mut self, life: (String, Option<SystemTime>)) {
        if self.life.as_ref() != Some(&life) {
            self.earlier += self.current;
            self.current = 0.0;
            self.life = Some(life);
        }
    }
}

impl DockerStack {
    pub(super) async fn read_usage(&self, member: &Member) -> EnvironmentResult<Option<Usage>> {
        let container = self.inspect(member).await?;
        let stats = if container.is_down() { None } else { self.stats(member, &container).await? };
        let mut meter = member.meter().lock().unwrap_or_else(PoisonError::into_inner);
        let mut usage = Usage::default();
        if let Some(stats) = stats {
            meter.enter((container.id().to_owned(), container.started_at()));
            let cpu = stats.cpu_stats.as_ref();
            let nanos = cpu.and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage).unwrap_or_default();
            meter.current = nanos as f64 / 1e9;
            let online = cpu.and_then(|cpu| cpu.online_cpus).unwrap_or(1);
            meter.cpus = allowed_cpus(container.0.host_config.as_ref(), f64::from(online));
            (usage.memory, usage.working_set) = memory(&stats);
        }
        usage.cpu_seconds = meter.earlier + meter.current;
        usage.cpus = meter.cpus;
        Ok(Some(usage))
    }

    async fn stats(&self, member: &Member, container: &Container) -> EnvironmentResult<Option<ContainerStatsResponse>> {
        let options = StatsOptions { stream: false, one_shot: true };
        match self.engine.docker.stats(container.id(), Some(options)).next().await {
            Some(Ok(stats)) => Ok(Some(stats)),
            None => Ok(None),
            Some(Err(error)) if super::engine::status(&error) == Some(404) => Ok(None),
            Some(Err(error)) => Err(self.engine.explain(&format!("read the usage of {}", member.name()), &error)),
        }
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

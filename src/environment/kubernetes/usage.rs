//! CPU and memory of a service, read from the cgroup of its container (v1 or v2) by the shell in it.

use super::member::PodMember;
use super::stack::PodStack;
use crate::environment::{EnvironmentError, EnvironmentResult, Lifecycle, Usage};
use crate::ground::lock;

/// CPU time over the lives of a service: each has a cgroup of its own, whose counter begins at zero.
#[derive(Debug, Default)]
pub(super) struct PodMeter {
    /// Of the present life, in seconds.
    current: f64,
    /// Of all lives before it, in seconds, each up to its last reading.
    earlier: f64,
    /// Whether the API refused a shell, or there is none in its image.
    refused: bool,
}

impl PodStack {
    /// Nothing while it is down or paused: the counters of a life that ended are gone. Nothing, and no shell, where the scenario needs none
    /// in the containers; where one was refused, it is not asked for again.
    pub(super) async fn read_usage(&self, member: &PodMember) -> EnvironmentResult<Option<Usage>> {
        if !self.may_exec || lock(&member.meter).refused || member.book().lifecycle() != Lifecycle::Running {
            return Ok(None);
        }
        let answer = member.ask(&self.kube, "usage").await;
        if matches!(answer, Err(EnvironmentError::Prerequisite { .. })) {
            lock(&member.meter).refused = true;
        }
        let answer = answer?;
        let mut meter = lock(&member.meter);
        Ok(read(&answer, &mut meter))
    }
}

fn read(answer: &str, meter: &mut PodMeter) -> Option<Usage> {
    let figure = |name: &str| {
        let pairs = answer.split(' ').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(own, _)| *own == name).find_map(|(_, value)| value.parse::<f64>().ok())
    };
    let seconds = figure("usage_usec").map(|micros| micros / 1e6).or_else(|| Some(figure("usage_nsec")? / 1e9))?;
    if seconds < meter.current {
        meter.earlier += meter.current;
    }
    meter.current = seconds;
    let online = figure("online")?;
    // Without a limit the quota is a word, or negative.
    let quota =
        figure("quota").filter(|quota| *quota > 0.0).zip(figure("period")).map(|(quota, period)| quota / period);
    let memory = figure("total_rss").or_else(|| figure("anon"))?;
    let mapped = figure("total_mapped_file").or_else(|| figure("file_mapped")).unwrap_or_default();
    Some(Usage {
        cpu_seconds: meter.earlier + meter.current,
        cpus: quota.map_or(online, |quota| quota.min(online)),
        memory: memory as u64,
        working_set: (memory + mapped) as u64,
        disk: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_cgroup_versions_are_read_over_lives() {
        let mut meter = PodMeter::default();
        let v2 = "usage online=4 usage_usec=2500000 anon=300 file_mapped=40 quota=150000 period=100000";
        let usage = read(v2, &mut meter).expect("usage");
        assert_eq!((usage.cpu_seconds, usage.cpus, usage.memory, usage.working_set), (2.5, 1.5, 300, 340));
        let v1 = "usage online=2 total_rss=300 total_mapped_file=40 usage_nsec=500000000 quota=-1 period=100000";
        let usage = read(v1, &mut meter).expect("usage");
        assert_eq!((usage.cpu_seconds, usage.cpus, usage.memory), (3.0, 2.0, 300), "the life before counts");
        assert!(read("usage online=2", &mut meter).is_none(), "what cannot be read is nothing, never zero");
    }
}

//! CPU, memory and disk of a service, from `/proc` and the file system.

use super::procfs::{Stat, status_bytes};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What the kernel accounts to the processes of a service now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Footprint {
    /// CPU time of this life, in clock ticks.
    pub(super) ticks: u64,
    /// Anonymous memory, in bytes.
    pub(super) anonymous: u64,
    /// Resident memory, in bytes.
    pub(super) resident: u64,
}

/// Footprint of a process and of those it consists of beside itself.
pub(super) fn footprint(leader: i32, family: &[i32]) -> Footprint {
    let mut sum = Footprint::default();
    for &pid in [leader].iter().chain(family) {
        if let Some(stat) = Stat::of(pid) {
            sum.ticks += stat.ticks + if pid == leader { stat.children_ticks } else { 0 };
        }
        if let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) {
            sum.anonymous += status_bytes(&status, "RssAnon").unwrap_or(0);
            sum.resident += status_bytes(&status, "VmRSS").unwrap_or(0);
        }
    }
    sum
}

/// Bytes that the files below a folder occupy. Preallocated files count with what is really allocated; files that
/// vanish meanwhile count nothing.
pub(super) fn disk(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => disk(&entry.path()),
            Ok(data) => data.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

/// CPUs that processes of this machine may use.
pub(super) fn cpus() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_footprint() {
        let mine = footprint(i32::try_from(std::process::id()).expect("a pid"), &[]);
        assert!(mine.anonymous > 0 && mine.resident >= mine.anonymous);
    }

    #[test]
    fn sparse_files_count_as_allocated() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("sub")).expect("writable");
        fs::write(dir.path().join("sub/data"), vec![1; 10_000]).expect("writable");
        fs::File::create(dir.path().join("index")).and_then(|file| file.set_len(10 << 20)).expect("writable");
        let bytes = disk(dir.path());
        assert!((10_000..1 << 20).contains(&bytes), "{bytes}");
    }
}

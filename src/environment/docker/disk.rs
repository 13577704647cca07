//! Bytes that the data of a service occupies, measured by `du` inside its container.

use super::container::Container;
use super::engine::Engine;
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use futures_util::StreamExt;
use std::time::{Duration, Instant};

/// A process in the container costs some ten milliseconds of CPU, so the last figure is used for this long.
const KEEP: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(3);

/// The last figure of one service.
#[derive(Debug, Default)]
pub(super) struct DiskFigure(tokio::sync::Mutex<Option<(Instant, Option<u64>)>>);

impl DiskFigure {
    /// Nothing is measured while this is held.
    pub(super) async fn still(&self) -> impl Drop + '_ {
        self.0.lock().await
    }

    /// The bytes, at most ten seconds old; while the container does not run, those of when it did.
    pub(super) async fn bytes(&self, engine: &Engine, container: &Container) -> Option<u64> {
        let mut last = self.0.lock().await;
        let known = last.and_then(|(_, bytes)| bytes);
        if !container.is_running() || last.is_some_and(|(at, _)| at.elapsed() < KEEP) {
            return known;
        }
        let measured = tokio::time::timeout(PATIENCE, measure(engine, container)).await.ok().flatten();
        *last = Some((Instant::now(), measured.or(known)));
        measured.or(known)
    }
}

/// `None` where nothing is mounted to hold data, or the image has no `du`.
async fn measure(engine: &Engine, container: &Container) -> Option<u64> {
    let mounts = container.0.mounts.iter().flatten().filter(|mount| mount.rw != Some(false));
    let folders: Vec<String> = mounts.filter_map(|mount| mount.destination.clone()).collect();
    if folders.is_empty() {
        return None;
    }
    // -k: the only unit that every `du` knows.
    let cmd = ["du".to_owned(), "-sk".to_owned()].into_iter().chain(folders).collect();
    let exec = ExecConfig { attach_stdout: Some(true), cmd: Some(cmd), ..Default::default() };
    let exec = engine.docker.create_exec(container.id(), exec).await.ok()?;
    let StartExecResults::Attached { mut output, .. } = engine.docker.start_exec(&exec.id, None).await.ok()? else {
        return None;
    };
    let mut text = String::new();
    while let Some(Ok(chunk)) = output.next().await {
        text.push_str(&chunk.to_string());
    }
    sum(&text)
}

/// Adds up lines such as `4096  /var/lib/kafka/data`, in KiB. Files that vanish under `du` make it fail with the sum right.
fn sum(text: &str) -> Option<u64> {
    let sizes: Vec<u64> = text.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok()).collect();
    (!sizes.is_empty()).then(|| sizes.iter().sum::<u64>() * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_folders_of_a_container_are_added_up() {
        assert_eq!(super::sum("12\t/var/lib/kafka/data\n4\t/etc/kafka\n"), Some(16 << 10));
        assert_eq!(super::sum("sh: du: not found"), None);
    }
}

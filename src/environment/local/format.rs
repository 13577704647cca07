//! Fresh data folders, as `kafka-storage format` would make them, without starting Java each time.

use super::cache::{cache_dir, once};
use super::cluster::random_id;
use super::jvm::Runtime;
use super::process::ProcessLife;
use crate::environment::{EnvironmentError, EnvironmentResult};
use crate::ground::private;
use crate::ground::scratch::Scratch;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What a node finds in its data folder at its first start.
#[derive(Clone, Debug)]
pub(super) struct StorageFormat {
    /// The data folder.
    pub(super) data: PathBuf,
    /// Id of the cluster.
    pub(super) cluster: String,
    /// Kafka's node id.
    pub(super) node: i32,
    /// For Kafka 4: the file that sets the feature versions of a new cluster.
    pub(super) bootstrap: Option<PathBuf>,
}

impl StorageFormat {
    /// Empties the folder (it stays, since it may be a file system of its own) and writes the first files.
    ///
    /// # Errors
    /// The file system refuses; a full disk for instance.
    pub(super) fn apply(&self) -> io::Result<()> {
        private::create_dir_all(&self.data)?;
        for entry in fs::read_dir(&self.data)? {
            let path = entry?.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        let mut text = format!("version=1\ncluster.id={}\nnode.id={}\n", self.cluster, self.node);
        if let Some(bootstrap) = &self.bootstrap {
            text.push_str(&format!("directory.id={}\n", random_id()));
            fs::copy(bootstrap, self.data.join("bootstrap.checkpoint"))?;
        }
        fs::write(self.data.join("meta.properties"), text)
    }
}

/// The `bootstrap.checkpoint` of a Kafka version, made once with Kafka's own tool. Kafka 3 needs none.
///
/// # Errors
/// The tool fails; its output is in the message.
pub(super) async fn bootstrap_checkpoint(
    runtime: &Runtime,
    progress: &(dyn Fn(String) + Sync),
) -> EnvironmentResult<Option<PathBuf>> {
    if runtime.jars.major() < 4 {
        return Ok(None);
    }
    let path = cache_dir()?.join("format").join(format!("{}.checkpoint", runtime.jars.version));
    once(&path, async |result: &Path| {
        progress(format!("asking Kafka {} for its storage format (the first time only)", runtime.jars.version));
        let failed = |error: io::Error| EnvironmentError::caused("could not format storage", error);
        let scratch = Scratch::new().map_err(failed)?;
        let (settings, data) = (scratch.path().join("server.properties"), scratch.path().join("data"));
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:1\n\
             listeners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1\ncontroller.listener.names=CONTROLLER\n\
             log.dirs={}\n",
            data.display()
        );
        fs::write(&settings, text).map_err(failed)?;
        let args = ["format", "-t", &random_id(), "-c", &settings.display().to_string()].map(str::to_owned);
        let log = scratch.path().join("log");
        let life = ProcessLife::start(runtime.launch("kafka.tools.StorageTool", &args, &[], scratch.path(), &log));
        let ended = life.await.map_err(failed)?.ended().await;
        fs::copy(data.join("bootstrap.checkpoint"), result).map_err(|error| {
            let output = super::logs::last_words(&log).join("\n  ");
            EnvironmentError::failed(format!("kafka-storage format failed ({}; {error}):\n  {output}", ended.how))
        })?;
        Ok(())
    })
    .await?;
    Ok(Some(path))
}

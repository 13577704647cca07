//! Class-data archives: the classes a process loads at start, parsed once and mapped ever after. They halve the start
//! of a broker. Without one everything works, only slower.

use super::cache::{cache_dir, once};
use super::jvm::Runtime;
use crate::environment::{EnvironmentError, EnvironmentResult};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Dynamic archives came with this Java.
const FIRST_JAVA: u32 = 13;
/// How long a process may take to write the archive at its end; seconds, on a busy machine many.
pub(super) const WRITING: Duration = Duration::from_secs(180);

/// Where the archive for `role` belongs; it fits one Java, one class path and one set of flags only.
fn location(runtime: &Runtime, role: &str) -> EnvironmentResult<PathBuf> {
    let mut hasher = DefaultHasher::new();
    (&runtime.java.program, &runtime.java.version, runtime.jars.class_path(), &runtime.flags).hash(&mut hasher);
    let name = format!("{role}-{}-{:016x}.jsa", runtime.jars.version, hasher.finish());
    Ok(cache_dir()?.join("class-data").join(name))
}

/// The flags that use the archive for `role`, which is made first where absent.
///
/// `rehearse` is given extra flags, starts a process with them, has it load what it needs and ends it by SIGTERM, at
/// which Java writes the archive. Whatever goes wrong is told to `progress` and means no archive, never a failed start.
pub(super) async fn flags<F>(
    runtime: &Runtime,
    role: &str,
    progress: &(dyn Fn(String) + Sync),
    rehearse: F,
) -> Vec<String>
where
    F: AsyncFnOnce(Vec<String>) -> EnvironmentResult<()>,
{
    if runtime.java.feature < FIRST_JAVA {
        return Vec::new();
    }
    let Ok(archive) = location(runtime, role) else { return Vec::new() };
    let made = once(&archive, async |scratch: &Path| {
        progress(format!("preparing a class-data archive for {role} (the first time only, about 10 s)"));
        rehearse(vec![format!("-XX:ArchiveClassesAtExit={}", scratch.display())]).await?;
        if scratch.exists() { Ok(()) } else { Err(EnvironmentError::failed("Java wrote no archive")) }
    })
    .await;
    match made {
        // A foreign or damaged archive is passed over by Java; its remarks about that are of no interest.
        Ok(()) => vec![
            format!("-XX:SharedArchiveFile={}", archive.display()),
            "-Xshare:auto".to_owned(),
            "-Xlog:cds=off".to_owned(),
            "-Xlog:cds+dynamic=off".to_owned(),
        ],
        Err(error) => {
            progress(format!("going on without a class-data archive for {role}: {error}"));
            Vec::new()
        }
    }
}

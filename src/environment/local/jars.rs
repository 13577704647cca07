//! Kafka's jars: fetched once into the cache, or those of an installation.

use super::cache::{cache_dir, once};
use super::maven::{Goal, fetch};
use crate::environment::{EnvironmentError, EnvironmentResult};
use crate::ground::trust::distrust;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

const KAFKA_3: &str = include_str!("../../../stack/kafka-3.xml");
const KAFKA_4: &str = include_str!("../../../stack/kafka-4.xml");

/// The jars of one Kafka version: broker, tools and Connect in one list.
#[derive(Clone, Debug)]
pub(super) struct Jars {
    /// Kafka's version.
    pub(super) version: String,
    /// Where they come from, for reports.
    pub(super) origin: String,
    files: Vec<PathBuf>,
}

impl Jars {
    /// The jars of `KAFKA_HOME/libs`.
    ///
    /// # Errors
    /// [`EnvironmentError::Prerequisite`] where that is no Kafka installation.
    pub(super) fn installed(home: &Path) -> EnvironmentResult<Self> {
        let no_kafka = |why: &str| EnvironmentError::Prerequisite {
            message: format!("{} is not a Kafka installation: {why}", home.display()),
            remedy: "set KAFKA_HOME (or kafka_home in kscen.yaml) to an unpacked Kafka, or unset it".to_owned(),
        };
        let libs = std::path::absolute(home.join("libs")).map_err(|error| no_kafka(&error.to_string()))?;
        let files = list(&libs).map_err(|error| no_kafka(&format!("{}: {error}", libs.display())))?;
        for path in [libs.parent().unwrap_or(&libs), &libs].into_iter().chain(files.iter().map(PathBuf::as_path)) {
            let doubt = distrust(path).map_err(|error| no_kafka(&format!("{}: {error}", path.display())))?;
            if let Some(why) = doubt {
                return Err(EnvironmentError::Prerequisite {
                    message: format!("the Kafka in {} is not run: {why}", home.display()),
                    remedy: "make yourself or root its owner, and let nobody else write to it".to_owned(),
                });
            }
        }
        let version = files
            .iter()
            .find_map(|file| core_version(file))
            .ok_or_else(|| no_kafka("there is no libs/kafka_2.13-VERSION.jar in it"))?;
        Ok(Self { version, origin: home.display().to_string(), files })
    }

    /// The jars of a version from the cache, fetching them with Maven the first time.
    ///
    /// # Errors
    /// The version is unknown, or Maven or the registry is missing.
    pub(super) async fn fetched(version: &str, progress: &(dyn Fn(String) + Sync)) -> EnvironmentResult<Self> {
        let well_formed = version.split('.').count() == 3 && version.split('.').all(|part| part.parse::<u32>().is_ok());
        if !well_formed {
            return Err(EnvironmentError::Unsupported {
                message: format!("`{version}` is not a Kafka version; write it in full, such as 3.9.2"),
            });
        }
        let folder = cache_dir()?.join("kafka").join(version);
        once(&folder, async |scratch: &Path| {
            let began = Instant::now();
            progress(format!("fetching Kafka {version} with Maven (50 MB, the first time only)"));
            let pom = if version.starts_with("3.") { KAFKA_3 } else { KAFKA_4 };
            let what = format!("Kafka {version}");
            let list = format!("kafka-{version}");
            if !fetch(Goal::Copy, &what, &list, pom, &[("kafka.version", version)], scratch).await? {
                progress(format!(
                    "kscen knows no checksums of {what}, so only those of the Maven registry were checked"
                ));
            }
            progress(format!("fetched Kafka {version} in {:.0} s", began.elapsed().as_secs_f64()));
            Ok(())
        })
        .await?;
        let files = list(&folder)
            .map_err(|error| EnvironmentError::caused(format!("cannot read {}", folder.display()), error))?;
        if !files.iter().any(|file| core_version(file).is_some()) {
            return Err(EnvironmentError::Prerequisite {
                message: format!("the cached jars in {} are incomplete", folder.display()),
                remedy: format!("rm -r '{}'", folder.display()),
            });
        }
        Ok(Self { version: version.to_owned(), origin: "Maven".to_owned(), files })
    }

    /// The class path. Its order is always the same, because a class-data archive only fits the very same path.
    pub(super) fn class_path(&self) -> String {
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        files.join(":")
    }

    /// The folder that holds them.
    pub(super) fn folder(&self) -> PathBuf {
        self.files.first().and_then(|file| file.parent()).map(Path::to_owned).unwrap_or_default()
    }

    /// Major version: 3 or 4.
    pub(super) fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|part| part.parse().ok()).unwrap_or(0)
    }
}

fn list(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jar"))
        .collect();
    files.sort();
    Ok(files)
}

/// The version in the name of the broker's own jar, `kafka_2.13-3.6.1.jar`.
fn core_version(jar: &Path) -> Option<String> {
    let version = jar.file_name()?.to_str()?.strip_prefix("kafka_2.13-")?.strip_suffix(".jar")?;
    version.split(['.', '-']).next()?.parse::<u32>().ok()?;
    (!version.contains("sources") && !version.contains("javadoc")).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_is_known_by_its_jar() {
        let home = tempfile::tempdir().expect("a folder");
        assert!(Jars::installed(home.path()).is_err());
        fs::create_dir(home.path().join("libs")).expect("writable");
        for name in ["kafka_2.13-3.9.1.jar", "kafka-clients-3.9.1.jar", "a.txt", "kafka_2.13-3.9.1-sources.jar"] {
            fs::write(home.path().join("libs").join(name), "").expect("writable");
        }
        let jars = Jars::installed(home.path()).expect("a Kafka");
        assert_eq!((jars.version.as_str(), jars.major()), ("3.9.1", 3));
        assert_eq!(jars.class_path().split(':').count(), 3);
    }
}

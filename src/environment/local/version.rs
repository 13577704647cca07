//! Which Kafka a stack runs.

use super::config::LocalConfig;
use super::jars::Jars;
use crate::environment::{EnvironmentError, EnvironmentResult, Needs};
use std::path::PathBuf;

/// Versions that are tried, after the configured one, for a scenario whose `needs` exclude that.
const KNOWN: [&str; 2] = ["3.6.1", "4.3.1"];

/// The jars of a Kafka that the scenario accepts: those of `KAFKA_HOME`, else fetched ones.
///
/// # Errors
/// No version fits, or its jars are not to be had.
pub(super) async fn choose(
    config: &LocalConfig,
    needs: &Needs,
    progress: &(dyn Fn(String) + Sync),
) -> EnvironmentResult<Jars> {
    let admits = |version: &str| needs.kafka.as_ref().is_none_or(|range| range.admits(version));
    let variable = || std::env::var_os("KAFKA_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    if let Some(home) = config.kafka_home.clone().or_else(variable) {
        let jars = Jars::installed(&home)?;
        if admits(&jars.version) {
            return Ok(jars);
        }
        return Err(EnvironmentError::Unsupported {
            message: format!("the scenario does not accept Kafka {}, which is in {}", jars.version, home.display()),
        });
    }
    let version = [config.kafka.as_str()].into_iter().chain(KNOWN).find(|version| admits(version));
    let version = version.ok_or_else(|| EnvironmentError::Unsupported {
        message: format!(
            "the scenario accepts neither the configured Kafka {} nor {}; set `kafka` in kscen.yaml to one it accepts",
            config.kafka,
            KNOWN.join(" nor ")
        ),
    })?;
    Jars::fetched(version, progress).await
}

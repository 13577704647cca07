//! Which Kafka a stack runs.

use super::config::{Jvm, LocalConfig};
use super::jars::Jars;
use crate::environment::{EnvironmentError, EnvironmentResult, Needs};
use crate::ground::some_of;
use std::path::PathBuf;

/// Versions that are tried, after the configured one, for a scenario whose `needs` exclude that.
const KNOWN: [&str; 3] = [super::config::KAFKA_3, "3.6.1", "4.3.1"];

/// The configuration with the installation that the surroundings name, which is a setting like others.
pub(super) fn stated(config: &LocalConfig) -> LocalConfig {
    LocalConfig { kafka_home: home(config), ..config.clone() }
}

fn home(config: &LocalConfig) -> Option<PathBuf> {
    let variable = || std::env::var_os("KAFKA_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    config.kafka_home.clone().or_else(variable)
}

/// The configuration with a Kafka that the scenario accepts, an installation or a version to fetch, and with the virtual machine that
/// it needs.
///
/// # Errors
/// No version fits.
pub(super) fn resolve(config: &LocalConfig, needs: &Needs) -> EnvironmentResult<LocalConfig> {
    let jvm = if needs.kafkas_jvm { Jvm::C2 } else { config.jvm };
    let config = &LocalConfig { jvm, ..config.clone() };
    let admits = |version: &str| needs.kafka.as_ref().is_none_or(|range| range.admits(version));
    let unsupported = |message: String| EnvironmentError::Unsupported { message };
    if let Some(home) = home(config) {
        let version = Jars::installed(&home)?.version;
        if admits(&version) {
            return Ok(LocalConfig { kafka: version, kafka_home: Some(home), ..config.clone() });
        }
        let message = format!("the scenario does not accept Kafka {version}, which is in {}", home.display());
        return Err(unsupported(message));
    }
    let configured = config.kafka.as_str();
    let others = || KNOWN.into_iter().filter(move |version| *version != configured);
    match [configured].into_iter().chain(others()).find(|version| admits(version)) {
        Some(version) => Ok(LocalConfig { kafka: version.to_owned(), ..config.clone() }),
        None => Err(unsupported(format!(
            "Kafka `{}` is needed, and neither the configured {configured} is that nor one of {}; set `kafka` in kscen.yaml to one that is",
            needs.kafka.as_ref().map(ToString::to_string).unwrap_or_default(),
            some_of(others())
        ))),
    }
}

/// The jars of a configuration that [`resolve`] returned.
///
/// # Errors
/// They are not to be had.
pub(super) async fn jars(config: &LocalConfig, progress: &(dyn Fn(String) + Sync)) -> EnvironmentResult<Jars> {
    match &config.kafka_home {
        Some(home) => Jars::installed(home),
        None => Jars::fetched(&config.kafka, progress).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_the_scenario_accepts_is_chosen() {
        let chosen = |range: &str| {
            let config = LocalConfig { kafka: "3.9.1".to_owned(), ..LocalConfig::default() };
            let needs = Needs { kafka: range.parse().ok(), ..Needs::kafka() };
            resolve(&config, &needs).map(|config| config.kafka).map_err(|error| error.to_string())
        };
        if std::env::var_os("KAFKA_HOME").is_none() {
            assert_eq!(chosen(">=3"), Ok("3.9.1".to_owned()));
            assert_eq!(chosen("3.6"), Ok("3.6.1".to_owned()));
            assert_eq!(chosen(">=4"), Ok("4.3.1".to_owned()));
            let measured = resolve(&LocalConfig::default(), &Needs { kafkas_jvm: true, ..Needs::kafka() });
            assert_eq!(measured.map(|config| config.jvm).ok(), Some(Jvm::C2));
            let refused = chosen("3.7").expect_err("there is none");
            assert!(
                refused.contains("Kafka `3.7` is needed")
                    && refused.contains("3.9.1 is that nor one of 3.9.2, 3.6.1, 4.3.1"),
                "{refused}"
            );
        }
    }
}

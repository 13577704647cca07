//! Finding a Java that the chosen Kafka runs on.

use super::remedy::{Package, install, is_executable, on_path};
use crate::environment::{EnvironmentError, EnvironmentResult};
use crate::ground;
use std::path::{Path, PathBuf};

/// A Java installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Java {
    /// The `java` executable.
    pub(super) program: PathBuf,
    /// Full version, such as `17.0.15`.
    pub(super) version: String,
    /// Feature release, such as 17.
    pub(super) feature: u32,
}

impl Java {
    /// The Java of `JAVA_HOME`, else of `PATH`, if the given Kafka runs on it.
    ///
    /// # Errors
    /// [`EnvironmentError::Prerequisite`] where Java is missing, too old or too new, with the command to type.
    pub(super) fn find(kafka: &str) -> EnvironmentResult<Self> {
        let java = Self::locate(wanted(kafka).1)?;
        java.check(kafka)?;
        Ok(java)
    }

    fn locate(advised: u32) -> EnvironmentResult<Self> {
        let program = match std::env::var_os("JAVA_HOME").filter(|home| !home.is_empty()) {
            Some(home) => {
                let program = PathBuf::from(&home).join("bin/java");
                if !is_executable(&program) {
                    return Err(EnvironmentError::Prerequisite {
                        message: format!("JAVA_HOME is {}, which has no bin/java", home.display()),
                        remedy: "unset JAVA_HOME, or set it to a Java installation".to_owned(),
                    });
                }
                program
            }
            None => on_path("java").ok_or_else(|| EnvironmentError::Prerequisite {
                message: "Java is not installed (no `java` on the PATH, JAVA_HOME not set)".to_owned(),
                remedy: install(Package::Java(advised)),
            })?,
        };
        // Through links such as /usr/bin/java to the installation: its `release` file saves a start of Java.
        let program = program.canonicalize().unwrap_or(program);
        let version = released(&program).or_else(|| asked(&program)).ok_or_else(|| EnvironmentError::Prerequisite {
            message: format!("{} printed no version, so it is not a working Java", program.display()),
            remedy: install(Package::Java(advised)),
        })?;
        let feature = feature(&version).ok_or_else(|| {
            EnvironmentError::failed(format!("the Java version `{version}` of {} is not understood", program.display()))
        })?;
        Ok(Self { program, version, feature })
    }

    fn check(&self, kafka: &str) -> EnvironmentResult<()> {
        let (range, advised) = wanted(kafka);
        if range.contains(&self.feature) {
            return Ok(());
        }
        let why = if self.feature < *range.start() {
            format!("needs Java {} or newer", range.start())
        } else {
            format!("runs on Java {} at most (newer ones removed the security manager)", range.end())
        };
        Err(EnvironmentError::Prerequisite {
            message: format!("Kafka {kafka} {why}, and {} is Java {}", self.program.display(), self.version),
            remedy: format!("{} (then point JAVA_HOME at it)", install(Package::Java(advised))),
        })
    }
}

/// The Java releases a Kafka version runs on, and the one to advise.
fn wanted(kafka: &str) -> (std::ops::RangeInclusive<u32>, u32) {
    let mut parts = kafka.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    match version {
        (4.., _) => (17..=u32::MAX, 17),
        // The last 3.x release line learned to do without the security manager, which Java 24 removed.
        (3, 9..) => (11..=u32::MAX, 17),
        _ => (11..=23, 17),
    }
}

/// The version in the installation's `release` file.
fn released(program: &Path) -> Option<String> {
    let home = program.parent()?.parent()?;
    let text = std::fs::read_to_string(home.join("release")).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("JAVA_VERSION="))?;
    Some(value.trim().trim_matches('"').to_owned())
}

/// The version that the program itself states: `openjdk version "17.0.15" 2025-04-15`.
fn asked(program: &Path) -> Option<String> {
    let output = ground::program(program).arg("-version").output().ok()?;
    quoted(&String::from_utf8_lossy(&output.stderr))
}

fn quoted(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains(" version \""))?;
    line.split('"').nth(1).map(str::to_owned)
}

/// `17.0.15` is 17, and so is `17-ea`; `1.8.0_392` is 8.
fn feature(version: &str) -> Option<u32> {
    let mut numbers = version.split(['.', '-', '+', '_']).map(|part| part.parse().ok());
    match numbers.next()?? {
        1 => numbers.next()?,
        feature => Some(feature),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_understood() {
        for (text, expected) in [("17.0.15", 17), ("1.8.0_392", 8), ("24-ea", 24), ("21", 21)] {
            assert_eq!(feature(text), Some(expected), "{text}");
        }
        assert_eq!(feature("seventeen"), None);
        let output = "Picked up JAVA_TOOL_OPTIONS: -Dx\nopenjdk version \"17.0.15\" 2025-04-15\n";
        assert_eq!(quoted(output), Some("17.0.15".to_owned()));
    }

    #[test]
    fn a_java_that_kafka_does_not_run_on_is_refused_with_a_remedy() {
        let java = |feature: u32| Java { program: "java".into(), version: format!("{feature}.0.1"), feature };
        for (kafka, release, accepted) in
            [("3.6.1", 11, true), ("3.6.1", 8, false), ("3.6.1", 24, false), ("4.3.1", 11, false), ("4.3.1", 25, true)]
        {
            let result = java(release).check(kafka);
            assert_eq!(result.is_ok(), accepted, "Kafka {kafka} on Java {release}");
            if let Err(error) = result {
                assert!(error.remedy().is_some_and(|remedy| remedy.contains("17")));
            }
        }
    }
}

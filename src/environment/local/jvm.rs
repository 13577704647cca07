//! The command line of a Kafka process.

use super::config::{Jvm, LocalConfig};
use super::format::bootstrap_checkpoint;
use super::jars::Jars;
use super::java::Java;
use super::spawner::Launch;
use super::stack::cannot_write;
use crate::environment::EnvironmentResult;
use crate::ground::program;
use std::path::{Path, PathBuf};

const LOG4J: &str = include_str!("../../../stack/log4j.properties");
const LOG4J2: &str = include_str!("../../../stack/log4j2.xml");

/// Everything that Kafka processes of one stack share: Java, its flags, the jars, the set-up of logging.
#[derive(Clone, Debug)]
pub(super) struct Runtime {
    /// The Java that runs them.
    pub(super) java: Java,
    /// Kafka's jars.
    pub(super) jars: Jars,
    /// Flags of the virtual machine.
    pub(super) flags: Vec<String>,
    /// For Kafka 4: the file that sets the feature versions of a new cluster.
    pub(super) bootstrap: Option<PathBuf>,
    logging: PathBuf,
}

impl Runtime {
    /// Writes the set-up of logging below `dir` and collects the rest.
    ///
    /// # Errors
    /// The file cannot be written, or Kafka's own storage tool fails.
    pub(super) async fn new(
        java: Java,
        jars: Jars,
        config: &LocalConfig,
        dir: &Path,
        progress: &(dyn Fn(String) + Sync),
    ) -> EnvironmentResult<Self> {
        let (name, text) = if jars.major() >= 4 { ("log4j2.xml", LOG4J2) } else { ("log4j.properties", LOG4J) };
        let logging = dir.join(name);
        std::fs::write(&logging, text).map_err(|error| cannot_write(&logging, error))?;
        let mut runtime = Self { java, jars, flags: flags(config), bootstrap: None, logging };
        runtime.bootstrap = bootstrap_checkpoint(&runtime, progress).await?;
        Ok(runtime)
    }

    /// How to start a command-line tool with `flags` of the virtual machine instead of the services' own.
    pub(super) fn tool(&self, main: &str, flags: &[&str]) -> std::process::Command {
        let mut command = program(&self.java.program);
        let logging = format!("-D{}=file:{}", self.logging_property(), self.logging.display());
        command.args(flags).args([&logging, "-cp", &self.jars.class_path(), main]).env_remove("CLASSPATH");
        command
    }

    fn logging_property(&self) -> &'static str {
        if self.jars.major() >= 4 { "log4j2.configurationFile" } else { "log4j.configuration" }
    }

    /// How to start a main class; `extra` are further flags of the virtual machine.
    pub(super) fn launch(&self, main: &str, args: &[String], extra: &[String], dir: &Path, log: &Path) -> Launch {
        let mut all = self.flags.clone();
        all.extend_from_slice(extra);
        all.extend([
            format!("-D{}=file:{}", self.logging_property(), self.logging.display()),
            "-cp".to_owned(),
            self.jars.class_path(),
            main.to_owned(),
        ]);
        all.extend_from_slice(args);
        Launch {
            program: self.java.program.clone(),
            args: all,
            directory: dir.to_owned(),
            log: log.to_owned(),
            without_env: vec!["CLASSPATH".to_owned()],
            ..Launch::default()
        }
    }
}

/// The flags of Kafka's own `kafka-server-start.sh` and `kafka-run-class.sh`, beside the heap.
const KAFKAS: &[&str] = &[
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
];

/// The chosen flags. Log times are UTC, so that they can be compared with everything else.
fn flags(config: &LocalConfig) -> Vec<String> {
    let (heap, tuning): (&str, &[&str]) = match config.jvm {
        Jvm::C1 => ("256m", &["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]),
        Jvm::C2 => ("1g", KAFKAS),
    };
    let heap = config.heap.as_deref().unwrap_or(heap);
    let mut flags = vec![format!("-Xmx{heap}")];
    if config.jvm == Jvm::C2 {
        flags.push(format!("-Xms{heap}"));
    }
    flags.extend(tuning.iter().map(|flag| (*flag).to_owned()));
    flags.extend(["-Duser.timezone=UTC".to_owned(), "-Djava.awt.headless=true".to_owned()]);
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_runs_as_kafkas_own_scripts_run_it() {
        let flags = |jvm| flags(&LocalConfig { jvm, ..LocalConfig::default() }).join(" ");
        assert!(flags(Jvm::C2).starts_with("-Xmx1g -Xms1g -server -XX:+UseG1GC "), "{}", flags(Jvm::C2));
        assert!(!flags(Jvm::C2).contains("TieredStopAtLevel"));
        assert!(flags(Jvm::C1).starts_with("-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "));
    }
}

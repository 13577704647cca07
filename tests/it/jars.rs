//! Kafka's own tools and brokers, run from the jars that kscen has in its cache: an independent view.

use std::path::PathBuf;
use std::process::Command;

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Kafka's classes, for one version; the jars are there once kscen has run a broker.
pub fn class_path(version: &str) -> String {
    let cache = variable("KSCEN_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("kscen")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/kscen")))
        .expect("a cache folder");
    cache.join("kafka").join(version).join("*").to_string_lossy().into_owned()
}

/// `java` with Kafka's classes.
pub fn java(version: &str) -> Command {
    let program = variable("JAVA_HOME").map_or_else(|| PathBuf::from("java"), |home| home.join("bin/java"));
    let mut command = Command::new(program);
    command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp"]).arg(class_path(version));
    command
}

/// Messages in a topic according to Kafka's GetOffsetShell: the sum of the end offsets.
pub fn messages(version: &str, bootstrap: &str, topic: &str) -> u64 {
    let class =
        if version.starts_with('3') { "kafka.tools.GetOffsetShell" } else { "org.apache.kafka.tools.GetOffsetShell" };
    let output =
        java(version).args([class, "--bootstrap-server", bootstrap, "--topic", topic]).output().expect("java starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let ends: Vec<u64> = text.lines().filter_map(|line| line.rsplit(':').next()?.trim().parse().ok()).collect();
    assert!(!ends.is_empty(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    ends.iter().sum()
}

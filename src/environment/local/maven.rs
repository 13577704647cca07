//! Fetching jars by their Maven coordinates.

use super::pinned;
use super::process::ProcessLife;
use super::remedy::{Package, install, on_path};
use super::spawner::Launch;
use crate::environment::{EnvironmentError, EnvironmentResult};
use crate::ground::scratch::Scratch;
use crate::text::CUT;
use std::fs;
use std::path::Path;

/// So many lines of its output are told.
const TOLD: usize = 6;

/// What to do with the dependencies of a pom.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// Copies the jars.
    Copy,
    /// Unpacks the jars.
    Unpack,
}

/// Brings the dependencies of an embedded pom into a folder.
///
/// `what` names them in messages, `list` the checksums that kscen has of them. Maven itself is found on the PATH and uses the user's
/// settings (mirrors, proxies); a file without the registry's checksum is refused. Answers whether kscen's own checksums were held.
///
/// # Errors
/// Maven is missing, the registry cannot be reached, the version does not exist, a file is not what it should be: each with its own
/// message.
pub(super) async fn fetch(
    goal: Goal,
    what: &str,
    list: &str,
    pom: &str,
    settings: &[(&str, &str)],
    folder: &Path,
) -> EnvironmentResult<bool> {
    let program = on_path("mvn").ok_or_else(|| EnvironmentError::Prerequisite {
        message: format!("Maven is not installed (no `mvn` on the PATH), and {what} has to be fetched once"),
        remedy: install(Package::Maven),
    })?;
    let failed = |error: std::io::Error| EnvironmentError::caused(format!("could not fetch {what}"), error);
    let scratch = Scratch::new().map_err(failed)?;
    let pom_file = scratch.path().join("pom.xml");
    fs::write(&pom_file, pom).map_err(failed)?;
    let mut args = vec![
        "-B".to_owned(),
        "-q".to_owned(),
        "-C".to_owned(), // a wrong or missing checksum is an error
        "-Dstyle.color=never".to_owned(),
        "-f".to_owned(),
        pom_file.display().to_string(),
    ];
    args.extend(settings.iter().map(|(name, value)| format!("-D{name}={value}")));
    let goal = match goal {
        Goal::Copy => "dependency:copy-dependencies",
        Goal::Unpack => "dependency:unpack-dependencies",
    };
    args.extend([goal.to_owned(), format!("-DoutputDirectory={}", folder.display())]);
    let log = scratch.path().join("mvn.log");
    let directory = scratch.path().to_owned();
    let life = ProcessLife::start(Launch { program, args, directory, log: log.clone(), ..Launch::default() })
        .await
        .map_err(failed)?;
    let ended = life.ended().await;
    if ended.code == 0 && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return pinned::verify(list, folder);
    }
    let output = fs::read(&log).unwrap_or_default();
    Err(explain(what, &String::from_utf8_lossy(&output), &ended.how))
}

/// Turns Maven's output into an error that says what to do.
fn explain(what: &str, output: &str, how: &str) -> EnvironmentError {
    let lines: Vec<String> = output.lines().map(plain).filter(|line| !line.trim().is_empty()).collect();
    let errors: Vec<&String> = lines.iter().filter(|line| line.contains("ERROR")).collect();
    // What stands before a mark may be the beginning of a secret, and what stands behind it the end.
    let cut = CUT.to_owned();
    let last = lines.len().saturating_sub(TOLD);
    let told: Vec<&String> = match errors.is_empty() {
        true if last > 0 => [&cut].into_iter().chain(&lines[last..]).collect(),
        true => lines.iter().collect(),
        false => errors,
    };
    let advice = ["To see the full", "Re-run Maven", "For more information", "[Help", "After correcting"];
    let told = told.iter().map(|line| line.trim_start_matches("[ERROR]").trim());
    let told = told.filter(|line| !line.is_empty() && !advice.iter().any(|advice| line.starts_with(advice)));
    let mut told: Vec<&str> = told.take(TOLD + 2).collect();
    if told.len() > TOLD + 1 {
        told[TOLD + 1] = CUT;
    }
    let told = told.join("\n  ");
    let has = |words: &[&str]| words.iter().any(|word| output.contains(word));
    if has(&["Could not find artifact", "was not found in"]) && !has(&["Could not transfer", "Unknown host"]) {
        return EnvironmentError::Prerequisite {
            message: format!("{what} does not exist in the Maven registry:\n  {told}"),
            remedy: "use a version that was published".to_owned(),
        };
    }
    if has(&["Checksum validation failed", "ChecksumFailure"]) {
        return EnvironmentError::Prerequisite {
            message: format!("what the Maven registry sends for {what} does not have its checksum:\n  {told}"),
            remedy: "do not use it: look at the registry or mirror in ~/.m2/settings.xml".to_owned(),
        };
    }
    if has(&["Could not transfer", "Unknown host", "Connection refused", "timed out", "PKIX", "Network is unreachable"])
    {
        return EnvironmentError::Prerequisite {
            message: format!("the Maven registry cannot be reached to fetch {what}:\n  {told}"),
            remedy: "check the network and the proxies and mirrors in ~/.m2/settings.xml, or set KAFKA_HOME to an \
                     unpacked Kafka"
                .to_owned(),
        };
    }
    EnvironmentError::failed(format!("Maven could not fetch {what} ({how}):\n  {told}"))
}

/// A line without ANSI escape sequences, which Maven prints in batch mode too.
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Redactor;

    #[test]
    fn maven_failures_are_told_apart() {
        let missing = "\u{1b}[1;31m[ERROR]\u{1b}[m Could not find artifact org.apache.kafka:kafka_2.13:jar:9.9.9";
        let error = explain("Kafka 9.9.9", missing, "exit code 1");
        assert!(error.to_string().starts_with("Kafka 9.9.9 does not exist"), "{error}");
        assert!(!error.to_string().contains('\u{1b}'));
        let damaged =
            "[ERROR] Could not transfer artifact x from/to y: Checksum validation failed, expected 1 but is 2";
        assert!(explain("Kafka 3.9.2", damaged, "exit code 1").to_string().contains("does not have its checksum"));
        let unreachable = "[ERROR] Could not transfer artifact x from/to y: Unknown host y";
        assert!(
            explain("Kafka 3.6.1", unreachable, "exit code 1").remedy().is_some_and(|r| r.contains("settings.xml"))
        );
        let other =
            explain("Kafka 3.6.1", "[ERROR] disk full\n[ERROR] \n[ERROR] Re-run Maven", "exit code 1").to_string();
        assert_eq!(other, "Maven could not fetch Kafka 3.6.1 (exit code 1):\n  disk full");
    }

    #[test]
    fn no_part_of_a_secret_is_left_where_the_output_is_cut() {
        let redactor = Redactor::new(["hunter2-zebra-quartz-9"]);
        let folded = ["hunter2-", "zebra-", "quartz-", "9 was refused"];
        for after in 0..8 {
            for begin in ["", "[ERROR] "] {
                let lines = (0..after).map(|number| format!("{begin}line {number}"));
                let before = (0..3).map(|number| format!("{begin}before {number}"));
                let secret = folded.iter().map(|part| format!("{begin}{part}"));
                let output: Vec<String> = before.chain(secret).chain(lines).collect();
                let told = explain("Kafka 3.9.2", &output.join("\n"), "exit code 1").to_string();
                let shown = redactor.text(&told).into_owned();
                for part in ["hunter2", "zebra", "quartz"] {
                    assert!(!shown.contains(part), "{after}{begin}: {told}\nis shown as\n{shown}");
                }
            }
        }
    }
}

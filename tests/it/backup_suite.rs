//! The scenarios of archives, run by the binary as a user runs them: those that take seconds; `make test-kafka-backup` runs all.

mod altered;
mod twins;

use crate::program::skipped;
use crate::suites::{Kscen, assert_passes, scenarios};
use std::path::PathBuf;

/// What comes back, in every form that a topic has.
const COMES_BACK: [&str; 7] = [
    "single-partition",
    "several-partitions",
    "codecs",
    "empty-topic",
    "large-messages",
    "odd-messages",
    "disaster-recovery",
];
/// What goes wrong meanwhile.
const GOES_WRONG: [&str; 4] = ["access-denied", "corrupted-archive", "connection-lost", "long-running"];
/// Mounts a small file system.
const AS_ROOT: &str = "store-full";

fn backups() -> PathBuf {
    scenarios().join("backup")
}

/// Runs these, and returns where.
fn pass(names: &[&str]) -> Kscen {
    let kscen = Kscen::new();
    let files: Vec<String> =
        names.iter().map(|name| backups().join(format!("{name}.yaml")).to_string_lossy().into_owned()).collect();
    let mut arguments = vec!["run", "--strict"];
    arguments.extend(files.iter().map(String::as_str));
    let program = scenarios().join("programs/acl.py").to_string_lossy().into_owned();
    assert_passes(&kscen.run(&arguments, &[("KSCEN_VAR_acl", program)]));
    kscen
}

/// And the report says of what ran what was measured, and of what did not that it did not.
#[test]
fn what_is_backed_up_comes_back() {
    if skipped("what_is_backed_up_comes_back") {
        return;
    }
    let kscen = pass(&COMES_BACK);
    let (all, own) = (scenarios(), backups());
    let folders = ["--scenarios", &all.to_string_lossy(), "--scenarios", &own.to_string_lossy()].map(str::to_owned);
    let mut arguments = vec!["report", "--baseline", "results"];
    arguments.extend(folders.iter().map(String::as_str));
    let reported = kscen.run(&arguments, &[]);
    assert!(reported.status.success(), "{}", String::from_utf8_lossy(&reported.stderr));
    let report = std::fs::read_to_string(kscen.folder().join("reports/backup.md")).expect("the report");
    for line in
        ["| One partition | ✓ PASS |", "| Every codec (codec=gzip) | ✓ PASS |", "| One million messages | ○ NOT RUN |"]
    {
        assert!(report.contains(line), "no `{line}` in {report}");
    }
    assert!(report.contains("| One million messages | kept data rate | ≥ 100 MB/s | – | ○ not run |"), "{report}");
}

#[test]
fn what_goes_wrong_is_told_and_nothing_is_lost() {
    if skipped("what_goes_wrong_is_told_and_nothing_is_lost") {
        return;
    }
    let mut names = GOES_WRONG.to_vec();
    if nix::unistd::geteuid().is_root() {
        names.push(AS_ROOT);
    }
    pass(&names);
}

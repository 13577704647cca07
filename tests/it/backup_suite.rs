//! The scenarios of archives, run by the binary as a user runs them: those that take seconds; `make test-kafka-backup` runs all.

mod altered;
mod sabotaged;
mod twins;

use crate::program::skipped;
use crate::suites::{Kscen, assert_passes, scenarios};
use crate::turns;
use std::path::PathBuf;

/// What comes back, in every form that a topic has.
const COMES_BACK: [&str; 8] = [
    "single-partition",
    "several-partitions",
    "sizes",
    "codecs",
    "empty-topic",
    "large-messages",
    "odd-messages",
    "disaster-recovery",
];
/// What goes wrong meanwhile.
const GOES_WRONG: [&str; 6] =
    ["access-denied", "corrupted-archive", "connection-lost", "long-running", "service-killed", "service-broker-away"];
/// Those mount a small file system.
const AS_ROOT: [&str; 2] = ["store-full", "service-store-full"];

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
    assert_passes(&kscen.run(&arguments, &variables()));
    kscen
}

/// Where the programs are that scenarios name from the folder of the repository.
fn variables() -> [(&'static str, String); 4] {
    let shipped = |name: &str| scenarios().join(name).to_string_lossy().into_owned();
    [
        ("KSCEN_VAR_acl", shipped("programs/acl.py")),
        ("KSCEN_VAR_serve", shipped("programs/serve.py")),
        ("KSCEN_VAR_load", shipped("../scripts/serve-load")),
        ("KSCEN_VAR_kscen", env!("CARGO_BIN_EXE_kscen").to_owned()),
    ]
}

/// And the report says of what ran what was measured, and of what did not that it did not.
#[test]
fn what_is_backed_up_comes_back() {
    if skipped("what_is_backed_up_comes_back") {
        return;
    }
    turns::most();
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
    turns::most();
    let mut names = GOES_WRONG.to_vec();
    if nix::unistd::geteuid().is_root() {
        names.extend(AS_ROOT);
    }
    pass(&names);
}

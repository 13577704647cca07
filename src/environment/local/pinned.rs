//! What fetched files have to be: the SHA-256 of each, as it was when its version was taken up.

use crate::environment::{EnvironmentError, EnvironmentResult};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Lists as `sha256sum` writes them, by what is fetched.
const LISTS: &[(&str, &str)] = &[
    ("kafka-3.6.1", include_str!("../../../stack/checksums/kafka-3.6.1.sha256")),
    ("kafka-3.9.2", include_str!("../../../stack/checksums/kafka-3.9.2.sha256")),
    ("kafka-4.3.1", include_str!("../../../stack/checksums/kafka-4.3.1.sha256")),
    ("debezium-2.7.4.Final", include_str!("../../../stack/checksums/debezium-2.7.4.Final.sha256")),
    ("debezium-3.7.0.Final", include_str!("../../../stack/checksums/debezium-3.7.0.Final.sha256")),
    ("sink-3.0.7.Final", include_str!("../../../stack/checksums/sink-3.0.7.Final.sha256")),
    ("sink-3.5.0.Final", include_str!("../../../stack/checksums/sink-3.5.0.Final.sha256")),
    ("postgres-15.19.0-linux-amd64", include_str!("../../../stack/checksums/postgres-15.19.0-linux-amd64.sha256")),
    ("postgres-15.19.0-linux-arm64v8", include_str!("../../../stack/checksums/postgres-15.19.0-linux-arm64v8.sha256")),
];

/// Holds fetched files against the list of their version; `false` where there is none, and Maven's own checksums were all that
/// was held.
///
/// # Errors
/// A file is not the one that was taken up, is not in the list, or is missing: nothing of it may be used.
pub(super) fn verify(name: &str, folder: &Path) -> EnvironmentResult<bool> {
    let Some((_, list)) = LISTS.iter().find(|(known, _)| *known == name) else { return Ok(false) };
    held(name, list, folder).map(|()| true)
}

fn held(name: &str, list: &str, folder: &Path) -> EnvironmentResult<()> {
    let unreadable = |error: io::Error| EnvironmentError::caused(format!("cannot read {}", folder.display()), error);
    let mut expected: BTreeMap<&str, &str> =
        list.lines().filter_map(|line| line.split_once("  ")).map(|(sum, file)| (file, sum)).collect();
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.file_type().map_err(unreadable)?.is_file() {
            continue; // META-INF of an unpacked jar: nothing that is used
        }
        let file = entry.file_name().to_string_lossy().into_owned();
        let sum = sha256(&fs::read(entry.path()).map_err(unreadable)?);
        match expected.remove(file.as_str()) {
            Some(pinned) if pinned == sum => {}
            Some(pinned) => wrong.push(format!("{file} has the SHA-256 {sum}, not {pinned}")),
            None => wrong.push(format!("{file} does not belong to it")),
        }
    }
    wrong.extend(expected.keys().map(|file| format!("{file} is missing")));
    if wrong.is_empty() {
        return Ok(());
    }
    let more = if wrong.len() > 5 { format!("\n  and {} more", wrong.len() - 5) } else { String::new() };
    wrong.truncate(5);
    Err(EnvironmentError::Prerequisite {
        message: format!("what was fetched is not {name} as kscen knows it:\n  {}{more}", wrong.join("\n  ")),
        remedy: "do not use it: look at the Maven repository or mirror that it came from, and at ~/.m2/repository"
            .to_owned(),
    })
}

fn sha256(bytes: &[u8]) -> String {
    openssl::sha::sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_another_one_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("a.jar"), "a").expect("a file");
        fs::create_dir(folder.path().join("META-INF")).expect("a folder");
        let list = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a.jar\n";
        held("a", list, folder.path()).expect("it is the same");
        let refused = |list: &str| held("kafka-0", list, folder.path()).expect_err("it differs").to_string();
        assert!(refused(&list.replace("ca97", "ca98")).contains("a.jar has the SHA-256 ca97"));
        assert!(refused(&format!("{list}00  b.jar\n")).contains("b.jar is missing"));
        assert!(refused("").contains("a.jar does not belong to it"));
        assert!(!verify("kafka-3.0.0", folder.path()).expect("nothing is known of it"));
        assert!(verify("kafka-3.6.1", folder.path()).is_err());
    }

    #[test]
    fn every_list_is_whole() {
        for (name, list) in LISTS {
            assert!(!list.is_empty(), "{name}");
            for line in list.lines() {
                let (sum, file) = line.split_once("  ").unwrap_or_else(|| panic!("{name}: {line}"));
                assert!(sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}: {line}");
                assert!(!file.contains('/'), "{name}: {line}");
            }
        }
    }
}

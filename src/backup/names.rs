//! Names of folders and files in an archive.

/// The file that makes a place an archive.
pub(super) const LABEL: &str = "archive.json";
/// The file of sums.
pub(super) const SUMS: &str = "SHA256SUMS";

/// The folder of a topic: its name, and the id that tells it from another of the same name.
pub(super) fn folder_of(name: &str, id: Option<&str>) -> String {
    format!("topics/{}@{}", escaped(name), escaped(id.unwrap_or("none")))
}

/// The folder of a partition's segments, in the folder of its topic. Numbered writers have a folder each.
pub(super) fn partition_folder(folder: &str, partition: i32, writer: Option<u64>) -> String {
    match writer {
        None => format!("{folder}/{partition}"),
        Some(writer) => format!("{folder}/{partition}/{writer:08}"),
    }
}

/// The name of a segment that begins at this offset, in the folder of its partition.
pub(super) fn segment_name(folder: &str, base: i64, sealed: bool) -> String {
    let sealed = if sealed { ".age" } else { "" };
    format!("{folder}/{base:020}.log{sealed}")
}

/// The numbered writer whose file this is, where the name says so.
pub(super) fn writer_of(file: &str) -> Option<u64> {
    let mut above = file.split('/').rev().skip(1);
    let (writer, partition, topic) = (above.next()?, above.next()?, above.next()?);
    // `topics/NAME@ID/PARTITION/WRITER/BASE.log`: without a writer, what stands two above the file is the topic's.
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (writer.len() >= 8 && digits(writer) && digits(partition) && topic.contains('@')).then(|| writer.parse().ok())?
}

/// Whether a file of this name is one of an archive, as the page about the format names them. Everything else is somebody's.
pub(super) fn is_of_format(name: &str) -> bool {
    let manifest = name.strip_prefix("manifests/").and_then(|name| name.strip_suffix(".json"));
    matches!(name, LABEL | SUMS) || manifest.is_some_and(|number| is_number(number, 8)) || is_segment(name)
}

/// Whether this is the name of a segment: `topics/NAME@ID/PARTITION/BASE.log`, with a writer's number before the file in a bucket, and `.age`
/// behind it where it is encrypted.
pub(super) fn is_segment(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    let (topic, partition, writer, file) = match parts[..] {
        ["topics", topic, partition, file] => (topic, partition, None, file),
        ["topics", topic, partition, writer, file] => (topic, partition, Some(writer), file),
        _ => return false,
    };
    let base = file.strip_suffix(".age").unwrap_or(file).strip_suffix(".log");
    topic.contains('@')
        && is_number(partition, 1)
        && writer.is_none_or(|writer| is_number(writer, 8))
        && base.is_some_and(|base| base.len() == 20 && is_number(base, 20))
}

fn is_number(text: &str, least: usize) -> bool {
    text.len() >= least && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Percent-encoded, but for the characters that Kafka allows in names.
fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_an_archive_are_told_from_a_users_own() {
        let folder = folder_of("a@b", Some("id"));
        for sealed in [false, true] {
            for writer in [None, Some(7)] {
                let name = segment_name(&partition_folder(&folder, 12, writer), 345_678, sealed);
                assert!(is_segment(&name) && is_of_format(&name), "{name}");
            }
        }
        for name in [LABEL, SUMS, "manifests/00000001.json", "manifests/123456789.json"] {
            assert!(is_of_format(name) && !is_segment(name), "{name}");
        }
        for name in [
            "topics/a@b/1/notes.txt",
            "topics/a@b/1/345678.log",
            "topics/a@b/1/00000000000000345678.log.bak",
            "topics/a/1/00000000000000345678.log",
            "topics/a@b/one/00000000000000345678.log",
            "topics/a@b/1/7/00000000000000345678.log",
            "topics/a@b/00000000000000345678.log",
            "manifests/1.json",
            "manifests/notes.json",
            "x",
            "x/archive.json",
        ] {
            assert!(!is_of_format(name), "{name}");
        }
    }

    #[test]
    fn a_writer_is_told_from_a_partition() {
        let topic = folder_of("a@b", Some("id"));
        for (writer, expected) in [(None, None), (Some(7), Some(7)), (Some(1 << 40), Some(1 << 40))] {
            let name = segment_name(&partition_folder(&topic, 12_345_678, writer), 5, true);
            assert_eq!(writer_of(&name), expected, "{name}");
        }
        assert_eq!(writer_of("archive.json"), None);
    }
}

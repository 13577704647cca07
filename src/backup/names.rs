//! Names of folders and files in an archive.

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
    fn a_writer_is_told_from_a_partition() {
        let topic = folder_of("a@b", Some("id"));
        for (writer, expected) in [(None, None), (Some(7), Some(7)), (Some(1 << 40), Some(1 << 40))] {
            let name = segment_name(&partition_folder(&topic, 12_345_678, writer), 5, true);
            assert_eq!(writer_of(&name), expected, "{name}");
        }
        assert_eq!(writer_of("archive.json"), None);
    }
}

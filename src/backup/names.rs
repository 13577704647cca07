//! Names of folders and files in an archive.

/// The folder of a topic: its name, and the id that tells it from another of the same name.
pub(super) fn folder_of(name: &str, id: Option<&str>) -> String {
    format!("topics/{}@{}", escaped(name), escaped(id.unwrap_or("none")))
}

/// The name of the segment of a partition that begins at this offset, in the folder of its topic.
pub(super) fn segment_name(folder: &str, partition: i32, base: i64) -> String {
    format!("{folder}/{partition}/{base:020}.log")
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

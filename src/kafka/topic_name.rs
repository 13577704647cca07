//! What Kafka takes as the name of a topic.

/// Why no topic has this name; `None` where one can have it. What Kafka takes is also the name of a file or folder.
pub fn unfit_topic_name(name: &str) -> Option<&'static str> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    if name.is_empty() {
        Some("it is empty")
    } else if name == "." || name == ".." {
        Some("it is a path")
    } else if name.len() > 249 {
        Some("it is longer than 249 characters")
    } else if !name.chars().all(legal) {
        Some("topic names consist of ASCII letters, digits, `.`, `_` and `-`")
    } else {
        None
    }
}

//! Commands that a reader of a report can copy.

/// The command that runs a scenario file.
pub fn command(file: &str) -> String {
    // A command is one line, whatever a file's name holds.
    let file: String = file.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=@:,".contains(c);
    if !file.is_empty() && file.chars().all(plain) {
        format!("kscen run {file}")
    } else {
        format!("kscen run '{}'", file.replace('\'', "'\\''"))
    }
}

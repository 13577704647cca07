//! Commands that a reader of a report can copy.

/// The command that runs a scenario file, in the environment that was asked for, where one was.
pub fn command(file: &str, environment: Option<&str>) -> String {
    let environment = environment.map(|name| format!("--env {} ", word(name))).unwrap_or_default();
    format!("kscen run {environment}{}", word(file))
}

/// A text as one word of a shell.
fn word(text: &str) -> String {
    // A command is one line, whatever a file's name holds.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=@:,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_its_environment_and_is_one_line_of_words() {
        assert_eq!(command("scenarios/a.yaml", None), "kscen run scenarios/a.yaml");
        assert_eq!(command("a b.yaml", Some("docker")), "kscen run --env docker 'a b.yaml'");
        assert_eq!(command("it's.yaml", Some("x; rm\n")), "kscen run --env 'x; rm ' 'it'\\''s.yaml'");
    }
}
